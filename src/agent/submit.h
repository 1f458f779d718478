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

/* `ids_changed`-style callbacks run from the channel's callbacks, in the loop. */
struct submit *submit_new(struct loop *loop, struct log *log);
void submit_free(struct submit **s);

/* Gives it the channel to queue (from worker's on_peer with role "queue"); an older one
 * is dropped. It takes the file descriptor over. */
void submit_connect(struct submit *s, int channel_fd);

/* Whether mail can be accepted now: connected, ids at hand, queue says it can store
 * `size_bytes` (0: unknown). RC_TEMP with reply words in e: "Insufficient system storage"
 * or "Queue is not available". */
MUST_USE enum rc submit_can_store(
    const struct submit *s, uint64_t size_bytes, struct err *e);
/* Calls back once when the ids arrive or can_store turns true: for pickup. */
void submit_when_ready(struct submit *s, void (*ready)(void *arg), void *arg);

/* Takes one id of the grant. RC_TEMP: none at hand. */
MUST_USE enum rc submit_take_id(struct submit *s, uint64_t *out, struct err *e);

/* Asks for a stage file; `done` is called later, once: rc RC_OK and the descriptor (now
 * the caller's) with its number, or RC_TEMP. Cancel with submit_forget(arg). */
typedef void submit_stage_fn(
    void *arg, enum rc rc, int fd, uint32_t number, struct str text);
void submit_stage_open(struct submit *s, submit_stage_fn *done, void *arg);
void submit_stage_drop(struct submit *s, uint32_t number);

/* Sends a put (struct ipc_put of the generated messages, .request is filled in); `done`
 * is called later, once. RC_TEMP: cannot send now (no channel or too much outstanding),
 * done will not be called. */
struct wire_put;
typedef void submit_put_fn(void *arg, enum rc rc, struct str text);
MUST_USE enum rc submit_put(struct submit *s, struct wire_put *put, submit_put_fn *done,
    void *arg, struct err *e);
/* No callback to `arg` will come any more; a put that was sent still happens. */
void submit_forget(struct submit *s, void *arg);
#endif
