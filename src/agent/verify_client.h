#ifndef AGENT_VERIFY_CLIENT_H
#define AGENT_VERIFY_CLIENT_H
/* Questions about addresses to the verification cache in queue, over the submission
 * channel. queue answers from its cache or sends a probe; while that is under way it lets
 * the question wait for as long as the asker says. */
#include "base/base.h"

struct submit;
struct verify_query;

/* `value` is valid during the call.
 *   RC_OK   "STATUS DSN TEXT": STATUS 0 deliverable, 1 deferred or unknown, 2
 *           undeliverable, 3 still probing (DSN and TEXT then say nothing)
 *   RC_TEMP verification trouble: no queue, or it cannot use its cache; value: why */
typedef void verify_done_fn(void *arg, enum rc rc, struct str value);

/* `address` is in external form, at most 2,000 bytes, and copied. */
struct verify_question {
	struct str address;
	bool is_sender;
	int64_t wait_us; /* for the outcome of a probe; 0: what is known now */
};

/* `done` is called once, later, never inside this call. Returns a handle for
 * verify_client_cancel(), gone once `done` is called; NULL: there is no queue to ask now,
 * `done` will not be called. */
MUST_USE struct verify_query *verify_client_ask(struct submit *s,
    const struct verify_question *what, verify_done_fn *done, void *arg);
/* `done` will not be called. *q may be NULL; it becomes NULL. */
void verify_client_cancel(struct verify_query **q);
#endif
