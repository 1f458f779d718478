/* Owns what the DNS says about a name that a client gave: whether there is such a host,
 * whether mail can be sent to such a domain, whether we are one of its mail servers. */
#include "access/dns_int.h"
#include "addr/address.h"
#include "addr/net.h"

/* ---- whether there is such a name ---- */

enum found { FOUND, FOUND_NOT, FOUND_NULL_MX, FOUND_MALFORMED, FOUND_UNSURE };

/* MX, then A and AAAA: the first that is there counts. `what` is looked for, in a
 * warning. RC_OK, RC_MORE. */
static enum rc
find_name(struct access_eval *ev, struct str name, const char *what, enum found *out)
{
	static const char *const types[] = { "MX", "A", "AAAA" };
	bool is_unsure = false;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct str lines;
		enum rc rc = access_dns(ev, types[i], name, &lines);

		if (rc == RC_MORE)
			return rc;
		if (rc == RC_PERM) { /* compat: there was something */
			access_warn(
			    ev, arena_printf(ev->a->mem, "%.*s: %s lookup error: %s",
				    STR_ARG(name), what, ACCESS_DNS_DROPPED));
			*out = FOUND;
			return RC_OK;
		}
		is_unsure = is_unsure || rc == RC_TEMP;
		if (rc != RC_OK)
			continue;
		*out = lines.n == 0             ? FOUND_MALFORMED
		       : str_is(lines, "0 .\n") ? FOUND_NULL_MX
						: FOUND;
		return RC_OK;
	}
	*out = is_unsure ? FOUND_UNSURE : FOUND_NOT;
	return RC_OK;
}

static bool
has_empty_label(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '.' &&
		    (i == 0 || i + 1 == name.n || name.p[i + 1] == '.'))
			return true;
	return false;
}

enum rc
access_unknown_helo(struct access_eval *ev)
{
	struct access_reply r = { .code = 450,
		.dsn = ".7.1",
		.words = STR("Host not found"),
		.subject = ev->q->helo,
		.cls = ACCESS_CLS_HELO };
	enum found found = FOUND;
	enum rc rc = RC_OK;

	if (ev->q->helo.n > 0 && ev->q->helo.p[0] == '[')
		return access_invalid_helo(ev); /* compat */
	if (has_empty_label(ev->q->helo)) /* compat: the DNS is not asked for such */
		found = FOUND_NOT;
	else
		rc = find_name(ev, ev->q->helo, "address or MX", &found);
	if (rc != RC_OK || found == FOUND || found == FOUND_NULL_MX)
		return rc;
	if (found == FOUND_UNSURE)
		return access_tempfail(ev, ev->c->unknown_helo_hostname_waits, &r);
	if (found == FOUND_MALFORMED)
		r.words = STR("Malformed DNS server reply");
	r.code = ev->c->unknown_hostname_reject_code;
	return access_reject(ev, &r);
}

/* The domain of an address that is not ours and that the DNS should know; empty: none. */
static enum rc
foreign_domain(struct access_eval *ev, struct str address, struct str other,
    struct str *out, const struct access_reply *sorry)
{
	struct err e = { 0 };
	struct route r;
	struct str local;
	enum rc rc = route_resolve(ev->a, ev->c->route, other, address, &r, &e);

	*out = STR("");
	if (rc == RC_MORE)
		return rc;
	if (rc != RC_OK) {
		access_lookup_trouble(ev, sorry->subject);
		return RC_TEMP;
	}
	addr_split(r.recipient, &local, out);
	if ((r.cls != ROUTE_DEFAULT && r.cls != ROUTE_RELAY) ||
	    (out->n > 0 && out->p[0] == '['))
		*out = STR("");
	return RC_OK;
}

/* `r` is the reply that says "Domain not found". */
static enum rc
unknown_domain(struct access_eval *ev, struct str address, struct str other,
    struct access_reply r, const struct access_reply *null_mx)
{
	struct str domain;
	enum found found = FOUND;
	enum rc rc = foreign_domain(ev, address, other, &domain, &r);

	if (rc == RC_OK && domain.n > 0)
		rc = find_name(ev, domain, "MX or address", &found);
	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	switch (found) {
	case FOUND:
		return RC_OK;
	case FOUND_NULL_MX:
		r.code = null_mx->code;
		r.dsn = null_mx->dsn;
		r.words = arena_printf(ev->a->mem,
		    "Domain %.*s does not accept mail (nullMX)", /* compat */
		    STR_ARG(domain));
		return access_reject(ev, &r);
	case FOUND_UNSURE:
		return access_tempfail(ev, ev->c->unknown_address_waits, &r);
	case FOUND_MALFORMED:
		r.words = STR("Malformed DNS server reply");
		break;
	case FOUND_NOT:
		break;
	}
	r.code = ev->c->unknown_address_reject_code;
	return access_reject(ev, &r);
}

enum rc
access_unknown_sender_domain(struct access_eval *ev)
{
	static const struct access_reply null_mx = { .code = 550, .dsn = ".7.27" };
	const struct access_reply r = { .code = 450,
		.dsn = ".1.8",
		.words = STR("Domain not found"),
		.subject = access_shown(ev, ev->q->sender),
		.cls = ACCESS_CLS_SENDER };

	return unknown_domain(ev, ev->q->sender, ev->q->recipient, r, &null_mx);
}

enum rc
access_unknown_recipient_domain(struct access_eval *ev)
{
	static const struct access_reply null_mx = { .code = 556, .dsn = ".1.10" };
	const struct access_reply r = { .code = 450,
		.dsn = ".1.2",
		.words = STR("Domain not found"),
		.subject = access_shown(ev, ev->q->recipient),
		.cls = ACCESS_CLS_RECIPIENT };

	return unknown_domain(ev, ev->q->recipient, ev->q->sender, r, &null_mx);
}

/* ---- permit_mx_backup ---- */

/* One MX record a line: "10 mx.example". False: no more. */
static bool
next_mx(struct str *lines, uint64_t *preference, struct str *host)
{
	struct str line, number;

	while (str_token(lines, "\n", &line))
		if (str_cut(line, ' ', &number, host) &&
		    str_u64(number, 65535, preference) == RC_OK)
			return true;
	return false;
}

static uint64_t
best_preference(struct str lines)
{
	uint64_t best = UINT64_MAX, p;
	struct str host;

	while (next_mx(&lines, &p, &host))
		best = p < best ? p : best;
	return best;
}

static bool
is_own(const struct route_conf *c, struct str addr)
{
	struct addr_ip ip;

	if (addr_ip_parse(addr, &ip) != RC_OK)
		return false;
	for (unsigned i = 0; i < c->n_own_addrs; i++)
		if (addr_ip_eq(&c->own_addrs[i], &ip))
			return true;
	return false;
}

/* Nobody could say: a reject that follows becomes a deferral. */
static enum rc
unsure_mx(struct access_eval *ev, const char *what, struct str host, struct str why)
{
	const struct access_reply r = { .code = 450,
		.dsn = ".4.4",
		.words =
		    arena_printf(ev->a->mem, "Unable to look up %s%s%.*s: %.*s", what,
			host.n > 0 ? " " : "", STR_ARG(host), STR_ARG(why)), /* compat */
		.subject = access_shown(ev, ev->q->recipient),
		.cls = ACCESS_CLS_RECIPIENT };

	return access_defer_if_reject(ev, &r);
}

/* Whether a host's addresses are this system's. RC_OK, RC_NONE, RC_MORE; RC_TEMP: nobody
 * could say. */
static enum rc
is_me(struct access_eval *ev, struct str host)
{
	struct str addrs, addr;
	enum rc rc;

	rc = ask_dns(ev->a, "HOST", host, &addrs);
	if (rc == RC_TEMP)
		(void)!unsure_mx(
		    ev, "mail exchanger host", host, ask_dns_words(ev->a, "HOST", host));
	if (rc != RC_OK)
		return rc;
	while (str_token(&addrs, "\n", &addr))
		if (is_own(ev->c->route, addr))
			return RC_OK;
	return RC_NONE;
}

/* Whether all addresses of a first MX host are in permit_mx_backup_networks. */
static enum rc
is_approved(struct access_eval *ev, struct str host)
{
	struct str addrs, addr;
	enum rc rc = ask_dns(ev->a, "HOST", host, &addrs);

	if (rc == RC_TEMP)
		(void)!unsure_mx(
		    ev, "mail exchanger host", host, ask_dns_words(ev->a, "HOST", host));
	while (rc == RC_OK && str_token(&addrs, "\n", &addr)) {
		rc = route_list_client(
		    ev->a, &ev->c->permit_mx_backup_networks, host, addr);
	}
	return rc;
}

/* Which of the hosts is this system: RC_OK and whether it is one of the first; RC_NONE;
 * RC_MORE; RC_TEMP. compat: names go before addresses. */
static enum rc
find_me(struct access_eval *ev, struct str lines, bool *is_first)
{
	uint64_t best = best_preference(lines), p;
	struct str rest = lines, host;
	enum rc rc = RC_NONE;

	while (next_mx(&rest, &p, &host))
		if (str_ieq(host, ev->c->route->myhostname)) {
			*is_first = p == best;
			return RC_OK;
		}
	while (rc == RC_NONE && next_mx(&lines, &p, &host)) {
		*is_first = p == best;
		rc = is_me(ev, host);
	}
	return rc;
}

/* RC_OK: we are an MX host, but none of the first, and those may have us. */
static enum rc
is_backup(struct access_eval *ev, struct str lines)
{
	uint64_t best = best_preference(lines), p;
	bool is_first = false;
	struct str host;
	enum rc rc = find_me(ev, lines, &is_first);

	if (rc == RC_OK && is_first)
		return RC_NONE;
	if (ev->c->permit_mx_backup_networks.n == 0)
		return rc;
	while (rc == RC_OK && next_mx(&lines, &p, &host))
		if (p == best)
			rc = is_approved(ev, host);
	return rc;
}

enum rc
access_mx_backup(struct access_eval *ev)
{
	struct str local, domain, lines;
	struct route r;
	enum rc rc = access_resolve_recipient(ev, &r);

	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	if (access_is_auth_destination(ev, &r) || r.cls == ROUTE_LOCAL)
		return access_permit(ev);
	addr_split(r.recipient, &local, &domain);
	if (r.is_routed || domain.n == 0 || domain.p[0] == '[')
		return RC_OK;
	rc = access_dns(ev, "MX", domain, &lines);
	if (rc == RC_TEMP)
		return unsure_mx(ev, "mail exchanger information", STR(""),
		    access_dns_words(ev, "MX", domain));
	if (rc == RC_OK)
		rc = is_backup(ev, lines);
	if (rc == RC_OK)
		return access_permit(ev);
	return rc == RC_MORE ? rc : RC_OK;
}
