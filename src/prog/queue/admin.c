/* private/queue: what postsuper and postcat ask while the queue runs. Only root is
 * listened to, or, when nobody changes uid, the user we run as. One request at a time on
 * a connection; one about all messages is done in portions, so that mail goes on. */
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
#include "agent/queue_view.h"
#include "os/sock.h"
#include "prog/queue/queue.h"

#define PER_ROUND   2000
#define AGAIN_US    (5 * US_PER_MS)
#define PIECE_BYTES 60000
#define AHEAD_BYTES ((size_t)1 << 20) /* of a message being shown */
#define SHOWN_MAX   ((size_t)256 << 20)

struct admin {
	struct list in_queue;
	struct queue *q;
	struct ipc_channel *ch;
	struct loop_timer again;
	bool is_busy;
	/* all messages */
	enum queue_verb verb;
	unsigned queues;
	uint64_t cursor, count;
	/* a staged message being shown */
	int fd;
	uint64_t left;
};

static void
finish(struct admin *ad, enum rc rc, const char *text)
{
	struct wire_admin_done m = {
		.rc = (uint8_t)rc, .count = ad->count, .text = str_c(text)
	};

	ad->is_busy = false;
	ipc_send_admin_done(ad->ch, &m);
}

/* ---- one message ---- */

/* While it is active its state is in our memory. */
static enum rc
apply_active(struct active *a, enum queue_verb verb, struct err *e)
{
	uint8_t before = a->flags;
	enum rc rc;

	if (a->is_gone || a->is_finished)
		return RC_NONE;
	switch (verb) {
	case QUEUE_DELETE:
		rc = spool_delete(a->q->spool, a->number, e);
		if (rc == RC_TEMP)
			return rc;
		list_remove(&a->in_dirty);
		a->is_gone = true;
		a->is_settled = false;
		break;
	case QUEUE_HOLD_IT:
		a->flags |= SPOOL_HELD;
		break;
	case QUEUE_RELEASE:
		a->flags &= (uint8_t)~SPOOL_HELD;
		break;
	case QUEUE_EXPIRE:
		a->flags |= SPOOL_EXPIRED;
		break;
	case QUEUE_EXPIRE_RELEASE:
		a->flags |= SPOOL_EXPIRED;
		a->flags &= (uint8_t)~SPOOL_HELD;
		break;
	case QUEUE_REQUEUE:
		return RC_OK; /* it is being tried already */
	}
	if (verb != QUEUE_DELETE && before == a->flags)
		return RC_NONE;
	if (verb == QUEUE_DELETE || verb == QUEUE_HOLD_IT) {
		if (a->sched != NULL)
			sched_msg_withdraw(a->sched);
	}
	if (verb != QUEUE_DELETE)
		results_dirty(a);
	results_check(a);
	return RC_OK;
}

static enum rc
apply(struct queue *q, const struct spool_info *info, enum queue_verb verb, struct err *e)
{
	struct active *a = active_find(q, info->number);
	enum rc rc;

	if (a != NULL)
		return apply_active(a, verb, e);
	rc = queue_verb_apply(q->spool, info, verb, loop_wall_us(q->w.loop), e);
	if (rc == RC_OK && verb == QUEUE_REQUEUE)
		activate_fresh(q, info->number, true);
	return rc;
}

static void
do_one(struct admin *ad, struct str id)
{
	struct wire_admin_item item = { 0 };
	struct spool_info info;
	struct queue_id name;
	struct err e = { 0 };
	enum rc rc;

	if (spool_find_id(ad->q->spool, id, &info) != RC_OK ||
	    (queue_view_name(&info) & ad->queues) == 0) {
		finish(ad, RC_OK, "");
		return;
	}
	rc = apply(ad->q, &info, ad->verb, &e);
	commit_wake(ad->q);
	if (rc == RC_OK) {
		name = spool_info_id(&info);
		item.qid = str_c(name.text);
		item.text = str_c(queue_verb_done(ad->verb));
		ipc_send_admin_item(ad->ch, &item);
		ad->count = 1;
	}
	finish(ad, rc == RC_NONE ? RC_OK : rc, e.text);
}

/* ---- all messages ---- */

static void
do_some(void *arg)
{
	struct admin *ad = arg;
	struct queue *q = ad->q;
	struct spool_info info;
	struct err e = { 0 };

	commit_wake(q);
	for (int i = 0; i < PER_ROUND; i++) {
		uint64_t here = ad->cursor;
		enum rc rc;

		if (spool_list(q->spool, &ad->cursor, &info) != RC_OK) {
			finish(ad, RC_OK, "");
			return;
		}
		if ((queue_view_name(&info) & ad->queues) == 0)
			continue;
		rc = apply(q, &info, ad->verb, &e);
		ad->count += rc == RC_OK;
		if (rc == RC_TEMP && !q->can_store) {
			finish(ad, RC_TEMP, e.text);
			return;
		}
		if (rc == RC_TEMP) {
			ad->cursor = here; /* too much waits for the disk: again later */
			break;
		}
	}
	loop_timer_set(q->w.loop, &ad->again, loop_now_us(q->w.loop) + AGAIN_US);
}

/* ---- cat: items "P" (queue/id), "E" (envelope lines), "C" (content) ---- */

static void
send_pieces(struct admin *ad, const char *kind, struct str text)
{
	for (size_t at = 0; at < text.n; at += PIECE_BYTES) {
		struct wire_admin_item m = { .qid = str_c(kind),
			.text = str_head(str_from(text, at), PIECE_BYTES) };

		ipc_send_admin_item(ad->ch, &m);
	}
}

static void
show_stage(void *arg)
{
	struct admin *ad = arg;
	char piece[PIECE_BYTES];

	while (ad->left > 0 && ipc_channel_pending(ad->ch) < AHEAD_BYTES) {
		size_t want = ad->left < sizeof(piece) ? (size_t)ad->left : sizeof(piece);
		ssize_t n = read(ad->fd, piece, want);

		if (n <= 0) {
			finish(ad, RC_TEMP, "the content cannot be read");
			return;
		}
		ad->left -= (uint64_t)n;
		send_pieces(ad, "C", str_n(piece, (size_t)n));
	}
	if (ad->left == 0)
		finish(ad, RC_OK, "");
}

static void
show(struct admin *ad, struct str id)
{
	struct queue *q = ad->q;
	struct arena *mem = arena_new(SHOWN_MAX);
	struct spool_loaded l = { 0 };
	struct spool_info info;
	struct err e = { 0 };
	struct buf text;
	struct str path;
	enum rc rc;

	buf_init(&text, SHOWN_MAX);
	rc = spool_find_id(q->spool, id, &info);
	if (rc == RC_OK)
		rc = spool_load(q->spool, info.number,
		    SPOOL_ENVELOPE | SPOOL_STATE | SPOOL_CONTENT, mem, &l);
	if (rc == RC_OK && l.m.stage != 0)
		rc = spool_stage_read(q->spool, info.number, &ad->fd, &e);
	if (rc == RC_OK)
		rc = queue_view_envelope(&info, &l, &text);
	if (rc == RC_OK) {
		path = arena_printf(mem, "%s/%.*s",
		    queue_view_name_text(queue_view_name(&info)), STR_ARG(id));
		send_pieces(ad, "P", path);
		send_pieces(ad, "E", buf_view(&text));
		send_pieces(ad, "C", l.m.content);
		ad->count = 1;
		ad->left = l.m.stage != 0 ? l.m.size_bytes : 0;
	}
	buf_fini(&text);
	arena_free(&mem);
	if (rc != RC_OK)
		finish(ad, rc == RC_PERM ? RC_TEMP : rc, e.text);
	else
		show_stage(ad);
}

/* ---- requests ---- */

static void
on_admin(void *arg, const struct wire_admin *m)
{
	struct admin *ad = arg;
	struct queue *q = ad->q;
	struct err e = { 0 };

	ad->count = 0;
	if (ad->is_busy) {
		finish(ad, RC_PERM, "one request at a time");
		return;
	}
	ad->is_busy = true;
	if (str_is(m->verb, "cat")) {
		show(ad, m->target);
		return;
	}
	if (str_is(m->verb, "flush")) {
		trigger_bytes(q, STR("FAD"));
		finish(ad, RC_OK, "");
		return;
	}
	if (str_is(m->verb, "flush_id")) {
		finish(ad, scan_flush_one(q, m->target), "");
		return;
	}
	if (queue_verb_parse(m->verb, &ad->verb) != RC_OK) {
		finish(ad, RC_PERM, "no such request");
		return;
	}
	ad->queues = queue_verb_queues(ad->verb);
	if (m->queues.n > 0 &&
	    queue_view_names_parse(m->queues, &ad->queues, &e) != RC_OK) {
		finish(ad, RC_PERM, e.text);
		return;
	}
	if (!str_is(m->target, "ALL")) {
		do_one(ad, m->target);
		return;
	}
	ad->cursor = 0;
	do_some(ad);
}

static void
on_close(void *arg, const char *why)
{
	struct admin *ad = arg;
	struct queue *q = ad->q;

	if (why != NULL)
		log_warn(q->log, "administration channel: %s", why);
	loop_timer_cancel(q->w.loop, &ad->again);
	if (ad->fd >= 0)
		(void)close(ad->fd);
	list_remove(&ad->in_queue);
	q->n_clients--;
	ipc_channel_free(&ad->ch);
	free(ad);
}

static void
on_room(void *arg)
{
	struct admin *ad = arg;

	if (ad->is_busy && ad->left > 0)
		show_stage(ad);
}

static const struct ipc_handlers handlers = {
	.on_admin = on_admin,
};

void
admin_visit(struct queue *q, int fd)
{
	struct ipc_channel_conf conf = { .me = WIRE_QUEUE,
		.peer = WIRE_COMMAND,
		.on = &handlers,
		.on_close = on_close,
		.on_room = on_room,
		.refuses_fds = true,
		.out_max = SHOWN_MAX };
	struct admin *ad;
	uid_t uid = (uid_t)-1;
	pid_t pid;

	/* Started by root, only root: other processes of our user may be able to connect
	 * to sockets (lookup, a smtpd with a policy service), and are not trusted. */
	if (os_sock_peer(fd, &uid, &pid, NULL) != RC_OK ||
	    (uid != 0 && (q->w.is_root || uid != geteuid()))) {
		log_warn(q->log, "administration refused to uid %ld", (long)uid);
		(void)close(fd);
		return;
	}
	ad = mem_get(sizeof(*ad));
	ad->q = q;
	ad->fd = -1;
	conf.arg = ad;
	loop_timer_init(&ad->again, do_some, ad);
	list_add_tail(&q->admins, &ad->in_queue);
	q->n_clients++;
	ad->ch = ipc_channel_new(q->w.loop, fd, &conf);
}
