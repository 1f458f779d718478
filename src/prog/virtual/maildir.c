/* Maildir: written and synced under tmp/, then renamed into new/, then the folder is
 * synced, once for all that come together. A reader never sees half a message, and what
 * is reported as delivered survives a crash. */
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_SIZE 512
#define PATH_SIZE 5000

static void
fail(struct task *t, const char *what, const char *path, int error)
{
	fail_errno(&t->why, error);
	if (path == NULL)
		(void)snprintf(t->why.text, sizeof(t->why.text), /* compat */
		    "maildir delivery failed: %s: %s", what, strerror(error));
	else
		(void)snprintf(t->why.text, sizeof(t->why.text),
		    "maildir delivery failed: %s %.100s/%.180s: %s", what, t->s->base,
		    path, strerror(error));
}

/* compat: create maildir file …: Permission denied, with a hint in the log. */
static void
fail_create(struct task *t, const char *path, int error)
{
	fail(t, "create maildir file", path, error);
	if (error != EACCES)
		return;
	(void)snprintf(t->why.warning, sizeof(t->why.warning),
	    "maildir access problem for UID/GID=%lu/%lu: create maildir file "
	    "%.100s/%.180s: %s",
	    (unsigned long)t->box.uid, (unsigned long)t->box.gid, t->s->base, path,
	    strerror(error));
	t->why.hint = "perhaps you need to create the maildirs in advance"; /* compat */
}

static int
create_in_tmp(struct task *t, const char *path)
{
	char folder[PATH_SIZE];
	static const char *const parts[] = { "tmp", "new", "cur" };
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	int fd = open_beneath(t->s->base_fd, path, flags, 0600);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		(void)snprintf(folder, sizeof(folder), "%s/%s", t->box.path, parts[i]);
		if (!make_folders(t->s->base_fd, folder))
			return -1;
	}
	return open_beneath(t->s->base_fd, path, flags, 0600);
}

static void
tmp_name(const struct task *t, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, "%lld.P%ldQ%u.%s",
	    (long long)(t->wall_us / US_PER_SEC), t->v->pid, t->number, t->v->host);
}

static void
new_name(const struct task *t, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, "%lld.V%llxI%llxM%lld.%s", /* compat */
	    (long long)(t->wall_us / US_PER_SEC), (unsigned long long)t->dev,
	    (unsigned long long)t->ino, (long long)(t->wall_us % US_PER_SEC), t->v->host);
}

static int
open_part(const struct task *t, const char *part, int flags)
{
	char folder[PATH_SIZE];
	int fd;

	(void)snprintf(folder, sizeof(folder), "%s/%s", t->box.path, part);
	fd = open_beneath(t->s->base_fd, folder, flags | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT && make_folders(t->s->base_fd, folder))
		fd = open_beneath(t->s->base_fd, folder, flags | O_DIRECTORY, 0);
	return fd;
}

static void
remove_tmp(const struct task *t)
{
	char name[NAME_SIZE];
	int fd = open_part(t, "tmp", O_PATH);

	if (fd < 0)
		return;
	tmp_name(t, name);
	(void)unlinkat(fd, name, 0);
	(void)close(fd);
}

bool
maildir_write(struct task *t)
{
	static atomic_uint sequence; /* two threads in one second */
	char path[PATH_SIZE], name[NAME_SIZE];
	struct writer w = { .limit = (uint64_t)t->s->conf.virtual_mailbox_limit_bytes };
	struct stat st;
	bool ok;

	t->number = atomic_fetch_add(&sequence, 1);
	tmp_name(t, name);
	(void)snprintf(path, sizeof(path), "%s/tmp/%s", t->box.path, name);
	w.fd = create_in_tmp(t, path);
	if (w.fd < 0) {
		fail_create(t, path, errno);
		return false;
	}
	ok = text_write(&w, t) && fsync(w.fd) == 0 && fstat(w.fd, &st) == 0;
	if (!ok)
		fail(t, "error writing message", NULL, errno); /* compat */
	if (close(w.fd) != 0 && ok) {
		fail(t, "error writing message", NULL, errno);
		ok = false;
	}
	if (!ok) {
		remove_tmp(t);
		return false;
	}
	t->dev = st.st_dev;
	t->ino = st.st_ino;
	return true;
}

/* ---- from tmp/ to new/ ---- */

static void
fail_move(struct task *t, int error)
{
	char path[PATH_SIZE], name[NAME_SIZE];

	new_name(t, name);
	(void)snprintf(path, sizeof(path), "%s/new/%s", t->box.path, name);
	fail(t, "create maildir file", path, error);
}

/* False: it is in tmp/ still. */
static bool
move_one(struct task *t, int tmp_fd, int new_fd)
{
	char from[NAME_SIZE], to[NAME_SIZE];

	tmp_name(t, from);
	new_name(t, to);
	/* 1: never replace a file */
	if (syscall(SYS_renameat2, tmp_fd, from, new_fd, to, 1) == 0)
		return true;
	fail_move(t, errno);
	(void)unlinkat(tmp_fd, from, 0);
	return false;
}

/* The folder could not be synced: none of them counts, so all of them will come again,
 * and those that are here should not stay. Whoever reads the mailbox may have moved one:
 * then it is there twice. */
static void
take_back(struct task *const *tasks, size_t n, int new_fd, int error)
{
	char name[NAME_SIZE];

	for (size_t i = 0; i < n; i++) {
		if (tasks[i]->why.dsn[0] != '\0')
			continue;
		new_name(tasks[i], name);
		(void)unlinkat(new_fd, name, 0);
		fail_move(tasks[i], error);
	}
}

void
maildir_move(struct task *const *tasks, size_t n)
{
	int tmp_fd = open_part(tasks[0], "tmp", O_PATH), new_fd = -1, error = errno;
	size_t n_moved = 0;

	if (tmp_fd >= 0) {
		new_fd = open_part(tasks[0], "new", O_RDONLY);
		error = errno;
	}
	for (size_t i = 0; i < n; i++) {
		if (new_fd >= 0) {
			n_moved += move_one(tasks[i], tmp_fd, new_fd);
			continue;
		}
		fail_move(tasks[i], error);
		remove_tmp(tasks[i]);
	}
	if (n_moved > 0 && fsync(new_fd) != 0)
		take_back(tasks, n, new_fd, errno);
	if (tmp_fd >= 0)
		(void)close(tmp_fd);
	if (new_fd >= 0)
		(void)close(new_fd);
}
