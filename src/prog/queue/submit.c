/* Submission channels: queue ids granted, stage files lent, messages put, and whether the
 * disk takes mail at all.
 *
 * A put that was taken is a waiter until its commit is over; the submitter may be gone by
 * then, the message stays all the same. Limits: what a submitter may have lent or
 * waiting. */
#include <stdlib.h>
#include <string.h>
#include "prog/queue/queue.h"

#define IDS_AT_ONCE  1000
#define GRANTS_MAX   1000 /* to one submitter between two looks */
#define LENT_MAX     4000
#define WAITING_MAX  20000
#define LOOK_US      US_PER_SEC
#define PATIENCE_US  (2 * US_PER_SEC)
#define TEXT_FAILED  "4.3.0 Error: queue file write error" /* compat */
#define TEXT_NO_ROOM "4.3.1 Insufficient system storage"   /* compat */

struct lent {
	struct hmap_node by_number;
	uint32_t number;
};

struct submitter {
	struct list in_queue;
	struct queue *q;
	struct ipc_channel *ch;
	uint32_t instance; /* which process it is */
	struct hmap lent;
	size_t n_waiting;
	uint32_t n_granted; /* since the last look: nobody gets all there are */
	bool wants_ids;     /* asked, and none could be granted yet */
	bool may_settle;    /* bounce: its puts may be notifications of a job */
};

struct waiter {
	struct hmap_node by_cookie;
	uint64_t cookie;
	struct submitter *s; /* NULL: gone */
	uint32_t request, job;
	bool is_held, is_refused;
};

/* ---- the state of the disk ---- */

static void
tell_state(struct submitter *s)
{
	struct wire_state m = { .can_store = s->q->can_store,
		.free_bytes = s->q->free_bytes,
		.reason = str_c(s->q->why_not) };

	ipc_send_state(s->ch, &m);
}

void
submit_state(struct queue *q)
{
	struct spool_totals t = { 0 };
	uint64_t before = q->free_bytes, now;
	bool could = q->can_store;

	now = spool_free_bytes(q->spool);
	spool_get_totals(q->spool, &t);
	if (!t.can_put && now > 0) {
		/* Space may be back. */
		spool_retry(q->spool);
		commit_wake(q);
		spool_get_totals(q->spool, &t);
	}
	q->can_store = t.can_put && !q->is_stopping;
	q->why_not = "";
	if (!t.can_put) {
		q->why_not = t.why_not.n > 0 ? t.why_not.p : "the spool refuses mail";
	} else if (q->trouble_since_us != 0 &&
		   loop_now_us(q->w.loop) - q->trouble_since_us >= PATIENCE_US) {
		q->can_store = false;
		q->why_not = "the disk fails";
	}
	if (q->can_store && now < (uint64_t)q->conf.queue_minfree_bytes) {
		q->can_store = false;
		q->why_not = "not enough free space in mail queue (queue_minfree)";
	}
	if (could && !q->can_store && !q->is_stopping)
		log_warn(
		    q->log, "%s: %llu bytes free", q->why_not, (unsigned long long)now);
	if (!could && q->can_store)
		log_info(q->log, "mail can be stored: %llu bytes free",
		    (unsigned long long)now);
	if (could == q->can_store && now / 16 * 15 <= before && before / 16 * 15 <= now)
		return;
	q->free_bytes = now;
	LIST_EACH (it, &q->submitters)
		tell_state(CONTAINER_OF(it, struct submitter, in_queue));
}

static void
state_look(void *arg)
{
	struct queue *q = arg;

	if (q->trouble_since_us != 0 &&
	    loop_now_us(q->w.loop) - q->trouble_since_us >= PATIENCE_US)
		submit_refuse_waiting(q);
	submit_state(q);
	LIST_EACH (it, &q->submitters)
		CONTAINER_OF(it, struct submitter, in_queue)->n_granted = 0;
	submit_grant_waiting(q);
	/* What a failing disk did not take is offered again. */
	if (!list_is_empty(&q->dirty))
		commit_wake(q);
	loop_timer_set(q->w.loop, &q->state_timer, loop_now_us(q->w.loop) + LOOK_US);
}

/* ---- ids ---- */

static void
grant(struct submitter *s)
{
	struct wire_ids m = { .count = IDS_AT_ONCE };
	struct err e = { 0 };

	/* It asks once: what cannot be granted now is granted after a commit. */
	s->wants_ids = true;
	if (s->n_granted >= GRANTS_MAX)
		return;
	if (spool_grant_ids(s->q->spool, m.count, &m.first, &e) == RC_OK) {
		s->wants_ids = false;
		s->n_granted++;
		ipc_send_ids(s->ch, &m);
	}
	commit_wake(s->q);
}

void
submit_grant_waiting(struct queue *q)
{
	LIST_EACH (it, &q->submitters) {
		struct submitter *s = CONTAINER_OF(it, struct submitter, in_queue);

		if (s->wants_ids)
			grant(s);
	}
}

static void
on_ids_want(void *arg, const struct wire_ids_want *m)
{
	struct submitter *s = arg;

	(void)m;
	grant(s);
}

/* ---- stage files ---- */

static struct lent *
lent_find(struct submitter *s, uint32_t number)
{
	struct hmap_node *n = hmap_first(&s->lent, hmap_hash_u64(&s->lent, number));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct lent, by_number)->number == number)
			return CONTAINER_OF(n, struct lent, by_number);
	return NULL;
}

/* No longer the submitter's, whoever has it now. */
static bool
lent_forget(struct submitter *s, uint32_t number)
{
	struct lent *l = lent_find(s, number);

	if (l == NULL)
		return false;
	hmap_remove(&s->lent, &l->by_number);
	free(l);
	return true;
}

static void
on_stage_open(void *arg, const struct wire_stage_open *in)
{
	struct submitter *s = arg;
	struct wire_stage m = { .request = in->request, .file = -1 };
	struct err e = { 0 };
	struct lent *l;
	enum rc rc;

	if (s->lent.n >= LENT_MAX || !s->q->can_store)
		rc = err_set(&e, RC_TEMP, "too many large messages are open");
	else
		rc = spool_stage_open(s->q->spool, &m.number, &m.file, &e);
	m.rc = (uint8_t)rc;
	if (rc != RC_OK) {
		m.file = -1;
		m.text = str_c(e.text);
		log_warn(s->q->log, "stage file: %s", e.text);
	} else {
		l = mem_get(sizeof(*l));
		l->number = m.number;
		hmap_put(&s->lent, hmap_hash_u64(&s->lent, m.number), &l->by_number);
	}
	ipc_send_stage(s->ch, &m);
}

static void
on_stage_drop(void *arg, const struct wire_stage_drop *m)
{
	struct submitter *s = arg;

	if (lent_forget(s, m->number))
		spool_stage_drop(s->q->spool, m->number);
}

/* ---- puts ---- */

static void
answer(struct submitter *s, uint32_t request, enum rc rc, const char *text)
{
	struct wire_put_done m = {
		.request = request, .rc = (uint8_t)rc, .text = str_c(text)
	};

	ipc_send_put_done(s->ch, &m);
}

static void
message_of(const struct wire_put *in, struct arena *mem, struct spool_message *out)
{
	struct spool_rcpt *v = arena_array(mem, in->n_rcpts, sizeof(*v));

	for (size_t i = 0; i < in->n_rcpts; i++)
		v[i] = (struct spool_rcpt){ .address = in->rcpts[i].address,
			.orig = in->rcpts[i].orig,
			.orcpt = in->rcpts[i].orcpt,
			.notify = in->rcpts[i].notify };
	*out = (struct spool_message){ .number = in->id,
		.is_long = in->is_long,
		.is_held = in->hold,
		.arrival_us = in->arrival_us,
		.sender = in->sender,
		.envid = in->envid,
		.ret = in->ret,
		/* Probes are ours alone: what else claims to be one must not fill the
		 * verification cache. */
		.facts = in->facts & ~(uint32_t)MESSAGE_IS_PROBE,
		.origin = in->origin,
		.client_name = in->client_name,
		.client_addr = in->client_addr,
		.client_port = in->client_port,
		.client_proto = in->client_proto,
		.client_helo = in->client_helo,
		.filter = in->filter,
		.verp = in->verp,
		.rcpts = v,
		.n_rcpts = in->n_rcpts,
		.size_bytes = in->size,
		.content = in->content,
		.stage = in->stage,
		.stage_crc = in->stage_crc };
}

static void
refuse(struct submitter *s, const struct wire_put *in, const char *text)
{
	/* The stage file was given with the put; the submitter does not ask for it again.
	 */
	if (in->stage != 0 && lent_forget(s, in->stage))
		spool_stage_drop(s->q->spool, in->stage);
	answer(s, in->request, RC_TEMP, text);
}

static void
on_put(void *arg, const struct wire_put *in)
{
	struct submitter *s = arg;
	struct queue *q = s->q;
	struct spool_message m;
	struct waiter *w;
	struct err e = { 0 };
	enum rc rc;

	if (!q->can_store) {
		refuse(s, in, TEXT_NO_ROOM);
		return;
	}
	if (s->n_waiting >= WAITING_MAX || in->n_rcpts == 0 ||
	    (in->stage != 0 && lent_find(s, in->stage) == NULL)) {
		refuse(s, in, TEXT_FAILED);
		return;
	}
	arena_reset(q->scratch);
	message_of(in, q->scratch, &m);
	rc = spool_put(q->spool, &m, q->next_cookie, &e);
	if (rc != RC_OK) {
		log_warn(q->log, "message from %.*s: %s", STR_ARG(in->origin), e.text);
		refuse(s, in, TEXT_FAILED);
		return;
	}
	w = mem_get(sizeof(*w));
	w->cookie = q->next_cookie++;
	w->s = s;
	w->request = in->request;
	w->job = s->may_settle ? in->job : 0;
	w->is_held = in->hold;
	hmap_put(&q->waiters, hmap_hash_u64(&q->waiters, w->cookie), &w->by_cookie);
	s->n_waiting++;
	if (in->stage != 0)
		(void)lent_forget(s, in->stage);
	commit_wake(q);
}

enum rc
submit_own(struct queue *q, const struct spool_message *m, struct err *e)
{
	struct waiter *w;
	enum rc rc = spool_put(q->spool, m, q->next_cookie, e);

	if (rc != RC_OK)
		return rc;
	w = mem_get(sizeof(*w));
	w->cookie = q->next_cookie++;
	hmap_put(&q->waiters, hmap_hash_u64(&q->waiters, w->cookie), &w->by_cookie);
	commit_wake(q);
	return RC_OK;
}

static struct waiter *
waiter_take(struct queue *q, uint64_t cookie)
{
	struct hmap_node *n = hmap_first(&q->waiters, hmap_hash_u64(&q->waiters, cookie));

	for (; n != NULL; n = hmap_more(n)) {
		struct waiter *w = CONTAINER_OF(n, struct waiter, by_cookie);

		if (w->cookie != cookie)
			continue;
		hmap_remove(&q->waiters, n);
		return w;
	}
	return NULL;
}

void
submit_refuse_waiting(struct queue *q)
{
	struct hmap_node *n = NULL;
	size_t at = 0;

	while ((n = hmap_walk(&q->waiters, &at, n)) != NULL) {
		struct waiter *w = CONTAINER_OF(n, struct waiter, by_cookie);

		if (w->is_refused)
			continue;
		w->is_refused = true;
		if (w->s != NULL)
			answer(w->s, w->request, RC_TEMP, TEXT_FAILED);
	}
}

/* It was stored after its sender had heard that it was not. */
static void
take_back(struct queue *q, uint64_t number)
{
	struct err e = { 0 };

	if (spool_delete(q->spool, number, &e) == RC_TEMP)
		log_warn(
		    q->log, "a message that was refused may be delivered: %s", e.text);
	commit_wake(q);
}

void
submit_outcome(struct queue *q, const struct spool_outcome *o)
{
	struct waiter *w = waiter_take(q, o->cookie);

	if (w == NULL)
		return;
	if (w->s != NULL) {
		w->s->n_waiting--;
		if (!w->is_refused)
			answer(
			    w->s, w->request, o->rc, o->rc == RC_OK ? "" : TEXT_FAILED);
	}
	if (o->rc == RC_OK && w->is_refused) {
		take_back(q, o->number);
	} else if (o->rc == RC_OK) {
		if (w->job != 0)
			dispatch_durable(q, w->job);
		if (!w->is_held)
			activate_fresh(q, o->number, false);
	}
	free(w);
}

/* ---- addresses and destinations ---- */

void
submit_verified(struct submitter *s, uint32_t request, enum rc rc, struct str value)
{
	struct wire_verified m = {
		.request = request, .rc = (uint8_t)rc, .value = value
	};

	ipc_send_verified(s->ch, &m);
}

static void
on_verify(void *arg, const struct wire_verify *m)
{
	struct submitter *s = arg;

	verify_ask(s->q, s, m);
}

void
submit_site_flushed(struct submitter *s, uint32_t request, enum rc rc)
{
	struct wire_flush_site_done m = { .request = request, .rc = (uint8_t)rc };

	ipc_send_flush_site_done(s->ch, &m);
}

static void
on_flush_site(void *arg, const struct wire_flush_site *m)
{
	struct submitter *s = arg;

	site_flush(s->q, &(struct site_asker){ .submitter = s, .request = m->request },
	    m->domain);
}

/* ---- channels ---- */

static void
submitter_free(struct submitter *s)
{
	struct hmap_node *n = NULL;
	size_t at = 0;

	while ((n = hmap_drain(&s->lent)) != NULL) {
		struct lent *l = CONTAINER_OF(n, struct lent, by_number);

		spool_stage_drop(s->q->spool, l->number);
		free(l);
	}
	hmap_fini(&s->lent);
	n = NULL;
	while ((n = hmap_walk(&s->q->waiters, &at, n)) != NULL) {
		struct waiter *w = CONTAINER_OF(n, struct waiter, by_cookie);

		if (w->s == s)
			w->s = NULL;
	}
	verify_forget(s->q, s);
	site_forget(s->q, s);
	list_remove(&s->in_queue);
	ipc_channel_free(&s->ch);
	free(s);
}

static void
on_close(void *arg, const char *why)
{
	struct submitter *s = arg;

	if (why != NULL)
		log_warn(s->q->log, "submission channel: %s", why);
	submitter_free(s);
}

static const struct ipc_handlers handlers = {
	.on_ids_want = on_ids_want,
	.on_stage_open = on_stage_open,
	.on_stage_drop = on_stage_drop,
	.on_put = on_put,
	.on_verify = on_verify,
	.on_flush_site = on_flush_site,
};

/* A process has one channel, whatever it asks master for. */
static void
replace(struct queue *q, uint32_t instance)
{
	LIST_EACH_SAFE (it, next, &q->submitters) {
		struct submitter *s = CONTAINER_OF(it, struct submitter, in_queue);

		if (s->instance == instance)
			submitter_free(s);
	}
}

void
submit_attach(struct queue *q, const char *role, uint32_t instance, int fd)
{
	struct submitter *s = mem_get(sizeof(*s));
	struct ipc_channel_conf conf = { .me = WIRE_QUEUE,
		.peer = WIRE_SUBMITTER,
		.on = &handlers,
		.on_close = on_close,
		.refuses_fds = true,
		.arg = s };

	replace(q, instance);
	s->q = q;
	s->instance = instance;
	s->may_settle = strcmp(role, "bounce") == 0;
	hmap_init(&s->lent, q->seed);
	s->ch = ipc_channel_new(q->w.loop, fd, &conf);
	list_add_tail(&q->submitters, &s->in_queue);
	tell_state(s);
	grant(s);
}

void
submit_init(struct queue *q)
{
	list_init(&q->submitters);
	hmap_init(&q->waiters, q->seed);
	q->next_cookie = 1;
	q->why_not = "";
	/* Quiet at the start when all is well. */
	q->can_store = true;
	q->free_bytes = 0;
	loop_timer_init(&q->state_timer, state_look, q);
	state_look(q);
}
