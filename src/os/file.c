/* The operating system's side of the file table. */
#include "os/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ZERO_BLOCK ((size_t)1 << 20)

static int
result(int r)
{
	return r < 0 ? -errno : r;
}

static int
real_open(void *ctx, int dir, const char *name, unsigned how)
{
	int flags = O_CLOEXEC | O_NOFOLLOW, fd;

	(void)ctx;
	flags |= how & OS_OPEN_WRITE ? O_RDWR : O_RDONLY;
	if (how & OS_OPEN_CREATE)
		flags |= O_CREAT;
	if (how & OS_OPEN_NEW)
		flags |= O_CREAT | O_EXCL;
	if (how & OS_OPEN_DIR)
		flags = (flags | O_DIRECTORY) & ~O_NOFOLLOW;
	do
		fd = openat(dir == OS_FILES_CWD ? AT_FDCWD : dir, name, flags, 0600);
	while (fd < 0 && errno == EINTR);
	return result(fd);
}

static int
real_close(void *ctx, int fd)
{
	(void)ctx;
	return result(close(fd));
}

static int64_t
real_pread(void *ctx, int fd, void *to, size_t n, int64_t at)
{
	size_t done = 0;
	ssize_t r;

	(void)ctx;
	while (done < n) {
		r = pread(fd, (char *)to + done, n - done, at + (int64_t)done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (int64_t)done;
}

static int64_t
real_pwrite(void *ctx, int fd, struct str from, int64_t at)
{
	size_t done = 0;
	ssize_t r;

	(void)ctx;
	while (done < from.n) {
		r = pwrite(fd, from.p + done, from.n - done, at + (int64_t)done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO;
		done += (size_t)r;
	}
	return (int64_t)done;
}

static int
real_zero(void *ctx, int fd, int64_t at, int64_t n)
{
	static const char zeros[ZERO_BLOCK];
	size_t part;
	int64_t r;

	/* Not fallocate(): writing into an unwritten extent later costs a journal commit
	 * each time, which is what preallocation is to avoid. */
	for (; n > 0; n -= (int64_t)part, at += (int64_t)part) {
		part = n < (int64_t)ZERO_BLOCK ? (size_t)n : ZERO_BLOCK;
		r = real_pwrite(ctx, fd, str_n(zeros, part), at);
		if (r < 0)
			return (int)r;
	}
	return 0;
}

static int64_t
real_size(void *ctx, int fd)
{
	struct stat st;

	(void)ctx;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_size;
}

static int
real_truncate(void *ctx, int fd, int64_t size)
{
	(void)ctx;
	return result(ftruncate(fd, size));
}

static int
real_sync_data(void *ctx, int fd)
{
	(void)ctx;
	return result(fdatasync(fd));
}

static int
real_sync_start(void *ctx, int fd)
{
	(void)ctx;
#ifdef SYNC_FILE_RANGE_WRITE
	if (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0 && errno != ENOSYS &&
	    errno != EINVAL && errno != ESPIPE)
		return -errno;
#else
	(void)fd;
#endif
	return 0;
}

static int
real_sync_dir(void *ctx, int dir)
{
	(void)ctx;
	return result(fsync(dir));
}

static int
real_lock(void *ctx, int fd)
{
	(void)ctx;
	return result(flock(fd, LOCK_EX | LOCK_NB));
}

static int
real_make_dir(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return result(mkdirat(dir == OS_FILES_CWD ? AT_FDCWD : dir, name, 0700));
}

static int
real_rename(void *ctx, int dir, const char *from, const char *to)
{
	(void)ctx;
	return result(renameat(dir, from, dir, to));
}

static int
real_unlink(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return result(unlinkat(dir, name, 0));
}

static int
real_list(void *ctx, int dir, os_list_fn *fn, void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *d;
	DIR *dp;

	(void)ctx;
	if (fd < 0)
		return -errno;
	dp = fdopendir(fd);
	if (dp == NULL) {
		int error = errno;

		(void)close(fd);
		return -error;
	}
	while ((errno = 0, d = readdir(dp)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			fn(arg, d->d_name);
	fd = -errno;
	(void)closedir(dp);
	return fd;
}

static int
real_space(void *ctx, int dir, struct os_space *out)
{
	struct statvfs v;

	(void)ctx;
	if (fstatvfs(dir, &v) < 0)
		return -errno;
	*out = (struct os_space){ .free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
		.total_bytes = (uint64_t)v.f_blocks * v.f_frsize };
	return 0;
}

const struct os_files *
os_files_real(void)
{
	static const struct os_files table = {
		.open = real_open,
		.close = real_close,
		.pread = real_pread,
		.pwrite = real_pwrite,
		.zero = real_zero,
		.size = real_size,
		.truncate = real_truncate,
		.sync_data = real_sync_data,
		.sync_start = real_sync_start,
		.sync_dir = real_sync_dir,
		.lock = real_lock,
		.make_dir = real_make_dir,
		.rename = real_rename,
		.unlink = real_unlink,
		.list = real_list,
		.space = real_space,
	};
	return &table;
}
