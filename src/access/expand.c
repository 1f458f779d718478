/* Owns texts with $name in them: replies of DNS lists. Everything is bounded: the text by
 * the configuration, values by their length, nesting by a depth. */
#include "access/dns_int.h"
#include "addr/address.h"
#include "base/buf.h"

#define EXPANDED_MAX ((size_t)8192)
#define DEPTH_MAX    20

struct expansion {
	const struct access_macros *m;
	struct buf *to;
	bool listed[256]; /* what the filter lets through */
	unsigned depth;
};

/* ---- the filter ---- */

/* One byte of a text with C escapes. */
static unsigned char
unescape(struct str *rest)
{
	static const char letters[] = "abfnrtv", bytes[] = "\a\b\f\n\r\t\v";
	unsigned char c = (unsigned char)rest->p[0];
	unsigned value = 0;
	size_t digits = 0, n;

	*rest = str_from(*rest, 1);
	if (c != '\\' || rest->n == 0)
		return c;
	while (digits < 3 && digits < rest->n && rest->p[digits] >= '0' &&
	       rest->p[digits] <= '7')
		value = value * 8 + (unsigned)(rest->p[digits++] - '0');
	c = (unsigned char)rest->p[0];
	*rest = str_from(*rest, digits > 0 ? digits : 1);
	if (digits > 0)
		return (unsigned char)value;
	n = str_find(str_c(letters), (char)c);
	return n < sizeof(letters) - 1 ? (unsigned char)bytes[n] : c;
}

static void
read_filter(struct expansion *x)
{
	struct str rest = x->m->filter;

	for (size_t i = 0; i < ARRAY_LEN(x->listed); i++)
		x->listed[i] = rest.n == 0;
	while (rest.n > 0)
		x->listed[unescape(&rest)] = true;
}

static enum rc
put_value(struct expansion *x, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = x->listed[(unsigned char)value.p[i]] ? value.p[i] : '_';

		if (buf_put(x->to, str_n(&c, 1)) != RC_OK)
			return RC_TEMP;
	}
	return RC_OK;
}

/* ---- parsing ---- */

static enum rc expand(struct expansion *x, struct str text);

static bool
is_name(char c)
{
	return ascii_isalnum(c) || c == '_';
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && ascii_isspace(s.p[0]))
		s = str_from(s, 1);
	return s;
}

static struct str
take_name(struct str *rest)
{
	size_t n = 0;
	struct str name;

	while (n < rest->n && is_name(rest->p[n]))
		n++;
	name = str_head(*rest, n);
	*rest = str_from(*rest, n);
	return name;
}

/* What is between the bracket at the front of *rest and the one that closes it. */
static enum rc
take_group(struct str *rest, struct str *out)
{
	char open = rest->p[0], close = open == '(' ? ')' : '}';
	size_t depth = 0;

	for (size_t i = 0; i < rest->n; i++) {
		depth += rest->p[i] == open;
		depth -= rest->p[i] == close;
		if (depth > 0)
			continue;
		*out = str_n(rest->p + 1, i - 1);
		*rest = str_from(*rest, i + 1);
		return RC_OK;
	}
	return RC_PERM;
}

/* "?text", ":text", "?{text}:{text}" behind a name or a comparison. */
static enum rc
choose(struct expansion *x, struct str rest, bool is_true)
{
	struct str yes, no = STR("");
	char what = rest.p[0];
	enum rc rc;

	rest = str_from(rest, 1);
	if (what == ':')
		return is_true ? RC_OK : expand(x, rest);
	if (skip_blanks(rest).n == 0 || skip_blanks(rest).p[0] != '{')
		return is_true ? expand(x, rest) : RC_OK;
	rest = skip_blanks(rest);
	rc = take_group(&rest, &yes);
	if (rc != RC_OK)
		return rc;
	rest = skip_blanks(rest);
	if (rest.n > 0 && rest.p[0] != ':')
		return RC_PERM;
	rest = skip_blanks(str_from(rest, 1));
	no = rest;
	if (rest.n > 0 && rest.p[0] == '{') {
		rc = take_group(&rest, &no);
		if (rc != RC_OK || skip_blanks(rest).n > 0)
			return RC_PERM;
	}
	return expand(x, is_true ? yes : no);
}

/* The text of one side of a comparison, in *out of `side`. */
static enum rc
take_side(struct expansion *x, struct str *rest, struct buf *side)
{
	struct expansion inner = *x;
	struct str text;
	enum rc rc;

	*rest = skip_blanks(*rest);
	if (rest->n == 0 || rest->p[0] != '{')
		return RC_PERM;
	rc = take_group(rest, &text);
	if (rc != RC_OK)
		return rc;
	inner.to = side;
	return expand(&inner, text);
}

/* {a} == {b} ? … */
static enum rc
compare(struct expansion *x, struct str rest)
{
	struct buf left, right;
	bool wants_same = false, is_same;
	enum rc rc;

	buf_init(&left, EXPANDED_MAX);
	buf_init(&right, EXPANDED_MAX);
	rc = take_side(x, &rest, &left);
	rest = skip_blanks(rest);
	if (rc == RC_OK && str_starts(rest, STR("==")))
		wants_same = true;
	else if (rc == RC_OK && !str_starts(rest, STR("!=")))
		rc = RC_PERM;
	rest = str_from(rest, 2);
	if (rc == RC_OK)
		rc = take_side(x, &rest, &right);
	is_same = rc == RC_OK && str_eq(buf_view(&left), buf_view(&right));
	buf_fini(&left);
	buf_fini(&right);
	rest = skip_blanks(rest);
	if (rc != RC_OK || rest.n == 0 || (rest.p[0] != '?' && rest.p[0] != ':'))
		return rc != RC_OK ? rc : RC_PERM;
	return choose(x, rest, is_same == wants_same);
}

/* What stands between ${ and }. */
static enum rc
expand_group(struct expansion *x, struct str group)
{
	struct str name, value = STR("");

	group = skip_blanks(group);
	if (group.n > 0 && group.p[0] == '{')
		return compare(x, group);
	name = take_name(&group);
	group = skip_blanks(group);
	if (name.n == 0 || !x->m->find(x->m->ctx, name, &value))
		return RC_PERM;
	if (group.n == 0)
		return put_value(x, value);
	if (group.p[0] != '?' && group.p[0] != ':')
		return RC_PERM;
	/* compat: ${name:text} is empty when there is a value. */
	return choose(x, group, value.n > 0);
}

/* What stands behind a $, off the front of *rest. */
static enum rc
expand_one(struct expansion *x, struct str *rest)
{
	struct str group, value = STR("");
	enum rc rc;

	if (rest->n > 0 && rest->p[0] == '$') {
		*rest = str_from(*rest, 1);
		return buf_put(x->to, STR("$"));
	}
	if (rest->n > 0 && (rest->p[0] == '{' || rest->p[0] == '(')) {
		rc = take_group(rest, &group);
		return rc == RC_OK ? expand_group(x, group) : rc;
	}
	group = take_name(rest);
	if (group.n == 0 || !x->m->find(x->m->ctx, group, &value))
		return RC_PERM;
	return put_value(x, value);
}

static enum rc
expand(struct expansion *x, struct str text)
{
	enum rc rc = ++x->depth > DEPTH_MAX ? RC_PERM : RC_OK;

	while (rc == RC_OK && text.n > 0) {
		size_t n = str_find(text, '$');

		rc = buf_put(x->to, str_head(text, n));
		text = str_from(text, n);
		if (rc != RC_OK || text.n == 0)
			break;
		text = str_from(text, 1);
		rc = expand_one(x, &text);
	}
	x->depth--;
	return rc;
}

enum rc
access_expand(
    const struct access_macros *m, struct str text, struct arena *mem, struct str *out)
{
	struct expansion x = { .m = m };
	struct buf to;
	struct str made;
	enum rc rc;

	buf_init(&to, EXPANDED_MAX);
	x.to = &to;
	read_filter(&x);
	rc = expand(&x, text);
	made = arena_str(mem, buf_view(&to));
	buf_fini(&to);
	if (rc != RC_OK)
		return rc;
	if (made.p == NULL)
		return RC_TEMP;
	*out = made;
	return RC_OK;
}

/* ---- names ---- */

/* "", "_name", "_domain" behind "sender" or "recipient". */
static bool
address_macro(
    struct access_eval *ev, struct str address, struct str part, struct str *out)
{
	struct str shown = access_shown(ev, address), local, domain;

	addr_split(shown, &local, &domain);
	if (part.n == 0)
		*out = shown.n > 0 ? shown : STR("<>"); /* compat */
	else if (str_is(part, "_name"))
		*out = shown.n > 0 ? local : STR("<>"); /* compat */
	else if (str_is(part, "_domain"))
		*out = domain;
	else
		return false;
	return true;
}

bool
access_macro(void *ctx, struct str name, struct str *out)
{
	struct access_eval *ev = ctx;
	const struct access_request *q = ev->q;
	const struct {
		const char *name;
		struct str value;
	} plain[] = {
		{ "client_address", q->client_addr },
		{ "client_name", q->client_name },
		{ "client_port", q->client_port },
		{ "reverse_client_name", q->client_reverse_name },
		{ "helo_name", q->helo },
		{ "server_name", ev->c->route->myhostname },
	};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (str_is(name, plain[i].name)) {
			*out = plain[i].value;
			return true;
		}
	if (str_is(name, "client")) {
		*out = access_client(ev);
		return true;
	}
	if (str_starts(name, STR("sender")) && q->has_sender)
		return address_macro(ev, q->sender, str_from(name, 6), out);
	if (str_starts(name, STR("recipient")) && q->recipient.n > 0)
		return address_macro(ev, q->recipient, str_from(name, 9), out);
	*out = STR("");
	return str_starts(name, STR("sender")) || str_starts(name, STR("recipient"));
}
