/* Address lists of header fields: walking them, and mapping what is in them.
 *
 * The value is cut into tokens; each address among them is mapped; when one has changed,
 * the field is written anew, token by token. What cannot be understood is left as it
 * stands; nothing here refuses a message. */
#include <string.h>
#include "addr/address.h"
#include "mime/addresses_int.h"
#include "mime/header.h"

enum {
	COLUMNS_MAX = 70,  /* compat: a line of less takes one more entry */
	PHRASES_MAX = 250, /* compat: bytes of an entry beside its address */
};

/* ---- one address ---- */

struct str
mime_address_complete(
    struct str address, const struct mime_rewrite *how, struct arena *mem)
{
	unsigned which =
	    (how->swap_bangpath ? ADDR_BANG : 0) | (how->percent_hack ? ADDR_PERCENT : 0);
	struct str domain, s = address;
	size_t at = addr_find_bare(s, '@', true);

	if (s.n == 0 || str_is(s, "\"\""))
		return s;
	if (at == s.n) {
		s = addr_swap_operators(address, which, mem);
		if (s.p == address.p && how->at_myorigin.n > 0)
			s = arena_printf(mem, "%.*s@%.*s", STR_ARG(address),
			    STR_ARG(how->at_myorigin));
		if (s.p == NULL)
			return s;
		at = addr_find_bare(s, '@', true);
	}
	domain = str_from(s, at + 1);
	if (domain.n > 0 && *domain.p != '[' && str_find(domain, '.') == domain.n &&
	    how->dot_mydomain.n > 0)
		return arena_printf(
		    mem, "%.*s.%.*s", STR_ARG(s), STR_ARG(how->dot_mydomain));
	if (domain.n > 1 && domain.p[domain.n - 1] == '.' &&
	    domain.p[domain.n - 2] != '.')
		s.n--;
	return s;
}

enum rc
mime_map_complete(void *ctx, struct str address, struct arena *mem, struct str *out)
{
	*out = mime_address_complete(address, ctx, mem);
	return out->p != NULL ? RC_OK : RC_TEMP;
}

/* ---- all of them ---- */

struct list {
	struct mime_tokens tokens;
	const struct mime_mapping *how;
	struct arena *mem;
	struct str *now; /* what became of the addresses, in order */
	bool has_changed;
};

/* The first token of the next address at or behind `t`, which there is. */
static const struct mime_token *
next_address(const struct mime_token *t)
{
	while (!(t->marks & MARK_FIRST))
		t++;
	return t;
}

static const struct mime_token *
last_of(const struct mime_token *first)
{
	while (!(first->marks & MARK_LAST))
		first++;
	return first;
}

enum rc
mime_addresses_each(struct str value, struct arena *mem, mime_address_fn *each, void *arg)
{
	struct mime_tokens tokens;
	enum rc rc = mime_tokens_read(value, 0, mem, &tokens);
	const struct mime_token *t = tokens.v, *last;

	for (size_t i = 0; i < tokens.n_addresses && rc == RC_OK; i++) {
		struct mime_address a;

		t = next_address(t);
		last = last_of(t);
		rc = mime_address_read(t, last, mem, &a);
		if (rc == RC_OK && a.text.n > 0 && a.text.n <= ADDR_MAX)
			each(arg, a.text);
		t = last + 1;
	}
	return rc;
}

/* What was swapped, with the quotes that it needs now. */
static struct str
quoted(struct str address, struct arena *mem)
{
	struct str internal = addr_to_internal(address, mem);

	return internal.p == NULL || internal.n == 0 ? address
						     : addr_to_external(internal, mem);
}

static enum rc
map_one(struct list *l, const struct mime_token *t, const struct mime_token *last,
    struct str *now)
{
	struct mime_address a;
	enum rc rc = mime_address_read(t, last, l->mem, &a);

	if (rc == RC_OK)
		rc = l->how->map(l->how->ctx, a.text, l->mem, now);
	if (rc == RC_OK && a.may_swap)
		*now = quoted(*now, l->mem);
	if (rc == RC_OK && now->p == NULL)
		rc = RC_TEMP;
	if (rc == RC_OK && (a.had_route || !str_eq(a.written, *now)))
		l->has_changed = true;
	return rc;
}

static enum rc
map_all(struct list *l)
{
	const struct mime_token *t = l->tokens.v, *last;
	enum rc rc = RC_OK;

	l->now = arena_array(l->mem, l->tokens.n_addresses, sizeof(*l->now));
	if (l->now == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < l->tokens.n_addresses && rc == RC_OK; i++) {
		t = next_address(t);
		last = last_of(t);
		rc = map_one(l, t, last, &l->now[i]);
		t = last + 1;
	}
	return rc;
}

/* ---- writing ---- */

struct writer {
	const struct mime_mapping *how;
	struct buf lines;   /* one entry a line */
	size_t entry;       /* where this one began */
	struct str address; /* the last in this entry */
	bool is_full;
};

static void
put(struct writer *w, struct str s)
{
	if (buf_put(&w->lines, s) != RC_OK)
		w->is_full = true;
}

/* Before something that is set apart, but not at the beginning. */
static void
put_blank(struct writer *w)
{
	struct str done = buf_view(&w->lines);

	if (done.n > 0 && done.p[done.n - 1] != '\n' && done.p[done.n - 1] != ' ')
		put(w, STR(" "));
}

/* Compat: of an entry with much besides its address the address alone is left. */
static void
end_entry(struct writer *w)
{
	struct str all = str_from(buf_view(&w->lines), w->entry);

	if (w->address.n > 0 && all.n > w->address.n + PHRASES_MAX) {
		if (w->how->stripped != NULL)
			w->how->stripped(w->how->stripped_ctx, all);
		w->lines.n = w->entry;
		put(w, STR("<"));
		put(w, w->address);
		put(w, STR(">"));
	}
	w->address = STR("");
}

static void
put_comma(struct writer *w)
{
	end_entry(w);
	put(w, STR(",\n"));
	w->entry = w->lines.n;
}

static void
put_token(struct writer *w, const struct mime_token *t)
{
	if (mime_token_put(&w->lines, t, true) != RC_OK)
		w->is_full = true;
}

static void
put_address(struct writer *w, struct str now, const struct mime_token *t,
    const struct mime_token *last)
{
	put(w, now);
	w->address = now;
	for (; t <= last; t++) {
		if (t->type != TOK_COMMENT)
			continue;
		put(w, STR(" "));
		put_token(w, t);
	}
}

/* Text between addresses. `before`: the token before it, if that was text, too. */
static void
put_text(struct writer *w, const struct mime_token *t, const struct mime_token *before)
{
	if (mime_token_is(t, ',')) {
		put_comma(w);
		return;
	}
	if (mime_token_is(t, '<') ||
	    (before != NULL && t->type != TOK_SIGN && before->type != TOK_SIGN))
		put_blank(w);
	put_token(w, t);
	if (t->marks & MARK_GROUP)
		put(w, STR(" "));
}

static void
write_list(struct writer *w, const struct list *l)
{
	const struct mime_token *end = l->tokens.v + l->tokens.n, *before = NULL;
	const struct str *now = l->now;

	for (const struct mime_token *t = l->tokens.v; t < end && !w->is_full; t++) {
		if (t->marks & MARK_COMMA)
			put_comma(w);
		if (t->marks & MARK_FIRST) {
			put_address(w, *now++, t, last_of(t));
			t = last_of(t);
			before = NULL;
		} else {
			put_text(w, t, before);
			before = t;
		}
	}
	end_entry(w);
}

/* One entry, or line of a comment, a line in; as many as fit out. Compat: cleanup of
 * Postfix. */
static enum rc
fold(struct str lines, size_t column, struct buf *out)
{
	enum rc rc = RC_OK;

	for (bool is_first = true; rc == RC_OK; is_first = false) {
		size_t n = str_find(lines, '\n');
		struct str line = str_head(lines, n);

		if (is_first) {
			column += line.n;
		} else if (column + 1 + line.n < COLUMNS_MAX) {
			rc = buf_put(out, STR(" "));
			column += 1 + line.n;
		} else {
			rc = buf_put(out, line.n > 0 && ascii_isspace(*line.p)
					      ? STR("\r\n")
					      : STR("\r\n\t"));
			column = line.n;
		}
		if (rc == RC_OK)
			rc = buf_put(out, line);
		if (n == lines.n)
			break;
		lines = str_from(lines, n + 1);
	}
	return rc;
}

enum rc
mime_addresses_rewrite(
    struct str value, const struct mime_mapping *how, struct arena *mem, struct buf *out)
{
	struct list l = { .how = how, .mem = mem };
	struct writer w = { .how = how };
	enum rc rc = mime_tokens_read(value, how->token_limit, mem, &l.tokens);

	if (rc == RC_OK && l.tokens.n_addresses == 0)
		return RC_NONE;
	if (rc == RC_OK)
		rc = map_all(&l);
	if (rc != RC_OK || !l.has_changed)
		return rc == RC_OK ? RC_NONE : rc;
	buf_init(&w.lines, out->max);
	write_list(&w, &l);
	rc = w.is_full ? RC_TEMP : fold(buf_view(&w.lines), how->column, out);
	buf_fini(&w.lines);
	return rc;
}
