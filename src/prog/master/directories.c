/* The folders below queue_directory, with the owners and modes that Postfix gives them,
 * and the two locks that keep a second master away. */
#include "prog/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/queue_folders.h"
#include "base/arena.h"
#include "log/log.h"
#include "os/fd.h"

static enum rc
make(struct master *m, const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		if (m->is_root && chown(path, uid, gid) != 0)
			return err_sys(e, RC_TEMP, "chown %s", path);
		/* After chown, which takes set-gid away. */
		if (chmod(path, mode) != 0)
			return err_sys(e, RC_TEMP, "chmod %s", path);
		return RC_OK;
	}
	if (errno != EEXIST)
		return err_sys(e, RC_TEMP, "mkdir %s", path);
	if (stat(path, &st) != 0)
		return err_sys(e, RC_TEMP, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, RC_PERM, "%s is not a directory", path);
	if (m->is_root && st.st_uid != uid)
		log_warn(m->log, "%s: not owned by uid %ld", path, (long)uid);
	if ((st.st_mode & 07777 & ~mode & 0077) != 0)
		log_warn(m->log,
		    "%s: more permissions (%04o) than the mail system needs (%04o)", path,
		    st.st_mode & 07777, mode);
	return RC_OK;
}

static enum rc
find_users(struct master *m, struct err *e)
{
	const struct conf_master *c = &m->config->conf;
	enum rc rc;

	if (!m->is_root)
		return RC_OK;
	rc = os_users_find(arena_cstr(m->config->mem, c->mail_owner), &m->owner, e);
	if (rc != RC_OK)
		return err_in(e, rc, "mail_owner");
	if (m->owner.uid == 0)
		return err_set(e, RC_PERM, "mail_owner: %.*s is the super-user",
		    STR_ARG(c->mail_owner));
	rc = os_users_find_group(
	    arena_cstr(m->config->mem, c->setgid_group), &m->setgid, e);
	return rc == RC_OK ? rc : err_in(e, rc, "setgid_group");
}

enum rc
directories_make(struct master *m, struct err *e)
{
	const struct conf_master *c = &m->config->conf;
	const char *queue = arena_cstr(m->config->mem, c->queue_directory);
	const char *data = arena_cstr(m->config->mem, c->data_directory);
	enum rc rc = find_users(m, e);

	if (rc == RC_OK)
		rc = make(m, queue, 0755, 0, 0, e);
	if (rc == RC_OK && chdir(queue) != 0)
		rc = err_sys(e, RC_TEMP, "chdir %s", queue);
	if (rc == RC_OK)
		rc = make(m, data, 0700, m->owner.uid, m->owner.gid, e);
	for (size_t i = 0; i < QUEUE_FOLDERS && rc == RC_OK; i++)
		rc = make(m, queue_folders[i].name, queue_folders[i].mode,
		    queue_folders[i].is_owners ? m->owner.uid : 0,
		    queue_folders[i].is_groups   ? m->setgid
		    : queue_folders[i].is_owners ? m->owner.gid
						 : 0,
		    e);
	return rc;
}

/* ---- locks ---- */

/* The lock is flock(2) on a file with our number, as Postfix's scripts and other people's
 * monitoring expect it (compat). */
static enum rc
lock(const char *path, int *out, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	enum rc rc = RC_OK;
	char text[40];

	struct stat st;

	if (fd < 0)
		return err_sys(e, RC_TEMP, "open lock file %s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		/* It will be emptied: it must not be another file by a second name. */
		rc = err_set(
		    e, RC_PERM, "lock file %s: not a regular file with one link", path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc = errno == EWOULDBLOCK
			 ? err_set(e, RC_PERM,
			       "the Postfix mail system is already running") /* compat */
			 : err_sys(e, RC_TEMP, "lock %s", path);
	} else if (ftruncate(fd, 0) != 0) {
		rc = err_sys(e, RC_TEMP, "truncate %s", path);
	} else {
		int n =
		    snprintf(text, sizeof(text), "%*lu\n", 32, (unsigned long)getpid());

		if (pwrite(fd, text, (size_t)n, 0) != n)
			rc = err_sys(e, RC_TEMP, "write %s", path);
	}
	if (rc != RC_OK)
		os_fd_close(&fd);
	else
		*out = fd;
	return rc;
}

enum rc
directories_lock(struct master *m, struct err *e)
{
	const struct conf_master *c = &m->config->conf;
	struct arena *mem = m->config->mem;
	const char *pid_path =
	    arena_printf(mem, "%.*s/master.pid", STR_ARG(c->process_id_directory)).p;
	const char *data_path =
	    arena_printf(mem, "%.*s/master.lock", STR_ARG(c->data_directory)).p;
	enum rc rc;

	if (pid_path == NULL || data_path == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = lock(pid_path, &m->pid_lock_fd, e);
	/* data_directory is mail_owner's, so it is opened with his rights. */
	if (rc == RC_OK)
		rc = os_users_act_as(&m->owner, e);
	if (rc != RC_OK)
		return rc;
	rc = lock(data_path, &m->data_lock_fd, e);
	os_users_act_as_root();
	return rc;
}

bool
directories_locked(const struct master *m)
{
	const struct conf_master *c = &m->config->conf;
	const char *path = arena_printf(m->config->mem, "%.*s/%.*s/master.pid",
	    STR_ARG(c->queue_directory), STR_ARG(c->process_id_directory))
			       .p;
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	bool is_locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	os_fd_close(&fd);
	return is_locked;
}
