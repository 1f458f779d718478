/* Owns domain names in their three shapes: wire format, text, and backwards below the
 * arpa domains; and addresses as text. Leaves out name compression: libunbound hands
 * rdata out with whole names, so a pointer here is an error. */
#include "dns/name.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* A name with such a byte in a label could be printed only with escapes that nothing of
 * ours reads back; nobody has one for mail. */
static bool
label_char_ok(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\' && c != '"' && c != '(' &&
	       c != ')' && c != ';';
}

static bool
labels_ok(struct str label)
{
	for (size_t i = 0; i < label.n; i++) {
		if (!label_char_ok((unsigned char)label.p[i]))
			return false;
	}
	return true;
}

enum rc
dns_name_decode(
    struct str in, char out[DNS_NAME_TEXT_MAX], size_t *out_used, struct err *e)
{
	char text[DNS_NAME_TEXT_MAX];
	size_t at = 0, n = 0;

	for (;;) {
		if (at >= in.n)
			return err_set(e, RC_PERM, "domain name cut short");
		size_t len = (unsigned char)in.p[at];
		if (len == 0)
			break;
		if (len > 63)
			return err_set(e, RC_PERM, "domain name with a bad label length");
		if (len >= in.n - at)
			return err_set(e, RC_PERM, "domain name cut short");
		/* The root's length byte counts: at + 1 + len + 1 bytes at least. */
		if (at + len + 2 > DNS_NAME_WIRE_MAX)
			return err_set(e, RC_PERM, "domain name too long");
		if (!labels_ok((struct str){ in.p + at + 1, len }))
			return err_set(
			    e, RC_PERM, "domain name with a strange character");
		if (n > 0)
			text[n++] = '.';
		memcpy(text + n, in.p + at + 1, len);
		n += len;
		at += len + 1;
	}
	if (n == 0)
		text[n++] = '.';
	memcpy(out, text, n);
	out[n] = '\0';
	if (out_used != NULL)
		*out_used = at + 1;
	return RC_OK;
}

enum rc
dns_name_encode(struct str name, unsigned char out[DNS_NAME_WIRE_MAX], size_t *out_n)
{
	unsigned char wire[DNS_NAME_WIRE_MAX];
	struct str label;
	size_t n = 0;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	for (bool more = name.n > 0; more;) {
		more = str_cut(name, '.', &label, &name);
		if (!more)
			label = name;
		if (label.n == 0 || label.n > 63 || n + label.n + 2 > sizeof(wire))
			return RC_PERM;
		wire[n++] = (unsigned char)label.n;
		memcpy(wire + n, label.p, label.n);
		n += label.n;
	}
	wire[n++] = 0;
	memcpy(out, wire, n);
	*out_n = n;
	return RC_OK;
}

bool
dns_name_is_host(struct str name)
{
	bool is_numeric = true;
	size_t label = 0;

	if (name.n == 0 || name.n > 255)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (ascii_isalnum(c) || c == '_' || c == '-') {
			/* A hyphen may stand neither at the start nor at the end of a
			 * label. */
			if (c == '-' &&
			    (label == 0 || i + 1 == name.n || name.p[i + 1] == '.'))
				return false;
			if (++label > 63)
				return false;
			if (!ascii_isdigit(c))
				is_numeric = false;
		} else if (c == '.') {
			if (label == 0 || i + 1 == name.n)
				return false;
			label = 0;
		} else {
			return false;
		}
	}
	return !is_numeric;
}

static struct str
without_last_dot(struct str s)
{
	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

bool
dns_name_eq(struct str a, struct str b)
{
	return str_ieq(without_last_dot(a), without_last_dot(b));
}

bool
dns_name_under(struct str name, struct str domain)
{
	name = without_last_dot(name);
	domain = without_last_dot(domain);
	if (name.n == domain.n)
		return str_ieq(name, domain);
	return name.n > domain.n && str_iends(name, domain) &&
	       name.p[name.n - domain.n - 1] == '.';
}

void
dns_name_reverse(const struct dns_addr *a, char out[DNS_NAME_TEXT_MAX])
{
	char *p = out;

	if (a->family == 4) {
		(void)snprintf(out, DNS_NAME_TEXT_MAX, "%u.%u.%u.%u.in-addr.arpa",
		    a->bytes[3], a->bytes[2], a->bytes[1], a->bytes[0]);
		return;
	}
	for (size_t i = 16; i-- > 0;) {
		*p++ = "0123456789abcdef"[a->bytes[i] & 15];
		*p++ = '.';
		*p++ = "0123456789abcdef"[a->bytes[i] >> 4];
		*p++ = '.';
	}
	memcpy(p, "ip6.arpa", sizeof("ip6.arpa"));
}

enum rc
dns_addr_parse(struct str s, struct dns_addr *out)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[DNS_ADDR_TEXT_MAX];
	struct dns_addr a = { 0 };

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return RC_NONE;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET, text, a.bytes) == 1) {
		a.family = 4;
	} else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
		a.family = 6;
		if (memcmp(a.bytes, mapped, sizeof(mapped)) == 0) {
			memcpy(a.bytes, a.bytes + 12, 4);
			memset(a.bytes + 4, 0, 12);
			a.family = 4;
		}
	} else {
		return RC_NONE;
	}
	*out = a;
	return RC_OK;
}

struct str
dns_addr_format(const struct dns_addr *a, char out[DNS_ADDR_TEXT_MAX])
{
	if (a->family == 4 || a->family == 6)
		(void)inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out,
		    DNS_ADDR_TEXT_MAX);
	else
		memcpy(out, "unknown", sizeof("unknown"));
	return str_c(out);
}

bool
dns_addr_eq(const struct dns_addr *a, const struct dns_addr *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
dns_addr_in(const struct dns_addr *a, const struct dns_addr *net, unsigned bits)
{
	size_t whole = bits / 8;

	if (a->family != net->family || bits > (a->family == 4 ? 32U : 128U))
		return false;
	if (memcmp(a->bytes, net->bytes, whole) != 0)
		return false;
	return bits % 8 == 0 ||
	       (a->bytes[whole] ^ net->bytes[whole]) >> (8 - bits % 8) == 0;
}
