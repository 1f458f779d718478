/* Owns the evaluation of $name and ${…}.
 *
 *   $$                              a dollar
 *   $name $(name) ${name}           the value, itself expanded
 *   ${name?text} ${name?{text}}     text if the value is not empty
 *   ${name:text} ${name:{text}}     text if it is empty
 *   ${name?{text}:{text}}           either
 *   ${{a} OP {b} ?{text} :{text}}   OP: == != < <= > >=, of numbers when both are; with
 * "level" behind it, of dotted release numbers
 *
 * Blanks are allowed between tokens; text without braces reaches to the closing brace.
 * Whether a value is empty is asked of it as written, before expansion. compat */
#include "conf/expand.h"
#include "base/arena.h"
#include "base/buf.h"
#include <idn2.h>
#include <string.h>

#define DOMAIN_TEXT_MAX 1024 /* of a name before it is made ASCII */

struct run {
	const struct expand_source *from;
	struct buf out;
	unsigned depth, steps;
	struct err *e;
};

/* Where a parser is inside ${…}; `token` is for messages. */
struct at {
	struct str rest;
	const char *token;
	const char *end; /* of what is inside: an empty `rest` points nowhere */
};

static enum rc expand(struct run *r, struct str text);

static bool
is_name_char(char c)
{
	return ascii_isalnum(c) || c == '_';
}

static enum rc
put(struct run *r, struct str s)
{
	if (buf_put(&r->out, s) != RC_OK)
		return err_set(r->e, RC_PERM, "value is too long");
	return RC_OK;
}

static void
skip_blanks(struct at *a)
{
	while (a->rest.n > 0 && ascii_isspace(a->rest.p[0]))
		a->rest = str_from(a->rest, 1);
}

/* compat: the words and the ">>>" are Postfix's. */
static enum rc
expected(struct run *r, const char *what, const struct at *a)
{
	const char *here = a->rest.n > 0 ? a->rest.p : a->end;
	struct str before = str_n(a->token, (size_t)(here - a->token));

	while (before.n > 0 && ascii_isspace(before.p[before.n - 1]))
		before.n--;
	return err_set(r->e, RC_PERM, "%s at: \"...%.*s>>>%.*s\"", what, STR_ARG(before),
	    STR_ARG(str_head(a->rest, 20)));
}

/* Index of the bracket that closes the one at the front; s.n when there is none. */
static size_t
find_close(struct str s, char open, char close)
{
	size_t level = 0;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == open)
			level++;
		else if (s.p[i] == close && --level == 0)
			return i;
	return s.n;
}

/* Takes "{text}" off the front; the caller saw the brace. */
static enum rc
take_braced(struct run *r, struct at *a, struct str *out)
{
	size_t end = find_close(a->rest, '{', '}');

	if (end == a->rest.n)
		return err_set(r->e, RC_PERM,
		    "unbalanced {} in attribute expression: \"%.*s\"", STR_ARG(a->rest));
	*out = str_n(a->rest.p + 1, end - 1);
	a->token = a->rest.p + 1;
	a->rest = str_from(a->rest, end + 1);
	return RC_OK;
}

/* What stands behind ? or : and, for the first, behind the : after it. */
struct branches {
	struct str when_true, when_false;
	bool has_true, has_false;
};

static enum rc
parse_false(struct run *r, struct at *a, struct branches *b)
{
	struct str raw;
	enum rc rc;

	a->rest = str_from(a->rest, 1); /* the colon */
	raw = a->rest;
	skip_blanks(a);
	b->has_false = true;
	if (a->rest.n == 0 || a->rest.p[0] != '{') {
		b->when_false = raw;
		return RC_OK;
	}
	rc = take_braced(r, a, &b->when_false);
	if (rc != RC_OK)
		return rc;
	skip_blanks(a);
	return a->rest.n == 0 ? RC_OK : expected(r, "unexpected input", a);
}

/* Everything from the first ? or : on. */
static enum rc
parse_branches(struct run *r, struct at *a, struct branches *b)
{
	struct str raw;
	enum rc rc;

	if (a->rest.n == 0)
		return RC_OK;
	if (a->rest.p[0] == ':')
		return parse_false(r, a, b);
	a->rest = str_from(a->rest, 1); /* the question mark */
	raw = a->rest;
	skip_blanks(a);
	b->has_true = true;
	if (a->rest.n == 0 || a->rest.p[0] != '{') {
		b->when_true = raw;
		return RC_OK;
	}
	rc = take_braced(r, a, &b->when_true);
	if (rc != RC_OK)
		return rc;
	skip_blanks(a);
	if (a->rest.n == 0)
		return RC_OK;
	return a->rest.p[0] == ':' ? parse_false(r, a, b)
				   : expected(r, "\":\" expected", a);
}

enum relation { EQ, NE, LT, LE, GT, GE };

static bool
holds(enum relation op, int c)
{
	switch (op) {
	case EQ:
		return c == 0;
	case NE:
		return c != 0;
	case LT:
		return c < 0;
	case LE:
		return c <= 0;
	case GT:
		return c > 0;
	case GE:
		return c >= 0;
	}
	return false;
}

static enum rc
parse_operator(struct run *r, struct at *a, enum relation *op, bool *is_level)
{
	static const struct {
		const char *text;
		enum relation op;
	} operators[] = { { "==", EQ }, { "!=", NE }, { "<=", LE }, { ">=", GE },
		{ "<", LT }, { ">", GT } };
	size_t n = 0, i;
	struct str text;

	while (n < a->rest.n && strchr("<>!=?+-*/~&|%", a->rest.p[n]) != NULL)
		n++;
	text = str_head(a->rest, n);
	for (i = 0; i < ARRAY_LEN(operators); i++)
		if (str_is(text, operators[i].text))
			break;
	if (i == ARRAY_LEN(operators))
		return expected(r,
		    /* compat: also the quotes */
		    "\"==\" or \"!=\"\" or \"<\"\" or \"<=\"\" or \">=\"\" or \">\" "
		    "expected",
		    a);
	*op = operators[i].op;
	a->token = a->rest.p;
	a->rest = str_from(a->rest, n);
	for (n = 0; n < a->rest.n && ascii_isalnum(a->rest.p[n]);)
		n++;
	*is_level = str_is(str_head(a->rest, n), "level");
	if (n > 0 && !*is_level) {
		a->rest = str_head(a->rest, n);
		return expected(r, "bad operator suffix", a);
	}
	a->rest = str_from(a->rest, n);
	skip_blanks(a);
	if (a->rest.n == 0 || a->rest.p[0] != '{')
		return expected(r, "\"{expression}\" expected", a);
	return RC_OK;
}

static bool
all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isdigit(s.p[i]))
			return false;
	return s.n > 0;
}

/* Numbers of any length. */
static int
compare_digits(struct str a, struct str b)
{
	while (a.n > 1 && a.p[0] == '0')
		a = str_from(a, 1);
	while (b.n > 1 && b.p[0] == '0')
		b = str_from(b, 1);
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return str_cmp(a, b);
}

/* compat: ten bits each for what comes behind a dot, the rest for the number before. */
#define MAJOR_MAX ((UINT64_C(1) << 43) - 1)

/* "3", "3.6", "3.6.1" as one number. */
static enum rc
parse_level(struct run *r, struct str text, uint64_t *out)
{
	struct str rest = text, part;
	uint64_t v = 0, number;
	bool has_more = true;

	while (rest.n > 0 && ascii_isspace(rest.p[0]))
		rest = str_from(rest, 1);
	if (rest.n > 0 && rest.p[0] == '+')
		rest = str_from(rest, 1);
	for (unsigned i = 0; i < 3; i++) {
		number = 0;
		if (has_more) {
			size_t dot = str_find(rest, '.');

			part = str_head(rest, dot);
			has_more = dot < rest.n;
			rest = str_from(rest, dot + 1);
			if (str_u64(part, i == 0 ? MAJOR_MAX : 1023, &number) != RC_OK)
				goto bad;
		}
		v = v << 10 | number;
	}
	if (has_more)
		goto bad;
	*out = v;
	return RC_OK;
bad: /* compat */
	return err_set(r->e, RC_PERM, "malformed compatibility level syntax: \"%.*s\"",
	    STR_ARG(text));
}

static enum rc
compare(struct run *r, bool is_level, struct str left, struct str right, int *out)
{
	uint64_t a, b;
	enum rc rc;

	if (is_level) {
		rc = parse_level(r, left, &a);
		if (rc == RC_OK)
			rc = parse_level(r, right, &b);
		if (rc == RC_OK)
			*out = (a > b) - (a < b);
		return rc;
	}
	*out = all_digits(left) && all_digits(right) ? compare_digits(left, right)
						     : str_cmp(left, right);
	return RC_OK;
}

/* Both operands expanded at the end of the output, compared there, and taken off again.
 */
static enum rc
compare_expanded(struct run *r, bool is_level, const struct str operand[2], int *out)
{
	size_t start = r->out.n, middle;
	struct str view;
	enum rc rc;

	rc = expand(r, operand[0]);
	if (rc != RC_OK)
		return rc;
	middle = r->out.n;
	rc = expand(r, operand[1]);
	if (rc != RC_OK)
		return rc;
	view = buf_view(&r->out);
	rc = compare(r, is_level, str_n(view.p + start, middle - start),
	    str_from(view, middle), out);
	r->out.n = start;
	return rc;
}

static enum rc
expand_relation(struct run *r, struct at *a)
{
	struct branches b = { 0 };
	struct str operand[2];
	enum relation op = EQ;
	bool is_level = false;
	enum rc rc;
	int c;

	rc = take_braced(r, a, &operand[0]);
	if (rc != RC_OK)
		return rc;
	skip_blanks(a);
	rc = parse_operator(r, a, &op, &is_level);
	if (rc != RC_OK)
		return rc;
	rc = take_braced(r, a, &operand[1]);
	if (rc != RC_OK)
		return rc;
	skip_blanks(a);
	if (a->rest.n > 0 && a->rest.p[0] != '?' && a->rest.p[0] != ':')
		return expected(r, "\"?\" or \":\" expected", a);
	rc = parse_branches(r, a, &b);
	if (rc != RC_OK)
		return rc;
	rc = compare_expanded(r, is_level, operand, &c);
	if (rc != RC_OK)
		return rc;
	if (!b.has_true && !b.has_false)
		b.when_true = STR("true"); /* compat */
	return expand(r, holds(op, c) ? b.when_true : b.when_false);
}

static enum rc
get(struct run *r, struct str name, struct str *out)
{
	enum rc rc;

	if (++r->steps > EXPAND_STEPS_MAX)
		return err_set(r->e, RC_PERM,
		    "unreasonable number of macro calls: \"%.*s\"", STR_ARG(name));
	rc = r->from->get(r->from->arg, name, out, r->e);
	if (rc == RC_NONE) {
		*out = STR("");
		rc = RC_OK;
	}
	return rc;
}

static enum rc
expand_name(struct run *r, struct str name)
{
	struct str raw;
	enum rc rc = get(r, name, &raw);

	if (rc == RC_OK && r->depth == EXPAND_DEPTH_MAX)
		return err_set(r->e, RC_PERM, "unreasonable macro call nesting: \"%.*s\"",
		    STR_ARG(name)); /* compat */
	return rc == RC_OK ? expand(r, raw) : rc;
}

/* Puts the ASCII form of the domain that the output ends with in its place. Source: RFC
 * 5891, UTS 46 without transitional processing. */
static enum rc
put_ascii(struct run *r, size_t start)
{
	struct str view = str_from(buf_view(&r->out), start);
	char domain[DOMAIN_TEXT_MAX], *ascii = NULL;
	enum rc rc;
	int status;

	if (view.n >= sizeof(domain) || memchr(view.p, '\0', view.n) != NULL)
		return err_set(r->e, RC_PERM, "domain_to_ascii: not a domain name");
	memcpy(domain, view.p, view.n);
	domain[view.n] = '\0';
	status = idn2_to_ascii_8z(domain, &ascii,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
	if (status != IDN2_OK)
		return err_set(r->e, RC_PERM, "domain_to_ascii: \"%s\": %s", domain,
		    idn2_strerror(status));
	r->out.n = start;
	rc = put(r, str_c(ascii));
	idn2_free(ascii);
	return rc;
}

/* ${domain_to_ascii{text}}: names that are ASCII already stay as they are. */
static enum rc
expand_to_ascii(struct run *r, struct at *a)
{
	size_t start = r->out.n;
	struct str text, view;
	enum rc rc;

	rc = take_braced(r, a, &text);
	if (rc == RC_OK)
		rc = expand(r, text);
	if (rc != RC_OK)
		return rc;
	view = str_from(buf_view(&r->out), start);
	for (size_t i = 0; i < view.n; i++)
		if ((unsigned char)view.p[i] >= 128)
			return put_ascii(r, start);
	return RC_OK;
}

/* What stands inside ${…} or $(…). */
static enum rc
expand_inside(struct run *r, struct str inside, struct str whole)
{
	struct at a = { inside, inside.p, inside.p + inside.n };
	struct branches b = { 0 };
	struct str name, raw;
	size_t n = 0;
	enum rc rc;

	skip_blanks(&a);
	if (inside.n == 0)
		return err_set(r->e, RC_PERM, "empty macro name: \"%.*s\"",
		    STR_ARG(whole)); /* compat */
	if (a.rest.n > 0 && a.rest.p[0] == '{')
		return expand_relation(r, &a);
	while (n < a.rest.n && is_name_char(a.rest.p[n]))
		n++;
	name = str_head(a.rest, n);
	a.token = a.rest.p;
	a.rest = str_from(a.rest, n);
	if (a.rest.n > 0 && a.rest.p[0] == '{' && str_is(name, "domain_to_ascii"))
		return expand_to_ascii(r, &a);
	skip_blanks(&a);
	if (a.rest.n == 0)
		return expand_name(r, name);
	if (a.rest.p[0] != '?' && a.rest.p[0] != ':')
		return expected(r, "attribute name syntax error", &a);
	rc = parse_branches(r, &a, &b);
	if (rc == RC_OK)
		rc = get(r, name, &raw);
	if (rc != RC_OK)
		return rc;
	return expand(r, raw.n > 0 ? b.when_true : b.when_false);
}

/* Expands what begins with the $ at the front of `s`; *used is how much that was. */
static enum rc
expand_reference(struct run *r, struct str s, struct str whole, size_t *used)
{
	char open = s.n > 1 ? s.p[1] : '\0';
	size_t n = 1;

	if (open == '{' || open == '(') {
		struct str from_open = str_from(s, 1);
		size_t end = find_close(from_open, open, open == '{' ? '}' : ')');

		if (end == from_open.n)
			return err_set(r->e, RC_PERM,
			    "truncated macro reference: \"%.*s\"",
			    STR_ARG(whole)); /* compat */
		*used = end + 2;
		return expand_inside(r, str_n(from_open.p + 1, end - 1), whole);
	}
	if (open == '$') {
		*used = 2;
		return put(r, STR("$"));
	}
	while (n < s.n && is_name_char(s.p[n]))
		n++;
	if (n == 1)
		return err_set(r->e, RC_PERM, "empty macro name: \"%.*s\"",
		    STR_ARG(whole)); /* compat */
	*used = n;
	return expand_name(r, str_n(s.p + 1, n - 1));
}

static enum rc
expand(struct run *r, struct str text)
{
	struct str rest = text;
	enum rc rc = RC_OK;
	size_t n;

	if (r->depth == EXPAND_DEPTH_MAX)
		return err_set(r->e, RC_PERM, "unreasonable macro call nesting: \"%.*s\"",
		    STR_ARG(text)); /* compat */
	r->depth++;
	while (rc == RC_OK && rest.n > 0) {
		n = str_find(rest, '$');
		rc = put(r, str_head(rest, n));
		rest = str_from(rest, n);
		if (rc == RC_OK && rest.n > 0) {
			rc = expand_reference(r, rest, text, &n);
			rest = str_from(rest, n);
		}
	}
	r->depth--;
	return rc;
}

enum rc
expand_text(const struct expand_source *from, struct str text, size_t max,
    struct arena *mem, struct str *out, struct err *e)
{
	struct run r = { .from = from, .e = e };
	struct str value;
	enum rc rc;

	if (str_find(text, '$') == text.n) {
		*out = text;
		return RC_OK;
	}
	buf_init(&r.out, max);
	rc = expand(&r, text);
	if (rc == RC_OK) {
		value = arena_str(mem, buf_view(&r.out));
		if (value.p == NULL)
			rc = err_set(e, RC_TEMP, "memory limit");
		else
			*out = value;
	}
	buf_fini(&r.out);
	return rc;
}

void
expand_names(struct str text, void (*fn)(void *arg, struct str name), void *arg)
{
	size_t i = 0, start;

	/* A name stands behind $, ${ or $(; operands and texts are passed over like any
	 * text. */
	while (i + 1 < text.n) {
		if (text.p[i++] != '$')
			continue;
		if (text.p[i] == '$') {
			i++;
			continue;
		}
		if (text.p[i] == '{' || text.p[i] == '(')
			i++;
		while (i < text.n && ascii_isspace(text.p[i]))
			i++;
		start = i;
		while (i < text.n && is_name_char(text.p[i]))
			i++;
		if (i > start &&
		    !str_is(str_n(text.p + start, i - start), "domain_to_ascii"))
			fn(arg, str_n(text.p + start, i - start));
	}
}
