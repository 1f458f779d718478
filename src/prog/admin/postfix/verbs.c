/* Starting and stopping: the master daemon does it, here it is asked to. */
#include "prog/admin/postfix/postfix.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/arena.h"
#include "log/log.h"
#include "os/fd.h"

enum { STOP_WAIT_S = 15, PID_FILE_MAX = 100 };

pid_t
running_pid(const struct postfix *p)
{
	const char *path = arena_printf(p->mem, "%.*s/%.*s/master.pid",
	    STR_ARG(p->master.queue_directory), STR_ARG(p->master.process_id_directory))
			       .p;
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	bool is_locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
	struct str text;
	uint64_t pid = 0;
	struct err e;

	if (is_locked && os_fd_read_all(fd, PID_FILE_MAX, p->mem, &text, &e) == RC_OK &&
	    str_u64(str_trim(text), INT32_MAX, &pid) != RC_OK)
		pid = 0;
	os_fd_close(&fd);
	return (pid_t)pid;
}

static int
not_running(struct postfix *p)
{
	log_fatal(p->log, "the Postfix mail system is not running");
	return 1;
}

static int
send_signal(struct postfix *p, pid_t pid, int signo)
{
	if (kill(pid, signo) == 0)
		return 0;
	log_fatal(p->log, "cannot signal the master daemon: %m");
	return 1;
}

/* ---- start ---- */

static void
exec_master(struct postfix *p, const char *mode)
{
	char path[sizeof(p->libexec) + 20];
	const char *argv[8] = { path, "-c", p->config_dir, mode };
	size_t n = 4;

	if (p->verbose > 0)
		argv[n++] = "-v";
	if (p->has_debug)
		argv[n++] = "-D";
	argv[n] = NULL;
	(void)snprintf(path, sizeof(path), "%s/master", p->libexec);
	log_flush(p->log);
	(void)execv(path, (char **)(uintptr_t)argv);
	log_fatal(p->log, "cannot execute %s: %m", path);
}

/* What makes a start hopeless is said before "starting", as Postfix does. */
static bool
may_start(struct postfix *p)
{
	struct err e = { 0 };

	if (running_pid(p) != 0) {
		log_fatal(p->log, "the Postfix mail system is already running");
		return false;
	}
	if (conf_check(p->snapshot, &e) != RC_OK) {
		log_fatal(p->log, "%s", e.text);
		log_fatal(p->log, "Postfix integrity check failed!");
		return false;
	}
	return true;
}

int
verb_start(struct postfix *p)
{
	int status;
	pid_t pid;

	if (!may_start(p))
		return 1;
	log_info(p->log, "starting the Postfix mail system");
	log_flush(p->log);
	pid = fork();
	if (pid == 0) {
		exec_master(p, "-w");
		_exit(1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			pid = -1;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_fatal(p->log, "mail system startup failed");
	return 1;
}

int
verb_start_fg(struct postfix *p)
{
	if (!may_start(p))
		return 1;
	log_info(p->log, "starting the Postfix mail system");
	exec_master(p, "-i");
	return 1;
}

/* ---- stop ---- */

/* Whether it has ended within `ms`. */
static bool
wait_for_end(int pidfd, int ms)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return pidfd < 0 || poll(&pfd, 1, ms) == 1;
}

/* Only the first second is silent. Master kills what does not end after ten. */
static int
stop_by(struct postfix *p, int signo, const char *what)
{
	pid_t pid = running_pid(p);
	int pidfd, status = 0;

	if (pid == 0)
		return not_running(p);
	log_info(p->log, "%s the Postfix mail system", what);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (send_signal(p, pid, signo) != 0) {
		os_fd_close(&pidfd);
		return 1;
	}
	for (int i = 0; !wait_for_end(pidfd, 1000); i++) {
		log_info(p->log, "waiting for the Postfix mail system to terminate");
		log_flush(p->log);
		if (i < STOP_WAIT_S)
			continue;
		log_warn(p->log, "stopping the Postfix mail system with force");
		status = send_signal(p, pid, SIGKILL);
		break;
	}
	os_fd_close(&pidfd);
	return status;
}

int
verb_stop(struct postfix *p)
{
	return stop_by(p, SIGTERM, "stopping");
}

int
verb_abort(struct postfix *p)
{
	return stop_by(p, SIGQUIT, "aborting");
}

int
verb_reload(struct postfix *p)
{
	struct err e = { 0 };
	pid_t pid = running_pid(p);

	if (pid == 0)
		return not_running(p);
	/* Master checks, too; here the one who typed it learns at once. */
	if (conf_check(p->snapshot, &e) != RC_OK) {
		log_fatal(p->log, "%s", e.text);
		return 1;
	}
	log_info(p->log, "refreshing the Postfix mail system");
	return send_signal(p, pid, SIGHUP);
}

int
verb_status(struct postfix *p)
{
	pid_t pid = running_pid(p);

	if (pid == 0) {
		log_info(p->log, "the Postfix mail system is not running");
		return 1;
	}
	log_info(p->log, "the Postfix mail system is running: PID: %ld", (long)pid);
	return 0;
}

/* ---- log file ---- */

static void
compress(struct postfix *p, const char *path)
{
	const char *program = arena_cstr(p->mem, p->cmd.maillog_file_compressor);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)execlp(program, program, path, (char *)NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		log_warn(p->log, "cannot compress %s with %s", path, program);
}

/* The format comes from main.cf, which is the administrator's to write. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t
make_suffix(const char *format, char *out, size_t n)
{
	time_t now = time(NULL);
	struct tm tm;

	return localtime_r(&now, &tm) == NULL ? 0 : strftime(out, n, format, &tm);
}
#pragma GCC diagnostic pop

/* Renames the file; master and all workers then open a new one. The compressor waits a
 * second, so that lines under way still find the old file. */
int
verb_logrotate(struct postfix *p)
{
	const char *from = arena_cstr(p->mem, p->master.maillog_file);
	const char *format = arena_cstr(p->mem, p->cmd.maillog_file_rotate_suffix);
	char suffix[100], to[4096];
	pid_t pid = running_pid(p);

	if (from[0] != '/' || strcmp(from, "/dev/stdout") == 0) {
		log_fatal(p->log,
		    "maillog_file names no file that could be rotated"); /* not compat */
		return 1;
	}
	if (make_suffix(format, suffix, sizeof(suffix)) == 0 ||
	    snprintf(to, sizeof(to), "%s.%s", from, suffix) >= (int)sizeof(to)) {
		log_fatal(p->log, "bad maillog_file_rotate_suffix: %s", format);
		return 1;
	}
	if (rename(from, to) != 0) {
		log_fatal(p->log, "rename %s to %s: %m", from, to);
		return 1;
	}
	if (pid != 0) {
		if (send_signal(p, pid, SIGUSR1) != 0)
			return 1;
		(void)poll(NULL, 0, 1000);
	}
	compress(p, to);
	return 0;
}
