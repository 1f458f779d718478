/* When deferred mail is looked at: every queue_run_delay, and when somebody asks. */
#include "prog/queue/queue.h"

#define TOUCHED_PER_ROUND 20000

void
scan_deferred(struct queue *q)
{
	q->is_scanning = true;
	activate_wake(q);
}

static void
scan_time(void *arg)
{
	struct queue *q = arg;

	scan_deferred(q);
	loop_timer_set(q->w.loop, &q->scan_timer,
	    loop_now_us(q->w.loop) + q->conf.queue_run_delay_us);
}

/* Makes everything due, a part a round: a million messages must not stop the mail. */
static void
flush_some(void *arg)
{
	struct queue *q = arg;
	struct spool_info info;
	int64_t now_us = loop_wall_us(q->w.loop);

	for (int i = 0; i < TOUCHED_PER_ROUND; i++) {
		if (spool_list(q->spool, &q->flush_cursor, &info) != RC_OK) {
			q->is_flushing = false;
			break;
		}
		if ((info.flags & (SPOOL_HELD | SPOOL_CLAIMED)) == 0 &&
		    info.next_try_us > now_us)
			spool_touch(q->spool, info.number, now_us);
	}
	q->is_flush_scan = true;
	scan_deferred(q);
	if (q->is_flushing)
		loop_soon(q->w.loop, &q->flush_task);
}

void
scan_flush_all(struct queue *q)
{
	q->is_flushing = true;
	q->flush_cursor = 0;
	loop_soon(q->w.loop, &q->flush_task);
}

enum rc
scan_flush_one(struct queue *q, struct str id)
{
	struct spool_info info;
	enum rc rc = spool_find_id(q->spool, id, &info);

	if (rc != RC_OK)
		return RC_NONE;
	if ((info.flags & (SPOOL_HELD | SPOOL_CLAIMED)) == 0)
		activate_fresh(q, info.number, true);
	return RC_OK;
}

void
scan_init(struct queue *q)
{
	loop_task_init(&q->flush_task, flush_some, q);
	loop_timer_init(&q->scan_timer, scan_time, q);
	/* What the last run left behind is looked at right away. */
	scan_time(q);
}
