#include "smtp/orcpt.h"
#include "addr/address.h"
#include "base/buf.h"
#include "base/utf8.h"

enum { UTF8_LAST = 0x10ffff, CODE_MAX = 6 }; /* bytes of the longest "\x{…}" per byte */

static bool
is_control(uint64_t c)
{
	return c < ' ' || c == 127;
}

static size_t
put_char(char *p, uint64_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; c >>= 6)
		p[i] = (char)(0x80 | (c & 0x3f));
	p[0] = (char)(first[n] | c);
	return n;
}

/* The character that "\x{…}" at the front of `in` stands for, and how long that is. */
static enum rc
read_code(struct str in, uint64_t *out, size_t *out_n)
{
	struct str digits = str_from(in, 3), rest;

	while (digits.n > 1 && digits.p[0] == '0' && digits.p[1] != '}')
		digits = str_from(digits, 1);
	rest = digits;
	digits = str_head(digits, str_find(digits, '}'));
	if (digits.n == rest.n || digits.n == 0 || digits.n > 6 ||
	    str_hex64(digits, out) != RC_OK)
		return RC_PERM;
	if (*out > UTF8_LAST || (*out >= 0xd800 && *out < 0xe000))
		return RC_PERM;
	*out_n = (size_t)(digits.p + digits.n + 1 - in.p);
	return RC_OK;
}

/* compat: a backslash that begins no code stands for itself. */
static enum rc
decode_utf8(struct str in, struct arena *mem, struct str *out)
{
	char *p = arena_get(mem, in.n + 4);
	size_t n = 0, used;

	if (p == NULL)
		return RC_TEMP;
	for (; in.n > 0; in = str_from(in, used)) {
		uint64_t c = (unsigned char)in.p[0];

		used = 1;
		if (!str_istarts(in, STR("\\x{")))
			p[n++] = in.p[0];
		else if (read_code(in, &c, &used) == RC_OK)
			n += put_char(p + n, c);
		else
			return RC_PERM;
		if (is_control(c))
			return RC_PERM;
	}
	*out = str_n(p, n);
	return RC_OK;
}

/* What cannot be one would be read as more than that. */
static bool
is_type(struct str type)
{
	for (size_t i = 0; i < type.n; i++)
		if (type.p[i] <= ' ' || type.p[i] > '~')
			return false;
	return type.n > 0;
}

enum rc
smtp_orcpt_decode(struct str in, struct arena *mem, struct str *out)
{
	struct str type, coded, text;
	enum rc rc;

	if (!str_cut(in, ';', &type, &coded) || !is_type(type))
		return RC_PERM;
	rc = str_iis(type, "utf-8") ? decode_utf8(coded, mem, &text)
				    : addr_xtext_decode(coded, mem, &text);
	if (rc != RC_OK)
		return rc;
	*out = arena_printf(mem, "%.*s;%.*s", STR_ARG(type), STR_ARG(text));
	return out->p == NULL ? RC_TEMP : RC_OK;
}

static uint32_t
code_point(struct str s, size_t n)
{
	uint32_t c = (unsigned char)s.p[0] & (0xffU >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
	return c;
}

static enum rc
encode_utf8(struct str text, struct buf *out)
{
	enum rc rc = RC_OK;
	size_t n = 0;

	for (; rc == RC_OK && text.n > 0; text = str_from(text, n)) {
		char c = text.p[0];

		n = utf8_char_size(text);
		if (n == 0)
			return RC_PERM;
		if (n > 1)
			rc = buf_printf(out, "\\x{%X}", code_point(text, n));
		else if (c > ' ' && c < 127 && c != '+' && c != '=' && c != '\\')
			rc = buf_put(out, str_n(text.p, 1));
		else
			rc = buf_printf(out, "\\x{%X}", (unsigned)c);
	}
	return rc;
}

struct str
smtp_orcpt_encode(struct str orcpt, struct arena *mem)
{
	struct str type, text, coded;
	struct buf b;

	if (!str_cut(orcpt, ';', &type, &text) || !is_type(type))
		return (struct str){ NULL, 0 };
	if (!str_iis(type, "utf-8")) {
		coded = addr_xtext_encode(text, mem);
		return coded.p == NULL ? coded
				       : arena_printf(mem, "%.*s;%.*s", STR_ARG(type),
					     STR_ARG(coded));
	}
	buf_init(&b, CODE_MAX * text.n + 8);
	if (encode_utf8(text, &b) == RC_OK)
		coded =
		    arena_printf(mem, "%.*s;%.*s", STR_ARG(type), STR_ARG(buf_view(&b)));
	else
		coded = (struct str){ NULL, 0 };
	buf_fini(&b);
	return coded;
}
