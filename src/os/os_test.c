/* Descriptors: sealed files, passing, whole reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/arena.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/sock.h"
#include "os/users.h"

static void
test_sealed(void **state)
{
	struct arena *mem = arena_new(1 << 20);
	struct str back;
	char large[20000];
	struct err e;
	int fd;

	(void)state;
	memset(large, 'x', sizeof(large));
	assert_int_equal(os_fd_sealed("t", str_n(large, sizeof(large)), &fd, &e), RC_OK);
	assert_true(os_fd_is_sealed(fd));
	assert_int_equal(write(fd, "y", 1), -1);
	assert_int_equal(os_fd_read_all(fd, sizeof(large), mem, &back, &e), RC_OK);
	assert_true(str_eq(back, str_n(large, sizeof(large))));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(os_fd_read_all(fd, sizeof(large) - 1, mem, &back, &e), RC_PERM);
	os_fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(os_fd_load("/nonexistent", 1, mem, &back, &e), RC_NONE);
	arena_free(&mem);
}

static void
test_pass(void **state)
{
	int pair[2], pipes[2], got[1];
	size_t n_fds = 1, n;
	struct err e;
	char text[20];

	(void)state;
	assert_int_equal(os_sock_pair(pair, &e), RC_OK);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(
	    os_fd_recv(pair[1], text, sizeof(text), got, &n_fds, &n), RC_MORE);
	assert_int_equal(os_fd_send(pair[0], STR("hello"), pipes, 2, &n), RC_OK);
	assert_int_equal(n, 5);
	n_fds = 1; /* room for one of two: the other is closed, not leaked */
	assert_int_equal(os_fd_recv(pair[1], text, sizeof(text), got, &n_fds, &n), RC_OK);
	assert_int_equal(n, 5);
	assert_int_equal(n_fds, 1);
	assert_int_equal(write(pipes[1], "z", 1), 1);
	assert_int_equal(read(got[0], text, 1), 1);
	os_fd_close(&got[0]);
	os_fd_close(&pair[0]);
	assert_int_equal(
	    os_fd_recv(pair[1], text, sizeof(text), got, &n_fds, &n), RC_NONE);
	assert_int_equal(os_fd_send(pair[1], STR("x"), NULL, 0, &n), RC_TEMP);
	os_fd_close(&pair[1]);
	os_fd_close(&pipes[0]);
	os_fd_close(&pipes[1]);
}

/* The table is full: what came is closed, what did not come makes no other's place. */
static void
a_descriptor_that_found_no_room_is_not_the_next_ones(void **state)
{
	int pair[2], pipes[2], got[2], lowest, again;
	struct rlimit was, few;
	size_t n_fds = 2, n;
	char text[20];

	(void)state;
	assert_int_equal(os_sock_pair(pair, NULL), RC_OK);
	assert_int_equal(pipe(pipes), 0);
	lowest = dup(0);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ (rlim_t)lowest + 1, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(os_fd_send(pair[0], STR("hello"), pipes, 2, &n), RC_OK);
	assert_int_equal(
	    os_fd_recv(pair[1], text, sizeof(text), got, &n_fds, &n), RC_TEMP);
	assert_int_equal(n_fds, 0);
	again = dup(0);
	assert_int_equal(again, lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	os_fd_close(&again);
	for (size_t i = 0; i < 2; i++) {
		os_fd_close(&pair[i]);
		os_fd_close(&pipes[i]);
	}
}

static void
test_users(void **state)
{
	struct os_user u;
	struct err e;
	gid_t gid;

	(void)state;
	assert_int_equal(os_users_find("root", &u, &e), RC_OK);
	assert_int_equal(u.uid, 0);
	assert_int_equal(os_users_find_group("root", &gid, &e), RC_OK);
	assert_int_equal(os_users_find("no-such-user", &u, &e), RC_PERM);
	assert_true(os_clock_mono_us() > 0);
	assert_true(os_clock_wall_us() > INT64_C(1600000000) * US_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(a_descriptor_that_found_no_room_is_not_the_next_ones),
		cmocka_unit_test(test_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
