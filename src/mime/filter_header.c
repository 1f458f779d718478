/* The header part of the content filter: lines are gathered into fields, fields are kept,
 * dropped or completed. Every line is copied into `line`; `field` is one logical field,
 * CRLF between its lines, none at its end. */
#include "mime/filter_int.h"
#include <assert.h>
#include <string.h>

static void
emit(struct mime_filter *f, struct str s)
{
	if (buf_put(&f->out, s) != RC_OK)
		f->is_failed = true;
}

void
mime_conf_drop(struct mime_conf *conf, struct str names)
{
	struct str rest = names, one;

	conf->drop_known = 0;
	conf->drop_others = STR("");
	while (str_token(&rest, " ,\t\r\n", &one)) {
		enum mime_header h = mime_header_find(one);

		if (h == MIME_HDR_OTHER)
			conf->drop_others = names;
		else
			conf->drop_known |= MIME_SEEN(h);
	}
}

/* Usually all names are known ones, and one bit tells. */
static bool
is_dropped(const struct mime_filter *f, enum mime_header h, struct str name)
{
	struct str rest = f->conf->drop_others, one;

	if (h != MIME_HDR_OTHER)
		return (f->conf->drop_known & MIME_SEEN(h)) != 0;
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
	f->seen |= MIME_SEEN(h);
	mime_filter_note_bytes(f, field, MIME_8BIT_HEADER);
	if (h == MIME_HDR_RECEIVED &&
	    ++f->n_received >= f->conf->hopcount_limit) /* compat */
		return err_set(e, RC_PERM, "5.4.0 Error: too many hops");
	if (h == MIME_HDR_MIME_VERSION)
		f->facts |= MIME_VERSION;
	if (h == MIME_HDR_MESSAGE_ID)
		keep_id(&f->id, value);
	if (h == MIME_HDR_RESENT_MESSAGE_ID)
		keep_id(&f->resent_id, value);
	if (!is_dropped(f, h, name) &&
	    !(f->start->complete && mime_header_has_addresses(h) &&
		emit_rewritten(f, name, value)))
		emit_field(f, field);
	buf_reset(&f->field);
	return RC_OK;
}

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
	const uint32_t resent =
	    MIME_SEEN(MIME_HDR_RESENT_BCC) | MIME_SEEN(MIME_HDR_RESENT_CC) |
	    MIME_SEEN(MIME_HDR_RESENT_DATE) | MIME_SEEN(MIME_HDR_RESENT_FROM) |
	    MIME_SEEN(MIME_HDR_RESENT_MESSAGE_ID) | MIME_SEEN(MIME_HDR_RESENT_REPLY_TO) |
	    MIME_SEEN(MIME_HDR_RESENT_SENDER) | MIME_SEEN(MIME_HDR_RESENT_TO);
	bool is_resent = (f->seen & resent) != 0;
	uint32_t id = is_resent ? MIME_SEEN(MIME_HDR_RESENT_MESSAGE_ID)
				: MIME_SEEN(MIME_HDR_MESSAGE_ID);
	uint32_t date =
	    is_resent ? MIME_SEEN(MIME_HDR_RESENT_DATE) : MIME_SEEN(MIME_HDR_DATE);
	uint32_t from =
	    is_resent ? MIME_SEEN(MIME_HDR_RESENT_FROM) : MIME_SEEN(MIME_HDR_FROM);
	uint32_t visible =
	    is_resent ? MIME_SEEN(MIME_HDR_RESENT_TO) | MIME_SEEN(MIME_HDR_RESENT_CC)
		      : MIME_SEEN(MIME_HDR_TO) | MIME_SEEN(MIME_HDR_CC);

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
	mime_filter_note_bytes(f, line, MIME_8BIT);
	mime_filter_note_line(f, line.p, line.n, is_whole);
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

enum rc
mime_filter_take_header(struct mime_filter *f, struct str *in, struct err *e)
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

enum rc
mime_filter_close_header(struct mime_filter *f, struct err *e)
{
	enum rc rc = RC_OK;

	if (f->line.n > 0)
		rc = take_line(f, true, e);
	if (rc == RC_OK && f->state != ST_BODY)
		rc = end_headers(f, false, e);
	return rc;
}
