/* %-templates, see template.h. */
#include "map/plugin/template.h"
#include <string.h>

enum { LABELS_MAX = 9 };

/* An address taken apart at its last "@". */
struct parts {
	struct str all, user, domain;
	bool has_at;
};

static struct parts
take_apart(struct str s)
{
	struct parts p = { .all = s, .user = s };
	size_t at = str_rfind(s, '@');

	if (at == s.n)
		return p;
	p.has_at = true;
	p.user = str_head(s, at);
	p.domain = str_from(s, at + 1);
	return p;
}

static void
note(struct map_template *t, char c)
{
	if (c >= '1' && c <= '9') {
		unsigned n = (unsigned)(c - '0');

		t->n_labels = n > t->n_labels ? n : t->n_labels;
		t->has_key_domain = true;
	}
	t->has_user |= c == 'u';
	t->has_domain |= c == 'd';
	t->has_key_user |= c == 'U';
	t->has_key_domain |= c == 'D';
}

enum rc
map_template_parse(
    struct str text, bool is_result, struct map_template *out, struct err *e)
{
	struct map_template t = { .text = text, .is_result = is_result };

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '%')
			continue;
		i++;
		if (i == text.n || text.p[i] == '\0' ||
		    strchr("%123456789uUdDsS", text.p[i]) == NULL)
			return err_set(e, RC_PERM, "Invalid %s template: %.*s",
			    is_result ? "result" : "query", STR_ARG(text)); /* compat */
		note(&t, text.p[i]);
	}
	if (!is_result) { /* the key is what %s is, too */
		t.has_user |= t.has_key_user;
		t.has_domain |= t.has_key_domain;
	}
	*out = t;
	return RC_OK;
}

/* The n-th label from the end, 1 is the last. RC_NONE: not so many. */
static enum rc
label(struct str domain, unsigned n, struct str *out)
{
	struct str rest = domain;

	for (;;) {
		struct str last;
		size_t end = rest.n, begin;

		while (end > 0 && rest.p[end - 1] == '.')
			end--; /* empty labels do not count: compat */
		if (end == 0)
			return RC_NONE;
		rest = str_head(rest, end);
		begin = str_rfind(rest, '.');
		begin = begin == rest.n ? 0 : begin + 1;
		last = str_from(rest, begin);
		if (--n == 0) {
			*out = last;
			return RC_OK;
		}
		rest = str_head(rest, begin);
	}
}

/* Whether everything is there that the template asks for. */
static bool
is_complete(
    const struct map_template *t, const struct parts *key, const struct parts *value)
{
	struct str ignored;

	if (t->has_domain && value->domain.n == 0)
		return false;
	if (t->has_user && value->has_at && value->user.n == 0)
		return false;
	if (t->is_result && t->has_key_domain && key->domain.n == 0)
		return false;
	if (t->is_result && t->has_key_user && key->has_at && key->user.n == 0)
		return false;
	return t->n_labels == 0 || label(key->domain, t->n_labels, &ignored) == RC_OK;
}

static struct str
piece(char c, const struct parts *key, const struct parts *value)
{
	struct str out = STR("");

	switch (c) {
	case '%':
		return STR("%");
	case 's':
		return value->all;
	case 'u':
		return value->user;
	case 'd':
		return value->domain;
	case 'S':
		return key->all;
	case 'U':
		return key->user;
	case 'D':
		return key->domain;
	default:
		return label(key->domain, (unsigned)(c - '0'), &out) == RC_OK ? out
									      : STR("");
	}
}

static enum rc
put_piece(const struct map_fill *f, char c, struct str s, struct buf *out)
{
	return f->quote == NULL || c == '%' ? buf_put(out, s) : f->quote(f->ctx, s, out);
}

enum rc
map_template_fill(
    const struct map_template *t, const struct map_fill *fill, struct buf *out)
{
	struct parts key = take_apart(fill->key);
	struct parts value = t->is_result ? take_apart(fill->value) : key;
	struct str text = t->text;
	size_t before = out->n, i = 0;
	enum rc rc = RC_OK;

	if (value.all.n == 0 || text.n == 0 || !is_complete(t, &key, &value))
		return RC_NONE;
	while (i < text.n && rc == RC_OK) {
		size_t n = str_find(str_from(text, i), '%');

		rc = buf_put(out, str_head(str_from(text, i), n));
		i += n;
		if (i == text.n || rc != RC_OK)
			break;
		rc = put_piece(
		    fill, text.p[i + 1], piece(text.p[i + 1], &key, &value), out);
		i += 2;
	}
	if (rc != RC_OK)
		out->n = before;
	return rc;
}

/* RFC 3629: the shortest form only, no surrogates, nothing above U+10FFFF. */
static size_t
sequence(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char least = 0x80, most = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < n)
		return 0;
	if (p[0] == 0xe0)
		least = 0xa0;
	else if (p[0] == 0xf0)
		least = 0x90;
	else if (p[0] == 0xed)
		most = 0x9f;
	else if (p[0] == 0xf4)
		most = 0x8f;
	if (p[1] < least || p[1] > most)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool
map_utf8_is_valid(struct str s)
{
	while (s.n > 0) {
		size_t n = sequence(s);

		if (n == 0)
			return false;
		s = str_from(s, n);
	}
	return true;
}
