/* Content on its way out. Pieces go as views of what the shell gave; between them stand
 * the dots of RFC 5321 4.5.2 and the breaks of lines longer than smtp_line_length_limit.
 * What the message is known not to have is not looked for. */
#include "smtp/client_int.h"
#include <assert.h>
#include <string.h>

void
cl_data_start(struct smtp_client *c)
{
	cl_expect(c, CL_BODY, c->conf->data_xfer_us);
	c->piece = STR("");
	c->is_last_piece = false;
	c->wants_piece = true;
	c->at_line_start = true;
	c->ends_with_cr = false;
	c->column = 0;
	c->has_broken = false;
	/* A line that is broken may go on with a dot. */
	c->has_dots = c->job->has_dots || c->converts;
	cl_emit(c, SMTP_CX_CONTENT, STR(""));
}

void
smtp_client_content(struct smtp_client *c, int64_t now_us, struct str piece, bool is_last)
{
	assert(c->state == CL_BODY && c->wants_piece);
	c->now_us = now_us;
	c->deadline_us = now_us + c->conf->data_xfer_us;
	c->wants_piece = false;
	c->piece = piece;
	c->is_last_piece = is_last;
}

void
smtp_client_content_failed(
    struct smtp_client *c, int64_t now_us, const struct smtp_client_outcome *why)
{
	struct smtp_client_outcome o = { .rc = why->rc };

	assert(c->state == CL_BODY);
	c->now_us = now_us;
	/* Only hanging up keeps half a message from being taken for a whole one. */
	o.dsn = cl_textf(c, "%.*s", STR_ARG(why->dsn));
	o.text = cl_textf(c, "%.*s", STR_ARG(why->text));
	cl_outcome(c, CL_UNDECIDED, &o);
	c->is_dying = true;
	cl_done(c);
}

void
cl_lone_dot(struct smtp_client *c)
{
	cl_emit(c, SMTP_CX_SEND, STR(".\r\n"));
	c->dot_at = 0;
	cl_expect(c, CL_DOT, c->conf->data_done_us);
}

/* How much of the piece goes as it is: up to the next line that begins with a dot, or the
 * place where a long line is broken. */
static size_t
run_length(const struct smtp_client *c)
{
	size_t limit = c->conf->line_limit, at = 0, column = c->column;

	if (!c->job->has_long_lines || limit == 0) {
		if (!c->has_dots)
			return c->piece.n;
		at = str_find_pair(c->piece, '\n', '.');
		return at == c->piece.n ? at : at + 1;
	}
	while (at < c->piece.n) {
		size_t line = str_find(str_from(c->piece, at), '\n');
		bool has_end = at + line < c->piece.n;

		bool has_cr = line > 0 && c->piece.p[at + line - 1] == '\r';

		/* A CR at the end does not count, wherever the piece was cut. */
		if (column + line > limit + (has_cr ? 1 : 0))
			return at + (column < limit ? limit - column : 0);
		if (!has_end)
			return c->piece.n;
		at += line + 1;
		column = 0;
		if (at < c->piece.n && c->piece.p[at] == '.')
			return at;
	}
	return at;
}

static struct str
take_run(struct smtp_client *c)
{
	size_t n = run_length(c), nl;
	struct str run;
	const char *last;

	if (n == 0)
		n = 1; /* a stray CR just where the line would be broken */
	run = str_head(c->piece, n);

	c->piece = str_from(c->piece, n);
	last = memrchr(run.p, '\n', run.n);
	nl = last == NULL ? 0 : (size_t)(last - run.p) + 1;
	c->column = last == NULL ? c->column + run.n : run.n - nl;
	c->at_line_start = c->column == 0;
	c->ends_with_cr = run.p[run.n - 1] == '\r';
	return run;
}

static bool
must_break(const struct smtp_client *c)
{
	size_t limit = c->conf->line_limit;

	return c->job->has_long_lines && limit > 0 && c->column >= limit &&
	       c->piece.p[0] != '\r' && c->piece.p[0] != '\n';
}

/* Once for a message. Compat. */
static void
tell_broken(struct smtp_client *c, struct smtp_cx *out)
{
	c->has_broken = true;
	*out = (struct smtp_cx){ .type = SMTP_CX_LOG };
	out->data = cl_textf(c, "%.*s: breaking line > %zu bytes with <CR><LF>SPACE",
	    STR_ARG(c->job->queue_id), c->conf->line_limit);
}

static struct str
next_run(struct smtp_client *c)
{
	if (c->at_line_start && c->has_dots && c->piece.p[0] == '.') {
		c->at_line_start = false;
		return STR(".");
	}
	/* compat: the rest of a line that is too long goes on a line that begins with a
	 * blank. */
	if (must_break(c)) {
		c->column = 1;
		return STR("\r\n ");
	}
	return take_run(c);
}

bool
cl_data_next(struct smtp_client *c, struct smtp_cx *out)
{
	if (c->state != CL_BODY || c->wants_piece)
		return false;
	*out = (struct smtp_cx){ .type = SMTP_CX_SEND, .is_content = true };
	if (c->piece.n > 0 && !c->has_broken && must_break(c)) {
		tell_broken(c, out);
		return true;
	}
	if (c->piece.n > 0) {
		out->data = next_run(c);
		return true;
	}
	if (!c->is_last_piece) {
		c->wants_piece = true;
		out->type = SMTP_CX_CONTENT;
		out->as_7bit = c->converts;
		return true;
	}
	if (!c->at_line_start) { /* content without a last line end */
		c->at_line_start = true;
		out->data = c->ends_with_cr ? STR("\n") : STR("\r\n");
		return true;
	}
	cl_lone_dot(c);
	return smtp_client_next(c, out);
}
