#ifndef PROG_POSTMAP_POSTMAP_H
#define PROG_POSTMAP_POSTMAP_H
#include "agent/command.h"
#include "map/map.h"

/* postmap: makes, asks and changes lookup tables. */
struct postmap {
	struct command c;
	struct log *words; /* warnings from inside the tables: standard error */
	bool incremental, sequence, keep_root, keep_case, own_mode;
	bool replace, ignore_duplicates, without_nul;
	const char *query, *remove;
};

/* ask.c: 0 found or done, 1 not found. */
int postmap_query(struct postmap *p, char **tables, size_t n);
int postmap_sequence(struct postmap *p, char **tables, size_t n);
/* build.c */
int postmap_remove(struct postmap *p, char **tables, size_t n);
void postmap_build(struct postmap *p, const char *table);

/* "type:name" as given, with default_database_type in front when it has none. */
struct str postmap_spec(struct postmap *p, const char *table);
#endif
