#include "smtp/orcpt.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* What came, what it means, what goes on (compat: as Postfix sends it). */
static const struct {
	const char *in, *text, *out; /* text NULL: refused; out NULL: not sent */
} cases[] = {
	{ "rfc822;a+2Bb@c", "rfc822;a+b@c", "rfc822;a+2Bb@c" },
	{ "rfc822;a=b", "rfc822;a=b", "rfc822;a+3Db" },
	{ "rfc822;\\x{e9}", "rfc822;\\x{e9}", "rfc822;\\x{e9}" },
	{ "rfc822;+E9", "rfc822;\xe9", "rfc822;+E9" },
	{ "rfc822;", "rfc822;", "rfc822;" },
	{ "rfc822;a+0Ab", NULL, NULL },
	{ "rfc822;a+2", NULL, NULL },
	{ "rfc 822;a", NULL, NULL },
	{ ";a", NULL, NULL },
	{ "a", NULL, NULL },
	{ "", NULL, NULL },
	{ "utf-8;+C3+A4", "utf-8;+C3+A4", "utf-8;\\x{2B}C3\\x{2B}A4" },
	{ "utf-8;\xc3\xa9=", "utf-8;\xc3\xa9=", "utf-8;\\x{E9}\\x{3D}" },
	{ "UTF-8;\\x{E9}\\x{20}", "UTF-8;\xc3\xa9 ", "UTF-8;\\x{E9}\\x{20}" },
	{ "utf-8;\\x{20aC}\\x{1F600}", "utf-8;\xe2\x82\xac\xf0\x9f\x98\x80",
	    "utf-8;\\x{20AC}\\x{1F600}" },
	{ "utf-8;\\x{0000041}\\x{10FFFF}", "utf-8;A\xf4\x8f\xbf\xbf",
	    "utf-8;A\\x{10FFFF}" },
	{ "utf-8;a\\", "utf-8;a\\", "utf-8;a\\x{5C}" },
	{ "utf-8;\\xe9\\x", "utf-8;\\xe9\\x", "utf-8;\\x{5C}xe9\\x{5C}x" },
	{ "utf-8;\xe9", "utf-8;\xe9", NULL },
	{ "utf-8;\\x{", NULL, NULL },
	{ "utf-8;\\x{41", NULL, NULL },
	{ "utf-8;\\x{}", NULL, NULL },
	{ "utf-8;\\x{0}", NULL, NULL },
	{ "utf-8;\\x{zz}", NULL, NULL },
	{ "utf-8;\\x{7f}", NULL, NULL },
	{ "utf-8;\\x{d800}", NULL, NULL },
	{ "utf-8;\\x{110000}", NULL, NULL },
	{ "utf-8;\\x{1000000000000000041}", NULL, NULL },
};

static void
there_and_back(void **state)
{
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text, out;
		enum rc rc = smtp_orcpt_decode(str_c(cases[i].in), mem, &text);

		if (rc != (cases[i].text == NULL ? RC_PERM : RC_OK))
			fail_msg("%s: %d", cases[i].in, rc);
		if (rc != RC_OK)
			continue;
		if (!str_is(text, cases[i].text))
			fail_msg("%s: %.*s", cases[i].in, STR_ARG(text));
		out = smtp_orcpt_encode(text, mem);
		if (cases[i].out == NULL ? out.p != NULL
					 : out.p == NULL || !str_is(out, cases[i].out))
			fail_msg("%s: %.*s", cases[i].in, STR_ARG(out));
	}
	arena_free(&mem);
}

static void
no_room(void **state)
{
	struct arena *mem = arena_new(4);
	struct str out;

	(void)state;
	assert_int_equal(smtp_orcpt_decode(STR("rfc822;abcdefgh"), mem, &out), RC_TEMP);
	assert_int_equal(smtp_orcpt_decode(STR("utf-8;abcdefgh"), mem, &out), RC_TEMP);
	assert_null(smtp_orcpt_encode(STR("rfc822;a+b+c+d"), mem).p);
	arena_free(&mem);
}

static void
types_that_are_none(void **state)
{
	static const char *const all[] = { "", "rfc822", ";a@b",
		"rfc822 NOTIFY=NEVER;a@b", "rfc822\x7f;a@b", "r\xc3\xa9;a@b" };
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_null(smtp_orcpt_encode(str_c(all[i]), mem).p);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(there_and_back),
		cmocka_unit_test(no_room), cmocka_unit_test(types_that_are_none) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
