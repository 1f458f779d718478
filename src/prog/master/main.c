/* master: reads the configuration, binds ports, starts and restarts the other daemons.
 * The only process that stays root.
 *
 *     master [-c DIR] [-d] [-i] [-s] [-t] [-v] [-w]
 *
 * -d, -i, -s stay in the foreground; otherwise it goes into the background and returns
 * when everything serves (-w is the default). -t: exit 0 when no master runs, 1 when one
 * does. */
#include "prog/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/arena.h"
#include "log/log.h"
#include "os/fd.h"

#define START_US (30 * US_PER_SEC)

/* Workers may have thousands of connections each. */
static void
raise_limits(struct master *m)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur == lim.rlim_max)
		return;
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
		log_warn(m->log, "setrlimit: %m");
}

/* Absolute, because we change to queue_directory; the daemons are where we are. */
static enum rc
find_paths(struct master *m, struct err *e)
{
	char self[sizeof(m->libexec)];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return err_sys(e, RC_TEMP, "readlink /proc/self/exe");
	self[n] = '\0';
	(void)snprintf(m->libexec, sizeof(m->libexec), "%s", dirname(self));
	if (realpath(m->config_dir, m->config_path) == NULL)
		return err_sys(e, RC_PERM, "open %s/main.cf", m->config_dir);
	m->config_dir = m->config_path;
	return RC_OK;
}

static void
on_round_end(void *arg)
{
	log_flush(((struct master *)arg)->log);
}

/* Messages go to the terminal, too, until everything serves. */
static void
make_log(struct master *m)
{
	struct str host = m->config->common.myhostname;
	char tag[300], name[256];

	(void)snprintf(
	    tag, sizeof(tag), "%.*s/master", STR_ARG(m->config->common.syslog_name));
	(void)snprintf(
	    name, sizeof(name), "%.*s", STR_ARG(str_head(host, str_find(host, '.'))));
	log_free(&m->log);
	m->log = log_new(tag, name);
	log_set_verbose(m->log, m->verbose);
	log_copy_to(m->log, STDERR_FILENO, LOG_LEVEL_WARN);
}

static void
make_loop(struct master *m)
{
	m->loop = loop_new();
	loop_task_init(&m->log_hook, on_round_end, m);
	loop_at_round_end(m->loop, &m->log_hook);
	control_init(m);
}

/* From here on nothing is asked of the terminal. */
static enum rc
start(struct master *m, struct err *e)
{
	enum rc rc = directories_make(m, e);

	if (rc == RC_OK)
		rc = directories_lock(m, e);
	if (rc == RC_OK)
		rc = logfile_open(m, e);
	if (rc != RC_OK)
		return rc;
	make_loop(m);
	rc = endpoints_apply(m, m->config, e);
	if (rc != RC_OK)
		return rc;
	log_info(m->log, "daemon started -- version %.*s, configuration %s", /* compat */
	    STR_ARG(m->config->common.mail_version), m->config_dir);
	config_warn(m->config, m->log);
	if (!m->is_root)
		log_info(m->log, "not started by root: all processes run as uid %ld",
		    (long)getuid());
	roles_init(m);
	roles_plan(m);
	if (m->roles[ROLE_QUEUE].n == 0)
		return err_set(e, RC_PERM, "no %s/queue", m->libexec);
	loop_timer_set(m->loop, &m->deadline, loop_now_us(m->loop) + START_US);
	wakeups_make(m);
	rebuild_all(m);
	rebuild_start(m);
	supervise_start(m);
	return RC_OK;
}

/* The one who started us waits at the other end of a pipe; no "k" means it failed. */
static int
wait_for_report(int fd)
{
	char c;

	while (read(fd, &c, 1) < 0)
		if (errno != EINTR)
			return 1;
	return c == 'k' ? 0 : 1;
}

static void
go_into_background(struct master *m)
{
	int fd[2], null;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		log_fatal(m->log, "cannot go into the background: %m");
		exit(1);
	}
	if (pid > 0) {
		os_fd_close(&fd[1]);
		_exit(wait_for_report(fd[0]));
	}
	os_fd_close(&fd[0]);
	m->report_fd = fd[1];
	(void)setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		os_fd_close(&null);
	}
}

static void
finish(struct master *m)
{
	endpoints_close(m, true);
	wakeups_free(m);
	LIST_EACH_SAFE (it, tmp, &m->processes)
		process_free(CONTAINER_OF(it, struct process, node));
	loop_free(&m->loop);
	log_free(&m->log);
	os_fd_close(&m->log_fd);
	os_fd_close(&m->pid_lock_fd);
	os_fd_close(&m->data_lock_fd);
	config_free(&m->config);
}

static bool
read_arguments(struct master *m, int argc, char **argv, bool *is_test)
{
	const char *env = getenv("MAIL_CONFIG");
	int c;

	m->config_dir = env != NULL && env[0] != '\0' ? env : "/etc/postfix";
	while ((c = getopt(argc, argv, "c:Dde:istvw")) != -1) {
		if (c == 'c')
			m->config_dir = optarg;
		else if (c == 'd' || c == 'i' || c == 's')
			m->is_foreground = true;
		else if (c == 't')
			*is_test = true;
		else if (c == 'v')
			m->verbose++;
		else if (c == '?')
			return false;
	}
	return optind == argc;
}

int
main(int argc, char **argv)
{
	static struct master m = {
		.log_fd = -1, .report_fd = -1, .pid_lock_fd = -1, .data_lock_fd = -1
	};
	struct err e = { 0 };
	bool is_test = false;

	list_init(&m.endpoints);
	list_init(&m.processes);
	m.log = log_new("postfix/master", "localhost");
	log_copy_to(m.log, STDERR_FILENO, LOG_LEVEL_WARN);
	if (!read_arguments(&m, argc, argv, &is_test)) {
		log_fatal(
		    m.log, "usage: master [-c config_dir] [-d] [-i] [-s] [-t] [-v] [-w]");
		return 1;
	}
	m.is_root = os_users_is_root();
	(void)umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	if (find_paths(&m, &e) != RC_OK ||
	    config_load(m.config_dir, &m.config, &e) != RC_OK) {
		log_fatal(m.log, "%s", e.text);
		return 1;
	}
	if (is_test)
		return directories_locked(&m) ? 1 : 0;
	if (!m.is_foreground)
		go_into_background(&m);
	make_log(&m); /* has our process number in it */
	raise_limits(&m);
	if (start(&m, &e) != RC_OK) {
		log_fatal(m.log, "%s", e.text);
		return 1;
	}
	loop_run(m.loop);
	finish(&m);
	return 0;
}
