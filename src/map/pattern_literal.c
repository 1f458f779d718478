/* A recursive descent over the part of regular expressions that POSIX and Perl agree on:
 * plain characters, escaped punctuation, . ^ $ [ ] ( ) | * + ? {m,n}, and a little that
 * only Perl has. The first thing outside of it ends the scan with "nothing known". */
#include "map/pattern_literal.h"
#include <string.h>

#define DEPTH_MAX   20
#define LITERAL_MAX 64   /* more of it would not tell more keys apart */
#define PLAIN_MAX   1000 /* libraries refuse what is too large */

struct scan {
	struct str s;
	size_t at;
	enum pattern_syntax syntax;
	bool is_plain;
	uint32_t n_groups;
	char run[LITERAL_MAX]; /* characters that stand next to each other in every match
				*/
	size_t n_run;
	char best[LITERAL_MAX];
	size_t n_best;
};

static bool
is_at(const struct scan *c, char what)
{
	return c->at < c->s.n && c->s.p[c->at] == what;
}

static void
end_run(struct scan *c)
{
	if (c->n_run > c->n_best) {
		memcpy(c->best, c->run, c->n_run);
		c->n_best = c->n_run;
	}
	c->n_run = 0;
}

/* Characters that stand for themselves, with or without a backslash. */
static bool
is_literal(char c)
{
	return ascii_isalnum(c) ||
	       (c != '\0' && strchr(" -_@/:;,=~!#%&'\"<>", c) != NULL);
}

/* Punctuation that a backslash makes literal in both syntaxes. \< \> \' \` are anchors in
 * glibc's, so they are not here. */
static bool
is_escapable(char c)
{
	return c != '\0' && strchr(".-/_+*?()[]{}^$|\\:=,;&%#!~@\" ", c) != NULL;
}

/* Letters, digits and ranges of them, the right way round. */
static bool
is_plain_class(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char a = s.p[i], b = i + 2 < s.n && s.p[i + 1] == '-' ? s.p[i + 2] : a;

		if (!ascii_isalnum(a) || !ascii_isalnum(b) || a > b ||
		    ascii_isdigit(a) != ascii_isdigit(b))
			return false;
		if (i + 2 < s.n && s.p[i + 1] == '-')
			i += 2;
	}
	return s.n > 0;
}

/* [...]; ranges and class names may be wrong, so not all such patterns are plain. */
static bool
skip_class(struct scan *c)
{
	size_t start;

	c->at++;
	if (is_at(c, '^'))
		c->at++;
	start = c->at;
	if (is_at(c, ']'))
		c->at++;
	while (c->at < c->s.n && c->s.p[c->at] != ']') {
		if (c->s.p[c->at] == '[')
			return false; /* [:alpha:] and its like: not worth it */
		if (c->s.p[c->at] == '\\') {
			/* An escape in Perl's, a character in POSIX's: only where both
			 * mean that the class goes on. */
			if (c->syntax == PATTERN_ERE || c->at + 1 >= c->s.n ||
			    c->s.p[c->at + 1] == 'Q' || c->s.p[c->at + 1] == 'E' ||
			    c->s.p[c->at + 1] == 'c')
				return false;
			c->at++;
		}
		c->at++;
	}
	if (c->at >= c->s.n)
		return false;
	if (!is_plain_class(str_n(c->s.p + start, c->at - start)))
		c->is_plain = false;
	c->at++;
	return true;
}

static bool scan_alternatives(struct scan *c, unsigned depth);

static bool
skip_group(struct scan *c, unsigned depth)
{
	c->at++;
	if (is_at(c, '?')) {
		if (c->syntax != PATTERN_PERL || c->at + 1 >= c->s.n ||
		    c->s.p[c->at + 1] != ':')
			return false;
		c->at += 2;
	} else if (is_at(c, '*')) {
		return false; /* a verb in Perl's */
	} else {
		c->n_groups++;
	}
	if (depth >= DEPTH_MAX || !scan_alternatives(c, depth + 1) || !is_at(c, ')'))
		return false;
	c->at++;
	return true;
}

/* {m} {m,} {m,n}, with numbers that no library finds too large. */
static bool
skip_braces(struct scan *c)
{
	size_t digits = 0;

	c->is_plain = false;
	for (c->at++; c->at < c->s.n && ascii_isdigit(c->s.p[c->at]); c->at++)
		digits++;
	if (digits == 0)
		return false;
	if (is_at(c, ',')) {
		c->at++;
		while (c->at < c->s.n && ascii_isdigit(c->s.p[c->at]))
			c->at++;
	}
	if (!is_at(c, '}'))
		return false;
	c->at++;
	return true;
}

/* What may follow an atom. `is_char`: the atom is the last character of the run. */
static bool
scan_repeat(struct scan *c, bool is_char)
{
	char what = c->at < c->s.n ? c->s.p[c->at] : '\0';

	if (what == '\0' || strchr("*+?{", what) == NULL)
		return true;
	if (what != '+' && is_char)
		c->n_run--;
	end_run(c);
	if (what != '{')
		c->at++;
	else if (!skip_braces(c))
		return false;
	/* A second one: lazy or possessive in Perl's, a repeated repetition in POSIX's.
	 */
	if (c->syntax == PATTERN_PERL && (is_at(c, '?') || is_at(c, '+'))) {
		c->is_plain = c->is_plain && what != '{';
		c->at++;
	}
	return c->at == c->s.n || strchr("*+?{", c->s.p[c->at]) == NULL;
}

static bool
take_char(struct scan *c, char what)
{
	if (c->n_run == LITERAL_MAX)
		end_run(c);
	c->run[c->n_run++] = ascii_lower(what);
	c->at++;
	return scan_repeat(c, true);
}

static bool
scan_escape(struct scan *c)
{
	char what;

	if (++c->at >= c->s.n)
		return false;
	what = c->s.p[c->at];
	if (is_escapable(what))
		return take_char(c, what);
	if (c->syntax != PATTERN_PERL || what == '\0' || strchr("dDwWsSbB", what) == NULL)
		return false;
	end_run(c);
	c->at++;
	if (what == 'b' || what == 'B') /* what repeats it is not worth knowing */
		return c->at == c->s.n || strchr("*+?{", c->s.p[c->at]) == NULL;
	return scan_repeat(c, false);
}

static bool
scan_atom(struct scan *c, unsigned depth)
{
	char what = c->s.p[c->at];

	if (is_literal(what))
		return take_char(c, what);
	if (what == '\\')
		return scan_escape(c);
	end_run(c);
	switch (what) {
	case '.':
		c->at++;
		return scan_repeat(c, false);
	case '^':
	case '$':
		/* libc has its own idea of anchors inside. */
		if (c->syntax == PATTERN_ERE && c->at != (what == '^' ? 0 : c->s.n - 1))
			c->is_plain = false;
		c->at++;
		/* Repeating an anchor is an error for one, and odd for the other. */
		return c->at == c->s.n || strchr("*+?{", c->s.p[c->at]) == NULL;
	case '[':
		return skip_class(c) && scan_repeat(c, false);
	case '(':
		return skip_group(c, depth) && scan_repeat(c, false);
	default:
		return false;
	}
}

/* Up to the parenthesis that closes it, or the end. What stands in a group, or beside
 * another alternative, need not be in a match: it leaves the best run alone. */
static bool
scan_alternatives(struct scan *c, unsigned depth)
{
	char best[LITERAL_MAX];
	size_t n_best = c->n_best;
	bool is_choice = depth > 0;

	memcpy(best, c->best, sizeof(best));
	for (;;) {
		size_t start = c->at;

		while (c->at < c->s.n && c->s.p[c->at] != '|' && c->s.p[c->at] != ')')
			if (!scan_atom(c, depth))
				return false;
		end_run(c);
		if (c->at == start)
			return false; /* empty: not the same everywhere */
		if (!is_at(c, '|'))
			break;
		is_choice = true;
		c->at++;
	}
	if (is_choice) {
		memcpy(c->best, best, sizeof(best));
		c->n_best = n_best;
	}
	return true;
}

enum rc
pattern_literal_scan(struct str regex, enum pattern_syntax syntax, struct arena *mem,
    struct pattern_literal *out)
{
	struct scan c = { .s = regex, .syntax = syntax, .is_plain = true };
	struct pattern_literal l = { .text = { NULL, 0 } };

	if (!scan_alternatives(&c, 0) || c.at < regex.n) {
		*out = l;
		return RC_OK;
	}
	l.is_plain = c.is_plain && regex.n <= PLAIN_MAX;
	l.n_groups = c.n_groups;
	if (c.n_best > 0) {
		l.text = arena_str(mem, str_n(c.best, c.n_best));
		if (l.text.p == NULL)
			return RC_TEMP;
	}
	*out = l;
	return RC_OK;
}
