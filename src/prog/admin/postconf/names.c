/* Owns which names there are: the table's, one set per delivery service, and those that
 * somebody's main.cf defines and something refers to. */
#include "base/arena.h"
#include "conf/expand.h"
#include "conf/list.h"
#include "conf/params.h"
#include "prog/admin/postconf/entry.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>

struct walk {
	const struct conf_snapshot *s;
	struct names *names;
	const struct master_service *service; /* whose overrides are looked at, or NULL */
	bool *is_used;                        /* of the service's overrides */
	struct str *undefined;                /* warned about already */
	size_t n_undefined;
	bool has_changed, with_warnings;
};

/* What the tables of old-style names ("ldap:name" reads name_server_host) know. */
#define SQL                                                                              \
	"additional_conditions dbname domain expansion_limit hosts idle_interval "       \
	"password query result_format retry_interval select_field table user "           \
	"where_field "
static const struct {
	const char *type, *suffixes;
} databases[] = {
	{ "ldap", "bind bind_dn bind_pw cache cache_expiry cache_size chase_referrals "
		  "debuglevel dereference domain expansion_limit leaf_result_attribute "
		  "query_filter recursion_limit result_attribute result_filter "
		  "result_format sasl_authz_id sasl_mechs sasl_minssf sasl_realm scope "
		  "search_base server_host server_port size_limit "
		  "special_result_attribute start_tls terminal_result_attribute timeout "
		  "tls_ca_cert_dir tls_ca_cert_file tls_cert tls_cipher_suite tls_key "
		  "tls_random_file tls_require_cert version" },
	{ "mysql", SQL "charset option_file option_group require_result_set tls_CAfile "
		       "tls_CApath tls_cert_file tls_ciphers tls_key_file "
		       "tls_verify_cert" },
	{ "pgsql", SQL "encoding select_function" },
	{ "sqlite", "additional_conditions dbpath domain expansion_limit query "
		    "result_format select_field table where_field" },
	{ "memcache", "backup data_size_limit domain flags key_digest key_format "
		      "line_size_limit max_try memcache retry_pause timeout ttl" },
	{ "mongodb", "collection dbname domain expansion_limit projection query_filter "
		     "result_attribute result_format search_timeout uri" },
};

/* NULL: no database. */
static const char *
suffixes_of(struct str type)
{
	for (size_t i = 0; i < ARRAY_LEN(databases); i++)
		if (str_is(type, databases[i].type))
			return databases[i].suffixes;
	return NULL;
}

static bool
is_word_of(struct str word, const char *words)
{
	struct str rest = str_c(words), one;

	while (str_token(&rest, " ", &one))
		if (str_eq(one, word))
			return true;
	return false;
}

static void
add(struct names *names, struct str name, const struct conf_param *param, unsigned class)
{
	if (names->n == names->cap) {
		names->cap = names->cap == 0 ? 1024 : names->cap * 2;
		names->v = mem_grow(names->v, names->cap, sizeof(*names->v));
	}
	names->v[names->n++] = (struct name){ name, param, class };
}

static int
by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

const struct name *
names_find(const struct names *names, struct str name)
{
	struct name key = { .name = name };

	if (names->n == 0)
		return NULL;
	return bsearch(&key, names->v, names->n, sizeof(key), by_name);
}

static void
sort_names(struct names *names)
{
	size_t kept = 0;

	qsort(names->v, names->n, sizeof(*names->v), by_name);
	for (size_t i = 0; i < names->n; i++)
		if (kept == 0 || !str_eq(names->v[kept - 1].name, names->v[i].name))
			names->v[kept++] = names->v[i];
	names->n = kept;
}

static void
add_known(const struct entries *services, struct names *names)
{
	for (size_t i = 0; i < conf_n_params; i++)
		/* compat: old names count as somebody's own. */
		add(names, conf_params[i].name, &conf_params[i],
		    conf_params[i].is_hidden ? CLASS_USER : CLASS_BUILTIN);
	for (size_t i = 0; i < services->n; i++) {
		const struct master_service *v = &services->v[i].service;

		for (size_t k = 0; k < conf_n_templates; k++) {
			struct str name;

			if (!conf_template_applies(&conf_templates[k], v))
				continue;
			name = arena_printf(names->mem, "%.*s%.*s", STR_ARG(v->name),
			    STR_ARG(conf_templates[k].name));
			if (name.p != NULL && conf_param_find(name) == NULL)
				add(names, name, &conf_templates[k], CLASS_SERVICE);
		}
	}
	sort_names(names);
}

/* ---- who refers to whom ---- */

static void
mark(struct walk *w, struct str name)
{
	const struct conf_entry *entry;
	const struct master_service *v = w->service;

	for (size_t i = 0; v != NULL && i < v->n_overrides; i++)
		if (str_eq(v->overrides[i].name, name)) {
			w->has_changed |= !w->is_used[i];
			w->is_used[i] = true;
			return;
		}
	for (size_t i = 0; i < w->s->n_extra; i++)
		if (str_eq(w->s->extra[i].name, name))
			w->names->is_extra_used[i] = true;
	entry = main_cf_find(&w->s->main, name);
	if (entry == NULL)
		return;
	w->has_changed |= !w->names->is_used[entry - w->s->main.v];
	w->names->is_used[entry - w->s->main.v] = true;
}

static bool
is_overridden(const struct conf_snapshot *s, struct str name)
{
	for (size_t i = 0; i < s->n_extra; i++)
		if (str_eq(s->extra[i].name, name))
			return true;
	return false;
}

static bool
is_defined(const struct walk *w, struct str name)
{
	if (names_find(w->names, name) != NULL || main_cf_find(&w->s->main, name) != NULL)
		return true;
	if (is_overridden(w->s, name))
		return true;
	return w->service != NULL && master_override_find(w->service, name) != NULL;
}

static void
refer(void *arg, struct str name)
{
	struct walk *w = arg;

	mark(w, name);
	if (!w->with_warnings || is_defined(w, name))
		return;
	for (size_t i = 0; i < w->n_undefined; i++)
		if (str_eq(w->undefined[i], name))
			return;
	w->undefined = mem_grow(w->undefined, w->n_undefined + 1, sizeof(*w->undefined));
	w->undefined[w->n_undefined++] = name;
	warn("%.*s: undefined parameter: %.*s",
	    STR_ARG(w->service != NULL ? w->s->master_path : w->s->main_path),
	    STR_ARG(name)); /* compat */
}

/* "ldap:foo" reads foo_server_host and its sisters from main.cf. */
static void
mark_database(struct walk *w, struct str item)
{
	struct str type, name, inner;
	const char *suffixes;

	while (item.n > 0 && item.p[0] == '!')
		item = str_from(item, 1);
	if (!str_cut(item, ':', &type, &name))
		return;
	if (str_is(type, "proxy") && str_cut(name, ':', &type, &inner))
		name = inner;
	suffixes = suffixes_of(type);
	if (suffixes == NULL || name.n == 0 || name.p[0] == '/' || name.p[0] == '.')
		return;
	for (size_t i = 0; i < w->s->main.n; i++) {
		struct str n = w->s->main.v[i].name;

		if (n.n > name.n && str_starts(n, name) && n.p[name.n] == '_' &&
		    is_word_of(str_from(n, name.n + 1), suffixes))
			mark(w, n);
	}
}

/* Every name has this value; of either kind there is a branch to look into. */
static enum rc
get_constant(void *arg, struct str name, struct str *out, struct err *e)
{
	(void)name;
	(void)e;
	*out = *(struct str *)arg;
	return RC_OK;
}

/* compat: what cannot be parsed ends the program, whatever was asked for, when the name
 * is one that somebody reads. Branches that are not taken now are looked at, too. */
static bool
check_syntax(struct walk *w, struct str value, bool is_known)
{
	/* A number, because it is compared with some. */
	struct str values[] = { STR_INIT("1"), STR_INIT("") }, text;
	struct arena *mem;
	struct err e;
	enum rc rc = RC_OK;

	if (!w->with_warnings || str_find(value, '$') == value.n)
		return true;
	mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	if (is_known)
		rc = conf_expand(w->s, w->service, value, mem, &text, &e);
	for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(values); i++) {
		struct expand_source from = { get_constant, &values[i] };

		rc = expand_text(&from, value, CONF_VALUE_MAX, mem, &text, &e);
		if (rc != RC_OK && strstr(e.text, "compatibility level") != NULL)
			rc = RC_OK;
	}
	arena_free(&mem);
	if (rc == RC_OK)
		return true;
	warn("%s", e.text);
	if (is_known)
		fatal("macro processing error"); /* compat */
	return false;
}

static void
look_at(struct walk *w, struct str name, struct str value)
{
	const struct name *known = names_find(w->names, name);
	struct str item, rest = value;
	enum rc rc;

	if (known != NULL && known->param != NULL && known->param->type == CONF_RAW)
		return;
	if (!check_syntax(w, value, known != NULL)) {
		/* compat: what stands before the error counts. */
		expand_names(str_head(value, str_rfind(value, '$')), refer, w);
		return;
	}
	expand_names(value, refer, w);
	while ((rc = conf_list_next(&rest, &item)) == RC_OK) {
		mark_database(w, item);
		if (str_is(name, "smtpd_restriction_classes"))
			refer(w, item);
	}
	if (rc == RC_PERM && w->with_warnings)
		warn("%s: missing '}' in \"%.*s\"",
		    w->service != NULL ? "master.cf" : "main.cf",
		    STR_ARG(rest)); /* compat */
}

static void
look_at_service(struct walk *w, const struct master_service *v)
{
	bool *is_used = mem_array(v->n_overrides + 1, sizeof(*is_used));

	w->service = v;
	w->is_used = is_used;
	do {
		w->has_changed = false;
		for (size_t i = 0; i < v->n_overrides; i++)
			if (is_used[i] ||
			    names_find(w->names, v->overrides[i].name) != NULL)
				look_at(w, v->overrides[i].name, v->overrides[i].value);
	} while (w->has_changed);
	w->service = NULL;
	free(is_used);
}

static void
look_at_main(struct walk *w)
{
	for (size_t i = 0; i < w->s->main.n; i++) {
		const struct conf_entry *entry = &w->s->main.v[i];

		/* compat: also what nobody reads refers to others. */
		if (!is_overridden(w->s, entry->name))
			look_at(w, entry->name, entry->value);
	}
}

void
names_collect(const struct conf_snapshot *s, const struct entries *services,
    bool with_warnings, struct names *out)
{
	struct walk w = { .s = s, .names = out, .with_warnings = with_warnings };

	*out = (struct names){ .mem = arena_new((size_t)64 << 20) };
	add_known(services, out);
	out->is_used = mem_array(s->main.n + 1, sizeof(*out->is_used));
	out->is_extra_used = mem_array(s->n_extra + 1, sizeof(*out->is_extra_used));
	for (size_t i = 0; i < services->n; i++)
		look_at_service(&w, &services->v[i].service);
	for (size_t i = 0; i < s->n_extra; i++)
		look_at(&w, s->extra[i].name, s->extra[i].value);
	look_at_main(&w);
	for (size_t i = 0; i < s->main.n; i++)
		if (out->is_used[i] && names_find(out, s->main.v[i].name) == NULL)
			add(out, s->main.v[i].name, NULL, CLASS_USER);
	for (size_t i = 0; i < s->n_extra; i++)
		if (out->is_extra_used[i] && names_find(out, s->extra[i].name) == NULL)
			add(out, s->extra[i].name, NULL, CLASS_USER);
	sort_names(out);
	free(w.undefined);
}

static void
warn_service(const struct conf_snapshot *s, const struct names *names,
    const struct master_service *v)
{
	struct names copy = *names;
	struct walk w = { .s = s, .names = &copy, .service = v };

	w.is_used = mem_array(v->n_overrides + 1, sizeof(*w.is_used));
	copy.is_used = mem_array(s->main.n + 1, sizeof(*copy.is_used));
	copy.is_extra_used = mem_array(s->n_extra + 1, sizeof(*copy.is_extra_used));
	for (size_t i = 0; i < v->n_overrides; i++)
		look_at(&w, v->overrides[i].name, v->overrides[i].value);
	for (size_t i = 0; i < v->n_overrides; i++)
		if (!w.is_used[i] && names_find(names, v->overrides[i].name) == NULL)
			warn("%.*s: unused parameter: %.*s=%.*s", STR_ARG(s->master_path),
			    STR_ARG(v->overrides[i].name),
			    STR_ARG(v->overrides[i].value)); /* compat */
	free(w.is_used);
	free(copy.is_used);
	free(copy.is_extra_used);
}

void
names_warn_unused_main(const struct conf_snapshot *s, const struct names *names)
{
	for (size_t i = 0; i < s->main.n; i++)
		if (names_find(names, s->main.v[i].name) == NULL)
			warn("%.*s: unused parameter: %.*s=%.*s", STR_ARG(s->main_path),
			    STR_ARG(s->main.v[i].name),
			    STR_ARG(s->main.v[i].value)); /* compat */
	for (size_t i = 0; i < s->n_extra; i++)
		if (names_find(names, s->extra[i].name) == NULL &&
		    main_cf_find(&s->main, s->extra[i].name) == NULL)
			warn("%.*s: unused parameter: %.*s=%.*s", STR_ARG(s->main_path),
			    STR_ARG(s->extra[i].name),
			    STR_ARG(s->extra[i].value)); /* compat */
}

void
names_warn_unused_master(const struct conf_snapshot *s, const struct entries *services,
    const struct names *names)
{
	for (size_t i = 0; i < services->n; i++)
		warn_service(s, names, &services->v[i].service);
}

void
names_free(struct names *names)
{
	free(names->v);
	free(names->is_used);
	free(names->is_extra_used);
	arena_free(&names->mem);
	*names = (struct names){ 0 };
}
