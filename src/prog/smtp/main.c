/* smtp: delivers mail to other servers by SMTP. Jobs come from the queue; the recipients'
 * servers are found by DNS; connections are kept for a moment, because more mail for the
 * same server is likely. */
#include "agent/decide.h"
#include "agent/submit.h"
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "os/fd.h"
#include "prog/smtp/agent.h"
#include <stdlib.h>

static struct agent agent;

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct agent *a = arg;
	int fd = m->channel;

	if (str_is(m->purpose, "submit") && a->submit != NULL)
		submit_connect(a->submit, fd);
	else if (str_is(m->purpose, "delivery"))
		delivery_attach(a->delivery, fd);
	else
		os_fd_close(&fd);
}

static void
on_drain(void *arg)
{
	agent_drain(arg);
}

static void
on_stop(void *arg)
{
	agent_stop(arg);
}

static const struct worker_ops ops = {
	.on_peer = on_peer, .on_drain = on_drain, .on_stop = on_stop
};

static void
fail(struct worker *w, const struct err *e)
{
	log_fatal(w->log, "%s", e->text);
	exit(1);
}

/* Confined, it may read the folders of the resolver's files (which are replaced, not
 * changed, when the administrator edits them) and speak to the Internet. */
int
main(int argc, char **argv)
{
	struct decide_folders reads = { .v = { "/etc", "/run/systemd/resolve" }, .n = 2 };
	const struct os_sandbox sandbox = { .may = OS_MAY_INET | OS_MAY_READ,
		.read = reads.v };
	struct worker w;
	struct err e = { 0 };
	int status;

	worker_init(&w, argc, argv, "smtp", &ops, &agent);
	if (agent_init(&agent, &w, &e) != RC_OK || agent_begin(&agent, &e) != RC_OK)
		fail(&w, &e);
	reads.mem = w.mem;
	for (size_t i = 0; i < agent.n_services; i++)
		if (agent.services[i].decide != NULL)
			decide_folders_of(agent.services[i].decide, &reads);
	worker_confine(&w, &sandbox);
	status = worker_run(&w);
	/* Connections and jobs that are open end with the process; the queue tries again.
	 */
	return status;
}
