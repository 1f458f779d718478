/* Who is told what at the end of a round: failures, successes that were asked for,
 * delays. One job for the bounce service at a time; the deletion of the message waits for
 * it. */
#include <stdlib.h>
#include "prog/queue/queue.h"

/* What a job holds; more recipients make more notices. Texts come from servers that may
 * be hostile, and a frame that is too long would close the channel. */
#define RCPTS_PER_NOTICE 1000
#define BYTES_PER_NOTICE ((size_t)2 << 20)

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
	case FATE_REPORT:
		return a->report[i].what != 0;
	}
	return false;
}

/* Not before something else was done in this round, or not at all. */
static bool
is_due(struct active *a, enum fate_news news)
{
	struct fate_mail m = fate_of(a);

	switch (news) {
	case FATE_FAILURE:
		break;
	case FATE_SUCCESS:
		return a->report == NULL; /* which says it */
	case FATE_REPORT:
		return a->report != NULL;
	case FATE_DELAY:
		return fate_wants_warning(&a->q->fate, &m, loop_wall_us(a->q->w.loop));
	}
	return true;
}

bool
notify_is_by_itself(const struct active *a, enum fate_news news)
{
	return news == FATE_FAILURE && a->l.m.verp.n == 2 &&
	       !a->q->conf.disable_verp_bounces;
}

/* How much of the job's frame it takes. */
static size_t
bytes_of(const struct active *a, size_t i)
{
	const struct spool_rcpt *r = &a->l.m.rcpts[i];
	const struct active_rcpt *now = &a->rcpts[i];
	const struct spool_reason *y =
	    now->reason != 0 ? &a->reasons[now->reason - 1] : NULL;
	size_t n = now->address.n + r->orig.n + r->orcpt.n + 128;

	if (a->report != NULL)
		y = &a->report[i].why;

	return y == NULL ? n : n + y->text.n + y->mta.n + y->diag.n + 64;
}

/* Who is not to be told is done at once. */
static size_t
collect(struct active *a, enum fate_news news, uint32_t *out, bool *out_is_full)
{
	size_t n = 0, bytes = 0;

	*out_is_full = false;
	for (size_t i = 0; i < a->l.m.n_rcpts && !*out_is_full; i++) {
		if (!concerns(a, i, news))
			continue;
		if (news == FATE_REPORT || fate_tells(a->l.m.rcpts[i].notify, news)) {
			out[n++] = (uint32_t)i;
			bytes += bytes_of(a, i);
			*out_is_full = n == RCPTS_PER_NOTICE ||
				       bytes >= BYTES_PER_NOTICE ||
				       notify_is_by_itself(a, news);
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
	static const enum fate_news order[] = { FATE_FAILURE, FATE_REPORT, FATE_SUCCESS,
		FATE_DELAY };
	uint32_t *v;
	bool is_full;
	size_t n;

	for (size_t k = 0; k < ARRAY_LEN(order); k++) {
		if ((a->told & (unsigned)order[k]) != 0)
			continue;
		if (!is_due(a, order[k])) {
			a->told |= (unsigned)order[k];
			continue;
		}
		v = mem_array(RCPTS_PER_NOTICE, sizeof(*v));
		n = collect(a, order[k], v, &is_full);
		if (!is_full || order[k] == FATE_DELAY || order[k] == FATE_REPORT)
			a->told |= (unsigned)order[k];
		if (n > 0) {
			dispatch_notice(a, order[k], v, n);
			return true;
		}
		free(v);
	}
	return false;
}
