#ifndef PROG_QUEUE_H
#define PROG_QUEUE_H
/* The queue process's structures, and what its files offer to one another. Who owns what:
 * README.md. One thread; only commit.c and check.c hand work to the pool. */
#include "agent/decide.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/hmap.h"
#include "base/list.h"
#include "conf/generated.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "sched/fate.h"
#include "sched/sched.h"
#include "spool/spool.h"
#include "wire/messages.h"

struct active;
struct agent;
struct routing;
struct job;
struct site_flush;
struct submitter;
struct transport;
struct verify;
struct verify_conf;
struct verify_record;
struct verify_store;

/* Numbers of fresh messages that wait for a place in the active queue. When it is full,
 * mail is found again by a scan, so nothing depends on it. */
struct fresh {
	struct fresh_item {
		uint64_t number;
		bool is_flushed;
	} * v; /* ring */
	size_t at, n;
};
#define FRESH_MAX ((size_t)65536)

struct decide_mapping;

struct queue {
	struct worker w;
	struct log *log;         /* postfix/qmgr */
	struct log *error_log;   /* postfix/error: for outcomes that no agent has seen */
	struct log *cleanup_log; /* postfix/cleanup: for probes */
	struct arena *scratch;   /* reset by whoever uses it next */
	struct arena
	    *limits_mem; /* the same, for transport.c: routes live in scratch then */
	uint64_t seed[2];

	/* configuration, replaced by a reload */
	struct arena *conf_mem;
	struct conf_queue conf;
	struct fate_conf fate;
	struct decide *decide;
	/* Probes: how their addresses are rewritten, and where they go. */
	const struct decide_mapping *mapping;
	struct route_conf *probe_route;
	struct route_list flush_domains; /* fast_flush_domains */
	struct list transports;

	struct spool *spool;
	struct sched *sched;

	/* commit.c */
	struct spool_job *commit_job, *prepare_job;
	struct loop_task commit_task;
	struct loop_timer commit_timer, compact_timer;
	bool is_committing, is_preparing;
	int64_t trouble_since_us; /* the disk has failed since then; 0: it works */
	int64_t retry_at_us;      /* not before, while it fails */
	int64_t retry_wait_us;
	bool has_commit_failed; /* only a commit ends the trouble then */
	char trouble[240];      /* what was logged last */
	struct list dirty;      /* active messages with an update to write */

	/* submit.c */
	struct list submitters;
	struct hmap waiters; /* puts that wait for their commit */
	uint64_t next_cookie;
	struct loop_timer state_timer;
	bool can_store;
	const char *why_not;
	uint64_t free_bytes;

	/* activate.c, scan.c */
	struct hmap active; /* by number */
	size_t n_active, n_rcpts;
	struct fresh fresh;
	struct loop_task activate_task;
	bool is_scanning, takes_fresh;
	struct loop_timer scan_timer;
	bool is_flushing;   /* due times are being set to now */
	bool is_flush_scan; /* what is found was asked for: defer_transports do not hold
			       it */
	uint64_t flush_cursor;
	struct loop_task flush_task;

	/* routing.c */
	struct list routing; /* active messages that have recipients without a route */
	size_t n_routing;
	struct routing *spare_routing;

	struct verify *verify;
	struct site_flush *sites;

	/* dispatch.c */
	struct list agents, parked;
	struct hmap jobs; /* by number */
	uint32_t next_job;
	struct loop_task dispatch_task;
	struct loop_timer dispatch_timer, parked_timer;

	/* showq.c, trigger.c, admin.c */
	struct list clients, doors, admins;
	size_t n_clients;

	bool is_stopping, is_hurried;
	struct loop_timer stop_timer;
};

/* One recipient of an active message. */
struct active_rcpt {
	uint8_t what;       /* enum spool_rcpt_what */
	bool is_open;       /* in the scheduler, no outcome yet */
	uint16_t reason;    /* 0 or 1 + index in reasons */
	struct str address; /* rewritten */
};

/* A message in memory: the spool has its envelope, this is the newest state. */
struct active {
	struct hmap_node by_number;
	struct list in_dirty;
	struct queue *q;
	struct arena *mem; /* everything below lives here */
	uint64_t number;
	struct queue_id id;
	struct str qid;
	struct spool_loaded l;
	struct active_rcpt *rcpts; /* l.m.n_rcpts of them */
	/* report.c: what became of each in this round, for who asked with sendmail -v or
	 * -bv; NULL: nobody did. */
	struct report_row *report;
	struct spool_reason *reasons;
	size_t n_reasons, cap_reasons;
	struct sched_msg *sched; /* NULL: not there yet */
	struct list jobs;
	struct list in_routing,
	    routings; /* routing.c: recipients that wait for a route */
	uint32_t route_next, n_routings;
	bool is_routing;
	int64_t active_us; /* wall clock */
	uint8_t flags;     /* SPOOL_STORED_FLAGS */
	unsigned told;     /* notices tried in this round: enum fate_news */
	bool is_busy;      /* on the pool's threads: must stay */
	bool is_gone;      /* deleted while active */
	bool is_flushed;   /* asked for: defer_transports do not hold it */
	bool is_settled;   /* the round is over: freed once the spool has its state */
	bool is_finished;  /* the same, and the message is deleted */
	int64_t next_try_us;
	uint32_t n_attempts;
	int64_t last_try_us;
};

enum job_kind { JOB_DELIVER, JOB_NOTICE };

struct job {
	struct hmap_node by_number;
	struct list in_active;
	struct list in_agent; /* agent.jobs, or queue.parked while it waits for one */
	struct queue *q;
	struct active *a;
	struct agent *agent; /* NULL: parked */
	struct transport *t;
	uint32_t number;
	enum job_kind kind;
	enum fate_news news;             /* JOB_NOTICE */
	bool is_durable;                 /* JOB_NOTICE: its notification is on disk */
	const struct sched_entry *entry; /* JOB_DELIVER */
	uint32_t *rcpts; /* positions in the envelope; JOB_NOTICE: owned */
	size_t n_rcpts;
	int64_t since_us; /* parked: monotonic */
};

/* A worker process at the other end of a delivery channel. */
struct agent {
	struct list in_queue;
	struct queue *q;
	struct ipc_channel *ch;
	struct list jobs;
	size_t n_jobs;
	bool is_leaving; /* it drains: gets no more jobs */
	uint32_t instance;
	char role[32];
};

/* ---- job.c ---- */
struct job *queue_job_new(struct active *a, enum job_kind kind, struct transport *t);
struct job *queue_job_find(struct queue *q, uint32_t number);
/* Out of all lists; the message and the entry are the caller's. */
void queue_job_free(struct job **j);
/* Positions in the envelope. */
const uint32_t *queue_job_rcpts(const struct job *j, size_t *out_n);
/* Hands the job to the agent. RC_NONE, RC_PERM: the message is gone or damaged; RC_TEMP:
 * it cannot be read now. */
MUST_USE enum rc queue_job_send(struct job *j, struct agent *g);
/* A draining agent that has no job left is let go. */
void agent_check_leaving(struct agent *g);

/* ---- transport.c ---- */
struct transport {
	struct list in_queue;
	struct sched_transport *sched;
	char *name;
	const char *role; /* whose workers deliver for it; NULL: nobody */
	bool is_deferred; /* defer_transports */
};
/* By master.cf service name; one is made for names that nobody serves, too. */
struct transport *transport_get(struct queue *q, struct str name);
struct transport *transport_of(struct queue *q, const struct sched_transport *s);
/* New limits and roles for all of them. */
void transport_reload(struct queue *q);

/* ---- commit.c ---- */
void commit_init(struct queue *q);
/* Something waits to be written. */
void commit_wake(struct queue *q);
/* Nothing waits and nothing is in flight. */
bool commit_is_idle(const struct queue *q);
/* Nothing is in flight, and after a failure the disk has a pause. */
bool commit_is_stuck(const struct queue *q);

/* ---- submit.c ---- */
void submit_init(struct queue *q);
/* `role`: whose channel it is, as master says. */
/* Replaces the channel that process `instance` had. */
void submit_attach(struct queue *q, const char *role, uint32_t instance, int fd);
/* After a commit: ids for those that got none when they asked. */
void submit_grant_waiting(struct queue *q);
/* The disk fails for longer than clients wait: those who wait are refused now. */
void submit_refuse_waiting(struct queue *q);
/* A message of the queue's own: becomes active once it is durable. */
MUST_USE enum rc submit_own(
    struct queue *q, const struct spool_message *m, struct err *e);
void submit_verified(struct submitter *s, uint32_t request, enum rc rc, struct str value);
void submit_site_flushed(struct submitter *s, uint32_t request, enum rc rc);
/* A put's commit is over. */
void submit_outcome(struct queue *q, const struct spool_outcome *o);
/* Looks at the disk and tells the submitters when the answer changed. */
void submit_state(struct queue *q);

/* ---- activate.c ---- */
void activate_init(struct queue *q);
void activate_fresh(struct queue *q, uint64_t number, bool is_flushed);
void activate_wake(struct queue *q);
struct active *active_find(struct queue *q, uint64_t number);
/* Out of memory and of the spool's claims; the message itself stays as it is. */
void active_free(struct active **a);

/* ---- routing.c ---- */
/* So many messages may wait for routes; others stay on disk meanwhile. */
#define ROUTING_MESSAGES_MAX 200
void routing_start(struct active *a);
void routing_cancel(struct active *a);
bool routing_is_to_do(const struct active_rcpt *r);
/* Before the configuration in use goes, and when the new one is there. */
void routing_suspend(struct queue *q);
void routing_resume(struct queue *q);

/* ---- dispatch.c ---- */
void dispatch_init(struct queue *q);
void dispatch_attach(struct queue *q, const char *role, uint32_t instance, int fd);
void dispatch_wake(struct queue *q);
/* Sends a notice job about these recipients (ownership of `rcpts` passes). */
void dispatch_notice(struct active *a, enum fate_news news, uint32_t *rcpts, size_t n);
/* The notification of this job is durable. */
void dispatch_durable(struct queue *q, uint32_t job);

/* ---- results.c ---- */
struct outcome {
	uint8_t what;     /* enum delivery_what */
	struct str relay; /* as in the log line; empty: none */
	struct spool_reason why;
};
/* Notes what became of one recipient. Texts are copied. */
void results_note(struct active *a, uint32_t rcpt, const struct outcome *o);
/* Logs "to=…, status=…" for an outcome that no agent has seen. */
void results_log(
    struct active *a, struct log *log, uint32_t rcpt, const struct outcome *o);
/* Has the round ended? Then the message goes on its way: notices, deletion, deferral. */
void results_check(struct active *a);
/* A notice job is over. */
void results_notice(struct active *a, const struct job *j, bool ok);
/* Hands the newest states to the spool: before each commit. What the spool does not take
 * now stays in memory and on the list. */
void results_flush(struct queue *q);
void results_dirty(struct active *a);
/* The message's state as it is now, without unused reasons. Memory: in `mem`. */
enum rc results_state(const struct active *a, struct arena *mem, struct spool_state *out);

/* ---- report.c: sendmail -v and -bv ---- */
struct report_row {
	uint8_t what; /* enum delivery_what; 0: nothing yet */
	struct spool_reason why;
};
/* Memory for the rows, when a report is to be made of this round. RC_TEMP: none. */
MUST_USE enum rc report_init(struct active *a);
/* Texts are copied. */
void report_note(struct active *a, uint32_t rcpt, const struct outcome *o);

/* ---- verify.c: addresses that smtpd asks about ---- */
void verify_init(struct queue *q);
/* The configuration in use goes; a new one is there, and what waited for tables begins
 * anew. */
void verify_suspend(struct queue *q);
void verify_use(struct queue *q);
/* Answers by submit_verified(), now or later. */
void verify_ask(struct queue *q, struct submitter *s, const struct wire_verify *m);
/* The submitter is gone. */
void verify_forget(struct queue *q, const struct submitter *s);
/* What became of a probe. */
void verify_outcome(struct active *a, uint32_t rcpt, const struct outcome *o);

/* ---- verify_probe.c: the messages that find out ---- */
struct verify_ids { /* granted by the spool, not used yet */
	uint64_t next;
	uint32_t n;
};
/* Stores a probe for `rcpt`, which `address` leads to. Trouble is logged: nobody hears of
 * a probe, and who asks again makes another. */
void verify_probe(
    struct queue *q, struct verify_ids *ids, const char *address, struct str rcpt);

/* ---- verify_store.c: the cache ---- */
struct verify_store *verify_store_new(struct queue *q);
/* The table to keep it in; empty: memory. Harmless when it is that already. */
void verify_store_use(struct verify_store *s, struct log *log, struct str spec);
/* The answer comes later, in the order of the calls: RC_OK with the value, RC_NONE,
 * RC_TEMP with the trouble. False: too many questions, `got` will not be called. */
typedef void verify_got_fn(void *arg, enum rc rc, struct str value);
bool verify_store_get(
    struct verify_store *s, struct str key, verify_got_fn *got, void *arg);
void verify_store_put(
    struct verify_store *s, struct str key, const struct verify_record *r);
/* Takes out what has expired. */
void verify_store_clean(
    struct verify_store *s, const struct verify_conf *conf, int64_t now_s);

/* ---- site.c: deferred mail for one destination ---- */
void site_init(struct queue *q);
/* As verify_suspend() and verify_use(). */
void site_suspend(struct queue *q);
void site_resume(struct queue *q);
/* Who asked: a submitter, or a connection to public/flush. */
struct site_asker {
	struct submitter *submitter;
	uint32_t request;
	struct client *client;
	void (*done)(struct client *c, enum rc rc);
};
/* Tries the deferred mail for `domain` if fast_flush_domains lists it, and says so. */
void site_flush(struct queue *q, const struct site_asker *asker, struct str domain);
/* Nobody waits for an answer any more: `who` is a submitter or a client. */
void site_forget(struct queue *q, const void *who);

/* ---- notify.c ---- */
/* Starts the next notice that is due in this round. False: none is. */
bool notify_next(struct active *a);
/* compat: with VERP each failed recipient has a notice of his own, which goes to the
 * address that names him. */
bool notify_is_by_itself(const struct active *a, enum fate_news news);

/* ---- scan.c ---- */
void scan_init(struct queue *q);
void scan_deferred(struct queue *q);
void scan_flush_all(struct queue *q);
/* Tries one message now. RC_NONE: no such message. */
MUST_USE enum rc scan_flush_one(struct queue *q, struct str id);

/* ---- door.c: who knocks at the public and private endpoints ---- */
#define CLIENTS_MAX 500 /* of all endpoints together */

/* A connection that is read or written in plain bytes. */
struct client {
	struct list in_queue; /* queue.clients */
	struct queue *q;
	struct loop_io io;
	struct loop_timer timeout;
	struct buf in, out;
	uint64_t cursor;
	bool is_over; /* nothing more is produced: close when `out` is empty */
	void (*step)(struct client *c, unsigned events);
};
void door_open(struct queue *q, int listen_fd, void (*visit)(struct queue *q, int fd));
void door_close_all(struct queue *q);
/* Takes over `fd`; `step` is called on events until it frees the client. */
struct client *client_new(
    struct queue *q, int fd, void (*step)(struct client *, unsigned));
void client_free(struct client **c);
/* Reads what is there, at most `max` bytes in all. RC_NONE: the peer has ended; RC_TEMP:
 * it is gone or sent too much. */
MUST_USE enum rc client_read(struct client *c);
/* Writes what it can. RC_MORE: some is left; RC_TEMP: the peer is gone. */
MUST_USE enum rc client_write(struct client *c);

void showq_visit(struct queue *q, int fd);
void trigger_visit(struct queue *q, int fd);
void trigger_bytes(struct queue *q, struct str bytes);
void flush_visit(struct queue *q, int fd);
void admin_visit(struct queue *q, int fd);

/* ---- main.c ---- */
/* After anything that could have been the last open thing. */
void queue_check_stop(struct queue *q);
#endif
