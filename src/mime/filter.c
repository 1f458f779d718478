/* The content filter: header fields one by one, then the body as views of the input.
 *
 * In the headers every line is copied into `line` and gathered into `field` (one logical
 * field, CRLF between its lines, none at its end). The body is scanned, not copied: a
 * stretch of clean CRLF lines is one piece; only what must be changed (a CR or LF on its
 * own) splits it. */
#include "mime/filter.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum state { ST_FIRST_LINE, ST_HEADER, ST_BODY };

enum {
	LINE_MAX_CLEAN = 998, /* RFC 5322 2.1.1 */
	ID_MAX = 1000,
	PIECE_MAX = 32768, /* of header output handed over at once */
};

struct mime_filter {
	const struct mime_conf *conf;
	const struct mime_start *start;
	enum state state;
	unsigned facts;
	uint32_t seen; /* 1 << enum mime_header */
	unsigned n_received;
	struct buf line;  /* header: the physical line so far, without its end */
	struct buf field; /* header: the logical field so far */
	struct buf out;   /* header: what is done */
	size_t given;     /* bytes of `out` that the caller has seen */
	struct buf id, resent_id;
	struct arena *scratch;
	bool skip_line; /* the rest of this header line is beyond the limit */
	bool is_failed, is_ended;
	/* body */
	size_t line_n; /* bytes of the current line already passed */
	size_t cr_run; /* CRs at the end of the last piece of input */
	size_t stray;  /* CRs found to be stray: to be given as blanks */
	bool owes_crlf;
};

struct mime_filter *
mime_filter_new(const struct mime_conf *conf, const struct mime_start *start)
{
	struct mime_filter *f = mem_get(sizeof(*f));
	size_t limit = conf->header_size_limit;

	f->conf = conf;
	f->start = start;
	/* A field may grow when its addresses are completed; a piece is handed over at
	 * PIECE_MAX. */
	buf_init(&f->line, limit + 2);
	buf_init(&f->field, limit + 2);
	buf_init(&f->out, PIECE_MAX + 8 * limit + 65536);
	buf_init(&f->id, ID_MAX);
	buf_init(&f->resent_id, ID_MAX);
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
	buf_fini(&f->id);
	buf_fini(&f->resent_id);
	arena_free(&f->scratch);
	free(f);
	*fp = NULL;
}

unsigned
mime_filter_facts(const struct mime_filter *f)
{
	return f->facts;
}

struct str
mime_filter_message_id(const struct mime_filter *f)
{
	return buf_view(&f->id);
}

struct str
mime_filter_resent_message_id(const struct mime_filter *f)
{
	return buf_view(&f->resent_id);
}

bool
mime_filter_in_body(const struct mime_filter *f)
{
	return f->state == ST_BODY;
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

static void
note_bytes(struct mime_filter *f, struct str s, unsigned fact_8bit)
{
	if (s.n == 0)
		return;
	if (!(f->facts & fact_8bit) && has_high_bit(s))
		f->facts |= fact_8bit;
	if (!(f->facts & MIME_NUL) && memchr(s.p, '\0', s.n) != NULL)
		f->facts |= MIME_NUL;
}

/* `n` bytes of a line that began `f->line_n` bytes ago are passed; `is_end`: it ends
 * there. */
static inline void
note_line(struct mime_filter *f, const char *p, size_t n, bool is_end)
{
	if (f->line_n == 0 && n > 0 && *p == '.')
		f->facts |= MIME_DOT_LINE;
	f->line_n += n;
	if (f->line_n > LINE_MAX_CLEAN)
		f->facts |= MIME_LONG_LINE;
	if (is_end)
		f->line_n = 0;
}

/* ---- headers ---- */

static void
emit(struct mime_filter *f, struct str s)
{
	if (buf_put(&f->out, s) != RC_OK)
		f->is_failed = true;
}

static bool
is_dropped(const struct mime_filter *f, struct str name)
{
	struct str rest = f->conf->drop_headers, one;

	while (str_token(&rest, " ,\t\r\n", &one))
		if (str_ieq(one, name))
			return true;
	return false;
}

static void
keep_id(struct buf *to, struct str value)
{
	value = str_trim(value);
	if (to->n > 0)
		return;
	for (size_t i = 0; i < value.n && buf_left(to) > 0; i++)
		if (value.p[i] != '\r' && value.p[i] != '\n')
			(void)!buf_put(to, str_n(value.p + i, 1));
}

/* Long lines of headers are noted where they leave, because fields can change. */
static void
emit_field(struct mime_filter *f, struct str field)
{
	struct str rest = field, line;

	emit(f, field);
	emit(f, STR("\r\n"));
	if (*field.p == '.')
		f->facts |= MIME_DOT_LINE;
	if (field.n <= LINE_MAX_CLEAN)
		return;
	while (rest.n > 0) {
		size_t n = str_find(rest, '\n');

		line = str_head(rest, n);
		if (line.n > LINE_MAX_CLEAN + 1)
			f->facts |= MIME_LONG_LINE;
		rest = str_from(rest, n + 1);
	}
}

/* Completes the addresses of a field; false: it stays as it is. */
static bool
emit_rewritten(struct mime_filter *f, struct str name, struct str value)
{
	struct buf tmp;
	enum rc rc;

	if (f->scratch == NULL)
		f->scratch = arena_new(16 * f->conf->header_size_limit + 65536);
	buf_init(&tmp, 8 * f->conf->header_size_limit);
	rc = buf_put(&tmp, name);
	if (rc == RC_OK)
		rc = buf_put(&tmp, STR(": "));
	if (rc == RC_OK)
		rc = mime_addresses_rewrite(
		    value, &f->start->rewrite, name.n + 2, f->scratch, &tmp);
	if (rc == RC_OK)
		emit_field(f, buf_view(&tmp));
	buf_fini(&tmp);
	arena_reset(f->scratch);
	return rc == RC_OK;
}

static enum rc
flush_field(struct mime_filter *f, struct err *e)
{
	struct str field = buf_view(&f->field), name, value;
	enum mime_header h;
	size_t name_n, value_at;

	if (field.n == 0)
		return RC_OK;
	/* header_line() begins only what splits. */
	if (!mime_header_split(field, &name_n, &value_at))
		return err_set(e, RC_TEMP, "4.3.0 Error: queue file write error");
	name = str_head(field, name_n);
	value = str_from(field, value_at);
	h = mime_header_find(name);
	f->seen |= UINT32_C(1) << h;
	note_bytes(f, field, MIME_8BIT_HEADER);
	if (h == MIME_HDR_RECEIVED &&
	    ++f->n_received >= f->conf->hopcount_limit) /* compat */
		return err_set(e, RC_PERM, "5.4.0 Error: too many hops");
	if (h == MIME_HDR_MIME_VERSION)
		f->facts |= MIME_VERSION;
	if (h == MIME_HDR_MESSAGE_ID)
		keep_id(&f->id, value);
	if (h == MIME_HDR_RESENT_MESSAGE_ID)
		keep_id(&f->resent_id, value);
	if (!is_dropped(f, name) &&
	    !(f->start->complete && mime_header_has_addresses(h) &&
		emit_rewritten(f, name, value)))
		emit_field(f, field);
	buf_reset(&f->field);
	return RC_OK;
}

#define SEEN(h) (UINT32_C(1) << (h))

static void
emit_missing(struct mime_filter *f, bool is_resent, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	if (is_resent)
		emit(f, STR("Resent-"));
	emit(f, str_c(name));
	emit(f, STR(": "));
	emit(f, value);
	emit(f, STR("\r\n"));
}

/* Compat: cleanup_header_done of Postfix; the order is its order. */
static void
complete_headers(struct mime_filter *f)
{
	const uint32_t resent = SEEN(MIME_HDR_RESENT_BCC) | SEEN(MIME_HDR_RESENT_CC) |
				SEEN(MIME_HDR_RESENT_DATE) | SEEN(MIME_HDR_RESENT_FROM) |
				SEEN(MIME_HDR_RESENT_MESSAGE_ID) |
				SEEN(MIME_HDR_RESENT_REPLY_TO) |
				SEEN(MIME_HDR_RESENT_SENDER) | SEEN(MIME_HDR_RESENT_TO);
	bool is_resent = (f->seen & resent) != 0;
	uint32_t id =
	    is_resent ? SEEN(MIME_HDR_RESENT_MESSAGE_ID) : SEEN(MIME_HDR_MESSAGE_ID);
	uint32_t date = is_resent ? SEEN(MIME_HDR_RESENT_DATE) : SEEN(MIME_HDR_DATE);
	uint32_t from = is_resent ? SEEN(MIME_HDR_RESENT_FROM) : SEEN(MIME_HDR_FROM);
	uint32_t visible = is_resent ? SEEN(MIME_HDR_RESENT_TO) | SEEN(MIME_HDR_RESENT_CC)
				     : SEEN(MIME_HDR_TO) | SEEN(MIME_HDR_CC);

	if (!f->start->complete)
		return;
	if (!(f->seen & id)) {
		emit_missing(f, is_resent, "Message-Id", f->start->message_id);
		keep_id(is_resent ? &f->resent_id : &f->id, f->start->message_id);
	}
	if (!(f->seen & date))
		emit_missing(f, is_resent, "Date", f->start->date);
	if (!(f->seen & from))
		emit_missing(f, is_resent, "From", f->start->from);
	if (!(f->seen & visible) && f->conf->undisclosed.n > 0) {
		emit(f, f->conf->undisclosed);
		emit(f, STR("\r\n"));
	}
}

static enum rc
end_headers(struct mime_filter *f, bool has_body, struct err *e)
{
	enum rc rc = flush_field(f, e);

	if (rc != RC_OK)
		return rc;
	complete_headers(f);
	if (has_body)
		emit(f, STR("\r\n"));
	else
		f->facts |= MIME_NO_BODY;
	f->state = ST_BODY;
	buf_release(&f->field);
	return RC_OK;
}

static enum rc
append_to_field(struct mime_filter *f, struct str line, bool is_more, struct err *e)
{
	size_t left = buf_left(&f->field);

	(void)e;
	/* Beyond header_size_limit a field is cut. Compat: mime_state of Postfix. */
	if (is_more) {
		if (left < 2 + 1)
			return RC_OK;
		if (buf_put(&f->field, STR("\r\n")) != RC_OK)
			return RC_OK;
		left -= 2;
	}
	return buf_put(&f->field, str_head(line, left));
}

/* The text of a body line that was read as a header line. */
static void
emit_body_line(struct mime_filter *f, struct str line, bool is_whole)
{
	note_bytes(f, line, MIME_8BIT);
	note_line(f, line.p, line.n, is_whole);
	emit(f, line);
	if (is_whole)
		emit(f, STR("\r\n"));
}

/* ">From " too: compat. */
static bool
is_mailbox_from(struct str line)
{
	while (line.n > 0 && *line.p == '>')
		line = str_from(line, 1);
	return str_starts(line, STR("From "));
}

/* One header line without its end; `is_whole` false: there is more of it, and too much.
 */
static enum rc
header_line(struct mime_filter *f, struct str line, bool is_whole, struct err *e)
{
	bool is_first = f->state == ST_FIRST_LINE;
	bool is_folded = line.n > 0 && (*line.p == ' ' || *line.p == '\t');
	size_t name_n, value_at;
	enum rc rc;

	f->state = ST_HEADER;
	if (line.n == 0)
		return end_headers(f, true, e);
	if (is_first && is_mailbox_from(line)) {
		rc = append_to_field(f, STR("X-Mailbox-Line: "), false, e); /* compat */
		if (rc == RC_OK)
			rc = append_to_field(f, line, false, e);
		f->skip_line = !is_whole;
		return rc;
	}
	if (is_folded && f->field.n > 0) {
		f->skip_line = !is_whole;
		return append_to_field(f, line, true, e);
	}
	if (mime_header_split(line, &name_n, &value_at)) {
		rc = flush_field(f, e);
		f->skip_line = !is_whole;
		return rc == RC_OK ? append_to_field(f, line, false, e) : rc;
	}
	rc = end_headers(f, true, e);
	if (rc == RC_OK)
		emit_body_line(f, line, is_whole);
	return rc;
}

/* Strays inside a header line become blanks where they stand. */
static void
clean_line(struct mime_filter *f, char *p, size_t n)
{
	char *cr = memchr(p, '\r', n);

	while (cr != NULL) {
		f->facts |= MIME_BARE_CR;
		if (!f->conf->keep_stray_cr)
			*cr = ' ';
		cr++;
		cr = memchr(cr, '\r', n - (size_t)(cr - p));
	}
}

static enum rc
take_line(struct mime_filter *f, bool is_whole, struct err *e)
{
	size_t n = f->line.n;
	char *p = f->line.p + f->line.start;
	bool has_cr = false;
	enum rc rc;

	if (is_whole) {
		while (n > 0 && p[n - 1] == '\r') {
			has_cr = true;
			n--;
		}
		if (!has_cr && !f->skip_line)
			f->facts |= MIME_BARE_LF;
	}
	if (f->skip_line) {
		f->skip_line = !is_whole;
		buf_reset(&f->line);
		return RC_OK;
	}
	if (n > 0)
		clean_line(f, p, n);
	rc = header_line(f, n > 0 ? str_n(p, n) : STR(""), is_whole, e);
	buf_reset(&f->line);
	if (f->state == ST_BODY)
		buf_release(&f->line);
	return rc;
}

static enum rc
header_step(struct mime_filter *f, struct str *in, struct err *e)
{
	while (in->n > 0 && f->state != ST_BODY && f->out.n < PIECE_MAX) {
		size_t n = str_find(*in, '\n'), left = buf_left(&f->line);
		bool is_whole = n < in->n;
		enum rc rc;

		if (n > left) {
			n = left;
			is_whole = false;
		}
		rc = buf_put(&f->line, str_head(*in, n));
		assert(rc == RC_OK);
		*in = str_from(*in, n + is_whole);
		/* A full line is cut only when a byte that is no line end follows. */
		if (!is_whole && in->n == 0)
			return RC_OK;
		rc = take_line(f, is_whole, e);
		if (rc != RC_OK)
			return rc;
		if (f->is_failed)
			return err_set(e, RC_TEMP, "4.3.0 Error: header too large");
	}
	return RC_OK;
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
			note_line(f, p, n - 1, true);
			at += n + 1;
			continue;
		}
		if (cr != NULL)
			n = (size_t)(cr - p);
		note_line(f, p, n, cr == NULL && lf != NULL);
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
		note_bytes(f, *out, MIME_8BIT);
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

enum rc
mime_filter_step(struct mime_filter *f, struct str *in, struct str *out, struct err *e)
{
	*out = STR("");
	if (f->state != ST_BODY || f->out.n > 0) {
		enum rc rc;

		if (f->given > 0)
			(void)!give_out(f, out);
		if (f->state != ST_BODY) {
			rc = header_step(f, in, e);
			if (rc != RC_OK)
				return rc;
		}
		/* Headers go out in one piece with as little splitting as possible. */
		if (f->state == ST_BODY || f->out.n >= PIECE_MAX) {
			if (give_out(f, out))
				return RC_OK;
		}
		if (f->state != ST_BODY) {
			*out = STR("");
			return RC_MORE;
		}
	}
	*out = STR("");
	return body_step(f, in, out);
}

enum rc
mime_filter_end(struct mime_filter *f, struct str *out, struct err *e)
{
	enum rc rc;

	*out = STR("");
	if (!f->is_ended) {
		f->is_ended = true;
		if (f->state != ST_BODY && f->line.n > 0) {
			rc = take_line(f, true, e);
			if (rc != RC_OK)
				return rc;
		}
		if (f->state != ST_BODY) {
			rc = end_headers(f, false, e);
			if (rc != RC_OK)
				return rc;
		}
		if (f->line_n > 0 || f->cr_run > 0)
			f->owes_crlf = true;
		f->cr_run = 0;
		f->line_n = 0;
	}
	if (f->is_failed)
		return err_set(e, RC_TEMP, "4.3.0 Error: header too large");
	if (give_out(f, out) || give_owed(f, out))
		return RC_OK;
	return RC_NONE;
}
