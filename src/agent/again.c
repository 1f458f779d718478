/* Pauses between questions for a channel. */
#include "agent/again.h"

#define LAST_US (60 * US_PER_SEC)

static void
ask_later(struct again *a)
{
	loop_timer_set(a->loop, &a->timer, loop_now_us(a->loop) + a->pause_us);
	a->pause_us = a->pause_us < LAST_US / 2 ? 2 * a->pause_us : LAST_US;
}

static void
on_timer(void *arg)
{
	struct again *a = arg;

	a->ask(a->arg);
	ask_later(a);
}

void
again_init(struct again *a, struct loop *l, int64_t first_us)
{
	*a = (struct again){ .loop = l, .first_us = first_us, .pause_us = first_us };
	loop_timer_init(&a->timer, on_timer, a);
}

void
again_lost(struct again *a)
{
	if (a->ask == NULL)
		return;
	if (loop_now_us(a->loop) - a->found_us >= LAST_US)
		a->pause_us = a->first_us;
	ask_later(a);
}

void
again_found(struct again *a)
{
	again_cancel(a);
	a->found_us = loop_now_us(a->loop);
}

void
again_cancel(struct again *a)
{
	loop_timer_cancel(a->loop, &a->timer);
}
