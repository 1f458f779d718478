/* Transports: master.cf services that deliver mail, with the limits main.cf gives them.
 */
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include "prog/queue/queue.h"

#define RCPTS_PER_JOB 500 /* of three addresses, or two texts, of full length each */

/* TRANSPORTsuffix, which main.cf may set for any transport; its default is
 * default_suffix. */
static struct str
value_of(struct queue *q, struct str transport, const char *suffix)
{
	struct str out = STR_INIT("");
	struct err e = { 0 };
	struct str name =
	    arena_printf(q->limits_mem, "%.*s_%s", STR_ARG(transport), suffix);

	if (conf_get(q->w.snapshot, NULL, name, q->limits_mem, &out, &e) == RC_OK)
		return out;
	name = str_is(str_c(suffix), "initial_destination_concurrency")
		   ? str_c(suffix)
		   : arena_printf(q->limits_mem, "default_%s", suffix);
	if (conf_get(q->w.snapshot, NULL, name, q->limits_mem, &out, &e) != RC_OK)
		log_warn(q->log, "%.*s: %s", STR_ARG(name), e.text);
	return out;
}

static int
number_of(struct queue *q, struct str transport, const char *suffix, int otherwise)
{
	struct str text = value_of(q, transport, suffix);
	uint64_t v;

	return str_u64(str_trim(text), INT32_MAX, &v) == RC_OK ? (int)v : otherwise;
}

static int64_t
time_of(struct queue *q, struct str transport, const char *suffix)
{
	struct str text = value_of(q, transport, suffix);
	int64_t v = 0;

	if (text.n > 0 && conf_parse_time(text, 's', &v) != RC_OK)
		log_warn(q->log, "%.*s_%s: bad time: %.*s", STR_ARG(transport), suffix,
		    STR_ARG(text));
	return v;
}

static void
feedback_of(struct queue *q, struct str transport, const char *suffix,
    enum sched_feedback *kind, double *value)
{
	struct str text = value_of(q, transport, suffix);
	struct err e = { 0 };

	if (text.n > 0 && sched_feedback_parse(text, kind, value, &e) != RC_OK)
		log_warn(q->log, "%.*s_%s: %s", STR_ARG(transport), suffix, e.text);
}

static void
limits(struct queue *q, struct str name, struct sched_conf *c)
{
	*c = sched_conf_default;
	c->concurrency_initial = number_of(q, name, "initial_destination_concurrency", 0);
	if (c->concurrency_initial <= 0)
		c->concurrency_initial = (int)q->conf.initial_destination_concurrency;
	c->concurrency_limit = number_of(q, name, "destination_concurrency_limit", 20);
	c->recipient_limit = number_of(q, name, "destination_recipient_limit", 50);
	/* A job is one frame, and so is its result. */
	if (c->recipient_limit <= 0 || c->recipient_limit > RCPTS_PER_JOB)
		c->recipient_limit = RCPTS_PER_JOB;
	c->failed_cohort_limit =
	    number_of(q, name, "destination_concurrency_failed_cohort_limit", 1);
	feedback_of(q, name, "destination_concurrency_positive_feedback", &c->positive,
	    &c->positive_value);
	feedback_of(q, name, "destination_concurrency_negative_feedback", &c->negative,
	    &c->negative_value);
	c->destination_delay_us = time_of(q, name, "destination_rate_delay");
	c->transport_delay_us = time_of(q, name, "transport_rate_delay");
	c->dead_us = q->conf.minimal_backoff_time_us;
	c->retry_us = q->conf.transport_retry_time_us;
	c->slot_cost = number_of(q, name, "delivery_slot_cost", 5);
	c->slot_loan = number_of(q, name, "delivery_slot_loan", 3);
	c->slot_discount = number_of(q, name, "delivery_slot_discount", 50);
	c->slot_minimum = number_of(q, name, "minimum_delivery_slots", 3);
}

static int
process_limit(struct queue *q)
{
	struct str text = STR_INIT("");
	uint64_t v;

	if (conf_get(q->w.snapshot, NULL, STR("default_process_limit"), q->limits_mem,
		&text, NULL) != RC_OK ||
	    str_u64(text, INT32_MAX, &v) != RC_OK)
		return 100;
	return (int)v;
}

static bool
is_in_list(struct str list, struct str name)
{
	struct str item;

	while (str_token(&list, CONF_LIST_SEPARATORS, &item))
		if (str_eq(item, name))
			return true;
	return false;
}

static void
transport_fill(struct queue *q, struct transport *t)
{
	struct str name = str_c(t->name);
	const struct master_service *s =
	    master_cf_transport(&q->w.snapshot->master, name);
	const char *role = s != NULL ? worker_role_of(s->command) : NULL;
	struct sched_conf c;

	arena_reset(q->limits_mem);
	limits(q, name, &c);
	if (s != NULL)
		c.busy_limit = s->maxproc < 0 ? process_limit(q) : s->maxproc;
	t->role = role != NULL && worker_role_delivers(role) ? role : NULL;
	t->is_deferred = is_in_list(q->conf.defer_transports, name);
	t->sched = sched_transport(q->sched, name, &c);
}

struct transport *
transport_get(struct queue *q, struct str name)
{
	struct transport *t;

	LIST_EACH (it, &q->transports) {
		t = CONTAINER_OF(it, struct transport, in_queue);
		if (str_is(name, t->name))
			return t;
	}
	t = mem_get(sizeof(*t));
	t->name = mem_get(name.n + 1);
	if (name.n > 0)
		memcpy(t->name, name.p, name.n);
	list_add_tail(&q->transports, &t->in_queue);
	transport_fill(q, t);
	return t;
}

struct transport *
transport_of(struct queue *q, const struct sched_transport *s)
{
	return transport_get(q, sched_transport_name(s));
}

void
transport_reload(struct queue *q)
{
	LIST_EACH (it, &q->transports)
		transport_fill(q, CONTAINER_OF(it, struct transport, in_queue));
}
