/* Addresses into their full form, the way of Postfix's trivial-rewrite. Everything works
 * on the external form, so that what is inside quotes is never taken for an operator. */
#include "addr/address.h"
#include "route/route_int.h"

bool
route_has_operator(const struct route_conf *c, struct str local)
{
	return addr_find_bare(local, '@', false) != local.n ||
	       (c->allow_percent_hack && addr_find_bare(local, '%', false) != local.n) ||
	       (c->swap_bangpath && addr_find_bare(local, '!', false) != local.n);
}

struct str
route_strip(struct str s)
{
	while (s.n > 0 && s.p[0] == '@') {
		size_t at = addr_find_bare(s, ':', false);

		if (at == s.n)
			break;
		s = str_from(s, at + 1);
	}
	return s;
}

/* An address without a domain gets one. */
static struct str
add_domain(const struct route_conf *c, struct str s, struct arena *mem)
{
	unsigned which = (c->swap_bangpath ? ADDR_BANG : 0) |
			 (c->allow_percent_hack ? ADDR_PERCENT : 0);
	struct str full = addr_swap_operators(s, which, mem);

	if (full.p == NULL || (full.p != s.p && !str_ends(full, STR("@"))))
		return full;
	if (full.p != s.p && !c->resolve_null_domain)
		return full; /* "user@": of no use */
	if (full.p != s.p)
		full = full.n > 1 ? str_head(full, full.n - 1) : STR("\"\"");
	if (c->append_at_myorigin && c->myorigin.n > 0)
		return arena_printf(
		    mem, "%.*s@%.*s", STR_ARG(full), STR_ARG(c->myorigin));
	return full;
}

enum rc
route_rewrite(
    const struct route_conf *c, struct str address, struct arena *mem, struct str *out)
{
	struct str s = route_strip(address), domain;
	size_t at;

	if (str_is(s, "@"))
		s = str_head(s, 0);
	if (s.n > 0 && addr_find_bare(s, '@', true) == s.n)
		s = add_domain(c, s, mem);
	if (s.p == NULL && address.n > 0)
		return RC_TEMP;
	at = addr_find_bare(s, '@', true);
	domain = str_from(s, at + 1);
	if (at != s.n && domain.n > 0 && domain.p[0] != '[' && c->append_dot_mydomain &&
	    c->mydomain.n > 0 && str_find(domain, '.') == domain.n) {
		s = arena_printf(mem, "%.*s.%.*s", STR_ARG(s), STR_ARG(c->mydomain));
		if (s.p == NULL)
			return RC_TEMP;
	} else if (domain.n > 1 && domain.p[domain.n - 1] == '.' &&
		   domain.p[domain.n - 2] != '.') {
		s.n--;
	}
	*out = s;
	return RC_OK;
}

size_t
route_extension_at(const struct route_conf *c, struct str local)
{
	struct str user, extension;

	if (str_ieq(local, c->double_bounce_sender) ||
	    (c->owner_request_special && addr_is_list_name(local) &&
		str_find(c->recipient_delimiter, '-') < c->recipient_delimiter.n) ||
	    !addr_split_extension(local, c->recipient_delimiter, &user, &extension))
		return local.n;
	return user.n;
}

void
route_transport_split(struct str text, struct str *out_transport, struct str *out_nexthop)
{
	text = str_trim(text);
	if (!str_cut(text, ':', out_transport, out_nexthop)) {
		*out_transport = text;
		*out_nexthop = str_from(text, text.n);
	}
	*out_transport = str_trim(*out_transport);
	*out_nexthop = str_trim(*out_nexthop);
}

const char *
route_class_name(enum route_class c)
{
	switch (c) {
	case ROUTE_LOCAL:
		return "local";
	case ROUTE_VIRTUAL_ALIAS:
		return "virtual alias";
	case ROUTE_VIRTUAL_MAILBOX:
		return "virtual mailbox";
	case ROUTE_RELAY:
		return "relay";
	case ROUTE_DEFAULT:
		return "default";
	}
	return "?";
}
