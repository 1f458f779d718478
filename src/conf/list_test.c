/* Lists, and what matches them. */
#include "conf/list.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "conf/testing.h"

static void
test_split(void **state)
{
	struct str rest = STR_INIT(" a, b\n{ c d },e{f g}h ,,"), v[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(RC_OK, conf_list_next(&rest, &v[i]));
	assert_int_equal(RC_NONE, conf_list_next(&rest, &rest));
	expect_text("b", "b", v[1]);
	expect_text("braces", "{ c d }", v[2]);
	expect_text("unbraced", "c d", conf_list_unbrace(v[2]));
	expect_text("inside", "e{f g}h", v[3]);
	rest = STR("{ b");
	assert_int_equal(RC_PERM, conf_list_next(&rest, &v[0]));
}

static enum rc
test_read(void *arg, struct str path, struct arena *mem, struct str *out, struct err *e)
{
	(void)arg;
	(void)mem;
	if (str_is(path, "/loop"))
		*out = STR("/loop\n");
	else if (str_is(path, "/list"))
		*out = STR("# comment\nin.example\n.sub.example other.example\n");
	else
		return err_set(e, RC_TEMP, "open file %.*s: not there", STR_ARG(path));
	return RC_OK;
}

static const struct match_files test_files = { test_read, NULL };

static void
test_match(void **state)
{
	static const struct {
		const char *list, *name, *address;
		bool want;
	} cases[] = {
		{ "example.com", "EXAMPLE.com", "", true },
		{ "example.com", "a.example.com", "", false },
		{ ".example.com", "a.example.com", "", true },
		{ ".example.com", "example.com", "", false },
		{ "!a.example.com, .example.com", "a.example.com", "", false },
		{ "!a.example.com, .example.com", "b.example.com", "", true },
		{ "127.0.0.0/8 [::1]/128", "", "127.1.2.3", true },
		{ "127.0.0.0/8 [::1]/128", "", "128.0.0.1", false },
		{ "127.0.0.0/8 [::1]/128", "", "::1", true },
		{ "[2001:db8::/33]", "", "2001:db8:7fff::1", true },
		{ "[2001:db8::/33]", "", "2001:db8:8000::1", false },
		{ "192.0.2.1", "", "192.0.2.1", true },
		{ "[::1]", "", "::1", true },
		{ "10.1.2.3/8", "", "10.1.2.3", false },
		{ "/list", "in.example", "", true },
		{ "/list", "x.sub.example", "", true },
		{ "!/list, other.example", "other.example", "", false },
		{ "hash:/x, a", "a", "", true },
		{ "", "a", "", false },
		{ "0.0.0.0/0", "", "1.2.3.4", true },
		{ "0.0.0.0/0", "", "::1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct match_list list;
		struct addr_ip ip = { .family = ADDR_NONE };
		struct err e = { .text = "" };

		if (match_list_parse(str_c(cases[i].list), &test_files, mem, &list, &e) !=
		    RC_OK)
			fail_msg("%s: %s", cases[i].list, e.text);
		if (addr_ip_parse(str_c(cases[i].address), &ip) != RC_OK)
			ip.family = ADDR_NONE;
		if (match_list_has(&list, str_c(cases[i].name), &ip) != cases[i].want)
			fail_msg("case %zu: %s", i, cases[i].list);
		arena_free(&mem);
	}
}

static void
test_match_errors(void **state)
{
	static const char *const cases[] = { "a, !", "{ a", "/missing", "/loop" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct match_list list;
		struct err e;

		assert_int_not_equal(RC_OK,
		    match_list_parse(str_c(cases[i]), &test_files, mem, &list, &e));
		arena_free(&mem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_match_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
