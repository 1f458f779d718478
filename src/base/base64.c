/* Base64. Source: RFC 4648 section 4. */
#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct str
base64_encode(struct str bytes, struct arena *mem)
{
	size_t n = (bytes.n + 2) / 3 * 4;
	char *p = bytes.n > SIZE_MAX / 2 ? NULL : arena_get(mem, n + 1), *to = p;

	if (p == NULL)
		return str_n(NULL, 0);
	for (size_t i = 0; i < bytes.n; i += 3) {
		size_t have = bytes.n - i;
		unsigned v = (unsigned)(unsigned char)bytes.p[i] << 16;

		if (have > 1)
			v |= (unsigned)(unsigned char)bytes.p[i + 1] << 8;
		if (have > 2)
			v |= (unsigned char)bytes.p[i + 2];
		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = have > 1 ? alphabet[v >> 6 & 63] : '=';
		*to++ = have > 2 ? alphabet[v & 63] : '=';
	}
	return str_n(p, n);
}

/* Of one character; 64: none of ours. */
static unsigned
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* One group of four; how many bytes came of it, 0: malformed. */
static size_t
group(const char in[4], bool is_last, char out[3])
{
	size_t n = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
	unsigned v = 0;

	if (n < 3 && !is_last)
		return 0;
	for (size_t i = 0; i < 4; i++) {
		unsigned d = i <= n ? digit(in[i]) : 0;

		if (d == 64)
			return 0;
		v = v << 6 | d;
	}
	if ((n == 1 && (v & 0xffff) != 0) || (n == 2 && (v & 0xff) != 0))
		return 0;
	out[0] = (char)(v >> 16);
	out[1] = (char)(v >> 8 & 255);
	out[2] = (char)(v & 255);
	return n;
}

enum rc
base64_decode(struct str text, struct arena *mem, struct str *out)
{
	char *p;
	size_t n = 0;

	if (text.n % 4 != 0)
		return RC_PERM;
	p = arena_get(mem, text.n / 4 * 3 + 1);
	if (p == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < text.n; i += 4) {
		size_t got = group(text.p + i, i + 4 == text.n, p + n);

		if (got == 0)
			return RC_PERM;
		n += got;
	}
	p[n] = '\0';
	*out = str_n(p, n);
	return RC_OK;
}
