#ifndef PROG_QUEUE_VERP_H
#define PROG_QUEUE_VERP_H
#include "base/arena.h"
#include "base/base.h"

/* Variable envelope return path: list@origin, for user@domain, with "+=":
 * list+user=domain@origin. `rcpt` as the sender gave it (compat), `mydomain` for one
 * without a domain. An empty sender stays empty.
 * Memory: in `mem`. Returns: an empty view with .p NULL when that is full. */
struct verp_request {
	struct str delimiters; /* two bytes */
	struct str sender, rcpt;
};
struct str verp_sender(const struct verp_request *r, struct arena *mem);
#endif
