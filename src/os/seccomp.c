/* The filter of system calls: a list of what is allowed, everything else ends the
 * process.
 *
 * Calls on descriptors that the process holds already are allowed to all: what matters is
 * which descriptors it can get. */
#include "os/sandbox_int.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||               \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

bool
os_sandbox_is_sanitized(void)
{
	return IS_SANITIZED;
}

static const char *const base_calls[] = { "read", "write", "readv", "writev", "pread64",
	"pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "close", "close_range",
	"fstat", "newfstatat", "fstatat64", "statx", "lseek", "_llseek", "mmap", "mmap2",
	"munmap", "mremap", "mprotect", "madvise", "brk", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "sigreturn",
	"fcntl", "fcntl64", "dup", "dup2", "dup3", "poll", "ppoll", "select", "pselect6",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"eventfd2", "signalfd4", "timerfd_create", "timerfd_settime", "nanosleep",
	"clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time",
	"getrandom", "futex", "futex_waitv", "set_robust_list", "get_robust_list",
	"set_tid_address", "rseq", "exit", "exit_group", "getpid", "gettid", "getppid",
	"getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid",
	"uname", "sysinfo", "getrlimit", "ugetrlimit", "getrusage", "times",
	"sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
	"getcpu", "restart_syscall", "membarrier", "getcwd", "socketpair", "pipe",
	"pipe2", "sendmsg", "recvmsg", "sendto", "recvfrom", "sendmmsg", "recvmmsg",
	"send", "recv", "shutdown", "getsockopt", "setsockopt", "getsockname",
	"getpeername", "connect", "fsync", "fdatasync", "sync_file_range", "fstatfs",
	"fstatfs64", "flock", "fadvise64", "sendfile", "copy_file_range", "arch_prctl",
	NULL };
static const char *const accept_calls[] = { "accept", "accept4", NULL };
static const char *const inet_calls[] = { "bind", "listen", NULL };
static const char *const read_calls[] = { "access", "faccessat", "faccessat2", "stat",
	"lstat", "stat64", "lstat64", "readlink", "readlinkat", "getdents", "getdents64",
	"statfs", "statfs64", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	NULL };
static const char *const write_calls[] = { "open", "openat", "openat2", "creat", "mkdir",
	"mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
	"link", "linkat", "truncate", "ftruncate", "ftruncate64", "fallocate", "chmod",
	"fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat", "utime",
	"utimes", "umask", "memfd_create", NULL };
static const char *const fsid_calls[] = { "setfsuid", "setfsgid", NULL };

static int
allow(scmp_filter_ctx f, const char *const *names)
{
	int error = 0;

	for (size_t i = 0; names[i] != NULL && error == 0; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);

		/* Not every architecture has every one, nor does an old library. */
		if (nr == __NR_SCMP_ERROR)
			continue;
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);
		if (error == -EDOM)
			error = 0;
	}
	return error;
}

static int
allow_socket(scmp_filter_ctx f, int family)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
}

/* Of AF_UNIX datagrams only, for syslog. A stream could be connected to private/queue,
 * where whoever has our uid may read and delete all mail: Landlock does not look at
 * sockets. Libraries that look for their daemon (nscd) are told no and go on without. */
static int
allow_unix_socket(scmp_filter_ctx f, const struct os_sandbox *s)
{
	const scmp_datum_t kind = 0xf; /* SOCK_TYPE_MASK of the kernel */
	int error;

	if ((s->may & OS_MAY_CONNECT_UNIX) != 0)
		return allow_socket(f, AF_UNIX);
	error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
	    SCMP_A1(SCMP_CMP_MASKED_EQ, kind, SOCK_DGRAM));

	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 2,
		    SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
		    SCMP_A1(SCMP_CMP_MASKED_EQ, kind, SOCK_STREAM));
	return error;
}

/* Which addresses have we? The rest of netlink is the kernel's inside. */
static int
allow_netlink_socket(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE, 0));
}

/* Reading only: the flags of open say so. openat2 hides them in memory: refused. */
static int
allow_open_reading(scmp_filter_ctx f)
{
	const scmp_datum_t mask = O_ACCMODE | O_CREAT | O_TRUNC;
	int error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, mask, O_RDONLY));

	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, mask, O_RDONLY));
	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
	return error;
}

/* Threads yes, processes no. clone3 hides its flags in memory, so libc is told to use
 * clone. prctl, ioctl, prlimit: only the harmless ones. */
static int
allow_some(scmp_filter_ctx f, const struct os_sandbox *s)
{
	static const scmp_datum_t ioctls[] = { FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ };
	int error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(
		SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));

	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; i < ARRAY_LEN(ioctls) && error == 0; i++)
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
	if (error == 0)
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		    SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	if (error == 0) /* a null "new limit": reading */
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
		    SCMP_A2(SCMP_CMP_EQ, 0, 0));
	if (error == 0) /* abort() signals itself; nobody signals his neighbours */
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	if (error == 0)
		error = allow_unix_socket(f, s);
	return error;
}

static int
build(scmp_filter_ctx f, const struct os_sandbox *s)
{
	int error = allow(f, base_calls);

	if (error == 0)
		error = allow_some(f, s);
	if (error == 0 && (s->may & (OS_MAY_INET | OS_MAY_UNIX)) != 0)
		error = allow(f, accept_calls);
	if (error == 0 && (s->may & OS_MAY_INET) != 0) {
		error = allow(f, inet_calls);
		if (error == 0)
			error = allow_socket(f, AF_INET);
		if (error == 0)
			error = allow_socket(f, AF_INET6);
		if (error == 0)
			error = allow_netlink_socket(f);
	}
	if (error == 0 && (s->may & (OS_MAY_READ | OS_MAY_WRITE)) != 0)
		error = allow(f, read_calls);
	if (error == 0 && (s->may & OS_MAY_WRITE) != 0)
		error = allow(f, write_calls);
	/* Also without OS_MAY_READ: libc looks for its files (time zone, locale);
	 * Landlock or permissions answer. */
	else if (error == 0)
		error = allow_open_reading(f);
	if (error == 0 && (s->may & OS_MAY_SETFSID) != 0)
		error = allow(f, fsid_calls);
	return error;
}

/* A filter of its own, because the library cannot look at both halves of one argument:
 * the kernel uses the low 32 bits only, so the high ones must be 0, or 2^32 would pass as
 * a large id and mean root. Group 0 never passes. Our own id is allowed for going back.
 */
static enum rc
enter_fsid(uid_t min_id, struct err *e)
{
	enum {
		NR = offsetof(struct seccomp_data, nr),
		LOW = offsetof(struct seccomp_data, args[0]),
		HIGH = offsetof(struct seccomp_data, args[0]) + 4
	};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setfsuid, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setfsgid, 5, 9),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 8),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, geteuid(), 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, min_id, 4, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog prog = { .len = ARRAY_LEN(code), .filter = code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		return err_sys(e, RC_TEMP, "seccomp");
	return RC_OK;
}

enum rc
os_seccomp_enter(const struct os_sandbox *s, struct os_sandbox_got *got, struct err *e)
{
	scmp_filter_ctx f;
	enum rc rc;
	int error;

	/* Sanitizers need calls (ptrace, fork) that nobody else may have. */
	if (IS_SANITIZED) {
		got->why =
		    "built with a sanitizer, so there is no filter of system calls";
		return RC_OK;
	}
	if ((s->may & OS_MAY_SETFSID) != 0) {
		rc = enter_fsid(s->min_fsuid, e);
		if (rc != RC_OK)
			return rc;
	}
	f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (f == NULL)
		return err_set(e, RC_TEMP, "seccomp_init failed");
	error = build(f, s);
	if (error == 0)
		error = seccomp_load(f);
	seccomp_release(f);
	if (error != 0) {
		errno = -error;
		return err_sys(e, RC_TEMP, "seccomp");
	}
	got->has_seccomp = true;
	return RC_OK;
}
