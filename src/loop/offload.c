/* The pool for calls that block: threads take works from a list under a mutex and put
 * them into another; an eventfd wakes the loop.
 *
 * Threads start when first needed, i.e. after the sandbox was entered, and inherit it.
 * Nobody is woken under the mutex: he would find it locked and sleep once more. */
#include "loop/loop_int.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "os/fd.h"

enum { THREADS_MAX = 16 };

struct work {
	struct list node;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

struct loop_pool {
	pthread_mutex_t lock; /* guards the lists, their numbers and is_ending */
	pthread_cond_t wake;
	struct list todo, done;
	size_t n_todo;
	unsigned n_idle; /* until they run: also those that were woken just now */
	bool is_ending;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
	size_t n_open;     /* loop's side only */
	struct loop_io io; /* eventfd */
};

static void
check(int error)
{
	if (error != 0)
		abort();
}

static void *
thread_main(void *arg)
{
	struct loop_pool *p = arg;
	uint64_t one = 1;

	check(pthread_mutex_lock(&p->lock));
	for (;;) {
		struct list *node = list_first(&p->todo);
		struct work *w;
		bool was_empty;

		if (node == NULL && p->is_ending)
			break;
		if (node == NULL) {
			p->n_idle++;
			check(pthread_cond_wait(&p->wake, &p->lock));
			p->n_idle--;
			continue;
		}
		list_remove(node);
		p->n_todo--;
		check(pthread_mutex_unlock(&p->lock));
		w = CONTAINER_OF(node, struct work, node);
		w->work(w->arg);
		check(pthread_mutex_lock(&p->lock));
		was_empty = list_is_empty(&p->done);
		list_add_tail(&p->done, node);
		check(pthread_mutex_unlock(&p->lock));
		if (was_empty &&
		    write(p->io.fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			abort();
		check(pthread_mutex_lock(&p->lock));
	}
	check(pthread_mutex_unlock(&p->lock));
	return NULL;
}

static void
on_done(void *arg, unsigned events)
{
	struct loop_pool *p = arg;
	struct list *node;
	uint64_t n;

	(void)events;
	if (read(p->io.fd, &n, sizeof(n)) < 0)
		return;
	for (;;) {
		struct work *w;

		check(pthread_mutex_lock(&p->lock));
		node = list_first(&p->done);
		if (node != NULL)
			list_remove(node);
		check(pthread_mutex_unlock(&p->lock));
		if (node == NULL)
			return;
		w = CONTAINER_OF(node, struct work, node);
		p->n_open--;
		w->done(w->arg);
		free(w);
	}
}

static struct loop_pool *
pool_new(struct loop *l)
{
	struct loop_pool *p = mem_get(sizeof(*p));
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		abort();
	check(pthread_mutex_init(&p->lock, NULL));
	check(pthread_cond_init(&p->wake, NULL));
	list_init(&p->todo);
	list_init(&p->done);
	loop_io_init(&p->io, fd, on_done, p);
	loop_io_want(l, &p->io, LOOP_READ);
	return p;
}

/* The first thread is a must; without further ones work only waits longer. */
static void
add_thread(struct loop_pool *p, unsigned most)
{
	if (p->n_threads == most)
		return;
	if (pthread_create(&p->threads[p->n_threads], NULL, thread_main, p) == 0)
		p->n_threads++;
	else if (p->n_threads == 0)
		abort();
}

void
loop_offload(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct work *w = mem_get(sizeof(*w));
	struct loop_pool *p;
	bool has_idle;

	if (l->pool == NULL)
		l->pool = pool_new(l);
	p = l->pool;
	*w = (struct work){ .work = work, .done = done, .arg = arg };
	list_init(&w->node);
	p->n_open++;
	check(pthread_mutex_lock(&p->lock));
	list_add_tail(&p->todo, &w->node);
	/* Whoever was woken for an earlier one is not there for this one: it would wait
	 * behind a call that may block for long. */
	has_idle = p->n_idle >= ++p->n_todo;
	if (!has_idle)
		add_thread(p, l->n_threads);
	check(pthread_mutex_unlock(&p->lock));
	if (has_idle)
		check(pthread_cond_signal(&p->wake));
}

void
loop_offload_threads(struct loop *l, unsigned n)
{
	l->n_threads = n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
}

size_t
loop_offload_open(const struct loop *l)
{
	return l->pool == NULL ? 0 : l->pool->n_open;
}

static void
drop_all(struct list *works)
{
	struct list *node;

	while ((node = list_first(works)) != NULL) {
		list_remove(node);
		free(CONTAINER_OF(node, struct work, node));
	}
}

void
loop_pool_free(struct loop *l)
{
	struct loop_pool *p = l->pool;

	if (p == NULL)
		return;
	l->pool = NULL;
	check(pthread_mutex_lock(&p->lock));
	p->is_ending = true;
	drop_all(&p->todo);
	check(pthread_cond_broadcast(&p->wake));
	check(pthread_mutex_unlock(&p->lock));
	for (unsigned i = 0; i < p->n_threads; i++)
		check(pthread_join(p->threads[i], NULL));
	drop_all(&p->done);
	loop_io_remove(l, &p->io);
	os_fd_close(&p->io.fd);
	check(pthread_cond_destroy(&p->wake));
	check(pthread_mutex_destroy(&p->lock));
	free(p);
}
