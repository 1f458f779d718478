/* Address lists of header fields: walking them, and completing what is incomplete.
 *
 * The value is cut into tokens (views of the value), the tokens into entries that end at
 * a comma. What cannot be understood is left as it stands; nothing here refuses a
 * message. */
#include "addr/address.h"
#include "addr/loose.h"
#include "mime/header.h"
#include <string.h>

enum token_type {
	TOK_END,
	TOK_WORD,    /* atom, or anything odd that is no delimiter */
	TOK_QUOTED,  /* "…" with its quotes */
	TOK_LITERAL, /* […] with its brackets */
	TOK_COMMENT, /* (…) with its parentheses */
	TOK_CHAR,    /* one of , ; : < > @ . */
};

struct token {
	enum token_type type;
	struct str text;
};

/* One entry of the list; more tokens than this and the field is left alone. */
enum { ENTRY_TOKENS_MAX = 200 };

static bool
is_delimiter(char c)
{
	return c != '\0' && strchr(",;:<>@.", c) != NULL;
}

/* The end of a text in `open` … `close`; comments nest. Unterminated: the end of the
 * input. */
static size_t
closing(struct str in, char open, char close)
{
	unsigned depth = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '\\') {
			i++;
		} else if (c == close && (i > 0 || open != close)) {
			if (depth <= 1)
				return i + 1;
			depth--;
		} else if (c == open && (open == '(' || i == 0)) {
			depth++;
		}
	}
	return in.n;
}

static struct token
next_token(struct str *in)
{
	struct token t = { TOK_END, STR("") };
	size_t n = 1;

	while (in->n > 0 && ascii_isspace(*in->p))
		*in = str_from(*in, 1);
	if (in->n == 0)
		return t;
	switch (*in->p) {
	case '"':
		t.type = TOK_QUOTED;
		n = closing(*in, '"', '"');
		break;
	case '(':
		t.type = TOK_COMMENT;
		n = closing(*in, '(', ')');
		break;
	case '[':
		t.type = TOK_LITERAL;
		n = closing(*in, '[', ']');
		break;
	default:
		if (is_delimiter(*in->p)) {
			t.type = TOK_CHAR;
			break;
		}
		t.type = TOK_WORD;
		for (n = 0;
		     n < in->n && !ascii_isspace(in->p[n]) && !is_delimiter(in->p[n]) &&
		     in->p[n] != '"' && in->p[n] != '(' && in->p[n] != '[';
		     n++)
			if (in->p[n] == '\\' && n + 1 < in->n)
				n++;
		break;
	}
	t.text = str_head(*in, n);
	*in = str_from(*in, n);
	return t;
}

static bool
is_char(const struct token *t, char c)
{
	return t->type == TOK_CHAR && *t->text.p == c;
}

/* ---- one address ---- */

struct str
mime_address_complete(
    struct str address, const struct mime_rewrite *how, struct arena *mem)
{
	struct str local, domain, s = address;
	size_t cut;

	if (address.n == 0)
		return address;
	addr_split(address, &local, &domain);
	if (local.n == address.n) {
		bool is_quoted = *address.p == '"';

		cut = str_find(address, '!');
		if (how->swap_bangpath && !is_quoted && cut > 0 && cut + 1 < address.n) {
			local = str_from(address, cut + 1);
			domain = str_head(address, cut);
		} else {
			cut = str_rfind(address, '%');
			if (how->percent_hack && !is_quoted && cut > 0 &&
			    cut + 1 < address.n) {
				local = str_head(address, cut);
				domain = str_from(address, cut + 1);
			} else if (how->at_myorigin.n > 0) {
				domain = how->at_myorigin;
			} else {
				return address;
			}
		}
		s = arena_printf(mem, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
	}
	if (domain.n > 1 && domain.p[domain.n - 1] == '.' && s.p != NULL) {
		domain = str_head(domain, domain.n - 1);
		s = str_head(s, s.n - 1);
	} else if (domain.n > 0 && *domain.p != '[' &&
		   str_find(domain, '.') == domain.n && how->dot_mydomain.n > 0 &&
		   s.p != NULL) {
		s = arena_printf(
		    mem, "%.*s.%.*s", STR_ARG(s), STR_ARG(how->dot_mydomain));
	}
	if (local.n == 0 &&
	    s.p != NULL) /* "@x": the empty local part has a quoted form */
		s = arena_printf(mem, "\"\"%.*s", STR_ARG(s));
	return s;
}

enum rc
mime_map_complete(void *ctx, struct str address, struct arena *mem, struct str *out)
{
	*out = mime_address_complete(address, ctx, mem);
	return out->p != NULL ? RC_OK : RC_TEMP;
}

/* ---- the list ---- */

struct walk {
	struct str rest;            /* of the value */
	const char *last_semicolon; /* in the value: a ":" behind it begins no group */
	struct token tok[ENTRY_TOKENS_MAX];
	size_t n;
	const struct mime_mapping *how; /* NULL: only look */
	enum rc rc;                     /* of the map */
	size_t n_tokens;
	bool is_cut;
	struct arena *mem;
	mime_address_fn *each;
	void *arg;
	struct buf *out; /* the entry being written */
	bool has_changed, is_full, is_too_complex;
};

static void
put(struct walk *w, struct str s)
{
	if (w->out != NULL && buf_put(w->out, s) != RC_OK)
		w->is_full = true;
}

/* Text of the message: without the folds in it, which fold() would take for its own. */
static void
put_text(struct walk *w, struct str s)
{
	while (s.n > 0) {
		size_t n = 0;

		while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n')
			n++;
		put(w, str_head(s, n));
		s = str_from(s, n + 1);
	}
}

/* Glues tokens[from..to) to an address, leaving comments and a source route out. */
static struct str
glue(struct walk *w, size_t from, size_t to)
{
	size_t n = 0, size = 0;
	char *raw;

	if (from < to && is_char(&w->tok[from], '@'))
		for (size_t i = from; i < to; i++)
			if (is_char(&w->tok[i], ':'))
				from = i + 1;
	for (size_t i = from; i < to; i++)
		size += w->tok[i].text.n;
	raw = arena_get(w->mem, size + 1);
	if (raw == NULL) {
		w->is_full = true;
		return STR("");
	}
	for (size_t i = from; i < to; i++) {
		if (w->tok[i].type == TOK_COMMENT || is_char(&w->tok[i], '>'))
			continue;
		memcpy(raw + n, w->tok[i].text.p, w->tok[i].text.n);
		n += w->tok[i].text.n;
	}
	return (struct str){ raw, n };
}

/* compat: with the quotes that it needs, where that can be said. */
static struct str
without_oddities(struct str address, struct arena *mem)
{
	struct str local, domain, better;

	if (address.n > ADDR_MAX)
		return address;
	addr_split(address, &local, &domain);
	if (addr_quote_local(local, mem).p == local.p)
		return address;
	switch (addr_loose_read(address, 0, mem, &better)) {
	case RC_OK:
		return better;
	case RC_TEMP:
		return (struct str){ NULL, 0 };
	case RC_NONE: /* it says nothing */
		return STR("");
	case RC_MORE:
	case RC_PERM:
		break;
	}
	return address;
}

static void
put_address(struct walk *w, size_t from, size_t to)
{
	struct str old = glue(w, from, to), now = old;
	size_t written = 0;

	if (old.n == 0)
		return;
	if (w->each != NULL && old.n <= ADDR_MAX)
		w->each(w->arg, old);
	if (w->how == NULL)
		return;
	now = without_oddities(old, w->mem);
	if (now.p == NULL)
		w->rc = RC_TEMP;
	if (now.n == 0)
		now = old;
	else if (w->rc == RC_OK)
		w->rc = w->how->map(w->how->ctx, now, w->mem, &now);
	if (w->rc != RC_OK)
		return;
	for (size_t i = from; i < to; i++)
		if (w->tok[i].type != TOK_COMMENT)
			written += w->tok[i].text.n;
	if (!str_eq(old, now) || written != old.n)
		w->has_changed = true;
	put_text(w, now);
}

/* The source text from the first to the last of these tokens, folds made blanks. */
static void
put_raw(struct walk *w, size_t from, size_t to)
{
	const char *p, *end;

	if (from >= to || w->out == NULL)
		return;
	p = w->tok[from].text.p;
	end = w->tok[to - 1].text.p + w->tok[to - 1].text.n;
	while (p < end) {
		const char *start = p;

		while (p < end && *p != '\r' && *p != '\n')
			p++;
		put(w, str_n(start, (size_t)(p - start)));
		while (p < end && ascii_isspace(*p))
			p++;
		if (p < end && p > start &&
		    (p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\n'))
			put(w, STR(" "));
	}
}

/* word ( ("." | "@") word )*: where it ends. "e f" are two addresses. */
static size_t
bare_end(const struct walk *w, size_t i, size_t to)
{
	bool after_word = false;

	for (; i < to; i++) {
		if (w->tok[i].type == TOK_COMMENT)
			continue;
		if (w->tok[i].type == TOK_CHAR) {
			after_word = false;
			continue;
		}
		if (after_word)
			return i;
		after_word = true;
	}
	return i;
}

static void
put_bare(struct walk *w, size_t from, size_t to)
{
	bool is_first = true;

	while (from < to) {
		size_t end = bare_end(w, from, to);
		bool has_address = false;

		for (size_t i = from; i < end; i++)
			has_address = has_address || w->tok[i].type != TOK_COMMENT;
		if (has_address) {
			if (!is_first)
				put(w, STR(",\n"));
			put_address(w, from, end);
		}
		for (size_t i = from; i < end; i++) {
			if (w->tok[i].type != TOK_COMMENT)
				continue;
			if (has_address || !is_first)
				put(w, STR(" "));
			put_text(w, w->tok[i].text);
		}
		is_first = false;
		from = end;
	}
}

static size_t
find_char(const struct walk *w, size_t from, size_t to, char c)
{
	while (from < to && !is_char(&w->tok[from], c))
		from++;
	return from;
}

/* The tokens of one entry: bare addresses, or phrase <address>, perhaps several of them.
 */
static void
put_entry(struct walk *w)
{
	size_t from = 0;

	while (from < w->n) {
		size_t lt = find_char(w, from, w->n, '<'), gt;

		if (lt == w->n) {
			/* compat: words behind the last > are an address. */
			if (from > 0 && (w->tok[from].type == TOK_COMMENT ||
					    is_char(&w->tok[from], '>'))) {
				put_raw(w, from, w->n);
			} else {
				put(w, from > 0 && from < w->n ? STR(",\n") : STR(""));
				put_bare(w, from, w->n);
			}
			return;
		}
		gt = find_char(w, lt, w->n, '>');
		if (from > 0)
			put(w, STR(" "));
		put_raw(w, from, lt);
		if (lt > from)
			put(w, STR(" "));
		put(w, STR("<"));
		put_address(w, lt + 1, gt);
		put(w, STR(">"));
		from = gt + 1;
	}
}

/* Takes the tokens of the next entry; *end is its delimiter: , ; : or 0. */
static bool
next_entry(struct walk *w, char *end)
{
	bool in_angle = false;

	w->n = 0;
	*end = '\0';
	for (;;) {
		struct token t = next_token(&w->rest);

		/* compat: what is behind the limit is cut. */
		if (w->how != NULL && w->how->token_limit > 0 &&
		    w->n_tokens++ >= w->how->token_limit && t.type != TOK_END) {
			t.type = TOK_END;
			w->is_cut = true;
		}
		if (t.type == TOK_END)
			return w->n > 0;
		if (is_char(&t, '<'))
			in_angle = true;
		else if (is_char(&t, '>'))
			in_angle = false;
		else if (is_char(&t, ':') && (t.text.p > w->last_semicolon ||
						 (w->n > 0 && is_char(&w->tok[0], '@'))))
			; /* no group, or the end of a source route */
		else if (is_char(&t, ',') || is_char(&t, ';') || is_char(&t, ':'))
			if (!in_angle || (is_char(&t, ',') && w->n == 0)) {
				*end = *t.text.p;
				return true;
			}
		if (w->n == ENTRY_TOKENS_MAX) {
			w->is_too_complex = true;
			return false;
		}
		w->tok[w->n++] = t;
	}
}

static void
find_last_semicolon(struct walk *w)
{
	struct str rest = w->rest;
	struct token t = next_token(&rest);

	w->last_semicolon = w->rest.p;
	for (; t.type != TOK_END; t = next_token(&rest))
		if (is_char(&t, ';'))
			w->last_semicolon = t.text.p;
}

static void
walk(struct walk *w)
{
	bool is_first = true;
	char end, before = '\0';

	if (str_find(w->rest, ':') < w->rest.n)
		find_last_semicolon(w);
	for (; !w->is_full && w->rc == RC_OK && next_entry(w, &end); before = end) {
		if (before == ';' && w->n > 0) /* compat */
			put(w, STR(",\n"));
		else if ((!is_first && w->n > 0) ||
			 (before == ':' && end == ';')) /* compat */
			put(w, STR(" "));
		if (end == ':')
			put_raw(w, 0, w->n);
		else
			put_entry(w);
		if (end == ',') {
			/* The fold point; the blank before the next entry goes away in
			 * fold(). */
			put(w, STR(",\n"));
		} else if (end != '\0') {
			put(w, (struct str){ &end, 1 });
		}
		is_first = end == ',' || (is_first && w->n == 0 && end == '\0');
	}
}

enum rc
mime_addresses_each(struct str value, struct arena *mem, mime_address_fn *each, void *arg)
{
	struct walk *w = arena_get(mem, sizeof(*w));

	if (w == NULL)
		return RC_TEMP;
	w->rest = value;
	w->mem = mem;
	w->each = each;
	w->arg = arg;
	walk(w);
	return w->is_full ? RC_TEMP : RC_OK;
}

/* One entry a line in; as many as fit in 70 columns out. Compat: cleanup of Postfix. */
static enum rc
fold(struct str lines, size_t column, struct buf *out)
{
	bool is_first = true;
	enum rc rc = RC_OK;

	while (lines.n > 0 && rc == RC_OK) {
		size_t n = str_find(lines, '\n');
		struct str line = str_head(lines, n);

		if (!is_first && column + 1 + line.n < 70) {
			rc = buf_put(out, STR(" "));
			column += 1 + line.n;
		} else if (!is_first) {
			rc = buf_put(out, STR("\r\n\t"));
			column = line.n;
		} else {
			column += line.n;
		}
		is_first = false;
		if (rc == RC_OK)
			rc = buf_put(out, line);
		lines = str_from(lines, n + 1);
	}
	return rc;
}

enum rc
mime_addresses_rewrite(
    struct str value, const struct mime_mapping *how, struct arena *mem, struct buf *out)
{
	struct walk *w = arena_get(mem, sizeof(*w));
	struct buf lines;
	enum rc rc = RC_NONE;

	if (w == NULL)
		return RC_TEMP;
	buf_init(&lines, out->max);
	w->rest = value;
	w->mem = mem;
	w->how = how;
	w->out = &lines;
	walk(w);
	if (w->rc != RC_OK)
		rc = w->rc;
	else if (w->is_full)
		rc = RC_TEMP;
	else if (w->has_changed && !w->is_too_complex)
		rc = fold(buf_view(&lines), how->column, out);
	if (rc == RC_OK && w->is_cut) /* compat */
		rc = buf_put(out, STR(" "));
	buf_fini(&lines);
	return rc;
}
