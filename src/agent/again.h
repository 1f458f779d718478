#ifndef AGENT_AGAIN_H
#define AGENT_AGAIN_H
#include "loop/loop.h"

/* Asking for a channel that was lost, less and less often: one that breaks at once, again
 * and again, is no use. Pauses double from the first to a minute; a channel that lasted a
 * minute makes the next pause the first one. */
struct again {
	struct loop *loop;
	struct loop_timer timer;
	void (*ask)(void *arg); /* NULL: nobody can bring another */
	void *arg;
	int64_t first_us, pause_us, found_us;
};

void again_init(struct again *a, struct loop *l, int64_t first_us);
/* There is none any more: asks after a pause, and on until again_found(). */
void again_lost(struct again *a);
void again_found(struct again *a);
/* Asks no more, until the next is lost. */
void again_cancel(struct again *a);
#endif
