/* mysql:/file.cf — SELECT in a MySQL or MariaDB server. */
#include "log/log.h"
#include "map/plugin.h"
#include "map/plugin/sql.h"
#include "os/clock.h"
#include <mysql.h>
#include <errmsg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_SEC 10U /* of a connect, of each wait for the server, of all rows */
#define PACKET_MAX  ((size_t)16 << 20) /* from the server; the library would take 1 GB */

static const struct map_setting settings[] = {
	{ "hosts", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Servers: \"unix:/path/of/socket\", \"inet:name:port\", \"name\". Default: "
	    "localhost." },
	{ "user", MAP_SETTING_TEXT, NULL, 0, 0, "Login name." },
	{ "password", MAP_SETTING_TEXT, NULL, 0, 0, "Its password." },
	{ "dbname", MAP_SETTING_TEXT, NULL, 0, 0, "The database." },
	{ "charset", MAP_SETTING_TEXT, "utf8mb4", 0, 0,
	    "Character set of the connection, which is what keys are quoted for." },
	MAP_SETTING_QUERY,
	MAP_SETTING_RESULT_FORMAT,
	MAP_SETTING_DOMAIN,
	MAP_SETTING_EXPANSION_LIMIT,
	{ "require_result_set", MAP_SETTING_YESNO, "yes", 0, 0,
	    "Whether a query without a result set (a stored procedure, say) is an error "
	    "or \"not found\"." },
	MAP_SETTING_IDLE,
	MAP_SETTING_RETRY,
	{ "option_file", MAP_SETTING_TEXT, NULL, 0, 0,
	    "An option file of the client library to be read." },
	{ "option_group", MAP_SETTING_TEXT, "client", 0, 0, "The group in it." },
	{ "tls_cert_file", MAP_SETTING_TEXT, NULL, 0, 0, "Client certificate." },
	{ "tls_key_file", MAP_SETTING_TEXT, NULL, 0, 0, "Its private key." },
	{ "tls_CAfile", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Certificates of the authorities that are trusted." },
	{ "tls_CApath", MAP_SETTING_TEXT, NULL, 0, 0, "A folder of such." },
	{ "tls_ciphers", MAP_SETTING_TEXT, NULL, 0, 0, "Ciphers that are offered." },
	{ "tls_verify_cert", MAP_SETTING_YESNO, "no", 0, 0,
	    "Whether the server's certificate must be for its name." },
	MAP_SETTINGS_LEGACY,
};
static const struct map_setting_list list = { "mysql", settings, ARRAY_LEN(settings) };

static void
set_options(const struct map_sql *s, MYSQL *my)
{
	const struct map_settings *t = &s->settings;
	unsigned timeout = TIMEOUT_SEC, no = 0;
	size_t packet_max = PACKET_MAX;
	const char *file = map_settings_cstr(t, "option_file");
	my_bool verify = 1;

	(void)mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
	(void)mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &timeout);
	(void)mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
	(void)mysql_options(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max);
	/* Else a server may ask for any file that we can read. */
	(void)mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &no);
	(void)mysql_options(
	    my, MYSQL_SET_CHARSET_NAME, map_settings_text(t, "charset").p);
	if (file != NULL) {
		(void)mysql_options(my, MYSQL_READ_DEFAULT_FILE, file);
		(void)mysql_options(
		    my, MYSQL_READ_DEFAULT_GROUP, map_settings_cstr(t, "option_group"));
	}
	if (map_settings_cstr(t, "tls_key_file") != NULL ||
	    map_settings_cstr(t, "tls_cert_file") != NULL ||
	    map_settings_cstr(t, "tls_CAfile") != NULL ||
	    map_settings_cstr(t, "tls_CApath") != NULL ||
	    map_settings_cstr(t, "tls_ciphers") != NULL)
		(void)mysql_ssl_set(my, map_settings_cstr(t, "tls_key_file"),
		    map_settings_cstr(t, "tls_cert_file"),
		    map_settings_cstr(t, "tls_CAfile"),
		    map_settings_cstr(t, "tls_CApath"),
		    map_settings_cstr(t, "tls_ciphers"));
	if (map_settings_yesno(t, "tls_verify_cert"))
		(void)mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

static enum rc
connect_host(void *ctx, const struct map_host *h, void **out_conn, struct err *e)
{
	const struct map_sql *s = ctx;
	const struct map_settings *t = &s->settings;
	MYSQL *my = mysql_init(NULL);

	if (my == NULL)
		return err_set(e, RC_TEMP, "mysql_init: out of memory");
	set_options(s, my);
	if (mysql_real_connect(my, h->is_unix ? NULL : h->name.p,
		map_settings_cstr(t, "user"), map_settings_cstr(t, "password"),
		map_settings_cstr(t, "dbname"), h->port, h->is_unix ? h->name.p : NULL,
		0) == NULL) {
		(void)map_query_fail(&s->q, e, "connect to mysql server %s: %s",
		    h->text.p, mysql_error(my)); /* compat */
		mysql_close(my);
		return RC_TEMP;
	}
	*out_conn = my;
	return RC_OK;
}

static void
close_host(void *ctx, void *conn)
{
	(void)ctx;
	mysql_close(conn);
}

/* For the connection's character set and mode; the library knows both. */
static enum rc
quote(void *ctx, struct str raw, struct buf *out)
{
	char *room = buf_room(out, 2 * raw.n + 1);
	unsigned long n;

	if (room == NULL)
		return RC_TEMP;
	n = mysql_real_escape_string(ctx, room, raw.p, raw.n);
	if (n == (unsigned long)-1)
		return RC_PERM;
	buf_added(out, n);
	return RC_OK;
}

static bool
is_lost(MYSQL *my)
{
	unsigned code = mysql_errno(my);

	return code >= CR_MIN_ERROR && code <= CR_MAX_ERROR;
}

static enum rc
fail(const struct map_sql *s, MYSQL *my, struct err *e)
{
	bool lost = is_lost(my);

	(void)map_query_fail(&s->q, e, "mysql:%.*s: query failed: %s", STR_ARG(s->q.name),
	    mysql_error(my)); /* compat */
	return lost ? RC_MORE : RC_TEMP;
}

/* Every value of every row. The rows come one by one: what a server sends is not kept. */
static enum rc
take_rows(const struct map_sql *s, MYSQL *my, MYSQL_RES *res, struct map_rows *rows,
    struct err *e)
{
	int64_t until_us = os_clock_mono_us() + TIMEOUT_SEC * US_PER_SEC;
	enum rc rc = RC_OK;
	MYSQL_ROW row;

	while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL) {
		const unsigned long *length = mysql_fetch_lengths(res);

		for (unsigned i = 0; i < mysql_num_fields(res) && rc == RC_OK; i++) {
			const char *p = row[i];

			rc = map_rows_add(
			    rows, str_n(p, p == NULL ? 0 : strnlen(p, length[i])), e);
		}
		if (rc == RC_OK && os_clock_mono_us() >= until_us)
			rc = map_query_fail(&s->q, e,
			    "mysql:%.*s: query failed: the answer takes too long",
			    STR_ARG(s->q.name));
	}
	if (rc == RC_OK)
		return RC_OK;
	/* The library would read the rest, however much that is. */
	(void)shutdown(mysql_get_socket(my), SHUT_RDWR);
	return RC_MORE;
}

/* Result sets after the first, as stored procedures have: one is right, more are not. */
static enum rc
take_results(const struct map_sql *s, MYSQL *my, struct map_rows *rows, struct err *e)
{
	bool has_result = false;
	enum rc rc = RC_OK;
	int next = 0;

	while (next == 0 && rc == RC_OK) {
		MYSQL_RES *res = mysql_use_result(my);

		if (res != NULL && has_result)
			rc = map_query_fail(&s->q, e,
			    "mysql:%.*s: query failed: multiple result sets "
			    "returning data are not supported",
			    STR_ARG(s->q.name));
		else if (res != NULL)
			rc = take_rows(s, my, res, rows, e);
		if (res != NULL)
			mysql_free_result(res);
		if (rc == RC_MORE)
			return rc; /* the connection is no more, and that was told */
		if (mysql_errno(my) != 0)
			return fail(s, my, e);
		has_result |= res != NULL;
		next = rc == RC_OK ? mysql_next_result(my) : -1;
	}
	if (next > 0)
		return fail(s, my, e);
	if (rc == RC_OK && !has_result &&
	    map_settings_yesno(&s->settings, "require_result_set"))
		return map_query_fail(&s->q, e,
		    "mysql:%.*s: query failed: query returned no result "
		    "set(require_result_set = yes)",
		    STR_ARG(s->q.name)); /* compat */
	return rc;
}

static enum rc
ask(void *ctx, struct map_host *h, struct err *e)
{
	struct map_sql *s = ctx;
	MYSQL *my = h->conn;
	struct map_rows rows;
	enum rc rc;

	rc = map_sql_fill(s, quote, my, e);
	if (rc != RC_OK)
		return rc;
	if (mysql_real_query(my, buf_view(&s->sql).p, s->sql.n - 1) != 0)
		return fail(s, my, e);
	map_rows_init(&rows, &s->q, s->key);
	rc = take_results(s, my, &rows, e);
	rc = map_sql_end(s, &rows, rc, e);
	/* Half a result is on its way: this connection cannot be used again. */
	if (rc == RC_PERM && mysql_more_results(my))
		rc = RC_MORE;
	return rc;
}

static enum rc
check(const struct map_sql *s, struct err *e)
{
	return map_settings_need(&s->settings, "dbname", e);
}

static enum rc
mysql_table_open(const struct map_how *how, void **out, struct err *e)
{
	static const struct map_sql_engine engine = {
		.list = &list, .hosts = { connect_host, close_host, ask }, .check = check
	};

	return map_sql_open(how, &engine, out, e);
}

MAP_PLUGIN_EXPORT const struct map_type map_plugin_type = {
	.name = "mysql",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = mysql_table_open,
	.close = map_sql_close,
	.find = map_sql_find,
};
