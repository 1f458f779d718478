/* lookup: asks tables that wait for others. See lookup.h. */
#include <stdlib.h>
#include <unistd.h>
#include "agent/lookup_client.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"
#include "prog/lookup/lookup.h"

#define DRAIN_US (330 * US_PER_SEC) /* a little longer than smtpd drains */
#define STOP_US  (8 * US_PER_SEC)   /* master kills after 10 */

static struct lookup the_lookup;

/* ---- the end ---- */

/* A thread that waits for a server cannot be told to stop, and what it holds cannot be
 * freed under its hands: the process ends around it. */
static void
end(struct lookup *l)
{
	if (!threads_are_busy(l)) {
		loop_stop(l->w.loop);
		return;
	}
	words_read(l, true);
	log_flush(l->w.log);
	_exit(0);
}

void
lookup_check_end(struct lookup *l)
{
	if (l->is_ending && list_is_empty(&l->peers))
		end(l);
}

static void
on_deadline(void *arg)
{
	end(arg);
}

/* Those that drain, too, still have questions; queue does not drain, and is given another
 * lookup. */
static void
finish(struct lookup *l, int64_t patience_us)
{
	l->is_ending = true;
	worker_close_listeners(&l->w);
	peers_drop(l, "queue");
	loop_timer_set(l->w.loop, &l->deadline, loop_now_us(l->w.loop) + patience_us);
	lookup_check_end(l);
}

static void
on_drain(void *arg)
{
	struct lookup *l = arg;

	doors_close(l);
	finish(l, DRAIN_US);
}

static void
on_stop(void *arg)
{
	struct lookup *l = arg;

	doors_close(l);
	finish(l, STOP_US);
}

/* ---- channels ---- */

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct lookup *l = arg;
	int fd = m->channel;

	if (str_is(m->purpose, "lookup"))
		peer_open(l, fd, m->role, m->instance);
	else
		os_fd_close(&fd);
}

static const struct worker_ops ops = {
	.on_peer = on_peer,
	.on_drain = on_drain,
	.on_stop = on_stop,
};

/* ---- start ---- */

static enum rc
init(struct lookup *l, struct err *e)
{
	struct conf_common common;
	enum rc rc = conf_fill_common(l->w.snapshot, NULL, l->w.mem, &common, e);

	if (rc == RC_OK)
		rc = lookup_tables_make(l->w.snapshot, l->w.mem, &l->tables, e);
	if (rc != RC_OK)
		return rc;
	l->timeout_us = common.ipc_timeout_us;
	if (l->timeout_us > LOOKUP_PATIENCE_MAX_US)
		l->timeout_us = LOOKUP_PATIENCE_MAX_US;
	list_init(&l->peers);
	list_init(&l->doors);
	loop_timer_init(&l->deadline, on_deadline, l);
	groups_init(l);
	threads_init(l);
	groups_open(l);
	return RC_OK;
}

int
main(int argc, char **argv)
{
	struct lookup *l = &the_lookup;
	struct decide_folders reads = { 0 };
	struct os_sandbox box = { .may = OS_MAY_INET | OS_MAY_READ | OS_MAY_UNIX,
		.read = reads.v };
	struct err e = { 0 };

	worker_init(&l->w, argc, argv, "lookup", &ops, l);
	if (init(l, &e) != RC_OK) {
		log_fatal(l->w.log, "%s", e.text);
		return 1;
	}
	reads.mem = l->w.mem;
	folders_make(l, &reads);
	if (folders_need_unix(l))
		box.may |= OS_MAY_CONNECT_UNIX;
	worker_confine(&l->w, &box);
	doors_open(l);
	return worker_run(&l->w);
}
