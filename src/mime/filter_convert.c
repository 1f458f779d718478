/* 8-bit mail to 7 bits: what becomes of the encoding that a part says it has, and of its
 * body. Parts that do not say that they are 8-bit stay as they are, and so do headers.
 *
 *	multipart/...     "7bit"; its preamble is left alone
 *	message/...       "7bit"; rfc822: its content has headers of its own
 *	message/global    as others: its headers are not ASCII
 *	others            "quoted-printable"
 *
 * Compat: mime_state of Postfix with its "downgrade"; so are the two oddities. What is no
 * header ends the headers of a part, and its text is quoted whatever the part is; and a
 * message/partial or the like is quoted though it is called 7bit. */
#include "mime/filter_int.h"

bool
mime_convert_drops(const struct mime_filter *f, struct str name)
{
	const struct mime_scan *s = f->scan;

	return s != NULL && s->converts && mime_structure_is_8bit(&s->structure) &&
	       mime_header_find(name) == MIME_HDR_CONTENT_TRANSFER_ENCODING;
}

static bool
is_multipart(const struct mime_structure *p)
{
	return p->content == MIME_CONTENT_MULTIPART || p->content == MIME_CONTENT_DIGEST;
}

void
mime_convert_end_headers(struct mime_filter *f, bool has_text)
{
	struct mime_scan *s = f->scan;
	struct mime_structure *p = &s->structure;

	s->is_quoted = false;
	if (!s->converts || !mime_structure_is_8bit(p))
		return;
	if (p->is_global) {
		p->is_message = false;
		p->content = MIME_CONTENT_OTHER;
	}
	mime_filter_emit(f, STR("Content-Transfer-Encoding: "));
	mime_filter_emit(f, is_multipart(p) || p->is_message
				? STR("7bit\r\n")
				: STR("quoted-printable\r\n"));
	s->is_quoted =
	    has_text || (!is_multipart(p) && p->content != MIME_CONTENT_MESSAGE);
}

enum rc
mime_convert_put(struct mime_filter *f, struct str line, bool is_whole)
{
	struct mime_scan *s = f->scan;
	enum rc rc;

	if (!s->is_quoted)
		return buf_put(&f->out, line);
	rc = mime_quoted_put(&s->quoted, line, &f->out);
	return rc == RC_OK && is_whole ? mime_quoted_end(&s->quoted, &f->out) : rc;
}
