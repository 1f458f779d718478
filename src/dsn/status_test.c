/* Enhanced status codes. */
#include "dsn/status.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void
parsing(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{ "2.0.0", true },
		{ "5.1.1", true },
		{ "4.999.999", true },
		{ "3.0.0", false },
		{ "5.1", false },
		{ "5.1.", false },
		{ "5.01.1", false },
		{ "5.1000.1", false },
		{ "5.1.1 ", false },
		{ "5.1.1.1", false },
		{ "", false },
		{ "x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dsn_status s;
		char out[DSN_STATUS_MAX];

		if ((dsn_status_parse(str_c(rows[i].text), &s) == RC_OK) != rows[i].ok)
			fail_msg("%s", rows[i].text);
		if (rows[i].ok)
			assert_string_equal(dsn_status_format(&s, out).p, rows[i].text);
	}
}

static void
replies(void **state)
{
	static const struct {
		const char *reply, *code, *text;
	} rows[] = {
		{ "550 5.1.1 no such user", "5.1.1", "no such user" },
		{ "450-4.2.0 later", "4.2.0", "later" },
		{ "550 4.1.1 contradiction", "5.0.0", "contradiction" },
		{ "550 no code", "5.0.0", "no code" },
		{ "250 2.0.0", "2.0.0", "" },
		{ "421", "4.0.0", "" },
		{ "550 5.1.1x", "5.0.0", "5.1.1x" },
		{ "", "0.0.0", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dsn_status s;
		struct str text;
		char out[DSN_STATUS_MAX];

		dsn_status_of_reply(str_c(rows[i].reply), &s, &text);
		assert_string_equal(dsn_status_format(&s, out).p, rows[i].code);
		if (!str_is(text, rows[i].text))
			fail_msg("%s: %.*s", rows[i].reply, STR_ARG(text));
	}
}

static void
splitting(void **state)
{
	struct dsn_status s;
	struct str rest;
	char out[DSN_STATUS_MAX];

	(void)state;
	assert_int_equal(
	    dsn_status_split(STR("5.7.1 go away"), "5.0.0", &s, &rest), RC_OK);
	assert_string_equal(dsn_status_format(&s, out).p, "5.7.1");
	assert_true(str_is(rest, "go away"));
	assert_int_equal(dsn_status_split(STR("go away"), "5.0.0", &s, &rest), RC_NONE);
	assert_string_equal(dsn_status_format(&s, out).p, "5.0.0");
	assert_true(str_is(rest, "go away"));
	s = dsn_status_with_class(s, 4);
	assert_string_equal(dsn_status_format(&s, out).p, "4.0.0");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(replies),
		cmocka_unit_test(splitting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
