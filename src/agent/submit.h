#ifndef AGENT_SUBMIT_H
#define AGENT_SUBMIT_H
/* The client side of the submission channel to queue: grants of queue ids, stage files,
 * puts. One per process. It survives a restart of queue: puts that were open are answered
 * RC_TEMP, and a new channel brings new ids. Most users want agent/ingest.h instead. */
#include "base/base.h"

struct ipc_channel;
struct log;
struct loop;
struct submit;
struct wire_put; /* wire/messages.h */

struct submit *submit_new(struct loop *loop, struct log *log);
void submit_free(struct submit **s);

/* Gives it the channel to queue (from worker's on_peer with role "queue"); an older one
 * is dropped. It takes the file descriptor over. */
void submit_connect(struct submit *s, int channel_fd);

/* Calls `need`, now and then, while there is no channel: who can should bring a new one.
 * A queue that is started anew brings its own; one that only closed the channel does not.
 */
void submit_on_lost(struct submit *s, void (*need)(void *arg), void *arg);

/* Whether mail can be accepted now: connected, ids at hand, queue says it can store
 * `size_bytes` (0: unknown).
 * Returns: RC_MORE queue is being started: ask again when `ready` was called; e has reply
 *          words for those who can't wait. RC_TEMP with reply words in e: no space. */
MUST_USE enum rc submit_can_store(
    const struct submit *s, uint64_t size_bytes, struct err *e);
/* Calls `ready` whenever mail can be accepted after a time when it could not: for pickup.
 * One listener. */
void submit_on_ready(struct submit *s, void (*ready)(void *arg), void *arg);

/* Takes one id of the grant. RC_TEMP: none at hand. *out_epoch is for submit_put(): ids
 * die with the channel that granted them. */
MUST_USE enum rc submit_take_id(
    struct submit *s, uint64_t *out, uint32_t *out_epoch, struct err *e);

/* Asks for a stage file; `done` is called later, once: rc RC_OK and the descriptor (now
 * the receiver's) with its number, or RC_TEMP. Returns the request for submit_forget(),
 * 0: cannot ask now (done will not be called). */
typedef void submit_stage_fn(
    void *arg, enum rc rc, int fd, uint32_t number, struct str text);
MUST_USE uint32_t submit_stage_open(struct submit *s, submit_stage_fn *done, void *arg);
/* Gives a stage file back that no put will name; harmless when its channel is gone. */
void submit_stage_drop(struct submit *s, uint32_t number, uint32_t epoch);
uint32_t submit_epoch(const struct submit *s); /* of the channel in use */

/* Sends a put (.request is filled in); `done` is called later, once, RC_TEMP when queue
 * goes away before it answered. Returns the request, 0: cannot send now (no channel,
 * another epoch, too much outstanding, a string that is too long); `done` will not be
 * called then and a stage file is still the caller's. */
typedef void submit_put_fn(void *arg, enum rc rc, struct str text);
MUST_USE uint32_t submit_put(struct submit *s, struct wire_put *put, uint32_t epoch,
    submit_put_fn *done, void *arg);
/* `done` of this request will not be called; a put that was sent still happens, a stage
 * file that comes is given back. */
void submit_forget(struct submit *s, uint32_t request);

/* ETRN: asks that the deferred mail for `domain` (a name, or "[address]"; at most 500
 * bytes) be tried now; `done` is called later, once. RC_OK: it will be (also when there
 * is none); RC_NONE: fast_flush_domains does not list it; RC_TEMP: queue is away. Returns
 * the request for submit_forget(), 0: cannot ask now; `done` will not be called. */
typedef void submit_flush_fn(void *arg, enum rc rc);
MUST_USE uint32_t submit_flush_site(
    struct submit *s, struct str domain, submit_flush_fn *done, void *arg);
#endif
