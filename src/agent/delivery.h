#ifndef AGENT_DELIVERY_H
#define AGENT_DELIVERY_H
#include "base/arena.h"
#include "base/base.h"
#include "wire/messages.h"

/* The frame around a delivery agent: takes `job`s from the queue's channel, gives the
 * agent the message, collects one outcome per recipient, writes the log lines and sends
 * `result`. The agent does the delivering. All calls are the loop thread's, except
 * delivery_read(). */
struct worker;
struct log;
struct loop;
struct delivery; /* one per process */

enum delivery_what {           /* travels in outcome.what */
	DELIVERY_SENT = 1,     /* status=sent; done with this recipient */
	DELIVERY_DEFERRED = 2, /* status=deferred; try again later */
	DELIVERY_BOUNCED = 3,  /* status=bounced; goes into the bounce message */
	DELIVERY_EXPIRED = 4,  /* status=expired; used by queue */
	DELIVERY_EXPANDED = 5, /* status=sent, but the recipient went on to others */
};
/* "sent", "deferred", "bounced" …: what stands behind status= */
const char *delivery_what_name(enum delivery_what what);

enum delivery_site {
	DELIVERY_SITE_OK = 0,
	DELIVERY_SITE_DOWN = 1,
	DELIVERY_SITE_UNSAID = 2
};

struct delivery_job {
	const struct wire_job *m; /* decoded message; lives as long as the job */
	struct arena *mem;        /* the job's own; agents may allocate */
	int64_t
	    setup_us; /* agent: wall clock when the connection stood; 0: no connection */
	void *agent;  /* the agent's own pointer */
	struct log *log; /* tagged for the job's service, e.g. postfix/relay/smtp */
};

struct delivery_outcome {
	uint32_t rcpt; /* position in m->rcpts, not rcpt.index */
	enum delivery_what what;
	struct str dsn;    /* "2.0.0" */
	struct str text;   /* in the (…) of the log line */
	struct str relay;  /* "host[addr]:port", "virtual"; empty: "none" */
	unsigned conn_use; /* how often the connection was used before and now; <= 1: not
			      said */
	struct str mta, diag, diag_type, action; /* as record outcome in messages.ipc */
};

struct delivery_ops {
	/* A job to do. Answer with delivery_outcome() for each recipient and
	 * delivery_done(), now or later. */
	void (*start)(void *ctx, struct delivery_job *job);
	/* No job is open and the worker is draining. May be NULL. */
	void (*idle)(void *ctx);
};

struct delivery_request {
	struct worker *worker;
	struct loop *loop;
	struct log *log;
	const struct delivery_ops *ops;
	void *ctx;
	bool soft_bounce;     /* bounced becomes deferred, 5.x.y becomes 4.x.y */
	int delay_resolution; /* delay_logging_resolution_limit: digits behind the point,
				 0..6 */
};
struct delivery *delivery_new(const struct delivery_request *req);
void delivery_free(struct delivery **d);
/* The queue's end of a new delivery channel (worker's on_peer). Owns `fd`. An older
 * channel's open jobs go on; when the new queue gives one of them again it is not begun
 * again but its result goes there. That of the others is only logged. */
void delivery_attach(struct delivery *d, int fd);
/* Asks queue for no more jobs; ops.idle when the last is done and queue has let go. */
void delivery_drain(struct delivery *d);

/* An address is asked about: find out what would become of the recipients and say so as
 * outcomes, without delivering anything. The log lines say status=deliverable or
 * undeliverable, and soft_bounce does not apply. */
bool delivery_is_probe(const struct delivery_job *job);
/* Nobody waits for the result any more: queue was restarted and gives the job again. */
bool delivery_is_orphan(struct delivery_job *job);

/* The content, CRLF line ends, without dot-stuffing. A view when the message is small;
 * else NULL and delivery_read() must be used. */
const char *delivery_inline(const struct delivery_job *job, size_t *out_n);
/* Up to `n` bytes from `offset`; works for both kinds. May be called on any thread.
 * Returns: RC_OK with *out_n > 0; RC_NONE: end of the message; RC_TEMP: cannot be read.
 * Blocks:  on the disk (page cache). */
MUST_USE enum rc delivery_read(
    const struct delivery_job *job, uint64_t offset, char *to, size_t n, size_t *out_n);

/* Notes and logs what became of one recipient; texts are copied. Once per recipient. */
void delivery_outcome(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o);
/* The same outcome for all recipients that have none yet. */
void delivery_outcome_rest(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o);
/* Sends `result` and frees the job. Recipients without outcome are our mistake (assert).
 */
void delivery_done(struct delivery *d, struct delivery_job *job, enum delivery_site site,
    struct str site_dsn, struct str site_text);
/* While draining: frees a job of which no recipient has an outcome. Nothing is said;
 * queue takes it back as it was when the last job has ended and the channel closes. */
void delivery_abandon(struct delivery *d, struct delivery_job *job);
bool delivery_is_begun(struct delivery_job *job); /* some recipient has one */

/* The times of a log line, wall clock. */
struct delivery_times {
	int64_t arrival_us, active_us, delivering_us, setup_us, now_us;
	int resolution;
};
/* "delay=0.12, delays=0.03/0.01/0/0.08" with two significant digits, as Postfix.
 * Returns: the view of what was written to `to`, NUL-terminated there too. */
#define DELIVERY_DELAYS_MAX 128
struct str delivery_delays(const struct delivery_times *t, char to[DELIVERY_DELAYS_MAX]);
#endif
