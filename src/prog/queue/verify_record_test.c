/* Records of the verification cache: Postfix's bytes, what is answered at which age. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "prog/queue/verify_record.h"

static const struct verify_conf conf = { .positive_expire_s = 1000000,
	.positive_refresh_s = 500000,
	.negative_expire_s = 200000,
	.negative_refresh_s = 100000,
	.keeps_negative = true };

static void
records_are_postfixes(void **state)
{
	static const char *const good[] = { "0:0:1795332113:delivers to maildir",
		"2:0:1795332111:host a[1.2.3.4] said: 550 5.1.1 no (in reply to RCPT)",
		"3:1795332111:0:Address verification in progress", "1:7:8:a:b" };
	static const char *const bad[] = { "", "0", "0:0", "0:0:0", "0:0:0:", "4:0:0:x",
		"-1:0:0:x", "x:0:0:x", "0:a:0:x", "0:0:99999999999999999999:x", ":::x" };
	struct verify_record r;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		buf_reset(&b);
		assert_int_equal(verify_record_parse(str_c(good[i]), &r), RC_OK);
		assert_int_equal(verify_record_format(&r, &b), RC_OK);
		assert_true(str_is(buf_view(&b), good[i]));
	}
	assert_int_equal(r.status, VERIFY_DEFERRED);
	assert_int_equal(r.probed_s, 7);
	assert_int_equal(r.updated_s, 8);
	assert_true(str_is(r.text, "a:b"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(verify_record_parse(str_c(bad[i]), &r), RC_PERM);
	buf_fini(&b);
}

static void
ages_decide(void **state)
{
	const int64_t now = 10000000;
	static const struct {
		const char *name;
		enum verify_status status;
		int64_t probed, updated; /* so long ago; 0: never */
		enum verify_status answer;
		bool probe;
	} cases[] = {
		{ "fresh", VERIFY_OK, 0, 10, VERIFY_OK, false },
		{ "to be refreshed", VERIFY_OK, 0, 500001, VERIFY_OK, true },
		{ "being refreshed", VERIFY_OK, 1000, 500001, VERIFY_OK, false },
		{ "the refresh was lost", VERIFY_OK, 1001, 500001, VERIFY_OK, true },
		{ "expired", VERIFY_OK, 0, 1000001, VERIFY_TODO, true },
		{ "expired, asked", VERIFY_OK, 5, 1000001, VERIFY_TODO, false },
		{ "refused", VERIFY_BOUNCED, 0, 10, VERIFY_BOUNCED, false },
		{ "deferred", VERIFY_DEFERRED, 0, 100001, VERIFY_DEFERRED, true },
		{ "refused long ago", VERIFY_BOUNCED, 0, 200001, VERIFY_TODO, true },
		{ "asked just now", VERIFY_TODO, 5, 0, VERIFY_TODO, false },
		{ "asked in vain", VERIFY_TODO, 1001, 0, VERIFY_TODO, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct verify_record r = { .status = cases[i].status };
		struct verify_plan p;

		r.probed_s = cases[i].probed != 0 ? now - cases[i].probed : 0;
		r.updated_s = cases[i].updated != 0 ? now - cases[i].updated : 0;
		p = verify_plan(&conf, &r, now);
		if (p.status != cases[i].answer || p.needs_probe != cases[i].probe)
			fail_msg("%s: %d %d", cases[i].name, p.status, p.needs_probe);
	}
	assert_int_equal(verify_plan(&conf, NULL, now).status, VERIFY_TODO);
	assert_true(verify_plan(&conf, NULL, now).needs_probe);
}

static void
a_failed_refresh_leaves_what_is_good(void **state)
{
	struct verify_conf forgets = conf;
	struct verify_record good = { .status = VERIFY_OK, .updated_s = 1000 };
	struct verify_record bad = { .status = VERIFY_BOUNCED, .updated_s = 1000 };

	(void)state;
	assert_false(verify_takes(&conf, &good, VERIFY_BOUNCED, 1001));
	assert_false(verify_takes(&conf, &good, VERIFY_DEFERRED, 1001000));
	assert_true(verify_takes(&conf, &good, VERIFY_BOUNCED, 1001001));
	assert_true(verify_takes(&conf, &good, VERIFY_OK, 1001));
	assert_true(verify_takes(&conf, &bad, VERIFY_DEFERRED, 1001));
	assert_true(verify_takes(&conf, NULL, VERIFY_BOUNCED, 1001));
	forgets.keeps_negative = false;
	assert_false(verify_takes(&forgets, NULL, VERIFY_BOUNCED, 1001));
	assert_true(verify_takes(&forgets, NULL, VERIFY_OK, 1001));
}

static void
senders_change_with_time(void **state)
{
	char out[VERIFY_SENDER_MAX];

	(void)state;
	/* As Postfix 3.7 made it at that time. */
	assert_true(str_is(verify_sender(STR("double-bounce"), 3600, 1795332645, out),
	    "double-bounceJQY6"));
	assert_true(str_is(
	    verify_sender(STR("double-bounce"), 0, 1795332645, out), "double-bounce"));
	assert_true(str_is(verify_sender(STR("a"), 10, 0, out), "a0"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_postfixes),
		cmocka_unit_test(ages_decide),
		cmocka_unit_test(a_failed_refresh_leaves_what_is_good),
		cmocka_unit_test(senders_change_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
