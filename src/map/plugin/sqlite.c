/* sqlite:/file.cf — SELECT in a database file, opened for reading only.
 *
 * The database is opened by the first look-up and again when another file stands in its
 * place, so that one which is missing for a while is trouble and not the end. */
#include "log/log.h"
#include "map/plugin.h"
#include "map/plugin/query.h"
#include "os/clock.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS      5000 /* another process writes */
#define QUERY_MAX_US (10 * US_PER_SEC)
#define OPCODES      10000      /* of the engine, between two looks at the clock */
#define ROW_MAX      (64 << 20) /* bytes of a row, also of what is not asked for */

static const struct map_setting settings[] = {
	{ "dbpath", MAP_SETTING_TEXT, NULL, 0, 0, "The database file." },
	{ "query", MAP_SETTING_TEXT, NULL, 0, 0,
	    "The SELECT statement. %s is the key, %u and %d its local and domain part, "
	    "%1 "
	    "to %9 labels of its domain from the right; all are quoted for use inside "
	    "'single quotes'. A key without such a part is not looked up." },
	MAP_SETTING_RESULT_FORMAT,
	MAP_SETTING_DOMAIN,
	MAP_SETTING_EXPANSION_LIMIT,
	{ "table", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Without query: the table that is asked." },
	{ "select_field", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Without query: the column of the result." },
	{ "where_field", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Without query: the column that must equal the key." },
	{ "additional_conditions", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Without query: more of the WHERE clause, as in \"AND is_active = 1\"." },
};
static const struct map_setting_list list = { "sqlite", settings, ARRAY_LEN(settings) };

struct sqlite {
	struct map_settings settings;
	struct map_query q;
	struct buf sql;
	sqlite3 *db; /* NULL: not open */
	struct stat seen;
	int64_t until_us;
	bool has_double_quotes; /* around a % */
};

/* Whether a key would stand inside "…" somewhere, where quoting for '…' is none. */
static bool
is_in_double_quotes(struct str sql)
{
	char inside = '\0';

	for (size_t i = 0; i < sql.n; i++) {
		char c = sql.p[i];

		if (inside == '\0' && (c == '\'' || c == '"'))
			inside = c;
		else if (c == inside)
			inside = '\0';
		else if (c == '%' && inside == '"')
			return true;
	}
	return false;
}

static void
sqlite_close(void *state)
{
	struct sqlite *s = state;

	(void)sqlite3_close(s->db);
	map_query_close(&s->q);
	map_settings_fini(&s->settings);
	buf_fini(&s->sql);
	free(s);
}

static enum rc
sqlite_open(const struct map_how *how, void **out, struct err *e)
{
	struct sqlite *s = mem_get(sizeof(*s));

	buf_init(&s->sql, MAP_QUERY_MAX);
	if (map_settings_load(how, &list, &s->settings, e) != RC_OK) {
		free(s);
		return RC_TEMP;
	}
	if (map_settings_need(&s->settings, "dbpath", e) != RC_OK ||
	    map_query_open(&s->q, how, &s->settings, "query", e) != RC_OK) {
		map_settings_fini(&s->settings);
		free(s);
		return RC_TEMP;
	}
	s->has_double_quotes = is_in_double_quotes(s->q.query.text);
	if (s->has_double_quotes && how->env->log != NULL)
		log_warn(how->env->log,
		    "%.*s: query = %.*s: quote with 'single quotes', not with \"double "
		    "quotes\"",
		    STR_ARG(how->name), STR_ARG(s->q.query.text));
	*out = s;
	return RC_OK;
}

/* Called by the engine now and then; anything but 0 ends the query. */
static int
is_too_late(void *ctx)
{
	const struct sqlite *s = ctx;

	return os_clock_mono_us() > s->until_us;
}

/* The file that stands there now. */
static enum rc
connect_file(struct sqlite *s, struct err *e)
{
	const char *path = map_settings_cstr(&s->settings, "dbpath");
	struct stat now;

	if (stat(path, &now) != 0)
		return map_query_fail(
		    &s->q, e, "open database %s: %s", path, strerror(errno));
	if (s->db != NULL && now.st_ino == s->seen.st_ino && now.st_dev == s->seen.st_dev)
		return RC_OK;
	(void)sqlite3_close(s->db);
	s->seen = now;
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		(void)map_query_fail(
		    &s->q, e, "open database %s: %s", path, sqlite3_errmsg(s->db));
		(void)sqlite3_close(s->db);
		s->db = NULL;
		return RC_TEMP;
	}
	/* The file may be somebody else's: its schema gets no functions that do more than
	 * compute, and its rows get so much memory. */
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, ROW_MAX);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_progress_handler(s->db, OPCODES, is_too_late, s);
	return RC_OK;
}

static enum rc
quote(void *ctx, struct str raw, struct buf *out)
{
	const struct sqlite *s = ctx;
	char *text;
	enum rc rc;

	if (s->has_double_quotes && str_find(raw, '"') < raw.n)
		return RC_PERM;
	text = sqlite3_mprintf("%.*q", (int)raw.n, raw.p);
	if (text == NULL)
		return RC_TEMP;
	rc = buf_put(out, str_c(text));
	sqlite3_free(text);
	return rc;
}

static enum rc
take_rows(struct sqlite *s, sqlite3_stmt *stmt, struct map_rows *rows, struct err *e)
{
	enum rc rc = RC_OK;
	int ret;

	/* compat: only the first column counts, unlike in mysql and pgsql. */
	while (rc == RC_OK && (ret = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);
		size_t n = (size_t)sqlite3_column_bytes(stmt, 0);

		if (text != NULL)
			rc = map_rows_add(rows, str_n(text, strnlen(text, n)), e);
	}
	if (rc == RC_OK && ret != SQLITE_DONE)
		return map_query_fail(&s->q, e,
		    "dict_sqlite_lookup: %.*s: SQL step failed: %s", STR_ARG(s->q.name),
		    sqlite3_errmsg(s->db)); /* compat */
	return rc;
}

static enum rc
ask(struct sqlite *s, struct str key, struct arena *mem, struct str *out, struct err *e)
{
	struct str sql = buf_view(&s->sql);
	sqlite3_stmt *stmt = NULL;
	struct map_rows rows;
	enum rc rc;

	if (sqlite3_prepare_v2(s->db, sql.p, (int)sql.n, &stmt, NULL) != SQLITE_OK)
		return map_query_fail(&s->q, e,
		    "dict_sqlite_lookup: %.*s: SQL prepare failed: %s", /* compat */
		    STR_ARG(s->q.name), sqlite3_errmsg(s->db));
	if (stmt == NULL) /* nothing but a comment */
		return map_query_fail(&s->q, e,
		    "dict_sqlite_lookup: %.*s: SQL step failed: no statement",
		    STR_ARG(s->q.name));
	map_rows_init(&rows, &s->q, key);
	rc = take_rows(s, stmt, &rows, e);
	if (rc == RC_OK)
		rc = map_rows_end(&rows, mem, out, e);
	map_rows_fini(&rows);
	(void)sqlite3_finalize(stmt);
	return rc;
}

static enum rc
sqlite_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct sqlite *s = state;
	const struct map_fill fill = { .key = key, .quote = quote, .ctx = s };
	enum rc rc = map_query_takes(&s->q, key, e);

	(void)flags;
	if (rc != RC_OK)
		return rc;
	buf_reset(&s->sql);
	rc = map_query_fill(&s->q, &s->q.query, &fill, &s->sql, e);
	if (rc == RC_OK)
		rc = connect_file(s, e);
	if (rc != RC_OK)
		return rc;
	s->until_us = os_clock_mono_us() + QUERY_MAX_US;
	rc = ask(s, key, mem, out, e);
	if (rc == RC_TEMP) {
		/* What the engine remembers of a file that somebody overwrote is part of
		 * the trouble. */
		(void)sqlite3_close(s->db);
		s->db = NULL;
	}
	return rc;
}

MAP_PLUGIN_EXPORT const struct map_type map_plugin_type = {
	.name = "sqlite",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = sqlite_open,
	.close = sqlite_close,
	.find = sqlite_find,
};
