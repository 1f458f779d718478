#ifndef MIME_QUOTED_H
#define MIME_QUOTED_H
/* Text to quoted-printable, in pieces: lines of at most 76 bytes, nothing above 127.
 *
 *	text byte   blank, tab, "!" to "~" but "="    itself
 *	            any other, "=", and a blank or tab at the end of a line   "=" and two
 *	            hex digits in capitals
 *	"=" CRLF    ends a line that has 73 bytes or more while its text goes on
 *
 * Source: RFC 2045 section 6.7. Compat: 73 is where Postfix breaks lines. */
#include "base/base.h"
#include "base/buf.h"

/* Zero: the beginning of a line. */
struct mime_quoted {
	unsigned column; /* bytes of the present line of output, `blank` included */
	char blank;      /* the last byte of text, when it may be the last of its line */
};

/* A piece of a line, without any line end. RC_TEMP: `out` is full. */
MUST_USE enum rc mime_quoted_put(struct mime_quoted *q, struct str text, struct buf *out);
/* The line ends here; the CRLF itself is the caller's. RC_TEMP: `out` is full. */
MUST_USE enum rc mime_quoted_end(struct mime_quoted *q, struct buf *out);
#endif
