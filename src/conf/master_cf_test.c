/* master.cf as it is read. */
#include "conf/master_cf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "conf/testing.h"

static void
test_master_cf(void **state)
{
	static const char text[] =
	    "smtp inet n - n - - smtpd\n"
	    "# comment\n"
	    "  -o smtpd_banner=hello\n\n"
	    "  -o { mynetworks = 10.0.0.0/8 ::1 } -v\n"
	    "qmgr unix n - n 300 1 qmgr\n"
	    "tlsmgr unix - - n 1000? 1 tlsmgr\n"
	    "pipe unix - n n - - pipe flags=R user={ a b } argv=/x { c d } -o x=y\n"
	    "postlog unix-dgram n - n - 1 postlogd -oa=b\n"
	    "qmgr unix n - n 60 1 qmgr\n";
	struct arena *mem = arena_new(MEMORY);
	const struct master_service *s;
	struct master_cf m;
	struct err e;

	(void)state;
	assert_int_equal(RC_OK, master_cf_parse(STR("m"), STR(text), mem, &m, &e));
	assert_int_equal(m.n, 5);
	s = master_cf_find(&m, STR("smtp"), MASTER_INET);
	assert_non_null(s);
	assert_int_equal(s->maxproc, -1);
	assert_int_equal(s->n_overrides, 2);
	assert_int_equal(s->verbose, 1);
	expect_text(
	    "-o {}", "10.0.0.0/8 ::1", *master_override_find(s, STR("mynetworks")));
	assert_false(s->is_private);
	assert_true(s->is_unpriv);
	s = master_cf_transport(&m, STR("tlsmgr"));
	assert_true(s->wakeup_if_used);
	assert_int_equal(s->wakeup_us, 1000 * US_PER_SEC);
	s = master_cf_transport(&m, STR("pipe"));
	assert_false(s->is_unpriv);
	assert_int_equal(s->n_args, 9);
	expect_text("argument", "c d", s->args[6]);
	assert_int_equal(s->n_overrides, 0);
	s = master_cf_find(&m, STR("postlog"), MASTER_UNIX_DGRAM);
	expect_text("-oa=b", "b", *master_override_find(s, STR("a")));
	assert_int_equal(m.n_duplicates, 1);
	assert_int_equal(
	    master_cf_transport(&m, STR("qmgr"))->wakeup_us, 60 * US_PER_SEC);
	arena_free(&mem);
}

/* The words are those of Postfix's master, where it has any. */
static void
test_master_cf_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "smtp inet n - n\n", "missing \"wakeup_time\" field" },
		{ "smtp foo n - n - - smtpd\n", "bad transport type: foo" },
		{ "smtp - n - n - - smtpd\n",
		    "field \"transport type\" has no default value" },
		{ "smtp inet y - n - - smtpd\n", "inet service cannot be private" },
		{ "smtp inet - - n - - smtpd\n", "inet service cannot be private" },
		{ "x unix z - n - - smtpd\n", "field \"private\": bad value: \"z\"" },
		{ "x unix - x n - - smtpd\n",
		    "field \"unprivileged\": bad value: \"x\"" },
		{ "x unix - - q - - smtpd\n", "field \"chroot\": bad value: \"q\"" },
		{ "x unix - - n x - smtpd\n", "field \"wakeup_time\": bad value: \"x\"" },
		{ "x unix - - n - -1 smtpd\n", "field \"max_proc\": bad value: \"-1\"" },
		{ "x unix - - n - - -\n", "field \"command\" has no default value" },
		{ "x unix - - n - - smtp -o {a=b\n", "missing '}' in \"{a=b\"" },
		{ "x unix - - n - - smtp { a }b\n",
		    "syntax error after '}' in \"{ a }b\"" },
		{ "x unix - - n - - smtp -o a\n",
		    "missing '=' after attribute name: \"a\"" },
		{ "x unix - - n - - smtp -o\n", "option -o needs an argument" },
		{ "a/b unix - - n - - smtp\n", "service name \"a/b\" contains a slash" },
		{ "x unix - - n - - ../smtp\n",
		    "field \"command\": \"../smtp\" is not a file name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct master_cf m;
		char want[300];
		struct err e;

		(void)snprintf(want, sizeof(want), "m: line 1: %s", cases[i].want);
		assert_int_equal(RC_PERM,
		    master_cf_parse(STR("m"), copy(mem, cases[i].text), mem, &m, &e));
		assert_string_equal(e.text, want);
		arena_free(&mem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_master_cf),
		cmocka_unit_test(test_master_cf_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
