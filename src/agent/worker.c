/* A worker's start and end: what master handed over, the control channel, confinement.
 *
 * When the control channel closes, master is gone: the worker stops, as if told to. */
#include "agent/lookup_client.h"
#include "agent/worker_int.h"
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include "base/arena.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "log/facility.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/users.h"

#define STOP_US (10 * US_PER_SEC) /* master kills at the same time */

/* ---- the end ---- */

static void
on_deadline(void *arg)
{
	struct worker *w = arg;

	log_warn(w->log, "not finished in time, stopping now");
	loop_stop(w->loop);
}

static void
stop(struct worker *w)
{
	struct worker_int *in = w->in;

	if (in->has_stopped)
		return;
	in->has_stopped = in->is_ending = true;
	loop_timer_set(w->loop, &in->deadline, loop_now_us(w->loop) + STOP_US);
	if (in->ops->on_stop != NULL)
		in->ops->on_stop(in->arg);
	else
		in->ops->on_drain(in->arg);
}

static void
on_signal(void *arg, int signo)
{
	/* SIGINT and SIGHUP of a terminal go to master, which tells us what to do. */
	if (signo == SIGTERM)
		stop(arg);
}

/* ---- control channel ---- */

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct worker *w = arg;
	int fd = m->channel;

	if (fd >= 0 && w->in->lookup != NULL && str_is(m->purpose, "lookup"))
		lookup_client_connect(w->in->lookup, fd);
	else if (w->in->ops->on_peer != NULL && fd >= 0)
		w->in->ops->on_peer(w->in->arg, m);
	else
		os_fd_close(&fd);
}

static void
on_log_file(void *arg, const struct wire_log_file *m)
{
	struct worker *w = arg;

	if (m->file >= 0)
		log_to_fd(w->log, m->file);
}

/* Sockets keep their service by its name: positions differ between snapshots. Services
 * that are new in master.cf need a restart, which master says. */
static enum rc
move_listeners(struct worker *w, const struct master_cf *old, struct arena *mem)
{
	const struct master_cf *now = &w->snapshot->master;
	struct boot *b = &w->in->boot;
	struct boot_listen *v = arena_array(mem, b->n_listen + 1, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < b->n_listen; i++) {
		const struct master_service *was, *is;

		v[n] = b->listen[i];
		if (v[n].service < old->n) {
			was = &old->v[v[n].service];
			is = master_cf_find(now, was->name, was->type);
			/* Kept open, but nobody's. */
			v[n].service =
			    is == NULL ? BOOT_ADMIN - 1 : (uint32_t)(is - now->v);
		}
		n++;
	}
	b->listen = v;
	return RC_OK;
}

/* What a snapshot brings along; one of two is let go after a reload. */
struct generation {
	struct arena *mem; /* NULL: that of the start, in w->mem */
	const struct conf_snapshot *snapshot;
	struct worker_service *services;
	size_t n_services;
	const struct boot_listen *listen;
};

static struct generation
generation_of(const struct worker *w)
{
	return (struct generation){ .mem = w->in->conf_mem,
		.snapshot = w->snapshot,
		.services = w->services,
		.n_services = w->n_services,
		.listen = w->in->boot.listen };
}

static void
generation_use(struct worker *w, const struct generation *g)
{
	w->in->conf_mem = g->mem;
	w->snapshot = g->snapshot;
	w->services = g->services;
	w->n_services = g->n_services;
	w->in->boot.listen = g->listen;
}

static void
free_logs(const struct worker *w, struct worker_service *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].log != w->log)
			log_free(&v[i].log);
}

static void
generation_free(const struct worker *w, struct generation *g)
{
	free_logs(w, g->services, g->n_services);
	if (g->mem != NULL)
		arena_free(&g->mem);
}

static enum rc
read_generation(struct worker *w, int fd, struct arena *mem, struct err *e)
{
	const struct conf_snapshot *old = w->snapshot, *s;
	enum rc rc = RC_TEMP;

	if (!os_fd_is_sealed(fd))
		return err_set(e, RC_PERM, "the snapshot is not sealed");
	rc = conf_snapshot_read(fd, str_c(w->role), mem, &s, e);
	if (rc != RC_OK)
		return rc;
	w->snapshot = s;
	w->in->conf_mem = mem;
	if (move_listeners(w, &old->master, mem) != RC_OK)
		return err_set(e, RC_TEMP, "memory limit");
	return worker_services_make(w, mem, e);
}

static void
on_new_conf(void *arg, const struct wire_new_conf *m)
{
	struct worker *w = arg;
	struct worker_int *in = w->in;
	struct generation old = generation_of(w), now;
	struct err e = { 0 };
	int fd = m->snapshot;
	enum rc rc;

	if (in->ops->on_new_conf == NULL || fd < 0) {
		os_fd_close(&fd);
		return;
	}
	rc = read_generation(w, fd, arena_new(WORKER_ARENA_MAX), &e);
	os_fd_close(&fd);
	if (rc != RC_OK) {
		/* Master has checked it, so this is trouble with memory: die and start
		 * again. */
		log_fatal(w->log, "new configuration: %s", e.text);
		exit(1);
	}
	now = generation_of(w);
	if (in->ops->on_new_conf(in->arg)) {
		generation_free(w, &old);
	} else {
		generation_use(w, &old);
		generation_free(w, &now);
	}
}

static void
on_drain(void *arg, const struct wire_drain *m)
{
	struct worker *w = arg;

	(void)m;
	if (w->in->is_ending)
		return;
	w->in->is_ending = true;
	w->in->ops->on_drain(w->in->arg);
}

static void
on_stop(void *arg, const struct wire_stop *m)
{
	(void)m;
	stop(arg);
}

static void
on_trigger(void *arg, const struct wire_trigger *m)
{
	struct worker *w = arg;

	if (w->in->ops->on_trigger != NULL && !w->in->is_ending)
		w->in->ops->on_trigger(w->in->arg, m->service);
}

static void
on_control_close(void *arg, const char *why)
{
	struct worker *w = arg;

	if (why != NULL)
		log_warn(w->log, "control channel: %s", why);
	stop(w);
}

static const struct ipc_handlers control_handlers = {
	.on_peer = on_peer,
	.on_log_file = on_log_file,
	.on_new_conf = on_new_conf,
	.on_drain = on_drain,
	.on_stop = on_stop,
	.on_trigger = on_trigger,
};

/* ---- lookup ---- */

static void
need_lookup(void *arg)
{
	worker_need(arg, STR("lookup"));
}

struct lookup_client *
worker_lookup(struct worker *w)
{
	struct conf_common common = { 0 };
	struct lookup_client_conf conf = {
		.loop = w->loop, .log = w->log, .need = need_lookup, .arg = w
	};
	struct err e = { 0 };

	if (w->in->lookup != NULL)
		return w->in->lookup;
	if (conf_fill_common(w->snapshot, NULL, w->mem, &common, &e) != RC_OK)
		log_warn(w->log, "%s", e.text);
	conf.timeout_us = common.ipc_timeout_us;
	if (conf.timeout_us <= 0 || conf.timeout_us > LOOKUP_PATIENCE_MAX_US)
		conf.timeout_us = LOOKUP_PATIENCE_MAX_US;
	w->in->lookup = lookup_client_new(&conf);
	return w->in->lookup;
}

/* Channels come as descriptors over the control channel, which would close for want of a
 * place. */
static bool
has_descriptor(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	bool has = fd >= 0;

	os_fd_close(&fd);
	return has;
}

void
worker_need(struct worker *w, struct str role)
{
	if (!has_descriptor())
		return;
	ipc_send_need(w->in->control, &(struct wire_need){ .role = role });
}

void
worker_need_queue(void *arg)
{
	worker_need(arg, STR("submit"));
}

/* ---- start ---- */

static void
die(struct worker *w, const struct err *e)
{
	log_fatal(w->log, "%s", e->text);
	exit(1);
}

static void
on_round_end(void *arg)
{
	log_flush(((struct worker *)arg)->log);
}

/* Whoever types the daemon's name gets an answer, not a crash. */
static void
read_boot(struct worker *w, int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-W") == 0 &&
	    boot_parse(str_c(argv[2]), w->mem, &w->in->boot) == RC_OK)
		return;
	(void)fprintf(stderr,
	    "postfix/%s: fatal: this command is started by the master daemon; use "
	    "\"postfix start\"\n",
	    w->role);
	exit(1);
}

static enum rc
inherit_nothing(const struct boot *b, struct err *e)
{
	enum rc rc = os_fd_inherit(b->control_fd, false, e);

	if (rc == RC_OK && b->log_fd >= 0)
		rc = os_fd_inherit(b->log_fd, false, e);
	for (size_t i = 0; i < b->n_listen && rc == RC_OK; i++)
		rc = os_fd_inherit(b->listen[i].fd, false, e);
	return rc;
}

static enum rc
read_snapshot(struct worker *w, struct err *e)
{
	int fd = w->in->boot.conf_fd;
	enum rc rc;

	if (!os_fd_is_sealed(fd))
		return err_set(e, RC_PERM, "the snapshot is not sealed");
	rc = conf_snapshot_read(fd, str_c(w->role), w->mem, &w->snapshot, e);
	os_fd_close(&fd);
	w->in->boot.conf_fd = -1;
	if (rc == RC_OK)
		w->config_dir = arena_cstr(w->mem, w->snapshot->config_directory);
	return rc;
}

/* The process's own lines: syslog_name/role. */
static enum rc
open_log(struct worker *w, struct err *e)
{
	struct str tag, host, facility;
	const char *full;
	enum rc rc = worker_param(w, NULL, "syslog_name", w->mem, &tag, e);

	if (rc == RC_OK)
		rc = worker_param(w, NULL, "myhostname", w->mem, &host, e);
	if (rc == RC_OK)
		rc = worker_param(w, NULL, "syslog_facility", w->mem, &facility, e);
	if (rc != RC_OK)
		return rc;
	full = arena_printf(w->mem, "%.*s/%s", STR_ARG(tag), w->role).p;
	log_free(&w->log);
	/* The host is myhostname up to its first dot (compat). */
	w->log = log_new(full, arena_cstr(w->mem, str_head(host, str_find(host, '.'))));
	if (w->in->boot.log_fd >= 0)
		log_to_fd(w->log, w->in->boot.log_fd);
	else
		log_to_syslog(w->log, log_facility(facility));
	return RC_OK;
}

static void
start_loop(struct worker *w)
{
	struct worker_int *in = w->in;
	const struct ipc_channel_conf conf = { .me = WIRE_WORKER,
		.peer = WIRE_MASTER,
		.on = &control_handlers,
		.on_close = on_control_close,
		.arg = w };

	w->loop = loop_new();
	loop_signal_watch(w->loop, &in->sigterm, SIGTERM, on_signal, w);
	loop_signal_watch(w->loop, &in->sigint, SIGINT, on_signal, w);
	loop_signal_watch(w->loop, &in->sighup, SIGHUP, on_signal, w);
	loop_timer_init(&in->deadline, on_deadline, w);
	loop_task_init(&in->log_hook, on_round_end, w);
	loop_at_round_end(w->loop, &in->log_hook);
	in->control = ipc_channel_new(w->loop, in->boot.control_fd, &conf);
}

void
worker_init(struct worker *w, int argc, char **argv, const char *role,
    const struct worker_ops *ops, void *arg)
{
	struct err e = { 0 };
	enum rc rc;

	*w = (struct worker){ .role = role, .mem = arena_new(WORKER_ARENA_MAX) };
	w->in = mem_get(sizeof(*w->in));
	w->in->ops = ops;
	w->in->arg = arg;
	read_boot(w, argc, argv);
	(void)setlocale(LC_ALL, "C");
	(void)signal(SIGPIPE, SIG_IGN);
	w->instance = w->in->boot.instance;
	w->n_workers = w->in->boot.n_workers;
	w->worker_at = w->in->boot.worker_at;
	w->is_root = os_users_is_root();
	w->log = log_new(arena_printf(w->mem, "postfix/%s", role).p, "localhost");
	log_to_syslog(w->log, LOG_MAIL);
	rc = inherit_nothing(&w->in->boot, &e);
	if (rc == RC_OK)
		rc = read_snapshot(w, &e);
	if (rc == RC_OK)
		rc = open_log(w, &e);
	if (rc == RC_OK)
		rc = worker_services_make(w, w->mem, &e);
	if (rc != RC_OK)
		die(w, &e);
	start_loop(w);
}

static enum rc
drop_privileges(struct worker *w, struct err *e)
{
	struct os_users_drop drop = { .extra_gid = (gid_t)-1,
		.keep_setid = w->keep_setid };
	struct str owner;
	enum rc rc;

	if (!w->is_root)
		return RC_OK;
	rc = worker_param(w, NULL, "mail_owner", w->mem, &owner, e);
	if (rc == RC_OK)
		rc = os_users_find(arena_cstr(w->mem, owner), &drop.user, e);
	return rc == RC_OK ? os_users_drop(&drop, e) : rc;
}

void
worker_confine(struct worker *w, const struct os_sandbox *s)
{
	struct os_sandbox_got got;
	struct err e = { 0 };
	enum rc rc = drop_privileges(w, &e);

	if (rc == RC_OK)
		rc = os_sandbox_enter(s, &got, &e);
	if (rc != RC_OK)
		die(w, &e);
	/* Once a start is enough: the first worker of a role says what is missing. */
	if (!got.has_landlock && w->worker_at == 0)
		log_warn(w->log, "file access is not confined: %s", got.why);
	ipc_send_ready(w->in->control, &(struct wire_ready){ 0 });
}

int
worker_run(struct worker *w)
{
	loop_run(w->loop);
	/* The last words of channels go out before the process ends. */
	loop_round(w->loop, 0);
	lookup_client_free(&w->in->lookup);
	ipc_channel_free(&w->in->control);
	free_logs(w, w->services, w->n_services);
	loop_free(&w->loop);
	log_free(&w->log);
	if (w->in->conf_mem != NULL)
		arena_free(&w->in->conf_mem);
	arena_free(&w->mem);
	free(w->in);
	return 0;
}
