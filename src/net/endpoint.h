#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H
/* Socket endpoints: host:port forms, socket addresses as text, connect and listen, and
 * this system's own addresses. Nothing here blocks. */
#include "base/base.h"
#include "base/arena.h"
#include "addr/net.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct net_endpoint {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_storage any;
	} u;
};

/* ---- text ---- */

/* Where a next hop or service name points: "dom", "dom:port", "[host]", "[host]:port",
 * "[ipv6:…]:port", "[ipv6]". */
struct net_dest {
	struct str host; /* without brackets and without "IPv6:"; view into the input */
	bool is_literal; /* it was in brackets: no MX look-up */
	bool has_port;
	uint16_t port; /* default_port when !has_port */
};

/* What names of ports mean, in this order; then those that mail uses, which are built in,
 * so that a confined process needs no file for them. */
struct net_ports {
	struct str known;    /* known_tcp_ports: "smtps=submissions=465, lmtp=24" */
	struct str services; /* the text of /etc/services */
};

/* `ports` may be NULL. Returns: RC_PERM e: what is wrong ("unknown service: foo/tcp"). */
MUST_USE enum rc net_dest_parse(struct str s, uint16_t default_port,
    const struct net_ports *ports, struct net_dest *out, struct err *e);

/* Where a helper listens: "host:port", "[host]:port"; "port" and ":port" are on this
 * host. Returns: RC_PERM e: what is wrong. */
MUST_USE enum rc net_helper_parse(
    struct str s, const struct net_ports *ports, struct net_dest *out, struct err *e);

/* "25" or a name. `ports` may be NULL. Returns: RC_NONE unknown. */
MUST_USE enum rc net_port_find(
    struct str s, const struct net_ports *ports, uint16_t *out);

/* ---- addresses ---- */

void net_endpoint_set(struct net_endpoint *ep, const struct addr_ip *a, uint16_t port);
/* IPv4-mapped IPv6 comes out as IPv4. family 0: neither (a UNIX socket). */
struct addr_ip net_endpoint_addr(const struct net_endpoint *ep);
uint16_t net_endpoint_port(const struct net_endpoint *ep);
/* The peer's and the own end of a connected socket. */
MUST_USE enum rc net_endpoint_peer(int fd, struct net_endpoint *out, struct err *e);
MUST_USE enum rc net_endpoint_local(int fd, struct net_endpoint *out, struct err *e);
/* As it stands in Received: and in address literals: "1.2.3.4", "IPv6:::1". */
struct str net_addr_literal(const struct addr_ip *a, char out[ADDR_IP_TEXT_MAX + 5]);

/* ---- sockets ---- */

struct net_socket {
	const struct addr_ip *bind_to; /* may be NULL or of family 0 */
	int window_bytes;              /* tcp_windowsize; 0: the system's */
};

/* Starts to connect: non-blocking, close-on-exec, TCP_NODELAY. `how` may be NULL.
 *
 * Returns: RC_OK connected at once (loopback does that), RC_MORE under way: wait until
 *          writable, then net_connect_result(); RC_TEMP failed, e->sys is errno. *out_fd
 * is set for RC_OK and RC_MORE. */
MUST_USE enum rc net_connect(const struct net_endpoint *to, const struct net_socket *how,
    int *out_fd, struct err *e);
/* Returns: RC_OK connected; RC_TEMP failed, e->sys and text say why. */
MUST_USE enum rc net_connect_result(int fd, struct err *e);

/* A listening socket: SO_REUSEADDR, IPV6_V6ONLY, TCP_NODELAY for what it accepts,
 * non-blocking, close-on-exec.
 * `share`: SO_REUSEPORT. */
MUST_USE enum rc net_listen(
    const struct net_endpoint *at, int backlog, bool share, int *out_fd, struct err *e);
/* Sets the size of a listening socket's TCP window, for what it accepts from then on. 0:
 * does nothing. */
void net_set_window(int fd, int bytes);
/* Accepts one: non-blocking, close-on-exec. Returns: RC_MORE nobody waits;
 * RC_TEMP out of descriptors or memory: stop accepting for a while. */
MUST_USE enum rc net_accept(
    int listen_fd, int *out_fd, struct net_endpoint *out_peer, struct err *e);
#endif
