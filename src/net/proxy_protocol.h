#ifndef NET_PROXY_PROTOCOL_H
#define NET_PROXY_PROTOCOL_H
/* The header that a proxy in front of us (HAProxy, nginx, a cloud's balancer) sends
 * before the client's own bytes: who the client is. Versions 1 (text) and 2 (binary).
 * Pure. Source: HAProxy, doc/proxy-protocol.txt; Postfix for what is refused. */
#include "addr/net.h"
#include "base/base.h"

#define PROXY_HEADER_MAX                                                                 \
	((size_t)536) /* compat: with extensions; a longer one is refused */

struct proxy_header {
	/* LOCAL or UNKNOWN: the proxy speaks for itself (health checks); nothing else is
	 * set. */
	bool is_local;
	struct addr_ip client, server;
	uint16_t client_port, server_port;
};

/* Decodes the header at the beginning of `in`. What follows it is the client's.
 * Returns: RC_OK with *out and *used; RC_MORE: it is not complete, give more behind what
 *          is there; RC_PERM: no such header, e has Postfix's words for it. */
MUST_USE enum rc proxy_header_decode(
    struct str in, struct proxy_header *out, size_t *used, struct err *e);
/* The same words for a header that will not be completed: the peer is gone. */
const char *proxy_header_cut(struct str in);
/* `in` as the log shows it: C escapes, no more than fits. */
struct str proxy_header_escape(struct str in, char *to, size_t size);
#endif
