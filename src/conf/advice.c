/* Owns the judgement of a configuration that loads: which settings do nothing here yet,
 * which names nobody knows, and which networks are none. */
#include "conf/advice.h"
#include "base/arena.h"
#include "base/near.h"
#include "conf/expand.h"
#include "conf/list.h"
#include "conf/params.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include "log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS        " ,\t\r\n{}" /* what separates words of a value, at any depth */
#define NAME_SHOWN   80
#define VALUE_SHOWN  60
#define SEARCHED_MAX 100 /* a file of other contents shall not take minutes */

struct advise {
	const struct conf_snapshot *s;
	void (*say)(void *arg, const struct conf_advice *advice);
	void *arg;
	struct str *used; /* names that values refer to, sorted once they are all there */
	size_t n_used, cap;
	struct str *tables; /* NAME of each ldap:NAME and its like */
	size_t n_tables, tables_cap;
	unsigned n_searched; /* names for which a near one was looked for */
};

/* ---- who is referred to ---- */

static void
keep(struct str **v, size_t *n, size_t *cap, struct str s)
{
	if (*n == *cap) {
		*cap = *cap == 0 ? 64 : *cap * 2;
		*v = mem_grow(*v, *cap, sizeof(**v));
	}
	(*v)[(*n)++] = s;
}

static void
refer(void *arg, struct str name)
{
	struct advise *a = arg;

	keep(&a->used, &a->n_used, &a->cap, name);
}

/* "ldap:NAME" reads NAME_server_host and its sisters from main.cf. A path does not. */
static void
note_table(struct advise *a, struct str word)
{
	static const char *const types[] = { "ldap", "mysql", "pgsql", "sqlite",
		"memcache", "mongodb" };
	struct str type, name, inner;

	while (word.n > 0 && word.p[0] == '!')
		word = str_from(word, 1);
	if (!str_cut(word, ':', &type, &name))
		return;
	if (str_is(type, "proxy") && str_cut(name, ':', &type, &inner))
		name = inner;
	if (name.n == 0 || name.p[0] == '/' || name.p[0] == '.')
		return;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_is(type, types[i]))
			keep(&a->tables, &a->n_tables, &a->tables_cap, name);
}

static void
note_value(struct advise *a, struct str name, struct str value)
{
	bool are_classes = str_is(name, "smtpd_restriction_classes");
	struct str rest = value, word;

	expand_names(value, refer, a);
	while (str_token(&rest, WORDS, &word)) {
		note_table(a, word);
		if (are_classes)
			refer(a, word);
	}
}

static int
by_name(const void *x, const void *y)
{
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void
note_all(struct advise *a)
{
	const struct conf_snapshot *s = a->s;

	for (size_t i = 0; i < s->main.n; i++)
		note_value(a, s->main.v[i].name, s->main.v[i].value);
	for (size_t i = 0; i < s->master.n; i++) {
		const struct master_service *v = &s->master.v[i];

		for (size_t k = 0; k < v->n_overrides; k++)
			note_value(a, v->overrides[k].name, v->overrides[k].value);
		for (size_t k = 0; k < v->n_args; k++)
			expand_names(v->args[k], refer, a);
	}
	if (a->n_used > 0)
		qsort(a->used, a->n_used, sizeof(*a->used), by_name);
}

static bool
is_used(const struct advise *a, struct str name)
{
	if (a->n_used > 0 &&
	    bsearch(&name, a->used, a->n_used, sizeof(name), by_name) != NULL)
		return true;
	for (size_t i = 0; i < a->n_tables; i++)
		if (name.n > a->tables[i].n && str_starts(name, a->tables[i]) &&
		    name.p[a->tables[i].n] == '_')
			return true;
	return false;
}

static struct str
nearest(struct str name)
{
	struct near n = near_to(name);

	for (size_t i = 0; i < conf_n_params; i++)
		if (!conf_params[i].is_hidden)
			near_try(&n, conf_params[i].name);
	return n.best;
}

/* ---- one setting ---- */

/* Whether two texts mean the same value of that type. */
static bool
same_value(const struct conf_param *p, struct str a, struct str b)
{
	int64_t x, y;
	bool is_x, is_y;
	struct err e;

	switch (p->type) {
	case CONF_BOOL:
		return conf_value_bool(p->name, a, &is_x, &e) == RC_OK &&
		       conf_value_bool(p->name, b, &is_y, &e) == RC_OK && is_x == is_y;
	case CONF_INT:
	case CONF_SIZE:
		return conf_value_int(p, p->name, a, &x, &e) == RC_OK &&
		       conf_value_int(p, p->name, b, &y, &e) == RC_OK && x == y;
	case CONF_TIME:
		return conf_value_time(p, p->name, a, &x, &e) == RC_OK &&
		       conf_value_time(p, p->name, b, &y, &e) == RC_OK && x == y;
	case CONF_STRING:
	case CONF_LIST:
	case CONF_MAPS:
	case CONF_RESTRICTIONS:
	case CONF_RAW:
		break;
	}
	while (true) { /* words, however they are separated */
		struct str v, w;
		bool has_v = str_token(&a, CONF_LIST_SEPARATORS, &v);
		bool has_w = str_token(&b, CONF_LIST_SEPARATORS, &w);

		if (!has_v || !has_w)
			return has_v == has_w;
		if (!str_eq(v, w))
			return false;
	}
}

/* Whether the value switches off what is not there anyway. */
static bool
is_off(const struct conf_param *p, struct str value)
{
	struct str rest = p->off, word;

	while (str_token(&rest, " ", &word)) {
		if (str_is(word, "\"\""))
			word = STR("");
		if (str_ieq(word, value) || same_value(p, value, word))
			return true;
	}
	return false;
}

/* Whether the setting changes nothing: it says what would be so without it, or asks for
 * nothing. */
static bool
is_idle(const struct advise *a, const struct master_service *service,
    const struct conf_param *p, struct str value)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct str set, def;
	struct err e;
	bool is_same = str_eq(value, p->def);

	/* What cannot be expanded is a mistake, and conf_check() says so. */
	if (!is_same && p->type != CONF_RAW &&
	    conf_expand(a->s, service, value, mem, &set, &e) == RC_OK &&
	    conf_expand(a->s, service, p->def, mem, &def, &e) == RC_OK)
		is_same = same_value(p, set, def) || is_off(p, set);
	arena_free(&mem);
	return is_same;
}

static bool
is_network(struct str item)
{
	return item.n > 0 && (ascii_isdigit(item.p[0]) || item.p[0] == '[') &&
	       str_find(item, '/') < item.n;
}

static bool
has_bad_network(const struct advise *a, const struct master_service *service,
    const struct conf_param *p, struct str value, struct err *why)
{
	struct arena *mem;
	struct str text, item;
	struct addr_net net;
	bool is_bad = false;

	if (p->type != CONF_LIST || p->status != CONF_WORKS)
		return false;
	mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	if (conf_expand(a->s, service, value, mem, &text, NULL) == RC_OK)
		while (!is_bad && conf_list_next(&text, &item) == RC_OK) {
			while (str_starts(item, STR("!")))
				item = str_from(item, 1);
			is_bad =
			    is_network(item) && addr_net_parse(item, &net, why) != RC_OK;
		}
	arena_free(&mem);
	return is_bad;
}

/* `at` has everything but kind and hint. */
static void
judge(struct advise *a, const struct master_service *service, struct conf_advice *at)
{
	const struct conf_param *p = conf_param_find(at->name);
	struct str transport;
	struct err why = { .text = "" };

	if (p == NULL)
		p = conf_template_in(&a->s->master, at->name, &transport);
	if (p == NULL) {
		if (is_used(a, at->name))
			return;
		at->kind = CONF_ADVICE_UNKNOWN;
		if (a->n_searched++ < SEARCHED_MAX)
			at->hint = nearest(at->name);
		if (at->hint.n == 0 && conf_template_find(at->name, &transport) != NULL) {
			at->kind = CONF_ADVICE_NO_TRANSPORT;
			at->hint = transport;
		}
	} else if (p->status == CONF_NOT_YET && !is_idle(a, service, p, at->value)) {
		at->kind = CONF_ADVICE_NOT_YET;
		at->hint = p->why;
	} else if (has_bad_network(a, service, p, at->value, &why)) {
		at->kind = CONF_ADVICE_BAD_NETWORK;
		at->hint = str_c(why.text);
	} else {
		return;
	}
	a->say(a->arg, at);
}

static int
by_line(const void *x, const void *y)
{
	const struct conf_entry *const *a = x, *const *b = y;

	return ((*a)->line > (*b)->line) - ((*a)->line < (*b)->line);
}

static void
judge_main(struct advise *a)
{
	const struct main_cf *m = &a->s->main;
	const struct conf_entry **v = mem_array(m->n + 1, sizeof(*v));

	for (size_t i = 0; i < m->n; i++)
		v[i] = &m->v[i];
	if (m->n > 0)
		qsort(v, m->n, sizeof(*v), by_line);
	for (size_t i = 0; i < m->n; i++) {
		struct conf_advice at = { .path = a->s->main_path,
			.line = v[i]->line,
			.name = v[i]->name,
			.value = v[i]->value };

		judge(a, NULL, &at);
	}
	free(v);
}

static void
judge_service(struct advise *a, const struct master_service *s)
{
	char service[200];

	(void)snprintf(service, sizeof(service), "%.*s/%s",
	    STR_ARG(str_head(s->name, 180)), master_type_name(s->type));
	for (size_t i = 0; i < s->n_overrides; i++) {
		struct conf_advice at = { .path = a->s->master_path,
			.line = s->line,
			.service = str_c(service),
			.name = s->overrides[i].name,
			.value = s->overrides[i].value };

		/* Of several for one name the last counts. */
		if (master_override_find(s, at.name) == &s->overrides[i].value)
			judge(a, s, &at);
	}
}

void
conf_advise(const struct conf_snapshot *s,
    void (*say)(void *arg, const struct conf_advice *advice), void *arg)
{
	struct advise a = { .s = s, .say = say, .arg = arg };

	note_all(&a);
	judge_main(&a);
	for (size_t i = 0; i < s->master.n; i++)
		judge_service(&a, &s->master.v[i]);
	free(a.used);
	free(a.tables);
}

/* ---- in words ---- */

static void
words_of(const struct conf_advice *at, char *out, size_t n)
{
	switch (at->kind) {
	case CONF_ADVICE_NOT_YET:
		(void)snprintf(out, n, "not built yet%s%.*s", at->hint.n > 0 ? ": " : "",
		    STR_ARG(at->hint));
		break;
	case CONF_ADVICE_UNKNOWN:
		if (at->hint.n > 0)
			(void)snprintf(out, n, "unknown parameter; did you mean %.*s?",
			    STR_ARG(at->hint));
		else
			(void)snprintf(out, n, "unknown parameter");
		break;
	case CONF_ADVICE_NO_TRANSPORT:
		(void)snprintf(out, n, "there is no service %.*s/unix in master.cf",
		    STR_ARG(str_head(at->hint, NAME_SHOWN)));
		break;
	case CONF_ADVICE_BAD_NETWORK:
		(void)snprintf(out, n, "%.*s", STR_ARG(at->hint));
		break;
	}
}

void
conf_advice_format(const struct conf_advice *at, char out[static CONF_ADVICE_TEXT_MAX])
{
	bool is_cut = at->value.n > VALUE_SHOWN;
	char words[160];

	words_of(at, words, sizeof(words));
	(void)snprintf(out, CONF_ADVICE_TEXT_MAX,
	    at->service.n > 0 ? "%.*s: line %u: %.*s: -o %.*s=%.*s%s: %s"
			      : "%.*s: line %u: %.*s%.*s = %.*s%s: %s",
	    STR_ARG(str_head(at->path, 100)), at->line,
	    STR_ARG(str_head(at->service, NAME_SHOWN)),
	    STR_ARG(str_head(at->name, NAME_SHOWN)),
	    STR_ARG(str_head(at->value, VALUE_SHOWN)), is_cut ? "..." : "", words);
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

/* ---- to a log ---- */

enum { TWICE_SHOWN = 200 }; /* bytes of a value */

static void
warn_advice(void *arg, const struct conf_advice *advice)
{
	struct log *log = arg;
	char text[CONF_ADVICE_TEXT_MAX];

	conf_advice_format(advice, text);
	log_warn(log, "%s", text);
}

void
conf_warn(const struct conf_snapshot *s, struct log *log)
{
	for (size_t i = 0; i < s->main.n_duplicates; i++) {
		const struct conf_entry *d = &s->main.duplicates[i];

		log_warn(log, "%.*s, line %u: overriding earlier entry: %.*s=%.*s",
		    STR_ARG(s->main_path), d->by_line, STR_ARG(d->name),
		    STR_ARG(str_head(d->value, TWICE_SHOWN))); /* compat */
	}
	for (size_t i = 0; i < s->master.n_duplicates; i++) {
		const struct master_service *d = &s->master.duplicates[i];

		log_warn(log,
		    "%.*s: line %u: duplicate master.cf entry for service "
		    "\"%.*s\" (%s) -- using the last entry",
		    STR_ARG(s->master_path), d->line, STR_ARG(d->name),
		    master_type_name(d->type)); /* compat */
	}
	conf_advise(s, warn_advice, log);
}
