#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H
#include "base/base.h"
#include <sys/types.h>

/* Confinement of a process that has read its configuration and opened what it needs:
 * no_new_privs, Landlock for paths, seccomp for system calls.
 *
 * Every process may: use memory, descriptors it has, AF_UNIX datagrams for syslog,
 * epoll, timers, threads, clocks, random numbers. The rest is asked for here.
 * A forbidden system call kills the process (the log of the kernel names it). */
enum os_sandbox_may {
	OS_MAY_INET = 1,    /* socket, connect, accept: IPv4, IPv6 */
	OS_MAY_READ = 2,    /* open files for reading, stat, list directories */
	OS_MAY_WRITE = 4,   /* create, write, rename, unlink, sync files */
	OS_MAY_SETFSID = 8, /* setfsuid, setfsgid; setuid-like calls otherwise never */
	OS_MAY_UNIX = 16,   /* accept from UNIX-domain sockets */
	/* Connect to them: `lookup`, and smtpd where a policy service is at one. */
	OS_MAY_CONNECT_UNIX = 32,
};

/* Path lists end with NULL; a missing path is skipped. Reading below `write` is allowed
 * too. Only what `may` allows is looked at. */
struct os_sandbox {
	unsigned may;
	const char *const *read;
	const char *const *write;
	uid_t
	    min_fsuid; /* OS_MAY_SETFSID: smaller ids are refused by the kernel filter */
};

/* What became of it, for one log line. */
struct os_sandbox_got {
	bool has_landlock; /* false: the kernel lacks it, or `read`/`write` unused */
	bool has_seccomp;  /* false: built with a sanitizer, or the kernel lacks it */
	const char *why;   /* the reason when something is missing; else NULL */
};

/* Threads that exist already are not confined: call it before the first offload.
 * RC_TEMP: it should have worked but did not; do not go on. */
MUST_USE enum rc os_sandbox_enter(
    const struct os_sandbox *s, struct os_sandbox_got *out, struct err *e);
#endif
