/* Owns logical lines: what main.cf and master.cf have in common.
 *
 * A line that begins with a blank continues the one before; lines that are empty or whose
 * first character that is no blank is '#' do not count, wherever they stand. */
#include "base/arena.h"
#include "conf/main_cf.h"
#include <string.h>

static bool
is_blank(char c)
{
	return ascii_isspace(c);
}

/* Takes one physical line off *rest, without its line end. */
static bool
take_physical(struct str *rest, struct str *out)
{
	size_t at = str_find(*rest, '\n');

	if (rest->n == 0)
		return false;
	*out = str_head(*rest, at);
	*rest = str_from(*rest, at + 1);
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	return true;
}

static bool
counts(struct str line)
{
	struct str t = str_trim(line);

	return t.n > 0 && t.p[0] != '#';
}

struct conf_lines
conf_lines(struct str text)
{
	return (struct conf_lines){ .rest = text, .next = 1 };
}

/* Takes the next physical line that counts and continues the present one. */
static bool
take_continuation(struct conf_lines *l, struct str *out)
{
	struct conf_lines ahead = *l;
	struct str line;

	while (take_physical(&ahead.rest, &line)) {
		ahead.next++;
		if (!counts(line))
			continue;
		if (!is_blank(line.p[0]))
			return false;
		*l = ahead;
		*out = line;
		return true;
	}
	return false;
}

/* Joins the rest of a logical line whose first two pieces are known. */
static enum rc
join(struct conf_lines *l, struct str first, struct arena *mem, struct str *out)
{
	struct conf_lines ahead = *l;
	struct str more;
	size_t n = first.n, at;
	char *p;

	/* Twice over the same lines: first how long it gets, then the bytes. */
	while (take_continuation(&ahead, &more))
		n += more.n;
	p = arena_get(mem, n + 1);
	if (p == NULL)
		return RC_TEMP;
	memcpy(p, first.p, first.n);
	at = first.n;
	while (take_continuation(l, &more)) {
		memcpy(p + at, more.p, more.n);
		at += more.n;
	}
	*out = str_n(p, at);
	return RC_OK;
}

enum rc
conf_lines_next(struct conf_lines *l, struct arena *mem, struct str *out)
{
	struct conf_lines ahead;
	struct str line, more;

	do {
		l->line = l->next;
		if (!take_physical(&l->rest, &line))
			return RC_NONE;
		l->next++;
	} while (!counts(line));
	ahead = *l;
	if (take_continuation(&ahead, &more))
		return join(l, line, mem, out);
	*out = line;
	return RC_OK;
}

enum rc
conf_assignment(struct str line, struct str *name, struct str *value, struct err *e)
{
	struct str rest, whole = str_trim(line);
	size_t n = 0;

	while (n < whole.n && !is_blank(whole.p[n]) && whole.p[n] != '=')
		n++;
	/* compat */
	if (n == 0)
		return err_set(
		    e, RC_PERM, "missing attribute name: \"%.*s\"", STR_ARG(whole));
	rest = str_trim(str_from(whole, n));
	if (rest.n == 0 || rest.p[0] != '=')
		return err_set(e, RC_PERM, "missing '=' after attribute name: \"%.*s\"",
		    STR_ARG(whole));
	*name = str_head(whole, n);
	*value = str_trim(str_from(rest, 1));
	return RC_OK;
}
