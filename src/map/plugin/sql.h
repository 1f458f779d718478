#ifndef MAP_PLUGIN_SQL_H
#define MAP_PLUGIN_SQL_H
/* What tables in SQL servers share: one statement made of a key, asked of one of several
 * servers. The engines (mysql.c, pgsql.c) speak to a server. */
#include "map/map_int.h"
#include "map/plugin/hosts.h"

struct map_sql {
	struct map_settings settings;
	struct map_query q;
	struct map_hosts hosts;
	/* The look-up that is under way. */
	struct buf sql;
	struct str key;
	struct arena *mem;
	struct str out;
};

struct map_sql_engine {
	const struct map_setting_list *list;
	struct map_hosts_ops hosts; /* their ctx is the struct map_sql */
	/* What must be set, once the servers are known. RC_TEMP: something is missing. */
	enum rc (*check)(const struct map_sql *s, struct err *e);
};

/* open, close and find of struct map_type. Returns: RC_TEMP: a setting makes no sense. */
MUST_USE enum rc map_sql_open(const struct map_how *how,
    const struct map_sql_engine *engine, void **out, struct err *e);
void map_sql_close(void *state);
enum rc map_sql_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e);

/* Makes the statement of the key: s->sql, a NUL behind it that counts for nothing.
 * Returns, for ask of struct map_hosts_ops: RC_NONE the key lacks a part; RC_PERM. */
MUST_USE enum rc map_sql_fill(
    struct map_sql *s, map_quote_fn *quote, void *conn, struct err *e);
/* The rows of an answer that came to `rc`; ends them. RC_PERM: they cannot be the answer.
 */
MUST_USE enum rc map_sql_end(
    struct map_sql *s, struct map_rows *rows, enum rc rc, struct err *e);
#endif
