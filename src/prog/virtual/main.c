/* virtual: the process. See virtual.h. */
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "prog/virtual/virtual.h"
#include "prog/virtual/agent.h"
#include <stdlib.h>
#include <time.h>

static struct virtual virtual;

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct virtual *v = arg;
	int fd = m->channel;

	if (str_is(m->role, "queue") && str_is(m->purpose, "delivery"))
		delivery_attach(v->delivery, fd);
	else
		os_fd_close(&fd);
}

static void
on_drain(void *arg)
{
	struct virtual *v = arg;

	delivery_drain(v->delivery);
}

static const struct worker_ops ops = { .on_peer = on_peer, .on_drain = on_drain };

int
main(int argc, char **argv)
{
	struct os_sandbox box = { .may = OS_MAY_READ | OS_MAY_WRITE | OS_MAY_SETFSID };
	struct err e = { 0 };
	int status;

	worker_init(&virtual.w, argc, argv, "virtual", &ops, &virtual);
	tzset(); /* reads a file: not possible later */
	loop_offload_threads(virtual.w.loop, THREADS);
	lanes_init(&virtual);
	if (agent_init(&virtual, &box, &e) != RC_OK) {
		log_fatal(virtual.w.log, "%s", e.text);
		return 1;
	}
	virtual.w.keep_setid = virtual.change_ids;
	worker_confine(&virtual.w, &box);
	status = worker_run(&virtual.w);
	/* Jobs that are open end with the process; the queue tries again. */
	return status;
}
