#include "map/source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Entries as "key=value@line" or "!warning@line", one a line. */
static void
check(const char *text, const char *want)
{
	struct arena *mem = arena_new(1 << 16);
	struct map_source s = map_source_start(str_c(text), mem);
	struct map_source_entry en;
	char got[1000] = "";
	size_t n = 0;

	while (map_source_next(&s, &en) == RC_OK) {
		if (en.warning.n > 0)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "!%.*s@%u\n",
			    STR_ARG(en.warning), en.has_line ? en.line : 0);
		if (!en.is_skipped)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%.*s=%.*s@%u\n",
			    STR_ARG(en.key), STR_ARG(en.value), en.line);
	}
	assert_string_equal(got, want);
	arena_free(&mem);
}

static void
entries(void **state)
{
	(void)state;
	check("", "");
	check("\n\n# x\n  # y\n", "");
	check("a b", "a=b@1\n");
	check("a \t b  \nc\td e\n", "a=b@1\nc=d e@2\n");
	check("a b\n c\n#x\n\td\ne f\n", "a=b c\td@1\ne=f@5\n");
	check("\"q k\" v\n", "\"q k\"=v@1\n");
	check("\"q\\\" k\"@x v\n", "\"q\\\" k\"@x=v@1\n");
	check("\"q k v\n", "!unbalanced '\"' in '\"q k v' -- ignoring this line@1\n");
	check("alone\n", "!expected format: key whitespace value@1\n");
	check("alone:\n", "!expected format: key whitespace value@1\n");
	check("k: v\n",
	    "!record is in \"key: value\" format; is this an alias file?@1\nk:=v@1\n");
	check(" lost\nk v\n",
	    "!logical line must not start with whitespace: \" lost\"@0\nk=v@2\n");
	check("a b\r\n", "a=b@1\n");
	check(" 123456789 123456789 123456789 1\n",
	    "!logical line must not start with whitespace: "
	    "\" 123456789 123456789 123456789...\"@0\n");
	check("a b\n \f\v\nc\v d \f\n", "a=b@1\nc=d@3\n");
	check("a b\f", "a=b@1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(entries) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
