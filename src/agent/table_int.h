#ifndef AGENT_TABLE_INT_H
#define AGENT_TABLE_INT_H
#include "agent/table_command.h"

/* table_ask.c: 0 found or done, 1 not found. */
int table_query(struct table_command *t, char **tables, size_t n);
int table_sequence(struct table_command *t, const char *table);
/* table_build.c */
int table_remove(struct table_command *t, char **tables, size_t n);
void table_build(struct table_command *t, const char *table);

/* "type:name" as given, with default_database_type in front when it has none. */
struct str table_spec(struct table_command *t, const char *table);
/* For reading; ends the program when it cannot be opened. */
struct map *table_open(struct table_command *t, const char *table);
/* The name that Postfix gives to a table of ours in some of its messages: with the
 * suffix of the file. */
struct str table_file_name(struct table_command *t, struct str spec);
#endif
