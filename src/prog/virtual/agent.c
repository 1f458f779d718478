/* Start-up, and jobs from the queue. */
#include "prog/virtual/agent.h"
#include "base/arena.h"
#include "log/log.h"
#include "loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* compat: what decides whose files are written. Keys are folded already. */
#define SENSITIVE (ASK_NO_SUBST | ASK_PARANOID | ASK_NOFOLD)

/* ---- jobs ---- */

static const struct service *
find_service(const struct virtual *v, struct str name)
{
	for (size_t i = 0; i < v->n_services; i++)
		if (str_eq(v->services[i].name, name))
			return &v->services[i];
	return &v->services[0];
}

/* The administrator's mistake: mail waits until he has put it right. */
static void
refuse_job(struct virtual *v, struct delivery_job *job)
{
	const struct delivery_outcome o = { .what = DELIVERY_DEFERRED,
		.dsn = STR("4.3.0"),
		.text = STR("mail transport unavailable") }; /* compat */

	log_fatal(job->log, /* compat */
	    "main.cf configuration error: virtual_mailbox_limit is smaller than "
	    "message_size_limit");
	delivery_outcome_rest(v->delivery, job, &o);
	delivery_done(v->delivery, job, DELIVERY_SITE_DOWN, o.dsn, o.text);
}

static void
start(void *ctx, struct delivery_job *job)
{
	struct virtual *v = ctx;
	const struct service *s = find_service(v, job->m->service);
	uint32_t n = (uint32_t)job->m->n_rcpts, *left;
	struct task *tasks = arena_array(job->mem, n + 1, sizeof(*tasks));

	if (s != NULL && s->has_small_limit) {
		refuse_job(v, job);
		return;
	}
	/* How many tasks are open; one more for this function, so that the job cannot end
	 * under its feet. */
	left = arena_get(job->mem, sizeof(*left));
	if (tasks == NULL || left == NULL) {
		const struct delivery_outcome o = { .what = DELIVERY_DEFERRED,
			.dsn = STR("4.3.0"),
			.text = STR("memory limit") };

		delivery_outcome_rest(v->delivery, job, &o);
		delivery_done(v->delivery, job, DELIVERY_SITE_UNSAID, STR(""), STR(""));
		return;
	}
	*left = n + 1;
	job->agent = left;
	for (uint32_t i = 0; i < n; i++) {
		tasks[i] = (struct task){ .v = v, .s = s, .job = job, .rcpt = i };
		tasks[i].wall_us = loop_wall_us(v->w.loop);
		task_start(&tasks[i]);
	}
	if (--*left == 0)
		delivery_done(v->delivery, job, DELIVERY_SITE_OK, STR(""), STR(""));
}

static void
idle(void *ctx)
{
	struct virtual *v = ctx;

	loop_stop(v->w.loop);
}

static const struct delivery_ops delivery_ops = { .start = start, .idle = idle };

/* ---- start-up ---- */

static enum rc
read_locks(struct service *s, struct err *e)
{
	struct str rest = s->conf.virtual_mailbox_lock, word;

	while (str_token(&rest, ", \t\r\n", &word)) {
		if (str_is(word, "dotlock"))
			s->use_dotlock = true;
		else if (str_is(word, "fcntl"))
			s->use_fcntl = true;
		else if (str_is(word, "flock"))
			s->use_flock = true;
		else
			return err_set(e, RC_PERM,
			    "unknown virtual_mailbox_lock value \"%.*s\"", STR_ARG(word));
	}
	return RC_OK;
}

/* Many sites raise message_size_limit, and few of them have virtual mailboxes: the others
 * shall not see a daemon that fails. */
static enum rc
check_limits(const struct conf_snapshot *snapshot, struct service *s, struct err *e)
{
	struct conf_common c;
	struct arena *mem = arena_new(1 << 20);
	enum rc rc = conf_fill_common(snapshot, NULL, mem, &c, e);
	int64_t limit = s->conf.virtual_mailbox_limit_bytes;

	s->has_small_limit =
	    rc == RC_OK && limit > 0 &&
	    (c.message_size_limit_bytes == 0 || limit < c.message_size_limit_bytes);
	arena_free(&mem);
	return rc;
}

static enum rc
read_service(struct virtual *v, const struct worker_service *from, struct service *s,
    struct err *e)
{
	enum rc rc = conf_fill_virtual(v->w.snapshot, from->entry, v->w.mem, &s->conf, e);

	if (rc == RC_OK)
		rc = check_limits(v->w.snapshot, s, e);
	if (rc == RC_OK)
		rc = read_locks(s, e);
	if (rc == RC_OK)
		rc = decide_open_tables(
		    v->decide, s->conf.virtual_mailbox_maps, SENSITIVE, &s->mailboxes, e);
	if (rc == RC_OK)
		rc = decide_open_tables(
		    v->decide, s->conf.virtual_uid_maps, SENSITIVE, &s->uids, e);
	if (rc == RC_OK)
		rc = decide_open_tables(
		    v->decide, s->conf.virtual_gid_maps, SENSITIVE, &s->gids, e);
	if (rc != RC_OK)
		return rc;
	s->name = from->name;
	s->base = s->conf.virtual_mailbox_base.n == 0
		      ? "/"
		      : arena_cstr(v->w.mem, s->conf.virtual_mailbox_base);
	s->base_fd = open(s->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->base_fd < 0)
		log_warn(
		    v->w.log, "virtual_mailbox_base %s: %s", s->base, strerror(errno));
	return RC_OK;
}

static void
fill_sandbox(struct virtual *v, struct os_sandbox *box)
{
	static const struct decide_folders none;
	struct decide_folders *reads = arena_get(v->w.mem, sizeof(*reads)),
			      *writes = arena_get(v->w.mem, sizeof(*writes));

	*reads = *writes = none;
	reads->mem = writes->mem = v->w.mem;
	decide_folders_of(v->decide, reads);
	box->min_fsuid = UINT32_MAX;
	for (size_t i = 0; i < v->n_services; i++) {
		const struct service *s = &v->services[i];

		decide_folders_add(writes, str_c(s->base));
		if (s->conf.virtual_minimum_uid < box->min_fsuid)
			box->min_fsuid = (uid_t)s->conf.virtual_minimum_uid;
	}
	box->read = reads->v;
	box->write = writes->v;
}

enum rc
agent_init(struct virtual *v, struct os_sandbox *box, struct err *e)
{
	const struct decide_request dr = {
		.snapshot = v->w.snapshot, .log = v->w.log, .only_search = true
	};
	struct delivery_request req = { .worker = &v->w,
		.loop = v->w.loop,
		.log = v->w.log,
		.ops = &delivery_ops,
		.ctx = v,
		.delay_resolution = 2 };
	char host[256] = "localhost";
	struct str soft;
	enum rc rc = decide_new(&dr, &v->decide, e);

	(void)gethostname(host, sizeof(host) - 1);
	v->host = arena_cstr(v->w.mem, str_c(host));
	v->change_ids = v->w.is_root;
	if (!v->change_ids)
		log_info(v->w.log, "not started by root: all mailboxes belong to uid %lu",
		    (unsigned long)geteuid());
	v->services = arena_array(v->w.mem, v->w.n_services + 1, sizeof(*v->services));
	for (size_t i = 0; rc == RC_OK && i < v->w.n_services; i++)
		rc = read_service(v, &v->w.services[i], &v->services[v->n_services++], e);
	if (rc == RC_OK && v->n_services == 0)
		rc = err_set(e, RC_PERM, "no service of master.cf is for virtual");
	if (rc != RC_OK)
		return rc;
	req.delay_resolution = (int)v->services[0].conf.delay_logging_resolution_limit;
	req.soft_bounce = conf_get(v->w.snapshot, NULL, STR("soft_bounce"), v->w.mem,
			      &soft, NULL) == RC_OK &&
			  str_iis(soft, "yes");
	decide_use(v->decide, &(struct decide_sources){
				  .loop = v->w.loop, .lookup = worker_lookup(&v->w) });
	fill_sandbox(v, box);
	v->delivery = delivery_new(&req);
	return RC_OK;
}
