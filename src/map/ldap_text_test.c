/* Quoting of keys for LDAP. */
#include "map/plugin/ldap_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct text_case {
	struct str raw, filter, dn;
};

static const struct text_case cases[] = {
	{ STR(""), STR(""), STR("") },
	{ STR("anna@a.test"), STR("anna@a.test"), STR("anna@a.test") },
	{ STR("*"), STR("\\2a"), STR("*") },
	{ STR("a)(uid=*"), STR("a\\29\\28uid=\\2a"), STR("a)(uid\\3d*") },
	{ STR("a\\"), STR("a\\5c"), STR("a\\5c") },
	{ STR("\\2a"), STR("\\5c2a"), STR("\\5c2a") },
	{ STR("a\0b"), STR("a\\00b"), STR("a\\00b") },
	{ STR("a,ou=b"), STR("a,ou=b"), STR("a\\2cou\\3db") },
	{ STR("a+b;c<d>\"e\""), STR("a+b;c<d>\"e\""),
	    STR("a\\2bb\\3bc\\3cd\\3e\\22e\\22") },
	{ STR("#a#"), STR("#a#"), STR("\\23a#") },
	{ STR(" a b "), STR(" a b "), STR("\\20a b\\20") },
	{ STR("  "), STR("  "), STR("\\20\\20") },
	{ STR("gr\xc3\xb6\xc3\x9f"), STR("gr\xc3\xb6\xc3\x9f"),
	    STR("gr\xc3\xb6\xc3\x9f") },
};

static void
expect(const struct text_case *c, enum rc (*quote)(void *, struct str, struct buf *),
    struct str want)
{
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(buf_put(&out, STR("=")), RC_OK);
	assert_int_equal(quote(NULL, c->raw, &out), RC_OK);
	assert_int_equal(out.n, want.n + 1);
	assert_memory_equal(buf_view(&out).p + 1, want.p, want.n);
	buf_fini(&out);
}

static void
quotes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		expect(&cases[i], ldap_quote_filter, cases[i].filter);
		expect(&cases[i], ldap_quote_dn, cases[i].dn);
	}
}

static void
is_all_or_nothing(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 5);
	assert_int_equal(buf_put(&out, STR("ab")), RC_OK);
	assert_int_equal(ldap_quote_filter(NULL, STR("x*"), &out), RC_TEMP);
	assert_int_equal(out.n, 2);
	assert_int_equal(ldap_quote_filter(NULL, STR("*"), &out), RC_OK);
	assert_int_equal(out.n, 5);
	buf_fini(&out);
}

/* Whatever the key, no byte of it is left that ends a value. */
static void
leaves_no_special_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char raw[3] = { (char)c, (char)c, (char)c };
		struct buf out;

		buf_init(&out, 100);
		assert_int_equal(ldap_quote_filter(NULL, str_n(raw, 3), &out), RC_OK);
		for (size_t i = 0; i < out.n; i++) {
			char at = buf_view(&out).p[i];

			assert_true(at != '\0' && at != '*' && at != '(' && at != ')');
			assert_true(at != '\\' || out.n == 9);
		}
		buf_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes),
		cmocka_unit_test(is_all_or_nothing),
		cmocka_unit_test(leaves_no_special_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
