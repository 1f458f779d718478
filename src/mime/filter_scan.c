/* Checks: headers on their way out, and the body line by line.
 *
 * A line that stands clean in the input stays a view of it, and neighbours that are kept
 * make one piece. What was changed, or came in pieces, or has a CR or LF of its own, goes
 * through f->line and f->out. A hook that has to wait leaves everything as it was but for
 * `is_waiting`; the next call comes to the same place. */
#include "mime/filter_int.h"
#include <stdlib.h>
#include <string.h>

const char *
mime_strict_text(enum mime_strict what)
{
	switch (what) { /* compat */
	case MIME_STRICT_HEADERS:
		return "improper use of 8-bit data in message header";
	case MIME_STRICT_BODY:
		return "improper use of 8-bit data in message body";
	case MIME_STRICT_ENCODING:
		return "invalid message/* or multipart/* encoding domain";
	}
	return "";
}

struct mime_scan *
mime_scan_new(const struct mime_conf *c, const struct mime_hooks *h)
{
	unsigned checks = h != NULL ? h->checks : 0;
	bool looks = checks != 0 || c->strict != 0 || c->reject != NULL ||
		     c->strip != NULL || c->end_action != MIME_END_FIX || c->converts;
	struct mime_scan *s;

	if (!looks && (h == NULL || h->map == NULL))
		return NULL;
	s = mem_get(sizeof(*s));
	s->reads_ours = looks;
	s->structure.nesting_limit = c->nesting_limit;
	s->structure.boundary_limit = c->boundary_limit;
	s->structure.is_flat = c->is_flat;
	mime_structure_init(&s->structure);
	s->converts = c->converts && !c->is_flat;
	s->wants_parts = !c->is_flat && (c->strict != 0 || checks != 0 || c->converts);
	buf_init(&s->text, 2 * c->header_size_limit + 2 * RECORD_MAX);
	return s;
}

void
mime_scan_free(struct mime_scan **sp)
{
	struct mime_scan *s = *sp;

	if (s == NULL)
		return;
	mime_structure_fini(&s->structure);
	buf_fini(&s->text);
	free(s);
	*sp = NULL;
}

bool
mime_scan_is_refused(const struct mime_scan *s)
{
	return s->first_error != 0 || s->disallowed_first || s->unseparated_first;
}

static void
report(struct mime_filter *f, enum mime_strict what, struct str text)
{
	const struct mime_hooks *h = f->start->hooks;

	if (!(f->conf->strict & what) || f->scan->errors & what)
		return;
	f->scan->errors |= what;
	if (!mime_scan_is_refused(f->scan))
		f->scan->first_error = what;
	if (h != NULL && h->trouble != NULL)
		h->trouble(h->ctx, what, text);
}

/* ---- single bytes ---- */

static bool
has_any(const struct mime_bytes *set, struct str s)
{
	for (size_t i = 0; set != NULL && i < s.n; i++)
		if (set->has[(unsigned char)s.p[i]])
			return true;
	return false;
}

void
mime_scan_bytes(struct mime_filter *f)
{
	const struct mime_bytes *strip = f->conf->strip;
	const struct mime_hooks *h = f->start->hooks;
	struct str s = buf_view(&f->line);
	char *p = f->line.p;
	size_t n = 0;

	if (s.n == 0)
		return;
	p += f->line.start;
	if (has_any(f->conf->reject, s) && !f->scan->is_disallowed) {
		f->scan->is_disallowed = true;
		f->scan->disallowed_first = !mime_scan_is_refused(f->scan);
		if (h != NULL && h->disallowed != NULL)
			h->disallowed(h->ctx, s);
	}
	if (!has_any(strip, s))
		return;
	for (size_t i = 0; i < s.n; i++)
		if (!strip->has[(unsigned char)p[i]])
			p[n++] = p[i];
	f->line.n = n;
}

/* ---- edits ---- */

/* What a table put there is noted as what a sender put there: who delivers relies on it.
 */
static void
note_edit(struct mime_filter *f, struct str text, unsigned fact_8bit)
{
	mime_filter_note_bytes(f, text, fact_8bit);
	while (text.n > 0) {
		size_t n = str_find(text, '\n');

		if (*text.p == '.')
			f->facts |= MIME_DOT_LINE;
		if (n > LINE_MAX_CLEAN)
			f->facts |= MIME_LONG_LINE;
		text = str_from(text, n + 1);
	}
}

/* Without the CRs at its end; one elsewhere becomes a blank, as those of senders. */
static enum rc
put_edited_line(struct buf *to, struct str line)
{
	enum rc rc = RC_OK;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	while (rc == RC_OK) {
		size_t n = str_find(line, '\r');

		rc = buf_put(to, str_head(line, n));
		if (n == line.n)
			break;
		if (rc == RC_OK)
			rc = buf_put(to, STR(" "));
		line = str_from(line, n + 1);
	}
	return rc;
}

/* Lines with LF or CRLF between them, as lines with CRLF between them. Of a header, the
 * second and later ones begin with a blank, whatever a table said (compat). */
static enum rc
put_lines(struct buf *to, struct str s, bool is_header)
{
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		size_t n = str_find(s, '\n');

		rc = put_edited_line(to, str_head(s, n));
		if (n == s.n)
			break;
		if (rc == RC_OK)
			rc = buf_put(to, STR("\r\n"));
		s = str_from(s, n + 1);
		if (rc == RC_OK && is_header &&
		    (s.n == 0 || (*s.p != ' ' && *s.p != '\t')))
			rc = buf_put(to, STR("\t"));
	}
	return rc;
}

static enum rc
ask(struct mime_filter *f, enum mime_part part, struct str text, struct mime_edit *out,
    struct err *e)
{
	const struct mime_hooks *h = f->start->hooks;
	enum rc rc;

	*out = (struct mime_edit){ .verdict = MIME_KEEP };
	if (h == NULL || !(h->checks & (1U << part)) || text.n == 0)
		return RC_OK;
	rc = h->check(h->ctx, part, text, out, e);
	f->scan->is_waiting = rc == RC_MORE;
	return rc;
}

/* ---- headers ---- */

/* Without the CRs. */
static struct str
shown(struct mime_filter *f, struct str field)
{
	struct buf *b = &f->scan->text;

	if (str_find(field, '\r') == field.n)
		return field;
	buf_reset(b);
	while (field.n > 0) {
		size_t n = str_find(field, '\r');

		if (buf_put(b, str_head(field, n)) != RC_OK)
			break;
		field = str_from(field, n + 1);
	}
	return buf_view(b);
}

static enum rc
apply(struct mime_filter *f, const struct mime_edit *edit)
{
	switch (edit->verdict) {
	case MIME_KEEP:
		return RC_OK;
	case MIME_DROP:
		buf_reset(&f->field);
		return RC_OK;
	case MIME_REPLACE:
		note_edit(f, edit->text, MIME_8BIT_HEADER);
		buf_reset(&f->field);
		return put_lines(&f->field, edit->text, true);
	case MIME_PREPEND:
		note_edit(f, edit->text, MIME_8BIT_HEADER);
		if (put_lines(&f->out, edit->text, true) != RC_OK)
			return RC_TEMP;
		return buf_put(&f->out, STR("\r\n"));
	}
	return RC_OK;
}

enum rc
mime_scan_field(struct mime_filter *f, struct err *e)
{
	struct mime_scan *s = f->scan;
	struct str field = buf_view(&f->field), name;
	size_t name_n, value_at;
	struct mime_edit edit;
	enum mime_part kind = s->part;
	enum rc rc;

	if (s->is_checked || !mime_header_split(field, &name_n, &value_at))
		return RC_OK;
	name = str_head(field, name_n);
	if (kind != MIME_PART_MIME_HEADER &&
	    mime_header_is_mime(mime_header_find(name))) /* compat */
		kind = MIME_PART_MIME_HEADER;
	if ((f->conf->strict & MIME_STRICT_HEADERS) && !str_is_ascii(field))
		report(f, MIME_STRICT_HEADERS, shown(f, field));
	rc = ask(f, kind, shown(f, field), &edit, e);
	if (rc != RC_OK)
		return rc;
	/* The structure is the sender's, whatever a check makes of it. Compat. */
	mime_structure_header(&s->structure, name, str_from(field, value_at));
	s->is_checked = true;
	if (apply(f, &edit) != RC_OK)
		return err_set(e, RC_TEMP, "4.3.0 Error: header too large");
	return RC_OK;
}

enum mime_part
mime_scan_end_headers(struct mime_filter *f)
{
	struct mime_scan *s = f->scan;
	const char *bad = NULL;

	if (f->conf->strict & MIME_STRICT_ENCODING)
		bad = mime_structure_bad_encoding(&s->structure);
	if (bad != NULL)
		report(f, MIME_STRICT_ENCODING, str_c(bad));
	s->segment_n = 0;
	s->part = mime_structure_end_headers(&s->structure);
	return s->part;
}

/* ---- body ---- */

static bool
checks_body(const struct mime_filter *f)
{
	const struct mime_hooks *h = f->start->hooks;

	return h != NULL && (h->checks & (1U << MIME_PART_BODY)) &&
	       f->scan->segment_n < f->conf->body_check_limit;
}

bool
mime_scan_wants_lines(const struct mime_filter *f)
{
	const struct mime_scan *s = f->scan;

	if (s == NULL)
		return false;
	return s->in_line || s->is_quoted || f->line.n > 0 || f->conf->reject != NULL ||
	       f->conf->strip != NULL || checks_body(f) ||
	       (s->wants_parts && s->structure.n_levels > 0) ||
	       (f->conf->strict & MIME_STRICT_BODY & ~s->errors) != 0;
}

/* A line, or line_limit bytes of one. *begins_part: headers follow. */
static enum rc
check_line(struct mime_filter *f, struct str line, struct mime_edit *edit,
    bool *begins_part, struct err *e)
{
	struct mime_scan *s = f->scan;
	enum rc rc;

	*begins_part = false;
	*edit = (struct mime_edit){ .verdict = MIME_KEEP };
	/* compat: what closes a multipart counts for what follows. */
	if (s->wants_parts && !s->in_line && s->structure.n_levels > 0 &&
	    mime_structure_closes(&s->structure, line)) {
		s->segment_n = 0;
		s->is_quoted = false;
	}
	if (checks_body(f)) {
		rc = ask(f, MIME_PART_BODY, line, edit, e);
		if (rc != RC_OK)
			return rc;
	}
	s->segment_n += line.n;
	if (s->structure.encoding == MIME_ENC_7BIT &&
	    (f->conf->strict & MIME_STRICT_BODY & ~s->errors) != 0 && !str_is_ascii(line))
		report(f, MIME_STRICT_BODY, line);
	if (s->wants_parts && !s->in_line && s->structure.n_levels > 0)
		*begins_part = mime_structure_line(&s->structure, line);
	s->is_quoted = s->is_quoted && !*begins_part;
	return RC_OK;
}

static void
begin_part(struct mime_filter *f)
{
	f->state = ST_HEADER;
	f->scan->part = MIME_PART_MIME_HEADER;
	f->scan->segment_n = 0;
}

/* The line and its edit go to f->out, without the line's end. */
static enum rc
put_line(
    struct mime_filter *f, struct str line, bool is_whole, const struct mime_edit *edit)
{
	enum rc rc = RC_OK;

	if (edit->verdict == MIME_PREPEND || edit->verdict == MIME_REPLACE) {
		note_edit(f, edit->text, MIME_8BIT);
		rc = put_lines(&f->out, edit->text, false);
	}
	if (rc == RC_OK && edit->verdict == MIME_PREPEND)
		rc = buf_put(&f->out, STR("\r\n"));
	if (rc == RC_OK && (edit->verdict == MIME_KEEP || edit->verdict == MIME_PREPEND))
		rc = mime_convert_put(f, line, is_whole);
	return rc;
}

/* The first `n` bytes of f->line; `is_whole`: the line ends there. */
static enum rc
pass_gathered(struct mime_filter *f, size_t n, bool is_whole, struct err *e)
{
	struct mime_scan *s = f->scan;
	struct str line = str_head(buf_view(&f->line), n);
	struct mime_edit edit;
	bool begins_part;
	enum rc rc = check_line(f, line, &edit, &begins_part, e);

	if (rc != RC_OK)
		return rc;
	mime_filter_note_bytes(f, line, MIME_8BIT);
	mime_filter_note_line(f, line.p, line.n, is_whole);
	rc = put_line(f, line, is_whole, &edit);
	s->has_put = (s->in_line && s->has_put) || edit.verdict != MIME_DROP;
	if (rc == RC_OK && is_whole && s->has_put)
		rc = buf_put(&f->out, STR("\r\n"));
	if (rc != RC_OK)
		return err_set(e, RC_TEMP, "4.3.0 Error: queue file write error");
	buf_consume(&f->line, n);
	s->in_line = !is_whole;
	if (begins_part && is_whole)
		begin_part(f);
	return RC_OK;
}

static size_t
record_max(const struct mime_filter *f)
{
	return f->conf->line_limit > 0 ? f->conf->line_limit : RECORD_MAX;
}

/* How much of f->line is text: the rest is CRs that may belong to its end. */
static size_t
text_of(const struct mime_filter *f)
{
	struct str s = buf_view(&f->line);
	size_t n = s.n;

	while (n > 0 && s.n - n < CR_RUN_MAX && s.p[n - 1] == '\r')
		n--;
	return n;
}

enum rc
mime_scan_gathered(struct mime_filter *f, struct err *e)
{
	struct mime_scan *s = f->scan;
	size_t max = record_max(f);

	s->is_gathered = true; /* until it is done, however often that has to wait */
	while (s->is_whole || text_of(f) > max) {
		bool ends = s->is_whole && f->line.n <= max;
		enum rc rc = pass_gathered(f, f->line.n < max ? f->line.n : max, ends, e);

		if (rc != RC_OK)
			return rc;
		if (ends)
			break;
	}
	s->is_gathered = false;
	return RC_OK;
}

/* f->line holds a whole line, with the CRs of its end. */
static enum rc
end_line(struct mime_filter *f, struct err *e)
{
	size_t n = text_of(f);

	if (n == f->line.n)
		f->facts |= MIME_BARE_LF;
	f->line.n = n;
	if (n > 0)
		mime_filter_clean(f, f->line.p + f->line.start, n);
	mime_scan_bytes(f);
	f->scan->is_whole = true;
	return mime_scan_gathered(f, e);
}

/* Adds to f->line: one line at most; passes it when it is whole, and what is too long. */
static enum rc
gather(struct mime_filter *f, struct str *in, struct err *e)
{
	size_t max = record_max(f);

	while (in->n > 0) {
		size_t n = str_find(*in, '\n'), left = max + CR_RUN_MAX - f->line.n;
		bool is_whole = n < in->n && n <= left;
		struct str from_end = str_from(*in, n); /* with the line's end */

		if (buf_put(&f->line, str_head(*in, n < left ? n : left)) != RC_OK)
			return err_set(e, RC_TEMP, "4.3.0 Error: queue file write error");
		*in = str_from(*in, is_whole ? n + 1 : (n < left ? n : left));
		if (is_whole && text_of(f) <= max)
			return end_line(f, e);
		if (text_of(f) <= max && f->line.n < max + CR_RUN_MAX)
			continue;
		/* The line end that was taken is given back. */
		if (is_whole)
			*in = from_end;
		n = text_of(f) > max ? text_of(f) : f->line.n;
		mime_filter_clean(f, f->line.p + f->line.start, n);
		mime_scan_bytes(f);
		f->scan->is_whole = false;
		if (text_of(f) > max)
			return mime_scan_gathered(f, e);
	}
	return RC_OK;
}

/* A line at the front of `in` that can go out as it is: its length without CRLF. */
static bool
is_plain_line(const struct mime_filter *f, struct str in, size_t *n)
{
	const char *lf = memchr(in.p, '\n', in.n);
	struct str line;

	if (lf == NULL || lf == in.p || lf[-1] != '\r')
		return false;
	line = str_n(in.p, (size_t)(lf - in.p) - 1);
	if (line.n > record_max(f) || (line.n > 0 && memchr(line.p, '\r', line.n)))
		return false;
	if ((f->conf->reject != NULL || f->conf->strip != NULL) &&
	    (has_any(f->conf->reject, line) || has_any(f->conf->strip, line)))
		return false;
	*n = line.n;
	return true;
}

enum rc
mime_scan_body(struct mime_filter *f, struct str *in, struct str *out, struct err *e)
{
	struct str start = *in;
	size_t kept = 0, n;

	*out = STR("");
	while (f->line.n == 0 && !f->scan->in_line && is_plain_line(f, *in, &n)) {
		struct mime_edit edit;
		bool begins_part;
		struct str line = str_head(*in, n);
		enum rc rc = check_line(f, line, &edit, &begins_part, e);

		/* What stands before it goes out first; it is asked about again. */
		if (rc != RC_OK && kept > 0 && rc == RC_MORE)
			break;
		if (rc != RC_OK)
			return rc;
		mime_filter_note_bytes(f, line, MIME_8BIT);
		mime_filter_note_line(f, line.p, line.n, true);
		*in = str_from(*in, n + 2);
		if (begins_part)
			begin_part(f);
		/* Views cannot follow what went to f->out. */
		if (edit.verdict == MIME_KEEP && !f->scan->is_quoted && f->out.n == 0)
			kept += n + 2;
		else if (put_line(f, line, true, &edit) != RC_OK ||
			 (edit.verdict != MIME_DROP &&
			     buf_put(&f->out, STR("\r\n")) != RC_OK))
			return err_set(e, RC_TEMP, "4.3.0 Error: queue file write error");
		if (edit.verdict != MIME_KEEP || begins_part || !mime_scan_wants_lines(f))
			break;
		if (in->n == 0 || f->out.n >= PIECE_MAX)
			break;
	}
	if (kept > 0) {
		*out = str_head(start, kept);
		return RC_OK;
	}
	if (f->out.n > 0 || f->state != ST_BODY || start.n != in->n)
		return RC_OK;
	return gather(f, in, e);
}

enum rc
mime_scan_close(struct mime_filter *f, struct err *e)
{
	enum rc rc = RC_OK;

	f->scan->is_waiting = false;
	if (f->scan->is_gathered)
		rc = mime_scan_gathered(f, e);
	if (rc == RC_OK && f->state == ST_BODY && f->line.n > 0) {
		unsigned before = f->facts;

		rc = end_line(f, e);
		f->facts &= ~(unsigned)MIME_BARE_LF | before; /* there was no LF at all */
	}
	if (rc == RC_OK && f->scan->in_line) {
		f->scan->in_line = false;
		f->owes_crlf = f->scan->has_put;
		if (mime_convert_put(f, STR(""), true) != RC_OK)
			rc = err_set(e, RC_TEMP, "4.3.0 Error: queue file write error");
		f->line_n = 0;
	}
	return rc;
}

enum rc
mime_scan_verdict(const struct mime_filter *f, struct err *e)
{
	const struct mime_scan *s = f->scan;

	if (s == NULL)
		return RC_OK;
	if (s->disallowed_first) /* compat */
		return err_set(e, RC_PERM, "550 5.7.1 disallowed character");
	if (s->unseparated_first)
		return err_set(e, RC_PERM,
		    "550 5.6.0 message headers do not end with an empty line");
	if (s->first_error != 0)
		return err_set(
		    e, RC_PERM, "550 5.6.0 %s", mime_strict_text(s->first_error));
	return RC_OK;
}
