/* The value of an address field in tokens, and which of them make addresses.
 *
 * Addresses are looked for from the right, because what stands before "<" is a phrase and
 * what stands before a colon is the name of a group only when something behind it says
 * so. Compat: what is an address, and what is no more than text, is as in Postfix 3.7
 * (header_test.c, tests/compat/dialogues/headers.case). */
#include <assert.h>
#include <string.h>
#include "mime/addresses_int.h"

static bool
is_sign(char c)
{
	return c != '\0' && strchr(",;:<>@.%!|)]", c) != NULL;
}

bool
mime_token_is(const struct mime_token *t, char sign)
{
	return t->type == TOK_SIGN && *t->p == sign;
}

bool
mime_token_is_word(const struct mime_token *t)
{
	return t->type <= TOK_LITERAL;
}

/* ---- tokens ---- */

/* The end of a text that ends with `close`. Comments nest. Unterminated: the end of the
 * input. */
static size_t
closing(struct str in, char close)
{
	unsigned depth = 0;

	for (size_t i = 1; i < in.n; i++) {
		if (in.p[i] == '\\')
			i++;
		else if (in.p[i] == '(' && close == ')')
			depth++;
		else if (in.p[i] == close && depth-- == 0)
			return i + 1;
	}
	return in.n;
}

static size_t
atom_length(struct str in, bool *is_odd)
{
	size_t n = 0;

	for (; n < in.n; n++) {
		char c = in.p[n];

		if (c == '\\' && n + 1 < in.n)
			n++;
		else if (ascii_isspace(c) || is_sign(c) || c == '"' || c == '(' ||
			 c == '[')
			break;
		if (c == '\\' || (unsigned char)c < ' ' || c == 127)
			*is_odd = true;
	}
	return n;
}

static bool
next_token(struct str *in, struct mime_token *t)
{
	size_t n = 1;
	bool is_odd = false;

	while (in->n > 0 && ascii_isspace(*in->p))
		*in = str_from(*in, 1);
	if (in->n == 0)
		return false;
	if (*in->p == '"') {
		t->type = TOK_QUOTED;
		n = closing(*in, '"');
	} else if (*in->p == '(') {
		t->type = TOK_COMMENT;
		n = closing(*in, ')');
	} else if (*in->p == '[') {
		t->type = TOK_LITERAL;
		n = closing(*in, ']');
	} else if (is_sign(*in->p)) {
		t->type = TOK_SIGN;
	} else {
		n = atom_length(*in, &is_odd);
		t->type = is_odd ? TOK_ODD : TOK_ATOM;
	}
	t->p = in->p;
	t->n = (uint32_t)n;
	*in = str_from(*in, n);
	return true;
}

static size_t
count(struct str in, size_t limit)
{
	struct mime_token t;
	size_t n = 0;

	while ((limit == 0 || n < limit) && next_token(&in, &t))
		n++;
	return n;
}

/* ---- addresses ---- */

struct search {
	struct mime_token *v;
	size_t end; /* what is before it was not looked at */
	size_t n_addresses;
	bool in_group; /* a semicolon was seen: colons end names */
};

/* Tokens [from, to) are an address, if a word or a sign is there. */
static bool
mark(struct search *s, size_t from, size_t to)
{
	size_t i = from;

	while (i < to && s->v[i].type == TOK_COMMENT)
		i++;
	if (i == to)
		return false;
	s->v[from].marks |= MARK_FIRST;
	s->v[to - 1].marks |= MARK_LAST;
	s->n_addresses++;
	return true;
}

static bool
is_one_of(const struct mime_token *t, const char *signs)
{
	return t->type == TOK_SIGN && strchr(signs, *t->p) != NULL;
}

/* The ">" before s->end, its address, and the phrase before that. */
static void
find_bracketed(struct search *s)
{
	size_t to = s->end - 1, from = to;

	while (from > 0 && !mime_token_is(&s->v[from - 1], '<'))
		from--;
	(void)mark(s, from, to);
	s->end = from;
	if (from == 0) /* never opened: all of it */
		return;
	s->end--;
	while (s->end > 0 && !is_one_of(&s->v[s->end - 1], ">;,:"))
		s->end--;
	if (s->end > 0 && mime_token_is(&s->v[s->end - 1], ':') && !s->in_group)
		s->end--;
}

/* Words with signs between them. Two words in a row are two addresses. */
static void
find_bare(struct search *s)
{
	size_t from = s->end;
	bool is_before_word = false;

	for (; from > 0; from--) {
		const struct mime_token *t = &s->v[from - 1];

		if (is_one_of(t, s->in_group ? ">;,:" : ">;,"))
			break;
		if (t->type == TOK_COMMENT)
			continue;
		if (mime_token_is_word(t) && is_before_word)
			break;
		is_before_word = mime_token_is_word(t);
	}
	assert(from < s->end);
	if (mark(s, from, s->end) && from > 0 && !is_one_of(&s->v[from - 1], ",:"))
		s->v[from].marks |= MARK_COMMA;
	s->end = from;
}

/* The colon before s->end; the name goes back to a comma, whatever is in it. */
static void
skip_group_name(struct search *s)
{
	s->v[s->end - 1].marks |= MARK_GROUP;
	while (s->end > 0 && !mime_token_is(&s->v[s->end - 1], ','))
		s->end--;
}

static void
find_addresses(struct search *s)
{
	while (s->end > 0) {
		const struct mime_token *t = &s->v[s->end - 1];

		if (mime_token_is(t, '>')) {
			find_bracketed(s);
		} else if (mime_token_is(t, ':') && s->in_group) {
			skip_group_name(s);
		} else if (is_one_of(t, ",;")) {
			s->in_group = s->in_group || *t->p == ';';
			s->end--;
		} else {
			find_bare(s);
		}
	}
}

enum rc
mime_tokens_read(
    struct str value, size_t limit, struct arena *mem, struct mime_tokens *out)
{
	struct search s = { 0 };
	size_t n = count(value, limit);

	*out = (struct mime_tokens){ 0 };
	if (n == 0)
		return RC_OK;
	s.v = arena_array(mem, n, sizeof(*s.v));
	if (s.v == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < n; i++)
		(void)next_token(&value, &s.v[i]);
	s.end = n;
	find_addresses(&s);
	*out = (struct mime_tokens){ s.v, n, s.n_addresses };
	return RC_OK;
}
