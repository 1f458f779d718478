/* alias_source.h: what comes of a line of an alias file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "map/alias_source.h"

/* "key=value", or "!warning". */
static void
check(const char *text, const char *want)
{
	struct arena *mem = arena_new(65536);
	struct map_source s = map_source_start(str_c(text), mem);
	struct map_source_entry en;
	char got[400];

	s.wants_utf8 = true;
	assert_int_equal(alias_source_next(&s, &en), RC_OK);
	if (en.is_skipped)
		(void)snprintf(got, sizeof(got), "!%.*s", STR_ARG(en.warning));
	else
		(void)snprintf(
		    got, sizeof(got), "%.*s=%.*s", STR_ARG(en.key), STR_ARG(en.value));
	assert_string_equal(got, want);
	assert_int_equal(alias_source_next(&s, &en), RC_NONE);
	arena_free(&mem);
}

static void
values(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "root", "root" },
		{ "a@b,c@d", "a@b, c@d" },
		{ "a ,\n\tb,\n  c (note), \"d e\"@f", "a, b, c (note), \"d e\"@f" },
		{ "\"|/bin/cmd arg, more\", |/bin/x -y",
		    "\"|/bin/cmd arg, more\", |/bin/x -y" },
		{ "|\"/bin/x $a\"", "|\"/bin/x $a\"" },
		{ ": include : /a/b", ":include:/a/b" },
		{ ":include:\"/a b\"", ":include:\"/a b\"" },
		{ "/var/mail/x", "/var/mail/x" },
		{ "User Name <u@e.org>", "User Name <u@e.org>" },
		{ "a<b>c", "a <b>c" },
		{ "a\"b\"", "a \"b\"" },
		{ "a(b)(c)", "a (b) (c)" },
		{ "a(b", "a (b" },
		{ "a[x", "a [x]" },
		{ "\"unb", "\"unb\"" },
		{ "a\\ b", "\"a b\"" },
		{ "\"a\\\"b\\c\"", "\"a\\\"bc\"" },
		{ "a,,b", "a, , b" },
		{ "a ! b % c . d", "a!b%c.d" },
		{ "a@[1.2.3.4]", "a@[1.2.3.4]" },
		{ "[x\\]y] z", "[x]y] z" },
		{ "[x\\\\y]", "[x\\\\y]" },
		{ "a\\", "a" },
		{ "()", "()" },
		{ "a |b", "a|b" },
		{ "\\!a \\|b \\\tc", "\"!a\" \"|b\" \" c\"" },
		{ "a < <b>,<c>", "a < <b>, <c>" },
	};
	char text[200], want[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(text, sizeof(text), "k: %s\n", cases[i].value);
		(void)snprintf(want, sizeof(want), "k=%s", cases[i].want);
		check(text, want);
	}
}

static void
keys(void **state)
{
	static const struct {
		const char *key, *want;
	} cases[] = {
		{ "Root", "Root=v" },
		{ "\"a b\"", "\"a b\"=v" },
		{ "a b", "\"a b\"=v" },
		{ "\"ab\"", "ab=v" },
		{ "a.b", "a.b=v" },
		{ ".a", "\".a\"=v" },
		{ "a.", "\"a.\"=v" },
		{ "\"a..b\"", "\"a..b\"=v" },
		{ "\"a@b\"", "\"a@b\"=v" },
		{ "\"\"", "\"\"=v" },
		{ "owner-x+y", "owner-x+y=v" },
		{ "\"a\\\"b\"", "\"a\\\"b\"=v" },
		{ "\xc3\xa9", "\xc3\xa9=v" },
		{ "a!b", "a!b=v" },
		{ "a@b", "!name must be local" },
		{ "a%b", "!name must be local" },
		{ "@", "!name must be local" },
		{ "a,b", "!need name:value pair" },
		{ "", "!need name:value pair" },
		{ ":include", "!need name:value pair" },
		{ "a\"", "!need name:value pair" },
		{ "a(", "!need name:value pair" },
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(text, sizeof(text), "%s: v\n", cases[i].key);
		check(text, cases[i].want);
	}
	check("a\n", "!need name:value pair");
	check("a:\n", "!need name:value pair");
	check("a: \xe9\n", "!non-UTF-8 input \"a: \xe9\" -- ignoring this line");
	check("  a: b\n", "!logical line must not start with whitespace: \"  a: b\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(values),
		cmocka_unit_test(keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
