#ifndef DNS_NAME_H
#define DNS_NAME_H
/* Domain names: on the wire, as text, as host names, backwards for PTR queries. */
#include "base/base.h"

#define DNS_NAME_WIRE_MAX 255 /* RFC 1035 2.3.4 */
#define DNS_NAME_TEXT_MAX 256 /* a name as text with its NUL; 253 characters at most */

/* A network address, 4 or 16 bytes in network order. IPv4-mapped IPv6 addresses are
 * never stored: they are IPv4. */
struct dns_addr {
	uint8_t family;    /* 4 or 6; 0: none */
	uint8_t bytes[16]; /* an IPv4 address uses the first four, the rest is zero */
};

#define DNS_ADDR_TEXT_MAX 46

/* Decodes an uncompressed wire-format name at the start of `in` into text without the
 * last dot ("." for the root). Labels with dots, blanks, NUL, backslashes, control or
 * 8-bit characters are refused, because such a name, printed, would lie.
 *
 * Returns: RC_PERM malformed; out_used (may be NULL) is how many bytes the name took. */
MUST_USE enum rc dns_name_decode(
    struct str in, char out[DNS_NAME_TEXT_MAX], size_t *out_used, struct err *e);

/* Encodes text as an uncompressed wire-format name. Returns: RC_PERM empty label, label
 * over 63, name over 255. */
MUST_USE enum rc dns_name_encode(
    struct str name, unsigned char out[DNS_NAME_WIRE_MAX], size_t *out_n);

/* Is it usable as a host name: letters, digits, hyphens (not at a label's ends) and
 * underscores, labels up to 63, at most 255, no empty label, and not all numeric? One
 * last dot is not allowed. Source: as Postfix checks names from peers and from DNS. */
bool dns_name_is_host(struct str name);

/* ASCII case and a last dot make no difference. */
bool dns_name_eq(struct str a, struct str b);
/* Is `name` equal to `domain` or below it? */
bool dns_name_under(struct str name, struct str domain);

/* "4.3.2.1.in-addr.arpa" and "…ip6.arpa". */
void dns_name_reverse(const struct dns_addr *a, char out[DNS_NAME_TEXT_MAX]);

/* Numeric text to address and back. Parsing takes no brackets, no "IPv6:", no scope, no
 * short IPv4 forms; an IPv4-mapped IPv6 address becomes IPv4. RC_NONE: not an address. */
MUST_USE enum rc dns_addr_parse(struct str s, struct dns_addr *out);
struct str dns_addr_format(const struct dns_addr *a, char out[DNS_ADDR_TEXT_MAX]);
bool dns_addr_eq(const struct dns_addr *a, const struct dns_addr *b);
/* Is `a` inside net/bits? Different families: no. */
bool dns_addr_in(const struct dns_addr *a, const struct dns_addr *net, unsigned bits);
#endif
