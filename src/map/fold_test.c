#include "map/fold.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void
folds(void **state)
{
	static const struct {
		const char *key;
		bool is_utf8;
		enum rc rc;
		const char *out;
	} cases[] = {
		{ "abc", false, RC_OK, "abc" },
		{ "aBc", true, RC_OK, "abc" },
		{ "\xc3\x84PFEL", true, RC_OK, "\xc3\xa4pfel" },
		{ "\xc3\x84PFEL", false, RC_OK, "\xc3\x84pfel" },
		{ "Stra\xc3\x9f"
		  "e",
		    true, RC_OK, "strasse" },
		{ "\xc4\xb0stanbul", true, RC_OK, "i\xcc\x87stanbul" },
		{ "B\xff", true, RC_NONE, "" },
		{ "B\xff", false, RC_OK, "b\xff" },
		{ "\xed\xa0\x80", true, RC_NONE, "" },
	};
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str out = STR("");

		assert_int_equal(
		    map_fold_key(str_c(cases[i].key), cases[i].is_utf8, mem, &out),
		    cases[i].rc);
		assert_true(str_is(out, cases[i].out));
	}
	assert_true(map_is_utf8(STR("12345678 abc")));
	assert_true(map_is_utf8(STR("12345678 \xc3\xa4")));
	assert_false(map_is_utf8(STR("12345678\xc3")));
	arena_free(&mem);
}

static void
limit(void **state)
{
	struct arena *mem = arena_new(64);
	char key[200];
	struct str out;

	(void)state;
	memset(key, 'A', sizeof(key));
	assert_int_equal(map_fold_key(str_n(key, sizeof(key)), true, mem, &out), RC_TEMP);
	key[199] = '\xc3';
	key[198] = '\x84';
	assert_int_equal(map_fold_key(str_n(key, sizeof(key)), true, mem, &out), RC_NONE);
	key[198] = '\xc3';
	key[199] = '\x84';
	assert_int_equal(map_fold_key(str_n(key, sizeof(key)), true, mem, &out), RC_TEMP);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folds),
		cmocka_unit_test(limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
