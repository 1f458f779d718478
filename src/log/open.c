/* Opening maillog_file: root writes there what strangers make happen, so a link that
 * somebody else could have planted is not followed. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log/log.h"
#include "os/fd.h"

enum { PATH_SIZE = 4096 };

static bool
is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* A link is followed that root made, in a folder where nobody else makes any (compat:
 * Postfix does so, too). */
static bool
is_trusted_link(const char *path)
{
	char copy[PATH_SIZE];
	struct stat link, folder;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return false;
	return lstat(path, &link) == 0 && is_ours(&link) &&
	       stat(dirname(copy), &folder) == 0 && is_ours(&folder) &&
	       (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

enum rc
log_open_file(const char *path, int more_flags, mode_t mode, int *out, struct err *e)
{
	/* A pipe that nobody reads must not make us wait. */
	const int flags =
	    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more_flags;
	int fd = open(path, flags | O_NOFOLLOW, mode);
	struct stat st;
	enum rc rc;

	if (fd < 0 && errno == ELOOP) {
		if (!is_trusted_link(path))
			return err_set(e, RC_PERM,
			    "%s: a symbolic link that others could have made", path);
		fd = open(path, flags, mode);
	}
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open maillog_file %s", path);
	rc = os_fd_nonblock(fd, false, e);
	if (rc == RC_OK && fstat(fd, &st) != 0)
		rc = err_sys(e, RC_TEMP, "stat %s", path);
	else if (rc == RC_OK && S_ISREG(st.st_mode) && st.st_nlink > 1)
		rc = err_set(e, RC_PERM, "%s: file has multiple links", path);
	if (rc != RC_OK)
		os_fd_close(&fd);
	else
		*out = fd;
	return rc;
}
