/* $name and expressions in values. */
#include "conf/expand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "conf/testing.h"

static enum rc
test_get(void *arg, struct str name, struct str *out, struct err *e)
{
	static const struct {
		const char *name, *value;
	} names[] = { { "a", "A" }, { "e", "" }, { "v", "$e" }, { "n5", "5" },
		{ "va", "$a-$e" }, { "loop", "x$loop" }, { "l1", "$l2" }, { "l2", "$l1" },
		{ "bomb0", "" }, { "bomb1", "$bomb2$bomb2" }, { "level", "3.6" } };

	(void)arg;
	(void)e;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_is(name, names[i].name)) {
			*out = str_c(names[i].value);
			return RC_OK;
		}
	return RC_NONE;
}

/* Each value was asked of Postfix 3.7. */
static void
test_expand(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = { { "", "" }, { "plain", "plain" }, { "$a", "A" }, { "$(a)", "A" },
		{ "${a}", "A" }, { "$$", "$" }, { "$$a", "$a" },
		{ "x$undefined.y", "x.y" }, { "${a?yes}", "yes" }, { "${e?yes}", "" },
		{ "${a:no}", "" }, { "${e:no}", "no" }, { "${a?{yes}:{no}}", "yes" },
		{ "${e?{yes}:{no}}", "no" }, { "${a?{yes}}", "yes" },
		{ "${e?{yes}}", "" }, { "${e:{no}}", "no" },
		{ "${a ? {yes} : {no}}", "yes" }, { "${a? yes }", " yes " },
		{ "${a?{ yes }}", " yes " }, { "${e?{yes} : no}", " no" },
		{ "${a?{yes}:{no} }", "yes" }, { "${a?{$a}:{$e}}", "A" },
		{ "${a?$a$(n5)}", "A5" }, { "${undefined?x}", "" },
		{ "${undefined:x}", "x" }, { "${?x}", "" },
		{ "${{a}=={a}?{t}:{f}}", "t" }, { "${{a}=={b}?{t}:{f}}", "f" },
		{ "${{a}=={b}?{t}}", "" }, { "${{a} == {a} ? {t} : {f}}", "t" },
		{ "${{a}!={b}?t:f}", "t:f" }, { "${{5}<{10}?{t}:{f}}", "t" },
		{ "${{a5}<{a10}?{t}:{f}}", "f" }, { "${{$n5}<={5}?{t}:{f}}", "t" },
		{ "${{5}=={05}?t}", "t" }, { "${{5}=={ 5}?t}", "" },
		{ "${{6}>{5}?t}", "t" }, { "${{5}>={5}?t}", "t" },
		{ "${{3.10} <level {3.9}?{t}:{f}}", "f" },
		{ "${{3.10} >level {3.9}?{t}:{f}}", "t" },
		{ "${{$level}<=level{3.6}?{t}:{f}}", "t" },
		{ "${{3.6}==level{3.6.0}?{t}:{f}}", "t" },
		{ "${{3.6}!=level{3.6}?{t}:{f}}", "f" },
		{ "${{ 3}<level{3.1}?{t}:{f}}", "t" }, { "${{a}=={a}:{f}}", "" },
		{ "${{a}!={a}:{f}}", "f" }, { "${{a}=={a}}", "true" },
		{ "${{a}!={a}}", "" }, { "$va", "A-" }, { "$a.b", "A.b" },
		{ "$a-$n5", "A-5" }, { "${a?a}b}", "ab}" }, { "${a?{b{c}d}}", "b{c}d" },
		{ "${a?b{c}d}", "b{c}d" }, { "${ a }", "A" }, { "${ a?x}", "x" },
		{ "${v?x}", "x" }, { "${v:x}", "" }, { "${ }", "" },
		{ "$({a}=={a}?{t})", "t" }, { "$(a?$(e:x))", "x" },
		{ "${a?{x$(e:y)}}", "xy" },
		{ "${domain_to_ascii{b.example}}", "b.example" },
		{ "${domain_to_ascii{b\xc3\xbc"
		  "cher.Example}}",
		    "xn--bcher-kva.example" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expand_source from = { test_get, NULL };
		struct arena *mem = arena_new(MEMORY);
		struct str got;
		struct err e = { .text = "" };

		if (expand_text(&from, copy(mem, cases[i].text), 1000, mem, &got, &e) !=
		    RC_OK)
			fail_msg("%s: %s", cases[i].text, e.text);
		expect_text(cases[i].text, cases[i].want, got);
		arena_free(&mem);
	}
}

static void
test_expand_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = { { "<$>", "empty macro name: \"<$>\"" },
		{ "$ a", "empty macro name: \"$ a\"" },
		{ "${}", "empty macro name: \"${}\"" },
		{ "<${>", "truncated macro reference: \"<${>\"" },
		{ "$(a}", "truncated macro reference: \"$(a}\"" },
		{ "${a!}", "attribute name syntax error at: \"...a>>>!\"" },
		{ "${a?{yes}x}", "\":\" expected at: \"...yes}>>>x\"" },
		{ "${a?{yes}:{no}x}", "unexpected input at: \"...no}>>>x\"" },
		{ "${{a}==b?{t}:{f}}", "bad operator suffix at: \"...==>>>b\"" },
		{ "${{a}=={b}x}", "\"?\" or \":\" expected at: \"...b}>>>x\"" },
		{ "${{a}}", "\"==\" or \"!=\"\" or \"<\"\" or \"<=\"\" or \">=\"\" or "
			    "\">\" expected at: \"...a}>>>\"" },
		{ "${{1}==levelx{1}}", "bad operator suffix at: \"...==>>>levelx\"" },
		{ "${{x}<level{3}?{t}:{f}}",
		    "malformed compatibility level syntax: \"x\"" },
		{ "${{3.1.2.1}<level{3}?{t}}",
		    "malformed compatibility level syntax: \"3.1.2.1\"" },
		{ "$(a?{x)}", "unbalanced {} in attribute expression: \"{x\"" },
		{ "$loop", "unreasonable macro call nesting: \"loop\"" },
		{ "${{$l1}==", "truncated macro reference: \"${{$l1}==\"" },
		{ "$l1", "unreasonable macro call nesting: \"l2\"" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expand_source from = { test_get, NULL };
		struct arena *mem = arena_new(MEMORY);
		struct str got;
		struct err e = { .text = "" };

		assert_int_equal(RC_PERM,
		    expand_text(&from, copy(mem, cases[i].text), 1000, mem, &got, &e));
		assert_string_equal(e.text, cases[i].want);
		arena_free(&mem);
	}
}

/* bomb<n> is bomb<n+1> twice: 2^30 evaluations without a limit. */
static enum rc
bomb_get(void *arg, struct str name, struct str *out, struct err *e)
{
	static char texts[32][32];
	int n = 0;

	(void)arg;
	(void)e;
	(void)sscanf(name.p, "bomb%2d", &n);
	if (n < 28)
		(void)snprintf(texts[n], sizeof(texts[n]), "$bomb%02d$bomb%02d",
		    (n + 1) % 100, (n + 1) % 100);
	*out = str_c(texts[n]);
	return RC_OK;
}

static void
test_expand_limits(void **state)
{
	struct expand_source from = { test_get, NULL }, bomb = { bomb_get, NULL };
	struct arena *mem = arena_new(MEMORY);
	struct str got;
	struct err e;

	(void)state;
	assert_int_equal(RC_PERM, expand_text(&from, STR("$a$a$a$a"), 3, mem, &got, &e));
	assert_string_equal(e.text, "value is too long");
	assert_int_equal(
	    RC_PERM, expand_text(&bomb, STR("$bomb00"), 1000, mem, &got, &e));
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_errors),
		cmocka_unit_test(test_expand_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
