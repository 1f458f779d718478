/* Where the recipients of an active message go. A recipient whose route must be asked of
 * `lookup` waits for it; the others go ahead, and no other message waits.
 *
 * Invariant: a message is in queue.routing from routing_start() until every recipient has
 * been handed to the scheduler or put off; its round does not end meanwhile. */
#include <stdlib.h>
#include "addr/address.h"
#include "agent/delivery.h"
#include "prog/queue/queue.h"
#include "route/route.h"

/* Recipients of one message whose routes are being asked for. */
#define WINDOW 16

/* One recipient that waits. */
struct routing {
	struct list in_message;
	struct active *a;
	uint32_t rcpt;
	struct decide_run decision;
	struct route r;
	struct err e;
};

static void
put_off(struct active *a, uint32_t i, struct str dsn, struct str text)
{
	struct outcome o = { .what = DELIVERY_DEFERRED,
		.why = { .dsn = dsn, .text = text } };

	results_log(a, a->q->error_log, i, &o);
	results_note(a, i, &o);
}

/* Mail to the sender of last resort ends here, or it would travel in circles. */
static bool
is_double_bounce(struct active *a, const struct route *r)
{
	const struct route_conf *c = decide_route(a->q->decide);
	size_t at = str_rfind(r->recipient, '@');

	return r->cls == ROUTE_LOCAL &&
	       str_ieq(str_head(r->recipient, at), c->double_bounce_sender);
}

/* What tells recipients apart where each is a destination: the address without extension.
 */
static struct str
identity(struct queue *q, struct str address)
{
	struct str local = str_head(address, str_rfind(address, '@'));

	return str_head(local, route_extension_at(decide_route(q->decide), local));
}

static void
enqueue(struct active *a, uint32_t i, struct route *r)
{
	struct queue *q = a->q;
	struct sched_rcpt to = { .index = i };
	struct transport *t;

	if (r->is_bad) {
		r->transport = STR("error");
		r->nexthop = STR("5.1.3 bad address syntax"); /* compat */
	}
	t = transport_get(q, r->transport);
	if (t->is_deferred && !a->is_flushed) {
		put_off(a, i, STR("4.3.2"), STR("deferred transport")); /* compat */
		return;
	}
	if (!str_eq(r->recipient, a->rcpts[i].address)) {
		struct str kept = arena_str(a->mem, r->recipient);

		if (kept.p != NULL)
			a->rcpts[i].address = kept;
	}
	to.transport = t->sched;
	to.nexthop = r->nexthop;
	to.address = identity(q, a->rcpts[i].address);
	to.is_alone = a->l.m.verp.n == 2; /* each has a sender of his own */
	a->rcpts[i].is_open = true;
	sched_msg_add(a->sched, &to, 1, false);
}

/* content_filter, or an access table's or header check's FILTER: goes before all that
 * addresses say. */
static void
filter_route(const struct active *a, uint32_t i, struct route *r)
{
	const struct conf_queue *c = &a->q->conf;
	struct str address = a->rcpts[i].address;
	size_t at = str_rfind(address, '@');

	*r = (struct route){ .recipient = address };
	route_transport_split(a->l.m.filter, &r->transport, &r->nexthop);
	if (r->nexthop.n == 0)
		r->nexthop = c->default_filter_nexthop;
	if (r->nexthop.n == 0) /* compat */
		r->nexthop = at < address.n ? str_from(address, at + 1) : c->myhostname;
}

/* Done before the addresses are looked at. True: that was all. */
static bool
goes_without_route(struct active *a, uint32_t i)
{
	const struct spool_message *m = &a->l.m;
	struct outcome expanded = { .what = DELIVERY_EXPANDED,
		.why = { .dsn = STR("2.0.0"),
		    .text = STR("alias expanded"), /* compat */
		    .action = STR("expanded") } };
	struct route r;

	if ((m->rcpts[i].notify & SPOOL_EXPANDED) != 0) {
		results_note(a, i, &expanded);
		return true;
	}
	/* compat: who asks what would become of mail is told of the way behind it. */
	if (m->filter.n == 0 ||
	    (m->facts & (MESSAGE_IS_PROBE | MESSAGE_VERIFY_ONLY)) != 0)
		return false;
	filter_route(a, i, &r);
	enqueue(a, i, &r);
	return true;
}

static void
routed(struct routing *g, enum rc rc)
{
	struct active *a = g->a;
	struct queue *q = a->q;
	uint32_t i = g->rcpt;

	if (rc != RC_OK) {
		log_warn(q->log, "%.*s: %.*s: %s", STR_ARG(a->qid),
		    STR_ARG(a->rcpts[i].address), g->e.text);
		put_off(a, i, STR("4.3.0"), STR("address resolver failure")); /* compat */
		return;
	}
	if (g->r.warning.n > 0)
		log_warn(q->log, "%.*s", STR_ARG(g->r.warning));
	if (is_double_bounce(a, &g->r)) {
		struct outcome o = { .what = DELIVERY_SENT,
			.why = { .dsn = STR("2.0.0"),
			    .text = STR(
				"undeliverable postmaster notification discarded") } };

		results_log(a, q->log, i, &o); /* compat */
		results_note(a, i, &o);
		return;
	}
	enqueue(a, i, &g->r);
}

static enum rc
run(void *arg, struct ask *ask)
{
	struct routing *g = arg;
	struct active *a = g->a;

	g->r = (struct route){ 0 };
	return route_resolve(ask,
	    (a->l.m.facts & MESSAGE_IS_PROBE) != 0 ? a->q->probe_route
						   : decide_route(a->q->decide),
	    a->l.m.sender, a->rcpts[g->rcpt].address, &g->r, &g->e);
}

static void
drop(struct routing *g)
{
	decide_run_cancel(&g->decision);
	list_remove(&g->in_message);
	g->a->n_routings--;
	free(g);
}

/* Deleted or held: what is not on its way stays. */
static bool
is_over(const struct active *a)
{
	return a->is_gone || (a->flags & SPOOL_HELD) != 0;
}

static void go_on(struct active *a);

static void
done(void *arg, enum rc rc)
{
	struct routing *g = arg;
	struct active *a = g->a;

	list_remove(&g->in_message);
	a->n_routings--;
	if (!is_over(a))
		routed(g, rc);
	free(g);
	dispatch_wake(a->q);
	go_on(a);
}

/* Most routes need no answer from elsewhere: nothing is allocated for those. */
static void
route_one(struct active *a, uint32_t i)
{
	struct queue *q = a->q;
	struct routing *g = q->spare_routing;
	enum rc rc;

	if (goes_without_route(a, i))
		return;
	if (g == NULL)
		g = q->spare_routing = mem_get(sizeof(*g));
	g->a = a;
	g->rcpt = i;
	g->e.text[0] = '\0';
	g->decision =
	    (struct decide_run){ .d = q->decide, .run = run, .done = done, .arg = g };
	list_init(&g->in_message);
	arena_reset(q->scratch);
	rc = decide_run_start(&g->decision, q->scratch);
	if (rc != RC_MORE) {
		routed(g, rc);
		return;
	}
	q->spare_routing = NULL;
	list_add_tail(&a->routings, &g->in_message);
	a->n_routings++;
}

bool
routing_is_to_do(const struct active_rcpt *r)
{
	return r->what == SPOOL_RCPT_PENDING || r->what == SPOOL_RCPT_DEFERRED;
}

static void
end(struct active *a)
{
	struct queue *q = a->q;

	/* Whatever became of the last recipient: no more will come. */
	sched_msg_add(a->sched, NULL, 0, true);
	list_remove(&a->in_routing);
	a->is_routing = false;
	q->n_routing--;
	dispatch_wake(q);
	if (q->fresh.n > 0 || q->is_scanning)
		activate_wake(q);
	results_check(a);
}

static uint32_t
next_to_do(const struct active *a, uint32_t from)
{
	while (from < a->l.m.n_rcpts && !routing_is_to_do(&a->rcpts[from]))
		from++;
	return from;
}

static void
go_on(struct active *a)
{
	uint32_t n = (uint32_t)a->l.m.n_rcpts;

	while (!is_over(a) && a->route_next < n && a->n_routings < WINDOW) {
		uint32_t i = a->route_next;

		a->route_next = next_to_do(a, i + 1);
		route_one(a, i);
	}
	if (a->n_routings == 0 && (is_over(a) || a->route_next >= n))
		end(a);
}

void
routing_start(struct active *a)
{
	struct queue *q = a->q;

	a->sched = sched_msg_new(q->sched, a, loop_now_us(q->w.loop));
	a->is_routing = true;
	q->n_routing++;
	list_add_tail(&q->routing, &a->in_routing);
	a->route_next = next_to_do(a, 0);
	go_on(a);
}

void
routing_cancel(struct active *a)
{
	struct list *first;

	while ((first = list_first(&a->routings)) != NULL)
		drop(CONTAINER_OF(first, struct routing, in_message));
	if (!a->is_routing)
		return;
	list_remove(&a->in_routing);
	a->is_routing = false;
	a->q->n_routing--;
}

void
routing_suspend(struct queue *q)
{
	LIST_EACH (it, &q->routing) {
		struct active *a = CONTAINER_OF(it, struct active, in_routing);

		LIST_EACH (one, &a->routings)
			decide_run_cancel(
			    &CONTAINER_OF(one, struct routing, in_message)->decision);
	}
}

static void
ask_again(struct active *a)
{
	uint32_t again[WINDOW];
	size_t n = 0;
	struct list *first;

	while ((first = list_first(&a->routings)) != NULL) {
		struct routing *g = CONTAINER_OF(first, struct routing, in_message);

		again[n++] = g->rcpt;
		drop(g);
	}
	for (size_t i = 0; i < n && !is_over(a); i++)
		route_one(a, again[i]);
	go_on(a);
}

void
routing_resume(struct queue *q)
{
	struct list all, *first;

	list_init(&all);
	while ((first = list_first(&q->routing)) != NULL) {
		list_remove(first);
		list_add_tail(&all, first);
	}
	while ((first = list_first(&all)) != NULL) {
		list_remove(first);
		list_add_tail(&q->routing, first);
		ask_again(CONTAINER_OF(first, struct active, in_routing));
	}
}
