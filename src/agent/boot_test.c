/* The command line of workers: what master writes a worker reads; nothing else passes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "agent/boot.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "base/buf.h"

static void
test_round(void **state)
{
	const struct boot_listen listen[] = { { 0, 8 }, { 0, 9 }, { BOOT_ADMIN, 10 } };
	const struct boot in = { .instance = 7,
		.n_workers = 2,
		.worker_at = 1,
		.control_fd = 5,
		.conf_fd = 6,
		.log_fd = -1,
		.listen = listen,
		.n_listen = 3 };
	struct arena *mem = arena_new(1 << 20);
	struct boot out;
	struct buf text;

	(void)state;
	buf_init(&text, 1000);
	assert_int_equal(boot_format(&in, &text), RC_OK);
	assert_int_equal(boot_parse(buf_view(&text), mem, &out), RC_OK);
	assert_int_equal(out.instance, 7);
	assert_int_equal(out.n_workers, 2);
	assert_int_equal(out.worker_at, 1);
	assert_int_equal(out.control_fd, 5);
	assert_int_equal(out.conf_fd, 6);
	assert_int_equal(out.log_fd, -1);
	assert_int_equal(out.n_listen, 3);
	assert_int_equal(out.listen[1].fd, 9);
	assert_true(out.listen[2].service == BOOT_ADMIN);
	buf_fini(&text);
	arena_free(&mem);
}

static void
test_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"instance=1 n=1 at=0 conf=4",    /* no control channel */
		"instance=1 n=1 at=0 control=3", /* no snapshot */
		"n=1 at=1 control=3 conf=4",     /* the second of one */
		"n=0 at=0 control=3 conf=4",
		"n=1 at=0 control=3 conf=4 listen=0",
		"n=1 at=0 control=3 conf=4 listen=0:-1",
		"n=1 at=0 control=3 conf=4 listen=x:1",
		"n=1 at=0 control=-3 conf=4",
		"n=1 at=0 control=99999999999 conf=4",
		"n=1 at=0 control=3 conf=4 colour=blue",
		"-h",
	};
	struct arena *mem = arena_new(1 << 20);
	struct boot out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		arena_reset(mem);
		assert_int_equal(boot_parse(str_c(cases[i]), mem, &out), RC_PERM);
	}
	arena_free(&mem);
}

static void
test_roles(void **state)
{
	(void)state;
	assert_string_equal(worker_role_of(STR("smtpd")), "smtpd");
	assert_string_equal(worker_role_of(STR("error")), "bounce");
	assert_string_equal(worker_role_of(STR("showq")), "queue");
	assert_string_equal(worker_role_of(STR("/usr/lib/postfix/smtp")), "smtp");
	assert_string_equal(worker_role_of(STR("cleanup")), "");
	assert_null(worker_role_of(STR("local")));
	assert_true(worker_role_delivers("bounce"));
	assert_false(worker_role_delivers("smtpd"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
