/* Where mail for an address goes: class, transport, next hop. The order of the steps is
 * Postfix's; see README.md. */
#include "addr/address.h"
#include "addr/domain.h"
#include "base/utf8.h"
#include "route/route_int.h"
#include <stdio.h>

#define STRIP_MAX 100 /* user%a%b%c@here: so many domains of ours, one in another */

struct work {
	struct ask *a;
	const struct route_conf *c;
	struct str sender;
	struct str local, domain; /* of the recipient, external form */
	struct route r;
	struct err *e;
};

static enum rc
trouble(struct work *w, enum rc rc)
{
	return rc == RC_TEMP ? route_trouble(w->a, w->e) : rc;
}

static enum rc
no_memory(struct work *w)
{
	return err_set(w->e, RC_TEMP, "memory limit");
}

/* compat: nobody at a domain of ours is whom mail without an address is for. */
static enum rc
use_empty_recipient(struct work *w)
{
	w->r.recipient = arena_printf(w->a->mem, "%.*s@%.*s",
	    STR_ARG(w->c->empty_address_recipient), STR_ARG(w->domain));
	if (w->r.recipient.p == NULL)
		return no_memory(w);
	addr_split(w->r.recipient, &w->local, &w->domain);
	return RC_OK;
}

/* Takes domains of ours off the end for as long as the rest names another:
 * user%other@here. A quoted local part counts as well, because the mailbox or gateway
 * behind us would see it without quotes (resolve_dequoted_address). */
static enum rc
strip_own_domains(struct work *w, struct str address)
{
	for (int i = 0; i < STRIP_MAX; i++) {
		struct str local, bare;
		bool hides;
		enum rc rc;

		addr_split(address, &w->local, &w->domain);
		w->r.recipient = address;
		local = w->local;
		bare = addr_to_internal(local, w->a->mem);
		hides =
		    bare.n > 0 && !str_eq(bare, local) && route_has_operator(w->c, bare);
		if (hides && w->c->resolve_dequoted_address)
			local = bare;
		if (w->domain.n == 0 ||
		    (!str_is(local, "\"\"") && !route_has_operator(w->c, local))) {
			w->r.is_routed = hides; /* compat: nobody may relay with it */
			return RC_OK;
		}
		rc = route_is_local(w->a, w->c, w->domain);
		if (str_is(local, "\"\"") && rc != RC_TEMP)
			return rc == RC_OK     ? use_empty_recipient(w)
			       : rc == RC_NONE ? RC_OK
					       : rc;
		if (rc == RC_NONE) {
			w->r.is_routed = true;
			return RC_OK;
		}
		if (rc != RC_OK)
			return trouble(w, rc);
		if (route_rewrite(w->c, local, w->a->mem, &address) != RC_OK)
			return no_memory(w);
		if (str_starts(address, STR("@"))) /* compat: nobody there */
			address = arena_printf(w->a->mem, "\"\"%.*s", STR_ARG(address));
		if (address.p == NULL)
			return no_memory(w);
	}
	w->r.is_bad = true;
	return RC_OK;
}

static bool
is_numeric(struct str domain)
{
	struct addr_ip ip;

	return addr_ip_parse(domain, &ip) == RC_OK;
}

/* Whether it becomes a host name when its labels are made ASCII. compat: nearly; which
 * letters there are is for the resolver to say. */
static bool
is_utf8_domain(const struct work *w)
{
	struct str d = w->domain;
	char *ascii;

	if (!w->c->utf8_domains || d.n > ADDR_DOMAIN_MAX || !utf8_is_valid(d))
		return false;
	ascii = arena_cstr(w->a->mem, d);
	if (ascii == NULL)
		return false;
	for (size_t i = 0; i < d.n; i++)
		if ((unsigned char)ascii[i] > 127)
			ascii[i] = 'x';
	return addr_domain_valid(str_n(ascii, d.n));
}

static bool
is_bad(const struct work *w)
{
	const struct route_conf *c = w->c;

	if (!c->allow_min_user && addr_has_minus(w->local))
		return true;
	if (w->domain.n == 0) /* "user@" */
		return w->r.recipient.n > 0 &&
		       w->r.recipient.p[w->r.recipient.n - 1] == '@' &&
		       !c->resolve_null_domain;
	if (is_numeric(w->domain))
		return !c->resolve_numeric_domain;
	return !addr_domain_valid(w->domain) && !is_utf8_domain(w);
}

static enum rc
in_list(struct work *w, const struct route_list *l)
{
	return route_list_domain(w->a, l, w->domain);
}

static void
warn_both(struct work *w, const char *one, const char *two)
{
	w->r.warning = arena_printf(w->a->mem, /* compat */
	    "do not list domain %.*s in BOTH %s and %s", STR_ARG(w->domain), one, two);
}

/* compat: a list that cannot be read claims nothing here, so that trouble with a table
 * of domains does not stop mail that has nothing to do with it. */
static enum rc
claims(struct work *w, const struct route_list *l)
{
	enum rc rc = in_list(w, l);

	return rc == RC_TEMP ? RC_NONE : rc;
}

/* The domain is in `one`: nobody else may claim it. Only said, never obeyed. */
static enum rc
check_doubles(struct work *w, enum route_class cls)
{
	static const char alias[] = "virtual_alias_domains",
			  box[] = "virtual_mailbox_domains";
	const char *mine = cls == ROUTE_LOCAL           ? "mydestination"
			   : cls == ROUTE_VIRTUAL_ALIAS ? alias
							: box;
	enum rc rc;

	if (cls == ROUTE_LOCAL) {
		rc = claims(w, &w->c->virtual_alias_domains);
		if (rc == RC_OK)
			warn_both(w, mine, alias);
		if (rc != RC_NONE)
			return rc;
	}
	if (cls != ROUTE_VIRTUAL_MAILBOX) {
		rc = claims(w, &w->c->virtual_mailbox_domains);
		if (rc == RC_OK)
			warn_both(w, mine, box);
		if (rc != RC_NONE)
			return rc;
	}
	if (cls == ROUTE_LOCAL)
		return RC_NONE;
	rc = claims(w, &w->c->relay_domains);
	if (rc == RC_OK)
		warn_both(w, mine, "relay_domains");
	return rc;
}

static enum rc
classify(struct work *w)
{
	static const enum route_class order[] = { ROUTE_VIRTUAL_ALIAS,
		ROUTE_VIRTUAL_MAILBOX, ROUTE_RELAY };
	const struct route_list *lists[] = { &w->c->virtual_alias_domains,
		&w->c->virtual_mailbox_domains, &w->c->relay_domains };
	enum rc rc = w->domain.n == 0 ? RC_OK : route_is_local(w->a, w->c, w->domain);

	w->r.cls = ROUTE_LOCAL;
	for (size_t i = 0; rc == RC_NONE && i < ARRAY_LEN(order); i++) {
		w->r.cls = order[i];
		rc = in_list(w, lists[i]);
	}
	if (rc == RC_NONE)
		w->r.cls = ROUTE_DEFAULT;
	if (rc == RC_OK && w->domain.n > 0 && w->r.cls != ROUTE_RELAY)
		rc = check_doubles(w, w->r.cls);
	return rc == RC_NONE ? RC_OK : trouble(w, rc);
}

/* Applies "transport:nexthop" of a parameter; an empty next hop leaves what is there. */
static void
use_parameter(struct work *w, struct str text)
{
	struct str transport, nexthop;

	route_transport_split(text, &transport, &nexthop);
	if (transport.n > 0)
		w->r.transport = transport;
	if (nexthop.n > 0)
		w->r.nexthop = nexthop;
}

/* What `tables` say about the sender, "DUNNO" being nothing. */
static enum rc
by_sender(
    struct work *w, const struct ask_tables *tables, struct str null_key, struct str *out)
{
	struct str found;
	enum rc rc = RC_NONE;

	if (tables->n > 0 && w->sender.n == 0)
		rc = ask_tables(w->a, tables, null_key, 0, &found);
	else if (tables->n > 0)
		rc = route_find(w->a, w->c, tables, w->sender, &found);
	if (rc != RC_OK)
		return rc;
	if (str_iis(found, "DUNNO"))
		return RC_NONE;
	*out = found;
	return RC_OK;
}

/* Next hop and transport of mail that leaves. */
static enum rc
use_relay(struct work *w)
{
	const struct route_conf *c = w->c;
	struct str found = c->relayhost;
	enum rc rc = by_sender(w, &c->sender_dependent_relayhost_maps,
	    c->empty_address_relayhost_maps_lookup_key, &found);

	if (rc == RC_MORE || rc == RC_TEMP)
		return trouble(w, rc);
	if (found.n > 0)
		w->r.nexthop = found;
	if (w->r.cls == ROUTE_RELAY) {
		use_parameter(w, c->relay_transport);
		return RC_OK;
	}
	found = c->default_transport;
	rc = by_sender(w, &c->sender_dependent_default_transport_maps,
	    c->empty_address_default_transport_maps_lookup_key, &found);
	if (rc == RC_MORE || rc == RC_TEMP)
		return trouble(w, rc);
	use_parameter(w, found);
	return RC_OK;
}

static enum rc
use_class(struct work *w)
{
	const struct route_conf *c = w->c;

	w->r.nexthop =
	    addr_domain_lower(w->domain.n > 0 ? w->domain : c->myhostname, w->a->mem);
	if (w->r.nexthop.p == NULL)
		return no_memory(w);
	switch (w->r.cls) {
	case ROUTE_LOCAL:
		use_parameter(w, c->local_transport);
		return RC_OK;
	case ROUTE_VIRTUAL_ALIAS:
		w->r.transport = STR("error");
		w->r.nexthop = c->show_user_unknown_table_name /* compat */
				   ? STR("5.1.1 User unknown in virtual alias table")
				   : STR("5.1.1 User unknown");
		return RC_OK;
	case ROUTE_VIRTUAL_MAILBOX:
		use_parameter(w, c->virtual_transport);
		return RC_OK;
	case ROUTE_RELAY:
	case ROUTE_DEFAULT:
		break;
	}
	return use_relay(w);
}

/* The keys of transport(5): address, without extension, domain, parents, "*". */
static enum rc
find_transport(struct work *w, struct str *out)
{
	const struct ask_tables *t = &w->c->transport_maps;
	struct route_keys k;
	struct str key;
	enum rc rc;

	if (route_keys_make(w->c, w->r.recipient, w->a->mem, &k) != RC_OK)
		return RC_TEMP;
	rc = route_find_full(w->a, t, &k, out);
	if (rc == RC_NONE)
		rc = ask_tables(w->a, t, k.domain, ASK_PARTIAL, out);
	for (key = k.domain; rc == RC_NONE && key.n > 1;) {
		size_t at = 1 + str_find(str_from(key, 1), '.');

		key = str_from(key, at + (w->c->transport_parents && at < key.n));
		rc = ask_tables(w->a, t, key, ASK_PARTIAL, out);
	}
	if (rc == RC_NONE)
		rc = ask_tables(w->a, t, STR("*"), 0, out); /* compat: patterns, too */
	return rc;
}

static enum rc
use_transport_maps(struct work *w)
{
	struct str value, transport, nexthop;
	enum rc rc;

	if (w->c->transport_maps.n == 0 || w->r.cls == ROUTE_VIRTUAL_ALIAS)
		return RC_OK;
	rc = find_transport(w, &value);
	if (rc == RC_NONE)
		return RC_OK;
	if (rc != RC_OK)
		return trouble(w, rc);
	route_transport_split(value, &transport, &nexthop);
	if (transport.n > 0) {
		w->r.transport = transport;
		w->r.nexthop = addr_domain_lower(
		    w->domain.n > 0 ? w->domain : w->c->myhostname, w->a->mem);
		if (w->r.nexthop.p == NULL)
			return no_memory(w);
		if (str_is(transport, "error") || str_is(transport, "retry"))
			w->r.nexthop = STR("Address is undeliverable"); /* compat */
	}
	if (nexthop.n > 0)
		w->r.nexthop = nexthop;
	return RC_OK;
}

static enum rc
use_relocated(struct work *w)
{
	struct str to;
	enum rc rc = route_find(w->a, w->c, &w->c->relocated_maps, w->r.recipient, &to);

	if (rc == RC_NONE)
		return RC_OK;
	if (rc != RC_OK)
		return trouble(w, rc);
	w->r.transport = STR("error");
	w->r.nexthop = to;
	if (w->c->relocated_prefix_enable)
		w->r.nexthop = arena_printf(w->a->mem, /* compat */
		    "5.1.6 User has moved to %.*s", STR_ARG(to));
	return w->r.nexthop.p == NULL ? no_memory(w) : RC_OK;
}

/* compat: whoever has no domain is on this host, unless he says another in quotes. */
static enum rc
add_this_host(struct work *w, struct str *address)
{
	const struct route_conf *c = w->c;
	struct str bare;

	if (address->n == 0 || addr_find_bare(*address, '@', true) < address->n)
		return RC_OK;
	bare = addr_to_internal(*address, w->a->mem);
	if (bare.p == NULL)
		return no_memory(w);
	if (c->resolve_dequoted_address && route_has_operator(c, bare))
		return route_rewrite(c, bare, w->a->mem, address) != RC_OK ? no_memory(w)
									   : RC_OK;
	if (c->myhostname.n > 0)
		*address = arena_printf(
		    w->a->mem, "%.*s@%.*s", STR_ARG(*address), STR_ARG(c->myhostname));
	return address->p == NULL ? no_memory(w) : RC_OK;
}

/* compat: a source route in quotes is one all the same: "@a:b"@c is b@c. */
static enum rc
take_quoted_route(struct work *w, struct str *address)
{
	struct str internal, rest;

	if (!str_starts(*address, STR("\"@")))
		return RC_OK;
	internal = addr_to_internal(*address, w->a->mem);
	rest = route_strip(internal);
	if (internal.p != NULL && rest.p != internal.p)
		internal = *address = addr_to_external(rest, w->a->mem);
	return internal.p == NULL ? no_memory(w) : RC_OK;
}

enum rc
route_resolve(struct ask *a, const struct route_conf *c, struct str sender,
    struct str address, struct route *out, struct err *e)
{
	static enum rc (*const steps[])(
	    struct work *) = { classify, use_class, use_transport_maps, use_relocated };
	struct work w = { .a = a, .c = c, .sender = sender, .e = e };
	struct str full;
	enum rc rc;

	if (address.n == 0)
		address = c->empty_address_recipient;
	if (route_rewrite(c, address, a->mem, &full) != RC_OK)
		return no_memory(&w);
	if (sender.n > 0 && route_rewrite(c, sender, a->mem, &w.sender) != RC_OK)
		return no_memory(&w);
	rc = take_quoted_route(&w, &full);
	if (rc == RC_OK)
		rc = add_this_host(&w, &full);
	if (rc == RC_OK)
		rc = strip_own_domains(&w, full);
	if (rc != RC_OK)
		return rc;
	w.r.is_bad = w.r.is_bad || is_bad(&w);
	if (!w.r.is_bad && is_numeric(w.domain)) { /* resolve_numeric_domain */
		w.r.recipient = arena_printf(
		    a->mem, "%.*s@[%.*s]", STR_ARG(w.local), STR_ARG(w.domain));
		if (w.r.recipient.p == NULL)
			return no_memory(&w);
		addr_split(w.r.recipient, &w.local, &w.domain);
	}
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		rc = steps[i](&w);
		if (rc != RC_OK)
			return rc;
	}
	*out = w.r;
	return RC_OK;
}
