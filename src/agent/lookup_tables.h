#ifndef AGENT_LOOKUP_TABLES_H
#define AGENT_LOOKUP_TABLES_H
#include "base/base.h"

/* The tables that a configuration names, and those that proxy_read_maps and
 * proxy_write_maps list. `lookup` serves no others, whoever asks; master starts `lookup`
 * when one of them needs it; workers open a local proxy: table themselves when it is
 * listed. */
struct arena;
struct conf_snapshot;
struct lookup_tables;

struct lookup_table {
	struct str spec;  /* "mysql:/etc/postfix/x.cf", no proxy: in front */
	bool is_remote;   /* look-ups may wait for others */
	bool is_named;    /* stands in the configuration as a table to ask */
	bool is_readable; /* proxy_read_maps lists proxy:spec */
	bool is_writable; /* proxy_write_maps does */
	bool is_proxied;  /* stands somewhere with proxy: in front */
};

enum { LOOKUP_TABLES_MAX = 4096 };

/* Looks at every value of main.cf and every override of master.cf, expanded. Parts that
 * cannot be expanded are left out: they cannot be used either.
 * Memory:  *out in `mem`; views of it, and copies.
 * Returns: RC_TEMP memory limit; RC_PERM more than LOOKUP_TABLES_MAX. */
MUST_USE enum rc lookup_tables_make(const struct conf_snapshot *s, struct arena *mem,
    const struct lookup_tables **out, struct err *e);
/* By its name without proxy:. NULL: not named. */
const struct lookup_table *lookup_tables_find(
    const struct lookup_tables *t, struct str spec);
const struct lookup_table *lookup_tables_at(const struct lookup_tables *t, size_t at);
size_t lookup_tables_count(const struct lookup_tables *t);
/* Whether some worker will ask: a remote table, or a proxy: one that it may not open. */
bool lookup_tables_are_asked(const struct lookup_tables *t);
/* Takes "proxy:" off the front, as often as it stands there. */
struct str lookup_tables_strip(struct str spec);
#endif
