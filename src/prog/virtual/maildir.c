/* Maildir: written and synced under tmp/, then renamed into new/, then the folder is
 * synced. A reader never sees half a message, and what is reported as delivered survives
 * a crash. */
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

/* The last step: from tmp/ to new/, and the folder to the disk. */
static bool
move_to_new(struct task *t, const char *tmp_path, const struct stat *st)
{
	char name[NAME_SIZE], folder[PATH_SIZE];
	const char *tmp_name = strrchr(tmp_path, '/') + 1;
	int tmp_fd, new_fd, error = 0;

	(void)snprintf(name, sizeof(name), "%lld.V%llxI%llxM%lld.%s", /* compat */
	    (long long)(t->wall_us / US_PER_SEC), (unsigned long long)st->st_dev,
	    (unsigned long long)st->st_ino, (long long)(t->wall_us % US_PER_SEC),
	    t->v->host);
	(void)snprintf(folder, sizeof(folder), "%s/tmp", t->box.path);
	tmp_fd = open_beneath(t->s->base_fd, folder, O_PATH | O_DIRECTORY, 0);
	(void)snprintf(folder, sizeof(folder), "%s/new", t->box.path);
	new_fd = open_beneath(t->s->base_fd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (new_fd < 0 && errno == ENOENT && make_folders(t->s->base_fd, folder))
		new_fd = open_beneath(t->s->base_fd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (tmp_fd < 0 || new_fd < 0)
		error = errno;
	else if (syscall(SYS_renameat2, tmp_fd, tmp_name, new_fd, name, 1) != 0)
		error = errno; /* 1: never replace a file */
	else if (fsync(new_fd) != 0)
		error = errno;
	if (tmp_fd >= 0)
		(void)close(tmp_fd);
	if (new_fd >= 0)
		(void)close(new_fd);
	if (error == 0)
		return true;
	(void)strcat(folder, "/");
	(void)strncat(folder, name, sizeof(folder) - strlen(folder) - 1);
	fail(t, "create maildir file", folder, error);
	return false;
}

static void
remove_tmp(struct task *t, const char *path)
{
	char folder[PATH_SIZE];
	int fd;

	(void)snprintf(folder, sizeof(folder), "%s/tmp", t->box.path);
	fd = open_beneath(t->s->base_fd, folder, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return;
	(void)unlinkat(fd, strrchr(path, '/') + 1, 0);
	(void)close(fd);
}

bool
maildir_deliver(struct task *t)
{
	static atomic_uint sequence; /* two threads in one second */
	char path[PATH_SIZE];
	struct writer w = { .limit = (uint64_t)t->s->conf.virtual_mailbox_limit_bytes };
	struct stat st;
	bool ok;

	(void)snprintf(path, sizeof(path), "%s/tmp/%lld.P%ldQ%u.%s", t->box.path,
	    (long long)(t->wall_us / US_PER_SEC), (long)getpid(),
	    atomic_fetch_add(&sequence, 1), t->v->host);
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
	ok = ok && move_to_new(t, path, &st);
	if (!ok)
		remove_tmp(t, path);
	return ok;
}
