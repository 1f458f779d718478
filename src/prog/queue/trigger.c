/* public/qmgr: single bytes that ask for something, as Postfix's programs send them; and
 * public/flush: one message by its queue id. */
#include "prog/queue/queue.h"

void
trigger_bytes(struct queue *q, struct str bytes)
{
	bool is_flush = str_find(bytes, 'A') < bytes.n;

	for (size_t i = 0; i < bytes.n; i++) {
		switch (bytes.p[i]) { /* compat */
		case 'F':             /* what is dead is tried again */
			sched_revive(q->sched);
			dispatch_wake(q);
			break;
		case 'D': /* deferred mail; with 'A' whatever its time */
			if (!is_flush)
				scan_deferred(q);
			break;
		case 'A':
			scan_flush_all(q);
			break;
		case 'I': /* new mail needs no scan here, but asking does no harm */
		case 'W':
			activate_wake(q);
			break;
		default:
			break; /* compat: ignored */
		}
	}
}

static void
trigger_step(struct client *c, unsigned events)
{
	enum rc rc = client_read(c);

	/* Postfix's clients write once and close; whoever goes on talking is cut off. */
	trigger_bytes(c->q, buf_view(&c->in));
	buf_reset(&c->in);
	if (rc != RC_OK || (events & LOOP_HANGUP) != 0)
		client_free(&c);
}

void
trigger_visit(struct queue *q, int fd)
{
	struct client *c = client_new(q, fd, trigger_step);

	loop_io_want(q->w.loop, &c->io, LOOP_READ);
}

/* ---- public/flush: "request", "send_file", "queue_id", ID, "" all ended by NUL ---- */

/* RC_MORE: not all there yet. */
static enum rc
flush_parse(struct str in, struct str *out_id)
{
	struct str word[5];

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (!str_cut(in, '\0', &word[i], &in))
			return RC_MORE;
	if (!str_is(word[0], "request") || !str_is(word[1], "send_file") ||
	    !str_is(word[2], "queue_id") || word[4].n != 0)
		return RC_PERM;
	*out_id = word[3];
	return RC_OK;
}

static void
flush_step(struct client *c, unsigned events)
{
	struct str id;
	enum rc rc = client_read(c), parsed = flush_parse(buf_view(&c->in), &id);

	if (parsed == RC_OK) {
		/* compat: a message that is not there is not an error of the service */
		if (scan_flush_one(c->q, id) != RC_OK)
			log_info(c->q->log, "flush request for %.*s: no such message",
			    STR_ARG(id));
		c->is_over = buf_put(&c->out, str_n("status\0"
						    "0\0\0",
						  10)) != RC_OK ||
			     client_write(c) != RC_MORE;
	}
	if (c->is_over || rc != RC_OK || parsed == RC_PERM || (events & LOOP_HANGUP) != 0)
		client_free(&c);
}

void
flush_visit(struct queue *q, int fd)
{
	struct client *c = client_new(q, fd, flush_step);

	loop_io_want(q->w.loop, &c->io, LOOP_READ);
}
