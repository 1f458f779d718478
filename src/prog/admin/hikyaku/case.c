/* The question, found in the log. The lines are those of Postfix (compat):
 *
 *	QID: client=NAME[ADDR]
 *	QID: reject: RCPT from NAME[ADDR]: …; from=<S> to=<R> proto=ESMTP helo=<H>
 *	QID: from=<S>, size=…
 *	QID: to=<R>, orig_to=<O>, relay=… */
#include "prog/admin/hikyaku/case.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind `key` up to `end`; .p NULL: it is not there. */
static struct str
between(struct str line, const char *key, char end)
{
	size_t n = strlen(key);

	for (size_t at = 0; at + n <= line.n; at++)
		if (memcmp(line.p + at, key, n) == 0) {
			struct str rest = str_from(line, at + n);

			return str_head(rest, str_find(rest, end));
		}
	return (struct str){ NULL, 0 };
}

static void
set(const char **to, struct str value, struct arena *mem)
{
	if (*to == NULL && value.p != NULL)
		*to = arena_cstr(mem, value);
}

static void
add_rcpt(struct explain_case *c, struct str address, struct arena *mem)
{
	if (address.p == NULL || c->n_rcpts == CASE_RCPTS_MAX)
		return;
	for (size_t i = 0; i < c->n_rcpts; i++)
		if (str_is(address, c->rcpts[i]))
			return;
	c->rcpts[c->n_rcpts] = arena_cstr(mem, address);
	if (c->rcpts[c->n_rcpts] != NULL)
		c->n_rcpts++;
}

/* "NAME[ADDR]" */
static void
set_client(struct explain_case *c, struct str text, struct arena *mem)
{
	struct str name, addr;

	if (text.p == NULL || !str_cut(text, '[', &name, &addr))
		return;
	set(&c->client, str_head(addr, str_find(addr, ']')), mem);
	set(&c->name, name, mem);
}

static void
take_line(struct explain_case *c, struct str line, struct arena *mem)
{
	struct str orig = between(line, "orig_to=<", '>');

	set_client(c, between(line, "client=", ','), mem);
	set_client(c, between(line, " from ", ':'), mem);
	set(&c->sender, between(line, "from=<", '>'), mem);
	set(&c->helo, between(line, "helo=<", '>'), mem);
	add_rcpt(c, orig.p != NULL ? orig : between(line, " to=<", '>'), mem);
}

enum rc
case_from_log(struct explain_case *c, const char *path, struct str qid, struct arena *mem,
    struct err *e)
{
	char key[80], *line = NULL;
	size_t room = 0;
	ssize_t n;
	FILE *f = fopen(path, "re");
	enum rc rc = RC_NONE;

	if (f == NULL)
		return err_set(e, RC_TEMP, "open %s: %s", path, strerror(errno));
	(void)snprintf(key, sizeof(key), "]: %.*s: ", STR_ARG(str_head(qid, 60)));
	while ((n = getline(&line, &room, f)) > 0) {
		struct str s = str_n(line, (size_t)(line[n - 1] == '\n' ? n - 1 : n));

		s = between(s, key, '\n');
		if (s.p == NULL)
			continue;
		rc = RC_OK;
		/* So that "from=" and "to=" at its start are found like the others. */
		take_line(c, str_n(s.p - 1, s.n + 1), mem);
	}
	if (ferror(f))
		rc = err_set(e, RC_TEMP, "read %s: %s", path, strerror(errno));
	free(line);
	(void)fclose(f);
	return rc;
}
