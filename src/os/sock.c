/* UNIX-domain sockets; see sock.h. */
#include "os/sock.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "os/fd.h"

enum rc
os_sock_pair(int out[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out) != 0)
		return err_sys(e, RC_TEMP, "socketpair");
	return RC_OK;
}

static enum rc
address(const char *path, struct sockaddr_un *out, struct err *e)
{
	struct str s = str_c(path);

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (s.n >= sizeof(out->sun_path))
		return err_set(e, RC_PERM, "socket path too long: %s", path);
	memcpy(out->sun_path, s.p, s.n);
	return RC_OK;
}

enum rc
os_sock_listen_unix(const char *path, mode_t mode, int backlog, int *out, struct err *e)
{
	struct sockaddr_un sa;
	enum rc rc = address(path, &sa, e);
	int fd;

	if (rc != RC_OK)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "socket");
	if (unlink(path) != 0 && errno != ENOENT)
		rc = err_sys(e, RC_TEMP, "unlink %s", path);
	else if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		rc = err_sys(e, RC_TEMP, "bind %s", path);
	else if (chmod(path, mode) != 0)
		rc = err_sys(e, RC_TEMP, "chmod %s", path);
	else if (listen(fd, backlog) != 0)
		rc = err_sys(e, RC_TEMP, "listen %s", path);
	if (rc != RC_OK) {
		os_fd_close(&fd);
		return rc;
	}
	*out = fd;
	return RC_OK;
}

enum rc
os_sock_connect_unix(const char *path, int *out, struct err *e)
{
	struct sockaddr_un sa;
	enum rc rc = address(path, &sa, e);
	int fd;

	if (rc != RC_OK)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		bool is_absent = errno == ENOENT || errno == ECONNREFUSED;

		rc = err_sys(e, is_absent ? RC_NONE : RC_TEMP, "connect to %s", path);
	} else {
		rc = os_fd_nonblock(fd, true, e);
	}
	if (rc != RC_OK) {
		os_fd_close(&fd);
		return rc;
	}
	*out = fd;
	return RC_OK;
}

enum rc
os_sock_accept(int listen_fd, int *out, struct err *e)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		*out = fd;
		return RC_OK;
	}
	/* A client that left while it waited is nobody's failure: accept(2), "Error
	 * handling". */
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EBADF:
	case EINVAL:
		return err_sys(e, RC_TEMP, "accept");
	default:
		return RC_MORE;
	}
}

enum rc
os_sock_peer(int fd, uid_t *uid, pid_t *pid, struct err *e)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return err_sys(e, RC_TEMP, "SO_PEERCRED");
	*uid = cred.uid;
	*pid = cred.pid;
	return RC_OK;
}
