/* Replies of table servers. */
#include "map/reply.h"
#include <string.h>

#define LENGTH_DIGITS 20 /* of a netstring; zeros in front are allowed */

enum rc
map_reply_line(struct str in, size_t max, struct str *out, size_t *out_used)
{
	size_t n = str_find(in, '\n');

	if (n >= max)
		return RC_TEMP;
	if (n == in.n)
		return RC_MORE;
	*out = str_head(in, n);
	*out_used = n + 1;
	return RC_OK;
}

enum rc
map_reply_netstring(struct str in, size_t max, struct str *out, size_t *out_used)
{
	size_t i = 0, n = 0;

	while (i < in.n && ascii_isdigit(in.p[i])) {
		n = n * 10 + (size_t)(in.p[i] - '0');
		if (n > max)
			return RC_TEMP;
		if (++i > LENGTH_DIGITS)
			return RC_PERM;
	}
	if (i == in.n)
		return RC_MORE;
	if (i == 0 || in.p[i] != ':')
		return RC_PERM;
	in = str_from(in, i + 1);
	if (in.n <= n)
		return RC_MORE;
	if (in.p[n] != ',')
		return RC_PERM;
	*out = str_head(in, n);
	*out_used = i + 1 + n + 1;
	return RC_OK;
}

enum map_socketmap_status
map_reply_socketmap(struct str in, struct str *out_text)
{
	static const struct {
		const char *word;
		enum map_socketmap_status status;
	} words[] = {
		{ "OK", MAP_SOCKETMAP_OK },
		{ "NOTFOUND", MAP_SOCKETMAP_NOTFOUND },
		{ "TEMP", MAP_SOCKETMAP_TEMP },
		{ "TIMEOUT", MAP_SOCKETMAP_TIMEOUT },
		{ "PERM", MAP_SOCKETMAP_PERM },
	};
	struct str word = in;

	*out_text = (struct str){ 0 };
	(void)str_cut(in, ' ', &word, out_text);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_is(word, words[i].word))
			return words[i].status;
	return MAP_SOCKETMAP_UNKNOWN;
}

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c == '\0' ? NULL : strchr(digits, ascii_lower(c));
	return at == NULL ? -1 : (int)(at - digits);
}

static enum rc
decode(struct str s, struct buf *out)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < s.n && rc == RC_OK; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high, low;

			if (s.n - i < 3)
				return RC_PERM;
			high = hex_digit(s.p[i + 1]);
			low = hex_digit(s.p[i + 2]);
			if (high < 0 || low < 0)
				return RC_PERM;
			c = (char)(high * 16 + low);
			i += 2;
		}
		rc = buf_put(out, str_n(&c, 1));
	}
	return rc;
}

enum rc
map_reply_tcp(struct str line, unsigned *out_status, struct buf *out)
{
	unsigned status = 0;

	if (line.n < 4 || !ascii_isspace(line.p[3]))
		return RC_PERM;
	for (size_t i = 0; i < 3; i++) {
		if (!ascii_isdigit(line.p[i]))
			return RC_PERM;
		status = status * 10 + (unsigned)(line.p[i] - '0');
	}
	*out_status = status;
	return decode(str_from(line, 4), out);
}

enum rc
map_request_tcp(struct str key, struct buf *out)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < key.n && rc == RC_OK; i++) {
		unsigned char c = (unsigned char)key.p[i];

		if (c <= ' ' || c >= 0x7f || c == '%')
			rc = buf_printf(out, "%%%02X", c);
		else
			rc = buf_put(out, str_n(key.p + i, 1));
	}
	return rc;
}

/* A line with its LF, and CR if there is one, off. */
static enum rc
memcache_line(struct str in, size_t max, struct str *out, size_t *out_used)
{
	enum rc rc = map_reply_line(in, max, out, out_used);

	if (rc == RC_OK && str_ends(*out, STR("\r")))
		*out = str_head(*out, out->n - 1);
	return rc;
}

/* "VALUE key flags size" and perhaps one more number. */
static bool
is_value_line(struct str line, struct str key, size_t max, size_t *out_size)
{
	struct str rest = line, word;
	uint64_t flags, size, unique;

	if (!str_token(&rest, " ", &word) || !str_is(word, "VALUE") ||
	    !str_token(&rest, " ", &word) || !str_eq(word, key) ||
	    !str_token(&rest, " ", &word) || str_u64(word, UINT32_MAX, &flags) != RC_OK ||
	    !str_token(&rest, " ", &word) || str_u64(word, max, &size) != RC_OK)
		return false;
	*out_size = (size_t)size;
	return !str_token(&rest, " ", &word) ||
	       (str_u64(word, UINT64_MAX, &unique) == RC_OK &&
		   !str_token(&rest, " ", &word));
}

enum rc
map_reply_memcache(struct str in, struct str key,
    const struct map_memcache_limits *limits, struct str *out, size_t *out_used)
{
	size_t size, used, more;
	struct str line, value;
	enum rc rc = memcache_line(in, limits->line, &line, &used);

	if (rc != RC_OK)
		return rc;
	if (str_is(line, "END")) {
		*out_used = used;
		return RC_NONE;
	}
	*out = line;
	if (!is_value_line(line, key, limits->data, &size))
		return RC_PERM;
	in = str_from(in, used);
	if (in.n < size + 2)
		return RC_MORE;
	value = str_head(in, size);
	if (in.p[size] != '\r' || in.p[size + 1] != '\n') {
		*out = STR("data without its end");
		return RC_PERM;
	}
	rc = memcache_line(str_from(in, size + 2), limits->line, &line, &more);
	if (rc != RC_OK)
		return rc;
	*out = line;
	if (!str_is(line, "END"))
		return RC_PERM;
	*out = value;
	*out_used = used + size + 2 + more;
	return RC_OK;
}
