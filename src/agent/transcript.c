/* One byte for the side and the text of each line, with LF: first in `head`; when that is
 * full, in `tail`, which loses its oldest lines. */
#include "agent/transcript.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "log/log.h"
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_ ((size_t)2100) /* of one line; commands have at most 2,048 */
#define WIDTH     ((size_t)78)   /* compat */
#define INDENT    ((size_t)4)    /* of what does not fit into a line; compat */
#define BLANKS    " \t\v\f\r"    /* between the words of a command */

struct transcript {
	struct buf head, tail;
	size_t n_lines, n_lost;
	bool is_head_full;
};

struct transcript *
transcript_new(size_t max_bytes)
{
	struct transcript *t = mem_get(sizeof(*t));

	buf_init(&t->head, max_bytes / 2);
	buf_init(&t->tail, max_bytes - max_bytes / 2);
	return t;
}

void
transcript_free(struct transcript **tp)
{
	struct transcript *t = *tp;

	if (t == NULL)
		return;
	buf_fini(&t->head);
	buf_fini(&t->tail);
	free(t);
	*tp = NULL;
}

size_t
transcript_lines(const struct transcript *t)
{
	return t->n_lines;
}

/* ---- keeping ---- */

static bool
put_line(struct buf *b, enum transcript_side side, struct str line)
{
	return line.n + 2 <= buf_left(b) &&
	       buf_put(b, side == TRANSCRIPT_IN ? STR("<") : STR(">")) == RC_OK &&
	       buf_put(b, line) == RC_OK && buf_put(b, STR("\n")) == RC_OK;
}

static void
add_line(struct transcript *t, enum transcript_side side, struct str line)
{
	line = str_head(line, LINE_MAX_);
	t->n_lines++;
	if (!t->is_head_full && put_line(&t->head, side, line))
		return;
	t->is_head_full = true;
	while (!put_line(&t->tail, side, line)) {
		if (t->tail.n == 0) {
			t->n_lost++; /* it alone is more than there is room for */
			return;
		}
		buf_consume(&t->tail, str_find(buf_view(&t->tail), '\n') + 1);
		t->n_lost++;
	}
}

/* Takes the first line off *rest, without its end. False: there is none. */
static bool
next_line(struct str *rest, struct str *out)
{
	size_t nl = str_find(*rest, '\n');

	if (rest->n == 0)
		return false;
	*out = str_head(*rest, nl);
	*rest = nl < rest->n ? str_from(*rest, nl + 1) : STR("");
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	return true;
}

void
transcript_add(struct transcript *t, enum transcript_side side, struct str lines)
{
	struct str line;

	if (lines.n == 0) /* the client sent an empty one */
		add_line(t, side, lines);
	while (next_line(&lines, &line))
		add_line(t, side, line);
}

/* ---- showing ---- */

/* "In:  text": printable. Returns its length. */
static size_t
make_printable(struct str kept, char *out)
{
	struct str text = str_from(kept, 1);
	bool is_in = kept.p[0] == '<';
	size_t n = 0, size;

	for (const char *p = is_in ? "In:  " : "Out: "; *p != '\0'; p++)
		out[n++] = *p;
	for (; text.n > 0; text = str_from(text, size)) {
		size = utf8_char_size(text);
		if (size <= 1) {
			bool ok = size == 1 && text.p[0] >= ' ' && text.p[0] < 127;

			out[n++] = ok ? text.p[0] : '?';
			size = 1;
			continue;
		}
		for (size_t i = 0; i < size; i++)
			out[n++] = text.p[i];
	}
	return n;
}

/* How much of `text` goes into a line of `width`: whole words, at least one. */
static size_t
fitting(struct str text, size_t width)
{
	size_t at = 0, end = 0;

	while (at < text.n) {
		size_t from = at;

		while (at < text.n && text.p[at] == ' ')
			at++;
		if (at == text.n)
			break;
		while (at < text.n && text.p[at] != ' ')
			at++;
		if (end > 0 && at > width)
			return end;
		end = at > from ? at : end;
	}
	return end;
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = str_from(s, 1);
	return s;
}

static enum rc
show_line(struct str kept, struct buf *out)
{
	char text[LINE_MAX_ + 8];
	struct str rest = { text, make_printable(kept, text) };
	size_t n = fitting(rest, WIDTH);
	enum rc rc = buf_printf(out, " %.*s\r\n", (int)n, rest.p);

	rest = skip_blanks(str_from(rest, n));
	while (rc == RC_OK && rest.n > 0) {
		n = fitting(rest, WIDTH - INDENT);
		rc = buf_printf(out, " %*s%.*s\r\n", (int)INDENT, "", (int)n, rest.p);
		rest = skip_blanks(str_from(rest, n));
	}
	return rc;
}

static enum rc
show(const struct buf *b, struct buf *out)
{
	struct str rest = buf_view(b), line;
	enum rc rc = RC_OK;

	while (rc == RC_OK && next_line(&rest, &line))
		rc = show_line(line, out);
	return rc;
}

enum rc
transcript_format(const struct transcript *t, struct buf *out)
{
	enum rc rc = show(&t->head, out);

	if (rc == RC_OK && t->n_lost > 0)
		rc = buf_printf(out, " (%zu lines are left out)\r\n", t->n_lost);
	return rc == RC_OK ? show(&t->tail, out) : rc;
}

/* ---- at once ---- */

struct str
transcript_shown(struct str line, char room[TRANSCRIPT_ROOM])
{
	struct str rest = line, verb, mechanism = STR("");
	size_t n;

	if (!str_token(&rest, BLANKS, &verb) || !str_iis(verb, "AUTH") ||
	    !str_token(&rest, BLANKS, &mechanism) || str_trim(rest).n == 0)
		return line;
	n = (size_t)(mechanism.p - line.p) + mechanism.n;
	(void)snprintf(room, TRANSCRIPT_ROOM, "%.*s ...",
	    STR_ARG(str_head(line, n < 100 ? n : 100)));
	return str_c(room);
}

static void
log_one(struct log *l, enum transcript_side side, struct str peer, struct str line)
{
	char room[TRANSCRIPT_ROOM];

	log_begin(l, LOG_LEVEL_INFO);
	log_put(l, side == TRANSCRIPT_IN ? STR("< ") : STR("> "));
	log_put(l, peer);
	log_put(l, STR(": "));
	log_put(l, transcript_shown(str_head(line, LINE_MAX_), room));
	log_end(l);
}

void
transcript_log(
    struct log *l, enum transcript_side side, struct str peer, struct str lines)
{
	struct str line;

	if (lines.n == 0) /* the client sent an empty one */
		log_one(l, side, peer, lines);
	while (next_line(&lines, &line))
		log_one(l, side, peer, line);
}
