/* Owns socket addresses and the making of TCP sockets. */
#include "net/endpoint.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
net_endpoint_set(struct net_endpoint *ep, const struct addr_ip *a, uint16_t port)
{
	memset(ep, 0, sizeof(*ep));
	if (a->family == 6) {
		ep->len = sizeof(ep->u.in6);
		ep->u.in6.sin6_family = AF_INET6;
		ep->u.in6.sin6_port = htons(port);
		memcpy(&ep->u.in6.sin6_addr, a->b, 16);
	} else {
		ep->len = sizeof(ep->u.in4);
		ep->u.in4.sin_family = AF_INET;
		ep->u.in4.sin_port = htons(port);
		memcpy(&ep->u.in4.sin_addr, a->b, 4);
	}
}

struct addr_ip
net_endpoint_addr(const struct net_endpoint *ep)
{
	if (ep->u.sa.sa_family == AF_INET)
		return addr_ip_from_bytes(&ep->u.in4.sin_addr, 4);
	if (ep->u.sa.sa_family == AF_INET6)
		return addr_ip_from_bytes(&ep->u.in6.sin6_addr, 16);
	return (struct addr_ip){ .family = ADDR_NONE };
}

uint16_t
net_endpoint_port(const struct net_endpoint *ep)
{
	if (ep->u.sa.sa_family == AF_INET)
		return ntohs(ep->u.in4.sin_port);
	if (ep->u.sa.sa_family == AF_INET6)
		return ntohs(ep->u.in6.sin6_port);
	return 0;
}

enum rc
net_endpoint_peer(int fd, struct net_endpoint *out, struct err *e)
{
	struct net_endpoint ep = { .len = sizeof(ep.u) };

	if (getpeername(fd, &ep.u.sa, &ep.len) < 0)
		return err_sys(e, RC_TEMP, "getpeername");
	*out = ep;
	return RC_OK;
}

enum rc
net_endpoint_local(int fd, struct net_endpoint *out, struct err *e)
{
	struct net_endpoint ep = { .len = sizeof(ep.u) };

	if (getsockname(fd, &ep.u.sa, &ep.len) < 0)
		return err_sys(e, RC_TEMP, "getsockname");
	*out = ep;
	return RC_OK;
}

struct str
net_addr_literal(const struct addr_ip *a, char out[ADDR_IP_TEXT_MAX + 5])
{
	char text[ADDR_IP_TEXT_MAX];

	(void)snprintf(out, ADDR_IP_TEXT_MAX + 5, "%s%s", a->family == 6 ? "IPv6:" : "",
	    addr_ip_format(a, text).p);
	return str_c(out);
}

static void
no_delay(int fd)
{
	int one = 1;

	/* Only a matter of speed: a socket that cannot do it works as well. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static enum rc
bind_source(int fd, const struct addr_ip *a, struct err *e)
{
	struct net_endpoint from;
	int one = 1;

	/* The kernel picks the port at connect, so one source address is not limited to
	 * one connection a port. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	net_endpoint_set(&from, a, 0);
	if (bind(fd, &from.u.sa, from.len) < 0)
		return err_sys(e, RC_TEMP, "bind");
	return RC_OK;
}

void
net_set_window(int fd, int bytes)
{
	/* Of a size that the system does not like it takes what it can. */
	if (bytes > 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	}
}

enum rc
net_connect(const struct net_endpoint *to, const struct net_socket *how, int *out_fd,
    struct err *e)
{
	const struct addr_ip *bind_to = how != NULL ? how->bind_to : NULL;
	bool is_bound = bind_to != NULL && bind_to->family != 0;
	int fd;
	enum rc rc = RC_OK;

	fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "socket");
	no_delay(fd);
	/* Before it connects: the first packet says how the window scales. */
	net_set_window(fd, how != NULL ? how->window_bytes : 0);
	if (is_bound && (bind_to->family == 6) == (to->u.sa.sa_family == AF_INET6))
		rc = bind_source(fd, bind_to, e);
	if (rc == RC_OK && connect(fd, &to->u.sa, to->len) < 0)
		rc = errno == EINPROGRESS ? RC_MORE : err_sys(e, RC_TEMP, "connect");
	if (rc == RC_TEMP)
		(void)close(fd);
	else
		*out_fd = fd;
	return rc;
}

enum rc
net_connect_result(int fd, struct err *e)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0)
		return RC_OK;
	errno = error;
	return err_sys(e, RC_TEMP, "connect");
}

enum rc
net_listen(
    const struct net_endpoint *at, int backlog, bool share, int *out_fd, struct err *e)
{
	int one = 1, fd;
	enum rc rc = RC_OK;

	fd = socket(at->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		rc = err_sys(e, RC_TEMP, "SO_REUSEADDR");
	else if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		rc = err_sys(e, RC_TEMP, "SO_REUSEPORT");
	else if (at->u.sa.sa_family == AF_INET6 &&
		 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		rc = err_sys(e, RC_TEMP, "IPV6_V6ONLY");
	else if (bind(fd, &at->u.sa, at->len) < 0)
		rc = err_sys(e, RC_TEMP, "bind");
	else if (listen(fd, backlog) < 0)
		rc = err_sys(e, RC_TEMP, "listen");
	no_delay(fd); /* what it accepts inherits it */
	if (rc == RC_OK)
		*out_fd = fd;
	else
		(void)close(fd);
	return rc;
}

/* Errors of accept that belong to the one connection, which is gone, not to the socket.
 * Source: accept(2), "Error handling". */
static bool
is_peers_trouble(int error)
{
	switch (error) {
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EINTR:
	case EAGAIN:
		return true;
	}
	return false;
}

enum rc
net_accept(int listen_fd, int *out_fd, struct net_endpoint *out_peer, struct err *e)
{
	struct net_endpoint peer = { .len = sizeof(peer.u) };
	int fd;

	fd = accept4(listen_fd, &peer.u.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && is_peers_trouble(errno))
		return RC_MORE;
	if (fd < 0)
		return err_sys(e, RC_TEMP, "accept");
	*out_fd = fd;
	*out_peer = peer;
	return RC_OK;
}
