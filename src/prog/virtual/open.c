/* Files below a mailbox folder, never outside of it. */
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int
open_beneath(int base_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	if (base_fd < 0) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(SYS_openat2, base_fd, path, &how, sizeof(how));
}

bool
sync_folder(int folder_fd)
{
	int fd = open_beneath(folder_fd, ".", O_RDONLY | O_DIRECTORY, 0), error = 0;

	if (fd < 0)
		return errno == EACCES;
	if (fsync(fd) != 0)
		error = errno;
	(void)close(fd);
	errno = error;
	return error == 0;
}

/* The folder `name` of `n` bytes in `at`; makes it when it is missing. */
static int
enter(int at, const char *name, size_t n)
{
	char *copy = strndup(name, n);
	int fd, error;

	if (copy == NULL)
		abort();
	fd = open_beneath(at, copy, O_PATH | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT) {
		if ((mkdirat(at, copy, 0700) == 0 || errno == EEXIST) && sync_folder(at))
			fd = open_beneath(at, copy, O_PATH | O_DIRECTORY, 0);
	}
	error = errno;
	free(copy);
	errno = error;
	return fd;
}

/* The longest part of the path that exists, so that symbolic links in it may go anywhere
 * beneath the base. *out_n is its length. */
static int
enter_present(int base_fd, const char *path, size_t *out_n)
{
	size_t n = strlen(path);

	for (;;) {
		char *part = n == 0 ? mem_strdup(".") : strndup(path, n);
		int fd, error;

		if (part == NULL)
			abort();
		fd = open_beneath(base_fd, part, O_PATH | O_DIRECTORY, 0);
		error = errno;
		free(part);
		errno = error;
		*out_n = n;
		if (fd >= 0 || error != ENOENT || n == 0)
			return fd;
		while (n > 0 && path[n - 1] != '/')
			n--;
		while (n > 0 && path[n - 1] == '/')
			n--;
	}
}

bool
make_folders(int base_fd, const char *path)
{
	size_t done;
	int at = enter_present(base_fd, path, &done), error = errno;

	for (path += done; at >= 0 && *path != '\0';) {
		size_t n = strcspn(path, "/");
		int next;

		if (n == 0) {
			path++;
			continue;
		}
		next = enter(at, path, n);
		error = errno;
		(void)close(at);
		at = next;
		path += n;
	}
	if (at >= 0)
		(void)close(at);
	errno = error;
	return at >= 0;
}
