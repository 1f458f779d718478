#include "route/list.h"

/* "type:name": letters and digits before a colon. An IPv6 address has to stand in
 * brackets, as in Postfix, so that it is never taken for a table. */
static bool
is_table(struct str s)
{
	size_t at = str_find(s, ':');

	return at != s.n && at > 0 && s.p[0] != '[';
}

static struct route_item
read_item(struct str token)
{
	struct route_item it = { .kind = ROUTE_ITEM_NAME };

	while (token.n > 0 && token.p[0] == '!') {
		it.is_not = !it.is_not;
		token = str_trim(str_from(token, 1));
	}
	it.text = token;
	if (token.n == 0 || token.p[0] == '/')
		it.kind = ROUTE_ITEM_BAD;
	else if (is_table(token))
		it.kind = ROUTE_ITEM_TABLE;
	else if (addr_net_looks_like(token))
		it.kind = addr_net_parse(token, &it.net, NULL) == RC_OK ? ROUTE_ITEM_NET
									: ROUTE_ITEM_BAD;
	return it;
}

enum rc
route_list_parse(struct str text, enum route_list_kind kind, struct arena *mem,
    struct route_list *out, struct err *e)
{
	struct ask_tables tokens;
	struct route_item *v;
	enum rc rc = ask_tables_parse(text, mem, &tokens, e);

	if (rc != RC_OK)
		return rc;
	v = arena_array(mem, tokens.n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (unsigned i = 0; i < tokens.n; i++)
		v[i] = read_item(tokens.v[i]);
	*out = (struct route_list){ .v = v, .n = tokens.n, .kind = kind };
	return RC_OK;
}

/* Where the next key for a parent domain begins: behind the dot, or at it. */
static struct str
next_parent(struct str key, enum route_list_kind kind)
{
	struct str rest = str_from(key, 1);
	size_t at = str_find(rest, '.');

	return str_from(rest, at == rest.n ? at : at + (kind == ROUTE_LIST_PARENTS));
}

static enum rc
domain_in_table(
    struct ask *a, struct str table, enum route_list_kind kind, struct str domain)
{
	struct str unused, key = domain;
	enum rc rc = ask_map(a, table, domain, 0, &unused);

	if (kind == ROUTE_LIST_STRING)
		return rc;
	while (rc == RC_NONE && (key = next_parent(key, kind)).n > 0)
		rc = ask_map(a, table, key, ASK_PARTIAL, &unused);
	return rc;
}

static bool
domain_is_name(struct str name, enum route_list_kind kind, struct str domain)
{
	if (str_ieq(name, domain))
		return true;
	if (kind == ROUTE_LIST_STRING || name.n == 0 || name.n >= domain.n)
		return false;
	if (name.p[0] == '.')
		return kind == ROUTE_LIST_DOMAIN && str_iends(domain, name);
	return kind == ROUTE_LIST_PARENTS && str_iends(domain, name) &&
	       domain.p[domain.n - name.n - 1] == '.';
}

enum rc
route_list_domain(struct ask *a, const struct route_list *l, struct str domain)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct route_item *it = &l->v[i];
		enum rc rc = RC_NONE;

		switch (it->kind) {
		case ROUTE_ITEM_NET: /* "1.2.3.4" may be meant as a name here */
		case ROUTE_ITEM_NAME:
			rc = domain_is_name(it->text, l->kind, domain) ? RC_OK : RC_NONE;
			break;
		case ROUTE_ITEM_TABLE:
			rc = domain_in_table(a, it->text, l->kind, domain);
			break;
		case ROUTE_ITEM_BAD:
			rc = str_ieq(it->text, domain) ? RC_OK : RC_TEMP;
			break;
		}
		if (rc == RC_OK)
			return it->is_not ? RC_NONE : RC_OK;
		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

struct client {
	struct str name, addr;
	struct addr_ip ip;
	bool has_ip;
};

static enum rc
client_fits(struct ask *a, const struct route_list *l, const struct route_item *it,
    const struct client *c)
{
	struct str unused;
	enum rc rc;

	switch (it->kind) {
	case ROUTE_ITEM_NAME:
		return domain_is_name(it->text, l->kind, c->name) ? RC_OK : RC_NONE;
	case ROUTE_ITEM_NET:
		return c->has_ip && addr_net_has(&it->net, &c->ip) ? RC_OK : RC_NONE;
	case ROUTE_ITEM_TABLE:
		rc = domain_in_table(a, it->text, l->kind, c->name);
		return rc == RC_NONE ? ask_map(a, it->text, c->addr, 0, &unused) : rc;
	case ROUTE_ITEM_BAD:
		break;
	}
	return RC_TEMP;
}

enum rc
route_list_client(
    struct ask *a, const struct route_list *l, struct str name, struct str addr)
{
	struct client c = { .name = name, .addr = addr };

	c.has_ip = addr_ip_parse(addr, &c.ip) == RC_OK;
	for (unsigned i = 0; i < l->n; i++) {
		enum rc rc = client_fits(a, l, &l->v[i], &c);

		if (rc == RC_OK)
			return l->v[i].is_not ? RC_NONE : RC_OK;
		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

bool
route_parent_matches(struct str parameter, const char *name)
{
	struct str token;

	while (str_token(&parameter, ", \t\r\n", &token))
		if (str_iis(token, name))
			return true;
	return false;
}
