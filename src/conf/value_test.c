/* Values by type: numbers, times, yes and no. */
#include "conf/params.h"
#include "conf/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "conf/testing.h"

static void
test_values(void **state)
{
	static const struct {
		const char *param, *text, *want; /* want NULL: fine */
	} cases[] = {
		{ "fork_attempts", "3", NULL },
		{ "fork_attempts", "+3", NULL },
		{ "fork_attempts", "010", NULL },
		{ "fork_attempts", "x",
		    "bad numerical configuration: fork_attempts = x" },
		{ "fork_attempts", "", "bad numerical configuration: fork_attempts = " },
		{ "fork_attempts", "3 4",
		    "bad numerical configuration: fork_attempts = 3 4" },
		{ "fork_attempts", "0", "invalid fork_attempts parameter value 0 < 1" },
		{ "fork_attempts", "-1", "invalid fork_attempts parameter value -1 < 1" },
		{ "fork_attempts", "99999999999",
		    "bad numerical configuration: fork_attempts = 99999999999" },
		{ "delay_logging_resolution_limit", "7",
		    "invalid delay_logging_resolution_limit parameter value 7 > 6" },
		{ "message_size_limit", "99999999999", NULL },
		{ "message_size_limit", "99999999999999999999",
		    "bad numerical configuration: message_size_limit = "
		    "99999999999999999999" },
		{ "daemon_timeout", "5x",
		    "parameter daemon_timeout: bad time value or unit: 5x" },
		{ "daemon_timeout", "1D",
		    "parameter daemon_timeout: bad time value or unit: 1D" },
		{ "daemon_timeout", "-5",
		    "parameter daemon_timeout: bad time value or unit: -5" },
		{ "daemon_timeout", "",
		    "parameter daemon_timeout: bad time value or unit: " },
		{ "daemon_timeout", "2147483648",
		    "parameter daemon_timeout: bad time value or unit: 2147483648" },
		{ "daemon_timeout", "0", "invalid daemon_timeout: 0 (min 1)" },
		{ "daemon_timeout", "10min", NULL },
		{ "maximal_queue_lifetime", "101d",
		    "invalid maximal_queue_lifetime: 8726400 (max 8640000)" },
		{ "message_size_limit", "-5", NULL },
		{ "soft_bounce", "YES", NULL },
		{ "soft_bounce", "maybe",
		    "bad boolean configuration: soft_bounce = maybe" },
		{ "soft_bounce", "", "bad boolean configuration: soft_bounce = " },
		{ "mail_name", "", "bad string length 0 < 1: mail_name = " },
		{ "relayhost", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct conf_param *p = conf_param_find(str_c(cases[i].param));
		struct err e = { .text = "" };
		enum rc rc;

		assert_non_null(p);
		rc = conf_value_check(p, p->name, str_c(cases[i].text), &e);
		assert_int_equal(rc, cases[i].want == NULL ? RC_OK : RC_PERM);
		assert_string_equal(e.text, cases[i].want == NULL ? "" : cases[i].want);
	}
}

static void
test_time_units(void **state)
{
	static const struct {
		const char *text;
		char unit;
		int64_t seconds;
	} cases[] = { { "5", 's', 5 }, { "5", 'd', 432000 }, { "5s", 'd', 5 },
		{ "2m", 's', 120 }, { "1h", 's', 3600 }, { "1w", 's', 604800 },
		{ "0", 'h', 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = -1;

		assert_int_equal(
		    RC_OK, conf_parse_time(str_c(cases[i].text), cases[i].unit, &us));
		assert_int_equal(us, cases[i].seconds * US_PER_SEC);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_time_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
