/* One worker process: fork, exec, what it inherits, its control channel. */
#include "prog/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/boot.h"
#include "base/buf.h"
#include "conf/list.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/sock.h"

enum { ENVIRONMENT_MAX = 100, BOOT_TEXT_MAX = 100 << 10 };

const char *
process_path(const struct process *p, char *buf, size_t n)
{
	(void)snprintf(buf, n, "%s/%s", p->m->libexec, p->role->name);
	return buf;
}

/* ---- control channel ---- */

static void
on_ready(void *arg, const struct wire_ready *msg)
{
	struct process *p = arg;

	(void)msg;
	if (p->is_ready)
		return;
	p->is_ready = true;
	supervise_ready(p);
}

/* The process is about to end, or misbehaves; its end comes as a signal of its own. */
static void
on_close(void *arg, const char *why)
{
	struct process *p = arg;

	if (why != NULL) {
		log_warn(p->m->log, "%s[%d]: control channel: %s", p->role->name,
		    (int)p->pid, why);
		(void)kill(p->pid, SIGKILL);
	}
	ipc_channel_free(&p->control);
}

static void
on_need(void *arg, const struct wire_need *msg)
{
	struct process *p = arg;

	roles_need(p->m, msg->role);
	introduce_again(p, msg->role);
}

static const struct ipc_handlers handlers = { .on_ready = on_ready, .on_need = on_need };

static void
on_exit_status(void *arg, int wait_status)
{
	supervise_exit(arg, wait_status);
}

/* ---- the child's side ---- */

/* import_environment: NAME or NAME=VALUE; everything else is forgotten. What sanitizers
 * read is let through where they are built in. */
static void
make_environment(const struct config *c, char **env)
{
	static const char *const always[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		NULL };
	static const char *const sanitizers[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS",
		"HIKYAKU_REPORTS", "LSAN_OPTIONS" };
	struct str rest = c->conf.import_environment, item;
	size_t n = 0;

	env[n++] = mem_strdup(always[0]);
	for (size_t i = 0; i < ARRAY_LEN(sanitizers); i++) {
		const char *value = getenv(sanitizers[i]);

		if (value != NULL && asprintf(&env[n], "%s=%s", sanitizers[i], value) > 0)
			n++;
	}
	while (n < ENVIRONMENT_MAX - 2 && conf_list_next(&rest, &item) == RC_OK) {
		struct str s = conf_list_unbrace(item);
		char name[256];
		const char *value;

		if (s.n >= sizeof(name))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", STR_ARG(s));
		value = strchr(name, '=') == NULL ? getenv(name) : "";
		if (value == NULL || strcmp(name, "MAIL_CONFIG") == 0)
			continue;
		if (asprintf(&env[n], value[0] != '\0' ? "%s=%s" : "%s%s", name, value) >
		    0)
			n++;
	}
	if (asprintf(
		&env[n], "MAIL_CONFIG=%.*s", STR_ARG(c->snapshot->config_directory)) > 0)
		n++;
	env[n] = NULL;
}

static void
redirect(struct master *m)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		_exit(1);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	if (!m->is_foreground)
		(void)dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		(void)close(null);
}

/* Everything is close-on-exec but what the worker is told about. */
static void
run_child(struct process *p, const struct boot *b, char *text)
{
	char path[sizeof(p->m->libexec) + 32], role[32], flag[] = "-W";
	char *argv[] = { role, flag, text, NULL };
	char *env[ENVIRONMENT_MAX];
	bool ok = os_fd_inherit(b->control_fd, true, NULL) == RC_OK &&
		  os_fd_inherit(b->conf_fd, true, NULL) == RC_OK &&
		  (b->log_fd < 0 || os_fd_inherit(b->log_fd, true, NULL) == RC_OK);

	for (size_t i = 0; i < b->n_listen; i++)
		ok = ok && os_fd_inherit(b->listen[i].fd, true, NULL) == RC_OK;
	if (!ok)
		_exit(1);
	(void)snprintf(role, sizeof(role), "%s", p->role->name);
	make_environment(p->m->config, env);
	redirect(p->m);
	loop_signal_restore(p->m->loop);
	(void)execve(process_path(p, path, sizeof(path)), argv, env);
	_exit(1);
}

/* ---- the parent's side ---- */

static size_t
find_listeners(struct master *m, const struct role *r, struct boot_listen *v)
{
	size_t n = 0;

	LIST_EACH (it, &m->endpoints) {
		const struct endpoint *ep = CONTAINER_OF(it, struct endpoint, node);
		const char *name = ep->service == BOOT_ADMIN
				       ? "queue"
				       : config_role(m->config, ep->service);

		if (name != NULL && strcmp(name, r->name) == 0 && n < BOOT_LISTEN_MAX)
			v[n++] = (struct boot_listen){ ep->service, ep->fd };
	}
	return n;
}

static enum rc
spawn(struct process *p, int control_fd, struct err *e)
{
	struct master *m = p->m;
	struct boot_listen *listen = mem_array(BOOT_LISTEN_MAX, sizeof(*listen));
	struct boot b = { .instance = p->instance,
		.n_workers = p->role->n,
		.worker_at = p->slot->at,
		.control_fd = control_fd,
		.conf_fd = -1,
		.log_fd = m->log_fd,
		.listen = listen };
	struct buf text;
	enum rc rc;

	buf_init(&text, BOOT_TEXT_MAX);
	b.n_listen = find_listeners(m, p->role, listen);
	rc = conf_snapshot_memfd(m->config->snapshot, &b.conf_fd, e);
	if (rc != RC_OK)
		goto out;
	if (boot_format(&b, &text) != RC_OK || buf_put(&text, str_n("", 1)) != RC_OK) {
		rc = err_set(e, RC_TEMP, "too many endpoints");
		goto out;
	}
	p->pid = fork();
	if (p->pid < 0)
		rc = err_sys(e, RC_TEMP, "fork");
	else if (p->pid == 0)
		run_child(p, &b, text.p + text.start);
out:
	os_fd_close(&b.conf_fd);
	buf_fini(&text);
	free(listen);
	return rc;
}

enum rc
process_start(struct slot *s, struct err *e)
{
	struct master *m = s->m;
	struct process *p = mem_get(sizeof(*p));
	const struct ipc_channel_conf conf = { .me = WIRE_MASTER,
		.peer = WIRE_WORKER,
		.on = &handlers,
		.on_close = on_close,
		.refuses_fds = true,
		.arg = p };
	int pair[2];
	enum rc rc;

	p->m = m;
	p->role = s->role;
	p->slot = s;
	p->instance = ++m->next_instance;
	p->started_us = loop_now_us(m->loop);
	list_init(&p->node);
	rc = os_sock_pair(pair, e);
	if (rc != RC_OK) {
		free(p);
		return rc;
	}
	rc = spawn(p, pair[1], e);
	os_fd_close(&pair[1]);
	if (rc == RC_OK)
		rc = loop_child_watch(m->loop, &p->child, p->pid, on_exit_status, p, e);
	if (rc != RC_OK) {
		os_fd_close(&pair[0]);
		free(p);
		return rc;
	}
	p->control = ipc_channel_new(m->loop, pair[0], &conf);
	list_add_tail(&m->processes, &p->node);
	s->now = p;
	return RC_OK;
}

void
process_free(struct process *p)
{
	list_remove(&p->node);
	loop_child_unwatch(p->m->loop, &p->child);
	ipc_channel_free(&p->control);
	if (p->slot != NULL)
		p->slot->now = NULL;
	free(p);
}
