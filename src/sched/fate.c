/* Back-off, lifetimes, who is told what. */
#include "sched/fate.h"

int64_t
fate_next_try(const struct fate_conf *c, const struct fate_mail *m, int64_t now_us)
{
	int64_t wait_us = now_us - m->arrival_us;

	if (wait_us < c->minimal_backoff_us)
		wait_us = c->minimal_backoff_us;
	if (wait_us > c->maximal_backoff_us)
		wait_us = c->maximal_backoff_us;
	return now_us + wait_us;
}

bool
fate_is_expired(const struct fate_conf *c, const struct fate_mail *m, int64_t now_us)
{
	int64_t life_us = c->maximal_lifetime_us;

	/* A bounce never lives longer than other mail (compat). */
	if (m->is_bounce && c->bounce_lifetime_us < life_us)
		life_us = c->bounce_lifetime_us;
	return m->is_forced || now_us - m->arrival_us >= life_us;
}

bool
fate_wants_warning(const struct fate_conf *c, const struct fate_mail *m, int64_t now_us)
{
	return c->delay_warning_us > 0 && !m->was_warned && !m->is_bounce &&
	       now_us - m->arrival_us >= c->delay_warning_us;
}

bool
fate_tells(uint8_t notify, enum fate_news news)
{
	if (notify == 0)
		return news == FATE_FAILURE || news == FATE_DELAY;
	return (notify & 1) == 0 && (notify & (unsigned)news) != 0;
}
