/* RFC 822 addresses from people who do not know RFC 5321. The word is cut into tokens;
 * groups lose their names; what stands between commas, brackets and neighbouring words
 * is an address each; exactly one may be there. */
#include "addr/loose.h"
#include "addr/address.h"
#include <string.h>

enum { TOKENS_MAX = 256 };

enum kind {
	WORD,    /* atom or quoted text, without quotes and backslashes */
	LITERAL, /* "[…]" */
	SIGN,    /* one of < > @ , ; : . % ! ) */
};

struct token {
	enum kind kind;
	struct str text;
};

struct loose {
	struct str in;
	struct arena *mem;
	char *room; /* as large as the input and one byte more: texts of tokens */
	struct token tok[TOKENS_MAX];
	size_t n;
	/* The tokens of an address, and how many addresses there were. */
	size_t from, to, found;
	bool has_more; /* a comment, a phrase, a comma, a group */
};

static bool
is_sign(char c)
{
	return c != '\0' && strchr("<>@,;:.%!)", c) != NULL;
}

static bool
is_special(char c)
{
	return ascii_isspace(c) || is_sign(c) || c == '"' || c == '(' || c == '[';
}

static bool
is(const struct loose *l, size_t i, char c)
{
	return l->tok[i].kind == SIGN && l->tok[i].text.p[0] == c;
}

bool
addr_word_is_plain(struct str word)
{
	bool has_at = false;

	if (word.n < 3 || word.p[0] != '<' || word.p[word.n - 1] != '>')
		return false;
	for (size_t i = 1; i + 1 < word.n; i++) {
		char c = word.p[i];

		if (c == '@' ? has_at || i == 1 || i + 2 == word.n
			     : c == '\\' || c == ']' ||
				   (c != '.' && c != '%' && c != '!' && is_special(c)))
			return false;
		has_at = has_at || c == '@';
	}
	return true;
}

/* ---- tokens ---- */

static void
skip_comment(struct loose *l)
{
	unsigned depth = 0;

	l->has_more = true;
	for (; l->in.n > 0; l->in = str_from(l->in, 1)) {
		char c = *l->in.p;

		if (c == '\\' && l->in.n > 1)
			l->in = str_from(l->in, 1);
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			break;
	}
	l->in = str_from(l->in, 1);
}

/* Copies up to a byte of `ends` ("": any special one), which is left in the input.
 * Backslashes are taken away; a tab is a blank. */
static void
copy_to(struct loose *l, const char *ends)
{
	for (; l->in.n > 0; l->in = str_from(l->in, 1)) {
		char c = *l->in.p;

		if (c == '\\') {
			l->in = str_from(l->in, 1);
			if (l->in.n == 0)
				return;
			c = *l->in.p;
		} else if (*ends == '\0' ? is_special(c)
					 : c != '\0' && strchr(ends, c) != NULL) {
			return;
		}
		*l->room++ = c == '\t' ? ' ' : c;
	}
}

static enum rc
next_token(struct loose *l, struct token *t)
{
	char *start = l->room;

	while (l->in.n > 0 && (ascii_isspace(*l->in.p) || *l->in.p == '('))
		if (*l->in.p == '(')
			skip_comment(l);
		else
			l->in = str_from(l->in, 1);
	if (l->in.n == 0)
		return RC_NONE;
	t->kind = WORD;
	if (*l->in.p == '"') {
		l->in = str_from(l->in, 1);
		copy_to(l, "\"");
		l->in = str_from(l->in, 1);
	} else if (*l->in.p == '[') {
		t->kind = LITERAL;
		copy_to(l, "]>"); /* one that is not closed ends with the address */
		if (l->in.n > 0 && *l->in.p == ']')
			l->in = str_from(l->in, 1);
		*l->room++ = ']';
	} else if (is_sign(*l->in.p)) {
		t->kind = SIGN;
		*l->room++ = *l->in.p;
		l->in = str_from(l->in, 1);
	} else {
		copy_to(l, "");
	}
	t->text = str_n(start, (size_t)(l->room - start));
	return RC_OK;
}

static void
drop(struct loose *l, size_t from, size_t to)
{
	memmove(l->tok + from, l->tok + to, (l->n - to) * sizeof(l->tok[0]));
	l->n -= to - from;
}

/* "name:a@b;" becomes "a@b;". */
static void
drop_group_names(struct loose *l)
{
	size_t start = 0;

	for (size_t i = 0; i < l->n; i++) {
		size_t colon = start;

		if (is(l, i, '<') || is(l, i, '>') || is(l, i, ','))
			start = i + 1;
		if (!is(l, i, ';'))
			continue;
		while (colon < i && !is(l, colon, ':'))
			colon++;
		if (colon < i) {
			drop(l, start, colon + 1);
			i -= colon + 1 - start;
		}
		start = i + 1;
	}
}

/* ---- addresses ---- */

static void
address(struct loose *l, size_t from, size_t to)
{
	if (from == to)
		return;
	if (l->found++ == 0) {
		l->from = from;
		l->to = to;
	}
}

/* compat: between < and > that are not the word's ends, nothing separates. */
static bool
separates(const struct loose *l, size_t from, size_t i)
{
	bool is_open = from > 0 && is(l, from - 1, '<');

	return is(l, i, ';') || (is(l, i, ',') && !is_open);
}

static void
find_addresses(struct loose *l)
{
	size_t from = 0, found_before = 0; /* the last separator */

	for (size_t i = 0; i < l->n; i++) {
		bool ends = separates(l, from, i);

		l->has_more = l->has_more || ends;
		if (is(l, i, '<')) { /* what was before is a phrase */
			l->has_more = l->has_more || from < i;
			l->found = found_before;
			from = i + 1;
		} else if (ends || is(l, i, '>')) {
			address(l, from, i);
			from = i + 1;
			found_before = l->found;
		} else if (i > from && l->tok[i].kind != SIGN &&
			   l->tok[i - 1].kind != SIGN &&
			   (from == 0 ||
			       !is(l, from - 1, '<'))) { /* a comma is missing */
			address(l, from, i);
			from = i;
		}
	}
	address(l, from, l->n);
}

static void
skip_routes(struct loose *l)
{
	size_t i = l->from;

	while (i < l->to && is(l, l->from, '@')) {
		while (i < l->to && !is(l, i, ':'))
			i++;
		if (i < l->to)
			l->from = ++i;
	}
}

static struct str
text_of(const struct loose *l, size_t from, size_t to)
{
	size_t n = 0;
	char *p;

	for (size_t i = from; i < to; i++)
		n += l->tok[i].text.n;
	p = arena_get(l->mem, n + 1);
	if (p == NULL)
		return (struct str){ NULL, 0 };
	n = 0;
	for (size_t i = from; i < to; i++) {
		if (l->tok[i].text.n > 0)
			memcpy(p + n, l->tok[i].text.p, l->tok[i].text.n);
		n += l->tok[i].text.n;
	}
	return str_n(p, n);
}

static size_t
last_at(const struct loose *l)
{
	size_t i = l->to;

	while (i > l->from && !is(l, i - 1, '@'))
		i--;
	return i > l->from ? i - 1 : l->to;
}

/* The external form of the one address. */
static enum rc
put_together(struct loose *l, struct str *out)
{
	struct str local, domain;
	size_t at;

	skip_routes(l);
	at = last_at(l);
	if (at + 1 == l->to && at > l->from) { /* compat: a@b@ is a@b */
		l->to = at;
		at = last_at(l);
		if (at == l->to) /* it was a@ */
			l->to++;
	}
	local = text_of(l, l->from, at);
	domain = text_of(l, at < l->to ? at + 1 : at, l->to);
	if (local.p == NULL || domain.p == NULL)
		return RC_TEMP;
	if (local.n == 0 && at == l->to)
		return RC_NONE;
	local = local.n == 0 ? STR("\"\"") : addr_quote_local(local, l->mem);
	if (local.p == NULL)
		return RC_TEMP;
	*out = arena_printf(
	    l->mem, "%.*s%s%.*s", STR_ARG(local), at < l->to ? "@" : "", STR_ARG(domain));
	return out->p == NULL ? RC_TEMP : RC_OK;
}

/* compat: <> around everything, then a source route, go as text. */
static struct str
bare_word(struct str word)
{
	size_t at;

	if (word.n > 1 && str_starts(word, STR("<")) && str_ends(word, STR(">")))
		word = str_head(str_from(word, 1), word.n - 2);
	at = str_find(word, ':');
	return at < word.n && *word.p == '@' ? str_from(word, at + 1) : word;
}

enum rc
addr_loose_read(struct str word, unsigned flags, struct arena *mem, struct str *out)
{
	/* Not in `mem`: a header may have thousands of addresses. */
	struct loose own, *l = &own;
	enum rc rc = RC_OK;

	if (str_find(word, '\0') < word.n)
		return RC_PERM;
	*l = (struct loose){ .in = bare_word(word), .mem = mem };
	if (str_starts(l->in, STR("<<"))) /* compat */
		return RC_PERM;
	/* A literal that is not closed gets its bracket: one byte for each "[". */
	l->room = arena_get(mem, 2 * word.n + 1);
	if (l->room == NULL)
		return RC_TEMP;
	while (rc == RC_OK) {
		if (l->n == TOKENS_MAX)
			return RC_PERM;
		rc = next_token(l, &l->tok[l->n]);
		l->n += rc == RC_OK;
	}
	drop_group_names(l);
	find_addresses(l);
	if (l->found > 1)
		return RC_PERM;
	if ((flags & ADDR_STRICT) != 0 && (l->has_more || !str_starts(word, STR("<"))))
		return RC_PERM;
	return l->found == 0 ? RC_NONE : put_together(l, out);
}
