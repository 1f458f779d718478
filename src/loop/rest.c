/* A listener that found no descriptor is asked again later; see loop.h. */
#include "loop/loop.h"

#define REST_US US_PER_SEC

static void
on_rested(void *arg)
{
	struct loop_rest *r = arg;

	loop_io_want(r->loop, r->io, LOOP_READ);
}

void
loop_rest_init(struct loop_rest *r, struct loop *l, struct loop_io *io)
{
	*r = (struct loop_rest){ .loop = l, .io = io };
	loop_timer_init(&r->timer, on_rested, r);
}

void
loop_rest_begin(struct loop_rest *r)
{
	loop_io_want(r->loop, r->io, 0);
	loop_timer_set(r->loop, &r->timer, loop_now_us(r->loop) + REST_US);
}

bool
loop_rest_is_on(const struct loop_rest *r)
{
	return loop_timer_is_set(&r->timer);
}

void
loop_rest_cancel(struct loop_rest *r)
{
	loop_timer_cancel(r->loop, &r->timer);
}
