/* Lines of regexp: and pcre: tables: !/pattern/options result, and what stands in the
 * result. The words of the warnings are Postfix's. */
#include "map/pattern.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* !, the pattern between its delimiters, the options; *s: what stands behind. */
static enum rc
parse_pattern(struct str *s, unsigned line, const struct pattern_words *words,
    const struct pattern_warner *w, struct pattern_regex_line *out)
{
	size_t end;
	char delimiter;

	*s = pattern_skip_blanks(*s);
	while (s->n > 0 && s->p[0] == '!') {
		out->is_negated = !out->is_negated;
		*s = pattern_skip_blanks(str_from(*s, 1));
	}
	if (s->n == 0) {
		pattern_warn(w, line, "no regexp: skipping this rule");
		return RC_PERM;
	}
	delimiter = s->p[0];
	*s = str_from(*s, 1);
	for (end = 0; end < s->n && s->p[end] != delimiter; end++)
		if (s->p[end] == '\\' && end + 1 < s->n)
			end++;
	if (end >= s->n) {
		pattern_warn(w, line, "no closing regexp delimiter \"%c\": %s", delimiter,
		    words->unclosed);
		return RC_PERM;
	}
	out->regex = str_head(*s, end);
	*s = str_from(*s, end + 1);
	for (end = 0; end < s->n && !ascii_isspace(s->p[end]); end++)
		;
	out->options = str_head(*s, end);
	*s = pattern_skip_blanks(str_from(*s, end));
	return RC_OK;
}

enum rc
pattern_regex_parse(const struct pattern_line *line, const struct pattern_words *words,
    const struct pattern_warner *w, struct pattern_regex_line *out)
{
	struct pattern_regex_line l = { .op = PATTERN_MATCH };
	struct str s = line->text;
	enum rc rc;

	if (pattern_takes_word(&s, STR("ENDIF"))) {
		l.op = PATTERN_ENDIF;
		l.value = pattern_skip_blanks(s);
		*out = l;
		return RC_OK;
	}
	if (pattern_takes_word(&s, STR("IF"))) {
		l.op = PATTERN_IF;
	} else if (s.n > 0 && ascii_isalnum(s.p[0])) {
		pattern_warn(w, line->line, "ignoring unrecognized request");
		return RC_PERM;
	}
	rc = parse_pattern(&s, line->line, words, w, &l);
	if (rc != RC_OK)
		return rc;
	l.value = s;
	*out = l;
	return RC_OK;
}

/* ---- results ---- */

enum token { TOKEN_END, TOKEN_TEXT, TOKEN_NAME, TOKEN_EMPTY, TOKEN_TRUNCATED };

/* Where the name behind "${" or "$(" ends, pairs inside counted; SIZE_MAX: it does not.
 */
static size_t
closing(struct str s, size_t at)
{
	char open = s.p[at], close = open == '{' ? '}' : ')';
	size_t depth = 0;

	for (; at < s.n; at++) {
		if (s.p[at] == open)
			depth++;
		else if (s.p[at] == close && --depth == 0)
			return at;
	}
	return SIZE_MAX;
}

/* The next piece of a result from *at on: text (a $$ gives one $) or the name behind $.
 * *at moves behind it; for TOKEN_EMPTY and TOKEN_TRUNCATED too. */
static enum token
next_token(struct str s, size_t *at, struct str *out)
{
	size_t i = *at, end;

	if (i == s.n)
		return TOKEN_END;
	if (s.p[i] != '$') {
		*out = str_n(s.p + i, str_find(str_from(s, i), '$'));
		*at += out->n;
		return TOKEN_TEXT;
	}
	i++;
	if (i < s.n && s.p[i] == '$') {
		*out = str_n(s.p + i, 1);
		*at = i + 1;
		return TOKEN_TEXT;
	}
	if (i < s.n && (s.p[i] == '{' || s.p[i] == '(')) {
		end = closing(s, i);
		*at = end == SIZE_MAX ? s.n : end + 1;
		if (end == SIZE_MAX)
			return TOKEN_TRUNCATED;
		*out = str_n(s.p + i + 1, end - i - 1);
	} else {
		for (end = i; end < s.n && (ascii_isalnum(s.p[end]) || s.p[end] == '_');
		     end++)
			;
		*out = str_n(s.p + i, end - i);
		*at = end;
	}
	return out->n == 0 ? TOKEN_EMPTY : TOKEN_NAME;
}

/* The number as C's int keeps it, so that $4294967297 is $1 (compat); for negative ones,
 * more than any pattern has groups. RC_PERM: no number. */
static enum rc
read_index(struct str name, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < name.n; i++) {
		if (!ascii_isdigit(name.p[i]))
			return RC_PERM;
		v = v > (INT64_MAX - 9) / 10 ? INT64_MAX
					     : v * 10 + (uint64_t)(name.p[i] - '0');
	}
	*out = (uint64_t)(int64_t)(int32_t)(uint32_t)v;
	return RC_OK;
}

enum rc
pattern_subst_scan(struct str value, unsigned line, const struct pattern_words *words,
    const struct pattern_warner *w, struct pattern_subst *out)
{
	struct pattern_subst s = { .has_dollars = str_find(value, '$') < value.n };
	enum token t;
	struct str piece;
	size_t at = 0;

	while ((t = next_token(value, &at, &piece)) != TOKEN_END) {
		uint64_t index;

		if (t == TOKEN_TEXT)
			continue;
		/* compat: these two show the result as far as it was read */
		if (t == TOKEN_EMPTY || t == TOKEN_TRUNCATED)
			pattern_warn(w, 0, "%s: \"%.*s\"",
			    t == TOKEN_EMPTY ? "empty macro name"
					     : "truncated macro reference",
			    STR_ARG(value));
		else if (read_index(piece, &index) != RC_OK)
			pattern_warn(w, line, "non-numeric replacement index \"%.*s\"",
			    STR_ARG(piece));
		else if (index == 0)
			pattern_warn(w, line, "%s replacement index \"%.*s\"",
			    words->zero_index, STR_ARG(piece));
		else {
			s.n++;
			s.max = index > s.max ? index : s.max;
			continue;
		}
		return RC_PERM;
	}
	*out = s;
	return RC_OK;
}

static struct str
group_text(const struct pattern_groups *g, struct str name)
{
	uint64_t i;

	if (read_index(name, &i) != RC_OK || i >= g->n || g->group[2 * i] == SIZE_MAX ||
	    g->group[2 * i + 1] < g->group[2 * i])
		return str_n("", 0);
	return str_n(g->key.p + g->group[2 * i], g->group[2 * i + 1] - g->group[2 * i]);
}

enum rc
pattern_subst_expand(
    struct str value, const struct pattern_groups *g, struct arena *mem, struct str *out)
{
	char *p = NULL;
	size_t n = 0;

	/* The first round measures, the second writes. */
	for (int round = 0; round < 2; round++) {
		struct str piece;
		size_t at = 0;
		enum token t;

		if (round == 1 && (p = arena_get(mem, n + 1)) == NULL)
			return RC_TEMP;
		n = 0;
		while ((t = next_token(value, &at, &piece)) != TOKEN_END) {
			if (t == TOKEN_NAME)
				piece = group_text(g, piece);
			else if (t != TOKEN_TEXT)
				continue; /* the scan refused it */
			if (p != NULL && piece.n > 0)
				memcpy(p + n, piece.p, piece.n);
			n += piece.n;
		}
	}
	*out = str_n(p, n);
	return RC_OK;
}
