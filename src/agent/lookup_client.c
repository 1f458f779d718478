/* Questions to `lookup`. Invariant: every query is in the table of requests and in the
 * list of deadlines, until it is answered or cancelled. */
#include "agent/lookup_client.h"
#include "base/hmap.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/random.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX      ((size_t)256 << 20)
#define QUESTION_MAX 65000
#define KEY_MAX      120000
#define NEED_US      (US_PER_SEC / 5)
#define TEXT_GONE    "the lookup service is not available"
#define TEXT_SLOW    "the lookup service did not answer in time"
#define TEXT_LARGE   "the question is too large"
#define TEXT_STRANGE "the lookup service does not know the table"

struct lookup_query {
	struct lookup_client *c;
	struct hmap_node by_number;
	struct list in_order; /* oldest first: all have the same patience */
	uint32_t number;
	int64_t since_us;
	lookup_answer_fn *done;
	void *arg;
	bool is_too_large;
	bool is_strange; /* this lookup has another configuration */
	unsigned flags;
	struct str table, key; /* behind the struct */
};

struct lookup_client {
	struct lookup_client_conf conf;
	struct ipc_channel *ch; /* NULL: no lookup */
	struct hmap by_number;
	struct list in_order;
	struct loop_timer timer;
	struct loop_task refuse; /* tells what was wrong from the start */
	uint32_t last_number;
};

/* ---- the end of questions ---- */

static void
forget(struct lookup_query *q)
{
	hmap_remove(&q->c->by_number, &q->by_number);
	list_remove(&q->in_order);
}

static void
answer(struct lookup_query *q, enum rc rc, struct str value)
{
	lookup_answer_fn *done = q->done;
	void *arg = q->arg;

	forget(q);
	free(q);
	done(arg, rc, value);
}

void
lookup_client_cancel(struct lookup_query **q)
{
	if (*q == NULL)
		return;
	forget(*q);
	free(*q);
	*q = NULL;
}

/* ---- asking ---- */

static void
send_question(struct lookup_query *q)
{
	if (q->c->ch == NULL || q->is_too_large)
		return;
	q->is_strange = false;
	ipc_send_find(q->c->ch, &(struct wire_find){ .request = q->number,
				    .table = q->table,
				    .key = q->key,
				    .flags = q->flags });
}

static struct lookup_query *
find(struct lookup_client *c, uint32_t number)
{
	struct hmap_node *n =
	    hmap_first(&c->by_number, hmap_hash_u64(&c->by_number, number));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct lookup_query, by_number)->number == number)
			return CONTAINER_OF(n, struct lookup_query, by_number);
	return NULL;
}

static struct str
keep(char **to, struct str s)
{
	struct str kept = { *to, s.n };

	if (s.n > 0)
		memcpy(*to, s.p, s.n);
	*to += s.n;
	return kept;
}

static void
set_timer(struct lookup_client *c, int64_t at_us)
{
	if (!loop_timer_is_set(&c->timer) || c->timer.node.key > at_us)
		loop_timer_set(c->conf.loop, &c->timer, at_us);
}

static int64_t
now_us(const struct lookup_client *c)
{
	return loop_now_us(c->conf.loop);
}

struct lookup_query *
lookup_client_ask(struct lookup_client *c, const struct lookup_question *question,
    lookup_answer_fn *done, void *arg)
{
	struct lookup_query *q =
	    mem_get(sizeof(*q) + question->table.n + question->key.n);
	char *to = (char *)(q + 1);

	do
		c->last_number++;
	while (find(c, c->last_number) != NULL);
	q->c = c;
	q->number = c->last_number;
	q->since_us = now_us(c);
	q->done = done;
	q->arg = arg;
	q->flags = question->flags;
	q->table = keep(&to, question->table);
	q->key = keep(&to, question->key);
	q->is_too_large = q->table.n > QUESTION_MAX || q->key.n > KEY_MAX;
	hmap_put(&c->by_number, hmap_hash_u64(&c->by_number, q->number), &q->by_number);
	list_add_tail(&c->in_order, &q->in_order);
	if (q->is_too_large)
		loop_soon(c->conf.loop, &c->refuse);
	send_question(q);
	set_timer(
	    c, c->ch == NULL ? q->since_us + NEED_US : q->since_us + c->conf.timeout_us);
	return q;
}

size_t
lookup_client_open(const struct lookup_client *c)
{
	return c->by_number.n;
}

/* ---- time ---- */

static void
refuse(void *arg)
{
	struct lookup_client *c = arg;
	bool again;

	do {
		again = false;
		LIST_EACH (it, &c->in_order) {
			struct lookup_query *q =
			    CONTAINER_OF(it, struct lookup_query, in_order);

			if (!q->is_too_large)
				continue;
			answer(q, RC_TEMP, STR(TEXT_LARGE));
			again = true; /* the call may have changed the list */
			break;
		}
	} while (again);
}

static bool
is_overdue(const struct lookup_query *q)
{
	int64_t age_us = now_us(q->c) - q->since_us;

	return age_us >= q->c->conf.timeout_us ||
	       (q->is_strange && age_us >= LOOKUP_STRANGER_US);
}

static struct lookup_query *
find_overdue(struct lookup_client *c)
{
	LIST_EACH (it, &c->in_order) {
		struct lookup_query *q = CONTAINER_OF(it, struct lookup_query, in_order);

		if (is_overdue(q))
			return q;
	}
	return NULL;
}

static void
on_timer(void *arg)
{
	struct lookup_client *c = arg;
	struct lookup_query *q;

	while ((q = find_overdue(c)) != NULL) {
		const char *why = c->ch == NULL   ? TEXT_GONE
				  : q->is_strange ? TEXT_STRANGE
						  : TEXT_SLOW;

		log_warn(
		    c->conf.log, "table %.*s: %s", STR_ARG(str_head(q->table, 200)), why);
		answer(q, RC_TEMP, str_c(why));
	}
	if (list_is_empty(&c->in_order))
		return;
	if (c->ch == NULL && c->conf.need != NULL)
		c->conf.need(c->conf.arg);
	set_timer(c, now_us(c) + (c->conf.timeout_us < US_PER_SEC ? c->conf.timeout_us
								  : US_PER_SEC));
}

/* ---- the channel ---- */

static void
on_found(void *arg, const struct wire_found *m)
{
	struct lookup_client *c = arg;
	struct lookup_query *q = find(c, m->request);
	enum rc rc = m->rc <= RC_PERM ? (enum rc)m->rc : RC_TEMP;

	if (q == NULL)
		return; /* nobody waits any more */
	if (rc == RC_MORE) {
		/* During a reload one of us is older. */
		q->is_strange = true;
		set_timer(c, now_us(c) + US_PER_SEC);
		return;
	}
	answer(q, rc == RC_PERM ? RC_TEMP : rc, m->value);
}

static const struct ipc_handlers handlers = { .on_found = on_found };

static void
on_close(void *arg, const char *why)
{
	struct lookup_client *c = arg;

	if (why != NULL)
		log_warn(c->conf.log, "lookup channel: %s", why);
	ipc_channel_free(&c->ch);
	if (!list_is_empty(&c->in_order))
		set_timer(c, now_us(c) + NEED_US);
}

void
lookup_client_connect(struct lookup_client *c, int fd)
{
	const struct ipc_channel_conf conf = { .me = WIRE_ASKER,
		.peer = WIRE_LOOKUP,
		.on = &handlers,
		.on_close = on_close,
		.arg = c,
		.out_max = OUT_MAX };

	ipc_channel_free(&c->ch);
	c->ch = ipc_channel_new(c->conf.loop, fd, &conf);
	LIST_EACH (it, &c->in_order)
		send_question(CONTAINER_OF(it, struct lookup_query, in_order));
}

struct lookup_client *
lookup_client_new(const struct lookup_client_conf *conf)
{
	struct lookup_client *c = mem_get(sizeof(*c));
	uint64_t seed[2];

	assert(conf->timeout_us > 0);
	os_random_seed(seed);
	c->conf = *conf;
	hmap_init(&c->by_number, seed);
	list_init(&c->in_order);
	loop_timer_init(&c->timer, on_timer, c);
	loop_task_init(&c->refuse, refuse, c);
	return c;
}

void
lookup_client_free(struct lookup_client **cp)
{
	struct lookup_client *c = *cp;
	struct list *first;

	if (c == NULL)
		return;
	while ((first = list_first(&c->in_order)) != NULL) {
		struct lookup_query *q =
		    CONTAINER_OF(first, struct lookup_query, in_order);

		lookup_client_cancel(&q);
	}
	loop_timer_cancel(c->conf.loop, &c->timer);
	loop_soon_cancel(c->conf.loop, &c->refuse);
	ipc_channel_free(&c->ch);
	hmap_fini(&c->by_number);
	free(c);
	*cp = NULL;
}
