#ifndef ADDR_NET_H
#define ADDR_NET_H
/* IP addresses and networks as values: parse, format, match. No sockets. */
#include "base/base.h"

enum addr_family { ADDR_NONE, ADDR_IPV4 = 4, ADDR_IPV6 = 6 };

struct addr_ip {
	enum addr_family family;
	uint8_t b[16]; /* network order; IPv4 uses the first four */
};

#define ADDR_IP_TEXT_MAX 46 /* with the NUL */

/* "192.0.2.1", "2001:db8::1"; not in [] and without "IPv6:". A v4-mapped IPv6 address
 * becomes IPv4. RC_PERM: not an address. */
MUST_USE enum rc addr_ip_parse(struct str text, struct addr_ip *out);
/* The literal between [ and ] of a mailbox or of master.cf: with or without "IPv6:". */
MUST_USE enum rc addr_ip_parse_literal(struct str text, struct addr_ip *out);
/* Returns the view of what was written to `text`, NUL-terminated there too. */
struct str addr_ip_format(const struct addr_ip *ip, char text[ADDR_IP_TEXT_MAX]);
/* From the bytes of a struct sockaddr_in/in6 address: 4 or 16 of them; anything else is
 * ADDR_NONE. */
struct addr_ip addr_ip_from_bytes(const void *bytes, size_t n);
/* Clears the bits behind the first `bits`. */
void addr_ip_mask(struct addr_ip *ip, unsigned bits);
bool addr_ip_eq(const struct addr_ip *a, const struct addr_ip *b);
bool addr_ip_is_loopback(const struct addr_ip *ip);
/* For PTR queries: "1.2.0.192.in-addr.arpa", or nibbles under ip6.arpa. `name` has room
 * for 80. */
struct str addr_ip_reverse(const struct addr_ip *ip, char name[80]);

struct addr_net {
	struct addr_ip ip;
	uint8_t bits;
};

/* "192.0.2.0/24", "[2001:db8::]/32", "[::1]", "192.0.2.1". RC_PERM: not a network
 * pattern, or (Postfix refuses that too) bits set behind the prefix; `e` says which. */
MUST_USE enum rc addr_net_parse(struct str text, struct addr_net *out, struct err *e);
bool addr_net_has(const struct addr_net *net, const struct addr_ip *ip);
/* Whether `text` could be an address or network rather than a name or table: for match
 * lists. */
bool addr_net_looks_like(struct str text);
#endif
