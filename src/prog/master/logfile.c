/* Where the log goes: maillog_file, opened here once for all workers, or syslog. */
#include "prog/master/master.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/arena.h"
#include "conf/list.h"
#include "ipc/channel.h"
#include "log/facility.h"
#include "log/log.h"
#include "os/fd.h"

/* maillog_file must begin with one of maillog_file_prefixes: a main.cf that somebody else
 * may edit cannot make root write anywhere. */
static enum rc
check_prefix(const struct conf_master *c, struct err *e)
{
	struct str rest = c->maillog_file_prefixes, item;

	while (conf_list_next(&rest, &item) == RC_OK)
		if (str_starts(c->maillog_file, item))
			return RC_OK;
	return err_set(e, RC_PERM,
	    "maillog_file '%.*s' does not match any prefix of maillog_file_prefixes",
	    STR_ARG(c->maillog_file));
}

static mode_t
permissions(struct str text)
{
	unsigned mode = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '7')
			return 0600;
		mode = mode << 3 | (unsigned)(text.p[i] - '0');
	}
	return mode & 0666;
}

static enum rc
open_file(struct master *m, const struct conf_master *c, int *out, struct err *e)
{
	const char *path = arena_cstr(m->config->mem, c->maillog_file);
	mode_t old;
	enum rc rc;

	if (strcmp(path, "/dev/stdout") == 0) {
		if (!m->is_foreground)
			return err_set(e, RC_PERM,
			    "maillog_file = /dev/stdout needs \"postfix start-fg\"");
		*out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return *out >= 0 ? RC_OK : err_sys(e, RC_TEMP, "dup");
	}
	old = umask(0);
	rc = log_open_file(
	    path, O_CREAT, permissions(c->maillog_file_permissions), out, e);
	(void)umask(old);
	return rc;
}

enum rc
logfile_open(struct master *m, struct err *e)
{
	const struct conf_master *c = &m->config->conf;
	int fd = -1, copy;
	enum rc rc;

	if (c->maillog_file.n == 0) {
		os_fd_close(&m->log_fd);
		log_to_syslog(m->log, log_facility(m->config->common.syslog_facility));
		return RC_OK;
	}
	rc = check_prefix(c, e);
	if (rc == RC_OK)
		rc = open_file(m, c, &fd, e);
	if (rc != RC_OK)
		return rc;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		os_fd_close(&fd);
		return err_sys(e, RC_TEMP, "dup");
	}
	os_fd_close(&m->log_fd);
	m->log_fd = fd;
	log_to_fd(m->log, copy);
	return RC_OK;
}

/* After a rotation: everybody gets the new file. */
void
logfile_reopen(struct master *m)
{
	struct err e = { 0 };

	if (logfile_open(m, &e) != RC_OK) {
		log_error(m->log, "%s", e.text);
		return;
	}
	if (m->has_rebuilder)
		rebuild_start(m);
	if (m->log_fd < 0)
		return;
	LIST_EACH (it, &m->processes) {
		struct process *p = CONTAINER_OF(it, struct process, node);
		int fd = fcntl(m->log_fd, F_DUPFD_CLOEXEC, 3);

		if (p->control != NULL && fd >= 0)
			ipc_send_log_file(
			    p->control, &(struct wire_log_file){ .file = fd });
		else
			os_fd_close(&fd);
	}
}
