#ifndef DSN_STATUS_H
#define DSN_STATUS_H
/* Enhanced status codes: RFC 3463 "class.subject.detail". */
#include "base/base.h"

struct dsn_status {
	uint8_t class;            /* 2, 4 or 5; 0: none */
	uint16_t subject, detail; /* 0..999 */
};

#define DSN_STATUS_MAX 12 /* "5.999.999" and its NUL */

/* The whole text must be a code. RC_PERM: it isn't. */
MUST_USE enum rc dsn_status_parse(struct str text, struct dsn_status *out);
/* Takes a code off the front of a text: "5.1.1 no such user" leaves "no such user".
 * RC_NONE: there is none, *rest is the text; `other` is returned in *out then. */
enum rc dsn_status_split(
    struct str text, const char *other, struct dsn_status *out, struct str *rest);
struct str dsn_status_format(const struct dsn_status *s, char out[DSN_STATUS_MAX]);
/* The code of an SMTP reply "550 5.1.1 text": the enhanced code when its class agrees
 * with the reply's, else "5.0.0" after the first digit. *text: what follows. Compat:
 * smtp_chat.c of Postfix. */
void dsn_status_of_reply(struct str reply, struct dsn_status *out, struct str *text);
/* The same code with another class: a 5 made soft for soft_bounce, a 4 made hard on
 * expiry. */
struct dsn_status dsn_status_with_class(struct dsn_status s, unsigned class);
#endif
