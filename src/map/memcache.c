/* memcache:/file.cf — one memcached server, and perhaps a table behind it that keeps what
 * memcached forgets: that one is asked when the cache has nothing or is down, and what it
 * says is put into the cache. */
#include "log/log.h"
#include "map/client.h"
#include "map/plugin/query.h"
#include "map/reply.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAX       ((int64_t)16 << 20) /* the most that a setting may allow */
#define TIMEOUT_MAX_US (100 * US_PER_SEC)  /* and of a pause */

static const struct map_setting settings[] = {
	{ "memcache", MAP_SETTING_TEXT, "inet:localhost:11211", 0, 0,
	    "The server: inet:host:port or unix:/path." },
	{ "backup", MAP_SETTING_TEXT, NULL, 0, 0,
	    "A table, type:name, that keeps what the cache forgets. It is asked when the "
	    "cache has nothing or does not answer, and gets every change." },
	{ "flags", MAP_SETTING_NUMBER, "0", 0, 0,
	    "The number that is stored beside each entry." },
	{ "ttl", MAP_SETTING_NUMBER, "3600", 0, 0,
	    "Seconds after which the server forgets an entry; more than 30 days is a "
	    "time "
	    "since 1970." },
	{ "key_format", MAP_SETTING_TEXT, "%s", 0, 0,
	    "What each key becomes: %s the key, %u and %d its local and domain part, %1 "
	    "to "
	    "%9 labels of its domain from the right. Keys without such a part, and those "
	    "with blanks, are not looked up." },
	{ "key_digest", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Not available: a table with this setting cannot be opened." },
	MAP_SETTING_DOMAIN,
	{ "line_size_limit", MAP_SETTING_NUMBER, "1024", 1, DATA_MAX,
	    "The most bytes that a line of the server may have." },
	{ "data_size_limit", MAP_SETTING_NUMBER, "10240", 1, DATA_MAX,
	    "The most bytes that a value may have." },
	{ "max_try", MAP_SETTING_NUMBER, "2", 1, 0, "How often the server is tried." },
	{ "retry_pause", MAP_SETTING_NUMBER, "1", 1, 0,
	    "Seconds between tries, at most 100." },
	{ "timeout", MAP_SETTING_NUMBER, "2", 0, 0,
	    "Seconds for one try, at most 100; 0 means 100." },
};
static const struct map_setting_list list = { "memcache", settings, ARRAY_LEN(settings) };

struct memcache {
	struct map_settings settings;
	struct map_query q;
	struct map_client client;
	struct map *backup; /* NULL: none */
	struct map_memcache_limits limits;
	int64_t timeout_us, pause_us, tries;
	struct buf key, request;
	/* the reply, in the client's memory */
	enum rc rc;
	struct str text;
};

static void
memcache_close(void *state)
{
	struct memcache *m = state;

	map_close(&m->backup);
	map_client_fini(&m->client);
	map_query_close(&m->q);
	map_settings_fini(&m->settings);
	buf_fini(&m->key);
	buf_fini(&m->request);
	free(m);
}

/* Everything but the settings themselves. */
static enum rc
set_up(struct memcache *m, const struct map_how *how, struct err *e)
{
	const struct map_settings *s = &m->settings;
	const struct map_open_request backup = { .spec = map_settings_text(s, "backup"),
		.env = how->env,
		.flags = how->flags,
		.for_writing = how->for_writing };
	struct map_client_where where = { .how = how,
		.type = "memcache",
		.service = map_settings_text(s, "memcache") };

	if (map_settings_text(s, "key_digest").n > 0)
		return err_set(
		    e, RC_TEMP, "%.*s: key_digest is not available", STR_ARG(how->name));
	m->limits.line = (size_t)map_settings_number(s, "line_size_limit");
	m->limits.data = (size_t)map_settings_number(s, "data_size_limit");
	where.reply_max = 2 * m->limits.line + m->limits.data + 4;
	m->tries = map_settings_number(s, "max_try");
	m->pause_us = map_settings_number(s, "retry_pause") * US_PER_SEC;
	if (m->pause_us > TIMEOUT_MAX_US)
		m->pause_us = TIMEOUT_MAX_US;
	m->timeout_us = map_settings_number(s, "timeout") * US_PER_SEC;
	if (m->timeout_us == 0 || m->timeout_us > TIMEOUT_MAX_US)
		m->timeout_us = TIMEOUT_MAX_US;
	if (map_query_open(&m->q, how, s, "key_format", e) != RC_OK)
		return RC_TEMP;
	if (map_client_init(&m->client, &where, e) != RC_OK)
		return RC_TEMP;
	if (backup.spec.n == 0)
		return RC_OK;
	if (str_find(backup.spec, ':') == backup.spec.n)
		return err_set(e, RC_TEMP,
		    "open dictionary: expecting \"type:name\" form instead of \"%.*s\"",
		    STR_ARG(backup.spec)); /* compat */
	return map_open(&backup, &m->backup, e);
}

static enum rc
memcache_open(const struct map_how *how, void **out, struct err *e)
{
	struct memcache *m = mem_get(sizeof(*m));
	enum rc rc;

	m->client.fd = -1;
	buf_init(&m->key, MAP_QUERY_MAX);
	buf_init(&m->request, 2 * MAP_QUERY_MAX);
	if (map_settings_load(how, &list, &m->settings, e) != RC_OK) {
		free(m);
		return RC_TEMP;
	}
	rc = set_up(m, how, e);
	if (rc != RC_OK) {
		memcache_close(m);
		return rc;
	}
	*out = m;
	return RC_OK;
}

/* ---- the server ---- */

static enum rc
take_value(void *ctx, struct str in, size_t *out_used, struct err *e)
{
	struct memcache *m = ctx;

	(void)e;
	m->text = STR("");
	m->rc = map_reply_memcache(in, buf_view(&m->key), &m->limits, &m->text, out_used);
	return m->rc == RC_NONE ? RC_OK : m->rc;
}

static enum rc
take_line(void *ctx, struct str in, size_t *out_used, struct err *e)
{
	struct memcache *m = ctx;

	(void)e;
	m->rc = map_reply_line(in, m->limits.line, &m->text, out_used);
	if (m->rc == RC_OK)
		m->text = str_trim(m->text);
	return m->rc;
}

/* compat, but that the last try is told of, too */
static enum rc
say_fault(const struct memcache *m, enum map_client_fault fault, const struct err *why,
    struct err *e)
{
	struct str name = m->q.name;

	switch (fault) {
	case MAP_CLIENT_FORMAT:
		return map_query_fail(&m->q, e,
		    "%.*s: unexpected memcache server reply: %.*s", STR_ARG(name),
		    STR_ARG(str_head(m->text, 100)));
	case MAP_CLIENT_SIZE:
		return map_query_fail(&m->q, e,
		    "database %s: I/O error: a reply is too large", m->client.table);
	case MAP_CLIENT_CONNECT:
		return map_query_fail(&m->q, e, "%s", why->text);
	case MAP_CLIENT_DISCONNECT:
		if (m->client.in.n > 0)
			return map_query_fail(&m->q, e,
			    "%.*s: EOF receiving memcache server reply", STR_ARG(name));
		break;
	case MAP_CLIENT_TIME:
	case MAP_CLIENT_FINE:
		break;
	}
	return map_query_fail(
	    &m->q, e, "database %s: I/O error: %s", m->client.table, strerror(why->sys));
}

/* Sends m->request, as often as max_try says. RC_OK: m->rc and m->text are the reply. */
static enum rc
ask_server(struct memcache *m, map_reply_fn *reply, struct err *e)
{
	const struct map_exchange x = { .request = buf_view(&m->request),
		.timeout_us = m->timeout_us,
		.reply = reply,
		.ctx = m };
	enum map_client_fault fault;
	struct err why = { 0 };

	for (int64_t i = 1;; i++) {
		if (map_client_ask(&m->client, &x, &fault, &why) == RC_OK)
			return RC_OK;
		if (say_fault(m, fault, &why, e) != RC_OK && i >= m->tries)
			return RC_TEMP;
		(void)poll(NULL, 0, (int)(m->pause_us / US_PER_MS));
	}
}

/* m->key. RC_NONE: the table has nothing for such keys. */
static enum rc
make_key(struct memcache *m, struct str key, struct err *e)
{
	const struct map_fill fill = { .key = key };
	enum rc rc = map_query_takes(&m->q, key, e);
	struct str made;

	if (rc != RC_OK)
		return rc;
	buf_reset(&m->key);
	rc = map_query_fill(&m->q, &m->q.query, &fill, &m->key, e);
	if (rc != RC_OK)
		return rc;
	/* Blanks and line ends are the protocol's own; the domain of a table and what
	 * stands around %s may bring them, too. */
	made = buf_view(&m->key);
	for (size_t i = 0; i < made.n; i++)
		if (ascii_isspace(made.p[i]) || made.p[i] == '\0')
			return RC_NONE;
	return made.n == 0 ? RC_NONE : RC_OK;
}

/* The three commands, with m->key. */
static enum rc
cache_get(struct memcache *m, struct err *e)
{
	struct str key = buf_view(&m->key);
	enum rc rc;

	buf_reset(&m->request);
	if (buf_put(&m->request, STR("get ")) != RC_OK ||
	    buf_put(&m->request, key) != RC_OK ||
	    buf_put(&m->request, STR("\r\n")) != RC_OK)
		return err_set(e, RC_TEMP, "%s: key is too long", m->client.table);
	rc = ask_server(m, take_value, e);
	return rc == RC_OK ? m->rc : rc;
}

static enum rc
cache_set(struct memcache *m, struct str value, struct err *e)
{
	struct str key = buf_view(&m->key);
	enum rc rc;

	buf_reset(&m->request);
	if (buf_put(&m->request, STR("set ")) != RC_OK ||
	    buf_put(&m->request, key) != RC_OK ||
	    buf_printf(&m->request, " %lld %lld %zu\r\n",
		(long long)map_settings_number(&m->settings, "flags"),
		(long long)map_settings_number(&m->settings, "ttl"), value.n) != RC_OK ||
	    buf_put(&m->request, value) != RC_OK ||
	    buf_put(&m->request, STR("\r\n")) != RC_OK)
		return map_query_fail(
		    &m->q, e, "database %s: value is too large", m->client.table);
	rc = ask_server(m, take_line, e);
	if (rc != RC_OK || str_is(m->text, "STORED"))
		return rc;
	return map_query_fail(&m->q, e, "database %s: update failed: %.*s",
	    m->client.table, STR_ARG(str_head(m->text, 100)));
}

static enum rc
cache_del(struct memcache *m, struct err *e)
{
	struct str key = buf_view(&m->key);
	enum rc rc;

	buf_reset(&m->request);
	if (buf_put(&m->request, STR("delete ")) != RC_OK ||
	    buf_put(&m->request, key) != RC_OK ||
	    buf_put(&m->request, STR("\r\n")) != RC_OK)
		return err_set(e, RC_TEMP, "%s: key is too long", m->client.table);
	rc = ask_server(m, take_line, e);
	if (rc != RC_OK || str_is(m->text, "DELETED"))
		return rc;
	if (str_is(m->text, "NOT_FOUND"))
		return RC_NONE;
	return map_query_fail(&m->q, e, "database %s: delete failed: %.*s", /* compat */
	    m->client.table, STR_ARG(str_head(m->text, 100)));
}

/* ---- the table ---- */

static enum rc
memcache_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct memcache *m = state;
	struct str value;
	enum rc rc = make_key(m, key, e);

	if (rc != RC_OK)
		return rc;
	rc = cache_get(m, e);
	if (rc == RC_OK) {
		value = m->text;
		rc = map_client_value(&m->client, key, mem, &value, e);
	} else if (m->backup != NULL) {
		rc = map_find(m->backup, key, flags, mem, &value, e);
		if (rc == RC_OK && cache_set(m, value, NULL) != RC_OK)
			rc = RC_OK; /* told of; the next look-up asks the backup */
	}
	if (rc == RC_OK)
		*out = value;
	return rc;
}

/* compat: the backup comes first and decides, when there is one. */
static enum rc
memcache_put(void *state, struct str key, struct str value, struct err *e)
{
	struct memcache *m = state;
	enum rc rc = make_key(m, key, e), cached;

	if (rc != RC_OK)
		return rc == RC_NONE ? RC_OK : rc;
	if (m->backup != NULL)
		rc = map_put(m->backup, key, value, e);
	cached = cache_set(m, value, m->backup == NULL ? e : NULL);
	return m->backup != NULL ? rc : cached;
}

static enum rc
memcache_del(void *state, struct str key, struct err *e)
{
	struct memcache *m = state;
	enum rc rc = make_key(m, key, e), cached;

	if (rc != RC_OK)
		return rc;
	if (m->backup != NULL)
		rc = map_delete(m->backup, key, e);
	cached = cache_del(m, m->backup == NULL ? e : NULL);
	return m->backup != NULL ? rc : cached;
}

static enum rc
memcache_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	struct memcache *m = state;

	if (m->backup != NULL)
		return map_each(m->backup, fn, ctx, e);
	if (m->q.log != NULL) /* compat */
		log_warn(m->q.log,
		    "database %s: first/next support requires backup database",
		    m->client.table);
	return RC_OK;
}

const struct map_type map_type_memcache = {
	.name = "memcache",
	.traits = { .is_fixed = true, .is_remote = true, .is_open_to_forgery = true },
	.open = memcache_open,
	.close = memcache_close,
	.find = memcache_find,
	.each = memcache_each,
	.put = memcache_put,
	.del = memcache_del,
};
