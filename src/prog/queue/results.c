/* What became of recipients, and what becomes of the message then. Memory has the newest
 * state; the spool gets it before each commit. */
#include <stdlib.h>
#include <string.h>
#include "agent/delivery.h"
#include "agent/log_address.h"
#include "prog/queue/queue.h"

/* ---- outcomes ---- */

void
results_dirty(struct active *a)
{
	if (list_is_empty(&a->in_dirty))
		list_add_tail(&a->q->dirty, &a->in_dirty);
	commit_wake(a->q);
}

static bool
same_reason(const struct spool_reason *a, const struct spool_reason *b)
{
	return str_eq(a->text, b->text) && str_eq(a->dsn, b->dsn) &&
	       str_eq(a->mta, b->mta) && str_eq(a->diag, b->diag) &&
	       str_eq(a->diag_type, b->diag_type) && str_eq(a->action, b->action);
}

/* 1 + its index. Recipients of one job usually share the reason, so only the last is
 * compared. */
static uint16_t
reason_add(struct active *a, const struct spool_reason *r)
{
	struct spool_reason *v;

	if (a->n_reasons > 0 && same_reason(&a->reasons[a->n_reasons - 1], r))
		return (uint16_t)a->n_reasons;
	if (a->n_reasons >= SPOOL_REASONS_MAX)
		return (uint16_t)a->n_reasons;
	if (a->n_reasons == a->cap_reasons) {
		v = arena_array(a->mem, a->cap_reasons * 2 + 4, sizeof(*v));
		if (v == NULL)
			return (uint16_t)a->n_reasons;
		if (a->n_reasons > 0)
			memcpy(v, a->reasons, a->n_reasons * sizeof(*v));
		a->reasons = v;
		a->cap_reasons = a->cap_reasons * 2 + 4;
	}
	a->reasons[a->n_reasons++] =
	    (struct spool_reason){ .dsn = arena_str(a->mem, r->dsn),
		    .text = arena_str(a->mem, r->text),
		    .mta = arena_str(a->mem, r->mta),
		    .diag = arena_str(a->mem, r->diag),
		    .diag_type = arena_str(a->mem, r->diag_type),
		    .action = arena_str(a->mem, r->action) };
	return (uint16_t)a->n_reasons;
}

static bool
is_question(const struct active *a)
{
	return (a->l.m.facts & (MESSAGE_IS_PROBE | MESSAGE_VERIFY_ONLY)) != 0;
}

static enum spool_rcpt_what
next_what(const struct active *a, uint32_t i, enum delivery_what what)
{
	/* Nothing was delivered, and nothing is to be tried again. */
	if (is_question(a))
		return SPOOL_RCPT_DONE;
	switch (what) {
	case DELIVERY_SENT:
	case DELIVERY_EXPANDED:
		return a->l.m.sender.n > 0 &&
			       fate_tells(a->l.m.rcpts[i].notify, FATE_SUCCESS)
			   ? SPOOL_RCPT_REPORT
			   : SPOOL_RCPT_DONE;
	case DELIVERY_BOUNCED:
	case DELIVERY_EXPIRED:
		return SPOOL_RCPT_FAILED;
	case DELIVERY_DEFERRED:
		return SPOOL_RCPT_DEFERRED;
	}
	return SPOOL_RCPT_DEFERRED;
}

void
results_note(struct active *a, uint32_t i, const struct outcome *o)
{
	struct active_rcpt *r = &a->rcpts[i];

	r->is_open = false;
	r->what = (uint8_t)next_what(a, i, o->what);
	/* The next server has promised to report. */
	if (r->what == SPOOL_RCPT_REPORT && str_is(o->why.action, "none"))
		r->what = SPOOL_RCPT_DONE;
	r->reason = r->what == SPOOL_RCPT_DONE ? 0 : reason_add(a, &o->why);
	if (a->report != NULL)
		report_note(a, i, o);
	if ((a->l.m.facts & MESSAGE_IS_PROBE) != 0)
		verify_outcome(a, i, o);
	results_dirty(a);
}

void
results_log(struct active *a, struct log *log, uint32_t i, const struct outcome *o)
{
	struct queue *q = a->q;
	const struct spool_rcpt *r = &a->l.m.rcpts[i];
	struct str orig = r->orig.n > 0 ? r->orig : r->address;
	struct delivery_times t = { .arrival_us = a->l.m.arrival_us,
		.active_us = a->active_us,
		.delivering_us = loop_wall_us(q->w.loop),
		.now_us = loop_wall_us(q->w.loop),
		.resolution = (int)q->conf.delay_logging_resolution_limit };
	char space[DELIVERY_DELAYS_MAX];
	struct str delays = delivery_delays(&t, space);

	log_begin(log, LOG_LEVEL_INFO);
	log_put(log, a->qid);
	log_put_address(log, ": to=<", a->rcpts[i].address);
	if (orig.n > 0 && !str_ieq(orig, a->rcpts[i].address))
		log_put_address(log, ">, orig_to=<", orig);
	/* compat */
	log_putf(log, ">, relay=none, %.*s, dsn=%.*s, status=%s (%.*s)", STR_ARG(delays),
	    STR_ARG(o->why.dsn),
	    !is_question(a)            ? delivery_what_name(o->what)
	    : o->what == DELIVERY_SENT ? "deliverable"
				       : "undeliverable",
	    STR_ARG(o->why.text));
	log_end(log);
}

/* ---- the state, for the spool ---- */

enum rc
results_state(const struct active *a, struct arena *mem, struct spool_state *out)
{
	size_t n = a->l.m.n_rcpts, n_reasons = 0;
	struct spool_rcpt_state *v = arena_array(mem, n, sizeof(*v));
	struct spool_reason *reasons =
	    arena_array(mem, a->n_reasons + 1, sizeof(*reasons));
	uint16_t *map = arena_array(mem, a->n_reasons + 1, sizeof(*map));

	if (v == NULL || reasons == NULL || map == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < n; i++) {
		const struct active_rcpt *r = &a->rcpts[i];
		size_t at = r->reason;

		v[i].what = r->what;
		if (at == 0 || r->what == SPOOL_RCPT_DONE ||
		    r->what == SPOOL_RCPT_PENDING)
			continue;
		if (map[at] == 0) {
			reasons[n_reasons++] = a->reasons[at - 1];
			map[at] = (uint16_t)n_reasons;
		}
		v[i].reason = map[at];
	}
	*out = (struct spool_state){ .next_try_us = a->next_try_us,
		.last_try_us = a->last_try_us,
		.n_attempts = a->n_attempts,
		.flags = a->flags,
		.rcpts = v,
		.n_rcpts = n,
		.reasons = reasons,
		.n_reasons = n_reasons };
	return RC_OK;
}

/* Too many long texts for a record. Who has got the message counts for more than why
 * others have not: without it they would all get it again, at once and for ever. */
static enum rc
write_without_reasons(struct active *a, struct spool_state *st, struct err *e)
{
	struct spool_rcpt_state *v = arena_array(a->q->scratch, st->n_rcpts, sizeof(*v));

	if (v == NULL)
		return RC_TEMP;
	log_warn(a->q->log, "%.*s: %s: reasons are left out", STR_ARG(a->qid), e->text);
	for (size_t i = 0; i < st->n_rcpts; i++)
		v[i].what = st->rcpts[i].what;
	st->rcpts = v;
	st->n_reasons = 0;
	return spool_update(a->q->spool, a->number, st, e);
}

static enum rc
write_state(struct active *a, struct err *e)
{
	struct spool_state st;
	enum rc rc;

	if (a->is_finished)
		return spool_delete(a->q->spool, a->number, e);
	arena_reset(a->q->scratch);
	rc = results_state(a, a->q->scratch, &st);
	if (rc == RC_OK)
		rc = spool_update(a->q->spool, a->number, &st, e);
	return rc == RC_PERM ? write_without_reasons(a, &st, e) : rc;
}

void
results_flush(struct queue *q)
{
	LIST_EACH_SAFE (it, next, &q->dirty) {
		struct active *a = CONTAINER_OF(it, struct active, in_dirty);
		struct err e = { 0 };
		enum rc rc = write_state(a, &e);

		if (rc == RC_TEMP)
			return; /* all of it later */
		if (rc == RC_PERM)
			log_error(q->log, "%.*s: cannot store its state: %s",
			    STR_ARG(a->qid), e.text);
		list_remove(&a->in_dirty);
		if (a->is_settled)
			active_free(&a);
	}
}

/* ---- the end of a round ---- */

static bool
expire(struct active *a)
{
	struct queue *q = a->q;
	struct fate_mail m = { .arrival_us = a->l.m.arrival_us,
		.is_bounce = a->l.m.sender.n == 0,
		.is_forced = (a->flags & SPOOL_EXPIRED) != 0 };
	bool has_any = false;

	if (!fate_is_expired(&q->fate, &m, loop_wall_us(q->w.loop)))
		return false;
	for (size_t i = 0; i < a->l.m.n_rcpts; i++) {
		if (a->rcpts[i].what != SPOOL_RCPT_DEFERRED)
			continue;
		a->rcpts[i].what = SPOOL_RCPT_FAILED;
		has_any = true;
	}
	if (!has_any)
		return false;
	results_dirty(a);
	/* compat */
	log_begin(q->log, LOG_LEVEL_INFO);
	log_put(q->log, a->qid);
	log_put_address(q->log, ": from=<", a->l.m.sender);
	log_putf(q->log, ">, status=%s, returned to sender",
	    m.is_forced ? "force-expired" : "expired");
	log_end(q->log);
	return true;
}

static void
settle(struct active *a)
{
	struct queue *q = a->q;
	int64_t now_us = loop_wall_us(q->w.loop);
	struct fate_mail m = { .arrival_us = a->l.m.arrival_us };
	size_t n_left = 0;

	for (size_t i = 0; i < a->l.m.n_rcpts; i++)
		n_left += a->rcpts[i].what != SPOOL_RCPT_DONE;
	a->is_settled = true;
	if (n_left == 0) {
		a->is_finished = true;
		log_begin(q->log, LOG_LEVEL_INFO);
		log_put(q->log, a->qid);
		log_put(q->log, STR(": removed")); /* compat */
		log_end(q->log);
	} else {
		a->flags |= SPOOL_DEFERRED;
		a->n_attempts++;
		a->last_try_us = now_us;
		a->next_try_us = fate_next_try(&q->fate, &m, now_us);
	}
	results_dirty(a);
}

void
results_check(struct active *a)
{
	if (a->is_busy || a->is_routing || a->is_settled || !list_is_empty(&a->jobs))
		return;
	if (a->sched != NULL &&
	    sched_msg_busy(a->sched) + sched_msg_waiting(a->sched) > 0)
		return;
	if (a->is_gone) {
		active_free(&a);
		return;
	}
	if ((a->flags & SPOOL_HELD) == 0) {
		(void)expire(a);
		if (notify_next(a))
			return;
	}
	settle(a);
}

/* Once this notice is written nothing is left to do for the recipient. */
static bool
concerns_only(const struct active *a, enum fate_news news, uint32_t i)
{
	switch (news) {
	case FATE_FAILURE:
	case FATE_SUCCESS:
		return true;
	case FATE_REPORT: /* it says what a notice of success would */
		return a->rcpts[i].what == SPOOL_RCPT_REPORT;
	case FATE_DELAY:
		break;
	}
	return false;
}

void
results_notice(struct active *a, const struct job *j, bool ok)
{
	if (!ok)
		a->told |= (unsigned)j->news; /* again with the next attempt */
	for (size_t i = 0; ok && i < j->n_rcpts; i++)
		if (concerns_only(a, j->news, j->rcpts[i]))
			a->rcpts[j->rcpts[i]].what = SPOOL_RCPT_DONE;
	if (ok && j->news == FATE_DELAY)
		a->flags |= SPOOL_WARNED;
	if (ok && j->news == FATE_REPORT)
		a->report = NULL;
	results_dirty(a);
}
