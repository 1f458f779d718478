#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H
#include "base/base.h"

/* Which recipients go next: the queue manager's scheduler, without messages, sockets or a
 * clock. Compat: Postfix's SCHEDULER_README; every limit means what it means there.
 *
 * A *message* brings recipients that are routed already. Those of one message that go to
 * one *destination* (transport and next hop) are grouped into *entries*, at most
 * `recipient_limit` in each. sched_next() hands out one entry at a time; sched_done()
 * says what came of it and moves the destination's concurrency window. All entries of a
 * message in one transport are a *job*; jobs are served in order of arrival, but a small
 * one may overtake a large one (delivery slots).
 *
 * `now_us` is one monotonic clock. Nothing here allocates by what a peer says: the caller
 * bounds messages and recipients. */
struct sched;
struct sched_transport;
struct sched_msg;

enum sched_feedback {
	SCHED_FEEDBACK_CONST,   /* value */
	SCHED_FEEDBACK_INV,     /* value / window */
	SCHED_FEEDBACK_INV_SQRT /* value / sqrt(window) */
};

/* One transport's limits. The words behind are Postfix's parameters. */
struct sched_conf {
	int concurrency_initial;    /* initial_destination_concurrency */
	int concurrency_limit;      /* destination_concurrency_limit; 0: none */
	int recipient_limit;        /* destination_recipient_limit; 0: none */
	int busy_limit;             /* master.cf maxproc; 0: none */
	double failed_cohort_limit; /* destination_concurrency_failed_cohort_limit; 0:
				       never dead */
	enum sched_feedback positive, negative;
	double positive_value, negative_value; /* destination_concurrency_*_feedback */
	int64_t destination_delay_us;          /* destination_rate_delay */
	int64_t transport_delay_us;            /* transport_rate_delay */
	int64_t dead_us;  /* minimal_backoff_time: how long a dead one is left alone */
	int64_t retry_us; /* transport_retry_time */
	int slot_cost, slot_loan, slot_discount,
	    slot_minimum; /* delivery_slot_*; cost 0: off */
};

/* What Postfix has where main.cf says nothing. */
extern const struct sched_conf sched_conf_default;

/* Reads "1", "0.5", "1/concurrency", "3/sqrt_concurrency". RC_PERM: none of these. */
MUST_USE enum rc sched_feedback_parse(
    struct str text, enum sched_feedback *out, double *out_value, struct err *e);

/* `seed`: 16 random bytes, because next hops come from strangers. */
struct sched *sched_new(const uint64_t seed[2]);
/* All messages must be freed before. */
void sched_free(struct sched **s);

/* The transport of this name, made with `conf` when there is none; it then lives as long
 * as `s`. A given `conf` replaces the old one (reload); NULL only looks: NULL when not
 * there. */
struct sched_transport *sched_transport(
    struct sched *s, struct str name, const struct sched_conf *conf);
struct str sched_transport_name(const struct sched_transport *t);

struct sched_rcpt {
	uint32_t index; /* the caller's number for it, handed back in entries */
	struct sched_transport *transport;
	struct str nexthop;
	struct str address; /* makes the destination where recipient_limit is 1 */
	bool is_alone; /* shares its entry with nobody; the others of its message too */
};

/* `user` comes back in every entry. The message stays known until sched_msg_free(). */
struct sched_msg *sched_msg_new(struct sched *s, void *user, int64_t now_us);
/* Queues recipients; may be called again (refill). `is_last`: no more will come, so that
 * the message's size is known and it may overtake others. Names are copied. */
void sched_msg_add(
    struct sched_msg *m, const struct sched_rcpt *rcpts, size_t n, bool is_last);
/* Takes back what was not handed out yet (the message was deleted or held). */
void sched_msg_withdraw(struct sched_msg *m);
/* Entries that are out (sched_next, not yet sched_done) / waiting. */
size_t sched_msg_busy(const struct sched_msg *m);
size_t sched_msg_waiting(const struct sched_msg *m);
/* Only when nothing of it is out. Withdraws first. */
void sched_msg_free(struct sched_msg **m);

enum sched_what {
	SCHED_DELIVER, /* give it to the transport */
	SCHED_DEFER    /* destination or transport is dead: defer with dsn and reason */
};

struct sched_entry {
	enum sched_what what;
	void *user; /* of sched_msg_new */
	struct sched_transport *transport;
	struct str nexthop;
	struct str dsn, reason; /* for SCHED_DEFER */
	bool
	    is_transport; /* SCHED_DEFER: the transport is dead, not just this next hop */
	const uint32_t *rcpts; /* their `index`es */
	uint32_t n_rcpt;
};

/* The next entry, or NULL: nothing to do before an add, a done, or sched_deadline(). The
 * entry belongs to `s` and is valid until sched_done(), which must follow. */
const struct sched_entry *sched_next(struct sched *s, int64_t now_us);
/* When to call sched_next() again though nothing happened; INT64_MAX: never. */
int64_t sched_deadline(const struct sched *s);

enum sched_site {
	SCHED_SITE_OK,     /* the next hop works, whatever it thought of the recipients */
	SCHED_SITE_FAILED, /* it could not be reached or refused to talk */
	SCHED_SITE_UNKNOWN,  /* not said: no feedback */
	SCHED_SITE_TRANSPORT /* the agent itself is missing or died: throttle the
				transport */
};

struct sched_verdict {
	enum sched_site site;
	struct str dsn, reason; /* remembered when something becomes dead for it */
};

/* The entry came back. NULL verdict: SCHED_DEFER entries, no feedback. */
void sched_done(struct sched *s, const struct sched_entry *entry,
    const struct sched_verdict *verdict, int64_t now_us);

/* Everything dead is tried again now (postqueue -f). */
void sched_revive(struct sched *s);

/* For warnings and tests. */
struct sched_stats {
	size_t n_msg, n_transport, n_destination, n_waiting, n_busy;
};
struct sched_stats sched_stats(const struct sched *s);
/* The window of a destination: -1 unknown, 0 dead. */
int sched_window(struct sched *s, const struct sched_transport *t, struct str nexthop);
#endif
