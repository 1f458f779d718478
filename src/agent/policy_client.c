/* Owns requests to policy services: which connection takes them, tries, the default
 * action. */
#include "agent/policy_int.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "log/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* compat: DEF_SMTPD_POLICY_DEF_ACTION, for services that make no sense. */
#define BAD_SERVICE_ACTION STR("451 4.3.5 Server configuration problem")

struct policy_client *
policy_client_new(struct loop *loop, struct log *log, const struct policy_settings *s)
{
	struct policy_client *c = mem_get(sizeof(*c));

	c->loop = loop;
	c->log = log;
	c->s = *s;
	if (c->s.connections_max == 0)
		c->s.connections_max = POLICY_CONNECTIONS_MAX;
	list_init(&c->services);
	list_init(&c->queries);
	return c;
}

static void
query_free(struct policy_query *q)
{
	struct loop *l = q->service->client->loop;

	loop_timer_cancel(l, &q->timer);
	loop_soon_cancel(l, &q->soon);
	list_remove(&q->node);
	list_remove(&q->open);
	free(q);
}

static void
service_free(struct policy_service *s)
{
	LIST_EACH_SAFE (it, tmp, &s->conns)
		policy_conn_free(CONTAINER_OF(it, struct policy_conn, node));
	list_remove(&s->node);
	arena_free(&s->mem);
	free(s);
}

void
policy_client_free(struct policy_client **c_p)
{
	struct policy_client *c = *c_p;

	if (c == NULL)
		return;
	LIST_EACH_SAFE (it, tmp, &c->queries)
		query_free(CONTAINER_OF(it, struct policy_query, open));
	LIST_EACH_SAFE (it, tmp, &c->services)
		service_free(CONTAINER_OF(it, struct policy_service, node));
	free(c);
	*c_p = NULL;
}

size_t
policy_client_connections(const struct policy_client *c)
{
	return c->n_conns;
}

/* ---- answers ---- */

static void
say(struct policy_query *q, enum rc rc, struct str action)
{
	policy_done_fn *done = q->done;
	void *arg = q->arg;

	query_free(q);
	done(arg, rc, action);
}

static void
say_default(void *arg)
{
	struct policy_query *q = arg;

	say(q, q->rc, q->rc == RC_OK ? q->service->s.default_action : BAD_SERVICE_ACTION);
}

/* Later in this round: who asked is perhaps still inside the call. */
static void
give_up(struct policy_query *q, enum rc rc)
{
	q->rc = rc;
	loop_soon(q->service->client->loop, &q->soon);
}

void
policy_query_answered(struct policy_query *q, struct str action)
{
	q->conn = NULL;
	/* compat: such a reply is no reply. */
	if (q->service->s.is_smtputf8 && !utf8_is_valid(action)) {
		log_warn(q->service->client->log,
		    "malformed UTF-8 in policy server %.*s response: \"%.*s\"",
		    STR_ARG(q->service->text), STR_ARG(action)); /* compat */
		give_up(q, RC_OK);
		return;
	}
	say(q, RC_OK, action);
}

static bool
is_expected(int sys) /* compat: a server that was restarted is not worth a warning */
{
	return sys == 0 || sys == EPIPE || sys == ENOENT || sys == ECONNRESET;
}

void
policy_query_failed(struct policy_query *q, int sys)
{
	struct policy_service *s = q->service;
	struct loop *l = s->client->loop;

	q->conn = NULL;
	q->tries++;
	if (q->tries >= s->s.try_limit || !is_expected(sys))
		log_warn(s->client->log, "problem talking to server %.*s: %s",
		    STR_ARG(s->name),
		    sys != 0 ? strerror(sys) : "Application error"); /* compat */
	if (q->tries >= s->s.try_limit)
		give_up(q, RC_OK);
	else
		loop_timer_set(l, &q->timer, loop_now_us(l) + s->s.retry_delay_us);
}

/* ---- requests ---- */

/* Whoever asked has left, and the answer was only read to keep the connection: those that
 * wait need its place more. */
static void
make_room(struct policy_service *s)
{
	if (s->n_conns < s->s.connections_max)
		return;
	LIST_EACH (it, &s->conns) {
		struct policy_conn *n = CONTAINER_OF(it, struct policy_conn, node);

		if (n->phase == POLICY_BUSY && n->query == NULL) {
			policy_conn_free(n);
			return;
		}
	}
}

static void
place(struct policy_query *q)
{
	struct policy_service *s = q->service;
	struct loop *l = s->client->loop;
	struct list *idle = list_first(&s->idle);

	if (idle == NULL)
		make_room(s);
	if (idle != NULL) {
		policy_conn_use(CONTAINER_OF(idle, struct policy_conn, idle_node), q);
	} else if (s->n_conns < s->s.connections_max) {
		policy_conn_open(s, q);
	} else {
		list_add_tail(&s->waiting, &q->node);
		loop_timer_set(l, &q->timer, loop_now_us(l) + s->s.timeout_us);
	}
}

void
policy_service_turn(struct policy_service *s)
{
	struct list *first;

	/* A connection that fails at once comes back here: thousands may wait for a
	 * server that has just died, and the stack must not grow with them. */
	if (s->is_turning)
		return;
	s->is_turning = true;
	while ((first = list_first(&s->waiting)) != NULL &&
	       (!list_is_empty(&s->idle) || s->n_conns < s->s.connections_max)) {
		struct policy_query *q = CONTAINER_OF(first, struct policy_query, node);

		list_remove(&q->node);
		loop_timer_cancel(s->client->loop, &q->timer);
		place(q);
	}
	s->is_turning = false;
}

/* The next try; or no connection became free for too long. */
static void
on_timer(void *arg)
{
	struct policy_query *q = arg;

	if (list_is_empty(&q->node)) {
		place(q);
		return;
	}
	list_remove(&q->node);
	policy_query_failed(q, ETIMEDOUT);
}

struct policy_query *
policy_client_ask(struct policy_client *c, struct str service, struct str request,
    policy_done_fn *done, void *arg)
{
	struct policy_query *q = mem_get(sizeof(*q) + request.n);
	char *text = (char *)(q + 1);

	memcpy(text, request.p, request.n);
	q->request = str_n(text, request.n);
	q->done = done;
	q->arg = arg;
	q->service = policy_service_of(c, service);
	list_init(&q->node);
	list_add_tail(&c->queries, &q->open);
	loop_timer_init(&q->timer, on_timer, q);
	loop_task_init(&q->soon, say_default, q);
	if (q->service->is_bad)
		give_up(q, RC_TEMP);
	else
		place(q);
	return q;
}

void
policy_client_cancel(struct policy_query **q_p)
{
	struct policy_query *q = *q_p;

	*q_p = NULL;
	if (q == NULL)
		return;
	if (q->conn != NULL)
		policy_conn_abandon(q->conn);
	query_free(q);
}
