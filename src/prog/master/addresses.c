/* Where the inet services of master.cf listen: "smtp", "2525", "127.0.0.1:25",
 * "[::1]:smtp", "localhost:2525". Source: master(5), "Service name". */
#include "prog/master/master.h"
#include <netdb.h>
#include <string.h>
#include "base/arena.h"
#include "net/endpoint.h"
#include "os/fd.h"

enum { ADDRESSES_MAX = 256, SERVICES_MAX = 4 << 20 };

static enum rc
find_port(const struct config *c, struct str text, struct arena *mem, uint16_t *out,
    struct err *e)
{
	struct net_ports ports = { .known = c->common.known_tcp_ports };
	enum rc rc = os_fd_load("/etc/services", SERVICES_MAX, mem, &ports.services, e);

	if (rc != RC_OK)
		ports.services = STR(""); /* the names that mail uses are built in */
	if (net_port_find(text, &ports, out) == RC_OK)
		return RC_OK;
	return err_set(
	    e, RC_PERM, "unknown service: %.*s/tcp", STR_ARG(text)); /* compat */
}

static enum rc
add(struct address_list *l, const struct sockaddr *sa, socklen_t len, uint16_t port)
{
	struct net_endpoint *ep;

	if (l->n == ADDRESSES_MAX || len > sizeof(ep->u))
		return RC_PERM;
	ep = &l->v[l->n++];
	memcpy(&ep->u, sa, len);
	ep->len = len;
	if (sa->sa_family == AF_INET)
		ep->u.in4.sin_port = htons(port);
	else
		ep->u.in6.sin6_port = htons(port);
	return RC_OK;
}

/* inet_interfaces = all: the wildcard addresses. */
static enum rc
add_wildcards(struct address_list *l, struct conf_protocols p, uint16_t port)
{
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	const struct sockaddr_in four = { .sin_family = AF_INET };
	enum rc rc = RC_OK;

	if (p.has_ipv4)
		rc = add(l, (const struct sockaddr *)&four, sizeof(four), port);
	if (rc == RC_OK && p.has_ipv6)
		rc = add(l, (const struct sockaddr *)&six, sizeof(six), port);
	return rc;
}

static enum rc
add_own(const struct config *c, struct conf_protocols p, uint16_t port, struct arena *mem,
    struct address_list *l, struct err *e)
{
	struct conf_addresses own = { 0 };
	enum rc rc;

	if (str_iis(str_trim(c->conf.inet_interfaces), "all"))
		return add_wildcards(l, p, port);
	rc = conf_own_addresses(c->snapshot, NULL, false, mem, &own, e);
	for (size_t i = 0; rc == RC_OK && i < own.n; i++) {
		struct net_endpoint ep;

		net_endpoint_set(&ep, &own.v[i], port);
		rc = add(l, &ep.u.sa, ep.len, port);
	}
	return rc;
}

static enum rc
add_host(struct str host, struct conf_protocols p, uint16_t port, struct arena *mem,
    struct address_list *l, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	const char *name = arena_cstr(mem, host);
	enum rc rc = RC_OK;
	int error;

	if (name == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	error = getaddrinfo(name, NULL, &hints, &found);
	if (error != 0)
		return err_set(e, RC_PERM, "host %s: %s", name, gai_strerror(error));
	for (struct addrinfo *a = found; a != NULL && rc == RC_OK; a = a->ai_next)
		if ((a->ai_family == AF_INET && p.has_ipv4) ||
		    (a->ai_family == AF_INET6 && p.has_ipv6))
			rc = add(l, a->ai_addr, a->ai_addrlen, port);
	freeaddrinfo(found);
	return rc == RC_OK ? rc
			   : err_set(e, RC_PERM, "host %s: too many addresses", name);
}

/* "[host]:port", "host:port", "port" to its two parts; no host: *host is empty. */
static enum rc
split(struct str name, struct str *host, struct str *port)
{
	size_t at;

	*host = STR("");
	if (name.n > 0 && name.p[0] == '[') {
		if (!str_cut(str_from(name, 1), ']', host, port) || port->n < 2 ||
		    port->p[0] != ':')
			return RC_PERM;
		*port = str_from(*port, 1);
		if (str_istarts(*host, STR("ipv6:")))
			*host = str_from(*host, 5);
		return RC_OK;
	}
	at = str_rfind(name, ':');
	*port = at < name.n ? str_from(name, at + 1) : name;
	if (at < name.n)
		*host = str_head(name, at);
	return port->n > 0 ? RC_OK : RC_PERM;
}

enum rc
address_find(const struct config *c, const struct master_service *s, struct arena *mem,
    struct address_list *out, struct err *e)
{
	struct address_list l = { 0 };
	struct conf_protocols p;
	struct str host, port_text;
	uint16_t port = 0;
	enum rc rc;

	l.v = arena_array(mem, ADDRESSES_MAX, sizeof(*l.v));
	if (l.v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = conf_protocols(c->snapshot, NULL, &p, e);
	if (rc != RC_OK)
		return rc;
	if (split(s->name, &host, &port_text) != RC_OK)
		return err_set(e, RC_PERM, "bad address \"%.*s\"", STR_ARG(s->name));
	rc = find_port(c, port_text, mem, &port, e);
	if (rc != RC_OK)
		return rc;
	rc = host.n > 0 ? add_host(host, p, port, mem, &l, e)
			: add_own(c, p, port, mem, &l, e);
	if (rc == RC_OK)
		*out = l;
	return rc;
}
