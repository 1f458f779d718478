/* One job: a scheduler's entry or a notice, from the message in memory to the frame that
 * an agent gets. Numbers are unique among all open jobs. */
#include <stdlib.h>
#include "agent/delivery.h"
#include "prog/queue/verp.h"
#include "prog/queue/queue.h"

struct job *
queue_job_find(struct queue *q, uint32_t number)
{
	struct hmap_node *n = hmap_first(&q->jobs, hmap_hash_u64(&q->jobs, number));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct job, by_number)->number == number)
			return CONTAINER_OF(n, struct job, by_number);
	return NULL;
}

struct job *
queue_job_new(struct active *a, enum job_kind kind, struct transport *t)
{
	struct queue *q = a->q;
	struct job *j = mem_get(sizeof(*j));

	do
		q->next_job++;
	while (q->next_job == 0 || queue_job_find(q, q->next_job) != NULL);
	j->number = q->next_job;
	j->kind = kind;
	j->q = q;
	j->a = a;
	j->t = t;
	j->since_us = loop_now_us(q->w.loop);
	list_init(&j->in_agent);
	list_add_tail(&a->jobs, &j->in_active);
	hmap_put(&q->jobs, hmap_hash_u64(&q->jobs, j->number), &j->by_number);
	return j;
}

/* Its end of the channel tells the agent that nothing is under way any more. */
void
agent_check_leaving(struct agent *g)
{
	if (g->is_leaving && g->n_jobs == 0)
		ipc_channel_finish(g->ch);
}

void
queue_job_free(struct job **p)
{
	struct job *j = *p;

	hmap_remove(&j->q->jobs, &j->by_number);
	list_remove(&j->in_active);
	list_remove(&j->in_agent);
	if (j->agent != NULL) {
		j->agent->n_jobs--;
		agent_check_leaving(j->agent);
	}
	if (j->kind == JOB_NOTICE)
		free(j->rcpts);
	free(j);
	*p = NULL;
}

const uint32_t *
queue_job_rcpts(const struct job *j, size_t *out_n)
{
	if (j->kind == JOB_NOTICE) {
		*out_n = j->n_rcpts;
		return j->rcpts;
	}
	*out_n = j->entry->n_rcpt;
	return j->entry->rcpts;
}

/* ---- sending ---- */

static const char *
news_name(enum fate_news news)
{
	switch (news) {
	case FATE_FAILURE:
		return "failed";
	case FATE_SUCCESS:
		return "delivered";
	case FATE_DELAY:
		return "delayed";
	case FATE_REPORT:
		return "reported";
	}
	return "failed";
}

static uint8_t
news_outcome(enum fate_news news)
{
	switch (news) {
	case FATE_FAILURE:
		return DELIVERY_BOUNCED;
	case FATE_SUCCESS:
		return DELIVERY_SENT;
	case FATE_DELAY:
		return DELIVERY_DEFERRED;
	case FATE_REPORT:
		break;
	}
	return DELIVERY_BOUNCED;
}

static void
fill_why(struct wire_outcome *o, const struct spool_reason *why)
{
	o->dsn = why->dsn;
	o->text = why->text;
	o->mta = why->mta;
	o->diag = why->diag;
	o->diag_type = why->diag_type;
	o->action = why->action;
}

static void
fill_outcome(const struct job *j, uint32_t i, struct wire_outcome *o)
{
	const struct active *a = j->a;
	uint16_t reason = a->rcpts[i].reason;

	o->index = i;
	o->what = news_outcome(j->news);
	if (j->news == FATE_REPORT) {
		o->what = a->report[i].what;
		fill_why(o, &a->report[i].why);
	} else if (reason != 0) {
		fill_why(o, &a->reasons[reason - 1]);
	}
}

static void
fill_rcpts(const struct job *j, struct arena *mem, struct wire_job *m)
{
	const struct active *a = j->a;
	struct wire_outcome *outcomes = NULL;
	struct wire_rcpt *rcpts;
	const uint32_t *v;
	size_t n;

	v = queue_job_rcpts(j, &n);
	rcpts = arena_array(mem, n, sizeof(*rcpts));
	if (j->kind == JOB_NOTICE)
		outcomes = arena_array(mem, n, sizeof(*outcomes));
	for (size_t i = 0; i < n; i++) {
		const struct spool_rcpt *r = &a->l.m.rcpts[v[i]];
		const struct active_rcpt *now = &a->rcpts[v[i]];

		rcpts[i] = (struct wire_rcpt){ .index = v[i],
			.address = now->address,
			/* compat: routing may have changed it, too. */
			.orig = r->orig.n > 0 || str_eq(now->address, r->address)
				    ? r->orig
				    : r->address,
			.orcpt = r->orcpt,
			.notify = r->notify };
		if (outcomes != NULL)
			fill_outcome(j, v[i], &outcomes[i]);
	}
	m->rcpts = rcpts;
	m->n_rcpts = n;
	m->outcomes = outcomes;
	m->n_outcomes = outcomes != NULL ? n : 0;
}

/* The content: inline from the spool, or a descriptor of the stage file. */
static enum rc
fill_content(const struct job *j, struct arena *mem, struct wire_job *m)
{
	const struct active *a = j->a;
	struct spool_loaded l;
	struct err e = { 0 };
	enum rc rc;

	m->size = a->l.m.size_bytes;
	m->file = -1;
	if (a->l.m.stage != 0) {
		m->is_staged = true;
		rc = spool_stage_read(j->q->spool, a->number, &m->file, &e);
		if (rc != RC_OK)
			log_warn(j->q->log, "%.*s: %s", STR_ARG(a->qid), e.text);
		return rc;
	}
	m->content = a->l.m.content;
	if (m->content.n == a->l.m.size_bytes)
		return RC_OK;
	rc = spool_load(j->q->spool, a->number, SPOOL_CONTENT, mem, &l);
	if (rc == RC_OK)
		m->content = l.m.content;
	return rc;
}

/* With VERP what is about one recipient has a sender that names him. */
static struct str
sender_of(const struct job *j, struct arena *mem)
{
	const struct spool_message *m = &j->a->l.m;
	const struct spool_rcpt *r;
	struct verp_request req = { m->verp, m->sender, STR("") };
	const uint32_t *v;
	size_t n;

	v = queue_job_rcpts(j, &n);
	if (m->verp.n != 2 || n != 1 ||
	    (j->kind == JOB_NOTICE && !notify_is_by_itself(j->a, j->news)))
		return m->sender;
	r = &m->rcpts[v[0]];
	req.rcpt = r->orig.n > 0 ? r->orig : r->address;
	return verp_sender(&req, mem);
}

enum rc
queue_job_send(struct job *j, struct agent *g)
{
	struct queue *q = j->q;
	const struct spool_message *m = &j->a->l.m;
	struct wire_job out = { .job = j->number,
		.qid = j->a->qid,
		.service = str_c(j->t->name),
		.nexthop = j->kind == JOB_DELIVER ? j->entry->nexthop : STR(""),
		.envid = m->envid,
		.ret = m->ret,
		.facts = m->facts,
		.arrival_us = m->arrival_us,
		.active_us = j->a->active_us,
		.delivering_us = loop_wall_us(q->w.loop),
		.client_name = m->client_name,
		.client_addr = m->client_addr,
		.client_port = m->client_port,
		.client_proto = m->client_proto,
		.client_helo = m->client_helo,
		.filter = m->filter,
		.verp = m->verp,
		.reason = j->kind == JOB_NOTICE ? str_c(news_name(j->news))
						: j->entry->nexthop };
	enum rc rc;

	arena_reset(q->scratch);
	rc = fill_content(j, q->scratch, &out);
	if (rc != RC_OK)
		return rc;
	out.sender = sender_of(j, q->scratch);
	fill_rcpts(j, q->scratch, &out);
	list_remove(&j->in_agent);
	j->agent = g;
	g->n_jobs++;
	list_add_tail(&g->jobs, &j->in_agent);
	ipc_send_job(g->ch, &out);
	return RC_OK;
}
