/* pgsql:/file.cf — SELECT in a PostgreSQL server. */
#include "log/log.h"
#include "map/plugin.h"
#include "map/plugin/sql.h"
#include "os/clock.h"
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_SEC 10 /* of a connect, and of a whole answer */

static const struct map_setting settings[] = {
	{ "hosts", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Servers: \"unix:/folder/of/the/socket\", \"inet:name:port\", \"name\", or a "
	    "\"postgresql://\" URI. Default: localhost." },
	{ "user", MAP_SETTING_TEXT, NULL, 0, 0, "Login name." },
	{ "password", MAP_SETTING_TEXT, NULL, 0, 0, "Its password." },
	{ "dbname", MAP_SETTING_TEXT, NULL, 0, 0,
	    "The database. Needed unless all hosts are URIs." },
	{ "encoding", MAP_SETTING_TEXT, "UTF8", 0, 0, "Encoding of the connection." },
	MAP_SETTING_QUERY,
	MAP_SETTING_RESULT_FORMAT,
	MAP_SETTING_DOMAIN,
	MAP_SETTING_EXPANSION_LIMIT,
	MAP_SETTING_IDLE,
	MAP_SETTING_RETRY,
	{ "select_function", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Without query: the function that is called with the key." },
	MAP_SETTINGS_LEGACY,
};
static const struct map_setting_list list = { "pgsql", settings, ARRAY_LEN(settings) };

static enum rc
wait_for(PGconn *pg, short events, int64_t until_us)
{
	struct pollfd p = { .fd = PQsocket(pg), .events = events };
	int64_t left = until_us - os_clock_mono_us();

	if (left <= 0 || poll(&p, 1, (int)(left / US_PER_MS) + 1) <= 0)
		return RC_TEMP;
	return RC_OK;
}

static PGconn *
start(const struct map_sql *s, const struct map_host *h)
{
	const struct map_settings *t = &s->settings;
	char port[8] = "";
	const char *names[] = { h->is_uri ? "dbname" : "host", "port", "dbname", "user",
		"password", "client_encoding", NULL };
	const char *values[] = { h->name.p, port, map_settings_cstr(t, "dbname"),
		map_settings_cstr(t, "user"), map_settings_cstr(t, "password"),
		map_settings_cstr(t, "encoding"), NULL };

	if (h->port != 0)
		(void)snprintf(port, sizeof(port), "%u", h->port);
	if (h->is_uri)
		values[2] = NULL; /* it would be taken for the URI's place */
	return PQconnectStartParams(names, values, 1);
}

/* libpq's own connect_timeout waits at least two seconds for each address; this is one
 * limit for all of it. */
static enum rc
finish(PGconn *pg)
{
	int64_t until_us = os_clock_mono_us() + TIMEOUT_SEC * US_PER_SEC;
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
		if (wait_for(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			until_us) != RC_OK)
			return RC_MORE;
		state = PQconnectPoll(pg);
	}
	return state == PGRES_POLLING_OK ? RC_OK : RC_TEMP;
}

static enum rc
connect_host(void *ctx, const struct map_host *h, void **out_conn, struct err *e)
{
	const struct map_sql *s = ctx;
	PGconn *pg = start(s, h);
	enum rc rc;

	if (pg == NULL)
		return err_set(e, RC_TEMP, "libpq: out of memory");
	rc = PQstatus(pg) == CONNECTION_BAD ? RC_TEMP : finish(pg);
	if (rc != RC_OK) {
		(void)map_query_fail(&s->q, e, "connect to pgsql server %s: %s",
		    h->text.p, /* compat */
		    rc == RC_MORE ? "Connection timed out" : PQerrorMessage(pg));
		PQfinish(pg);
		return RC_TEMP;
	}
	(void)PQsetnonblocking(pg, 1);
	*out_conn = pg;
	return RC_OK;
}

static void
close_host(void *ctx, void *conn)
{
	(void)ctx;
	PQfinish(conn);
}

/* For the connection's encoding. A key that is broken in it cannot be quoted. */
static enum rc
quote(void *ctx, struct str raw, struct buf *out)
{
	char *room = buf_room(out, 2 * raw.n + 1);
	int error = 0;
	size_t n;

	if (room == NULL)
		return RC_TEMP;
	n = PQescapeStringConn(ctx, room, raw.p, raw.n, &error);
	if (error != 0)
		return RC_PERM;
	buf_added(out, n);
	return RC_OK;
}

/* Sends all of it and waits until a result is there. */
static enum rc
exchange(PGconn *pg, int64_t until_us)
{
	int left;

	while ((left = PQflush(pg)) > 0)
		if (wait_for(pg, POLLIN | POLLOUT, until_us) != RC_OK ||
		    PQconsumeInput(pg) == 0)
			return RC_TEMP;
	if (left < 0)
		return RC_TEMP;
	while (PQisBusy(pg) != 0)
		if (wait_for(pg, POLLIN, until_us) != RC_OK || PQconsumeInput(pg) == 0)
			return RC_TEMP;
	return RC_OK;
}

static enum rc
take_row(const PGresult *res, struct map_rows *rows, struct err *e)
{
	for (int row = 0; row < PQntuples(res); row++)
		for (int i = 0; i < PQnfields(res); i++)
			/* compat: NULL is an empty string, warned of */
			if (map_rows_add(rows, str_c(PQgetvalue(res, row, i)), e) !=
			    RC_OK)
				return RC_PERM;
	return RC_OK;
}

/* All results of the query, a row each. Of several statements the last one counts.
 * RC_MORE: the connection is of no use. */
static enum rc
take_results(const struct map_sql *s, PGconn *pg, const struct map_host *h,
    struct map_rows *rows, struct err *e)
{
	int64_t until_us = os_clock_mono_us() + TIMEOUT_SEC * US_PER_SEC;
	bool is_next = false; /* the statement before has ended */
	enum rc rc = RC_OK;

	for (;;) {
		PGresult *res;
		ExecStatusType status;

		if (exchange(pg, until_us) != RC_OK) {
			(void)map_query_fail(&s->q, e,
			    "pgsql query failed: fatal error from host %s: %s", h->text.p,
			    os_clock_mono_us() >= until_us ? "timeout"
							   : PQerrorMessage(pg));
			return RC_MORE;
		}
		res = PQgetResult(pg);
		if (res == NULL)
			return rc;
		status = PQresultStatus(res);
		if (is_next)
			map_rows_drop(rows);
		is_next = status != PGRES_SINGLE_TUPLE;
		if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) {
			if (rc == RC_OK)
				rc = take_row(res, rows, e);
		} else if (status != PGRES_COMMAND_OK) {
			(void)map_query_fail(&s->q, e, /* compat */
			    "pgsql query failed: fatal error from host %s: %s", h->text.p,
			    status == PGRES_EMPTY_QUERY ? "no statement"
							: PQresultErrorMessage(res));
			rc = RC_TEMP;
		}
		PQclear(res);
		if (PQstatus(pg) != CONNECTION_OK || rc == RC_PERM ||
		    status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
		    status == PGRES_COPY_BOTH)
			return RC_MORE; /* rows may be left: it is not read to the end */
	}
}

static enum rc
ask(void *ctx, struct map_host *h, struct err *e)
{
	struct map_sql *s = ctx;
	PGconn *pg = h->conn;
	struct map_rows rows;
	enum rc rc;

	rc = map_sql_fill(s, quote, pg, e);
	if (rc != RC_OK)
		return rc;
	if (PQsendQuery(pg, buf_view(&s->sql).p) == 0 || PQsetSingleRowMode(pg) == 0) {
		(void)map_query_fail(&s->q, e,
		    "pgsql query failed: fatal error from host %s: %s", h->text.p,
		    PQerrorMessage(pg));
		return RC_MORE;
	}
	map_rows_init(&rows, &s->q, s->key);
	return map_sql_end(s, &rows, take_results(s, pg, h, &rows, e), e);
}

/* A URI names its database. */
static enum rc
check(const struct map_sql *s, struct err *e)
{
	for (size_t i = 0; i < s->hosts.n; i++)
		if (!s->hosts.v[i].is_uri)
			return map_settings_need(&s->settings, "dbname", e);
	return RC_OK;
}

static enum rc
pgsql_table_open(const struct map_how *how, void **out, struct err *e)
{
	static const struct map_sql_engine engine = {
		.list = &list, .hosts = { connect_host, close_host, ask }, .check = check
	};

	return map_sql_open(how, &engine, out, e);
}

MAP_PLUGIN_EXPORT const struct map_type map_plugin_type = {
	.name = "pgsql",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = pgsql_table_open,
	.close = map_sql_close,
	.find = map_sql_find,
};
