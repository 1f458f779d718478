/* postdrop, which may write where we may not: started, fed, and heard out. It says a line
 * when it has a file, and one at the end: an exit status and its reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "agent/beside.h"
#include "agent/maildrop.h"
#include "os/fd.h"
#include "prog/admin/sendmail/sendmail.h"

enum { GATHER = 64 << 10, LINE_SIZE = 600 };

void
mail_flush(struct mail *m)
{
	struct err e = { 0 };

	if (!m->is_lost && m->out.n > 0 &&
	    os_fd_write_all(m->fd, buf_view(&m->out), &e) != RC_OK)
		m->is_lost = true;
	buf_reset(&m->out);
}

void
mail_put(struct mail *m, char type, struct str text)
{
	if (type != 'L' && text.n > MAILDROP_TEXT_MAX)
		mail_fatal(m, "address or option too long");
	if (m->out.n >= GATHER)
		mail_flush(m);
	if (maildrop_put(&m->out, type, text) != RC_OK)
		mail_fatal(m, "out of memory");
}

/* One line of postdrop's, without its end. False: it said nothing more. */
static bool
read_line(struct mail *m, char line[LINE_SIZE])
{
	size_t n = 0;
	char c;

	for (;;) {
		ssize_t got = read(m->report, &c, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || c == '\n') {
			line[n] = '\0';
			return got > 0;
		}
		if (n < LINE_SIZE - 1)
			line[n++] = c;
	}
}

static _Noreturn void
become_postdrop(const struct mail *m, const int in[2], const int out[2])
{
	const char *dir =
	    m->o->config_dir != NULL ? m->o->config_dir : getenv("MAIL_CONFIG");
	char path[BESIDE_PATH_MAX];

	beside_path("postdrop", path);
	(void)dup2(in[0], STDIN_FILENO);
	(void)dup2(out[1], STDOUT_FILENO);
	(void)close(in[0]);
	(void)close(in[1]);
	(void)close(out[0]);
	(void)close(out[1]);
	if (dir != NULL)
		(void)execl(path, "postdrop", "-r", "-c", dir, (char *)NULL);
	else
		(void)execl(path, "postdrop", "-r", (char *)NULL);
	(void)fprintf(stderr, "sendmail: fatal: execute %s: %s\n", path, strerror(errno));
	_exit(EX_TEMPFAIL);
}

static enum rc
start(struct mail *m, struct err *e)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) != 0)
		return err_set(e, RC_TEMP, "cannot make a pipe");
	if (pipe2(out, O_CLOEXEC) != 0) {
		(void)close(in[0]);
		(void)close(in[1]);
		return err_set(e, RC_TEMP, "cannot make a pipe");
	}
	m->postdrop = fork();
	if (m->postdrop == 0)
		become_postdrop(m, in, out);
	(void)close(in[0]);
	(void)close(out[1]);
	m->fd = in[1];
	m->report = out[0];
	return m->postdrop > 0 ? RC_OK : err_set(e, RC_TEMP, "cannot fork");
}

/* It ended, or will: nothing is written to it any more. */
static int
wait_for_it(struct mail *m)
{
	int status = 0;

	os_fd_close(&m->fd);
	os_fd_close(&m->report);
	while (m->postdrop > 0 && waitpid(m->postdrop, &status, 0) < 0 && errno == EINTR)
		;
	m->postdrop = 0;
	buf_fini(&m->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
}

/* "STATUS REASON"; what it could not say is its exit status. */
static enum rc
hear_out(struct mail *m, const char *line, struct err *e)
{
	long status = strtol(line, NULL, 10);
	const char *reason = strchr(line, ' ');
	int exited;
	enum rc rc;

	exited = wait_for_it(m);
	if (*line == '0' && exited == EX_OK)
		return RC_OK;
	if (*line == '\0' || *line == '0')
		status = exited == EX_OK ? EX_TEMPFAIL : exited;
	rc = err_set(e, RC_TEMP, "%s", reason != NULL ? reason + 1 : "");
	if (e != NULL)
		e->sys = (int)status;
	return rc;
}

enum rc
mail_open(struct mail *m, struct err *e)
{
	char line[LINE_SIZE];
	enum rc rc = start(m, e);

	if (rc != RC_OK)
		return rc;
	buf_init(&m->out, 2 * GATHER + MAILDROP_RECORD_MAX);
	if (!read_line(m, line) || strchr(line, ' ') != NULL)
		return hear_out(m, line, e);
	(void)snprintf(m->name, sizeof(m->name), "%.*s", MAIL_NAME_MAX - 1, line);
	return RC_OK;
}

enum rc
mail_close(struct mail *m, struct err *e)
{
	char line[LINE_SIZE];

	mail_flush(m);
	os_fd_close(&m->fd);
	if (!read_line(m, line))
		line[0] = '\0';
	return hear_out(m, line, e);
}

void
mail_abort(struct mail *m)
{
	if (m->postdrop > 0)
		(void)wait_for_it(m);
}
