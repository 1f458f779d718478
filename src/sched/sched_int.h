#ifndef SCHED_SCHED_INT_H
#define SCHED_SCHED_INT_H
/* The scheduler's structures, for the files of this folder only. */
#include "base/heap.h"
#include "base/hmap.h"
#include "base/list.h"
#include "sched/sched.h"

struct verdict_text {
	char dsn[16];
	char *reason; /* owned; NULL: none */
};

enum wake_kind { WAKE_DESTINATION, WAKE_TRANSPORT_DEAD, WAKE_TRANSPORT_DELAY };

struct wake {
	struct heap_node node; /* in sched.wake */
	enum wake_kind kind;
};

enum dest_state {
	DEST_READY,
	DEST_DEAD,    /* until its wake-up */
	DEST_WAITING, /* rate delay, until its wake-up */
};

struct sched_dest {
	struct hmap_node by_key; /* in transport.dests */
	struct heap_node ready;  /* in transport.ready */
	struct list todo;        /* of entry.in_dest, by job order */
	struct sched_transport *transport;
	struct wake wake;
	enum dest_state state;
	size_t n_todo, n_busy,
	    n_defer; /* entries waiting, out, in sched.defer or out as DEFER */
	int window;
	double success, failure, fail_cohorts; /* feedback not yet turned into steps */
	struct verdict_text why;
	struct str key, nexthop; /* bytes behind the structure */
};

struct sched_transport {
	struct list in_sched;
	struct sched *s;
	struct sched_conf conf;
	struct hmap dests;
	struct heap ready; /* key: see heap_key() */
	struct list jobs;  /* with waiting entries, by order */
	size_t n_busy;
	bool is_dead, is_delayed;
	struct wake dead, delay;
	struct verdict_text why;
	int64_t order_last, order_front; /* newest job; newest that overtook */
	struct sched_job *candidate;     /* may overtake; see preempt.c */
	int64_t candidate_us;            /* when it was looked for */
	struct str name;                 /* bytes behind the structure */
};

/* The entries of one message in one transport. */
struct sched_job {
	struct list in_msg, in_transport; /* the latter only while something waits */
	struct list entries;              /* waiting ones: entry.in_job */
	struct sched_msg *msg;
	struct sched_transport *transport;
	int64_t order;
	size_t n_total, n_selected, n_waiting, slots_used;
	bool has_overtaken;
};

struct sched_msg {
	struct sched *s;
	void *user;
	struct list jobs;
	int64_t since_us;
	size_t n_busy, n_waiting;
	bool is_complete; /* no refill will come */
};

struct entry {
	struct sched_entry pub;
	struct list in_dest; /* dest.todo or sched.defer */
	struct list in_job;
	struct sched_job *job;
	struct sched_dest *dest;
	uint32_t *rcpts;
	uint32_t cap;
	uint32_t ordinal; /* among this job's entries for the destination */
	uint32_t one;     /* storage of the usual single recipient */
};

struct sched {
	struct list transports; /* the next to be asked is first */
	struct list defer;      /* entries to hand out as SCHED_DEFER */
	struct heap wake;
	size_t n_msg, n_transport, n_dest, n_waiting, n_busy;
	uint64_t seed[2];
};

/* dest.c */
/* Puts the destination where its state says; frees it when it is of no use. */
void sched_dest_update(struct sched_dest *d);
struct sched_dest *sched_dest_get(const struct sched_rcpt *r);
void sched_dest_revive(struct sched_dest *d);
void sched_dest_kill(struct sched_dest *d, const struct sched_verdict *v, int64_t now_us);
void sched_entry_insert(struct entry *e);
void sched_entry_to_defer(struct entry *e);
void sched_transport_kill(
    struct sched_transport *t, const struct sched_verdict *v, int64_t now_us);
void sched_transport_revive(struct sched_transport *t);
void sched_transport_free(struct sched_transport *t);

/* window.c */
void sched_window_success(struct sched_dest *d);
/* True: the destination is dead now. */
bool sched_window_failure(struct sched_dest *d);

/* preempt.c: lets a small job overtake the transport's current one when that has earned
 * it. */
void sched_preempt(struct sched_transport *t, int64_t now_us);
void sched_job_insert(struct sched_job *job);
void sched_job_forget(struct sched_job *job);
#endif
