/* The header part of the content filter: lines are gathered into fields, fields are kept,
 * dropped or completed. Every line is copied into `line`; `field` is one logical field,
 * CRLF between its lines, none at its end. */
#include "mime/filter_int.h"
#include <assert.h>
#include <string.h>

void
mime_filter_emit(struct mime_filter *f, struct str s)
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

/* Compat: blanks behind it are shown. */
static void
tell_id(const struct mime_filter *f, bool is_resent, struct str value)
{
	while (value.n > 0 && ascii_isspace(*value.p))
		value = str_from(value, 1);
	if (f->start->identified != NULL)
		f->start->identified(f->start->log_ctx, is_resent, value);
}

/* Long lines of headers are noted where they leave, because fields can change. */
static void
emit_field(struct mime_filter *f, struct str field)
{
	struct str rest = field, line;

	mime_filter_emit(f, field);
	mime_filter_emit(f, STR("\r\n"));
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

/* Checks see a field with the line that went beyond the limit; what goes on has no more
 * than the limit's bytes. Compat: an LF counts, a CR does not. */
static struct str
cut(const struct mime_filter *f, struct str field)
{
	size_t left = f->conf->header_size_limit;

	if (field.n <= left)
		return field;
	for (size_t i = 0; i < field.n; i++)
		if (field.p[i] != '\r' && left-- == 0)
			return str_head(field, field.p[i] == '\n' && i > 0 ? i - 1 : i);
	return field;
}

/* Maps the addresses of a field. RC_NONE: it stays as it is; RC_MORE: a hook waits. */
static enum rc
emit_rewritten(struct mime_filter *f, enum mime_header h, struct str name,
    struct str value, struct err *e)
{
	const struct mime_hooks *hooks = f->start->hooks;
	struct mime_rewrite how = f->start->rewrite;
	const struct mime_mapping plain = { .map = mime_map_complete,
		.ctx = &how,
		.column = name.n + 2,
		.token_limit = f->conf->token_limit,
		.stripped = f->start->stripped,
		.stripped_ctx = f->start->log_ctx };
	struct buf tmp;
	enum rc rc;

	if (f->scratch == NULL)
		f->scratch = arena_new(16 * f->conf->header_size_limit + 65536);
	buf_init(&tmp, 8 * f->conf->header_size_limit);
	rc = buf_put(&tmp, name);
	if (rc == RC_OK)
		rc = buf_put(&tmp, STR(": "));
	if (rc == RC_OK && hooks != NULL && hooks->map != NULL)
		rc = hooks->map(hooks->ctx, h, value, name.n + 2, &tmp, e);
	else if (rc == RC_OK) /* what is too large for us stays as it is */
		rc = mime_addresses_rewrite(value, &plain, f->scratch, &tmp) == RC_OK
			 ? RC_OK
			 : RC_NONE;
	if (f->scan != NULL)
		f->scan->is_waiting = rc == RC_MORE;
	if (rc == RC_OK)
		emit_field(f, buf_view(&tmp));
	buf_fini(&tmp);
	arena_reset(f->scratch);
	return rc;
}

/* Whether it says that it is 8-bit, or its parts may. */
static void
note_encoding(
    struct mime_filter *f, enum mime_header h, struct str field, struct str value)
{
	if (h == MIME_HDR_CONTENT_TRANSFER_ENCODING &&
	    (str_iis(value, "8bit") || str_iis(value, "binary")))
		f->facts |= MIME_SAYS_8BIT;
	if (h == MIME_HDR_CONTENT_MIME && !f->conf->is_flat &&
	    str_istarts(field, STR("content-type:")) &&
	    (str_istarts(value, STR("multipart/")) ||
		str_istarts(value, STR("message/"))))
		f->facts |= MIME_HAS_PARTS;
}

/* A header of the message on its way out. RC_MORE: nothing has happened yet. */
static enum rc
pass_field(struct mime_filter *f, struct err *e)
{
	struct str field = buf_view(&f->field), name, value;
	enum mime_header h;
	size_t name_n, value_at;
	enum rc rc = RC_NONE;

	/* header_line() begins only what splits; a table's text may be anything. */
	if (!mime_header_split(field, &name_n, &value_at)) {
		emit_field(f, field);
		return RC_OK;
	}
	name = str_head(field, name_n);
	value = str_from(field, value_at);
	h = mime_header_find(name);
	if (f->start->rewrites && mime_header_has_addresses(h) && !is_dropped(f, h, name))
		rc = emit_rewritten(f, h, name, value, e);
	if (rc != RC_OK && rc != RC_NONE)
		return rc;
	f->seen |= MIME_SEEN(h);
	mime_filter_note_bytes(f, field, MIME_8BIT_HEADER);
	if (h == MIME_HDR_RECEIVED &&
	    ++f->n_received >= f->conf->hopcount_limit) { /* compat */
		f->has_too_many_hops = true;
		if (!f->start->carries_on)
			return err_set(e, RC_PERM, MIME_TOO_MANY_HOPS);
	}
	if (!f->conf->ignores_8bit_header)
		note_encoding(f, h, field, str_trim(value));
	if (h == MIME_HDR_MESSAGE_ID || h == MIME_HDR_RESENT_MESSAGE_ID)
		tell_id(f, h == MIME_HDR_RESENT_MESSAGE_ID, value);
	if (rc == RC_NONE && !is_dropped(f, h, name) && !mime_convert_drops(f, name))
		emit_field(f, cut(f, field));
	return RC_OK;
}

/* A header of a part, or of a message inside the message. */
static void
pass_part_field(struct mime_filter *f, struct str field)
{
	struct str name = str_head(field, str_find(field, ':'));

	if (mime_convert_drops(f, name))
		return;
	mime_filter_note_bytes(f, field, MIME_8BIT);
	emit_field(f, f->scan->converts ? cut(f, field) : field);
}

static enum rc
flush_field(struct mime_filter *f, struct err *e)
{
	enum rc rc = RC_OK;

	if (f->field.n == 0)
		return RC_OK;
	if (f->scan != NULL)
		rc = mime_scan_field(f, e);
	if (rc == RC_OK && f->field.n > 0) {
		if (f->scan == NULL || f->scan->part == MIME_PART_HEADER) {
			rc = pass_field(f, e);
		} else {
			pass_part_field(f, buf_view(&f->field));
		}
	}
	if (rc != RC_OK)
		return rc;
	if (f->scan != NULL)
		f->scan->is_checked = false;
	buf_reset(&f->field);
	return RC_OK;
}

static void
emit_missing(struct mime_filter *f, bool is_resent, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	if (is_resent)
		mime_filter_emit(f, STR("Resent-"));
	mime_filter_emit(f, str_c(name));
	mime_filter_emit(f, STR(": "));
	mime_filter_emit(f, value);
	mime_filter_emit(f, STR("\r\n"));
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
	/* compat: whichever of the two kinds */
	const uint32_t visible = MIME_SEEN(MIME_HDR_TO) | MIME_SEEN(MIME_HDR_CC) |
				 MIME_SEEN(MIME_HDR_RESENT_TO) |
				 MIME_SEEN(MIME_HDR_RESENT_CC);

	if (!f->start->complete)
		return;
	if (!(f->seen & id)) {
		emit_missing(f, is_resent, "Message-Id", f->start->message_id);
		f->seen |= id;
		tell_id(f, is_resent, f->start->message_id);
	}
	if (!(f->seen & date))
		emit_missing(f, is_resent, "Date", f->start->date);
	if (!(f->seen & from))
		emit_missing(f, is_resent, "From", f->start->from);
	if (!(f->seen & visible) && f->conf->undisclosed.n > 0) {
		mime_filter_emit(f, f->conf->undisclosed);
		mime_filter_emit(f, STR("\r\n"));
	}
}

/* `has_text`: a line that is no header ends them. */
static enum rc
end_headers(struct mime_filter *f, bool has_body, bool has_text, struct err *e)
{
	struct mime_scan *s = f->scan;
	bool is_first = s == NULL || s->part == MIME_PART_HEADER;
	enum mime_part next = MIME_PART_BODY;
	enum rc rc = flush_field(f, e);

	if (rc != RC_OK)
		return rc;
	if (s != NULL)
		mime_convert_end_headers(f, has_text);
	if (is_first) {
		if (has_text && f->conf->end_action == MIME_END_TELL)
			mime_filter_emit(
			    f, STR("MIME-Error: message header was not ended by an empty "
				   "line\r\n"));
		if (s != NULL && has_text && f->conf->end_action == MIME_END_REFUSE)
			s->unseparated_first = !mime_scan_is_refused(s);
		complete_headers(f);
		if (!(f->seen & MIME_SEEN(MIME_HDR_MESSAGE_ID)))
			tell_id(f, false, STR("<>")); /* compat */
	}
	/* compat: in parts nothing is put between headers and text. */
	if (has_body && (is_first || !has_text))
		mime_filter_emit(f, STR("\r\n"));
	else if (!has_body && is_first)
		f->facts |= MIME_NO_BODY;
	if (s != NULL)
		next = mime_scan_end_headers(f);
	f->state = next == MIME_PART_BODY || has_text ? ST_BODY : ST_HEADER;
	if (f->state == ST_BODY) {
		if (s != NULL)
			s->part = MIME_PART_BODY;
		buf_release(&f->field);
	}
	return RC_OK;
}

/* A record more, while the field is shorter than header_size_limit. Compat: mime_state of
 * Postfix. */
static enum rc
append_to_field(struct mime_filter *f, struct str line, bool is_more)
{
	enum rc rc = RC_OK;

	if (is_more && f->field.n < f->conf->header_size_limit)
		rc = buf_put(&f->field, STR("\r\n"));
	else if (is_more)
		return RC_OK;
	do {
		struct str record = str_head(line, RECORD_MAX);
		size_t n = str_find(record, '\0'); /* compat: and cut there */

		if (rc == RC_OK)
			rc = buf_put(&f->field, str_head(record, n));
		line = str_from(line, record.n);
	} while (line.n > 0 && f->field.n < f->conf->header_size_limit && rc == RC_OK);
	return rc;
}

/* The text of a body line that was read as a header line. */
static void
emit_body_line(struct mime_filter *f, struct str line, bool is_whole)
{
	mime_filter_note_bytes(f, line, MIME_8BIT);
	mime_filter_note_line(f, line.p, line.n, is_whole);
	mime_filter_emit(f, line);
	if (is_whole)
		mime_filter_emit(f, STR("\r\n"));
}

/* ">From " too: compat. */
static bool
is_mailbox_from(struct str line)
{
	while (line.n > 0 && *line.p == '>')
		line = str_from(line, 1);
	return str_starts(line, STR("From "));
}

/* The first line of a new field, without blanks before the colon. Compat. */
static enum rc
begin_field(struct mime_filter *f, struct str line, size_t name_n, size_t value_at)
{
	enum rc rc;

	if (value_at == name_n + 1)
		return append_to_field(f, line, false);
	rc = append_to_field(f, str_head(line, name_n), false);
	return rc == RC_OK ? append_to_field(f, str_from(line, value_at - 1), false) : rc;
}

/* A line that is no header: the body begins with it. The line itself is looked at when
 * the headers are done with, for that may have to wait. */
static enum rc
header_text(struct mime_filter *f, struct str line, bool is_whole, struct err *e)
{
	enum rc rc = end_headers(f, true, true, e);

	if (rc != RC_OK)
		return rc;
	if (f->scan == NULL) {
		emit_body_line(f, line, is_whole);
		return RC_OK;
	}
	f->scan->is_gathered = true;
	f->scan->is_whole = is_whole;
	return RC_OK;
}

/* One header line without its end; `is_whole` false: there is more of it, and too much.
 * RC_MORE: a hook waits, the line was not used. */
static enum rc
header_line(struct mime_filter *f, struct str line, bool is_whole, struct err *e)
{
	bool is_first = f->state == ST_FIRST_LINE;
	bool is_folded = line.n > 0 && (*line.p == ' ' || *line.p == '\t');
	size_t name_n, value_at;
	enum rc rc = RC_OK;

	if (line.n == 0)
		return end_headers(f, true, false, e);
	if (is_folded && f->field.n > 0 && !is_first) {
		rc = append_to_field(f, line, true);
	} else if (is_first && is_mailbox_from(line)) {
		rc = flush_field(f, e);
		if (rc == RC_OK) /* compat */
			rc = append_to_field(f, STR("X-Mailbox-Line: "), false);
		if (rc == RC_OK)
			rc = append_to_field(f, line, false);
	} else if (mime_header_split(line, &name_n, &value_at)) {
		rc = flush_field(f, e);
		if (rc == RC_OK)
			rc = begin_field(f, line, name_n, value_at);
	} else {
		return header_text(f, line, is_whole, e);
	}
	if (rc != RC_OK)
		return rc;
	f->state = ST_HEADER;
	f->skip_line = !is_whole;
	return RC_OK;
}

/* Strays inside a header line become blanks where they stand. */
void
mime_filter_clean(struct mime_filter *f, char *p, size_t n)
{
	char *cr = n > 0 ? memchr(p, '\r', n) : NULL;

	while (cr != NULL) {
		f->facts |= MIME_BARE_CR;
		if (!f->conf->keep_stray_cr)
			*cr = ' ';
		cr++;
		cr = memchr(cr, '\r', n - (size_t)(cr - p));
	}
}

/* RC_MORE: f->line is kept, and used when the answer is here. */
static enum rc
use_line(struct mime_filter *f, struct str line, bool is_whole, struct err *e)
{
	enum rc rc = header_line(f, line, is_whole, e);

	if (rc == RC_MORE)
		return rc;
	if (f->scan != NULL)
		f->scan->is_line = false;
	if (f->scan != NULL && f->scan->is_gathered)
		return rc;
	buf_reset(&f->line);
	if (f->state == ST_BODY)
		buf_release(&f->line);
	return rc;
}

static enum rc
take_line(struct mime_filter *f, bool is_whole, struct err *e)
{
	size_t n = f->line.n;
	char *p = n > 0 ? f->line.p + f->line.start : NULL;
	bool has_cr = false;

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
		mime_filter_clean(f, p, n);
	if (f->scan != NULL) {
		f->line.n = n;
		mime_scan_bytes(f);
		n = f->line.n;
		f->scan->is_line = true;
		f->scan->is_whole = is_whole;
	}
	return use_line(f, n > 0 ? str_n(p, n) : STR(""), is_whole, e);
}

enum rc
mime_filter_take_header(struct mime_filter *f, struct str *in, struct err *e)
{
	size_t max = f->conf->header_size_limit + RECORD_MAX;
	enum rc rc = RC_OK;

	if (f->scan != NULL && f->scan->is_line) {
		rc = use_line(f, buf_view(&f->line), f->scan->is_whole, e);
		if (rc != RC_OK)
			return rc;
	}
	while (in->n > 0 && f->state != ST_BODY && f->out.n < PIECE_MAX) {
		size_t n = str_find(*in, '\n'), left = max - f->line.n;
		bool is_whole = n < in->n;

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
		if (rc == RC_OK && mime_filter_stops(f))
			rc = mime_scan_verdict(f, e);
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

	if (f->scan != NULL && f->scan->is_line)
		rc = use_line(f, buf_view(&f->line), f->scan->is_whole, e);
	else if (f->line.n > 0)
		rc = take_line(f, true, e);
	if (rc == RC_OK && f->state != ST_BODY)
		rc = end_headers(f, false, false, e);
	return rc;
}
