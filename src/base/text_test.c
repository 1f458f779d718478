/* base64.h, utf8.h and near.h, as tables of cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/base64.h"
#include "base/near.h"
#include "base/utf8.h"
#include <string.h>

static void
base64(void **state)
{
	static const struct {
		const char *bytes, *text;
	} good[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" } };
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "Zm 9", "Zm9%" };
	struct arena *mem = arena_new(4096), *small = arena_new(4);
	struct str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		out = base64_encode(str_c(good[i].bytes), mem);
		assert_string_equal(out.p, good[i].text);
		assert_int_equal(base64_decode(str_c(good[i].text), mem, &out), RC_OK);
		assert_true(str_is(out, good[i].bytes));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(base64_decode(str_c(bad[i]), mem, &out), RC_PERM);
	assert_null(base64_encode(STR("much too long"), small).p);
	assert_int_equal(base64_decode(STR("Zm9vYg=="), small, &out), RC_TEMP);
	arena_free(&mem);
	arena_free(&small);
}

static void
utf8(void **state)
{
	static const char *const good[] = { "", "abc", "\xc3\xa9", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80",
		"seven..\xc3\xa9", "12345678\xc3\xa9 12345678" };
	static const char *const bad[] = { "\xff", "\x80", "\xc3", "\xc0\x80", "\xc1\xbf",
		"\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xe2\x82", "\xe2\x28\xac", "a\xe9", "12345678\xe9",
		"1234567\xe9 2345678" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(utf8_is_valid(str_c(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_is_valid(str_c(bad[i])));
}

static void
near(void **state)
{
	static const char *const known[] = { "reject", "reject_unauth_destination",
		"permit_mynetworks", "permit" };
	static const struct {
		const char *name, *want;
	} cases[] = { { "reject_unauth_destnation", "reject_unauth_destination" },
		{ "permit_mynetwrosk", "permit_mynetworks" }, { "rejcet", "reject" },
		{ "permit", "permit" }, { "prm", "" }, { "frobnicate", "" }, { "", "" } };
	char longest[NEAR_MAX + 2] = "";
	struct near n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		n = near_to(str_c(cases[i].name));
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			near_try(&n, str_c(known[k]));
		assert_true(str_is(n.best, cases[i].want));
	}
	memset(longest, 'x', NEAR_MAX + 1);
	n = near_to(str_c(longest));
	near_try(&n, str_c(longest));
	assert_int_equal(n.best.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(base64),
		cmocka_unit_test(utf8), cmocka_unit_test(near) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
