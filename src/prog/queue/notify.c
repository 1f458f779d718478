/* Who is told what at the end of a round: failures, successes that were asked for,
 * delays. One job for the bounce service at a time; the deletion of the message waits for
 * it. */
#include <stdlib.h>
#include "prog/queue/queue.h"

#define RCPTS_PER_NOTICE 1000 /* what a job holds; more recipients make more notices */

static struct fate_mail
fate_of(const struct active *a)
{
	return (struct fate_mail){ .arrival_us = a->l.m.arrival_us,
		.is_bounce = a->l.m.sender.n == 0,
		.is_forced = (a->flags & SPOOL_EXPIRED) != 0,
		.was_warned = (a->flags & SPOOL_WARNED) != 0 };
}

static bool
concerns(const struct active *a, size_t i, enum fate_news news)
{
	switch (news) {
	case FATE_FAILURE:
		return a->rcpts[i].what == SPOOL_RCPT_FAILED;
	case FATE_SUCCESS:
		return a->rcpts[i].what == SPOOL_RCPT_REPORT;
	case FATE_DELAY:
		return a->rcpts[i].what == SPOOL_RCPT_DEFERRED;
	}
	return false;
}

/* Who is not to be told is done at once. */
static size_t
collect(struct active *a, enum fate_news news, uint32_t *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < a->l.m.n_rcpts && n < max; i++) {
		if (!concerns(a, i, news))
			continue;
		if (fate_tells(a->l.m.rcpts[i].notify, news)) {
			out[n++] = (uint32_t)i;
		} else if (news != FATE_DELAY) {
			a->rcpts[i].what = SPOOL_RCPT_DONE;
			results_dirty(a);
		}
	}
	return n;
}

bool
notify_next(struct active *a)
{
	static const enum fate_news order[] = { FATE_FAILURE, FATE_SUCCESS, FATE_DELAY };
	struct fate_mail m = fate_of(a);
	uint32_t *v;
	size_t n;

	for (size_t k = 0; k < ARRAY_LEN(order); k++) {
		if ((a->told & (unsigned)order[k]) != 0)
			continue;
		if (order[k] == FATE_DELAY &&
		    !fate_wants_warning(&a->q->fate, &m, loop_wall_us(a->q->w.loop))) {
			a->told |= FATE_DELAY;
			continue;
		}
		v = mem_array(RCPTS_PER_NOTICE, sizeof(*v));
		n = collect(a, order[k], v, RCPTS_PER_NOTICE);
		if (n < RCPTS_PER_NOTICE || order[k] == FATE_DELAY)
			a->told |= (unsigned)order[k];
		if (n > 0) {
			dispatch_notice(a, order[k], v, n);
			return true;
		}
		free(v);
	}
	return false;
}
