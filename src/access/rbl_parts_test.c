/* What restrictions that ask DNS lists are made of: filters of answers, texts of replies.
 */
#include "access/dns_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void
filters(void **state)
{
	static const struct {
		const char *pattern, *addr;
		enum rc rc;
	} cases[] = {
		{ "127.0.0.2", "127.0.0.2", RC_OK },
		{ "127.0.0.2", "127.0.0.3", RC_NONE },
		{ "127.0.[0..1].[2..5;9]", "127.0.1.9", RC_OK },
		{ "127.0.[0..1].[2..5;9]", "127.0.1.6", RC_NONE },
		{ "[127].0.0.[0..255]", "127.0.0.255", RC_OK },
		{ "127.0.0", "127.0.0.2", RC_PERM },
		{ "127.0.0.2.1", "127.0.0.2", RC_PERM },
		{ "127.0.0.256", "127.0.0.2", RC_PERM },
		{ "127.0.0.[]", "127.0.0.2", RC_PERM },
		{ "127.0.0.[1;]", "127.0.0.2", RC_PERM },
		{ "127.0.0.[5..1]", "127.0.0.2", RC_PERM },
		{ "127.0.0.[1..2", "127.0.0.2", RC_PERM },
		{ "127.0.0.1..2", "127.0.0.2", RC_PERM },
		{ "127.0.0.x", "127.0.0.2", RC_PERM },
		{ "", "127.0.0.2", RC_PERM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
		    access_rbl_filter(str_c(cases[i].pattern), str_c(cases[i].addr)),
		    cases[i].rc);
}

static bool
macro(void *ctx, struct str name, struct str *out)
{
	(void)ctx;
	*out = str_is(name, "a") ? STR("A<\x01>") : STR("");
	return str_is(name, "a") || str_is(name, "empty");
}

static void
expansion(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "$a ${a} $(a)", "A<_> A<_> A<_>" },
		{ "$$a $$", "$a $" },
		{ "${a?yes $a}${empty?no}", "yes A<_>" },
		{ "${a:no}${empty:yes}", "yes" },
		{ "${a?{x}:{y}} ${empty?{x}:{y}}", "x y" },
		{ "${empty ? {x} : y}", "y" },
		{ "${{$a} == {$a} ? {same} : {other}}", "same" },
		{ "${{$a} != {$a} ? {same} : {other}}", "other" },
		{ "${{x} == {$empty} ?{same}}", "" },
		{ "${a?${a?${a?deep}}}", "deep" },
		{ "$unknown", NULL },
		{ "${a", NULL },
		{ "${}", NULL },
		{ "$", NULL },
		{ "$ a", NULL },
		{ "${a!x}", NULL },
		{ "${{a} < {b} ? {x}}", NULL },
		{ "${{a} ==", NULL },
		{ "${a?{x", NULL },
	};
	const struct access_macros m = { .find = macro, .filter = STR("\\101<\\76") };
	struct arena *mem = arena_new(1 << 18);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str out = STR("");
		enum rc rc = access_expand(&m, str_c(cases[i][0]), mem, &out);

		assert_int_equal(rc, cases[i][1] != NULL ? RC_OK : RC_PERM);
		if (rc == RC_OK)
			assert_true(str_is(out, cases[i][1]));
	}
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters),
		cmocka_unit_test(expansion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
