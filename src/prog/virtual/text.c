/* Message text into a file: LF line ends, mbox quoting, a size limit. */
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE     65536
#define OUT_SIZE  (2 * PIECE)
#define HEAD_ROOM 8192 /* our headers and what mbox adds, as a rule */

static bool
flush(struct writer *w)
{
	size_t at = 0;

	if (w->limit > 0 && w->size + w->n > w->limit) {
		errno = EFBIG;
		return false;
	}
	while (at < w->n) {
		ssize_t n = write(w->fd, w->p + at, w->n - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += (size_t)n;
	}
	w->size += w->n;
	w->n = 0;
	return true;
}

static bool
put(struct writer *w, struct str s)
{
	while (s.n > 0) {
		size_t n = s.n < w->cap - w->n ? s.n : w->cap - w->n;

		memcpy(w->p + w->n, s.p, n);
		w->n += n;
		s = str_from(s, n);
		if (w->n == w->cap && !flush(w))
			return false;
	}
	return true;
}

/* A header field whose value must not break the line, whoever wrote it. */
static bool
put_field(struct writer *w, const char *name, const char *open, struct str value,
    const char *close)
{
	struct str part, rest = value;
	bool ok = put(w, str_c(name)) && put(w, str_c(open));

	while (ok && str_token(&rest, "\r\n", &part))
		ok = put(w, part);
	return ok && put(w, str_c(close));
}

static bool
put_headers(struct writer *w, const struct task *t)
{
	const struct wire_job *m = t->job->m;
	const struct wire_rcpt *r = &m->rcpts[t->rcpt];
	struct str orig = r->orig.n > 0 ? r->orig : r->address;

	return put_field(w, "Return-Path: ", "<", m->sender, ">\n") &&
	       (!t->s->conf.enable_original_recipient ||
		   put_field(w, "X-Original-To: ", "", orig, "\n")) &&
	       put_field(w, "Delivered-To: ", "", r->address, "\n");
}

/* The bytes up to and with the next LF; `is_whole` is false when the piece ends before.
 */
static struct str
take_line(struct str *rest, bool *is_whole)
{
	const char *lf = memchr(rest->p, '\n', rest->n);
	struct str line =
	    str_head(*rest, lf == NULL ? rest->n : (size_t)(lf - rest->p) + 1);

	*rest = str_from(*rest, line.n);
	*is_whole = lf != NULL;
	return line;
}

static bool
put_content(struct writer *w, struct str s)
{
	while (s.n > 0) {
		bool is_whole;
		struct str line = take_line(&s, &is_whole);
		bool is_crlf = is_whole && line.n >= 2 && line.p[line.n - 2] == '\r';
		bool was_cr = w->pending_cr && is_whole && line.n == 1;

		if (w->pending_cr && !was_cr && !put(w, STR("\r")))
			return false;
		w->pending_cr = false;
		if (w->at_line && w->is_mbox && str_starts(line, STR("From ")) &&
		    !put(w, STR(">")))
			return false;
		if (!is_whole && line.p[line.n - 1] == '\r') {
			w->pending_cr = true;
			line.n--;
		}
		if (is_crlf)
			line.n -= 2;
		if (!put(w, line) || (is_crlf && !put(w, STR("\n"))))
			return false;
		w->at_line = is_whole;
	}
	return true;
}

/* A line that begins with "From" must not be cut there, or it would not be seen: the tail
 * of a piece that could be such a beginning stays for the next one. */
static size_t
undecided(const struct writer *w, struct str piece)
{
	size_t at = str_rfind(piece, '\n');
	struct str tail = at == piece.n ? piece : str_from(piece, at + 1);

	if (!w->is_mbox || (at == piece.n && !w->at_line) || tail.n >= 5)
		return 0;
	return str_starts(STR("From "), tail) ? tail.n : 0;
}

static bool
put_staged(struct writer *w, const struct task *t)
{
	char *piece = mem_get(PIECE);
	uint64_t at = 0;
	bool ok = true;

	while (ok && at < t->job->m->size) {
		struct str s;
		size_t n = 0, keep = 0;

		if (delivery_read(t->job, at, piece, PIECE, &n) != RC_OK) {
			errno = EIO;
			ok = false;
			break;
		}
		s = str_n(piece, n);
		if (at + n < t->job->m->size)
			keep = undecided(w, s);
		if (keep == n) /* a piece of fewer than five bytes: take it as it is */
			keep = 0;
		ok = put_content(w, str_head(s, n - keep));
		at += n - keep;
	}
	free(piece);
	return ok;
}

bool
text_write(struct writer *w, const struct task *t)
{
	size_t n = 0;
	const char *content = delivery_inline(t->job, &n);
	bool ok;
	int error;

	/* A small message is one write; the buffer is no larger than that needs. */
	w->cap = content != NULL && n + HEAD_ROOM < OUT_SIZE ? n + HEAD_ROOM : OUT_SIZE;
	w->p = mem_get(w->cap);
	w->at_line = true;
	ok = put_headers(w, t);
	if (ok)
		ok = content != NULL ? put_content(w, str_n(content, n))
				     : put_staged(w, t);
	if (ok && w->pending_cr)
		ok = put(w, STR("\r"));
	if (ok && !w->at_line) /* an unfinished last line */
		ok = put(w, STR("\n"));
	if (ok && w->is_mbox)
		ok = put(w, STR("\n"));
	if (ok)
		ok = flush(w);
	error = errno;
	free(w->p);
	w->p = NULL;
	errno = error;
	return ok;
}
