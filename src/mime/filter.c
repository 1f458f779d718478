/* The content filter: memory, the body, and the order of pieces. filter_header.c has the
 * headers.
 *
 * The body is scanned, not copied: a stretch of clean CRLF lines is one piece, a view of
 * the input; only what must be changed (a CR or LF on its own) splits it. */
#include "mime/filter_int.h"
#include <stdlib.h>
#include <string.h>

struct mime_filter *
mime_filter_new(const struct mime_conf *conf, const struct mime_start *start)
{
	struct mime_filter *f = mem_get(sizeof(*f));
	size_t limit = conf->header_size_limit;

	f->conf = conf;
	f->start = start;
	/* A field may grow when its addresses are completed; a piece is handed over at
	 * PIECE_MAX. */
	buf_init(&f->line, limit + conf->line_limit + 2 * RECORD_MAX + CR_RUN_MAX);
	buf_init(&f->field, limit + 2 * RECORD_MAX);
	buf_init(&f->out, PIECE_MAX + 8 * limit + 65536);
	f->scan = mime_scan_new(conf, start->hooks);
	if (start->reads_received || start->received.n > limit ||
	    (f->scan != NULL && f->scan->reads_ours)) {
		f->before = start->received;
		f->in_before = true;
		return f;
	}
	if (buf_put(&f->out, start->received) != RC_OK)
		f->is_failed = true;
	f->n_received = start->received.n > 0; /* compat: ours counts, too */
	return f;
}

void
mime_filter_free(struct mime_filter **fp)
{
	struct mime_filter *f = *fp;

	if (f == NULL)
		return;
	buf_fini(&f->line);
	buf_fini(&f->field);
	buf_fini(&f->out);
	arena_free(&f->scratch);
	mime_scan_free(&f->scan);
	free(f);
	*fp = NULL;
}

unsigned
mime_filter_facts(const struct mime_filter *f)
{
	return f->facts;
}

enum rc
mime_filter_refusal(const struct mime_filter *f, struct err *e)
{
	if (f->has_too_many_hops)
		return err_set(e, RC_PERM, MIME_TOO_MANY_HOPS);
	return mime_scan_verdict(f, e);
}

bool
mime_filter_is_too_deep(const struct mime_filter *f)
{
	return f->scan != NULL && f->scan->structure.is_too_deep;
}

bool
mime_filter_in_body(const struct mime_filter *f)
{
	return f->state == ST_BODY ||
	       (f->scan != NULL && f->scan->part != MIME_PART_HEADER);
}

bool
mime_filter_is_waiting(const struct mime_filter *f)
{
	return f->scan != NULL && f->scan->is_waiting;
}

/* ---- facts ---- */

static bool
has_high_bit(struct str s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t acc = 0, w;
	size_t i = 0;

	for (; i + 32 <= s.n; i += 32)
		for (size_t k = 0; k < 32; k += 8) {
			memcpy(&w, s.p + i + k, 8);
			acc |= w;
		}
	for (; i < s.n; i++)
		acc |= (unsigned char)s.p[i];
	return (acc & high) != 0;
}

void
mime_filter_note_bytes(struct mime_filter *f, struct str s, unsigned fact_8bit)
{
	if (s.n == 0)
		return;
	if (!(f->facts & fact_8bit) && has_high_bit(s))
		f->facts |= fact_8bit;
	if (!(f->facts & MIME_NUL) && memchr(s.p, '\0', s.n) != NULL)
		f->facts |= MIME_NUL;
}

/* ---- body ---- */

/* What CRs at the end of the last piece were is known now. */
static void
settle_crs(struct mime_filter *f, struct str *in)
{
	while (in->n > 0 && *in->p == '\r') {
		f->cr_run++;
		*in = str_from(*in, 1);
	}
	if (in->n == 0)
		return;
	if (*in->p == '\n') {
		*in = str_from(*in, 1);
		f->owes_crlf = true;
		f->line_n = 0;
	} else {
		f->facts |= MIME_BARE_CR;
		f->stray = f->cr_run;
		f->line_n += f->cr_run;
	}
	f->cr_run = 0;
}

/* The longest clean stretch at the front; *used covers what follows it and is not part of
 * it. */
static struct str
body_scan(struct mime_filter *f, struct str in, size_t *used)
{
	size_t at = 0;

	while (at < in.n) {
		const char *p = in.p + at, *lf, *cr;
		size_t n = in.n - at;

		lf = memchr(p, '\n', n);
		if (lf != NULL)
			n = (size_t)(lf - p);
		cr = memchr(p, '\r', n);
		if (cr != NULL && cr + 1 == lf) { /* the usual line */
			mime_filter_note_line(f, p, n - 1, true);
			at += n + 1;
			continue;
		}
		if (cr != NULL)
			n = (size_t)(cr - p);
		mime_filter_note_line(f, p, n, cr == NULL && lf != NULL);
		*used = at + n;
		if (cr != NULL) {
			f->cr_run = 1;
			*used += 1;
		} else if (lf != NULL) {
			f->facts |= MIME_BARE_LF;
			f->owes_crlf = true;
			*used += 1;
		}
		return str_head(in, at + n);
	}
	*used = at;
	return in;
}

static bool
give_owed(struct mime_filter *f, struct str *out)
{
	static const char blanks[] = "                                ";
	static const char crs[] =
	    "\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r";
	const char *what = f->conf->keep_stray_cr ? crs : blanks;
	size_t n = f->stray < sizeof(blanks) - 1 ? f->stray : sizeof(blanks) - 1;

	if (n > 0) {
		f->stray -= n;
		*out = str_n(what, n);
		return true;
	}
	if (f->owes_crlf) {
		f->owes_crlf = false;
		*out = STR("\r\n");
		return true;
	}
	return false;
}

static enum rc
body_step(struct mime_filter *f, struct str *in, struct str *out)
{
	size_t used;

	for (;;) {
		if (give_owed(f, out))
			return RC_OK;
		if (f->cr_run > 0) {
			settle_crs(f, in);
			if (f->cr_run > 0)
				return RC_MORE;
			continue;
		}
		if (in->n == 0)
			return RC_MORE;
		*out = body_scan(f, *in, &used);
		*in = str_from(*in, used);
		if (out->n == 0)
			continue;
		mime_filter_note_bytes(f, *out, MIME_8BIT);
		return RC_OK;
	}
}

/* ---- both ---- */

static bool
give_out(struct mime_filter *f, struct str *out)
{
	buf_consume(&f->out, f->given);
	f->given = 0;
	if (f->out.n == 0)
		return false;
	*out = buf_view(&f->out);
	f->given = f->out.n;
	return true;
}

/* Our own headers, as if they were input. */
static enum rc
take_ours(struct mime_filter *f, struct err *e)
{
	enum rc rc = mime_filter_take_header(f, &f->before, e);

	if (rc == RC_OK && f->before.n == 0) {
		f->in_before = false;
		f->state = ST_FIRST_LINE;
	}
	return rc;
}

/* Headers, of the message or of a part. RC_OK: *out is set; RC_NONE: the body is next. */
static enum rc
header_step(struct mime_filter *f, struct str *in, struct str *out, struct err *e)
{
	enum rc rc = RC_OK;

	if (f->given > 0)
		(void)!give_out(f, out);
	if (f->state != ST_BODY) {
		if (f->in_before)
			rc = take_ours(f, e);
		if (rc == RC_OK && !f->in_before)
			rc = mime_filter_take_header(f, in, e);
		if (rc != RC_OK)
			return rc;
	}
	/* Headers go out in one piece with as little splitting as possible. */
	if ((f->state == ST_BODY || f->out.n >= PIECE_MAX) && give_out(f, out))
		return RC_OK;
	*out = STR("");
	return f->state == ST_BODY ? RC_NONE : RC_MORE;
}

/* A part of the body line by line. RC_NONE: the rest of it need not be. */
static enum rc
lines_step(struct mime_filter *f, struct str *in, struct str *out, struct err *e)
{
	enum rc rc = RC_OK;

	if (!f->scan->is_gathered && !mime_scan_wants_lines(f))
		return RC_NONE;
	f->scan->is_waiting = false;
	if (f->scan->is_gathered)
		rc = mime_scan_gathered(f, e);
	else if (in->n > 0)
		rc = mime_scan_body(f, in, out, e);
	else
		return RC_MORE;
	if (rc == RC_OK && out->n == 0 && f->state == ST_BODY)
		(void)!give_out(f, out);
	return rc;
}

/* The hook that made us wait may have been asked at the end of the input: whoever has no
 * more of it must not be told to wait again. */
static void
forget_waiting(struct mime_filter *f)
{
	if (f->scan != NULL)
		f->scan->is_waiting = false;
}

enum rc
mime_filter_step(struct mime_filter *f, struct str *in, struct str *out, struct err *e)
{
	enum rc rc;

	forget_waiting(f);
	for (;;) {
		*out = STR("");
		if (f->state != ST_BODY || f->out.n > 0) {
			rc = header_step(f, in, out, e);
			if (rc != RC_NONE)
				return rc;
		}
		*out = STR("");
		if (f->scan == NULL)
			return body_step(f, in, out);
		rc = lines_step(f, in, out, e);
		if (mime_filter_stops(f))
			return mime_scan_verdict(f, e);
		if (rc == RC_NONE)
			return body_step(f, in, out);
		if (rc != RC_OK || out->n > 0)
			return rc;
	}
}

/* What is left when the input is over: a header, a line without its end. */
static enum rc
close_input(struct mime_filter *f, struct err *e)
{
	enum rc rc = RC_OK;

	if (f->state != ST_BODY) {
		while (rc == RC_OK && f->in_before)
			rc = take_ours(f, e);
		if (rc == RC_OK)
			rc = mime_filter_close_header(f, e);
		if (rc != RC_OK)
			return rc;
	}
	if (f->scan != NULL) {
		rc = mime_scan_close(f, e);
		if (rc != RC_OK)
			return rc;
	}
	if (f->line_n > 0 || f->cr_run > 0)
		f->owes_crlf = true;
	f->cr_run = 0;
	f->line_n = 0;
	return RC_OK;
}

enum rc
mime_filter_end(struct mime_filter *f, struct str *out, struct err *e)
{
	enum rc rc;

	*out = STR("");
	forget_waiting(f);
	if (!f->is_ended) {
		if (f->given > 0)
			(void)!give_out(f, out);
		rc = close_input(f, e);
		*out = STR("");
		if (rc != RC_OK)
			return rc;
		f->is_ended = true;
	}
	if (f->is_failed)
		return err_set(e, RC_TEMP, "4.3.0 Error: header too large");
	if (give_out(f, out) || give_owed(f, out))
		return RC_OK;
	rc = f->start->carries_on ? RC_OK : mime_scan_verdict(f, e);
	return rc == RC_OK ? RC_NONE : rc;
}
