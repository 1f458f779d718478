/* What tokens of an address field say as text: as it has to be written, and as an
 * address. */
#include <string.h>
#include "addr/address.h"
#include "mime/addresses_int.h"

/* ---- one token ---- */

static bool
needs_quotes(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if ((unsigned char)c <= ' ' || c == 127 ||
		    strchr("()<>@,;:\\\".[]", c) != NULL)
			return true;
	}
	return text.n == 0;
}

/* What a word means: without backslashes, up to its end, blanks of every kind made
 * blanks. A fold is one blank and those behind it. */
static size_t
decode(struct str in, char end, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == end && end != '\0')
			break;
		if (c == '\\' && ++i < in.n)
			c = in.p[i];
		if (i == in.n)
			break;
		if (c == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
			continue;
		to[n++] = c == '\t' || c == '\r' || c == '\n' ? ' ' : c;
	}
	return n;
}

static enum rc
put_in_quotes(struct buf *out, struct str text)
{
	char *to = buf_room(out, 2 * text.n + 2);
	size_t n = 0;

	if (to == NULL)
		return RC_TEMP;
	to[n++] = '"';
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			to[n++] = '\\';
		to[n++] = text.p[i];
	}
	to[n++] = '"';
	buf_added(out, n);
	return RC_OK;
}

static enum rc
put_word(struct buf *out, const struct mime_token *t, bool in_quotes)
{
	bool has_signs = t->type == TOK_QUOTED || t->type == TOK_LITERAL;
	char end = t->type == TOK_QUOTED ? '"' : t->type == TOK_LITERAL ? ']' : '\0';
	struct str text = str_from(str_n(t->p, t->n), has_signs);
	struct buf word;
	enum rc rc = RC_TEMP;
	char *to;

	buf_init(&word, text.n + 1);
	to = buf_room(&word, text.n + 1);
	if (to != NULL) {
		text = str_n(to, decode(text, end, to));
		if (t->type == TOK_LITERAL)
			rc = buf_printf(out, "[%.*s]", STR_ARG(text));
		else if (in_quotes && (t->type == TOK_QUOTED || needs_quotes(text)))
			rc = put_in_quotes(out, text);
		else
			rc = buf_put(out, text);
	}
	buf_fini(&word);
	return rc;
}

/* Compat: a fold in it is the end of a line, where another may be joined. */
static enum rc
put_comment(struct buf *out, struct str text)
{
	enum rc rc = RC_OK;

	while (text.n > 0 && rc == RC_OK) {
		size_t n = str_find(text, '\r');

		rc = buf_put(out, str_head(text, n));
		text = str_from(text, n + 1);
	}
	return rc;
}

enum rc
mime_token_put(struct buf *out, const struct mime_token *t, bool in_quotes)
{
	switch ((enum mime_token_type)t->type) {
	case TOK_ATOM:
	case TOK_SIGN:
		return buf_put(out, str_n(t->p, t->n));
	case TOK_COMMENT:
		return put_comment(out, str_n(t->p, t->n));
	case TOK_ODD:
	case TOK_QUOTED:
	case TOK_LITERAL:
		break;
	}
	return put_word(out, t, in_quotes);
}

/* ---- one address ---- */

/* Tokens [from, to) without comments. Compat: the blanks, and where there are none. */
static enum rc
put_together(const struct mime_token *from, const struct mime_token *to, bool in_quotes,
    struct buf *out)
{
	const struct mime_token *before = NULL;
	enum rc rc = RC_OK;

	for (; from < to && rc == RC_OK; from++) {
		if (from->type == TOK_COMMENT)
			continue;
		if (before != NULL &&
		    (mime_token_is(from, '<') || mime_token_is(before, ',') ||
			(mime_token_is_word(before) && mime_token_is_word(from) &&
			    (before->type != TOK_ATOM || from->type != TOK_ATOM))))
			rc = buf_put(out, STR(" "));
		if (rc == RC_OK)
			rc = mime_token_put(out, from, in_quotes);
		before = from;
	}
	if (rc == RC_OK && before != NULL && mime_token_is(before, ','))
		rc = buf_put(out, STR(" "));
	return rc;
}

static const struct mime_token *
skip_route(const struct mime_token *from, const struct mime_token *to)
{
	const struct mime_token *t = from;

	for (;;) {
		while (t < to && t->type == TOK_COMMENT)
			t++;
		if (t == to || !mime_token_is(t, '@'))
			return from;
		while (t < to && !mime_token_is(t, ':'))
			t++;
		if (t + 1 >= to)
			return from;
		from = ++t;
	}
}

static const struct mime_token *
last_at(const struct mime_token *from, const struct mime_token *to)
{
	const struct mime_token *t = to;

	while (t > from && !mime_token_is(t - 1, '@'))
		t--;
	return t > from ? t - 1 : to;
}

/* Whether nothing has to be put together: the usual case. *out is a view. */
static bool
is_plain(const struct mime_token *from, const struct mime_token *to, struct str *out)
{
	for (const struct mime_token *t = from; t < to; t++)
		if ((t->type != TOK_ATOM && t->type != TOK_SIGN) ||
		    (t > from && t->p != t[-1].p + t[-1].n) || mime_token_is(t, ',') ||
		    mime_token_is(t, '<'))
			return false;
	*out = str_n(from->p, (size_t)(to[-1].p + to[-1].n - from->p));
	return true;
}

/* Whether it may be site!user or user%site: a sign, or a text that must not be taken for
 * one. */
static bool
has_operator(const struct mime_token *t, const struct mime_token *to, bool is_sign)
{
	for (; t < to; t++)
		if (t->type != TOK_COMMENT && (t->type == TOK_SIGN) == is_sign &&
		    (memchr(t->p, '!', t->n) != NULL || memchr(t->p, '%', t->n) != NULL))
			return true;
	return false;
}

static enum rc
in_quotes(struct str text, struct arena *mem, struct str *out)
{
	struct buf b;
	enum rc rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = put_in_quotes(&b, text);
	*out = arena_str(mem, buf_view(&b));
	buf_fini(&b);
	return out->p != NULL ? rc : RC_TEMP;
}

/* The address with the quotes that its local part needs. Compat: its last @ counts,
 * wherever that came from; blanks at its end do not. */
static enum rc
external(struct str internal, bool has_at, struct arena *mem, struct str *out)
{
	size_t at = has_at ? str_rfind(internal, '@') : internal.n;
	struct str local = addr_quote_local(str_head(internal, at), mem);

	if (local.p == NULL)
		return RC_TEMP;
	if (str_is(internal, "@")) /* compat: the empty address */
		at = internal.n;
	while (internal.n > at && internal.p[internal.n - 1] == ' ')
		internal.n--;
	*out = arena_printf(
	    mem, "%.*s%.*s", STR_ARG(local), STR_ARG(str_from(internal, at)));
	return out->p != NULL ? RC_OK : RC_TEMP;
}

static enum rc
glue(const struct mime_token *from, const struct mime_token *to, bool in_quotes,
    struct arena *mem, struct str *out)
{
	struct buf b;
	enum rc rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = put_together(from, to, in_quotes, &b);
	*out = arena_str(mem, buf_view(&b));
	buf_fini(&b);
	return out->p != NULL ? rc : RC_TEMP;
}

enum rc
mime_address_read(const struct mime_token *first, const struct mime_token *last,
    struct arena *mem, struct mime_address *out)
{
	const struct mime_token *to = last + 1, *from = skip_route(first, to),
				*at = last_at(from, to);
	struct str internal;

	*out = (struct mime_address){ .had_route = from != first };
	out->may_swap = at == to && has_operator(from, to, true);
	if (is_plain(from, to, &out->written)) {
		size_t n = at == to ? out->written.n : (size_t)(at->p - from->p);
		struct str local = str_head(out->written, n);

		out->text = out->written;
		if (out->may_swap || addr_quote_local(local, mem).p == local.p)
			return RC_OK;
	} else if (glue(from, to, true, mem, &out->written) != RC_OK) {
		return RC_TEMP;
	}
	out->text = out->written;
	if (out->may_swap)
		return RC_OK;
	if (glue(from, to, false, mem, &internal) != RC_OK)
		return RC_TEMP;
	out->may_swap = at == to && has_operator(from, to, false);
	return out->may_swap ? in_quotes(internal, mem, &out->text)
			     : external(internal, at < to, mem, &out->text);
}
