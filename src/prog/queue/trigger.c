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

/* ---- public/flush: "request", "send_file", "queue_id", ID, "" all ended by NUL; or
 * "send_site", "site", DOMAIN in their places ---- */

/* RC_MORE: not all there yet. */
static enum rc
flush_parse(struct str in, bool *out_is_site, struct str *out)
{
	struct str word[5];
	bool is_site;

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (!str_cut(in, '\0', &word[i], &in))
			return RC_MORE;
	is_site = str_is(word[1], "send_site") && str_is(word[2], "site");
	if (!str_is(word[0], "request") || word[4].n != 0 ||
	    (!is_site && !(str_is(word[1], "send_file") && str_is(word[2], "queue_id"))))
		return RC_PERM;
	*out_is_site = is_site;
	*out = word[3];
	return RC_OK;
}

/* compat: FLUSH_STAT_OK, _DENY, _FAIL. */
static const char *
flush_status(enum rc rc)
{
	switch (rc) {
	case RC_OK:
		return "0";
	case RC_NONE:
		return "3";
	case RC_MORE:
	case RC_TEMP:
	case RC_PERM:
		break;
	}
	return "4294967295";
}

/* client.cursor says how far a visitor of public/flush is. */
enum { FLUSH_READS, FLUSH_ASKS, FLUSH_WAITS };

/* So few bytes fit into any socket's buffer. */
static void
flush_answer(struct client *c, enum rc rc)
{
	bool is_waiting = c->cursor == FLUSH_WAITS;

	c->is_over = true;
	if (buf_printf(&c->out, "status%c%s%c%c", '\0', flush_status(rc), '\0', '\0') ==
	    RC_OK)
		(void)!client_write(c);
	if (is_waiting)
		client_free(&c);
}

static void
flush_one(struct client *c, bool is_site, struct str what)
{
	c->cursor = FLUSH_ASKS;
	if (is_site) {
		site_flush(c->q,
		    &(struct site_asker){ .client = c, .done = flush_answer }, what);
		c->cursor = FLUSH_WAITS;
		return;
	}
	/* compat: a message that is not there is not an error of the service */
	if (scan_flush_one(c->q, what) != RC_OK)
		log_info(
		    c->q->log, "flush request for %.*s: no such message", STR_ARG(what));
	flush_answer(c, RC_OK);
}

static void
flush_step(struct client *c, unsigned events)
{
	enum rc rc = client_read(c), parsed = RC_MORE;
	struct str what;
	bool is_site;

	if (c->cursor == FLUSH_READS)
		parsed = flush_parse(buf_view(&c->in), &is_site, &what);
	if (parsed == RC_OK)
		flush_one(c, is_site, what);
	if (!c->is_over && rc == RC_OK && parsed != RC_PERM &&
	    (events & LOOP_HANGUP) == 0)
		return;
	site_forget(c->q, c);
	client_free(&c);
}

void
flush_visit(struct queue *q, int fd)
{
	struct client *c = client_new(q, fd, flush_step);

	loop_io_want(q->w.loop, &c->io, LOOP_READ);
}
