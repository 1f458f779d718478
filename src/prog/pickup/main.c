/* pickup: takes what sendmail and postdrop left in the maildrop to queue. Woken by
 * postdrop at public/pickup, by master's timer, and by queue when it can store again. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/submit.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/sock.h"
#include "prog/pickup/pickup.h"

static struct pickup pickup;

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct pickup *p = arg;
	int fd = m->channel;

	if (str_is(m->purpose, "submit"))
		submit_connect(p->submit, fd);
	else
		os_fd_close(&fd);
}

static void
on_trigger(void *arg, struct str service)
{
	(void)service;
	scan_wake(arg);
}

struct door {
	struct loop_io io;
	struct loop_rest rest;
};

static void
close_door(struct pickup *p, struct door *d)
{
	loop_rest_cancel(&d->rest);
	loop_io_remove(p->w->loop, &d->io);
}

static void
on_drain(void *arg)
{
	struct pickup *p = arg;

	p->is_draining = true;
	for (size_t i = 0; i < p->n_doors; i++)
		close_door(p, &p->doors[i]);
	worker_close_listeners(p->w);
	if (p->n_open == 0)
		loop_stop(p->w->loop);
}

static const struct worker_ops ops = {
	.on_peer = on_peer,
	.on_trigger = on_trigger,
	.on_drain = on_drain,
};

static void
on_ready(void *arg)
{
	scan_wake(arg);
}

/* Whoever knocks is served; what he says does not matter. */
static void
on_knock(void *arg, unsigned events)
{
	struct door *d = arg;
	enum rc rc = RC_OK;
	int fd;

	(void)events;
	for (int i = 0; i < 100 && rc == RC_OK; i++) {
		rc = os_sock_accept(d->io.fd, &fd, NULL);
		if (rc == RC_OK)
			os_fd_close(&fd);
	}
	if (rc == RC_TEMP)
		loop_rest_begin(&d->rest);
	scan_wake(&pickup);
}

static void
open_doors(struct pickup *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->w->n_services; i++)
		n += p->w->services[i].n_listen;
	p->doors = mem_array(n + 1, sizeof(*p->doors));
	for (size_t i = 0; i < p->w->n_services; i++) {
		for (size_t k = 0; k < p->w->services[i].n_listen; k++) {
			struct door *d = &p->doors[p->n_doors++];

			loop_io_init(&d->io, p->w->services[i].listen[k], on_knock, d);
			loop_rest_init(&d->rest, p->w->loop, &d->io);
			loop_io_want(p->w->loop, &d->io, LOOP_READ);
		}
	}
}

static enum rc
read_conf(struct pickup *p, struct worker *w, struct err *e)
{
	const struct worker_service *s = w->n_services > 0 ? &w->services[0] : NULL;
	const struct master_service *entry = s != NULL ? s->entry : NULL;
	enum rc rc = conf_fill_pickup(w->snapshot, entry, w->mem, &p->conf, e);

	p->log = s != NULL ? s->log : w->log;
	if (rc == RC_OK)
		rc = decide_new(
		    &(struct decide_request){
			.snapshot = w->snapshot, .service = entry, .log = p->log },
		    &p->decide, e);
	if (rc != RC_OK)
		return rc;
	decide_use(p->decide,
	    &(struct decide_sources){ .loop = w->loop, .lookup = worker_lookup(w) });
	return ingest_conf_load(&(struct ingest_conf_request){ .snapshot = w->snapshot,
				    .service = entry,
				    .log = w->log,
				    .decide = p->decide },
	    w->mem, &p->ingest, e);
}

int
main(int argc, char **argv)
{
	static const char *const folders[] = { "maildrop", "corrupt", NULL };
	struct decide_folders reads = { 0 }; /* of tables */
	const struct os_sandbox sandbox = {
		.may = OS_MAY_READ | OS_MAY_WRITE | OS_MAY_UNIX,
		.read = reads.v,
		.write = folders,
	};
	struct pickup *p = &pickup;
	struct worker w;
	struct err e = { 0 };
	int status;

	worker_init(&w, argc, argv, "pickup", &ops, p);
	list_init(&p->items);
	p->w = &w;
	if (read_conf(p, &w, &e) != RC_OK) {
		log_fatal(w.log, "%s", e.text);
		exit(1);
	}
	scan_init(p);
	p->submit = submit_new(w.loop, p->log);
	submit_on_ready(p->submit, on_ready, p);
	submit_on_lost(p->submit, worker_need_queue, &w);
	reads.mem = w.mem;
	decide_folders_of(p->decide, &reads);
	worker_confine(&w, &sandbox);
	open_doors(p);
	scan_wake(p);
	status = worker_run(&w);
	/* Files that are open are submitted again by the next process. */
	return status;
}
