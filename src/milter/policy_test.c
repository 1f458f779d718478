#include "milter/policy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
replies(void **state)
{
	static const struct {
		const char *in;
		enum rc rc;
		const char *action;
		size_t used;
	} cases[] = {
		{ "action=DUNNO\n\n", RC_OK, "DUNNO", 14 },
		{ "action=DUNNO\n\naction=OK\n\n", RC_OK, "DUNNO", 14 },
		{ "action=450 4.7.1 a=b, c\n\n", RC_OK, "450 4.7.1 a=b, c", 25 },
		{ "x=1\naction=OK\ny=2\naction=REJECT\n\n", RC_OK, "OK", 33 },
		{ "action=\n\n", RC_OK, "", 9 },
		{ "\n", RC_NONE, NULL, 1 },
		{ "x=1\n\n", RC_NONE, NULL, 5 },
		{ "", RC_MORE, NULL, 0 },
		{ "action=DUNNO", RC_MORE, NULL, 0 },
		{ "action=DUNNO\n", RC_MORE, NULL, 0 },
		{ "action=DUNNO\n\r\n", RC_MORE, NULL, 0 },
		{ "DUNNO\n\n", RC_NONE, NULL, 7 },
		{ "Action=DUNNO\n\n", RC_NONE, NULL, 14 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str action = { NULL, 0 };
		size_t used = 0;
		enum rc rc =
		    milter_policy_reply(str_c(cases[i].in), &used, &action, NULL);

		assert_int_equal(rc, cases[i].rc);
		if (rc == RC_OK)
			assert_true(str_is(action, cases[i].action));
		assert_int_equal(used, cases[i].used);
	}
}

/* The same result for every cut: a part of a good reply is never an error. */
static void
cuts(void **state)
{
	struct str whole = STR("a=b\naction=PREPEND X: y\nc=\n\n"), action;
	size_t used;

	(void)state;
	for (size_t n = 0; n < whole.n; n++)
		assert_int_equal(
		    milter_policy_reply(str_head(whole, n), &used, &action, NULL),
		    RC_MORE);
	assert_int_equal(milter_policy_reply(whole, &used, &action, NULL), RC_OK);
	assert_int_equal(used, whole.n);
}

static void
limits(void **state)
{
	static char text[MILTER_POLICY_REPLY_MAX + 4096];
	struct str action;
	struct err e = { 0 };
	size_t used;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(
	    milter_policy_reply(str_n(text, MILTER_POLICY_LINE_MAX), &used, &action, &e),
	    RC_MORE);
	assert_int_equal(milter_policy_reply(
			     str_n(text, MILTER_POLICY_LINE_MAX + 1), &used, &action, &e),
	    RC_PERM);
	memcpy(text, "action=", 7);
	assert_int_equal(milter_policy_reply(
			     str_n(text, 7 + MILTER_POLICY_LINE_MAX), &used, &action, &e),
	    RC_MORE);
	assert_int_equal(milter_policy_reply(str_n(text, 7 + MILTER_POLICY_LINE_MAX + 1),
			     &used, &action, &e),
	    RC_PERM);
	for (size_t i = 0; i + 4 <= sizeof(text); i += 4)
		memcpy(text + i, "a=b\n", 4);
	assert_int_equal(
	    milter_policy_reply(str_n(text, sizeof(text)), &used, &action, &e), RC_PERM);
}

static void
requests(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 40);
	assert_int_equal(milter_policy_put(&b, "helo_name", STR("a\nb\rc=d")), RC_OK);
	assert_int_equal(milter_policy_put(&b, "x", STR("")), RC_OK);
	assert_int_equal(milter_policy_end(&b), RC_OK);
	assert_true(str_is(buf_view(&b), "helo_name=a?b?c=d\nx=\n\n"));
	assert_int_equal(
	    milter_policy_put(&b, "long", STR("12345678901234567890")), RC_TEMP);
	assert_true(str_is(buf_view(&b), "helo_name=a?b?c=d\nx=\n\n"));
	buf_fini(&b);
}

/* "endpoint|name=value|…", "!" for an error. */
static const char *
service(const char *text)
{
	static char line[400];
	struct str endpoint, rest, name, value;
	size_t n;
	enum rc rc;

	if (milter_policy_service(str_c(text), &endpoint, &rest, NULL) != RC_OK)
		return "!";
	n = (size_t)snprintf(line, sizeof(line), "%.*s", STR_ARG(endpoint));
	while ((rc = milter_policy_setting(&rest, &name, &value, NULL)) == RC_OK)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "|%.*s=%.*s",
		    STR_ARG(name), STR_ARG(value));
	if (rc == RC_PERM)
		(void)snprintf(line + n, sizeof(line) - n, "|!");
	return line;
}

static void
services(void **state)
{
	static const char *const cases[][2] = {
		{ "inet:127.0.0.1:10031", "inet:127.0.0.1:10031" },
		{ "{inet:127.0.0.1:10031}", "inet:127.0.0.1:10031" },
		{ "{ unix:private/p, timeout=10s default_action=DUNNO }",
		    "unix:private/p|timeout=10s|default_action=DUNNO" },
		{ "{ unix:private/p, { default_action = 450 4.7.1 come back, later } }",
		    "unix:private/p|default_action=450 4.7.1 come back, later" },
		{ "{ unix:private/p timeout = 10s }", "unix:private/p|!" },
		{ "{ }", "!" },
		{ "", "!" },
		{ "{ unix:p, {x} }", "unix:p|!" },
		{ "{ unix:p, =x }", "unix:p|!" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(service(cases[i][0]), cases[i][1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(cuts),
		cmocka_unit_test(limits),
		cmocka_unit_test(requests),
		cmocka_unit_test(services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
