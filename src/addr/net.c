/* IP addresses and networks as values. The C library reads and writes the text (inet_pton
 * and inet_ntop look nothing up); what a value means is decided here. */
#include "addr/net.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

struct addr_ip
addr_ip_from_bytes(const void *bytes, size_t n)
{
	struct addr_ip ip = { .family = ADDR_NONE };
	const uint8_t *b = bytes;

	if (n == 16 && memcmp(b, v4_mapped, sizeof(v4_mapped)) == 0) {
		b += 12;
		n = 4;
	}
	if (n != 4 && n != 16)
		return ip;
	ip.family = n == 4 ? ADDR_IPV4 : ADDR_IPV6;
	memcpy(ip.b, b, n);
	return ip;
}

enum rc
addr_ip_parse(struct str text, struct addr_ip *out)
{
	char cstr[ADDR_IP_TEXT_MAX];
	uint8_t b[16];

	if (text.n == 0 || text.n >= sizeof(cstr) || memchr(text.p, '\0', text.n) != NULL)
		return RC_PERM;
	memcpy(cstr, text.p, text.n);
	cstr[text.n] = '\0';
	if (inet_pton(AF_INET, cstr, b) == 1)
		*out = addr_ip_from_bytes(b, 4);
	else if (inet_pton(AF_INET6, cstr, b) == 1)
		*out = addr_ip_from_bytes(b, 16);
	else
		return RC_PERM;
	return RC_OK;
}

enum rc
addr_ip_parse_literal(struct str text, struct addr_ip *out)
{
	if (!str_istarts(text, STR("IPv6:")))
		return addr_ip_parse(text, out);
	text = str_from(text, 5);
	return str_find(text, ':') == text.n ? RC_PERM : addr_ip_parse(text, out);
}

struct str
addr_ip_format(const struct addr_ip *ip, char text[ADDR_IP_TEXT_MAX])
{
	int family = ip->family == ADDR_IPV4 ? AF_INET : AF_INET6;

	text[0] = '\0';
	if (ip->family != ADDR_NONE &&
	    inet_ntop(family, ip->b, text, ADDR_IP_TEXT_MAX) == NULL)
		text[0] = '\0';
	return str_c(text);
}

bool
addr_ip_eq(const struct addr_ip *a, const struct addr_ip *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
addr_ip_is_loopback(const struct addr_ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (ip->family == ADDR_IPV4)
		return ip->b[0] == 127;
	return ip->family == ADDR_IPV6 && memcmp(ip->b, one, sizeof(one)) == 0;
}

struct str
addr_ip_reverse(const struct addr_ip *ip, char name[80])
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	name[0] = '\0';
	if (ip->family == ADDR_IPV4)
		(void)snprintf(name, 80, "%u.%u.%u.%u.in-addr.arpa", ip->b[3], ip->b[2],
		    ip->b[1], ip->b[0]);
	if (ip->family != ADDR_IPV6)
		return str_c(name);
	for (int i = 15; i >= 0; i--) {
		name[n++] = hex[ip->b[i] & 15];
		name[n++] = '.';
		name[n++] = hex[ip->b[i] >> 4];
		name[n++] = '.';
	}
	(void)snprintf(name + n, 80 - n, "ip6.arpa");
	return str_c(name);
}

/* ---- networks ---- */

static unsigned
all_bits(const struct addr_ip *ip)
{
	return ip->family == ADDR_IPV4 ? 32 : 128;
}

void
addr_ip_mask(struct addr_ip *ip, unsigned bits)
{
	unsigned bytes = all_bits(ip) / 8;

	for (unsigned i = 0; i < bytes; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;

		ip->b[i] = (uint8_t)(ip->b[i] & (0xff00 >> keep));
	}
}

/* "[addr]" or "addr"; a bracket on one side only is an error. */
static enum rc
parse_bracketed(struct str text, struct addr_ip *out)
{
	if (text.n > 2 && *text.p == '[' && text.p[text.n - 1] == ']')
		return addr_ip_parse_literal(
		    str_head(str_from(text, 1), text.n - 2), out);
	return addr_ip_parse(text, out);
}

/* "::ffff:127.0.0.0" has become IPv4; what it says of 128 bits is said of the last 32.
 * Debian's own mynetworks has such a network. */
static enum rc
parse_length(struct str len, const struct addr_ip *ip, bool is_mapped, uint8_t *out)
{
	unsigned skipped = is_mapped ? 96 : 0;
	uint64_t bits;

	if (str_u64(len, all_bits(ip) + skipped, &bits) != RC_OK || bits < skipped)
		return RC_PERM;
	*out = (uint8_t)(bits - skipped);
	return RC_OK;
}

enum rc
addr_net_parse(struct str text, struct addr_net *out, struct err *e)
{
	struct addr_net net = { 0 };
	struct addr_ip clean;
	struct str addr = text, len = STR("");
	char a[ADDR_IP_TEXT_MAX];
	bool has_len = str_cut(text, '/', &addr, &len), is_mapped;

	/* "[2001:db8::/32]" is seen in the wild as well. */
	if (has_len && addr.n > 1 && *addr.p == '[' && len.n > 1 &&
	    len.p[len.n - 1] == ']') {
		addr = str_from(addr, 1);
		len = str_head(len, len.n - 1);
	}
	if (parse_bracketed(addr, &net.ip) != RC_OK)
		return err_set(
		    e, RC_PERM, "bad net/mask pattern: \"%.*s\"", STR_ARG(text));
	is_mapped = net.ip.family == ADDR_IPV4 && str_find(addr, ':') < addr.n;
	net.bits = (uint8_t)all_bits(&net.ip);
	if (has_len && parse_length(len, &net.ip, is_mapped, &net.bits) != RC_OK)
		return err_set(
		    e, RC_PERM, "bad net/mask pattern: \"%.*s\"", STR_ARG(text));
	clean = net.ip;
	addr_ip_mask(&clean, net.bits);
	if (!addr_ip_eq(&clean, &net.ip)) /* compat */
		return err_set(e, RC_PERM,
		    "non-null host address bits in \"%.*s\", perhaps you should use "
		    "\"%s%s%s/%u\" "
		    "instead",
		    STR_ARG(text), net.ip.family == ADDR_IPV6 ? "[" : "",
		    addr_ip_format(&clean, a).p, net.ip.family == ADDR_IPV6 ? "]" : "",
		    net.bits);
	*out = net;
	return RC_OK;
}

bool
addr_net_has(const struct addr_net *net, const struct addr_ip *ip)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;

	if (net->ip.family != ip->family || memcmp(net->ip.b, ip->b, bytes) != 0)
		return false;
	return rest == 0 ||
	       (net->ip.b[bytes] >> (8 - rest)) == (ip->b[bytes] >> (8 - rest));
}

bool
addr_net_looks_like(struct str text)
{
	if (text.n == 0)
		return false;
	if (*text.p == '[')
		return true;
	for (size_t i = 0; i < text.n; i++)
		if (!ascii_isdigit(text.p[i]) && text.p[i] != '.' && text.p[i] != '/')
			return false;
	return true;
}
