/* public/showq: the queue in Postfix's listing protocol, for postqueue, mailq and
 * exporters. It is made while it is read: a portion a round, and none while the reader is
 * behind. */
#include "agent/queue_view.h"
#include "prog/queue/queue.h"

#define PORTION_BYTES ((size_t)64 * 1024)
#define PORTION_MAIL  500 /* messages looked at in one round for one reader */

static void
produce(struct client *c)
{
	struct queue *q = c->q;
	struct spool_info info;

	for (int i = 0; i < PORTION_MAIL && c->out.n < PORTION_BYTES; i++) {
		if (spool_list(q->spool, &c->cursor, &info) != RC_OK) {
			/* `out` has room: it is at most a portion and a message full. */
			c->is_over = queue_view_list_end(&c->out) != RC_TEMP;
			return;
		}
		if (queue_view_list_item(q->spool, &info, q->scratch, &c->out) == RC_TEMP)
			log_warn(q->log, "%s: too large to be listed",
			    spool_info_id(&info).text);
	}
}

static void
step(struct client *c, unsigned events)
{
	if ((events & LOOP_HANGUP) != 0) {
		client_free(&c);
		return;
	}
	if (!c->is_over)
		produce(c);
	switch (client_write(c)) {
	case RC_OK:
		if (c->is_over)
			client_free(&c);
		break;
	case RC_MORE:
	case RC_NONE:
		break;
	case RC_TEMP:
	case RC_PERM:
		client_free(&c);
		break;
	}
}

void
showq_visit(struct queue *q, int fd)
{
	struct client *c = client_new(q, fd, step);

	c->is_over = queue_view_list_head(&c->out) != RC_OK;
	loop_io_want(q->w.loop, &c->io, LOOP_WRITE);
}
