/* From the scheduler to delivery agents and back. An agent is a worker process at the
 * other end of a delivery channel; which one gets a job depends on the next hop, so that
 * connections can be used again. A job whose agents are all away (a restart takes a
 * moment) is parked.
 *
 * Invariant: every open job is in queue.jobs, in its message's list, and either in its
 * agent's list or parked; it ends exactly once, by a result, the agent's death, or lack
 * of an agent. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/delivery.h"
#include "os/random.h"
#include "prog/queue/queue.h"

#define PER_ROUND   1000
#define PENDING_MAX ((size_t)8 << 20) /* bytes a slow agent may have waiting */
#define PARKED_US   (20 * US_PER_SEC)
#define UNEVEN_MAX                                                                       \
	32 /* jobs more than the idlest agent before the next hop's place yields */
#define TEXT_DIED      "unknown mail transport error"     /* compat */
#define TEXT_MISSING   "mail transport unavailable"       /* compat */
#define TEXT_SUSPENDED "delivery temporarily suspended: " /* compat */

/* ---- the end of jobs ---- */

/* The job is over; then the message looks what is next. */
static void
job_end(struct job *j, const struct sched_verdict *v, bool ok)
{
	struct queue *q = j->q;
	struct active *a = j->a;

	if (j->kind == JOB_DELIVER)
		sched_done(q->sched, j->entry, v, loop_now_us(q->w.loop));
	else if (!a->is_gone)
		results_notice(a, j, ok);
	queue_job_free(&j);
	results_check(a);
	dispatch_wake(q);
	queue_check_stop(q);
}

/* Recipients without an outcome are put off with this text. */
static void
put_off_rest(struct job *j, struct str dsn, struct str text)
{
	struct outcome o = { .what = DELIVERY_DEFERRED,
		.why = { .dsn = dsn, .text = text } };
	const uint32_t *v;
	size_t n;

	if (j->kind != JOB_DELIVER || j->a->is_gone)
		return;
	v = queue_job_rcpts(j, &n);
	for (size_t i = 0; i < n; i++) {
		if (!j->a->rcpts[v[i]].is_open)
			continue;
		results_log(j->a, j->q->error_log, v[i], &o);
		results_note(j->a, v[i], &o);
	}
}

/* No agent took it, or the agent died with it. */
static void
job_fail(struct job *j, const char *text, enum sched_site site)
{
	struct sched_verdict v = { site, STR("4.3.0"), str_c(text) };

	put_off_rest(j, v.dsn, v.reason);
	job_end(j, &v, j->is_durable);
}

/* ---- choosing an agent ---- */

/* Rendezvous: of all agents of the role the one whose hash with the next hop is largest,
 * so that a new agent moves few next hops. Unless it is much busier than another. */
static struct agent *
agent_for(struct queue *q, const char *role, struct str nexthop)
{
	struct agent *best = NULL, *idlest = NULL;
	uint64_t best_score = 0, hop = hmap_hash(&q->jobs, nexthop);

	LIST_EACH (it, &q->agents) {
		struct agent *g = CONTAINER_OF(it, struct agent, in_queue);
		uint64_t score = hmap_hash_u64(&q->jobs, hop ^ g->instance);

		if (strcmp(g->role, role) != 0 || g->is_leaving ||
		    !ipc_channel_is_open(g->ch) ||
		    ipc_channel_pending(g->ch) > PENDING_MAX)
			continue;
		if (best == NULL || score > best_score) {
			best = g;
			best_score = score;
		}
		if (idlest == NULL || g->n_jobs < idlest->n_jobs)
			idlest = g;
	}
	if (best != NULL && best->n_jobs > idlest->n_jobs + UNEVEN_MAX)
		return idlest;
	return best;
}

/* ---- sending ---- */

static void
job_start(struct job *j)
{
	struct queue *q = j->q;
	struct agent *g;
	enum rc rc;

	if (j->a->is_gone) { /* deleted while it was parked */
		job_fail(j, TEXT_MISSING, SCHED_SITE_UNKNOWN);
		return;
	}
	if (j->t->role == NULL) {
		log_warn(q->log,
		    "connect to transport private/%s: No such file or directory",
		    j->t->name); /* compat */
		job_fail(j, TEXT_MISSING, SCHED_SITE_TRANSPORT);
		return;
	}
	g = agent_for(
	    q, j->t->role, j->kind == JOB_DELIVER ? j->entry->nexthop : j->a->l.m.sender);
	if (g == NULL) {
		list_remove(&j->in_agent);
		list_add_tail(&q->parked, &j->in_agent);
		return;
	}
	rc = queue_job_send(j, g);
	if (rc != RC_OK) {
		if (rc != RC_TEMP)
			log_warn(q->log, "%.*s: damaged; message set aside as corrupt",
			    STR_ARG(j->a->qid));
		j->a->is_gone |= rc != RC_TEMP;
		job_fail(j, "queue file read error", SCHED_SITE_UNKNOWN);
	}
}

static void
unpark(struct queue *q)
{
	struct list ready;
	struct list *first;

	list_init(&ready);
	while ((first = list_first(&q->parked)) != NULL) {
		list_remove(first);
		list_add_tail(&ready, first);
	}
	while ((first = list_first(&ready)) != NULL) {
		list_remove(first);
		job_start(CONTAINER_OF(first, struct job, in_agent));
	}
}

static void
parked_look(void *arg)
{
	struct queue *q = arg;
	int64_t now_us = loop_now_us(q->w.loop);

	LIST_EACH_SAFE (it, next, &q->parked) {
		struct job *j = CONTAINER_OF(it, struct job, in_agent);

		/* Ending one may park another at the tail, but takes out no other. */
		if (now_us - j->since_us >= PARKED_US)
			job_fail(j, TEXT_MISSING, SCHED_SITE_TRANSPORT);
	}
	loop_timer_set(q->w.loop, &q->parked_timer, now_us + US_PER_SEC);
}

/* ---- from the scheduler ---- */

static void
defer(struct queue *q, const struct sched_entry *e)
{
	struct active *a = e->user;
	struct outcome o = { .what = DELIVERY_DEFERRED };

	arena_reset(q->scratch);
	o.why.dsn = e->dsn;
	o.why.text = e->is_transport ? e->reason
				     : arena_printf(q->scratch, TEXT_SUSPENDED "%.*s",
					   STR_ARG(e->reason));
	if (o.why.text.n > SPOOL_TEXT_MAX)
		o.why.text.n = SPOOL_TEXT_MAX;
	for (uint32_t i = 0; i < e->n_rcpt && !a->is_gone; i++) {
		results_log(a, q->error_log, e->rcpts[i], &o);
		results_note(a, e->rcpts[i], &o);
	}
	sched_done(q->sched, e, NULL, loop_now_us(q->w.loop));
	results_check(a);
}

static void
pump(void *arg)
{
	struct queue *q = arg;
	const struct sched_entry *e;
	int64_t now_us = loop_now_us(q->w.loop);
	int n = 0;

	if (q->is_stopping)
		return;
	for (; n < PER_ROUND && (e = sched_next(q->sched, now_us)) != NULL; n++) {
		struct active *a = e->user;
		struct job *j;

		if (e->what == SCHED_DEFER) {
			defer(q, e);
			continue;
		}
		j = queue_job_new(a, JOB_DELIVER, transport_of(q, e->transport));
		j->entry = e;
		job_start(j);
	}
	if (n == PER_ROUND)
		dispatch_wake(q);
	else if (sched_deadline(q->sched) != INT64_MAX)
		loop_timer_set(q->w.loop, &q->dispatch_timer, sched_deadline(q->sched));
}

void
dispatch_wake(struct queue *q)
{
	loop_soon(q->w.loop, &q->dispatch_task);
}

void
dispatch_notice(struct active *a, enum fate_news news, uint32_t *rcpts, size_t n)
{
	struct queue *q = a->q;
	struct transport *t = transport_get(q, q->conf.bounce_service_name);
	struct job *j = queue_job_new(a, JOB_NOTICE, t);

	j->news = news;
	j->rcpts = rcpts;
	j->n_rcpts = n;
	job_start(j);
}

void
dispatch_durable(struct queue *q, uint32_t number)
{
	struct job *j = queue_job_find(q, number);

	if (j != NULL && j->kind == JOB_NOTICE)
		j->is_durable = true;
}

/* ---- results ---- */

static bool
job_has(const struct job *j, uint32_t index)
{
	const uint32_t *v;
	size_t n;

	v = queue_job_rcpts(j, &n);
	for (size_t i = 0; i < n; i++)
		if (v[i] == index)
			return true;
	return false;
}

static void
note_outcomes(struct job *j, const struct wire_result *m)
{
	for (size_t i = 0; i < m->n_outcomes; i++) {
		const struct wire_outcome *in = &m->outcomes[i];
		struct outcome o = { .what = in->what,
			.relay = in->relay,
			.why = { .dsn = in->dsn,
			    .text = in->text,
			    .mta = in->mta,
			    .diag = in->diag,
			    .diag_type = in->diag_type,
			    .action = in->action } };

		if (job_has(j, in->index) && j->a->rcpts[in->index].is_open)
			results_note(j->a, in->index, &o);
	}
}

static bool
notice_was_sent(const struct wire_result *m)
{
	for (size_t i = 0; i < m->n_outcomes; i++)
		if (m->outcomes[i].what != DELIVERY_SENT)
			return false;
	return true;
}

static void
on_result(void *arg, const struct wire_result *m)
{
	struct agent *g = arg;
	struct queue *q = g->q;
	struct job *j = queue_job_find(q, m->job);
	struct sched_verdict v = { SCHED_SITE_UNKNOWN, m->site_dsn, m->site_text };

	if (j == NULL || j->agent != g) {
		log_warn(q->log, "%s: result for a job it does not have", g->role);
		return;
	}
	if (m->site == DELIVERY_SITE_OK)
		v.site = SCHED_SITE_OK;
	else if (m->site == DELIVERY_SITE_DOWN)
		v.site = SCHED_SITE_FAILED;
	if (j->kind == JOB_DELIVER && !j->a->is_gone)
		note_outcomes(j, m);
	put_off_rest(j, STR("4.3.0"), STR(TEXT_DIED));
	job_end(j, &v, j->is_durable || notice_was_sent(m));
}

/* ---- agents ---- */

/* It left in order, without having begun these: they are as if they had never been given
 * to it. */
static void
take_back(struct agent *g)
{
	struct queue *q = g->q;

	LIST_EACH_SAFE (it, next, &g->jobs) {
		struct job *j = CONTAINER_OF(it, struct job, in_agent);

		if (j->kind != JOB_DELIVER)
			continue;
		j->agent = NULL;
		j->since_us = loop_now_us(q->w.loop);
		g->n_jobs--;
		list_remove(&j->in_agent);
		list_add_tail(&q->parked, &j->in_agent);
	}
	unpark(q);
}

static void
on_close(void *arg, const char *why)
{
	struct agent *g = arg;
	struct queue *q = g->q;
	struct list *first;

	list_remove(&g->in_queue);
	if (why == NULL && g->is_leaving)
		take_back(g);
	if (why != NULL)
		log_warn(q->log, "delivery channel to %s: %s", g->role, why);
	else if (g->n_jobs > 0)
		log_warn(q->log, "%s ended with %zu open deliveries", g->role, g->n_jobs);
	/* Only these deliveries suffer: the others of its kind go on, and master starts a
	 * new one. What killed it gets a pause before it is tried again. */
	while ((first = list_first(&g->jobs)) != NULL)
		job_fail(CONTAINER_OF(first, struct job, in_agent), TEXT_DIED,
		    SCHED_SITE_UNKNOWN);
	ipc_channel_free(&g->ch);
	free(g);
	queue_check_stop(q);
}

static void
on_room(void *arg)
{
	unpark(((struct agent *)arg)->q);
}

static void
on_leaving(void *arg, const struct wire_leaving *m)
{
	struct agent *g = arg;

	(void)m;
	g->is_leaving = true;
	agent_check_leaving(g);
}

static const struct ipc_handlers handlers = {
	.on_leaving = on_leaving,
	.on_result = on_result,
};

/* A process has one channel, whatever it asks master for. */
static void
replace(struct queue *q, uint32_t instance)
{
	LIST_EACH_SAFE (it, next, &q->agents) {
		struct agent *g = CONTAINER_OF(it, struct agent, in_queue);

		if (g->instance == instance) {
			on_close(g, NULL);
			return;
		}
	}
}

void
dispatch_attach(struct queue *q, const char *role, uint32_t instance, int fd)
{
	struct agent *g = mem_get(sizeof(*g));
	struct ipc_channel_conf conf = { .me = WIRE_QUEUE,
		.peer = WIRE_AGENT,
		.on = &handlers,
		.on_close = on_close,
		.on_room = on_room,
		.refuses_fds = true,
		.arg = g,
		.out_max = 4 * PENDING_MAX,
		.out_low = PENDING_MAX / 4 };

	replace(q, instance);
	g->q = q;
	g->instance = instance;
	(void)strncpy(g->role, role, sizeof(g->role) - 1);
	list_init(&g->jobs);
	list_add_tail(&q->agents, &g->in_queue);
	g->ch = ipc_channel_new(q->w.loop, fd, &conf);
	unpark(q);
	dispatch_wake(q);
}

void
dispatch_init(struct queue *q)
{
	list_init(&q->agents);
	list_init(&q->parked);
	hmap_init(&q->jobs, q->seed);
	/* What a bounce process of an earlier run's still hands in must not be taken for
	 * the notification of one of our jobs. */
	q->next_job = (uint32_t)os_random_u64();
	loop_task_init(&q->dispatch_task, pump, q);
	loop_timer_init(&q->dispatch_timer, pump, q);
	loop_timer_init(&q->parked_timer, parked_look, q);
	parked_look(q);
}
