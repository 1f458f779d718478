/* mbox: appended under locks; what could not be written whole is cut off again. */
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 5000

/* Opened folder and name in it, so that lock file and mailbox are surely neighbours. */
struct place {
	int folder_fd;
	const char *name;
	char lock[300]; /* name of the lock file; empty: none held */
	int fd;
};

static bool
fail(struct task *t, const char *what, int error)
{
	fail_errno(&t->why, error);
	(void)snprintf(t->why.text, sizeof(t->why.text), /* compat */
	    "delivery failed to mailbox %s/%s: %s: %s", t->s->base, t->box.path, what,
	    strerror(error));
	return false;
}

static bool
fail_lock_file(struct task *t, int error)
{
	char what[300];

	(void)snprintf(what, sizeof(what),
	    "unable to create lock file %.130s/%.130s.lock", t->s->base, t->box.path);
	return fail(t, what, error);
}

static void
wait_a_moment(const struct task *t)
{
	int64_t us = t->s->conf.deliver_lock_delay_us;
	struct timespec ts = { .tv_sec = us / US_PER_SEC,
		.tv_nsec = (us % US_PER_SEC) * 1000 };

	(void)nanosleep(&ts, NULL);
}

/* A lock file that nobody has touched for long was left behind by a crash. */
static void
remove_stale(const struct task *t, const struct place *p)
{
	struct timespec now;
	struct stat st;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (fstatat(p->folder_fd, p->lock, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now.tv_sec - st.st_ctim.tv_sec > t->s->conf.stale_lock_time_us / US_PER_SEC)
		(void)unlinkat(p->folder_fd, p->lock, 0);
}

static bool
take_lock_file(struct task *t, struct place *p)
{
	int fd = -1, error = 0;

	if (!t->s->use_dotlock)
		return true;
	if ((size_t)snprintf(p->lock, sizeof(p->lock), "%s.lock", p->name) >=
	    sizeof(p->lock)) {
		p->lock[0] = '\0';
		return fail_lock_file(t, ENAMETOOLONG);
	}
	for (int64_t i = 0; fd < 0 && i < t->s->conf.deliver_lock_attempts; i++) {
		if (i > 0)
			wait_a_moment(t);
		fd = open_beneath(p->folder_fd, p->lock,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		error = errno;
		if (fd < 0 && error != EEXIST)
			break;
		if (fd < 0)
			remove_stale(t, p);
	}
	if (fd >= 0) {
		(void)close(fd);
		return true;
	}
	p->lock[0] = '\0';
	return fail_lock_file(t, error);
}

/* Locks of the open file, not of the process: our threads must exclude each other as well
 * as other programs. */
static bool
lock_open_file(struct task *t, const struct place *p)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool has_fcntl = !t->s->use_fcntl, has_flock = !t->s->use_flock;

	for (int64_t i = 0; i < t->s->conf.deliver_lock_attempts; i++) {
		if (i > 0)
			wait_a_moment(t);
		if (!has_fcntl)
			has_fcntl = fcntl(p->fd, F_OFD_SETLK, &whole) == 0;
		if (has_fcntl && !has_flock)
			has_flock = flock(p->fd, LOCK_EX | LOCK_NB) == 0;
		if (has_fcntl && has_flock)
			return true;
	}
	return fail(t, "unable to lock for exclusive access", EAGAIN); /* compat */
}

static bool
check_file(struct task *t, const struct place *p, struct stat *st)
{
	if (fstat(p->fd, st) != 0)
		return fail(t, "cannot open file", errno);
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1) {
		(void)fail(t, "cannot open file", EINVAL);
		(void)snprintf(t->why.text, sizeof(t->why.text),
		    "delivery failed to mailbox %s/%s: %s", t->s->base, t->box.path,
		    S_ISREG(st->st_mode) ? "file has multiple links"
					 : "file is not a regular file");
		return false;
	}
	if (t->v->change_ids && t->s->conf.strict_mailbox_ownership &&
	    st->st_uid != t->box.uid) {
		(void)strcpy(t->why.dsn, "4.2.0");
		(void)snprintf(t->why.text, sizeof(t->why.text), /* compat */
		    "destination %s/%s is not owned by recipient", t->s->base,
		    t->box.path);
		return false;
	}
	return true;
}

/* "From sender  Sun Nov 22 01:27:34 2026" */
static void
put_from_line(const struct task *t, char *to, size_t n)
{
	struct str sender = t->job->m->sender;
	time_t sec = (time_t)(t->wall_us / US_PER_SEC);
	char date[40];
	struct tm tm;

	if (sender.n == 0)
		sender = STR("MAILER-DAEMON"); /* compat */
	(void)localtime_r(&sec, &tm);
	(void)strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
	(void)snprintf(to, n, "From %.*s  %s\n", STR_ARG(sender), date);
	for (char *c = to; *c != '\0' && c[1] != '\0'; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' '; /* a sender cannot make lines */
}

static bool
put_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

/* Whoever was killed while he wrote left half a line. Ours would not be found behind it.
 */
static const char *
separator(const struct place *p, const struct stat *st)
{
	char last = '\n';

	if (st->st_size > 0 && pread(p->fd, &last, 1, st->st_size - 1) != 1)
		return ""; /* it may not be read */
	return last == '\n' ? "" : "\n\n";
}

static bool
append(struct task *t, struct place *p, const struct stat *st)
{
	char from[2100];
	struct writer w = { .fd = p->fd,
		.is_mbox = true,
		.size = (uint64_t)st->st_size,
		.limit = (uint64_t)t->s->conf.virtual_mailbox_limit_bytes };
	size_t n;
	int error;

	(void)strcpy(from, separator(p, st));
	n = strlen(from);
	put_from_line(t, from + n, sizeof(from) - n);
	n = strlen(from);
	errno = EFBIG;
	if ((w.limit == 0 || w.size + n <= w.limit) && put_all(p->fd, from, n)) {
		w.size += n;
		if (text_write(&w, t) && fsync(p->fd) == 0 &&
		    (st->st_size > 0 || sync_folder(p->folder_fd)))
			return true;
	}
	error = errno;
	if (ftruncate(p->fd, st->st_size) != 0)
		(void)snprintf(t->why.warning, sizeof(t->why.warning),
		    "%.200s/%.100s: cannot cut off what was written: %s", t->s->base,
		    t->box.path, strerror(errno));
	return fail(t, "error writing message", error); /* compat */
}

static bool
open_and_append(struct task *t, struct place *p)
{
	const int flags = O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
	struct stat st;

	p->fd = open_beneath(p->folder_fd, p->name, O_RDWR | flags, 0600);
	if (p->fd < 0 && errno == EACCES)
		p->fd = open_beneath(p->folder_fd, p->name, O_WRONLY | flags, 0600);
	if (p->fd < 0)
		return fail(t, "cannot open file", errno); /* compat */
	if (!check_file(t, p, &st) || !lock_open_file(t, p))
		return false;
	if (fstat(p->fd, &st) != 0) /* its size under the lock */
		return fail(t, "cannot open file", errno);
	return append(t, p, &st);
}

bool
mbox_deliver(struct task *t)
{
	char folder[PATH_SIZE] = ".";
	const char *slash = strrchr(t->box.path, '/');
	struct place p = { .folder_fd = -1, .fd = -1 };
	bool ok;

	if (slash != NULL)
		(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - t->box.path),
		    t->box.path);
	p.name = slash == NULL ? t->box.path : slash + 1;
	p.folder_fd = open_beneath(t->s->base_fd, folder, O_PATH | O_DIRECTORY, 0);
	if (p.folder_fd < 0)
		return t->s->use_dotlock ? fail_lock_file(t, errno)
					 : fail(t, "cannot open file", errno);
	ok = take_lock_file(t, &p) && open_and_append(t, &p);
	if (p.fd >= 0 && close(p.fd) != 0 && ok)
		ok = fail(t, "error writing message", errno);
	if (p.lock[0] != '\0')
		(void)unlinkat(p.folder_fd, p.lock, 0);
	(void)close(p.folder_fd);
	return ok;
}
