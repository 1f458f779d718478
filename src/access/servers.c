/* Owns check_*_a_access, check_*_mx_access and check_*_ns_access: the hosts that serve a
 * domain, by name and by address, in access tables. */
#include "access/dns_int.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/net.h"

#define ADDRS_MAX 100 /* looked at for one restriction; what comes after is ignored */

enum server_type { SERVER_A, SERVER_MX, SERVER_NS };

/* One evaluation. */
struct servers {
	struct access_eval *ev;
	enum server_type type;
	struct access_source from;
	struct str what; /* the name, or the address whose domain it is */
	unsigned n_addrs;
	bool is_told; /* that there are too many */
};

static const char *
type_name(enum server_type type)
{
	switch (type) {
	case SERVER_A:
		return "A";
	case SERVER_MX:
		return "MX";
	case SERVER_NS:
		return "NS";
	}
	return "?";
}

/* ---- addresses of one host ---- */

/* compat: the words of getaddrinfo(3), which Postfix asks. */
static const char *
host_words(enum rc rc, struct str words)
{
	if (rc == RC_TEMP)
		return "Temporary failure in name resolution";
	return str_is(words, "Host not found") ? "Name or service not known"
					       : "No address associated with hostname";
}

static enum rc
check_addrs(struct servers *s, struct str addrs, struct str host)
{
	struct access_eval *ev = s->ev;
	struct str addr;
	enum rc rc = RC_NONE;

	while (rc == RC_NONE && str_token(&addrs, "\n", &addr)) {
		if (s->n_addrs++ < ADDRS_MAX) {
			rc = access_find_addr(ev, &s->from, addr);
			continue;
		}
		if (!s->is_told)
			access_warn(ev, arena_printf(ev->a->mem,
					    "too many %s host addresses for %s %.*s: "
					    "ignoring those from %.*s on",
					    type_name(s->type), s->from.cls,
					    STR_ARG(s->from.subject), STR_ARG(host)));
		s->is_told = true;
		break;
	}
	return rc;
}

/* The name with its parents, then each address with its networks. RC_OK: found and
 * applied. */
static enum rc
check_host(struct servers *s, struct str host)
{
	struct access_eval *ev = s->ev;
	struct str addrs;
	enum rc rc = RC_NONE;

	if (s->type != SERVER_A)
		rc = access_find_domain(ev, &s->from, host);
	if (rc != RC_NONE)
		return rc;
	if (s->n_addrs >= ADDRS_MAX)
		return RC_NONE;
	rc = ask_dns(ev->a, "HOST", host, &addrs);
	if (rc == RC_OK)
		return check_addrs(s, addrs, host);
	if (rc == RC_MORE)
		return rc;
	if (s->type != SERVER_A)
		access_warn(ev, /* compat */
		    arena_printf(ev->a->mem,
			"Unable to look up %s host %.*s for %s %.*s: %s",
			type_name(s->type), STR_ARG(host), s->from.cls,
			STR_ARG(s->from.subject),
			host_words(rc, ask_dns_words(ev->a, "HOST", host))));
	return RC_NONE;
}

/* ---- which hosts ---- */

/* The name servers of the domain, or of the first parent that has some. */
static enum rc
find_ns(struct servers *s, struct str *domain, struct str *out)
{
	enum rc rc;

	for (;;) {
		size_t dot = str_find(*domain, '.');

		rc = access_dns(s->ev, "NS", *domain, out);
		if (rc != RC_NONE || dot + 1 >= domain->n)
			return rc;
		*domain = str_from(*domain, dot + 1);
	}
}

/* One host a line, MX hosts with their preference. RC_NONE: there is nothing to check. */
static enum rc
find_hosts(struct servers *s, struct str domain, struct str *out)
{
	struct access_eval *ev = s->ev;
	struct str at = domain, why;
	enum rc rc;

	*out = domain;
	if (s->type == SERVER_A)
		return RC_OK;
	rc = s->type == SERVER_MX ? access_dns(ev, "MX", domain, out)
				  : find_ns(s, &at, out);
	if (rc == RC_MORE)
		return rc;
	if (rc == RC_NONE && s->type == SERVER_MX) {
		*out = domain; /* it is its own */
		return RC_OK;
	}
	if (rc == RC_OK && out->n > 0)
		return s->type == SERVER_MX && str_is(*out, "0 .\n") ? RC_NONE : RC_OK;
	why = rc == RC_OK     ? STR("Malformed or unexpected name server reply")
	      : rc == RC_PERM ? STR("DNS reply filter policy")
			      : access_dns_words(ev, type_name(s->type), at);
	/* compat: once nothing is left to climb to it is the name that it began with. */
	access_warn(
	    ev, arena_printf(ev->a->mem, "Unable to look up %s host for %.*s: %.*s",
		    type_name(s->type), STR_ARG(str_find(at, '.') < at.n ? at : s->what),
		    STR_ARG(why)));
	return RC_NONE;
}

/* "[127.0.0.1]" has no name servers, and is its own host. */
static enum rc
check_literal(struct servers *s, struct str literal)
{
	struct addr_ip ip;
	char text[ADDR_IP_TEXT_MAX];
	struct str inside = str_n(literal.p + 1, literal.n - 2);

	if (s->type == SERVER_NS || literal.p[literal.n - 1] != ']' ||
	    addr_ip_parse_literal(inside, &ip) != RC_OK)
		return RC_NONE;
	return access_find_addr(s->ev, &s->from, addr_ip_format(&ip, text));
}

static enum rc
check_domain(struct servers *s, struct str domain)
{
	struct str hosts, line, preference;
	enum rc rc;

	if (domain.n > 2 && domain.p[0] == '[')
		return check_literal(s, domain);
	rc = find_hosts(s, domain, &hosts);
	if (rc != RC_OK)
		return rc;
	rc = RC_NONE;
	while (rc == RC_NONE && str_token(&hosts, "\n", &line)) {
		struct str host = line;

		(void)str_cut(line, ' ', &preference, &host);
		rc = check_host(s, host);
	}
	return rc;
}

/* `what` is a name, or an address whose domain is meant. */
static enum rc
check(struct access_eval *ev, enum server_type type, struct str what, const char *cls)
{
	struct servers s = { .ev = ev,
		.type = type,
		.what = what,
		.from = { .table = ev->item->arg,
		    .subject = what,
		    .cls = cls,
		    .no_ok = true } };
	struct str local, domain;
	enum rc rc;

	addr_split(what, &local, &domain);
	if (str_is(str_c(cls), ACCESS_CLS_CLIENT)) /* compat */
		s.from.subject = access_client(ev);
	rc = check_domain(&s, domain.n > 0 ? domain : what);
	return rc == RC_MORE ? rc : RC_OK;
}

/* ---- the restrictions ---- */

static enum rc
check_client(
    struct access_eval *ev, enum server_type type, struct str name, const char *cls)
{
	return str_iis(name, "unknown") ? RC_OK : check(ev, type, name, cls);
}

enum server_subject { OF_CLIENT, OF_REVERSE, OF_HELO, OF_SENDER, OF_RECIPIENT };

static enum rc
check_subject(struct access_eval *ev, enum server_subject subject, enum server_type type)
{
	const struct access_request *q = ev->q;

	switch (subject) {
	case OF_CLIENT:
		return check_client(ev, type, q->client_name, ACCESS_CLS_CLIENT);
	case OF_REVERSE:
		return check_client(ev, type, q->client_reverse_name, ACCESS_CLS_REVERSE);
	case OF_HELO:
		return check(ev, type, q->helo, ACCESS_CLS_HELO);
	case OF_SENDER:
		return check(ev, type, access_shown(ev, q->sender), ACCESS_CLS_SENDER);
	case OF_RECIPIENT:
		return check(
		    ev, type, access_shown(ev, q->recipient), ACCESS_CLS_RECIPIENT);
	}
	return RC_OK;
}

enum rc
access_check_servers(struct access_eval *ev)
{
	static const char *const subjects[] = { [OF_CLIENT] = "check_client",
		[OF_REVERSE] = "check_reverse_client_hostname",
		[OF_HELO] = "check_helo",
		[OF_SENDER] = "check_sender",
		[OF_RECIPIENT] = "check_recipient" };
	static const char *const types[] = { [SERVER_A] = "_a_access",
		[SERVER_MX] = "_mx_access",
		[SERVER_NS] = "_ns_access" };
	struct str name = str_c(ev->item->r->name);
	unsigned subject = 0, type = 0;

	while (subject < ARRAY_LEN(subjects) - 1 &&
	       !str_starts(name, str_c(subjects[subject])))
		subject++;
	while (type < ARRAY_LEN(types) - 1 && !str_ends(name, str_c(types[type])))
		type++;
	return check_subject(ev, subject, type);
}
