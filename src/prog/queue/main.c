/* The queue process: the only writer of the spool. Start here, then README.md. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/decide_mapping.h"
#include "agent/lookup_tables.h"
#include "agent/queue_view.h"
#include "conf/snapshot.h"
#include "os/file.h"
#include "os/random.h"
#include "os/users.h"
#include "prog/queue/queue.h"

#define CONF_MEM_MAX ((size_t)64 << 20)
#define SCRATCH_MAX  ((size_t)256 << 20)
#define STOP_US      (4 * US_PER_SEC) /* how long deliveries may still end at a stop */

/* ---- configuration ---- */

/* compat: a copy of the routing parameters for probes. */
static enum rc
read_probe_route(
    struct decide *d, const struct conf_queue *c, struct route_conf *r, struct err *e)
{
	struct {
		const char *name;
		struct str text;
		struct ask_tables *out;
	} maps[] = {
		{ "address_verify_transport_maps", c->address_verify_transport_maps,
		    &r->transport_maps },
		{ "address_verify_sender_dependent_relayhost_maps",
		    c->address_verify_sender_dependent_relayhost_maps,
		    &r->sender_dependent_relayhost_maps },
		{ "address_verify_sender_dependent_default_transport_maps",
		    c->address_verify_sender_dependent_default_transport_maps,
		    &r->sender_dependent_default_transport_maps },
	};

	*r = *decide_route(d);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		unsigned flags = maps[i].out->flags;
		enum rc rc = decide_open_tables(d, maps[i].text, flags, maps[i].out, e);

		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", maps[i].name);
	}
	r->local_transport = c->address_verify_local_transport;
	r->virtual_transport = c->address_verify_virtual_transport;
	r->relay_transport = c->address_verify_relay_transport;
	r->default_transport = c->address_verify_default_transport;
	r->relayhost = c->address_verify_relayhost;
	return RC_OK;
}

/* What is done with addresses besides routing them. */
static enum rc
read_addresses(struct queue *q, struct decide *d, const struct conf_queue *c,
    struct arena *mem, struct err *e)
{
	struct worker_service *cleanup = worker_service(&q->w, c->cleanup_service_name);
	struct route_conf *probe_route = arena_get(mem, sizeof(*probe_route));
	enum route_list_kind kind =
	    route_parent_matches(
		c->parent_domain_matches_subdomains, "fast_flush_domains")
		? ROUTE_LIST_PARENTS
		: ROUTE_LIST_DOMAIN;
	const struct decide_mapping *mapping;
	struct route_list domains = { 0 };
	enum rc rc = read_probe_route(d, c, probe_route, e);

	if (rc == RC_OK)
		rc = decide_mapping_load(d, q->w.snapshot,
		    cleanup != NULL ? cleanup->entry : NULL, mem, &mapping, e);
	if (rc == RC_OK)
		rc = decide_open_list(d, c->fast_flush_domains, kind, &domains, e);
	if (rc != RC_OK)
		return rc;
	q->probe_route = probe_route;
	q->mapping = mapping;
	q->flush_domains = domains;
	return RC_OK;
}

static enum rc
read_conf(struct queue *q, struct err *e)
{
	struct arena *mem = arena_new(CONF_MEM_MAX);
	/* After confinement tables in folders that are new to us are out of our reach. */
	struct decide_request req = {
		.snapshot = q->w.snapshot, .log = q->log, .asks_closed = q->decide != NULL
	};
	struct worker_service *s = worker_service(&q->w, STR("qmgr"));
	struct decide *d = NULL;
	struct conf_queue c = { 0 };
	enum rc rc;

	if (s != NULL)
		req.service = s->entry;
	rc = conf_fill_queue(q->w.snapshot, req.service, mem, &c, e);
	if (rc == RC_OK)
		rc = decide_new(&req, &d, e);
	if (rc == RC_OK)
		rc = read_addresses(q, d, &c, mem, e);
	if (rc != RC_OK) {
		decide_free(&d);
		arena_free(&mem);
		return rc;
	}
	if (c.bounce_queue_lifetime_us > c.maximal_queue_lifetime_us) {
		/* compat */
		log_warn(q->log,
		    "bounce_queue_lifetime is larger than maximal_queue_lifetime "
		    "- adjusting bounce_queue_lifetime");
		c.bounce_queue_lifetime_us = c.maximal_queue_lifetime_us;
	}
	decide_use(d, &(struct decide_sources){
			  .loop = q->w.loop, .lookup = worker_lookup(&q->w) });
	if (q->decide != NULL) {
		routing_suspend(q);
		verify_suspend(q);
		site_suspend(q);
	}
	decide_free(&q->decide);
	arena_free(&q->conf_mem);
	q->decide = d;
	q->conf_mem = mem;
	q->conf = c;
	q->fate = (struct fate_conf){ .minimal_backoff_us = c.minimal_backoff_time_us,
		.maximal_backoff_us = c.maximal_backoff_time_us,
		.maximal_lifetime_us = c.maximal_queue_lifetime_us,
		.bounce_lifetime_us = c.bounce_queue_lifetime_us,
		.delay_warning_us = c.delay_warning_time_us };
	return RC_OK;
}

/* Both are of the configuration in use; the former belongs to the worker's frame. */
static void
open_logs(struct queue *q)
{
	struct worker_service *s = worker_service(&q->w, STR("qmgr"));
	struct str name = STR_INIT("postfix");
	char tag[256];

	arena_reset(q->scratch);
	q->log = s != NULL ? s->log : q->w.log;
	if (conf_get(q->w.snapshot, NULL, STR("syslog_name"), q->scratch, &name, NULL) !=
	    RC_OK)
		name = STR("postfix");
	(void)snprintf(tag, sizeof(tag), "%.*s/error", STR_ARG(name));
	q->error_log = log_with_tag(q->w.log, tag);
	(void)snprintf(tag, sizeof(tag), "%.*s/cleanup", STR_ARG(name));
	q->cleanup_log = log_with_tag(q->w.log, tag);
}

/* ---- what master says ---- */

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct queue *q = arg;
	char role[32];

	(void)snprintf(role, sizeof(role), "%.*s", STR_ARG(m->role));
	if (str_is(m->purpose, "submit")) {
		submit_attach(q, role, m->instance, m->channel);
		return;
	}
	dispatch_attach(q, role, m->instance, m->channel);
}

static void
on_trigger(void *arg, struct str service)
{
	(void)service;
	activate_wake(arg);
}

/* Some delivery is under way. Those that nobody has taken wait for the next start. */
static bool
has_deliveries(const struct queue *q)
{
	LIST_EACH (it, &q->agents)
		if (CONTAINER_OF(it, struct agent, in_queue)->n_jobs > 0)
			return true;
	return false;
}

void
queue_check_stop(struct queue *q)
{
	bool is_written = commit_is_idle(q);

	if (!q->is_stopping)
		return;
	/* A disk that does not work costs what deliveries said: they are tried again. */
	if ((is_written && !has_deliveries(q)) ||
	    (q->is_hurried && (is_written || commit_is_stuck(q))))
		loop_stop(q->w.loop);
}

static void
hurry(void *arg)
{
	struct queue *q = arg;

	q->is_hurried = true;
	commit_wake(q);
	queue_check_stop(q);
}

/* Nothing new; deliveries that are open may end; what they say is written down. */
static void
on_stop(void *arg)
{
	struct queue *q = arg;

	if (q->is_stopping)
		return;
	q->is_stopping = true;
	submit_state(q);
	door_close_all(q);
	loop_timer_set(q->w.loop, &q->stop_timer, loop_now_us(q->w.loop) + STOP_US);
	commit_wake(q);
	queue_check_stop(q);
}

static bool
on_new_conf(void *arg)
{
	struct queue *q = arg;
	struct log *log = q->log, *error_log = q->error_log,
		   *cleanup_log = q->cleanup_log;
	struct err e = { 0 };

	open_logs(q);
	if (read_conf(q, &e) != RC_OK) {
		log_free(&q->error_log);
		log_free(&q->cleanup_log);
		q->log = log;
		q->error_log = error_log;
		q->cleanup_log = cleanup_log;
		log_error(q->log, "the new configuration is not used: %s", e.text);
		return false;
	}
	log_free(&error_log);
	log_free(&cleanup_log);
	transport_reload(q);
	routing_resume(q);
	verify_use(q);
	site_resume(q);
	submit_state(q);
	return true;
}

static const struct worker_ops ops = {
	.on_peer = on_peer,
	.on_trigger = on_trigger,
	.on_drain = on_stop,
	.on_stop = on_stop,
	.on_new_conf = on_new_conf,
};

/* ---- the spool ---- */

static void
die(struct queue *q, const char *what, const struct err *e)
{
	log_fatal(q->log, "%s: %s", what, e->text);
	log_flush(q->log);
	exit(1);
}

static void
on_damage(void *arg, const struct spool_damage *d)
{
	struct queue *q = arg;

	if (d->is_new)
		log_warn(q->log,
		    "spool: %s: damage at offset %llu, %llu bytes: %s; see corrupt/",
		    d->file, (unsigned long long)d->offset, (unsigned long long)d->length,
		    d->what);
}

/* Before privileges go: the directory must be there and belong to mail_owner. */
static void
make_directory(struct queue *q, const char *path)
{
	struct str owner = STR_INIT("");
	struct os_user user;
	struct err e = { 0 };

	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		(void)err_sys(&e, RC_TEMP, "mkdir %s", path);
		die(q, "spool", &e);
	}
	if (!q->w.is_root)
		return;
	if (conf_get(q->w.snapshot, NULL, STR("mail_owner"), q->w.mem, &owner, &e) !=
		RC_OK ||
	    os_users_find(arena_cstr(q->w.mem, owner), &user, &e) != RC_OK)
		die(q, "mail_owner", &e);
	if (lchown(path, user.uid, user.gid) != 0) {
		(void)err_sys(&e, RC_TEMP, "chown %s", path);
		die(q, "spool", &e);
	}
}

static void
open_spool(struct queue *q, const char *path)
{
	struct spool_conf conf = { 0 };
	struct spool_report r = { .arg = q, .on_damage = on_damage };
	struct err e = { 0 };

	os_random(conf.seed, sizeof(conf.seed));
	if (spool_open(os_files_real(), path, &conf, &r, &q->spool, &e) != RC_OK)
		die(q, "spool", &e);
	if (r.n_messages + r.n_damages + r.torn_bytes > 0)
		log_info(q->log,
		    "spool: %llu messages (%llu on hold) in %llu segments, %llu damaged "
		    "records, "
		    "%llu bytes of unfinished commits cut",
		    (unsigned long long)r.n_messages, (unsigned long long)r.n_held,
		    (unsigned long long)r.n_segments, (unsigned long long)r.n_damages,
		    (unsigned long long)r.torn_bytes);
	if (r.is_read_only)
		log_error(q->log, "spool: the file system is read-only");
}

/* ---- confinement ---- */

/* Of the verification cache's file; NULL: it has none. Probes are rare, and their cache
 * is not opened, nor its file made, before the first. */
static const char *
verify_folder(struct queue *q)
{
	struct str path = lookup_tables_strip(q->conf.address_verify_map);
	size_t slash;

	path = str_from(path, str_find(path, ':') + 1);
	slash = str_rfind(path, '/');
	if (path.n == 0 || path.p[0] != '/')
		return NULL;
	return slash == 0 ? "/" : arena_cstr(q->w.mem, str_head(path, slash));
}

static void
confine(struct queue *q, const char *spool_path)
{
	struct decide_folders reads = { .mem = q->w.mem };
	const char *const writes[] = { spool_path, verify_folder(q), NULL };
	struct os_sandbox box = { .may = OS_MAY_READ | OS_MAY_WRITE | OS_MAY_UNIX,
		.read = reads.v,
		.write = writes };

	/* Tables that a reload names are most often here. */
	decide_folders_add(&reads, str_c(q->w.config_dir));
	decide_folders_of(q->decide, &reads);
	worker_confine(&q->w, &box);
}

/* ---- endpoints ---- */

static void
open_doors(struct queue *q)
{
	for (size_t i = 0; i < q->w.n_services; i++) {
		const struct worker_service *s = &q->w.services[i];
		void (*visit)(struct queue *, int) = NULL;

		if (str_is(s->command, "showq"))
			visit = showq_visit;
		else if (str_is(s->command, "qmgr") || str_is(s->command, "oqmgr"))
			visit = trigger_visit;
		else if (str_is(s->command, "flush"))
			visit = flush_visit;
		else if (str_is(s->command, "queue"))
			visit = admin_visit;
		for (size_t k = 0; visit != NULL && k < s->n_listen; k++)
			door_open(q, s->listen[k], visit);
	}
}

static void
build(struct queue *q)
{
	list_init(&q->clients);
	list_init(&q->doors);
	list_init(&q->admins);
	q->sched = sched_new(q->seed);
	loop_timer_init(&q->stop_timer, hurry, q);
	activate_init(q);
	dispatch_init(q);
	commit_init(q);
	submit_init(q);
	scan_init(q);
	verify_init(q);
	site_init(q);
	open_doors(q);
}

/* The only global: what is open when the process ends is still in somebody's hands. */
static struct queue the_queue;

int
main(int argc, char **argv)
{
	struct queue *q = &the_queue;
	const char *spool_path;
	struct err e = { 0 };
	int status;

	worker_init(&q->w, argc, argv, "queue", &ops, q);
	os_random_seed(q->seed);
	q->scratch = arena_new(SCRATCH_MAX);
	q->limits_mem = arena_new(CONF_MEM_MAX);
	list_init(&q->transports);
	open_logs(q);
	if (read_conf(q, &e) != RC_OK)
		die(q, "configuration", &e);
	spool_path = arena_printf(
	    q->w.mem, "%.*s/" QUEUE_SPOOL_DIR, STR_ARG(q->conf.queue_directory))
			 .p;
	make_directory(q, spool_path);
	confine(q, spool_path);
	open_spool(q, spool_path);
	build(q);
	status = worker_run(&q->w);
	if (!q->is_committing && !q->is_preparing)
		spool_close(&q->spool);
	return status;
}
