/* main.cf as it is read: lines, names, values. */
#include "conf/main_cf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "conf/testing.h"

static void
test_main_cf(void **state)
{
	static const struct {
		const char *text, *name, *want; /* want NULL: not set */
	} cases[] = {
		{ "a = b\n", "a", "b" },
		{ "a=b", "a", "b" },
		{ "a =\n", "a", "" },
		{ "a = b c  \n", "a", "b c" },
		{ "a = b\n c\n", "a", "b c" },
		{ "a = b\n# x\n\n\tc\n", "a", "b\tc" },
		{ "a = b\n   # x\n c\nd = e\n", "a", "b c" },
		{ "a = b # c\n", "a", "b # c" },
		{ "# a = b\n", "a", NULL },
		{ " a = b\n", "a", NULL },
		{ "a = b\r\nc = d\r\n", "a", "b" },
		{ "a = 1\nb = 2\na = 3\n", "a", "3" },
		{ "a = b = c\n", "a", "b = c" },
		{ "a =\n  b\n", "a", "b" },
		{ "", "a", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_entry *entry;
		struct main_cf m;
		struct err e;

		assert_int_equal(RC_OK,
		    main_cf_parse(STR("main.cf"), copy(mem, cases[i].text), mem, &m, &e));
		entry = main_cf_find(&m, str_c(cases[i].name));
		if (cases[i].want == NULL)
			assert_null(entry);
		else
			expect_text(cases[i].text, cases[i].want, entry->value);
		arena_free(&mem);
	}
}

static void
test_main_cf_errors(void **state)
{
	static const struct {
		struct str text;
		const char *want;
	} cases[] = {
		{ STR_INIT("a = b\n\nfoo\n"),
		    "main.cf, line 3: missing '=' after attribute name: \"foo\"" },
		{ STR_INIT("a b = c\n"),
		    "main.cf, line 1: missing '=' after attribute name: \"a b = c\"" },
		{ STR_INIT("= x\n"), "main.cf, line 1: missing attribute name: \"= x\"" },
		{ STR_INIT("a\0 = y\n"),
		    "main.cf, line 1: missing '=' after attribute name: \"a\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct main_cf m;
		struct err e;

		assert_int_equal(
		    RC_PERM, main_cf_parse(STR("main.cf"), arena_str(mem, cases[i].text),
				 mem, &m, &e));
		assert_string_equal(e.text, cases[i].want);
		arena_free(&mem);
	}
}

static void
test_duplicates_are_kept(void **state)
{
	struct arena *mem = arena_new(MEMORY);
	struct main_cf m;
	struct err e;

	(void)state;
	assert_int_equal(RC_OK,
	    main_cf_parse(STR("f"), STR("a = 1\nb = 2\na = 3\na = 4\n"), mem, &m, &e));
	assert_int_equal(m.n, 2);
	assert_int_equal(m.n_duplicates, 2);
	expect_text("first", "1", m.duplicates[0].value);
	assert_int_equal(m.duplicates[0].by_line, 3);
	assert_int_equal(m.duplicates[1].by_line, 4);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main_cf),
		cmocka_unit_test(test_main_cf_errors),
		cmocka_unit_test(test_duplicates_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
