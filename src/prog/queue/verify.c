/* Address verification: questions of smtpd about addresses, answered from the cache or by
 * a probe, a message of ours that goes its way to the last step before delivery. Compat:
 * verify(8).
 *
 * A question lives while somebody waits for it, while the cache is asked, and while a
 * probe of ours is under way. Limits: questions, and who waits for them. A probe that is
 * lost in a crash harms nothing: nobody sends another for VERIFY_PROBE_S, then somebody
 * does. What becomes of a probe that an earlier process sent is noted like any other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/decide_mapping.h"
#include "agent/delivery.h"
#include "prog/queue/queue.h"
#include "prog/queue/verify_record.h"
#include "route/mapping.h"

#define QUESTIONS_MAX 20000
#define WAITS_MAX     50000
#define WAIT_MAX_US   (100 * US_PER_SEC)
#define TEXT_TODO     "Address verification in progress"       /* compat */
#define TEXT_MANY     "Too many address verification requests" /* compat */
#define TEXT_ALIASED  "aliased to multiple recipients"         /* compat */
#define TEXT_TROUBLE  "the address verification cache is unavailable"

/* Somebody who waits for an answer. */
struct wait {
	struct list in_question;
	struct question *question;
	struct submitter *s;
	uint32_t request;
	bool is_brief; /* no longer than the cache takes */
	struct loop_timer timer;
};

struct question {
	struct hmap_node by_address;
	struct verify *v;
	struct list waits;
	char *address;
	struct verify_record record; /* text: owned */
	bool has_record;
	bool is_looking; /* the cache was asked */
	bool has_probe;  /* of ours, under way */
	/* An outcome that came while the cache was being asked. */
	bool has_outcome;
	enum verify_status outcome;
	char *outcome_text;
	struct loop_timer lost; /* the probe counts as lost */
	struct decide_run mapping;
	bool is_stopped; /* its mapping was, by a reload */
	struct str rcpt; /* what mapping made of the address; in the decision's memory */
	size_t n_rcpts;
	struct err e;
};

struct verify {
	struct queue *q;
	struct verify_store *store;
	struct verify_conf conf;
	struct hmap questions;
	size_t n_waits, n_probes;
	struct loop_timer clean;
	struct verify_ids ids;
};

static int64_t
now_s(const struct verify *v)
{
	return loop_wall_us(v->q->w.loop) / US_PER_SEC;
}

/* ---- answers ---- */

static const char *
dsn_of(enum verify_status status)
{
	switch (status) {
	case VERIFY_OK:
		return "2.0.0";
	case VERIFY_BOUNCED:
		return "5.0.0";
	case VERIFY_DEFERRED:
	case VERIFY_TODO:
		break;
	}
	return "4.0.0";
}

static void
wait_free(struct wait *w)
{
	loop_timer_cancel(w->question->v->q->w.loop, &w->timer);
	list_remove(&w->in_question);
	w->question->v->n_waits--;
	free(w);
}

static void
tell(struct wait *w, enum rc rc, enum verify_status status, struct str text)
{
	char value[SPOOL_TEXT_MAX + 50] = TEXT_TROUBLE;

	if (rc == RC_OK)
		(void)snprintf(value, sizeof(value), "%d %s %.*s", (int)status,
		    dsn_of(status), STR_ARG(text));
	submit_verified(w->s, w->request, rc, str_c(value));
	wait_free(w);
}

static void
tell_all(struct question *n, enum rc rc, enum verify_status status, struct str text)
{
	struct list *first;

	while ((first = list_first(&n->waits)) != NULL)
		tell(CONTAINER_OF(first, struct wait, in_question), rc, status, text);
}

/* Nobody waits and nothing is under way: the cache knows the rest. */
static void
question_check(struct question *n)
{
	struct verify *v = n->v;

	if (n->is_looking || n->has_probe || !list_is_empty(&n->waits))
		return;
	loop_timer_cancel(v->q->w.loop, &n->lost);
	/* Another process's probe may have answered while a table was being asked. */
	decide_run_cancel(&n->mapping);
	hmap_remove(&v->questions, &n->by_address);
	free(n->address);
	free(n->outcome_text);
	if (n->has_record)
		free((char *)(uintptr_t)n->record.text.p);
	free(n);
}

static void
set_record(struct question *n, const struct verify_record *r)
{
	char *text = mem_str(r->text);

	if (n->has_record)
		free((char *)(uintptr_t)n->record.text.p);
	n->record = *r;
	n->record.text = str_n(text, r->text.n);
	n->has_record = true;
}

/* Those that do not wait for probes. */
static void
tell_brief(struct question *n)
{
	LIST_EACH_SAFE (it, tmp, &n->waits) {
		struct wait *w = CONTAINER_OF(it, struct wait, in_question);

		if (w->is_brief)
			tell(w, RC_OK, VERIFY_TODO, STR(TEXT_TODO));
	}
}

static void
on_patience(void *arg)
{
	struct wait *w = arg;
	struct question *n = w->question;

	tell(w, RC_OK, VERIFY_TODO, STR(TEXT_TODO));
	question_check(n);
}

/* ---- outcomes ---- */

static void
probe_over(struct question *n)
{
	if (!n->has_probe)
		return;
	n->has_probe = false;
	n->v->n_probes--;
	loop_timer_cancel(n->v->q->w.loop, &n->lost);
}

static void
take_outcome(struct question *n, enum verify_status status, struct str text)
{
	struct verify *v = n->v;
	struct verify_record r = { status, 0, now_s(v), text };

	probe_over(n);
	if (verify_takes(&v->conf, n->has_record ? &n->record : NULL, status, now_s(v))) {
		set_record(n, &r);
		verify_store_put(v->store, str_c(n->address), &r);
	}
	tell_all(n, RC_OK, status, text);
	question_check(n);
}

static void
on_lost(void *arg)
{
	struct question *n = arg;

	probe_over(n);
	question_check(n);
}

/* ---- where the address leads: what every message meets on its way in ---- */

static enum rc
run_mapping(void *arg, struct ask *a)
{
	struct question *n = arg;
	const struct mapping_conf *c = &n->v->q->mapping->local;
	struct mapping_rcpt from = { 0 };
	struct mapping_rcpts to = { 0 };
	enum rc rc;

	n->e.text[0] = '\0';
	rc = mapping_address(
	    a, c, MAPPING_ENVELOPE_RECIPIENT, str_c(n->address), &from.address, &n->e);
	if (rc == RC_OK)
		rc = mapping_expand(a, c, &from, &to, &n->e);
	n->n_rcpts = to.n;
	n->rcpt = rc == RC_OK && to.n == 1 ? to.v[0].address : STR("");
	return rc;
}

static void
mapped(struct question *n, enum rc rc)
{
	if (rc != RC_OK) {
		log_warn(n->v->q->log, "probe for %s: %s", n->address, n->e.text);
		return; /* compat: who waits is told that it is in progress */
	}
	if (n->n_rcpts == 1)
		verify_probe(n->v->q, &n->v->ids, n->address, n->rcpt);
	else
		take_outcome(n, VERIFY_OK, STR(TEXT_ALIASED));
}

static void
on_mapped(void *arg, enum rc rc)
{
	mapped(arg, rc);
}

static void
start_mapping(struct question *n)
{
	struct queue *q = n->v->q;
	enum rc rc;

	n->mapping = (struct decide_run){
		.d = q->decide, .run = run_mapping, .done = on_mapped, .arg = n
	};
	arena_reset(q->limits_mem);
	rc = decide_run_start(&n->mapping, q->limits_mem);
	if (rc != RC_MORE)
		mapped(n, rc);
}

static void
start_probe(struct question *n)
{
	struct verify *v = n->v;
	struct queue *q = v->q;
	struct verify_record r = { VERIFY_TODO, now_s(v), 0, STR(TEXT_TODO) };

	if (v->n_probes >= (size_t)q->conf.address_verify_pending_request_limit) {
		log_warn(q->log, "%s: %s", n->address, TEXT_MANY);
		/* Not for the cache: who floods us with questions would make us defer
		 * for hours what others asked about meanwhile. */
		tell_all(n, RC_OK, VERIFY_DEFERRED, STR(TEXT_MANY));
		question_check(n);
		return;
	}
	if (n->has_record && !verify_is_expired(&v->conf, &n->record, now_s(v))) {
		r = n->record;
		r.probed_s = now_s(v);
	}
	if (r.updated_s != 0 || v->conf.keeps_negative) {
		set_record(n, &r);
		verify_store_put(v->store, str_c(n->address), &n->record);
	}
	n->has_probe = true;
	v->n_probes++;
	loop_timer_set(
	    q->w.loop, &n->lost, loop_now_us(q->w.loop) + VERIFY_PROBE_S * US_PER_SEC);
	start_mapping(n);
}

/* ---- questions ---- */

static struct question *
question_find(struct verify *v, struct str address)
{
	uint64_t hash = hmap_hash(&v->questions, address);
	struct hmap_node *n = hmap_first(&v->questions, hash);

	for (; n != NULL; n = hmap_more(n))
		if (str_is(
			address, CONTAINER_OF(n, struct question, by_address)->address))
			return CONTAINER_OF(n, struct question, by_address);
	return NULL;
}

/* The cache's answer. */
static void
on_got(void *arg, enum rc rc, struct str value)
{
	struct question *n = arg;
	struct verify *v = n->v;
	struct verify_record r;
	struct verify_plan plan;

	n->is_looking = false;
	if (rc == RC_OK && verify_record_parse(value, &r) == RC_OK)
		set_record(n, &r);
	if (n->has_outcome) {
		n->has_outcome = false;
		take_outcome(n, n->outcome, str_c(n->outcome_text));
		return;
	}
	if (rc != RC_OK && rc != RC_NONE) {
		tell_all(n, RC_TEMP, VERIFY_TODO, STR(""));
		question_check(n);
		return;
	}
	plan = verify_plan(&v->conf, n->has_record ? &n->record : NULL, now_s(v));
	if (plan.status != VERIFY_TODO)
		tell_all(n, RC_OK, plan.status, n->record.text);
	else
		tell_brief(n);
	if (plan.needs_probe)
		start_probe(n);
	else
		question_check(n);
}

/* NULL: too many. */
static struct question *
question_new(struct verify *v, struct str address)
{
	struct question *n;

	if (v->questions.n >= QUESTIONS_MAX)
		return NULL;
	n = mem_get(sizeof(*n));
	n->v = v;
	n->address = mem_str(address);
	list_init(&n->waits);
	loop_timer_init(&n->lost, on_lost, n);
	if (!verify_store_get(v->store, address, on_got, n)) {
		free(n->address);
		free(n);
		return NULL;
	}
	n->is_looking = true;
	hmap_put(&v->questions, hmap_hash(&v->questions, address), &n->by_address);
	return n;
}

void
verify_ask(struct queue *q, struct submitter *s, const struct wire_verify *m)
{
	struct verify *v = q->verify;
	struct str address = m->address;
	struct question *n = question_find(v, address);
	int64_t wait_us = m->wait_us < WAIT_MAX_US ? m->wait_us : WAIT_MAX_US;
	struct verify_plan plan;
	struct wait *w;

	if (n == NULL)
		n = question_new(v, address);
	if (n == NULL || v->n_waits >= WAITS_MAX || address.n == 0) {
		submit_verified(s, m->request, RC_TEMP, STR(TEXT_TROUBLE));
		return;
	}
	w = mem_get(sizeof(*w));
	w->question = n;
	w->s = s;
	w->request = m->request;
	w->is_brief = wait_us <= 0;
	loop_timer_init(&w->timer, on_patience, w);
	list_add_tail(&n->waits, &w->in_question);
	v->n_waits++;
	if (!n->is_looking) {
		plan = verify_plan(&v->conf, n->has_record ? &n->record : NULL, now_s(v));
		if (plan.status != VERIFY_TODO) {
			tell(w, RC_OK, plan.status, n->record.text);
			return;
		}
	}
	if (wait_us > 0 || n->is_looking)
		loop_timer_set(q->w.loop, &w->timer,
		    loop_now_us(q->w.loop) + (wait_us > 0 ? wait_us : US_PER_SEC));
	else
		tell(w, RC_OK, VERIFY_TODO, STR(TEXT_TODO));
}

void
verify_forget(struct queue *q, const struct submitter *s)
{
	struct verify *v = q->verify;
	struct hmap_node *it = NULL;
	size_t at = 0;

	/* A question without waiters ends with its probe, or when it is asked again. */
	while ((it = hmap_walk(&v->questions, &at, it)) != NULL) {
		struct question *n = CONTAINER_OF(it, struct question, by_address);

		LIST_EACH_SAFE (one, next, &n->waits) {
			struct wait *w = CONTAINER_OF(one, struct wait, in_question);

			if (w->s == s)
				wait_free(w);
		}
	}
}

void
verify_outcome(struct active *a, uint32_t i, const struct outcome *o)
{
	struct verify *v = a->q->verify;
	const struct spool_rcpt *r = &a->l.m.rcpts[i];
	struct str address = r->orig.n > 0 ? r->orig : r->address;
	struct str text = o->why.text.n > 0 ? o->why.text : STR("no reason given");
	enum verify_status status = o->what == DELIVERY_SENT       ? VERIFY_OK
				    : o->what == DELIVERY_EXPANDED ? VERIFY_OK
				    : o->what == DELIVERY_BOUNCED  ? VERIFY_BOUNCED
								   : VERIFY_DEFERRED;
	struct question *n = question_find(v, address);

	if (n == NULL)
		n = question_new(v, address); /* an earlier process asked */
	if (n == NULL)
		return;
	if (!n->is_looking) {
		take_outcome(n, status, text);
		return;
	}
	free(n->outcome_text);
	n->outcome_text = mem_str(text);
	n->outcome = status;
	n->has_outcome = true;
}

/* ---- life ---- */

static void
on_clean(void *arg)
{
	struct verify *v = arg;
	int64_t every_us = v->q->conf.address_verify_cache_cleanup_interval_us;

	verify_store_clean(v->store, &v->conf, now_s(v));
	if (every_us > 0)
		loop_timer_set(
		    v->q->w.loop, &v->clean, loop_now_us(v->q->w.loop) + every_us);
}

/* `fn` may free its question. */
static void
each_question(struct verify *v, void (*fn)(struct question *n))
{
	size_t at = 0;
	struct hmap_node *it = hmap_walk(&v->questions, &at, NULL);

	while (it != NULL) {
		struct question *n = CONTAINER_OF(it, struct question, by_address);

		it = hmap_walk(&v->questions, &at, it);
		fn(n);
	}
}

static void
stop_mapping(struct question *n)
{
	n->is_stopped = decide_run_is_waiting(&n->mapping);
	decide_run_cancel(&n->mapping);
}

static void
go_on_mapping(struct question *n)
{
	if (!n->is_stopped)
		return;
	n->is_stopped = false;
	if (n->has_probe)
		start_mapping(n);
}

void
verify_suspend(struct queue *q)
{
	each_question(q->verify, stop_mapping);
}

void
verify_use(struct queue *q)
{
	struct verify *v = q->verify;
	const struct conf_queue *c = &q->conf;
	int64_t every_us = c->address_verify_cache_cleanup_interval_us;

	v->conf = (struct verify_conf){
		.positive_expire_s =
		    c->address_verify_positive_expire_time_us / US_PER_SEC,
		.positive_refresh_s =
		    c->address_verify_positive_refresh_time_us / US_PER_SEC,
		.negative_expire_s =
		    c->address_verify_negative_expire_time_us / US_PER_SEC,
		.negative_refresh_s =
		    c->address_verify_negative_refresh_time_us / US_PER_SEC,
		.keeps_negative = c->address_verify_negative_cache,
	};
	verify_store_use(v->store, q->log, c->address_verify_map);
	loop_timer_cancel(q->w.loop, &v->clean);
	if (every_us > 0)
		loop_timer_set(q->w.loop, &v->clean, loop_now_us(q->w.loop) + every_us);
	each_question(v, go_on_mapping);
}

void
verify_init(struct queue *q)
{
	struct verify *v = mem_get(sizeof(*v));

	v->q = q;
	v->store = verify_store_new(q);
	hmap_init(&v->questions, q->seed);
	loop_timer_init(&v->clean, on_clean, v);
	q->verify = v;
	verify_use(q);
}
