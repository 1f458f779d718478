/* The scheduler: messages in, entries out, what came of them back in. Where an entry may
 * be and when a destination is ready: README.md. Feedback is in window.c, overtaking in
 * preempt.c, destinations and transports in dest.c. */
#include <assert.h>
#include <stdlib.h>
#include "sched/sched_int.h"

/* A job frame holds no more, whatever the configuration says. */
#define RECIPIENTS_MAX 1000

/* ---- entries ---- */

static struct entry *
entry_new(struct sched_job *job, struct sched_dest *d, uint32_t ordinal)
{
	struct entry *e = mem_get(sizeof(*e));

	e->job = job;
	e->dest = d;
	e->ordinal = ordinal;
	e->rcpts = &e->one;
	e->cap = 1;
	e->pub.user = job->msg->user;
	e->pub.transport = d->transport;
	e->pub.nexthop = d->nexthop;
	list_init(&e->in_dest);
	list_add_tail(&job->entries, &e->in_job);
	job->n_total++;
	job->n_waiting++;
	job->msg->n_waiting++;
	job->msg->s->n_waiting++;
	sched_entry_insert(e);
	d->n_todo++;
	if (d->state == DEST_DEAD || d->transport->is_dead)
		sched_entry_to_defer(e);
	sched_dest_update(d);
	return e;
}

static void
entry_add(struct entry *e, uint32_t index)
{
	if (e->pub.n_rcpt == e->cap) {
		uint32_t cap = e->cap < 8 ? 8 : e->cap * 2;
		uint32_t *v =
		    mem_grow(e->rcpts == &e->one ? NULL : e->rcpts, cap, sizeof(*v));

		if (e->rcpts == &e->one)
			v[0] = e->one;
		e->rcpts = v;
		e->cap = cap;
	}
	e->rcpts[e->pub.n_rcpt++] = index;
	e->pub.rcpts = e->rcpts;
}

static void
entry_free(struct entry *e)
{
	if (e->rcpts != &e->one)
		free(e->rcpts);
	free(e);
}

/* It leaves the lists of those that wait. */
static void
entry_take(struct entry *e)
{
	struct sched_job *job = e->job;

	list_remove(&e->in_dest);
	list_remove(&e->in_job);
	job->n_waiting--;
	job->msg->n_waiting--;
	job->msg->s->n_waiting--;
	if (job->n_waiting == 0)
		sched_job_forget(job);
}

/* ---- messages ---- */

struct sched_msg *
sched_msg_new(struct sched *s, void *user, int64_t now_us)
{
	struct sched_msg *m = mem_get(sizeof(*m));

	m->s = s;
	m->user = user;
	m->since_us = now_us;
	list_init(&m->jobs);
	s->n_msg++;
	return m;
}

static struct sched_job *
job_get(struct sched_msg *m, struct sched_transport *t)
{
	struct sched_job *job;

	LIST_EACH (it, &m->jobs) {
		job = CONTAINER_OF(it, struct sched_job, in_msg);
		if (job->transport == t)
			return job;
	}
	job = mem_get(sizeof(*job));
	job->msg = m;
	job->transport = t;
	job->order = ++t->order_last;
	list_init(&job->entries);
	list_init(&job->in_transport);
	list_add_tail(&m->jobs, &job->in_msg);
	return job;
}

/* The entry this recipient may join: the job's last one at that destination, if it has
 * room. */
static struct entry *
entry_for(struct sched_job *job, struct sched_dest *d, uint32_t limit)
{
	uint32_t ordinal = 0;
	struct entry *last;

	if (d->n_todo > 0) {
		last = CONTAINER_OF(d->todo.prev, struct entry, in_dest);
		if (last->job == job) {
			if (last->pub.n_rcpt < limit)
				return last;
			ordinal = last->ordinal + 1;
		}
	}
	return entry_new(job, d, ordinal);
}

void
sched_msg_add(struct sched_msg *m, const struct sched_rcpt *rcpts, size_t n, bool is_last)
{
	for (size_t i = 0; i < n; i++) {
		const struct sched_rcpt *r = &rcpts[i];
		struct sched_job *job = job_get(m, r->transport);
		int limit = r->transport->conf.recipient_limit;

		if (limit <= 0 || limit > RECIPIENTS_MAX)
			limit = RECIPIENTS_MAX;
		if (r->is_alone)
			limit = 1;
		if (job->n_waiting == 0)
			sched_job_insert(job);
		entry_add(entry_for(job, sched_dest_get(r), (uint32_t)limit), r->index);
	}
	m->is_complete = is_last;
}

void
sched_msg_withdraw(struct sched_msg *m)
{
	LIST_EACH (j, &m->jobs) {
		struct sched_job *job = CONTAINER_OF(j, struct sched_job, in_msg);

		LIST_EACH_SAFE (it, next, &job->entries) {
			struct entry *e = CONTAINER_OF(it, struct entry, in_job);
			struct sched_dest *d = e->dest;

			if (e->pub.what == SCHED_DEFER)
				d->n_defer--;
			else
				d->n_todo--;
			entry_take(e);
			entry_free(e);
			sched_dest_update(d);
		}
	}
}

size_t
sched_msg_busy(const struct sched_msg *m)
{
	return m->n_busy;
}

size_t
sched_msg_waiting(const struct sched_msg *m)
{
	return m->n_waiting;
}

void
sched_msg_free(struct sched_msg **m)
{
	struct list *first;

	if (*m == NULL)
		return;
	assert((*m)->n_busy == 0);
	sched_msg_withdraw(*m);
	while ((first = list_first(&(*m)->jobs)) != NULL) {
		struct sched_job *job = CONTAINER_OF(first, struct sched_job, in_msg);

		list_remove(first);
		sched_job_forget(job);
		free(job);
	}
	(*m)->s->n_msg--;
	free(*m);
	*m = NULL;
}

/* ---- entries out and back ---- */

static void
wake_up(struct sched *s, int64_t now_us)
{
	struct heap_node *top;

	while ((top = heap_min(&s->wake)) != NULL && top->key <= now_us) {
		struct wake *w = CONTAINER_OF(top, struct wake, node);

		heap_remove(&s->wake, top);
		switch (w->kind) {
		case WAKE_DESTINATION:
			sched_dest_revive(CONTAINER_OF(w, struct sched_dest, wake));
			break;
		case WAKE_TRANSPORT_DEAD:
			sched_transport_revive(
			    CONTAINER_OF(w, struct sched_transport, dead));
			break;
		case WAKE_TRANSPORT_DELAY:
			CONTAINER_OF(w, struct sched_transport, delay)->is_delayed =
			    false;
			break;
		}
	}
}

/* Its destination came back to life before it was handed out. */
static bool
entry_is_saved(struct entry *e)
{
	if (e->dest->state == DEST_DEAD || e->dest->transport->is_dead)
		return false;
	list_remove(&e->in_dest);
	e->pub.what = SCHED_DELIVER;
	e->dest->n_defer--;
	e->dest->n_todo++;
	sched_entry_insert(e);
	sched_dest_update(e->dest);
	return true;
}

static const struct sched_entry *
next_deferred(struct sched *s)
{
	const struct verdict_text *why;
	struct list *first;
	struct entry *e;

	do {
		first = list_first(&s->defer);
		if (first == NULL)
			return NULL;
		e = CONTAINER_OF(first, struct entry, in_dest);
	} while (entry_is_saved(e));
	entry_take(e);
	why = e->dest->state == DEST_DEAD ? &e->dest->why : &e->dest->transport->why;
	e->pub.is_transport = why == &e->dest->transport->why;
	e->pub.dsn = str_c(why->dsn);
	e->pub.reason = str_c(why->reason);
	e->job->msg->n_busy++;
	return &e->pub;
}

static const struct sched_entry *
next_of(struct sched_transport *t, int64_t now_us)
{
	struct sched_dest *d;
	struct entry *e;

	if (t->is_dead || t->is_delayed || heap_min(&t->ready) == NULL ||
	    (t->conf.busy_limit > 0 && t->n_busy >= (size_t)t->conf.busy_limit))
		return NULL;
	sched_preempt(t, now_us);
	d = CONTAINER_OF(heap_min(&t->ready), struct sched_dest, ready);
	e = CONTAINER_OF(d->todo.next, struct entry, in_dest);
	e->job->n_selected++;
	entry_take(e);
	d->n_todo--;
	d->n_busy++;
	t->n_busy++;
	t->s->n_busy++;
	e->job->msg->n_busy++;
	sched_dest_update(d);
	if (t->conf.transport_delay_us > 0) {
		t->is_delayed = true;
		heap_put(
		    &t->s->wake, &t->delay.node, now_us + t->conf.transport_delay_us);
	}
	return &e->pub;
}

const struct sched_entry *
sched_next(struct sched *s, int64_t now_us)
{
	const struct sched_entry *e;

	wake_up(s, now_us);
	e = next_deferred(s);
	if (e != NULL)
		return e;
	LIST_EACH (it, &s->transports) {
		e = next_of(CONTAINER_OF(it, struct sched_transport, in_sched), now_us);
		if (e == NULL)
			continue;
		/* Transports take turns. */
		list_remove(it);
		list_add_tail(&s->transports, it);
		return e;
	}
	return NULL;
}

int64_t
sched_deadline(const struct sched *s)
{
	struct heap_node *top = heap_min(&s->wake);

	return top != NULL ? top->key : INT64_MAX;
}

static void
feed_back(struct sched_dest *d, const struct sched_verdict *v, int64_t now_us)
{
	switch (v->site) {
	case SCHED_SITE_OK:
		if (d->transport->is_dead)
			sched_transport_revive(d->transport);
		if (d->state == DEST_DEAD)
			sched_dest_revive(d);
		else
			sched_window_success(d);
		break;
	case SCHED_SITE_FAILED:
		if (d->state != DEST_DEAD && sched_window_failure(d))
			sched_dest_kill(d, v, now_us);
		break;
	case SCHED_SITE_TRANSPORT:
		sched_transport_kill(d->transport, v, now_us);
		break;
	case SCHED_SITE_UNKNOWN:
		break;
	}
}

void
sched_done(struct sched *s, const struct sched_entry *entry,
    const struct sched_verdict *verdict, int64_t now_us)
{
	struct entry *e = (struct entry *)(uintptr_t)entry; /* pub is its first member */
	struct sched_dest *d = e->dest;
	const struct sched_conf *c = &d->transport->conf;

	e->job->msg->n_busy--;
	if (entry->what == SCHED_DEFER) {
		d->n_defer--;
		entry_free(e);
		sched_dest_update(d);
		return;
	}
	if (verdict != NULL)
		feed_back(d, verdict, now_us);
	/* After the feedback: it counts this delivery as one of those that are open. */
	d->n_busy--;
	d->transport->n_busy--;
	s->n_busy--;
	if (c->destination_delay_us > 0 && d->state == DEST_READY) {
		d->state = DEST_WAITING;
		d->window = 1;
		heap_put(&s->wake, &d->wake.node, now_us + c->destination_delay_us);
	}
	entry_free(e);
	sched_dest_update(d);
}

void
sched_revive(struct sched *s)
{
	struct heap again;
	struct heap_node *top;

	heap_init(&again);
	while ((top = heap_min(&s->wake)) != NULL) {
		struct wake *w = CONTAINER_OF(top, struct wake, node);
		int64_t at = top->key;

		heap_remove(&s->wake, top);
		if (w->kind == WAKE_TRANSPORT_DEAD)
			sched_transport_revive(
			    CONTAINER_OF(w, struct sched_transport, dead));
		else if (w->kind == WAKE_DESTINATION &&
			 CONTAINER_OF(w, struct sched_dest, wake)->state == DEST_DEAD)
			sched_dest_revive(CONTAINER_OF(w, struct sched_dest, wake));
		else
			heap_put(&again, top, at);
	}
	heap_fini(&s->wake);
	s->wake = again;
}

/* ---- the scheduler itself ---- */

struct sched *
sched_new(const uint64_t seed[2])
{
	struct sched *s = mem_get(sizeof(*s));

	s->seed[0] = seed[0];
	s->seed[1] = seed[1];
	list_init(&s->transports);
	list_init(&s->defer);
	heap_init(&s->wake);
	return s;
}

void
sched_free(struct sched **s)
{
	struct list *first;

	if (*s == NULL)
		return;
	assert((*s)->n_msg == 0);
	while ((first = list_first(&(*s)->transports)) != NULL) {
		list_remove(first);
		sched_transport_free(
		    CONTAINER_OF(first, struct sched_transport, in_sched));
	}
	heap_fini(&(*s)->wake);
	free(*s);
	*s = NULL;
}

struct sched_stats
sched_stats(const struct sched *s)
{
	return (struct sched_stats){ s->n_msg, s->n_transport, s->n_dest, s->n_waiting,
		s->n_busy };
}
