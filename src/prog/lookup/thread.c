/* The threads that ask tables. A thread has a slot: a table of its own and a log of its
 * own, whose lines come to the loop through a socket, because the log is the loop's.
 * Threads start when there is work, after the sandbox was entered, and inherit it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "log/log.h"
#include "os/clock.h"
#include "os/fd.h"
#include "prog/lookup/lookup.h"

#define STACK_SIZE ((size_t)2 << 20) /* libraries want some */
#define VALUE_MAX  ((size_t)1000000) /* found.value */

static void
check(int error)
{
	if (error != 0)
		abort();
}

/* ---- a slot ---- */

void
slot_init(struct slot *s, struct group *g, unsigned number)
{
	int fd = dup(g->l->words_fd);

	s->g = g;
	s->log = log_new("lookup", "table");
	if (fd >= 0 && os_fd_inherit(fd, false, NULL) == RC_OK)
		log_to_fd(s->log, fd);
	(void)snprintf(s->words, sizeof(s->words), "table%u", number);
}

void
slot_open(struct slot *s)
{
	struct group *g = s->g;
	const struct map_env env = {
		.log = s->log, .snapshot = g->l->w.snapshot, .asks_remote = true
	};
	const struct map_open_request req = {
		.spec = g->spec, .env = &env, .for_writing = true
	};
	struct map *unused;
	struct err e = { 0 };

	if (g->for_writing) {
		if (map_open(&req, &s->writable, &e) != RC_OK)
			log_warn(s->log, "%.*s is unavailable. %s", STR_ARG(g->spec),
			    e.text); /* compat */
	} else {
		s->set = map_set_new(&env);
		if (map_set_open(s->set, g->spec, 0, &unused, &e) != RC_OK)
			log_warn(s->log, "%s", e.text);
	}
	log_flush(s->log);
}

static enum rc
find(struct slot *s, struct question *q)
{
	struct map *m;

	if (s->set == NULL)
		slot_open(s);
	map_set_refresh(s->set, os_clock_mono_us());
	m = map_set_get(s->set, s->g->spec);
	if (m == NULL)
		return err_set(&q->e, RC_TEMP, "not a table");
	return map_find(m, q->key, q->flags, q->mem, &q->answer, &q->e);
}

static enum rc
change(struct slot *s, struct question *q)
{
	if (s->writable == NULL)
		slot_open(s);
	if (s->writable == NULL)
		return err_set(&q->e, RC_TEMP, "Application error"); /* compat */
	return q->what == QUESTION_PUT ? map_put(s->writable, q->key, q->value, &q->e)
				       : map_delete(s->writable, q->key, &q->e);
}

static void
answer(struct slot *s, struct question *q)
{
	q->rc = q->what == QUESTION_FIND ? find(s, q) : change(s, q);
	if (q->rc == RC_OK && q->answer.n > VALUE_MAX)
		q->rc = err_set(&q->e, RC_TEMP, "the result is too long");
	log_flush(s->log);
}

static void *
thread_main(void *arg)
{
	struct slot *s = arg;
	struct group *g = s->g;
	struct lookup *l = g->l;
	uint64_t one = 1;

	(void)pthread_setname_np(pthread_self(), s->words);
	check(pthread_mutex_lock(&l->lock));
	for (;;) {
		struct list *node = list_first(&g->todo);
		struct question *q;
		bool was_empty;

		if (node == NULL) {
			g->n_idle++;
			check(pthread_cond_wait(&g->wake, &l->lock));
			g->n_idle--;
			continue;
		}
		list_remove(node);
		g->n_todo--;
		q = CONTAINER_OF(node, struct question, node);
		q->is_taken = true;
		l->n_taken++;
		check(pthread_mutex_unlock(&l->lock));
		answer(s, q);
		check(pthread_mutex_lock(&l->lock));
		l->n_taken--;
		was_empty = list_is_empty(&l->done);
		list_add_tail(&l->done, node);
		if (was_empty &&
		    write(l->done_io.fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			abort();
	}
	return NULL;
}

static bool
start_thread(struct group *g)
{
	pthread_attr_t attr;
	pthread_t t;
	int error;

	check(pthread_attr_init(&attr));
	check(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	check(pthread_attr_setstacksize(&attr, STACK_SIZE));
	error = pthread_create(&t, &attr, thread_main, &g->slots[g->n_threads]);
	check(pthread_attr_destroy(&attr));
	if (error == 0)
		g->n_threads++;
	return error == 0;
}

/* ---- the loop's side ---- */

bool
threads_give(struct question *q)
{
	struct group *g = q->g;
	struct lookup *l = g->l;
	bool ok = true;

	check(pthread_mutex_lock(&l->lock));
	/* An idle thread may have been woken for an earlier question already. */
	if (g->n_idle <= g->n_todo && g->n_threads < g->n_slots)
		ok = start_thread(g) || g->n_threads > 0;
	if (ok) {
		list_add_tail(&g->todo, &q->node);
		g->n_todo++;
		check(pthread_cond_signal(&g->wake));
	}
	check(pthread_mutex_unlock(&l->lock));
	return ok;
}

bool
threads_take_back(struct question *q)
{
	struct lookup *l = q->g->l;
	bool ok;

	check(pthread_mutex_lock(&l->lock));
	ok = !q->is_taken;
	if (ok) {
		list_remove(&q->node);
		q->g->n_todo--;
	}
	check(pthread_mutex_unlock(&l->lock));
	return ok;
}

bool
threads_are_busy(struct lookup *l)
{
	bool busy;

	check(pthread_mutex_lock(&l->lock));
	busy = l->n_taken > 0;
	check(pthread_mutex_unlock(&l->lock));
	return busy;
}

static void
on_done(void *arg, unsigned events)
{
	struct lookup *l = arg;
	uint64_t n;

	(void)events;
	/* What was said about a question stands before what came of it. */
	words_read(l, true);
	if (read(l->done_io.fd, &n, sizeof(n)) < 0)
		return;
	for (;;) {
		struct list *node;

		check(pthread_mutex_lock(&l->lock));
		node = list_first(&l->done);
		if (node != NULL)
			list_remove(node);
		check(pthread_mutex_unlock(&l->lock));
		if (node == NULL)
			break;
		group_done(CONTAINER_OF(node, struct question, node));
	}
	lookup_check_end(l);
}

/* ---- what threads have to say ---- */

/* "Nov 22 00:34:58 table lookup[1]: warning: …": the text begins behind "]: ". */
static void
repeat_line(struct lookup *l, struct str line)
{
	size_t at = 0;

	while (at + 3 <= line.n && !str_starts(str_from(line, at), STR("]: ")))
		at++;
	if (at + 3 > line.n)
		return;
	log_begin(l->w.log, LOG_LEVEL_INFO);
	log_put(l->w.log, str_from(line, at + 3));
	log_end(l->w.log);
}

void
words_read(struct lookup *l, bool repeat)
{
	char text[64 << 10];
	ssize_t n;

	while ((n = recv(l->words_io.fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		struct str rest = str_n(text, (size_t)n), line;

		while (repeat && str_token(&rest, "\n", &line))
			repeat_line(l, line);
	}
}

static void
on_words(void *arg, unsigned events)
{
	(void)events;
	words_read(arg, true);
}

void
threads_init(struct lookup *l)
{
	int pair[2], fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	check(pthread_mutex_init(&l->lock, NULL));
	list_init(&l->done);
	loop_io_init(&l->done_io, fd, on_done, l);
	loop_io_want(l->w.loop, &l->done_io, LOOP_READ);
	loop_io_init(&l->words_io, pair[0], on_words, l);
	loop_io_want(l->w.loop, &l->words_io, LOOP_READ);
	l->words_fd = pair[1];
}
