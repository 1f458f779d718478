/* Views: compare, split, convert. Nothing here allocates. */
#include "base/base.h"
#include <string.h>
#include <strings.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

struct str
str_c(const char *cstr)
{
	return cstr == NULL ? STR("") : (struct str){ cstr, strlen(cstr) };
}

struct str
str_n(const void *p, size_t n)
{
	return (struct str){ p, n };
}

/* memcmp(NULL, …, 0) is undefined, and empty views may hold NULL. */
static bool
same(const char *a, const char *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

static bool
isame(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && same(a.p, b.p, a.n);
}

bool
str_ieq(struct str a, struct str b)
{
	return a.n == b.n && isame(a.p, b.p, a.n);
}

bool
str_is(struct str a, const char *b)
{
	return str_eq(a, str_c(b));
}

bool
str_iis(struct str a, const char *b)
{
	return str_ieq(a, str_c(b));
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && same(s.p, prefix.p, prefix.n);
}

bool
str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && isame(s.p, prefix.p, prefix.n);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && same(s.p + s.n - suffix.n, suffix.p, suffix.n);
}

bool
str_iends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && isame(s.p + s.n - suffix.n, suffix.p, suffix.n);
}

bool
str_is_ascii(struct str s)
{
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t word;

		memcpy(&word, s.p + i, 8);
		if ((word & HIGH_BITS) != 0)
			return false;
	}
	for (; i < s.n; i++)
		if ((s.p[i] & 0x80) != 0)
			return false;
	return true;
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

struct str
str_from(struct str s, size_t offset)
{
	return offset >= s.n ? STR("") : (struct str){ s.p + offset, s.n - offset };
}

struct str
str_head(struct str s, size_t n)
{
	return (struct str){ s.p, n < s.n ? n : s.n };
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? s.n : (size_t)(at - s.p);
}

size_t
str_find_pair(struct str s, char a, char b)
{
	size_t at = 1;

	while (at < s.n) {
		at += str_find(str_from(s, at), b);
		if (at < s.n && s.p[at - 1] == a)
			return at - 1;
		at++;
	}
	return s.n;
}

size_t
str_rfind(struct str s, char c)
{
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == c)
			return i - 1;
	return s.n;
}

bool
str_is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '\0')
			return false;
	return true;
}

bool
str_cut(struct str s, char c, struct str *head, struct str *tail)
{
	size_t at = str_find(s, c);

	if (at == s.n)
		return false;
	*head = str_head(s, at);
	*tail = str_from(s, at + 1);
	return true;
}

bool
str_token(struct str *rest, const char *separators, struct str *out)
{
	size_t skip = 0, end;

	while (skip < rest->n && strchr(separators, rest->p[skip]) != NULL &&
	       rest->p[skip] != '\0')
		skip++;
	if (skip == rest->n) {
		*rest = STR("");
		return false;
	}
	for (end = skip; end < rest->n; end++)
		if (rest->p[end] != '\0' && strchr(separators, rest->p[end]) != NULL)
			break;
	*out = (struct str){ rest->p + skip, end - skip };
	*rest = str_from(*rest, end);
	return true;
}

enum rc
str_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return RC_PERM;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit;

		if (!ascii_isdigit(s.p[i]))
			return RC_PERM;
		digit = (unsigned)(s.p[i] - '0');
		if (digit > max || v > (max - digit) / 10)
			return RC_PERM;
		v = v * 10 + digit;
	}
	*out = v;
	return RC_OK;
}

enum rc
str_hex64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 16)
		return RC_PERM;
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (ascii_isdigit(c))
			v = v << 4 | (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (unsigned)(c - 'a' + 10);
		else
			return RC_PERM;
	}
	*out = v;
	return RC_OK;
}
