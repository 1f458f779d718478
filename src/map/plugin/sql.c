/* What the tables of all SQL servers do alike. */
#include "map/plugin/sql.h"
#include <stdlib.h>

void
map_sql_close(void *state)
{
	struct map_sql *s = state;

	map_hosts_fini(&s->hosts);
	map_query_close(&s->q);
	map_settings_fini(&s->settings);
	buf_fini(&s->sql);
	free(s);
}

enum rc
map_sql_open(const struct map_how *how, const struct map_sql_engine *engine, void **out,
    struct err *e)
{
	struct map_sql *s = mem_get(sizeof(*s));

	buf_init(&s->sql, MAP_QUERY_MAX);
	s->hosts.ops = &engine->hosts;
	s->hosts.ctx = s;
	if (map_settings_load(how, engine->list, &s->settings, e) == RC_OK &&
	    map_query_open(&s->q, how, &s->settings, "query", e) == RC_OK &&
	    map_hosts_init(&s->hosts, map_settings_text(&s->settings, "hosts"),
		"localhost", e) == RC_OK &&
	    engine->check(s, e) == RC_OK) {
		map_hosts_times(&s->hosts, &s->settings);
		*out = s;
		return RC_OK;
	}
	map_sql_close(s);
	return RC_TEMP;
}

enum rc
map_sql_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct map_sql *s = state;
	enum rc rc = map_query_takes(&s->q, key, e);

	(void)flags;
	if (rc == RC_OK)
		rc = map_query_is_asked(&s->q, key);
	if (rc != RC_OK)
		return rc;
	s->key = key;
	s->mem = mem;
	rc = map_hosts_ask(&s->hosts, e);
	if (rc == RC_OK)
		*out = s->out;
	return rc;
}

enum rc
map_sql_fill(struct map_sql *s, map_quote_fn *quote, void *conn, struct err *e)
{
	const struct map_fill fill = { .key = s->key, .quote = quote, .ctx = conn };
	enum rc rc;

	buf_reset(&s->sql);
	rc = map_query_fill(&s->q, &s->q.query, &fill, &s->sql, e);
	if (rc != RC_OK)
		return rc == RC_NONE ? RC_NONE : RC_PERM;
	if (buf_put(&s->sql, str_n("", 1)) != RC_OK)
		return err_set(e, RC_PERM, "query is too large");
	return RC_OK;
}

enum rc
map_sql_end(struct map_sql *s, struct map_rows *rows, enum rc rc, struct err *e)
{
	if (rc == RC_OK && (rc = map_rows_end(rows, s->mem, &s->out, e)) == RC_TEMP)
		rc = RC_PERM;
	map_rows_fini(rows);
	return rc;
}
