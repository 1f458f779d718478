/* postfix flush: asks queue, over its administration socket, to try all deferred mail. */
#include "prog/admin/postfix/postfix.h"
#include "base/arena.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/sock.h"

#define ANSWER_US (60 * US_PER_SEC)

struct flush {
	struct loop *loop;
	struct log *log;
	struct ipc_channel *ch;
	struct loop_timer deadline;
	int status;
};

static void
on_done(void *arg, const struct wire_admin_done *m)
{
	struct flush *f = arg;

	f->status = m->rc == RC_OK ? 0 : 1;
	if (m->rc != RC_OK)
		log_fatal(f->log, "%.*s", STR_ARG(m->text));
	loop_stop(f->loop);
}

static void
on_item(void *arg, const struct wire_admin_item *m)
{
	(void)arg;
	(void)m;
}

static void
on_close(void *arg, const char *why)
{
	struct flush *f = arg;

	log_fatal(f->log, "the queue manager has closed the connection%s%s",
	    why == NULL ? "" : ": ", why == NULL ? "" : why);
	loop_stop(f->loop);
}

static void
on_deadline(void *arg)
{
	struct flush *f = arg;

	log_fatal(f->log, "the queue manager does not answer");
	loop_stop(f->loop);
}

int
verb_flush(struct postfix *p)
{
	static const struct ipc_handlers on = { .on_admin_done = on_done,
		.on_admin_item = on_item };
	struct flush f = { .log = p->log, .status = 1 };
	const struct ipc_channel_conf conf = { .me = WIRE_COMMAND,
		.peer = WIRE_QUEUE,
		.on = &on,
		.on_close = on_close,
		.arg = &f };
	const char *path =
	    arena_printf(p->mem, "%.*s/private/queue", STR_ARG(p->master.queue_directory))
		.p;
	struct err e = { 0 };
	int fd;

	if (running_pid(p) == 0) {
		log_fatal(
		    p->log, "Cannot flush mail queue - mail system is down"); /* compat */
		return 69;
	}
	if (path == NULL || os_sock_connect_unix(path, &fd, &e) != RC_OK) {
		log_fatal(p->log, "Cannot flush mail queue - %s", e.text);
		return 69;
	}
	f.loop = loop_new();
	f.ch = ipc_channel_new(f.loop, fd, &conf);
	ipc_send_admin(
	    f.ch, &(struct wire_admin){ .verb = STR("flush"), .target = STR("ALL") });
	loop_timer_init(&f.deadline, on_deadline, &f);
	loop_timer_set(f.loop, &f.deadline, loop_now_us(f.loop) + ANSWER_US);
	loop_run(f.loop);
	ipc_channel_free(&f.ch);
	loop_free(&f.loop);
	return f.status;
}
