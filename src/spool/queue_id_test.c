/* Names of messages, as Postfix makes them. */
#include "spool/queue_id.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void
test_queue_ids(void **state)
{
	static const struct {
		uint64_t number;
		int64_t us;
		bool is_long;
		const char *text;
	} cases[] = {
		{ 0xabcdef, INT64_C(1700000000654321), false, "9FBF1ABCDEF" },
		{ 1, 0, false, "000001" },
		{ 0, 0, true, "0000000000z0" },
		{ 51, INT64_C(1000000), true, "0000010000z10" },
		{ 50, INT64_C(1), true, "0000000001zy" },
	};
	static const char *const bad[] = { "", "12345", "zzz", "9FBF1abc", "FFFFFFF1",
		"A-B", "0000000000z", "00000000z0", "aeiou00000z0",
		"9FBF1FFFFFFFFFFFFFFFFF" };
	struct queue_id_parts p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(
		    queue_id_format(cases[i].number, cases[i].us, cases[i].is_long).text,
		    cases[i].text);
		assert_int_equal(queue_id_parse(str_c(cases[i].text), &p), RC_OK);
		assert_int_equal(p.number, cases[i].number);
		assert_int_equal(p.is_long, cases[i].is_long);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(queue_id_parse(str_c(bad[i]), &p), RC_PERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
