#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "base/base.h"
#include "base/heap.h"
#include "base/list.h"
#include <sys/types.h>

/* The event loop: one a process, one thread.
 *
 * A round: wait; read the clock; signals, descriptors, timers, finished offloads; then
 * the tasks of loop_soon(); then the round-end hooks; then the outputs. Structures given
 * in are the caller's storage; any of them may be removed and freed inside any callback.
 */
struct loop;

struct loop *loop_new(void);
void loop_free(struct loop **l); /* waits for offloaded work that is running */
void loop_run(struct loop *l);   /* until loop_stop() */
void loop_stop(struct loop *l);  /* ends loop_run after this round (hooks included) */
/* One round, waiting at most `max_wait_us` (0: not at all, -1: until something happens).
 * For tests and commands. */
void loop_round(struct loop *l, int64_t max_wait_us);

/* Cached at the start of the round's work: cheap. */
int64_t loop_now_us(const struct loop *l);  /* monotonic: for timers */
int64_t loop_wall_us(const struct loop *l); /* since 1970: for people and mail */

/* ---- descriptors: level-triggered ---- */
enum loop_event {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
	LOOP_HANGUP = 4, /* both directions are gone, or an error; always delivered */
};

struct loop_io {
	int fd;
	unsigned want;
	void (*fn)(void *arg, unsigned events);
	void *arg;
	unsigned slot; /* the loop's: 1 + where it stands in this round's events */
	bool is_in;
};

void loop_io_init(
    struct loop_io *io, int fd, void (*fn)(void *arg, unsigned events), void *arg);
/* Which events to deliver from now on; 0 keeps it registered for LOOP_HANGUP only. Costs
 * a system call only when it changes something. Aborts when epoll has no memory. */
void loop_io_want(struct loop *l, struct loop_io *io, unsigned events);
/* Before close(io->fd); harmless when never registered. The descriptor stays open. */
void loop_io_remove(struct loop *l, struct loop_io *io);
/* Removes it and closes the descriptor, in one system call: nobody else may have it, by
 * dup(), fork() or a message. Harmless when it is -1, which it is afterwards. */
void loop_io_close(struct loop *l, struct loop_io *io);

/* ---- timers ---- */
struct loop_timer {
	struct heap_node node; /* key: when, on the monotonic clock */
	void (*fn)(void *arg);
	void *arg;
};

void loop_timer_init(struct loop_timer *t, void (*fn)(void *arg), void *arg);
/* Once, at loop_now_us() time `at_us`; set again to move it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us);
void loop_timer_cancel(struct loop *l, struct loop_timer *t); /* harmless if not set */
bool loop_timer_is_set(const struct loop_timer *t);

/* ---- a listener that finds no descriptor ---- */
struct loop_rest {
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer timer;
};

void loop_rest_init(struct loop_rest *r, struct loop *l, struct loop_io *io);
/* No LOOP_READ for `io` for a second: accept() failed for want of descriptors, and
 * whoever waits there would be told of again at once, for ever. He is not lost. */
void loop_rest_begin(struct loop_rest *r);
/* Until then its owner leaves LOOP_READ alone. */
bool loop_rest_is_on(const struct loop_rest *r);
/* Before loop_io_remove(); harmless when it does not rest. */
void loop_rest_cancel(struct loop_rest *r);

/* ---- later in this round ---- */
struct loop_task {
	struct list node;
	void (*fn)(void *arg);
	void *arg;
};

void loop_task_init(struct loop_task *t, void (*fn)(void *arg), void *arg);
/* Runs it once before the loop waits again; asking twice is once. A task asked for by a
 * task runs in the next round, which then does not wait. */
void loop_soon(struct loop *l, struct loop_task *t);
void loop_soon_cancel(struct loop *l, struct loop_task *t);

/* Runs at the end of every round, first registered first: flush logs here. Same storage
 * rule; loop_soon_cancel() takes it out. */
void loop_at_round_end(struct loop *l, struct loop_task *hook);

/* Runs it once after this round's hooks: for sending what the round has made. Because
 * hooks flush the log, a line is in the file before the message that lets another process
 * write the next one. It must not call anybody back: ask for a task instead. */
void loop_output(struct loop *l, struct loop_task *t);

/* ---- signals, children ---- */
struct loop_signal {
	struct list node;
	int signo;
	void (*fn)(void *arg, int signo);
	void *arg;
};

/* Blocks the signal and delivers it here instead. Call before threads exist. */
void loop_signal_watch(struct loop *l, struct loop_signal *s, int signo,
    void (*fn)(void *arg, int signo), void *arg);
void loop_signal_unwatch(struct loop *l, struct loop_signal *s);
/* In a forked child before exec: the signal mask as it was before the loop. */
void loop_signal_restore(const struct loop *l);

struct loop_child {
	struct loop_io io;
	pid_t pid;
	struct loop *loop;
	void (*fn)(void *arg, int wait_status);
	void *arg;
};

/* Calls fn once with the wait status when the child has ended (and is reaped). */
MUST_USE enum rc loop_child_watch(struct loop *l, struct loop_child *c, pid_t pid,
    void (*fn)(void *arg, int wait_status), void *arg, struct err *e);
void loop_child_unwatch(struct loop *l, struct loop_child *c); /* not reaped then */

/* ---- work that blocks ---- */
/* Runs work(arg) on a thread of the pool, then done(arg) in the loop. Threads start when
 * first needed, at most loop_offload_threads() (default 2). Works of one loop may
 * overtake one another. There is no cancelling: `arg` must live until done. */
void loop_offload(
    struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);
void loop_offload_threads(struct loop *l, unsigned n); /* before the first offload */
size_t loop_offload_open(const struct loop *l);        /* given in and not done */
#endif
