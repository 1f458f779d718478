/* aliases(5), see alias_source.h.
 *
 * A line is cut into tokens, which are written again as they come, with the blanks that
 * Postfix writes between them; the first ":" ends the key. */
#include "map/alias_source.h"
#include <string.h>

enum kind { NOTHING, SPECIAL, WORD, QUOTED, COMMENT, LITERAL };

#define NO_SPECIAL ' '

struct token {
	enum kind kind;
	struct str text; /* without quotes and backslashes; a comment: as written */
	char special;    /* NO_SPECIAL: none */
};

/* What is left of the line, and where texts without backslashes are made: `to` has room
 * for as much as the line has. */
struct scan {
	struct str rest;
	char *to;
};

static bool
is_special(char c)
{
	return strchr(",;:<>@.%!|)]([\"", c) != NULL && c != '\0';
}

/* To the end of a quoted string or a literal, the opening byte taken already. */
static void
take_until(struct scan *s, char end, struct token *t)
{
	char *start = s->to;
	size_t i;

	for (i = 0; i < s->rest.n && s->rest.p[i] != end; i++) {
		char c = s->rest.p[i];

		if (c == '\\') {
			if (++i == s->rest.n)
				break;
			c = s->rest.p[i];
		}
		*s->to++ = ascii_isspace(c) ? ' ' : c;
	}
	s->rest = str_from(s->rest, i + 1);
	t->text = str_n(start, (size_t)(s->to - start));
}

/* Comments nest, and stay as they are. */
static void
take_comment(struct scan *s, struct token *t)
{
	size_t i, depth = 0;

	for (i = 0; i < s->rest.n; i++) {
		char c = s->rest.p[i];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			break;
	}
	i = i < s->rest.n ? i + 1 : s->rest.n;
	t->text = str_head(s->rest, i);
	s->rest = str_from(s->rest, i);
}

static void
take_word(struct scan *s, struct token *t)
{
	char *start = s->to;
	size_t i;

	for (i = 0; i < s->rest.n; i++) {
		char c = s->rest.p[i];

		if (c == '\\') {
			if (++i == s->rest.n)
				break;
			c = s->rest.p[i];
		} else if (ascii_isspace(c) || is_special(c)) {
			break;
		}
		*s->to++ = ascii_isspace(c) ? ' ' : c;
	}
	s->rest = str_from(s->rest, i);
	t->text = str_n(start, (size_t)(s->to - start));
}

static bool
next_token(struct scan *s, struct token *t)
{
	char c;

	while (s->rest.n > 0 && ascii_isspace(s->rest.p[0]))
		s->rest = str_from(s->rest, 1);
	if (s->rest.n == 0)
		return false;
	c = s->rest.p[0];
	t->special = NO_SPECIAL;
	if (c == '(') {
		t->kind = COMMENT;
		take_comment(s, t);
		return true;
	}
	if (!is_special(c)) {
		t->kind = WORD;
		take_word(s, t);
		return true;
	}
	s->rest = str_from(s->rest, 1);
	if (c == '"' || c == '[') {
		t->kind = c == '"' ? QUOTED : LITERAL;
		take_until(s, c == '"' ? '"' : ']', t);
		return true;
	}
	t->kind = SPECIAL;
	t->special = c;
	return true;
}

/* ---- writing ---- */

/* Whether a word needs quotes to be one word again. */
static bool
needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((unsigned char)c <= ' ' || c == 0x7f ||
		    strchr("()<>@,;:\\\".[]", c) != NULL)
			return true;
	}
	return false;
}

/* Words end at these, so one that has them (behind a backslash) must be quoted. */
static bool
has_special(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_special(s.p[i]))
			return true;
	return false;
}

static char *
put(char *to, struct str s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static char *
put_quoted(char *to, struct str s)
{
	*to++ = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			*to++ = '\\';
		*to++ = s.p[i];
	}
	*to++ = '"';
	return to;
}

/* "<" stands apart from all but the comma, which brings its own blank. Compat. */
static bool
wants_blank(const struct token *before, const struct token *t)
{
	if (before->kind == NOTHING)
		return false;
	if (t->special == '<')
		return before->special != ',';
	return before->kind != SPECIAL && t->kind != SPECIAL;
}

/* `is_plain`: what it means, else as it is to be written. At most 2 n + 4 bytes for a
 * token that was n bytes long. */
static char *
put_token(char *to, const struct token *before, const struct token *t, bool is_plain)
{
	if (wants_blank(before, t))
		*to++ = ' ';
	switch (t->kind) {
	case NOTHING:
		break;
	case SPECIAL:
		*to++ = t->special;
		if (t->special == ',')
			*to++ = ' ';
		break;
	case WORD:
	case QUOTED:
		if (!is_plain &&
		    (t->kind == QUOTED || needs_quotes(t->text) || has_special(t->text)))
			return put_quoted(to, t->text);
		return put(to, t->text);
	case COMMENT:
		return put(to, t->text);
	case LITERAL:
		*to++ = '[';
		for (size_t i = 0; i < t->text.n; i++) {
			if (t->text.p[i] == '\\')
				*to++ = '\\';
			*to++ = t->text.p[i];
		}
		*to++ = ']';
		break;
	}
	return to;
}

/* A name in external form. Source: RFC 5321 4.1.2, Dot-string. */
static struct str
externalize(struct str plain, struct arena *mem)
{
	bool wants = plain.n == 0 || needs_quotes(str_n(&plain.p[plain.n - 1], 1));
	char *p, *end;

	for (size_t i = 0; i < plain.n && !wants; i++) {
		bool is_dot = plain.p[i] == '.';

		if (is_dot)
			wants = i == 0 || plain.p[i - 1] == '.';
		else
			wants = needs_quotes(str_n(&plain.p[i], 1));
	}
	if (!wants)
		return plain;
	p = arena_get(mem, 2 * plain.n + 3);
	if (p == NULL)
		return str_n(NULL, 0);
	end = put_quoted(p, plain);
	return str_n(p, (size_t)(end - p));
}

/* ---- one line ---- */

/* Returns: RC_NONE: no ":", or nothing before it; RC_PERM: not a local name. */
static enum rc
read_key(struct scan *s, char *room, struct str *out)
{
	struct token t, before = { .special = NO_SPECIAL };
	bool is_foreign = false, is_list = false, is_ended = false;
	char *to = room;

	while (!is_ended && next_token(s, &t)) {
		is_ended = t.special == ':';
		if (is_ended)
			break;
		is_foreign = is_foreign || t.special == '@' || t.special == '%';
		is_list = is_list || t.special == ',';
		to = put_token(to, &before, &t, true);
		before = t;
	}
	if (!is_ended || before.kind == NOTHING || is_list)
		return RC_NONE;
	*out = str_n(room, (size_t)(to - room));
	return is_foreign ? RC_PERM : RC_OK;
}

static enum rc
read_value(struct scan *s, char *room, struct str *out)
{
	struct token t, before = { .special = NO_SPECIAL };
	char *to = room;

	while (next_token(s, &t)) {
		to = put_token(to, &before, &t, false);
		before = t;
	}
	*out = str_n(room, (size_t)(to - room));
	return before.kind == NOTHING ? RC_NONE : RC_OK;
}

enum rc
alias_source_next(struct map_source *s, struct map_source_entry *out)
{
	struct str line;
	enum rc rc = map_source_line(s, &line, out);
	struct scan scan;
	char *room;

	if (rc != RC_OK || out->is_skipped)
		return rc;
	/* Texts without backslashes, and each token again: 4 n + 4 for n bytes covers
	 * the blank, the quotes, and a backslash for every byte. */
	room = line.n > SIZE_MAX / 16 ? NULL : arena_get(s->mem, 10 * line.n + 16);
	if (room == NULL)
		return RC_TEMP;
	scan = (struct scan){ .rest = line, .to = room };
	room += line.n;
	rc = read_key(&scan, room, &out->key);
	if (rc == RC_OK || rc == RC_PERM) {
		room += out->key.n;
		if (read_value(&scan, room, &out->value) == RC_NONE)
			rc = RC_NONE;
	}
	if (rc != RC_OK) {
		out->is_skipped = true;
		out->warning = rc == RC_NONE ? STR("need name:value pair")
					     : STR("name must be local"); /* compat */
		return RC_OK;
	}
	out->key = externalize(out->key, s->mem);
	return out->key.p == NULL ? RC_TEMP : RC_OK;
}
