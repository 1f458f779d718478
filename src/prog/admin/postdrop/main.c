/* postdrop: writes what sendmail sends on standard input into the maildrop, and pokes
 * pickup. With -r it says on standard output what came of it, a line each: the name of
 * the file when it begins, and at the end an exit status and its reason.
 *
 * Installed set-gid, because the maildrop is closed to users; so every byte of
 * the input is checked (agent/maildrop.h), and who we run for decides, not what he says.
 *
 * A file is complete when it may be executed: that is set, and both are synced, before we
 * say yes. Signals are taken only while waiting for input, so there is no moment in which
 * a file could stay behind unnoticed or vanish after the yes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "agent/command.h"
#include "agent/maildrop.h"
#include "conf/list.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "prog/admin/postdrop/postdrop.h"
#include "spool/queue_id.h"

enum { READ_SIZE = 64 << 10, PATH_SIZE = 4096 };

static struct command command;
static volatile sig_atomic_t got_signal;

struct drop {
	char path[PATH_SIZE];
	int fd;
	bool reports; /* -r */
	const char *login;
};

static void
on_signal(int signo)
{
	got_signal = signo;
}

static void
catch_signals(void)
{
	static const int all[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct sigaction old;

		/* nohup stays nohup. */
		if (sigaction(all[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		(void)sigaddset(&set, all[i]);
		(void)sigaction(all[i], &sa, NULL);
	}
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

/* A line for sendmail. It may be gone; its message is not, once that is complete. */
static void report(const struct drop *d, const char *fmt, ...) PRINTF(2, 3);

static void
report(const struct drop *d, const char *fmt, ...)
{
	char line[600];
	va_list ap;
	int n;

	if (!d->reports)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = (size_t)n < sizeof(line) - 1 ? n : (int)sizeof(line) - 2;
	line[n++] = '\n';
	(void)!os_fd_write_all(STDOUT_FILENO, str_n(line, (size_t)n), NULL);
}

/* Ends without a file. */
static _Noreturn void
give_up(struct drop *d, int status, const char *what, const char *why)
{
	if (d->fd >= 0)
		(void)unlink(d->path);
	report(d, "%d %s%s%s", status, what, why != NULL ? ": " : "",
	    why != NULL ? why : "");
	command_fatal(&command, status, "uid=%ld: %s%s%s", (long)getuid(), what,
	    why != NULL ? ": " : "", why != NULL ? why : "");
}

/* ---- who ---- */

static void
check_user(struct drop *d)
{
	uid_t uid = getuid();
	const struct passwd *pw = getpwuid(uid);
	struct str login = str_c(pw != NULL ? pw->pw_name : "unknown");

	/* What getpwuid() gave does not last. */
	d->login = arena_cstr(command.mem, login);
	if (d->login == NULL)
		command_fatal(&command, EX_OSERR, "out of memory");

	if (!command_user_is_listed(&command, EX_TEMPFAIL, "authorized_submit_users",
		command.conf.authorized_submit_users, login)) /* compat */
		command_fatal(&command, EX_NOPERM,
		    "User %.*s(%ld) is not allowed to submit mail", STR_ARG(login),
		    (long)uid);
}

/* Refused senders are told by -r alone: sendmail says it to the user, and to the log. */
static void
check_sender(struct drop *d, struct str sender)
{
	struct err e = { 0 };

	if (sender_check(&command, str_c(d->login), sender, &e) == RC_OK)
		return;
	if (d->reports) {
		if (d->fd >= 0)
			(void)unlink(d->path);
		report(d, "%d %s", EX_TEMPFAIL, e.text);
		exit(EX_TEMPFAIL);
	}
	give_up(d, EX_TEMPFAIL, e.text, NULL);
}

/* ---- the file ---- */

static void
create(struct drop *d)
{
	for (int i = 0; i < 100 && d->fd < 0; i++) {
		/* A queue id: `sendmail -bs` shows it. */
		struct queue_id id = queue_id_format(os_random_u64() & 0xffffff,
		    os_clock_wall_us(), command.conf.enable_long_queue_ids);
		int n = snprintf(d->path, sizeof(d->path), "%s/maildrop/%s",
		    command.queue_dir, id.text);

		if (n < 0 || (size_t)n >= sizeof(d->path))
			command_fatal(
			    &command, EX_SOFTWARE, "queue_directory is too long");
		d->fd = open(
		    d->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (d->fd < 0 && errno != EEXIST)
			break;
	}
	if (d->fd < 0)
		give_up(d, EX_TEMPFAIL, "mail_queue_enter: create file", strerror(errno));
	report(d, "%s", strrchr(d->path, '/') + 1);
}

/* The name, too. Users may not read the maildrop, and so not sync it: for them the file
 * system's journal has to do, which writes a new file's name with its content. */
static bool
sync_maildrop(void)
{
	char path[PATH_SIZE];
	int fd, error = 0;

	(void)snprintf(path, sizeof(path), "%s/maildrop", command.queue_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES;
	if (fsync(fd) != 0)
		error = errno;
	(void)close(fd);
	errno = error;
	return error == 0;
}

static void
complete(struct drop *d)
{
	if (fchmod(d->fd, MAILDROP_MODE_READY) != 0 || fsync(d->fd) != 0 ||
	    close(d->fd) != 0 || !sync_maildrop())
		give_up(d, EX_TEMPFAIL, "queue file write error", strerror(errno));
}

/* One byte, and no harm when nobody is there: pickup looks when it starts. */
static void
poke(void)
{
	char endpoint[300];
	struct err e = { 0 };
	ssize_t n;
	int fd;

	(void)snprintf(endpoint, sizeof(endpoint), "public/%.*s",
	    STR_ARG(command.conf.pickup_service_name));
	if (command_connect(&command, endpoint, &fd, &e) != RC_OK)
		return;
	n = write(fd, "W", 1);
	(void)n;
	os_fd_close(&fd);
}

/* ---- the input ---- */

/* RC_NONE: the end. Signals arrive here and nowhere else. */
static enum rc
fill(struct drop *d, struct buf *in)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	char *room = buf_room(in, READ_SIZE);
	sigset_t none;
	ssize_t n;

	(void)sigemptyset(&none);
	if (ppoll(&pfd, 1, NULL, &none) < 0 && errno != EINTR)
		give_up(d, EX_OSERR, "poll", strerror(errno));
	if (got_signal != 0) {
		if (d->fd >= 0)
			(void)unlink(d->path);
		_exit(EX_TEMPFAIL);
	}
	n = room != NULL ? read(STDIN_FILENO, room, READ_SIZE) : -1;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return RC_OK;
	if (n < 0)
		give_up(d, EX_IOERR, "read", strerror(errno));
	buf_added(in, (size_t)n);
	return n == 0 ? RC_NONE : RC_OK;
}

static void
check_record(struct drop *d, const struct maildrop_record *r)
{
	if (r->type == 'S')
		check_sender(d, r->text);
}

static void
copy(struct drop *d)
{
	struct maildrop_reader reader = { 0 };
	struct maildrop_record r;
	struct err e = { 0 };
	struct buf in;
	enum rc rc = RC_OK;

	buf_init(&in, MAILDROP_RECORD_MAX + 2 * READ_SIZE);
	while (rc != RC_NONE) {
		struct str rest;
		size_t used;

		if (fill(d, &in) == RC_NONE) {
			if (in.n == 0 &&
			    reader.seen == 0) { /* sendmail gave up, and said why */
				if (d->fd >= 0)
					(void)unlink(d->path);
				_exit(EX_DATAERR);
			}
			give_up(d, EX_DATAERR, "input is not complete", NULL);
		}
		rest = buf_view(&in);
		while ((rc = maildrop_next(&reader, &rest, &r, &e)) == RC_OK)
			check_record(d, &r);
		used = in.n - rest.n;
		if (rc == RC_PERM || (rc == RC_NONE && rest.n > 0))
			give_up(d, EX_DATAERR, "malformed input", e.text);
		if (command.conf.message_size_limit_bytes > 0 &&
		    reader.content_bytes >
			(uint64_t)command.conf.message_size_limit_bytes)
			give_up(d, EX_UNAVAILABLE, "message file too big", NULL);
		if (d->fd < 0 && used > 0)
			create(d);
		if (used > 0 &&
		    os_fd_write_all(d->fd, str_head(buf_view(&in), used), &e) != RC_OK)
			give_up(d, EX_TEMPFAIL, "queue file write error", e.text);
		buf_consume(&in, used);
	}
	buf_fini(&in);
}

int
main(int argc, char **argv)
{
	struct drop d = { .fd = -1 };
	const char *dir = NULL;
	int c;

	if (argc > 0)
		argv[0] = (char *)(uintptr_t) "postdrop"; /* for getopt's words */
	while ((c = getopt(argc, argv, "c:rv")) != -1) {
		if (c == 'c')
			dir = optarg;
		else if (c == 'r')
			d.reports = true;
		else if (c == '?') {
			(void)fprintf(stderr,
			    "postdrop: fatal: usage: postdrop [-c config_dir] [-v]\n");
			return EX_USAGE;
		}
	}
	catch_signals();
	(void)umask(0);
	command_init(&command, "postdrop", dir);
	check_user(&d);
	if (d.reports)
		create(&d);
	copy(&d);
	complete(&d);
	report(&d, "0");
	poke();
	return EX_OK;
}
