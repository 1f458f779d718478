/* What a confined process can and cannot do, tried by children that end with a status. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "os/sandbox.h"
#include "os/sandbox_int.h"
#include "os/users.h"

enum { ALLOWED = 10, REFUSED, CANNOT_ENTER, NOT_CONFINED };

static char dir[] = "/tmp/hk-sandbox-XXXXXX";
static char secret[64], readable[64], writable[64];
static int given; /* a descriptor from before */

static bool
can_read(const char *name)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", name);
	fd = open(path, O_RDONLY);
	return fd >= 0;
}

static bool
can_write(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/new", name);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) >= 0 && unlink(path) == 0;
}

static bool
read_secret(void)
{
	return can_read(secret);
}

static bool
read_readable(void)
{
	return can_read(readable);
}

static bool
read_writable(void)
{
	return can_read(writable);
}

static bool
write_readable(void)
{
	return can_write(readable);
}

static bool
write_writable(void)
{
	return can_write(writable);
}

static bool
inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool
unix_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0) >= 0;
}

static bool
unix_stream(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

/* Of what we were given open: the mail log, a stage file. */
static bool
cut_a_file(void)
{
	return ftruncate(given, 0) == 0;
}

static bool
other_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */) >= 0;
}

static bool
signal_ourselves(void)
{
	return syscall(SYS_tgkill, getpid(), gettid(), 0) == 0;
}

static bool
signal_our_neighbour(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static bool
run_program(void)
{
	char path[] = "/bin/true";
	char *argv[] = { path, NULL };

	return execv(path, argv) == 0 || errno == EACCES;
}

static bool
become_root_for_files(void)
{
	(void)setfsuid(0);
	return setfsuid((uid_t)-1) == 0;
}

/* The kernel looks at the low half only. */
static bool
become_root_by_a_large_id(void)
{
	(void)syscall(SYS_setfsuid, INT64_C(1) << 32);
	return setfsuid((uid_t)-1) == 0;
}

static bool
become_user_for_files(void)
{
	(void)setfsuid(2000);
	return setfsuid((uid_t)-1) == 2000;
}

/* How a child ends that enters the sandbox and tries; "killed" is REFUSED, too. */
static int
try_it(unsigned may, bool (*fn)(void), bool needs_seccomp)
{
	const char *const read_paths[] = { readable, NULL }, *const write_paths[] = {
		writable, NULL
	};
	const struct os_sandbox s = {
		.may = may, .read = read_paths, .write = write_paths, .min_fsuid = 1000
	};
	const struct os_users_drop drop = { .user = { 999, 999 },
		.extra_gid = (gid_t)-1,
		.keep_setid = (may & OS_MAY_SETFSID) != 0 };
	struct os_sandbox_got got;
	struct err e;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && os_users_drop(&drop, &e) != RC_OK)
			_exit(CANNOT_ENTER);
		if (os_sandbox_enter(&s, &got, &e) != RC_OK)
			_exit(CANNOT_ENTER);
		if (needs_seccomp ? !got.has_seccomp : !got.has_landlock)
			_exit(NOT_CONFINED);
		_exit(fn() ? ALLOWED : REFUSED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return REFUSED;
	}
	return WEXITSTATUS(status);
}

static int
setup(void **state)
{
	const char *const dirs[] = { secret, readable, writable };

	(void)state;
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		return -1;
	(void)snprintf(secret, sizeof(secret), "%s/secret", dir);
	(void)snprintf(readable, sizeof(readable), "%s/readable", dir);
	(void)snprintf(writable, sizeof(writable), "%s/writable", dir);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/file", dirs[i]);
		if (mkdir(dirs[i], 0700) != 0 || chmod(dirs[i], 0777) != 0 ||
		    creat(path, 0600) < 0 || chmod(path, 0666) != 0)
			return -1;
	}
	given = memfd_create("given", MFD_CLOEXEC);
	if (given < 0)
		return -1;
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void
test_paths(void **state)
{
	static const struct {
		unsigned may;
		bool (*fn)(void);
		int want;
	} cases[] = {
		{ OS_MAY_READ, read_readable, ALLOWED },
		{ OS_MAY_READ, read_secret, REFUSED },
		{ OS_MAY_READ, write_readable, REFUSED },
		{ OS_MAY_READ, write_writable, REFUSED },
		{ 0, read_readable, REFUSED },
		{ OS_MAY_WRITE, write_writable, ALLOWED },
		{ OS_MAY_WRITE, read_writable, ALLOWED },
		{ OS_MAY_WRITE, write_readable, REFUSED },
		{ OS_MAY_READ | OS_MAY_WRITE, read_secret, REFUSED },
	};

	(void)state;
	if (try_it(0, read_secret, false) == NOT_CONFINED)
		skip(); /* this kernel has no Landlock */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(try_it(cases[i].may, cases[i].fn, false), cases[i].want);
}

static void
test_calls(void **state)
{
	static const struct {
		unsigned may;
		bool (*fn)(void);
		int want;
	} cases[] = {
		{ 0, unix_socket, ALLOWED },
		{ 0, inet_socket, REFUSED },
		{ OS_MAY_INET, inet_socket, ALLOWED },
		/* private/queue is met at a stream */
		{ OS_MAY_INET | OS_MAY_READ | OS_MAY_UNIX, unix_stream, REFUSED },
		{ OS_MAY_INET, other_netlink, REFUSED },
		{ OS_MAY_INET | OS_MAY_READ, cut_a_file, REFUSED },
		{ OS_MAY_WRITE, cut_a_file, ALLOWED },
		{ 0, signal_ourselves, ALLOWED },
		{ 0, signal_our_neighbour, REFUSED },
		{ OS_MAY_READ | OS_MAY_WRITE | OS_MAY_INET | OS_MAY_UNIX, run_program,
		    REFUSED },
	};

	(void)state;
	if (os_sandbox_is_sanitized())
		skip(); /* there is no filter then */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(try_it(cases[i].may, cases[i].fn, true), cases[i].want);
}

static void
test_fsuid(void **state)
{
	(void)state;
	if (os_sandbox_is_sanitized() || geteuid() != 0)
		skip();
	assert_int_equal(try_it(OS_MAY_SETFSID, become_user_for_files, true), ALLOWED);
	assert_int_equal(try_it(0, become_user_for_files, true), REFUSED);
	assert_int_equal(try_it(OS_MAY_SETFSID, become_root_for_files, true), REFUSED);
	assert_int_equal(
	    try_it(OS_MAY_SETFSID, become_root_by_a_large_id, true), REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_fsuid),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
