/* Endpoints and the plain connections that come in there: accepted, bounded in number, in
 * time, and in what they may send. Garbage closes the connection it came on and nothing
 * else. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "os/sock.h"
#include "prog/queue/queue.h"

#define IDLE_US  (300 * US_PER_SEC) /* a pager may wait for its reader */
#define IN_MAX   1024
#define OUT_MAX  ((size_t)16 << 20) /* one message with 100,000 recipients and reasons */
#define PER_LOOK 50
#define ADMINS   50 /* come in even when every place is taken: only root and we can */

struct door {
	struct list in_queue;
	struct queue *q;
	struct loop_io io;
	struct loop_rest rest;
	void (*visit)(struct queue *q, int fd);
};

static void
knock(void *arg, unsigned events)
{
	struct door *d = arg;
	size_t max = CLIENTS_MAX + (d->visit == admin_visit ? ADMINS : 0);
	enum rc rc = RC_OK;
	int fd;

	(void)events;
	for (int i = 0; i < PER_LOOK && rc == RC_OK; i++) {
		rc = os_sock_accept(d->io.fd, &fd, NULL);
		if (rc == RC_TEMP)
			loop_rest_begin(&d->rest);
		if (rc != RC_OK)
			return;
		if (d->q->n_clients >= max)
			(void)close(fd);
		else
			d->visit(d->q, fd);
	}
}

void
door_open(struct queue *q, int listen_fd, void (*visit)(struct queue *q, int fd))
{
	struct door *d = mem_get(sizeof(*d));

	d->q = q;
	d->visit = visit;
	loop_io_init(&d->io, listen_fd, knock, d);
	loop_rest_init(&d->rest, q->w.loop, &d->io);
	loop_io_want(q->w.loop, &d->io, LOOP_READ);
	list_add_tail(&q->doors, &d->in_queue);
}

void
door_close_all(struct queue *q)
{
	struct list *first;

	while ((first = list_first(&q->doors)) != NULL) {
		struct door *d = CONTAINER_OF(first, struct door, in_queue);

		list_remove(first);
		loop_rest_cancel(&d->rest);
		loop_io_remove(q->w.loop, &d->io);
		free(d);
	}
}

/* ---- plain connections ---- */

static void
on_event(void *arg, unsigned events)
{
	struct client *c = arg;

	loop_timer_set(c->q->w.loop, &c->timeout, loop_now_us(c->q->w.loop) + IDLE_US);
	c->step(c, events);
}

static void
on_timeout(void *arg)
{
	struct client *c = arg;

	client_free(&c);
}

struct client *
client_new(struct queue *q, int fd, void (*step)(struct client *, unsigned))
{
	struct client *c = mem_get(sizeof(*c));

	c->q = q;
	c->step = step;
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	loop_io_init(&c->io, fd, on_event, c);
	loop_timer_init(&c->timeout, on_timeout, c);
	loop_timer_set(q->w.loop, &c->timeout, loop_now_us(q->w.loop) + IDLE_US);
	list_add_tail(&q->clients, &c->in_queue);
	q->n_clients++;
	return c;
}

void
client_free(struct client **p)
{
	struct client *c = *p;

	loop_timer_cancel(c->q->w.loop, &c->timeout);
	loop_io_remove(c->q->w.loop, &c->io);
	(void)close(c->io.fd);
	list_remove(&c->in_queue);
	c->q->n_clients--;
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
	*p = NULL;
}

enum rc
client_read(struct client *c)
{
	for (;;) {
		size_t room = buf_left(&c->in);
		char *to = room > 0 ? buf_room(&c->in, room) : NULL;
		ssize_t n;

		if (to == NULL)
			return RC_TEMP;
		n = read(c->io.fd, to, room);
		if (n == 0)
			return RC_NONE;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? RC_OK : RC_TEMP;
		buf_added(&c->in, (size_t)n);
	}
}

enum rc
client_write(struct client *c)
{
	while (c->out.n > 0) {
		struct str s = buf_view(&c->out);
		ssize_t n = write(c->io.fd, s.p, s.n);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? RC_MORE : RC_TEMP;
		buf_consume(&c->out, (size_t)n);
	}
	return RC_OK;
}
