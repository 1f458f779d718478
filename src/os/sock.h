#ifndef OS_SOCK_H
#define OS_SOCK_H
#include "base/base.h"
#include <sys/types.h>

/* UNIX-domain sockets and the bits of socket handling that everybody needs. */

/* Two connected stream sockets, nonblocking, close-on-exec. */
MUST_USE enum rc os_sock_pair(int out[2], struct err *e);
/* A listening stream socket at `path`, replacing a stale one. Nonblocking. */
MUST_USE enum rc os_sock_listen_unix(
    const char *path, mode_t mode, int backlog, int *out, struct err *e);
/* Connects (blocking connect, then nonblocking socket). RC_NONE: nobody listens. */
MUST_USE enum rc os_sock_connect_unix(const char *path, int *out, struct err *e);
/* One connection. RC_MORE: none waits (or it vanished); RC_TEMP: out of descriptors … */
MUST_USE enum rc os_sock_accept(int listen_fd, int *out, struct err *e);
/* Who is on the other end of a UNIX-domain socket. */
MUST_USE enum rc os_sock_peer(int fd, uid_t *uid, pid_t *pid, struct err *e);
#endif
