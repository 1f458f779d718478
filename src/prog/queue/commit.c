/* The commit pipeline: one sync in flight; everything that arrives meanwhile shares the
 * next. A batch with puts starts at the end of the round; one with changes only waits a
 * few milliseconds for company, because nobody's answer depends on it.
 *
 * Invariant: commit_job / prepare_job belong to the pool's thread while is_committing /
 * is_preparing, and to nobody else. */
#include <stdio.h>
#include <string.h>
#include "prog/queue/queue.h"

#define COMPANY_US (5 * US_PER_MS)
/* Between attempts while the disk fails. */
#define RETRY_MIN_US (200 * US_PER_MS)
#define RETRY_MAX_US (25 * US_PER_SEC)
/* Compaction: this much at a time, this often while there is something to move. */
#define COMPACT_BYTES   ((size_t)1 << 20)
#define COMPACT_BUSY_US (50 * US_PER_MS)
#define COMPACT_IDLE_US (5 * US_PER_SEC)

static void
commit_run(void *arg)
{
	spool_job_run(((struct queue *)arg)->commit_job);
}

static void
prepare_run(void *arg)
{
	spool_job_run(((struct queue *)arg)->prepare_job);
}

/* Trouble is logged when it is new, and everything waits longer each time. */
static void
note_trouble(struct queue *q, const struct err *trouble)
{
	int64_t now_us = loop_now_us(q->w.loop);

	if (strcmp(q->trouble, trouble->text) != 0) {
		(void)snprintf(q->trouble, sizeof(q->trouble), "%s", trouble->text);
		log_warn(q->log, "%s", trouble->text);
	}
	if (q->trouble_since_us == 0) {
		q->trouble_since_us = now_us;
		q->retry_wait_us = RETRY_MIN_US;
	} else if (q->retry_at_us <= now_us) {
		q->retry_wait_us *= 5;
		if (q->retry_wait_us > RETRY_MAX_US)
			q->retry_wait_us = RETRY_MAX_US;
	}
	q->retry_at_us = now_us + q->retry_wait_us;
}

static void
report(struct queue *q, const struct spool_outcomes *o, bool is_commit)
{
	if (o->trouble.text[0] != '\0') {
		note_trouble(q, &o->trouble);
		q->has_commit_failed |= is_commit;
	} else if (q->trouble_since_us != 0 && (is_commit || !q->has_commit_failed)) {
		log_info(q->log, "spool: the disk works again");
		q->trouble_since_us = q->retry_at_us = 0;
		q->trouble[0] = '\0';
		q->has_commit_failed = false;
	}
	for (size_t i = 0; i < o->n; i++)
		submit_outcome(q, &o->v[i]);
	if (o->trouble.text[0] != '\0')
		submit_state(q);
	else if (is_commit)
		submit_grant_waiting(q);
}

/* After a failure the disk gets a pause, and we some sleep. */
static bool
must_wait(struct queue *q)
{
	if (q->retry_at_us <= loop_now_us(q->w.loop))
		return false;
	loop_timer_set(q->w.loop, &q->commit_timer, q->retry_at_us);
	return true;
}

static void prepare(struct queue *q);

static void
prepare_done(void *arg)
{
	struct queue *q = arg;
	struct spool_outcomes o = { 0 };

	q->is_preparing = false;
	spool_prepare_end(q->spool, &q->prepare_job, &o);
	report(q, &o, false);
	prepare(q);
	commit_wake(q);
	queue_check_stop(q);
}

static void
prepare(struct queue *q)
{
	if (q->is_preparing || must_wait(q) ||
	    !spool_prepare_begin(q->spool, &q->prepare_job))
		return;
	q->is_preparing = true;
	loop_offload(q->w.loop, prepare_run, prepare_done, q);
}

static void
commit_done(void *arg)
{
	struct queue *q = arg;
	struct spool_outcomes o = { 0 };

	q->is_committing = false;
	spool_commit_end(q->spool, &q->commit_job, &o);
	report(q, &o, true);
	prepare(q);
	commit_wake(q);
	queue_check_stop(q);
}

static void
begin(struct queue *q)
{
	struct err e = { 0 };

	loop_timer_cancel(q->w.loop, &q->commit_timer);
	if (must_wait(q))
		return;
	results_flush(q);
	switch (spool_commit_begin(q->spool, &q->commit_job, &e)) {
	case RC_OK:
		q->is_committing = true;
		loop_offload(q->w.loop, commit_run, commit_done, q);
		break;
	case RC_MORE:
		prepare(q);
		break;
	case RC_NONE:
		break;
	case RC_TEMP:
	case RC_PERM:
		/* What memory says and what the disk has may differ now; recovery will
		 * tell. */
		log_fatal(q->log, "spool: %s", e.text);
		loop_stop(q->w.loop);
		break;
	}
}

static void
commit_look(void *arg)
{
	struct queue *q = arg;
	enum spool_waiting waiting;

	if (q->is_committing || q->spool == NULL)
		return;
	waiting = spool_waiting(q->spool);
	if (waiting == SPOOL_WAITING_NONE && !list_is_empty(&q->dirty))
		waiting = SPOOL_WAITING_CHANGES;
	switch (waiting) {
	case SPOOL_WAITING_NONE:
		break;
	case SPOOL_WAITING_PUTS:
		begin(q);
		break;
	case SPOOL_WAITING_CHANGES:
		if (!loop_timer_is_set(&q->commit_timer))
			loop_timer_set(q->w.loop, &q->commit_timer,
			    loop_now_us(q->w.loop) + COMPANY_US);
		break;
	}
}

static void
commit_late(void *arg)
{
	struct queue *q = arg;

	if (q->retry_at_us != 0)
		prepare(q);
	if (!q->is_committing)
		begin(q);
}

static void
compact(void *arg)
{
	struct queue *q = arg;
	int64_t again_us = COMPACT_IDLE_US;

	if (!q->is_stopping && spool_compact_step(q->spool, COMPACT_BYTES) == RC_OK) {
		again_us = COMPACT_BUSY_US;
		commit_wake(q);
	}
	prepare(q);
	loop_timer_set(q->w.loop, &q->compact_timer, loop_now_us(q->w.loop) + again_us);
}

void
commit_wake(struct queue *q)
{
	loop_soon(q->w.loop, &q->commit_task);
}

bool
commit_is_idle(const struct queue *q)
{
	return !q->is_committing && !q->is_preparing && list_is_empty(&q->dirty) &&
	       spool_waiting(q->spool) == SPOOL_WAITING_NONE;
}

bool
commit_is_stuck(const struct queue *q)
{
	return !q->is_committing && !q->is_preparing &&
	       q->retry_at_us > loop_now_us(q->w.loop);
}

void
commit_init(struct queue *q)
{
	list_init(&q->dirty);
	loop_task_init(&q->commit_task, commit_look, q);
	loop_timer_init(&q->commit_timer, commit_late, q);
	loop_timer_init(&q->compact_timer, compact, q);
	loop_timer_set(
	    q->w.loop, &q->compact_timer, loop_now_us(q->w.loop) + COMPACT_IDLE_US);
	prepare(q);
	commit_wake(q);
}
