#ifndef AGENT_TABLE_COMMAND_H
#define AGENT_TABLE_COMMAND_H
/* postmap and postalias: one command in two dialects. They differ in the format of what
 * they read, in how they print, and in a few options. */
#include "agent/command.h"
#include "map/map.h"

struct table_dialect {
	const char *name, *usage;
	const char *options; /* for getopt */
	bool is_alias;
};

struct table_command {
	struct command c;
	const struct table_dialect *dialect;
	struct log *words; /* what tables have to say: standard error */
	/* -b -F -h -i -j -m -o -f -p -r -s -w -n -u -U */
	bool asks_body, files, asks_header, incremental, json, mime, keep_root;
	bool keep_case, own_mode, replace, sequence, ignore_duplicates, without_nul,
	    with_nul;
	bool no_utf8, force_utf8;
	bool wants_utf8; /* keys and sources: smtputf8_enable and -u */
	const char *query, *remove;
};

/* The whole program; the exit status. `t` must outlive everything: a global. */
int table_command_main(
    struct table_command *t, const struct table_dialect *d, int argc, char **argv);
#endif
