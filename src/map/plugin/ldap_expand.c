/* Values of entries, and of the entries that those name; see ldap_expand.h. */
#include "map/plugin/ldap_expand.h"
#include "log/log.h"
#include <ldap.h>
#include <string.h>

/* compat: the beginning of all messages here. */
#define WHERE "dict_ldap_get_values[%lld]: "

static enum ldap_rank
rank_of(const struct ldap_expand_conf *c, struct str name)
{
	for (size_t i = 0; i < c->n_attributes; i++)
		if (str_ieq(str_c(c->attributes[i]), name))
			return c->rank[i];
	return LDAP_RANKS;
}

static bool
has_rank(const struct ldap_expand *x, const struct ldap_entry *entry, enum ldap_rank rank)
{
	for (const struct ldap_values *a = entry->attributes; a != NULL; a = a->next)
		if (a->n > 0 && rank_of(x->conf, a->name) == rank)
			return true;
	return false;
}

static enum rc
add_value(struct ldap_expand *x, struct str value)
{
	const struct map_query *q = x->rows.q;
	size_t before = x->rows.text.n;

	if (str_find(value, '\0') < value.n)
		return map_query_fail(q, x->e,
		    WHERE "%.*s: a value with a NUL for key: '%.*s'", (long long)x->depth,
		    STR_ARG(q->name), STR_ARG(x->rows.key));
	if (map_rows_add(&x->rows, value, x->e) != RC_OK)
		return RC_TEMP;
	if (x->rows.text.n > before && x->conf->expansion_limit > 0 &&
	    ++x->n_values > x->conf->expansion_limit)
		return map_query_fail(q, x->e, /* compat */
		    WHERE "%.*s: Expansion limit exceeded for key: '%.*s'",
		    (long long)x->depth, STR_ARG(q->name), STR_ARG(x->rows.key));
	return RC_OK;
}

/* ---- special result attributes ---- */

/* Those of a URL that are ours too; all of ours when it names none. NULL: none at all. */
static char **
shared_attributes(const struct ldap_expand *x, char **wanted, enum rc *out_rc)
{
	const struct ldap_expand_conf *c = x->conf;
	char **out;
	size_t n = 0;

	*out_rc = RC_OK;
	if (wanted == NULL || wanted[0] == NULL)
		return c->attributes;
	out = arena_array(x->mem, LDAP_ATTRIBUTES_MAX + 1, sizeof(char *));
	if (out == NULL) {
		*out_rc = RC_TEMP;
		return NULL;
	}
	for (size_t i = 0; i < c->n_attributes; i++)
		for (size_t k = 0; wanted[k] != NULL; k++)
			if (strcasecmp(wanted[k], c->attributes[i]) == 0) {
				out[n++] = c->attributes[i];
				break;
			}
	return n > 0 ? out : NULL;
}

static enum rc
search(struct ldap_expand *x, const struct ldap_search *s, const char *reference)
{
	const struct map_query *q = x->rows.q;
	struct ldap_found found;

	if (ldap_link_search(x->link, s, x->mem, &found, x->e) != RC_OK)
		return RC_TEMP;
	if (found.code == LDAP_SUCCESS)
		return ldap_expand_found(x, &found);
	if (found.code == LDAP_NO_SUCH_OBJECT) {
		if (q->log != NULL) /* compat */
			log_warn(q->log, WHERE "DN %s not found, skipping ",
			    (long long)x->depth, reference);
		return RC_OK;
	}
	return map_query_fail(q, x->e, WHERE "search error %d: %s ", /* compat */
	    (long long)x->depth, found.code, ldap_link_words(found.code));
}

static enum rc
follow_url(struct ldap_expand *x, const char *text)
{
	const struct map_query *q = x->rows.q;
	struct ldap_search s = { 0 };
	LDAPURLDesc *url = NULL;
	int code = ldap_url_parse(text, &url);
	enum rc rc;

	if (code != LDAP_URL_SUCCESS)
		return map_query_fail(q, x->e,
		    WHERE "cannot read the LDAP URL %s: error %d", (long long)x->depth,
		    text, code);
	s.base = url->lud_dn != NULL ? url->lud_dn : "";
	s.scope = url->lud_scope == LDAP_SCOPE_DEFAULT ? LDAP_SCOPE_BASE : url->lud_scope;
	s.filter = url->lud_filter != NULL ? url->lud_filter : "(objectClass=*)";
	s.attributes = shared_attributes(x, url->lud_attrs, &rc);
	if (s.attributes != NULL)
		rc = search(x, &s, text);
	else if (rc != RC_OK)
		rc = map_query_fail(q, x->e, WHERE "%.*s: the answer is too large",
		    (long long)x->depth, STR_ARG(q->name));
	ldap_free_urldesc(url);
	return rc;
}

static enum rc
follow(struct ldap_expand *x, struct str name, struct str value)
{
	const struct map_query *q = x->rows.q;
	const struct ldap_search s = { .base = value.p,
		.scope = LDAP_SCOPE_BASE,
		.filter = "(objectClass=*)",
		.attributes = x->conf->attributes };

	if (x->depth >= x->conf->recursion_limit)
		return map_query_fail(q, x->e, /* compat */
		    WHERE "%.*s: Recursion limit exceeded for special attribute "
			  "%.*s=%.*s",
		    (long long)x->depth, STR_ARG(q->name), STR_ARG(name), STR_ARG(value));
	if (str_find(value, '\0') < value.n)
		return map_query_fail(q, x->e, WHERE "%.*s: a reference with a NUL",
		    (long long)x->depth, STR_ARG(q->name));
	if (ldap_is_ldap_url(value.p) != 0)
		return follow_url(x, value.p);
	return search(x, &s, value.p);
}

/* ---- entries ---- */

static enum rc
expand_entry(struct ldap_expand *x, const struct ldap_entry *entry)
{
	bool is_terminal = has_rank(x, entry, LDAP_TERMINAL);
	bool is_leaf = !has_rank(x, entry, LDAP_SPECIAL);
	enum rc rc = RC_OK;

	for (const struct ldap_values *a = entry->attributes; a != NULL; a = a->next) {
		enum ldap_rank rank = rank_of(x->conf, a->name);

		if (rank == LDAP_RANKS || (is_terminal && rank != LDAP_TERMINAL) ||
		    (!is_leaf && rank == LDAP_LEAF))
			continue;
		for (size_t i = 0; i < a->n && rc == RC_OK; i++)
			rc = rank == LDAP_SPECIAL ? follow(x, a->name, a->v[i])
						  : add_value(x, a->v[i]);
	}
	return rc;
}

enum rc
ldap_expand_found(struct ldap_expand *x, const struct ldap_found *found)
{
	const struct map_query *q = x->rows.q;
	int64_t n = 0, limit = x->link->conf->size_limit;
	enum rc rc = RC_OK;

	x->depth++;
	for (const struct ldap_entry *at = found->entries; at != NULL && rc == RC_OK;
	     at = at->next) {
		/* A server may not care. */
		if (limit > 0 && ++n > limit)
			rc = map_query_fail(q, x->e,
			    WHERE "%.*s: Query size limit exceeded for key: '%.*s'",
			    (long long)x->depth, STR_ARG(q->name), STR_ARG(x->rows.key));
		else
			rc = expand_entry(x, at);
	}
	x->depth--;
	return rc;
}
