#ifndef AGENT_RATES_H
#define AGENT_RATES_H
/* smtpd's end of the channel to `anvil`, which counts what each client does to all
 * workers together. Without anvil nothing is limited (compat): it is started when it is
 * first needed, and who asks waits a moment for that. */
#include "agent/rates_table.h"
#include "base/base.h"

struct log;
struct loop;
struct rates;
struct rates_query;

/* How long anybody waits for anvil; then mail goes on without limits, with a warning. */
#define RATES_PATIENCE_US (5 * US_PER_SEC)

struct rates_conf {
	struct loop *loop;
	struct log *log;
	void (*need)(void *arg); /* master should start anvil */
	void *arg;
};
struct rates *rates_new(const struct rates_conf *conf);
void rates_free(struct rates **r); /* open questions are dropped without a call */
/* A channel from master (purpose "anvil"); replaces an older one. Owns `fd`. */
void rates_connect(struct rates *r, int fd);

struct rates_what {
	enum rates_event event;
	struct str service; /* as in master.cf: "smtp" */
	struct str client;  /* "192.0.2.7", "2001:db8::/84" */
};
/* RC_TEMP: nobody counts now; *n is zero. */
typedef void rates_done_fn(void *arg, enum rc rc, const struct rates_count *n);
/* Counts an event that has a rate. `done` is called from the loop, never inside this
 * call. The handle is gone then. */
struct rates_query *rates_ask(
    struct rates *r, const struct rates_what *w, rates_done_fn *done, void *arg);
/* `done` will not be called; the event may be counted all the same. */
void rates_cancel(struct rates_query **q);
/* Which anvil it is that counts now: a connection is taken back from the one that counted
 * it, or not at all. 0: none. */
uint32_t rates_epoch(const struct rates *r);
/* The connection that was counted in `epoch` has ended. */
void rates_disconnected(struct rates *r, const struct rates_what *w, uint32_t epoch);
#endif
