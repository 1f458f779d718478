/* Descriptors; see fd.h. */
#include "os/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/arena.h"

void
os_fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

enum rc
os_fd_nonblock(int fd, bool on, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);
	int want;

	if (flags < 0)
		return err_sys(e, RC_TEMP, "fcntl");
	want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (want != flags && fcntl(fd, F_SETFL, want) != 0)
		return err_sys(e, RC_TEMP, "fcntl");
	return RC_OK;
}

enum rc
os_fd_inherit(int fd, bool on, struct err *e)
{
	if (fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC) != 0)
		return err_sys(e, RC_TEMP, "fcntl");
	return RC_OK;
}

enum rc
os_fd_write_all(int fd, struct str s, struct err *e)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno != EINTR)
			return err_sys(e, RC_TEMP, "write");
		if (n > 0)
			s = str_from(s, (size_t)n);
	}
	return RC_OK;
}

enum rc
os_fd_read_all(int fd, size_t max, struct arena *mem, struct str *out, struct err *e)
{
	size_t cap = 4096, n = 0;
	char *p = arena_get(mem, cap);

	for (;;) {
		ssize_t got;

		if (p == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		got = read(fd, p + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, RC_TEMP, "read");
		n += (size_t)got;
		if (n > max)
			return err_set(e, RC_PERM, "longer than %zu bytes", max);
		if (got == 0)
			break;
		if (n == cap) {
			char *larger = arena_get(mem, 2 * cap);

			if (larger != NULL)
				memcpy(larger, p, n);
			p = larger;
			cap *= 2;
		}
	}
	*out = str_n(p, n);
	return RC_OK;
}

enum rc
os_fd_load(
    const char *path, size_t max, struct arena *mem, struct str *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum rc rc;

	if (fd < 0 && errno == ENOENT)
		return RC_NONE;
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open %s", path);
	rc = os_fd_read_all(fd, max, mem, out, e);
	os_fd_close(&fd);
	return rc == RC_OK ? rc : err_in(e, rc, "%s", path);
}

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

enum rc
os_fd_sealed(const char *name, struct str content, int *out, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	enum rc rc;

	if (fd < 0)
		return err_sys(e, RC_TEMP, "memfd_create");
	rc = os_fd_write_all(fd, content, e);
	if (rc == RC_OK &&
	    (fcntl(fd, F_ADD_SEALS, SEALS) != 0 || lseek(fd, 0, SEEK_SET) != 0))
		rc = err_sys(e, RC_TEMP, "seal");
	if (rc != RC_OK) {
		os_fd_close(&fd);
		return rc;
	}
	*out = fd;
	return RC_OK;
}

bool
os_fd_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

/* ---- passing ---- */

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(OS_FD_PASS_MAX * sizeof(int))];
};

enum rc
os_fd_send(int fd, struct str s, const int *fds, size_t n_fds, size_t *out_n)
{
	union control control = { .space = { 0 } };
	struct iovec iov = { .iov_len = s.n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	memcpy(&iov.iov_base, &s.p, sizeof(s.p)); /* sendmsg only reads it */
	if (n_fds > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? RC_MORE : RC_TEMP;
	*out_n = (size_t)n;
	return RC_OK;
}

/* Takes the descriptors out of `msg`; closes what finds no room. */
static void
take_fds(struct msghdr *msg, int *fds, size_t *n_fds)
{
	size_t room = *n_fds;

	*n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*n_fds < room)
				fds[(*n_fds)++] = fd;
			else
				os_fd_close(&fd);
		}
	}
}

enum rc
os_fd_recv(int fd, void *p, size_t cap, int *fds, size_t *n_fds, size_t *out_n)
{
	union control control = { .space = { 0 } };
	struct iovec iov = { .iov_base = p, .iov_len = cap };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	bool is_cut;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		*n_fds = 0;
		return errno == EAGAIN       ? RC_MORE
		       : errno == ECONNRESET ? RC_NONE
					     : RC_TEMP;
	}
	take_fds(&msg, fds, n_fds);
	/* Cut off: the kernel found no room in our table for some. What came cannot be
	 * told from what did not, and a message must never be given another's descriptor.
	 */
	is_cut = (msg.msg_flags & MSG_CTRUNC) != 0;
	if (n == 0 || is_cut) {
		for (size_t i = 0; i < *n_fds; i++)
			os_fd_close(&fds[i]);
		*n_fds = 0;
		return is_cut ? RC_TEMP : RC_NONE;
	}
	*out_n = (size_t)n;
	return RC_OK;
}
