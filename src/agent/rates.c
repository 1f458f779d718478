/* Questions to anvil. They are few (none for clients of our own networks), answered in
 * the order that they were asked in, and kept in that order. */
#include "agent/rates.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX   ((size_t)16 << 20)
#define IDENT_MAX ((size_t)300)
#define WARN_US   (60 * US_PER_SEC)

struct rates_query {
	struct rates *r;
	struct list node;
	uint32_t request;
	int64_t due_us;
	bool is_sent;
	enum rates_event event;
	rates_done_fn *done;
	void *arg;
	struct str ident;
	char text[];
};

struct rates {
	struct rates_conf conf;
	struct ipc_channel *ch; /* NULL: no anvil */
	struct list open;
	struct loop_timer timer;
	uint32_t last_request, epoch;
	int64_t warned_us;
};

static void
answer(struct rates_query *q, enum rc rc, const struct rates_count *n)
{
	rates_done_fn *done = q->done;
	void *arg = q->arg;

	list_remove(&q->node);
	free(q);
	done(arg, rc, n);
}

void
rates_cancel(struct rates_query **q)
{
	if (*q == NULL)
		return;
	list_remove(&(*q)->node);
	free(*q);
	*q = NULL;
}

/* ---- asking ---- */

static void
send_query(struct rates_query *q)
{
	if (q->r->ch == NULL || q->is_sent)
		return;
	ipc_send_rate_event(q->r->ch,
	    &(struct wire_rate_event){
		.request = q->request, .event = (uint8_t)q->event, .ident = q->ident });
	q->is_sent = true;
}

/* Nobody waits again for an anvil that did not come. */
static bool
is_given_up(const struct rates *r, int64_t now)
{
	return r->ch == NULL && r->warned_us != 0 && now - r->warned_us < WARN_US;
}

struct rates_query *
rates_ask(struct rates *r, const struct rates_what *w, rates_done_fn *done, void *arg)
{
	struct rates_query *q = mem_get(sizeof(*q) + IDENT_MAX);
	int64_t now = loop_now_us(r->conf.loop);
	int n;

	q->r = r;
	q->request = ++r->last_request;
	q->due_us = now + (is_given_up(r, now) ? 0 : RATES_PATIENCE_US);
	q->event = w->event;
	q->done = done;
	q->arg = arg;
	/* The longest name of a service and the longest address fit. */
	n = snprintf(q->text, IDENT_MAX, "%.*s:%.*s", STR_ARG(str_head(w->service, 200)),
	    STR_ARG(str_head(w->client, 60)));
	q->ident = (struct str){ q->text, (size_t)n };
	list_add_tail(&r->open, &q->node);
	if (r->ch == NULL && r->conf.need != NULL)
		r->conf.need(r->conf.arg);
	send_query(q);
	if (!loop_timer_is_set(&r->timer) || r->timer.node.key > q->due_us)
		loop_timer_set(r->conf.loop, &r->timer, q->due_us);
	return q;
}

uint32_t
rates_epoch(const struct rates *r)
{
	return r->ch == NULL ? 0 : r->epoch;
}

void
rates_disconnected(struct rates *r, const struct rates_what *w, uint32_t epoch)
{
	char text[IDENT_MAX];

	if (r->ch == NULL || epoch != r->epoch)
		return;
	(void)snprintf(text, sizeof(text), "%.*s:%.*s",
	    STR_ARG(str_head(w->service, 200)), STR_ARG(str_head(w->client, 60)));
	ipc_send_rate_event(r->ch,
	    &(struct wire_rate_event){ .event = RATES_DISCONNECT, .ident = str_c(text) });
}

/* ---- time ---- */

static struct rates_query *
find_overdue(struct rates *r, int64_t now, int64_t *next_us)
{
	*next_us = INT64_MAX;
	LIST_EACH (it, &r->open) {
		struct rates_query *q = CONTAINER_OF(it, struct rates_query, node);

		if (now >= q->due_us)
			return q;
		if (q->due_us < *next_us)
			*next_us = q->due_us;
	}
	return NULL;
}

static void
on_timer(void *arg)
{
	struct rates *r = arg;
	int64_t now = loop_now_us(r->conf.loop), next_us;
	struct rates_query *q;

	while ((q = find_overdue(r, now, &next_us)) != NULL) {
		if (r->warned_us == 0 || now - r->warned_us >= WARN_US) {
			r->warned_us = now;
			log_warn(r->conf.log,
			    "anvil does not answer: limits for clients are not applied");
		}
		answer(q, RC_TEMP, &(struct rates_count){ 0 });
	}
	if (next_us != INT64_MAX)
		loop_timer_set(r->conf.loop, &r->timer, next_us);
}

/* ---- the channel ---- */

static void
on_count(void *arg, const struct wire_rate_count *m)
{
	struct rates *r = arg;

	LIST_EACH (it, &r->open) {
		struct rates_query *q = CONTAINER_OF(it, struct rates_query, node);

		if (q->request != m->request)
			continue;
		answer(q, m->is_counted ? RC_OK : RC_TEMP,
		    &(struct rates_count){ .count = m->count, .rate = m->rate });
		return;
	}
}

static const struct ipc_handlers handlers = { .on_rate_count = on_count };

static void
on_close(void *arg, const char *why)
{
	struct rates *r = arg;

	if (why != NULL)
		log_warn(r->conf.log, "anvil channel: %s", why);
	ipc_channel_free(&r->ch);
	LIST_EACH (it, &r->open)
		CONTAINER_OF(it, struct rates_query, node)->is_sent = false;
}

void
rates_connect(struct rates *r, int fd)
{
	const struct ipc_channel_conf conf = { .me = WIRE_COUNTED,
		.peer = WIRE_ANVIL,
		.on = &handlers,
		.on_close = on_close,
		.arg = r,
		.out_max = OUT_MAX };

	ipc_channel_free(&r->ch);
	r->epoch++;
	r->ch = ipc_channel_new(r->conf.loop, fd, &conf);
	LIST_EACH (it, &r->open) {
		struct rates_query *q = CONTAINER_OF(it, struct rates_query, node);

		q->is_sent = false;
		send_query(q);
	}
}

struct rates *
rates_new(const struct rates_conf *conf)
{
	struct rates *r = mem_get(sizeof(*r));

	r->conf = *conf;
	list_init(&r->open);
	loop_timer_init(&r->timer, on_timer, r);
	return r;
}

void
rates_free(struct rates **rp)
{
	struct rates *r = *rp;
	struct list *first;

	if (r == NULL)
		return;
	while ((first = list_first(&r->open)) != NULL) {
		struct rates_query *q = CONTAINER_OF(first, struct rates_query, node);

		rates_cancel(&q);
	}
	loop_timer_cancel(r->conf.loop, &r->timer);
	ipc_channel_free(&r->ch);
	free(r);
	*rp = NULL;
}
