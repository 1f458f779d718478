/* Destinations and transports: who exists, who is ready, who is dead. Where an entry may
 * be and when a destination is ready: README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sched/sched_int.h"

/* Turns a destination can have within one job before turns stop to count. */
#define TURN_BITS 20

/* ---- what killed a destination or a transport ---- */

static void
verdict_keep(struct verdict_text *why, const struct sched_verdict *v)
{
	size_t n = v->reason.n;

	(void)snprintf(why->dsn, sizeof(why->dsn), "%.*s", STR_ARG(v->dsn));
	free(why->reason);
	why->reason = mem_get(n + 1);
	if (n > 0)
		memcpy(why->reason, v->reason.p, n);
}

/* ---- destinations ---- */

static int64_t
heap_key(const struct entry *e)
{
	const uint32_t last = (UINT32_C(1) << TURN_BITS) - 1;

	return e->job->order * (INT64_C(1) << TURN_BITS) +
	       (int64_t)(e->ordinal < last ? e->ordinal : last);
}

static void
dest_free(struct sched_dest *d)
{
	struct sched *s = d->transport->s;

	heap_remove(&d->transport->ready, &d->ready);
	heap_remove(&s->wake, &d->wake.node);
	hmap_remove(&d->transport->dests, &d->by_key);
	free(d->why.reason);
	free(d);
	s->n_dest--;
}

void
sched_dest_update(struct sched_dest *d)
{
	struct sched_transport *t = d->transport;

	if (d->n_todo + d->n_busy + d->n_defer == 0 && d->state == DEST_READY) {
		dest_free(d);
		return;
	}
	if (d->state != DEST_READY || d->n_todo == 0 || d->n_busy >= (size_t)d->window)
		heap_remove(&t->ready, &d->ready);
	else
		heap_put(&t->ready, &d->ready,
		    heap_key(CONTAINER_OF(d->todo.next, struct entry, in_dest)));
}

static int
window_initial(const struct sched_conf *c)
{
	int n = c->concurrency_initial > 0 ? c->concurrency_initial : 1;

	/* A rate delay means one delivery at a time. */
	if (c->destination_delay_us > 0)
		return 1;
	return c->concurrency_limit > 0 && n > c->concurrency_limit ? c->concurrency_limit
								    : n;
}

/* The name under which recipients share a window: the next hop, or with recipient_limit 1
 * the address too. Lower case. */
static struct str
dest_key(const struct sched_rcpt *r, char *space, size_t size)
{
	int n;

	if (r->transport->conf.recipient_limit == 1)
		n = snprintf(
		    space, size, "%.*s@%.*s", STR_ARG(r->address), STR_ARG(r->nexthop));
	else
		n = snprintf(space, size, "%.*s", STR_ARG(r->nexthop));
	if (n < 0)
		n = 0;
	if ((size_t)n >= size)
		n = (int)size - 1;
	for (int i = 0; i < n; i++)
		space[i] = ascii_lower(space[i]);
	return str_n(space, (size_t)n);
}

static struct sched_dest *
dest_find(const struct sched_transport *t, struct str key)
{
	struct hmap_node *node = hmap_first(&t->dests, hmap_hash(&t->dests, key));

	for (; node != NULL; node = hmap_more(node)) {
		struct sched_dest *d = CONTAINER_OF(node, struct sched_dest, by_key);

		if (str_eq(d->key, key))
			return d;
	}
	return NULL;
}

struct sched_dest *
sched_dest_get(const struct sched_rcpt *r)
{
	struct sched_transport *t = r->transport;
	char space[4096], *at;
	struct str key = dest_key(r, space, sizeof(space));
	struct sched_dest *d = dest_find(t, key);

	if (d != NULL)
		return d;
	d = mem_get(sizeof(*d) + key.n + r->nexthop.n + 1);
	at = (char *)(d + 1);
	memcpy(at, key.p, key.n);
	d->key = str_n(at, key.n);
	if (r->nexthop.n > 0)
		memcpy(at + key.n, r->nexthop.p, r->nexthop.n);
	d->nexthop = str_n(at + key.n, r->nexthop.n);
	d->transport = t;
	d->wake.kind = WAKE_DESTINATION;
	d->window = window_initial(&t->conf);
	list_init(&d->todo);
	hmap_put(&t->dests, hmap_hash(&t->dests, key), &d->by_key);
	t->s->n_dest++;
	return d;
}

void
sched_dest_revive(struct sched_dest *d)
{
	if (d->state == DEST_DEAD) {
		d->window = window_initial(&d->transport->conf);
		d->success = d->failure = d->fail_cohorts = 0;
	}
	d->state = DEST_READY;
	heap_remove(&d->transport->s->wake, &d->wake.node);
	sched_dest_update(d);
}

/* ---- what waits at a destination ---- */

/* By job order. New mail goes to the tail; refilled or overtaking mail is near the head.
 */
void
sched_entry_insert(struct entry *e)
{
	struct list *todo = &e->dest->todo, *at = todo;

	if (!list_is_empty(todo) &&
	    CONTAINER_OF(todo->prev, struct entry, in_dest)->job->order > e->job->order)
		for (at = todo->next; at != todo; at = at->next)
			if (CONTAINER_OF(at, struct entry, in_dest)->job->order >
			    e->job->order)
				break;
	list_insert_before(at, &e->in_dest);
}

/* Dead: what waits is handed out to be deferred. */
void
sched_entry_to_defer(struct entry *e)
{
	struct sched *s = e->job->msg->s;

	list_remove(&e->in_dest);
	list_add_tail(&s->defer, &e->in_dest);
	e->pub.what = SCHED_DEFER;
	e->dest->n_todo--;
	e->dest->n_defer++;
}

static void
dest_defer_all(struct sched_dest *d)
{
	LIST_EACH_SAFE (it, next, &d->todo)
		sched_entry_to_defer(CONTAINER_OF(it, struct entry, in_dest));
	sched_dest_update(d);
}

void
sched_dest_kill(struct sched_dest *d, const struct sched_verdict *v, int64_t now_us)
{
	d->state = DEST_DEAD;
	verdict_keep(&d->why, v);
	heap_put(
	    &d->transport->s->wake, &d->wake.node, now_us + d->transport->conf.dead_us);
	dest_defer_all(d);
}

/* ---- transports ---- */

struct sched_transport *
sched_transport(struct sched *s, struct str name, const struct sched_conf *conf)
{
	struct sched_transport *t;
	char *at;

	LIST_EACH (it, &s->transports) {
		t = CONTAINER_OF(it, struct sched_transport, in_sched);
		if (!str_eq(t->name, name))
			continue;
		if (conf != NULL)
			t->conf = *conf;
		return t;
	}
	if (conf == NULL)
		return NULL;
	t = mem_get(sizeof(*t) + name.n + 1);
	at = (char *)(t + 1);
	memcpy(at, name.p, name.n);
	t->name = str_n(at, name.n);
	t->s = s;
	t->conf = *conf;
	t->dead.kind = WAKE_TRANSPORT_DEAD;
	t->delay.kind = WAKE_TRANSPORT_DELAY;
	hmap_init(&t->dests, s->seed);
	heap_init(&t->ready);
	list_init(&t->jobs);
	list_add_tail(&s->transports, &t->in_sched);
	s->n_transport++;
	return t;
}

struct str
sched_transport_name(const struct sched_transport *t)
{
	return t->name;
}

void
sched_transport_kill(
    struct sched_transport *t, const struct sched_verdict *v, int64_t now_us)
{
	struct hmap_node *node = NULL;
	size_t at = 0;

	if (t->is_dead)
		return;
	t->is_dead = true;
	verdict_keep(&t->why, v);
	heap_put(&t->s->wake, &t->dead.node, now_us + t->conf.retry_us);
	while ((node = hmap_walk(&t->dests, &at, node)) != NULL) {
		struct sched_dest *d = CONTAINER_OF(node, struct sched_dest, by_key);

		LIST_EACH_SAFE (it, next, &d->todo)
			sched_entry_to_defer(CONTAINER_OF(it, struct entry, in_dest));
		/* Not sched_dest_update(): the table must not change under the walk. */
		heap_remove(&t->ready, &d->ready);
	}
}

void
sched_transport_revive(struct sched_transport *t)
{
	t->is_dead = false;
	heap_remove(&t->s->wake, &t->dead.node);
}

void
sched_transport_free(struct sched_transport *t)
{
	struct hmap_node *node;

	while ((node = hmap_drain(&t->dests)) != NULL) {
		struct sched_dest *d = CONTAINER_OF(node, struct sched_dest, by_key);

		free(d->why.reason);
		free(d);
	}
	hmap_fini(&t->dests);
	heap_fini(&t->ready);
	free(t->why.reason);
	free(t);
}

int
sched_window(struct sched *s, const struct sched_transport *t, struct str nexthop)
{
	struct sched_dest *d = dest_find(t, nexthop);

	(void)s;
	if (d == NULL)
		return -1;
	return d->state == DEST_DEAD ? 0 : d->window;
}
