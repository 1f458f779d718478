/* map_auto_rebuild: all tables before the first worker starts, and a child that looks
 * after them while we run, so that we never wait. It is a copy of us without our sockets.
 * A reload, or another log file, has a new one in its place. */
#include "prog/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/table_rebuild.h"
#include "base/arena.h"
#include "log/facility.h"
#include "log/log.h"
#include "os/fd.h"

#define LOOK_SEC 1
#define LOG_FD   3

void
rebuild_all(struct master *m)
{
	table_rebuild_all(m->config->snapshot, m->log);
}

/* ---- the child's side ---- */

/* Nothing of ours stays open but the log file. */
static struct log *
take_log(struct master *m)
{
	const struct conf_common *c = &m->config->common;
	char tag[300];
	struct log *log;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fd;

	/* Who started us waits for the end of what is said there. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(null, STDERR_FILENO) < 0)
		_exit(1);
	fd = m->log_fd < 0 ? -1 : dup2(m->log_fd, LOG_FD);
	if (close_range(fd < 0 ? LOG_FD : LOG_FD + 1, ~0U, 0) != 0 ||
	    (fd >= 0 && os_fd_inherit(fd, false, NULL) != RC_OK))
		_exit(1);
	(void)snprintf(tag, sizeof(tag), "%.*s/master", STR_ARG(c->syslog_name));
	log = log_new(tag, arena_cstr(m->config->mem,
			       str_head(c->myhostname, str_find(c->myhostname, '.'))));
	if (fd >= 0)
		log_to_fd(log, fd);
	else
		log_to_syslog(log, log_facility(c->syslog_facility));
	return log;
}

static void
run_child(struct master *m, pid_t parent)
{
	const struct timespec nap = { .tv_sec = LOOK_SEC };
	struct table_rebuild *r;
	struct err e = { .text = "" };
	struct log *log;

	loop_signal_restore(m->loop);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	log = take_log(m);
	if (table_rebuild_new(m->config->snapshot, log, &r, &e) != RC_OK) {
		log_warn(log, "map_auto_rebuild: %s", e.text);
		log_flush(log);
		_exit(0);
	}
	for (;;) {
		(void)table_rebuild_look(r);
		(void)nanosleep(&nap, NULL);
	}
}

/* ---- ours ---- */

static void
on_exit_status(void *arg, int wait_status)
{
	struct master *m = arg;

	(void)wait_status;
	m->has_rebuilder = false;
	log_warn(
	    m->log, "map_auto_rebuild: the process that looks after tables has ended");
}

void
rebuild_stop(struct master *m)
{
	pid_t pid = m->rebuilder.pid;

	if (!m->has_rebuilder)
		return;
	m->has_rebuilder = false;
	/* A command of its goes on and ends by itself. */
	(void)kill(pid, SIGKILL);
	loop_child_unwatch(m->loop, &m->rebuilder);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void
rebuild_start(struct master *m)
{
	struct err e = { 0 };
	pid_t self = getpid(), pid;

	rebuild_stop(m);
	if (!table_rebuild_is_wanted(m->config->snapshot))
		return;
	log_flush(m->log);
	pid = fork();
	if (pid == 0)
		run_child(m, self);
	if (pid < 0) {
		log_warn(m->log, "map_auto_rebuild: fork: %m");
		return;
	}
	if (loop_child_watch(m->loop, &m->rebuilder, pid, on_exit_status, m, &e) !=
	    RC_OK) {
		log_warn(m->log, "map_auto_rebuild: %s", e.text);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return;
	}
	m->has_rebuilder = true;
}
