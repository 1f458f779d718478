#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H
#include "base/arena.h"
#include "base/base.h"

/* A server's reply of one or more lines, as an SMTP client reads it.
 * Limits: text beyond SMTP_REPLY_MAX bytes is read and forgotten. */
#define SMTP_REPLY_MAX 4000

struct smtp_reply {
	int code;     /* 200..599 */
	char dsn[12]; /* "5.1.1" when the text begins with one of the code's class, else
			 "5.0.0" */
	bool has_dsn; /* it was there */
	struct str text;  /* "250 2.0.0 Ok: queued as 1": lines joined by a blank, as
			     Postfix logs */
	struct str lines; /* the lines as they came, separated by '\n', code and all */
};

/* Takes one reply off the front of `in`.
 * Returns: RC_OK and *out_used; RC_MORE: its last line is not there yet; RC_PERM: not
 * SMTP; RC_TEMP: `mem` full. Memory:  out->text and out->lines live in `mem`. */
MUST_USE enum rc smtp_reply_take(
    struct str in, struct arena *mem, struct smtp_reply *out, size_t *out_used);

/* The enhanced status code at the front of `text` ("5.1.1 no such user"), if it has class
 * `digit`; else empty. Source: RFC 2034 4. */
struct str smtp_reply_dsn(struct str text, char digit);
#endif
