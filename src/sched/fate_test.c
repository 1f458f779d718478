/* Back-off, lifetimes, notifications: tables of cases. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "sched/fate.h"

#define S(n) ((n)*US_PER_SEC)

static const struct fate_conf conf = { S(300), S(4000), S(432000), S(86400), S(3600) };

static void
the_wait_is_the_age_within_bounds(void **state)
{
	static const struct {
		int64_t age, wait;
	} cases[] = { { 0, 300 }, { 299, 300 }, { 300, 300 }, { 301, 301 },
		{ 2000, 2000 }, { 4001, 4000 }, { 400000, 4000 }, { -5, 300 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fate_mail m = { .arrival_us = S(1000000) - S(cases[i].age) };

		assert_int_equal(
		    fate_next_try(&conf, &m, S(1000000)), S(1000000) + S(cases[i].wait));
	}
}

static void
mail_expires_by_age_or_by_order(void **state)
{
	static const struct {
		int64_t age;
		bool is_bounce, is_forced, expired;
	} cases[] = {
		{ 0, false, false, false },
		{ 431999, false, false, false },
		{ 432000, false, false, true },
		{ 86400, false, false, false },
		{ 86400, true, false, true },
		{ 86399, true, false, false },
		{ 0, false, true, true },
	};
	struct fate_conf once = { .bounce_lifetime_us = S(86400) };
	struct fate_mail now = { .arrival_us = S(5), .is_bounce = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fate_mail m = { .arrival_us = S(1000000) - S(cases[i].age),
			.is_bounce = cases[i].is_bounce,
			.is_forced = cases[i].is_forced };

		assert_int_equal(
		    fate_is_expired(&conf, &m, S(1000000)), cases[i].expired);
	}
	/* Lifetime 0: one attempt, for bounces too. */
	assert_true(fate_is_expired(&once, &now, S(5)));
}

static void
a_delay_is_told_once_and_never_about_bounces(void **state)
{
	struct fate_mail m = { .arrival_us = S(0) };
	struct fate_conf never = conf;

	(void)state;
	never.delay_warning_us = 0;
	assert_false(fate_wants_warning(&conf, &m, S(3599)));
	assert_true(fate_wants_warning(&conf, &m, S(3600)));
	assert_false(fate_wants_warning(&never, &m, S(3600)));
	m.was_warned = true;
	assert_false(fate_wants_warning(&conf, &m, S(3600)));
	m = (struct fate_mail){ .is_bounce = true };
	assert_false(fate_wants_warning(&conf, &m, S(3600)));
}

static void
notify_decides_who_is_told(void **state)
{
	static const struct {
		uint8_t notify;
		bool success, failure, delay;
	} cases[] = {
		{ 0, false, true, true },
		{ 1, false, false, false },
		{ 1 | 4, false, false, false },
		{ 2, true, false, false },
		{ 4, false, true, false },
		{ 8, false, false, true },
		{ 2 | 4 | 8, true, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
		    fate_tells(cases[i].notify, FATE_SUCCESS), cases[i].success);
		assert_int_equal(
		    fate_tells(cases[i].notify, FATE_FAILURE), cases[i].failure);
		assert_int_equal(fate_tells(cases[i].notify, FATE_DELAY), cases[i].delay);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wait_is_the_age_within_bounds),
		cmocka_unit_test(mail_expires_by_age_or_by_order),
		cmocka_unit_test(a_delay_is_told_once_and_never_about_bounces),
		cmocka_unit_test(notify_decides_who_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
