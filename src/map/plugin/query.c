/* The parts of a query that do not depend on the engine. */
#include "map/plugin/query.h"
#include "conf/list.h"
#include "log/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAINS_MEM ((size_t)16 << 20)
/* A server may send values that take no room, for ever. */
#define VALUES_MAX         1000000
#define EMPTY_WARNINGS_MAX 10 /* of one answer */

struct map_query_domains {
	struct arena *mem;
	struct match_list list;
	struct map **tables; /* one for each item, NULL for words */
};

enum rc
map_query_fail(const struct map_query *q, struct err *e, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What libraries say ends with a line break. */
	for (size_t n = strlen(text); n > 0 && ascii_isspace(text[n - 1]);)
		text[--n] = '\0';
	if (q->log != NULL)
		log_warn(q->log, "%s", text);
	return err_set(e, RC_TEMP, "%s", text);
}

/* ---- domain = … ---- */

static enum rc
open_domains(struct map_query *q, const struct map_how *how, struct err *e)
{
	struct str text = map_settings_text(q->settings, "domain");
	struct map_query_domains *d;
	enum rc rc;

	if (text.n == 0)
		return RC_OK;
	d = mem_get(sizeof(*d));
	d->mem = arena_new(DOMAINS_MEM);
	q->domains = d;
	rc = match_list_parse(text, &match_files_os, d->mem, &d->list, e);
	if (rc != RC_OK)
		return err_in(e, RC_TEMP, "domain");
	d->tables = arena_array(d->mem, d->list.n + 1, sizeof(struct map *));
	if (d->tables == NULL)
		return err_set(e, RC_TEMP, "domain: memory limit");
	for (size_t i = 0; i < d->list.n && rc == RC_OK; i++) {
		const struct map_open_request req = { .spec = d->list.v[i].text,
			.env = how->env };

		if (d->list.v[i].kind == MATCH_TABLE)
			rc = map_open(&req, &d->tables[i], e);
	}
	if (rc == RC_OK)
		return RC_OK;
	/* Said once, however many tables are inside each other. */
	if (e != NULL && str_starts(str_c(e->text), STR("domain: ")))
		return RC_TEMP;
	return err_in(e, RC_TEMP, "domain");
}

static void
close_domains(struct map_query_domains *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; d->tables != NULL && i < d->list.n; i++)
		map_close(&d->tables[i]);
	arena_free(&d->mem);
	free(d);
}

static enum rc
is_listed(const struct map_query_domains *d, struct str domain, struct err *e)
{
	struct arena *mem = arena_new(MAP_RESULT_MAX);
	enum rc rc = RC_NONE;

	for (size_t i = 0; i < d->list.n; i++) {
		const struct match_item *it = &d->list.v[i];
		struct str ignored;

		if (it->kind == MATCH_TABLE)
			rc = map_find(d->tables[i], domain, 0, mem, &ignored, e);
		else
			rc = str_ieq(it->text, domain) ? RC_OK : RC_NONE;
		if (rc == RC_OK && it->is_negated)
			rc = RC_NONE;
		else if (rc == RC_NONE)
			continue;
		break;
	}
	arena_free(&mem);
	return rc == RC_OK || rc == RC_NONE ? rc : RC_TEMP;
}

enum rc
map_query_takes(const struct map_query *q, struct str key, struct err *e)
{
	size_t at;

	if (!map_utf8_is_valid(key)) {
		if (q->log != NULL) /* compat */
			log_warn(q->log,
			    "%s:%.*s: non-UTF-8 key \"%.*s\": malformed UTF-8 or invalid "
			    "codepoint",
			    q->type, STR_ARG(q->name), STR_ARG(key));
		return RC_NONE;
	}
	/* No key that Postfix makes has one, and C strings end there. */
	if (str_find(key, '\0') < key.n)
		return RC_NONE;
	if (q->domains == NULL)
		return RC_OK;
	at = str_rfind(key, '@');
	if (at == key.n || at == 0 || at + 1 == key.n)
		return RC_NONE;
	return is_listed(q->domains, str_from(key, at + 1), e);
}

/* ---- the query ---- */

static bool
has_setting(const struct map_settings *s, const char *name)
{
	for (size_t i = 0; i < s->list->n; i++)
		if (strcmp(s->list->v[i].name, name) == 0)
			return true;
	return false;
}

/* SELECT … made of the settings that older files have. */
static enum rc
make_legacy(struct map_query *q, struct err *e)
{
	const struct map_settings *s = q->settings;
	struct str function = STR("");

	if (has_setting(s, "select_function"))
		function = map_settings_text(s, "select_function");
	if (function.n > 0)
		return buf_printf(&q->legacy, "SELECT %s('%%s')", function.p);
	if (map_settings_need(s, "table", e) != RC_OK ||
	    map_settings_need(s, "select_field", e) != RC_OK ||
	    map_settings_need(s, "where_field", e) != RC_OK)
		return RC_TEMP;
	return buf_printf(&q->legacy, "SELECT %s FROM %s WHERE %s = '%%s' %s",
	    map_settings_text(s, "select_field").p, map_settings_text(s, "table").p,
	    map_settings_text(s, "where_field").p,
	    map_settings_text(s, "additional_conditions").p);
}

enum rc
map_query_template(const struct map_query *q, struct str text, bool is_result,
    struct map_template *out, struct err *e)
{
	if (map_template_parse(text, is_result, out, e) == RC_OK)
		return RC_OK;
	return err_in(e, RC_TEMP, "db_common_parse: %.*s", STR_ARG(q->name)); /* compat */
}

enum rc
map_query_open(struct map_query *q, const struct map_how *how,
    const struct map_settings *settings, const char *key, struct err *e)
{
	struct str text = map_settings_text(settings, key);
	enum rc rc = RC_OK;

	*q = (struct map_query){ .type = settings->list->type,
		.name = how->name,
		.log = how->env->log,
		.settings = settings };
	buf_init(&q->legacy, MAP_QUERY_MAX);
	if (text.n == 0 && has_setting(settings, "select_field")) {
		rc = make_legacy(q, e);
		text = buf_view(&q->legacy);
	}
	if (rc == RC_OK)
		rc = map_query_template(q, text, false, &q->query, e);
	if (rc == RC_OK && has_setting(settings, "result_format"))
		rc = map_query_template(
		    q, map_settings_text(settings, "result_format"), true, &q->format, e);
	if (rc == RC_OK && has_setting(settings, "expansion_limit"))
		q->limit = map_settings_number(settings, "expansion_limit");
	if (rc == RC_OK)
		rc = open_domains(q, how, e);
	if (rc == RC_OK)
		return RC_OK;
	map_query_close(q);
	return RC_TEMP;
}

void
map_query_close(struct map_query *q)
{
	close_domains(q->domains);
	q->domains = NULL;
	buf_fini(&q->legacy);
}

enum rc
map_query_fill(const struct map_query *q, const struct map_template *t,
    const struct map_fill *fill, struct buf *out, struct err *e)
{
	enum rc rc = map_template_fill(t, fill, out);

	if (rc == RC_TEMP)
		return map_query_fail(
		    q, e, "%s:%.*s: query is too large", q->type, STR_ARG(q->name));
	if (rc == RC_PERM)
		return map_query_fail(q, e, "%s:%.*s: key \"%.*s\" cannot be quoted",
		    q->type, STR_ARG(q->name), STR_ARG(fill->key));
	return rc;
}

enum rc
map_query_is_asked(const struct map_query *q, struct str key)
{
	const struct map_fill fill = { .key = key };
	struct buf ignored;
	enum rc rc;

	buf_init(&ignored, MAP_QUERY_MAX);
	rc = map_template_fill(&q->query, &fill, &ignored);
	buf_fini(&ignored);
	return rc == RC_NONE ? RC_NONE : RC_OK;
}

/* ---- rows ---- */

void
map_rows_init(struct map_rows *r, const struct map_query *q, struct str key)
{
	*r = (struct map_rows){ .q = q, .key = key };
	buf_init(&r->text, MAP_RESULT_MAX);
}

void
map_rows_fini(struct map_rows *r)
{
	buf_fini(&r->text);
}

void
map_rows_drop(struct map_rows *r)
{
	buf_reset(&r->text);
	r->n = 0;
}

enum rc
map_rows_add(struct map_rows *r, struct str value, struct err *e)
{
	const struct map_query *q = r->q;
	const struct map_fill fill = { .key = r->key, .value = value };
	size_t before = r->text.n;
	enum rc rc = RC_OK;

	if (++r->n_seen > VALUES_MAX)
		return map_query_fail(q, e,
		    "%s:%.*s: answer for key '%.*s' has too many values", q->type,
		    STR_ARG(q->name), STR_ARG(r->key));
	if (value.p == NULL)
		return RC_OK;
	if (value.n == 0) {
		if (q->log != NULL && r->n_empty++ < EMPTY_WARNINGS_MAX) /* compat */
			log_warn(q->log,
			    "table \"%s:%.*s\": empty lookup result for: \"%.*s\" -- "
			    "ignored",
			    q->type, STR_ARG(q->name), STR_ARG(r->key));
		return RC_OK;
	}
	if (before > 0)
		rc = buf_put(&r->text, STR(","));
	if (rc == RC_OK)
		rc = map_template_fill(&q->format, &fill, &r->text);
	if (rc == RC_NONE) {
		r->text.n = before;
		return RC_OK;
	}
	if (rc != RC_OK)
		return map_query_fail(q, e, "%s:%.*s: answer for key '%.*s' is too large",
		    q->type, STR_ARG(q->name), STR_ARG(r->key));
	if (q->limit > 0 && ++r->n > q->limit)
		return map_query_fail(q, e, /* compat */
		    "dict_%s_lookup: %.*s: Expansion limit exceeded for key%s '%.*s'",
		    q->type, STR_ARG(q->name), strcmp(q->type, "sqlite") == 0 ? "" : ":",
		    STR_ARG(r->key));
	return RC_OK;
}

enum rc
map_rows_end(struct map_rows *r, struct arena *mem, struct str *out, struct err *e)
{
	const struct map_query *q = r->q;
	struct str value;

	if (r->text.n == 0)
		return RC_NONE;
	if (!map_utf8_is_valid(buf_view(&r->text)))
		return map_query_fail(q, e, /* compat */
		    "%s:%.*s: key \"%.*s\": non-UTF-8 value \"%.*s\": malformed UTF-8 or "
		    "invalid codepoint",
		    q->type, STR_ARG(q->name), STR_ARG(r->key),
		    STR_ARG(buf_view(&r->text)));
	value = arena_str(mem, buf_view(&r->text));
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}
