/* ldap:/file.cf — attributes of entries in LDAP directories. Settings and the look-up. */
#include "conf/list.h"
#include "log/log.h"
#include "map/plugin.h"
#include "map/plugin/ldap_expand.h"
#include "map/plugin/ldap_text.h"
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF_MEM      ((size_t)2 << 20)
#define FIND_MEM      ((size_t)16 << 20) /* all that one look-up reads */
#define TIMEOUT_MAX   3600
#define RECURSION_MAX 1000

static const struct map_setting settings[] = {
	{ "server_host", MAP_SETTING_TEXT, "localhost", 0, 0,
	    "Servers, asked in this order until one answers: LDAP URLs "
	    "(ldap://host:port, "
	    "ldaps://host, ldapi://%2Fpath%2Fof%2Fsocket), or host and host:port." },
	{ "server_port", MAP_SETTING_NUMBER, "389", 1, 65535,
	    "The port of hosts in server_host that are no URLs and name none." },
	{ "timeout", MAP_SETTING_NUMBER, "10", 1, 0,
	    "Seconds for connecting to a server, and for each search." },
	{ "search_base", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Where searches begin, a name quoted as RFC 4514 says. %s, %u and so on are "
	    "replaced as in query_filter; then a base that is not there means that the "
	    "key is not found. Without any of them such a base is a temporary error." },
	{ "query_filter", MAP_SETTING_TEXT, "(mailacceptinggeneralid=%s)", 0, 0,
	    "The filter, as in RFC 4515. %s is the key, %u and %d its local and domain "
	    "part, %1 to %9 labels of its domain from the right; all are quoted. A key "
	    "without such a part is not looked up." },
	{ "result_attribute", MAP_SETTING_TEXT, "maildrop", 0, 0,
	    "Attributes whose values are the answer." },
	{ "leaf_result_attribute", MAP_SETTING_TEXT, NULL, 0, 0,
	    "More of them, but only of entries without special result attributes: of the "
	    "members of a group, not of the group. Make result_attribute empty then." },
	{ "special_result_attribute", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Attributes whose values are names of entries (DN) or LDAP URLs; the answer "
	    "has what is found there. Only the base, scope, filter and attributes of a "
	    "URL count: the servers are those of the table." },
	{ "terminal_result_attribute", MAP_SETTING_TEXT, NULL, 0, 0,
	    "When an entry has one of these, it and the others of them are all that "
	    "counts of the entry." },
	MAP_SETTING_RESULT_FORMAT,
	{ "result_filter", MAP_SETTING_TEXT, NULL, 0, 0,
	    "The old name of result_format; counts when that is not set." },
	MAP_SETTING_DOMAIN,
	{ "scope", MAP_SETTING_TEXT, "sub", 0, 0,
	    "How far a search goes: sub (everything below the base), one (what is right "
	    "below it) or base (itself)." },
	{ "recursion_limit", MAP_SETTING_NUMBER, "1000", 1, 0,
	    "How deep special result attributes may lead, 1000 at most. More is a "
	    "temporary error." },
	MAP_SETTING_EXPANSION_LIMIT,
	{ "size_limit", MAP_SETTING_NUMBER, "0", 0, INT32_MAX,
	    "The most entries that one search may find, 0: no limit. More is a temporary "
	    "error. Unless it is set, it is that of expansion_limit." },
	{ "dereference", MAP_SETTING_NUMBER, "0", 0, 0,
	    "When aliases in the directory are followed: 0 never, 1 when searching, 2 "
	    "when finding the base, 3 always." },
	{ "chase_referrals", MAP_SETTING_YESNO, "no", 0, 0,
	    "Whether referrals to other servers are followed (version 3 only)." },
	{ "bind", MAP_SETTING_TEXT, "yes", 0, 0,
	    "Whether to log in: yes or simple, no or none. sasl is refused: not built." },
	{ "bind_dn", MAP_SETTING_TEXT, NULL, 0, 0,
	    "The name to log in with; empty: anonymously." },
	{ "bind_pw", MAP_SETTING_TEXT, NULL, 0, 0, "Its password." },
	{ "version", MAP_SETTING_NUMBER, "3", 2, 0, "The protocol version, 2 or 3." },
	{ "start_tls", MAP_SETTING_YESNO, "no", 0, 0,
	    "Whether ldap: connections turn to TLS. Needs version 3." },
	{ "tls_ca_cert_dir", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Folder of certificates of authorities that the server's may come from." },
	{ "tls_ca_cert_file", MAP_SETTING_TEXT, NULL, 0, 0, "A file of them." },
	{ "tls_cert", MAP_SETTING_TEXT, NULL, 0, 0, "File of our own certificate." },
	{ "tls_key", MAP_SETTING_TEXT, NULL, 0, 0, "File of its private key." },
	{ "tls_require_cert", MAP_SETTING_YESNO, "no", 0, 0,
	    "Whether the server's certificate must be good. Set it: otherwise anybody on "
	    "the way can answer." },
	{ "tls_random_file", MAP_SETTING_TEXT, NULL, 0, 0,
	    "For TLS libraries that need a source of random numbers." },
	{ "tls_cipher_suite", MAP_SETTING_TEXT, NULL, 0, 0,
	    "Ciphers, in the TLS library's notation." },
	{ "debuglevel", MAP_SETTING_IGNORED, NULL, 0, 0, "Has no effect." },
	{ "cache", MAP_SETTING_IGNORED, NULL, 0, 0, "Obsolete, ignored." },
	{ "cache_expiry", MAP_SETTING_IGNORED, NULL, 0, 0, "Obsolete, ignored." },
	{ "cache_size", MAP_SETTING_IGNORED, NULL, 0, 0, "Obsolete, ignored." },
	{ "sasl_mechs", MAP_SETTING_IGNORED, NULL, 0, 0, "Of bind = sasl." },
	{ "sasl_realm", MAP_SETTING_IGNORED, NULL, 0, 0, "Of bind = sasl." },
	{ "sasl_authz_id", MAP_SETTING_IGNORED, NULL, 0, 0, "Of bind = sasl." },
	{ "sasl_minssf", MAP_SETTING_IGNORED, NULL, 0, 0, "Of bind = sasl." },
};
static const struct map_setting_list list = { "ldap", settings, ARRAY_LEN(settings) };

struct ldap_table {
	struct map_settings settings;
	struct map_query q;
	struct map_template base;
	bool has_dynamic_base;
	struct ldap_conf conf;
	struct ldap_expand_conf expand;
	struct ldap_link link;
	struct arena *mem; /* of conf and expand */
};

/* ---- settings ---- */

static void
warn(const struct ldap_table *t, const char *colon, const char *text, const char *more)
{
	if (t->q.log != NULL) /* compat */
		log_warn(t->q.log, "dict_ldap_open: %.*s%s %s%s", STR_ARG(t->q.name),
		    colon, text, more);
}

static const char *
text_of(const struct ldap_table *t, const char *name)
{
	return map_settings_cstr(&t->settings, name);
}

static enum rc
add_url(struct ldap_table *t, struct str item, struct err *e)
{
	long port = (long)map_settings_number(&t->settings, "server_port");
	struct ldap_conf *c = &t->conf;
	LDAPURLDesc *parts = NULL;
	struct str url;
	int code;

	if (ldap_is_ldap_url(item.p) != 0)
		url = item;
	else if (str_rfind(item, ':') < item.n)
		url = arena_printf(t->mem, "ldap://%s", item.p);
	else
		url = arena_printf(t->mem, "ldap://%s:%ld", item.p, port);
	if (url.p == NULL || c->n_urls == LDAP_URLS_MAX)
		return err_set(e, RC_TEMP, "server_host: too many");
	code = ldap_url_parse(url.p, &parts);
	if (code != LDAP_URL_SUCCESS) {
		warn(t, ":", "cannot use the server ", url.p);
		return RC_OK;
	}
	c->tls.is_wanted |= strcasecmp(parts->lud_scheme, "ldaps") == 0;
	/* Only the server of it: libldap takes no base here. */
	url = arena_str(t->mem, url);
	c->urls[c->n_urls++] = url.p;
	ldap_free_urldesc(parts);
	return url.p != NULL ? RC_OK : err_set(e, RC_TEMP, "server_host: too long");
}

static enum rc
read_servers(struct ldap_table *t, struct err *e)
{
	struct str item, rest = map_settings_text(&t->settings, "server_host");
	struct ldap_conf *c = &t->conf;

	c->urls = arena_array(t->mem, LDAP_URLS_MAX, sizeof(*c->urls));
	if (c->urls == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	while (str_token(&rest, CONF_LIST_SEPARATORS, &item)) {
		struct str copy = arena_str(t->mem, item);

		if (copy.p == NULL)
			return err_set(e, RC_TEMP, "server_host: too long");
		if (add_url(t, copy, e) != RC_OK)
			return RC_TEMP;
	}
	if (c->n_urls == 0)
		return err_set(e, RC_TEMP, "%.*s: no usable server in server_host",
		    STR_ARG(t->q.name));
	return RC_OK;
}

static enum rc
read_bind(struct ldap_table *t, struct err *e)
{
	const char *how = text_of(t, "bind");
	struct ldap_conf *c = &t->conf;

	how = how != NULL ? how : "";
	if (strcasecmp(how, "sasl") == 0)
		return err_set(
		    e, RC_TEMP, "%.*s: bind = sasl is not built", STR_ARG(t->q.name));
	c->binds = strcasecmp(how, "yes") == 0 || strcasecmp(how, "simple") == 0;
	if (!c->binds && strcasecmp(how, "no") != 0 && strcasecmp(how, "none") != 0)
		return err_set(e, RC_TEMP, /* compat */
		    "%.*s: unsupported parameter value: bind = %s", STR_ARG(t->q.name),
		    how);
	c->bind_dn = c->binds ? text_of(t, "bind_dn") : NULL;
	if (c->binds)
		c->bind_pw =
		    arena_cstr(t->mem, map_settings_text(&t->settings, "bind_pw"));
	return RC_OK;
}

static void
read_tls(struct ldap_table *t)
{
	struct ldap_tls *tls = &t->conf.tls;

	t->conf.start_tls = map_settings_yesno(&t->settings, "start_tls");
	tls->is_wanted = t->conf.start_tls;
	tls->is_checked = map_settings_yesno(&t->settings, "tls_require_cert");
	tls->ca_file = text_of(t, "tls_ca_cert_file");
	tls->ca_dir = text_of(t, "tls_ca_cert_dir");
	tls->cert = text_of(t, "tls_cert");
	tls->key = text_of(t, "tls_key");
	tls->ciphers = text_of(t, "tls_cipher_suite");
	tls->random_file = text_of(t, "tls_random_file");
}

/* Numbers and words of which some have no meaning. */
static void
read_protocol(struct ldap_table *t)
{
	static const char *const ignored[] = { "cache", "cache_expiry", "cache_size" };
	const struct map_settings *s = &t->settings;
	struct str scope = map_settings_text(s, "scope");
	struct ldap_conf *c = &t->conf;
	char text[60];

	c->timeout_us = map_settings_number(s, "timeout");
	if (c->timeout_us > TIMEOUT_MAX)
		c->timeout_us = TIMEOUT_MAX;
	c->timeout_us *= US_PER_SEC;
	c->version = (int)map_settings_number(s, "version");
	if (c->version != LDAP_VERSION2 && c->version != LDAP_VERSION3) { /* compat */
		(void)snprintf(text, sizeof(text), "%d, using 3.", c->version);
		warn(t, "", "Unknown version ", text);
		c->version = LDAP_VERSION3;
	}
	if (c->start_tls && c->version < LDAP_VERSION3) { /* compat */
		warn(t, "", "start_tls requires protocol version 3", "");
		c->version = LDAP_VERSION3;
	}
	c->scope = LDAP_SCOPE_SUBTREE;
	if (str_ieq(scope, STR("one")))
		c->scope = LDAP_SCOPE_ONELEVEL;
	else if (str_ieq(scope, STR("base")))
		c->scope = LDAP_SCOPE_BASE;
	else if (!str_ieq(scope, STR("sub")) && t->q.log != NULL)
		log_warn(t->q.log, /* compat */
		    "dict_ldap_open: %.*s: Unrecognized value %.*s specified for scope; "
		    "using sub",
		    STR_ARG(t->q.name), STR_ARG(scope));
	c->dereference = (int)map_settings_number(s, "dereference");
	if (c->dereference > LDAP_DEREF_ALWAYS) { /* compat */
		(void)snprintf(text, sizeof(text),
		    "%d specified for dereference; using 0", c->dereference);
		warn(t, "", "Unrecognized value ", text);
		c->dereference = LDAP_DEREF_NEVER;
	}
	c->chases_referrals = map_settings_yesno(s, "chase_referrals");
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		if (map_settings_is_set(s, ignored[i]))
			warn(t, "", "ignoring ", ignored[i]);
}

static enum rc
read_results(struct ldap_table *t, struct err *e)
{
	static const char *const names[LDAP_RANKS] = { "terminal_result_attribute",
		"leaf_result_attribute", "result_attribute", "special_result_attribute" };
	const struct map_settings *s = &t->settings;
	struct ldap_expand_conf *x = &t->expand;
	enum rc rc = RC_OK;

	x->attributes = arena_array(t->mem, LDAP_ATTRIBUTES_MAX + 1, sizeof(char *));
	if (x->attributes == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < LDAP_RANKS; i++) {
		struct str item, rest = map_settings_text(s, names[i]);

		while (str_token(&rest, CONF_LIST_SEPARATORS, &item)) {
			if (x->n_attributes == LDAP_ATTRIBUTES_MAX)
				return err_set(e, RC_TEMP, "%s: too many", names[i]);
			x->attributes[x->n_attributes] = arena_cstr(t->mem, item);
			x->rank[x->n_attributes++] = (enum ldap_rank)i;
		}
	}
	x->recursion_limit = map_settings_number(s, "recursion_limit");
	if (x->recursion_limit > RECURSION_MAX)
		x->recursion_limit = RECURSION_MAX;
	x->expansion_limit = map_settings_number(s, "expansion_limit");
	t->q.limit = 0; /* counted where the words are LDAP's */
	t->conf.size_limit = (int)map_settings_number(
	    s, map_settings_is_set(s, "size_limit") ? "size_limit" : "expansion_limit");
	if (!map_settings_is_set(s, "result_format") &&
	    map_settings_is_set(s, "result_filter"))
		rc = map_query_template(
		    &t->q, map_settings_text(s, "result_filter"), true, &t->q.format, e);
	return rc;
}

/* Whether something of the key goes into it. */
static bool
is_dynamic(struct str text)
{
	for (size_t i = 0; i + 1 < text.n; i++)
		if (text.p[i] == '%' && text.p[++i] != '%')
			return true;
	return false;
}

static enum rc
read_all(struct ldap_table *t, struct err *e)
{
	struct str base = map_settings_text(&t->settings, "search_base");

	if (map_query_template(&t->q, base, false, &t->base, e) != RC_OK)
		return RC_TEMP;
	if (t->q.query.text.n == 0)
		return err_set(
		    e, RC_TEMP, "%.*s: query_filter is empty", STR_ARG(t->q.name));
	t->has_dynamic_base = is_dynamic(base);
	if (!is_dynamic(t->q.query.text) && t->q.log != NULL) /* compat */
		log_warn(t->q.log,
		    "dict_ldap_open: %.*s: Fixed query_filter %.*s is probably useless",
		    STR_ARG(t->q.name), STR_ARG(t->q.query.text));
	read_tls(t);
	read_protocol(t);
	if (read_servers(t, e) != RC_OK || read_bind(t, e) != RC_OK)
		return RC_TEMP;
	return read_results(t, e);
}

/* ---- the table ---- */

static void
ldap_table_close(void *state)
{
	struct ldap_table *t = state;

	ldap_link_close(&t->link);
	map_query_close(&t->q);
	map_settings_fini(&t->settings);
	arena_free(&t->mem);
	free(t);
}

static enum rc
ldap_table_open(const struct map_how *how, void **out, struct err *e)
{
	struct ldap_table *t = mem_get(sizeof(*t));

	t->mem = arena_new(CONF_MEM);
	if (map_settings_load(how, &list, &t->settings, e) == RC_OK &&
	    map_query_open(&t->q, how, &t->settings, "query_filter", e) == RC_OK &&
	    read_all(t, e) == RC_OK) {
		t->link.conf = &t->conf;
		t->link.q = &t->q;
		*out = t;
		return RC_OK;
	}
	ldap_table_close(t);
	return RC_TEMP;
}

/* One text made of the key, with a NUL behind it. An empty template is an empty text. */
static enum rc
fill(const struct ldap_table *t, const struct map_template *template, struct str key,
    map_quote_fn *quote, struct buf *out, struct err *e)
{
	const struct map_fill how = { .key = key, .quote = quote };
	enum rc rc = RC_OK;

	if (template->text.n > 0)
		rc = map_query_fill(&t->q, template, &how, out, e);
	if (rc == RC_OK)
		rc = buf_put(out, str_n("", 1));
	return rc;
}

static enum rc
search(struct ldap_table *t, const struct ldap_search *s, struct ldap_expand *x)
{
	const struct ldap_link *l = &t->link;
	struct ldap_found found;
	enum rc rc = ldap_link_search(&t->link, s, x->mem, &found, x->e);

	if (rc != RC_OK)
		return RC_TEMP;
	if (found.code == LDAP_SUCCESS)
		return ldap_expand_found(x, &found);
	if (found.code != LDAP_NO_SUCH_OBJECT)
		return map_query_fail(l->q, x->e, /* compat */
		    "dict_ldap_lookup: Search error %d: %s ", found.code,
		    ldap_link_words(found.code));
	if (t->has_dynamic_base)
		return RC_OK; /* compat: the part of the directory is of other keys */
	return map_query_fail(l->q, x->e, /* compat */
	    "dict_ldap_lookup: %.*s: Search base '%s' not found: %d: %s",
	    STR_ARG(t->q.name), s->base, found.code, ldap_link_words(found.code));
}

static enum rc
ldap_table_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct ldap_table *t = state;
	struct ldap_expand x = { .conf = &t->expand, .link = &t->link, .e = e };
	struct ldap_search s = { .scope = t->conf.scope,
		.attributes = t->expand.attributes };
	struct buf base, filter;
	enum rc rc = map_query_takes(&t->q, key, e);

	(void)flags;
	if (rc != RC_OK)
		return rc;
	buf_init(&base, MAP_QUERY_MAX);
	buf_init(&filter, MAP_QUERY_MAX);
	map_rows_init(&x.rows, &t->q, key);
	x.mem = arena_new(FIND_MEM);
	rc = fill(t, &t->base, key, ldap_quote_dn, &base, e);
	if (rc == RC_OK)
		rc = fill(t, &t->q.query, key, ldap_quote_filter, &filter, e);
	if (rc == RC_OK) {
		s.base = buf_view(&base).p;
		s.filter = buf_view(&filter).p;
		rc = search(t, &s, &x);
	}
	if (rc == RC_OK)
		rc = map_rows_end(&x.rows, mem, out, e);
	arena_free(&x.mem);
	map_rows_fini(&x.rows);
	buf_fini(&base);
	buf_fini(&filter);
	return rc;
}

MAP_PLUGIN_EXPORT const struct map_type map_plugin_type = {
	.name = "ldap",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = ldap_table_open,
	.close = ldap_table_close,
	.find = ldap_table_find,
};
