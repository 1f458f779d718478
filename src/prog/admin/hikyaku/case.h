#ifndef PROG_ADMIN_HIKYAKU_CASE_H
#define PROG_ADMIN_HIKYAKU_CASE_H
/* The question: who says what to us. */
#include "base/arena.h"
#include "base/base.h"

enum { CASE_RCPTS_MAX = 100 };

struct explain_case {
	const char *client; /* address; NULL: not given */
	const char *name;   /* verified name; NULL: look it up */
	const char *helo;   /* NULL: not given */
	const char *sender; /* NULL: not given; "" for <> */
	const char *login;  /* of an authenticated client, or NULL */
	const char
	    *service; /* master.cf: "smtp", "127.0.0.1:2525"; NULL: the first smtpd */
	const char *rcpts[CASE_RCPTS_MAX];
	size_t n_rcpts;
};

/* Completes `c` from the lines of `qid` in the log at `path`; what is set stays.
 * Memory:  strings in `mem`.
 * Returns: RC_NONE: no line about it; RC_TEMP: the log cannot be read (e says why).
 * Blocks:  on the file. */
MUST_USE enum rc case_from_log(struct explain_case *c, const char *path, struct str qid,
    struct arena *mem, struct err *e);
#endif
