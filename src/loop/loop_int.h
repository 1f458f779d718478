#ifndef LOOP_LOOP_INT_H
#define LOOP_LOOP_INT_H
#include <signal.h>
#include <sys/epoll.h>
#include "loop/loop.h"

enum { LOOP_EVENTS_MAX = 256 };

struct loop_pool;

struct loop {
	int epoll_fd;
	struct epoll_event
	    events[LOOP_EVENTS_MAX]; /* of the current round; ptr NULL: removed */
	int n_events;
	struct heap timers;
	struct list soon, hooks, outputs;
	int64_t now_us, wall_us;
	bool is_stopped;
	sigset_t old_mask, mask;
	struct list signals;
	struct loop_io signal_io; /* fd -1 until the first watch */
	struct loop_pool *pool;   /* NULL until the first offload */
	unsigned n_threads;
};

void loop_pool_free(struct loop *l);
void loop_signals_free(struct loop *l);
#endif
