/* Owns domain names in two shapes: wire format and text. Leaves out name compression:
 * libunbound hands rdata out with whole names, so a pointer here is an error. */
#include "dns/name.h"
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
