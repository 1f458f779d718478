/* Owns port numbers by name and the forms of a next hop ("dom", "[host]:port"). The names
 * that mail uses are built in, so that a confined process needs no file for them. */
#include "addr/domain.h"
#include "net/endpoint.h"
#include <string.h>

static const struct {
	const char *name;
	uint16_t port;
} services[] = {
	{ "smtp", 25 },
	{ "mail", 25 },
	{ "submission", 587 },
	{ "submissions", 465 },
	{ "smtps", 465 },
	{ "ssmtp", 465 },
	{ "lmtp", 24 },
	{ "qmtp", 209 },
	{ "qmqp", 628 },
	{ "domain", 53 },
	{ "http", 80 },
	{ "https", 443 },
	{ "pop3", 110 },
	{ "imap", 143 },
	{ "imaps", 993 },
	{ "pop3s", 995 },
	{ "ident", 113 },
	{ "auth", 113 },
	{ "ldap", 389 },
	{ "ldaps", 636 },
	{ "mysql", 3306 },
	{ "postgresql", 5432 },
};

static enum rc
parse_number(struct str s, uint16_t *out)
{
	uint64_t v;

	if (str_u64(s, 65535, &v) != RC_OK || v == 0)
		return RC_NONE;
	*out = (uint16_t)v;
	return RC_OK;
}

/* "name=alias=25": whether `s` is one of the names. */
static bool
known_item(struct str item, struct str s, uint16_t *out)
{
	struct str name;
	bool is_it = false;

	while (str_cut(item, '=', &name, &item))
		is_it |= str_eq(name, s);
	return is_it && parse_number(item, out) == RC_OK;
}

/* "name 25/tcp alias … # comment" */
static bool
service_line(struct str line, struct str name, uint16_t *out)
{
	struct str rest = str_head(line, str_find(line, '#')), word, port, number, proto;
	bool is_it;

	if (!str_token(&rest, " \t\r", &word) || !str_token(&rest, " \t\r", &port))
		return false;
	is_it = str_eq(word, name);
	while (!is_it && str_token(&rest, " \t\r", &word))
		is_it = str_eq(word, name);
	if (!is_it || !str_cut(port, '/', &number, &proto) || !str_is(proto, "tcp"))
		return false;
	return parse_number(number, out) == RC_OK;
}

/* From what the administrator says to what everybody knows. */
static enum rc
find_name(struct str s, const struct net_ports *ports, uint16_t *out)
{
	struct str known = ports->known, text = ports->services, word;

	while (str_token(&known, ", \t\r\n", &word))
		if (known_item(word, s, out))
			return RC_OK;
	while (str_token(&text, "\n", &word))
		if (service_line(word, s, out))
			return RC_OK;
	return RC_NONE;
}

enum rc
net_port_find(struct str s, const struct net_ports *ports, uint16_t *out)
{
	uint64_t v;

	if (str_u64(s, UINT64_MAX, &v) == RC_OK)
		return parse_number(s, out);
	if (ports != NULL && find_name(s, ports, out) == RC_OK)
		return RC_OK;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		if (str_is(s, services[i].name)) {
			*out = services[i].port;
			return RC_OK;
		}
	}
	return RC_NONE;
}

/* "[…]" and what follows it. */
static enum rc
split_literal(struct str s, struct str *host, struct str *rest, struct err *e)
{
	size_t close = str_find(s, ']');

	if (close == s.n)
		return err_set(e, RC_PERM,
		    "missing \"]\" in server description: %.*s", /* compat */
		    STR_ARG(s));
	*host = (struct str){ s.p + 1, close - 1 };
	*rest = str_from(s, close + 1);
	if (str_istarts(*host, STR("IPv6:")))
		*host = str_from(*host, 5);
	return RC_OK;
}

/* What can be asked for at all. A name beyond ASCII is the resolver's to refuse. */
static bool
is_host(struct str host)
{
	struct addr_ip a;

	for (size_t i = 0; i < host.n; i++) {
		if ((unsigned char)host.p[i] >= 0x80)
			return host.n <= 255;
	}
	return addr_hostname_valid(host) || addr_ip_parse(host, &a) == RC_OK;
}

enum rc
net_dest_parse(struct str s, uint16_t default_port, const struct net_ports *ports,
    struct net_dest *out, struct err *e)
{
	struct net_dest d = { .port = default_port };
	struct str rest = STR("");

	s = str_trim(s);
	if (s.n > 0 && s.p[0] == '[') {
		d.is_literal = true;
		if (split_literal(s, &d.host, &rest, e) != RC_OK)
			return RC_PERM;
	} else {
		d.host = str_head(s, str_find(s, ':'));
		rest = str_from(s, d.host.n);
	}
	if (rest.n > 0 && rest.p[0] != ':')
		return err_set(e, RC_PERM,
		    "garbage after \"]\" in server description: %.*s", STR_ARG(s));
	if (!is_host(d.host))
		return err_set(e, RC_PERM,
		    "valid hostname or network address required in server description: "
		    "%.*s",
		    STR_ARG(s)); /* compat */
	/* "host:" means the default port (compat). */
	if (rest.n > 1) {
		rest = str_from(rest, 1);
		if (net_port_find(rest, ports, &d.port) != RC_OK)
			return err_set(e, RC_PERM, "unknown service: %.*s/tcp",
			    STR_ARG(rest)); /* compat */
		d.has_port = true;
	}
	*out = d;
	return RC_OK;
}

enum rc
net_helper_parse(
    struct str s, const struct net_ports *ports, struct net_dest *out, struct err *e)
{
	struct str port;
	enum rc rc;

	s = str_trim(s);
	port = s.n > 0 && s.p[0] == ':' ? str_from(s, 1) : s;
	if (str_find(port, ':') == port.n && str_find(port, ']') == port.n) {
		*out = (struct net_dest){ .host = STR("localhost"), .has_port = true };
		return net_port_find(port, ports, &out->port) == RC_OK
			   ? RC_OK
			   : err_set(e, RC_PERM, "unknown service: %.*s/tcp",
				 STR_ARG(port)); /* compat */
	}
	rc = net_dest_parse(s, 0, ports, out, e);
	if (rc == RC_OK && !out->has_port)
		rc = err_set(
		    e, RC_PERM, "no port in server description: %.*s", STR_ARG(s));
	return rc;
}
