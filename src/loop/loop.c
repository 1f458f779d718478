/* Rounds, descriptors, timers and tasks. signal.c has signals and children, offload.c the
 * threads.
 *
 * Invariant: while events[] of a round is worked through, each loop_io that is still to
 * come knows its slot, so that removing it empties the slot and freeing it is safe. */
#include "loop/loop_int.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "os/clock.h"
#include "os/fd.h"

static void
read_clock(struct loop *l)
{
	l->now_us = os_clock_mono_us();
	l->wall_us = os_clock_wall_us();
}

struct loop *
loop_new(void)
{
	struct loop *l = mem_get(sizeof(*l));

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		abort();
	heap_init(&l->timers);
	list_init(&l->soon);
	list_init(&l->hooks);
	list_init(&l->outputs);
	list_init(&l->signals);
	l->signal_io.fd = -1;
	l->n_threads = 2;
	sigemptyset(&l->mask);
	if (sigprocmask(SIG_BLOCK, NULL, &l->old_mask) != 0)
		abort();
	read_clock(l);
	return l;
}

void
loop_free(struct loop **pl)
{
	struct loop *l = *pl;

	*pl = NULL;
	if (l == NULL)
		return;
	loop_pool_free(l);
	loop_signals_free(l);
	heap_fini(&l->timers);
	os_fd_close(&l->epoll_fd);
	free(l);
}

int64_t
loop_now_us(const struct loop *l)
{
	return l->now_us;
}

int64_t
loop_wall_us(const struct loop *l)
{
	return l->wall_us;
}

void
loop_stop(struct loop *l)
{
	l->is_stopped = true;
}

/* ---- descriptors ---- */

void
loop_io_init(
    struct loop_io *io, int fd, void (*fn)(void *arg, unsigned events), void *arg)
{
	*io = (struct loop_io){ .fd = fd, .fn = fn, .arg = arg };
}

void
loop_io_want(struct loop *l, struct loop_io *io, unsigned events)
{
	struct epoll_event ev = { .data.ptr = io };

	if (io->is_in && io->want == events)
		return;
	if ((events & LOOP_READ) != 0)
		ev.events |= EPOLLIN;
	if ((events & LOOP_WRITE) != 0)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(
		l->epoll_fd, io->is_in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &ev) != 0)
		abort();
	io->is_in = true;
	io->want = events;
}

/* Nothing of this round reaches it any more. */
static void
forget_io(struct loop *l, struct loop_io *io)
{
	if (io->slot > 0)
		l->events[io->slot - 1].data.ptr = NULL;
	io->slot = 0;
	io->is_in = false;
	io->want = 0;
}

void
loop_io_remove(struct loop *l, struct loop_io *io)
{
	if (!io->is_in)
		return;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	forget_io(l, io);
}

void
loop_io_close(struct loop *l, struct loop_io *io)
{
	forget_io(l, io);
	/* The last descriptor of a socket takes it out of epoll. Source: epoll(7). */
	os_fd_close(&io->fd);
}

static void
run_events(struct loop *l)
{
	for (int i = 0; i < l->n_events; i++)
		((struct loop_io *)l->events[i].data.ptr)->slot = (unsigned)i + 1;
	for (int i = 0; i < l->n_events; i++) {
		struct loop_io *io = l->events[i].data.ptr;
		uint32_t ev = l->events[i].events;
		unsigned got = 0;

		if (io == NULL)
			continue;
		io->slot = 0;
		if ((ev & EPOLLIN) != 0)
			got |= LOOP_READ;
		if ((ev & EPOLLOUT) != 0)
			got |= LOOP_WRITE;
		/* Whoever reads or writes learns from that what has happened. */
		if ((ev & (EPOLLHUP | EPOLLERR)) != 0)
			got |= LOOP_HANGUP | (io->want & (LOOP_READ | LOOP_WRITE));
		got &= io->want | LOOP_HANGUP;
		if (got != 0)
			io->fn(io->arg, got);
	}
	l->n_events = 0;
}

/* ---- timers ---- */

void
loop_timer_init(struct loop_timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct loop_timer){ .fn = fn, .arg = arg };
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us)
{
	heap_put(&l->timers, &t->node, at_us);
}

void
loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	heap_remove(&l->timers, &t->node);
}

bool
loop_timer_is_set(const struct loop_timer *t)
{
	return t->node.at != 0;
}

/* A timer that is set again for a time past runs in the next round: timers cannot starve
 * descriptors. */
static void
run_timers(struct loop *l)
{
	struct heap_node *node;
	size_t most = l->timers.n;

	while (most-- > 0 && (node = heap_min(&l->timers)) != NULL &&
	       node->key <= l->now_us) {
		struct loop_timer *t = CONTAINER_OF(node, struct loop_timer, node);

		heap_remove(&l->timers, node);
		t->fn(t->arg);
	}
}

/* ---- tasks ---- */

void
loop_task_init(struct loop_task *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct loop_task){ .fn = fn, .arg = arg };
	list_init(&t->node);
}

void
loop_soon(struct loop *l, struct loop_task *t)
{
	if (list_is_empty(&t->node))
		list_add_tail(&l->soon, &t->node);
}

void
loop_output(struct loop *l, struct loop_task *t)
{
	if (list_is_empty(&t->node))
		list_add_tail(&l->outputs, &t->node);
}

void
loop_soon_cancel(struct loop *l, struct loop_task *t)
{
	(void)l;
	list_remove(&t->node);
}

void
loop_at_round_end(struct loop *l, struct loop_task *hook)
{
	list_remove(&hook->node);
	list_add_tail(&l->hooks, &hook->node);
}

/* Moves all nodes to `to`, which is uninitialized: callbacks may then change `from`. */
static void
list_move(struct list *from, struct list *to)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	list_insert_before(from, to);
	list_remove(from);
}

/* Each once; what they add meanwhile waits. Hooks go back to where they were. */
static void
run_list(struct list *from, bool is_hooks)
{
	struct list now, *node;

	list_move(from, &now);
	while ((node = list_first(&now)) != NULL) {
		struct loop_task *t = CONTAINER_OF(node, struct loop_task, node);

		list_remove(node);
		if (is_hooks)
			list_add_tail(from, node);
		t->fn(t->arg);
	}
}

/* ---- rounds ---- */

/* In milliseconds, rounded up so that a timer is never early. */
static int
wait_ms(struct loop *l, int64_t max_us)
{
	struct heap_node *node = heap_min(&l->timers);
	int64_t us = max_us;

	if (!list_is_empty(&l->soon) || !list_is_empty(&l->outputs))
		return 0;
	if (node != NULL) {
		int64_t left = node->key - os_clock_mono_us();

		if (left <= 0)
			return 0;
		if (us < 0 || left < us)
			us = left;
	}
	if (us < 0)
		return -1;
	us = (us + US_PER_MS - 1) / US_PER_MS;
	return us > 3600 * 1000 ? 3600 * 1000 : (int)us;
}

void
loop_round(struct loop *l, int64_t max_wait_us)
{
	int n =
	    epoll_wait(l->epoll_fd, l->events, LOOP_EVENTS_MAX, wait_ms(l, max_wait_us));

	if (n < 0 && errno != EINTR)
		abort();
	l->n_events = n < 0 ? 0 : n;
	read_clock(l);
	run_events(l);
	run_timers(l);
	run_list(&l->soon, false);
	run_list(&l->hooks, true);
	run_list(&l->outputs, false);
}

void
loop_run(struct loop *l)
{
	l->is_stopped = false;
	while (!l->is_stopped)
		loop_round(l, -1);
}
