/* Owns replacing a file: lock, write beside, on disk, rename. Nothing is left over when
 * that fails. */
#include "base/arena.h"
#include "conf/main_cf.h"
#include "os/fd.h"
#include "prog/admin/postconf/postconf.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 1000

/* Who waited for the lock may hold that of a file that was replaced meanwhile. */
static bool
lock(const char *path, int fd, struct stat *st)
{
	struct stat now;

	if (flock(fd, LOCK_EX) != 0 || fstat(fd, st) != 0)
		fatal("lock %s: %s", path, strerror(errno));
	return stat(path, &now) == 0 && now.st_dev == st->st_dev &&
	       now.st_ino == st->st_ino;
}

void
edit_file_open(
    const char *dir, const char *name, struct arena *mem, struct edit_file *out)
{
	struct edit_file f = { .dir = dir, .mem = mem, .fd = -1 };
	struct stat st = { 0 };
	struct err e;

	f.path = arena_printf(mem, "%s/%s", dir, name).p;
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		f.fd = open(f.path, O_RDWR | O_CLOEXEC);
		if (f.fd < 0)
			fatal("open %s for reading: %s", f.path,
			    strerror(errno)); /* compat */
		if (lock(f.path, f.fd, &st))
			break;
		os_fd_close(&f.fd);
	}
	if (f.fd < 0)
		fatal("lock %s: somebody replaces it all the time", f.path);
	if (os_fd_read_all(f.fd, CONF_FILE_MAX, mem, &f.text, &e) != RC_OK)
		fatal("%s: %s", f.path, e.text);
	f.uid = st.st_uid;
	f.gid = st.st_gid;
	f.mode = st.st_mode & 07777;
	*out = f;
}

/* The new text under a name of its own, on disk, with owner and mode of the old one. */
static void
write_new(const struct edit_file *f, const char *tmp, struct str text)
{
	struct err e = { .text = "" };
	const char *failed = NULL;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		fatal("open %s: %s", tmp, strerror(errno));
	if (fchown(fd, (uid_t)f->uid, (gid_t)f->gid) != 0 && geteuid() == 0)
		failed = "chown";
	else if (fchmod(fd, f->mode) != 0)
		failed = "chmod";
	else if (os_fd_write_all(fd, text, &e) != RC_OK || fsync(fd) != 0 ||
		 close(fd) != 0)
		failed = "write";
	if (failed == NULL)
		return;
	fd = errno;
	(void)unlink(tmp);
	fatal("%s %s: %s", failed, tmp, e.text[0] != '\0' ? e.text : strerror(fd));
}

void
edit_file_replace(struct edit_file *f, struct str text)
{
	const char *tmp = arena_printf(f->mem, "%s.tmp", f->path).p;
	int fd, error;

	if (tmp == NULL)
		fatal("%s: memory limit", f->path);
	/* A left-over of somebody who died; whoever lives holds the lock. */
	(void)unlink(tmp);
	write_new(f, tmp, text);
	if (rename(tmp, f->path) != 0) {
		error = errno;
		(void)unlink(tmp);
		fatal("rename %s to %s: %s", tmp, f->path, strerror(error));
	}
	fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	os_fd_close(&f->fd);
}
