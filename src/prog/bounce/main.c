/* bounce: tells senders what became of their mail, and does the work of the transports
 * that deliver nothing (error, retry, discard). Jobs come from queue; notifications go
 * back to it as new messages. */
#include <stdlib.h>
#include "agent/submit.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "prog/bounce/bounce.h"

static struct bounce bounce;

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct bounce *b = arg;
	int fd = m->channel;

	if (str_is(m->purpose, "submit"))
		submit_connect(b->submit, fd);
	else if (str_is(m->purpose, "delivery"))
		delivery_attach(b->delivery, fd);
	else
		os_fd_close(&fd);
}

static void
on_drain(void *arg)
{
	struct bounce *b = arg;

	delivery_drain(b->delivery);
}

static const struct worker_ops ops = { .on_peer = on_peer, .on_drain = on_drain };

static void
start(void *ctx, struct delivery_job *job)
{
	struct bounce *b = ctx;
	const struct worker_service *s = worker_service(b->w, job->m->service);

	if (job->m->n_outcomes > 0 && job->m->n_outcomes == job->m->n_rcpts)
		notice_start(b, job);
	else
		simple_start(b, job, s != NULL && str_ends(s->command, STR("discard")));
}

static void
idle(void *ctx)
{
	loop_stop(((struct bounce *)ctx)->w->loop);
}

static void
on_ready(void *arg)
{
	notices_go_on(arg);
}

static const struct delivery_ops delivery_ops = { .start = start, .idle = idle };

static bool
has_class(struct str classes, const char *name)
{
	struct str one;

	while (str_token(&classes, CONF_LIST_SEPARATORS, &one))
		if (str_iis(one, name))
			return true;
	return false;
}

static enum rc
read_conf(struct bounce *b, struct worker *w, struct err *e)
{
	const struct worker_service *s = worker_service(w, STR("bounce"));
	const struct master_service *entry = s != NULL ? s->entry : NULL;
	enum rc rc = conf_fill_bounce(w->snapshot, entry, w->mem, &b->conf, e);

	b->log = s != NULL ? s->log : w->log;
	if (rc == RC_OK)
		rc = decide_new(
		    &(struct decide_request){
			.snapshot = w->snapshot, .service = entry, .log = b->log },
		    &b->decide, e);
	if (rc != RC_OK)
		return rc;
	decide_use(b->decide,
	    &(struct decide_sources){ .loop = w->loop, .lookup = worker_lookup(w) });
	rc = ingest_conf_load(&(struct ingest_conf_request){ .snapshot = w->snapshot,
				  .service = entry,
				  .log = w->log,
				  .decide = b->decide,
				  .internal_class = "bounce" },
	    w->mem, &b->ingest, e);
	if (rc != RC_OK)
		return rc;
	/* What was small enough to be accepted may come back with a few lines more. */
	b->ingest.message_size_limit = 0;
	b->tells_bounce = has_class(b->conf.notify_classes, "bounce");
	b->tells_2bounce = has_class(b->conf.notify_classes, "2bounce");
	b->tells_delay = has_class(b->conf.notify_classes, "delay");
	return RC_OK;
}

int
main(int argc, char **argv)
{
	struct decide_folders reads = { 0 }; /* of tables */
	const struct os_sandbox sandbox = { .may = OS_MAY_READ, .read = reads.v };
	struct bounce *b = &bounce;
	struct worker w;
	struct err e = { 0 };
	int status;

	worker_init(&w, argc, argv, "bounce", &ops, b);
	list_init(&b->notices);
	list_init(&b->waiting);
	b->w = &w;
	if (read_conf(b, &w, &e) != RC_OK) {
		log_fatal(w.log, "%s", e.text);
		exit(1);
	}
	b->submit = submit_new(w.loop, b->log);
	submit_on_ready(b->submit, on_ready, b);
	submit_on_lost(b->submit, worker_need_queue, &w);
	b->delivery = delivery_new(&(struct delivery_request){ .worker = &w,
	    .loop = w.loop,
	    .log = b->log,
	    .ops = &delivery_ops,
	    .ctx = b,
	    .delay_resolution = (int)b->conf.delay_logging_resolution_limit });
	reads.mem = w.mem;
	decide_folders_of(b->decide, &reads);
	worker_confine(&w, &sandbox);
	status = worker_run(&w);
	/* Open jobs and puts end with the process; queue does them again. */
	return status;
}
