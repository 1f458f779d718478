#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H
/* Lines of a server's reply, as an SMTP client reads them. */
#include "base/base.h"

/* Reads one line (without its line end): "250-text", "250 text", "250".
 * Returns: false: that is not SMTP.
 * Source: RFC 5321 4.2. */
bool smtp_reply_line(struct str line, int *out_code, bool *out_is_last);

/* The enhanced status code at the front of `text` ("5.1.1 no such user") if its class is
 * `digit`; else empty. A view of `text`. Source: RFC 2034 4, RFC 3463 2. */
struct str smtp_reply_dsn(struct str text, char digit);
#endif
