/* Searching tables for an address. Each derived key is tried in all tables before the
 * next one (spec: Postfix mail_addr_find). */
#include "addr/address.h"
#include "addr/domain.h"
#include "route/route_int.h"

enum rc
route_trouble(struct ask *a, struct err *e)
{
	struct str t = ask_trouble(a, a->mem);

	return err_set(e, RC_TEMP, "%.*s", STR_ARG(t));
}

static enum rc
own_literal(const struct route_conf *c, struct str domain)
{
	struct addr_ip want;

	if (domain.n < 3 || domain.p[domain.n - 1] != ']' ||
	    addr_ip_parse_literal(str_n(domain.p + 1, domain.n - 2), &want) != RC_OK)
		return RC_NONE;
	for (unsigned i = 0; i < c->n_own_addrs; i++)
		if (addr_ip_eq(&c->own_addrs[i], &want))
			return RC_OK;
	return RC_NONE;
}

enum rc
route_is_local(struct ask *a, const struct route_conf *c, struct str domain)
{
	enum rc rc;

	if (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	rc = route_list_domain(a, &c->mydestination, domain);
	if (rc == RC_NONE && domain.n > 0 && domain.p[0] == '[')
		rc = own_literal(c, domain);
	return rc;
}

enum rc
route_keys_make(const struct route_conf *c, struct str address, struct arena *mem,
    struct route_keys *out)
{
	struct route_keys k = { .external = address };
	struct str internal = addr_to_internal(address, mem);

	if (internal.p == NULL && address.n > 0)
		return RC_TEMP;
	if (!str_eq(internal, address))
		k.internal = internal;
	addr_split(internal, &k.local, &k.domain);
	k.user = str_head(k.local, route_extension_at(c, k.local));
	k.has_extension = k.user.n != k.local.n;
	*out = k;
	return RC_OK;
}

/* local@domain in external form, then, when it differs, in internal form. */
static enum rc
find_at(struct ask *a, const struct ask_tables *tables, struct str local,
    struct str domain, struct str *out)
{
	struct str internal =
	    arena_printf(a->mem, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
	struct str external = addr_to_external(internal, a->mem);
	enum rc rc;

	if (internal.p == NULL || external.p == NULL)
		return RC_TEMP;
	rc = ask_tables(a, tables, external, ASK_PARTIAL, out);
	if (rc == RC_NONE && !str_eq(external, internal))
		rc = ask_tables(a, tables, internal, ASK_PARTIAL, out);
	return rc;
}

/* The whole address in both forms. */
static enum rc
find_external(struct ask *a, const struct ask_tables *tables, const struct route_keys *k,
    struct str *out)
{
	enum rc rc = ask_tables(a, tables, k->external, 0, out);

	if (rc == RC_NONE && k->internal.n > 0)
		rc = ask_tables(a, tables, k->internal, 0, out);
	return rc;
}

enum rc
route_find_full(struct ask *a, const struct ask_tables *tables,
    const struct route_keys *k, struct str *out)
{
	enum rc rc = find_external(a, tables, k, out);

	if (rc == RC_NONE && k->has_extension && k->domain.n > 0)
		rc = find_at(a, tables, k->user, k->domain, out);
	return rc;
}

static struct str
extension_of(const struct route_keys *k)
{
	return str_from(k->local, k->user.n);
}

/* compat: behind @ or alone, the user is looked for where the domain is ours. */
static enum rc
find_local(struct ask *a, const struct route_conf *c, const struct ask_tables *tables,
    const struct route_keys *k, struct route_found *out)
{
	enum rc rc = RC_OK;

	if (k->domain.n > 0 && !str_ieq(k->domain, c->myorigin))
		rc = route_is_local(a, c, k->domain);
	if (rc != RC_OK)
		return rc;
	rc = ask_tables(a, tables, k->local, ASK_PARTIAL, &out->value);
	if (rc == RC_NONE && k->has_extension) {
		rc = ask_tables(a, tables, k->user, ASK_PARTIAL, &out->value);
		out->extension = extension_of(k);
	}
	return rc;
}

enum rc
route_find_rest(struct ask *a, const struct route_conf *c,
    const struct ask_tables *tables, struct str address, struct route_found *out)
{
	struct route_found f = { 0 };
	struct route_keys k;
	struct str key;
	enum rc rc;

	if (tables->n == 0 || address.n == 0)
		return RC_NONE;
	rc = route_keys_make(c, address, a->mem, &k);
	if (rc != RC_OK)
		return rc;
	rc = find_external(a, tables, &k, &f.value);
	if (rc == RC_NONE && k.has_extension && k.domain.n > 0) {
		rc = find_at(a, tables, k.user, k.domain, &f.value);
		f.extension = extension_of(&k);
	}
	if (rc == RC_NONE) {
		f.extension = STR("");
		rc = find_local(a, c, tables, &k, &f);
	}
	if (rc == RC_NONE && k.domain.n > 0) {
		f.extension = STR("");
		key = arena_printf(a->mem, "@%.*s", STR_ARG(k.domain));
		if (key.p == NULL)
			return RC_TEMP;
		rc = ask_tables(a, tables, key, ASK_PARTIAL, &f.value);
	}
	if (rc == RC_OK)
		*out = f;
	return rc;
}

enum rc
route_find(struct ask *a, const struct route_conf *c, const struct ask_tables *tables,
    struct str address, struct str *out)
{
	struct route_found f;
	enum rc rc = route_find_rest(a, c, tables, address, &f);

	if (rc == RC_OK)
		*out = f.value;
	return rc;
}
