#ifndef PROG_LOOKUP_H
#define PROG_LOOKUP_H
/* lookup: asks tables that wait for others (SQL, LDAP, sockets …), so that no other
 * process has to.
 *
 *	main.c		start, confinement, channels from master
 *	peer.c		who asks, and whether it may; the proxymap endpoints
 *	group.c		the questions to one table: shared, bounded, timed out
 *	thread.c	the threads of a table, and what they have to say
 *	folders.c	what may be read after confinement
 *
 * The loop thread owns everything but what is marked otherwise; threads and loop meet
 * under one mutex, which is never held while a table is asked. */
#include "agent/decide.h"
#include "agent/lookup_tables.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "base/hmap.h"
#include "base/list.h"
#include "loop/loop.h"
#include "map/map.h"
#include <pthread.h>

enum {
	SLOTS_MAX = 8,       /* threads of one table: as many are asked of it at a time */
	THREADS_WANTED = 64, /* of all tables together, about */
	WAITING_MAX = 5000,  /* questions to one table; one more is RC_TEMP */
	ASKERS_MAX = 50000,  /* open questions of one peer */
};

struct lookup;
struct group;

/* One thread's own table, opened before confinement: its configuration may be root's. */
struct slot {
	struct group *g;
	struct log *log;      /* written to by the thread; the loop repeats it */
	struct map_set *set;  /* for reading */
	struct map *writable; /* the other kind of group */
	char words[8];        /* the thread's name */
};

/* All questions to one table. */
struct group {
	struct hmap_node by_spec;
	struct lookup *l;
	struct str spec;
	bool for_writing;
	struct slot slots[SLOTS_MAX];
	unsigned n_slots, n_threads;
	struct hmap questions; /* by what is asked, to share answers */
	int64_t warned_us;     /* when it was said that too many wait */
	/* under lookup.lock: */
	struct list todo; /* oldest first */
	size_t n_todo;
	unsigned n_idle;
	pthread_cond_t wake;
};

enum question_what { QUESTION_FIND, QUESTION_PUT, QUESTION_DELETE };

struct question {
	struct list node; /* group.todo or lookup.done; under lookup.lock */
	struct hmap_node by_what;
	struct group *g;
	enum question_what what;
	unsigned flags; /* enum map_flag */
	struct str key, value;
	int64_t since_us;
	struct list askers;
	struct arena *mem;
	/* the thread's, until it is in lookup.done */
	bool is_taken; /* under lookup.lock */
	enum rc rc;
	struct str answer;
	struct err e;
};

/* Whom to tell. */
struct asker {
	struct list in_question, in_peer;
	struct question *q;
	struct peer *peer;
	uint32_t request;
};

struct peer {
	struct list node;
	struct lookup *l;
	struct ipc_channel *ch;
	struct list askers;
	size_t n_askers;
	const struct worker_service *service; /* a command came in here; NULL: a worker */
	bool is_writing;                      /* at a proxywrite service */
	char role[32];                        /* of a worker */
	uint32_t instance;                    /* ... and which process it is */
};

struct lookup {
	struct worker w;
	const struct lookup_tables *tables;
	struct hmap groups;
	int64_t timeout_us;
	struct list peers, doors;
	struct loop_timer sweep, deadline;
	size_t n_open; /* questions */
	bool is_ending;
	/* thread.c */
	pthread_mutex_t lock;
	struct list done; /* under lock */
	size_t n_taken;   /* questions at tables now; under lock */
	struct loop_io done_io;
	int words_fd; /* where slots' logs go */
	struct loop_io words_io;
};

/* ---- peer.c ---- */
/* A worker's channel: replaces the one that process `instance` had. */
void peer_open(struct lookup *l, int fd, struct str role, uint32_t instance);
void doors_open(struct lookup *l);
void doors_close(struct lookup *l);
void peer_answer(struct asker *a, enum rc rc, struct str value);
void peers_drop(struct lookup *l, const char *role);

/* ---- group.c ---- */
void groups_init(struct lookup *l);
/* Opens the remote tables that the configuration names. Before confinement. */
void groups_open(struct lookup *l);
struct group_request {
	struct str spec; /* no proxy: */
	enum question_what what;
	unsigned flags;
	struct str key, value;
};
/* Answers now or later. `a` is the caller's until then. */
void group_ask(struct lookup *l, const struct group_request *r, struct asker *a);
/* The peer is gone. */
void group_forget(struct asker *a);
/* A thread is done with it. */
void group_done(struct question *q);

/* ---- thread.c ---- */
void threads_init(struct lookup *l);
/* A table of the slot's own; opened at once, or by its thread at its first question. */
void slot_init(struct slot *s, struct group *g, unsigned number);
void slot_open(struct slot *s);
/* What slots have said so far: repeated in our log, or (opening the second and further
 * slots of a table) forgotten. */
void words_read(struct lookup *l, bool repeat);
/* Gives the question to a thread of its group; starts one when that helps. False: there
 * is none and none can be started. */
bool threads_give(struct question *q);
/* Takes it back: true when no thread has it. */
bool threads_take_back(struct question *q);
bool threads_are_busy(struct lookup *l);

/* ---- folders.c ---- */
/* Folders to read after confinement; whether sockets in the file system are met. */
void folders_make(struct lookup *l, struct decide_folders *out);
bool folders_need_unix(const struct lookup *l);

/* ---- main.c ---- */
/* After anything that could have been the last open thing. */
void lookup_check_end(struct lookup *l);
#endif
