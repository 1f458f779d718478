#ifndef OS_FD_H
#define OS_FD_H
#include "base/base.h"

struct arena;

/* Descriptors: flags, whole reads and writes, memfds, passing over sockets.
 * Every descriptor made here is close-on-exec. */

void os_fd_close(int *fd); /* closes unless negative; *fd becomes -1 */
MUST_USE enum rc os_fd_nonblock(int fd, bool on, struct err *e);
MUST_USE enum rc os_fd_inherit(int fd, bool on, struct err *e); /* survive exec? */
/* Writes everything, whatever it takes. Blocks on blocking descriptors. */
MUST_USE enum rc os_fd_write_all(int fd, struct str s, struct err *e);
/* Reads to the end of the file. Memory: in `mem`. RC_PERM: longer than max. */
MUST_USE enum rc os_fd_read_all(
    int fd, size_t max, struct arena *mem, struct str *out, struct err *e);
/* The same by path. RC_NONE: no such file. */
MUST_USE enum rc os_fd_load(
    const char *path, size_t max, struct arena *mem, struct str *out, struct err *e);
/* An anonymous file with this content that nobody can change any more. */
MUST_USE enum rc os_fd_sealed(
    const char *name, struct str content, int *out, struct err *e);
/* Whether `fd` is a memfd sealed against every change. */
bool os_fd_is_sealed(int fd);

enum { OS_FD_PASS_MAX = 32 };
/* One sendmsg / recvmsg, never blocking, with descriptors riding on its first byte.
 * Returns: RC_OK with *out_n >= 1; RC_MORE: would block; RC_NONE (receive): the peer has
 * closed; RC_TEMP: broken, or a descriptor was lost because the process has no room for
 * it. *n_fds: in, the room in fds; out, how many came. */
MUST_USE enum rc os_fd_send(
    int fd, struct str s, const int *fds, size_t n_fds, size_t *out_n);
MUST_USE enum rc os_fd_recv(
    int fd, void *p, size_t cap, int *fds, size_t *n_fds, size_t *out_n);
#endif
