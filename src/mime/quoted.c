/* Quoted-printable, see quoted.h. */
#include "mime/quoted.h"

enum { LINE_FULL = 72 }; /* with more than this the next byte begins a line */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '=';
}

/* The bytes at the front that stand for themselves and fit on the line. */
static size_t
plain_run(const struct mime_quoted *q, struct str text)
{
	size_t n = 0, room = LINE_FULL + 1 - q->column;

	while (n < text.n && n < room && is_plain(text.p[n]))
		n++;
	/* A blank may turn out to be the last of its line. */
	while (n > 0 && is_blank(text.p[n - 1]))
		n--;
	return n;
}

static enum rc
put_hex(struct buf *out, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;
	char text[3] = { '=', digits[u >> 4], digits[u & 15] };

	return buf_put(out, str_n(text, 3));
}

static enum rc
put_blank(struct mime_quoted *q, struct buf *out)
{
	enum rc rc = RC_OK;

	if (q->blank != '\0')
		rc = buf_put(out, str_n(&q->blank, 1));
	q->blank = '\0';
	return rc;
}

/* What comes before the next byte of text: the blank that was held back, a line end. */
static enum rc
make_way(struct mime_quoted *q, struct buf *out)
{
	enum rc rc = put_blank(q, out);

	if (rc != RC_OK || q->column <= LINE_FULL)
		return rc;
	q->column = 0;
	return buf_put(out, STR("=\r\n"));
}

enum rc
mime_quoted_put(struct mime_quoted *q, struct str text, struct buf *out)
{
	enum rc rc = RC_OK;

	while (text.n > 0 && rc == RC_OK) {
		size_t n;

		rc = make_way(q, out);
		if (rc != RC_OK)
			return rc;
		n = plain_run(q, text);
		if (n > 0) {
			rc = buf_put(out, str_head(text, n));
			q->column += (unsigned)n;
		} else if (is_blank(*text.p)) {
			n = 1;
			q->blank = *text.p;
			q->column++;
		} else {
			n = 1;
			rc = put_hex(out, *text.p);
			q->column += 3;
		}
		text = str_from(text, n);
	}
	return rc;
}

enum rc
mime_quoted_end(struct mime_quoted *q, struct buf *out)
{
	enum rc rc = q->blank != '\0' ? put_hex(out, q->blank) : RC_OK;

	*q = (struct mime_quoted){ 0 };
	return rc;
}
