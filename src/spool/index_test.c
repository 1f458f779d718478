/* The index beside an array that does the same slowly. */
#include "spool/index.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void
test_index_against_a_plain_array(void **state)
{
	static int64_t due[3000];
	struct index ix;

	(void)state;
	index_init(&ix);
	srand(7);
	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)rand() % 3000, id = index_find(&ix, n + 1), first;
		int64_t least = INT64_MAX;

		assert_int_equal(id != INDEX_NONE, due[n] != 0);
		if (id == INDEX_NONE) {
			id = index_put(&ix, n + 1);
			due[n] = 1 + rand() % 1000000;
			index_at(&ix, id)->next_try_us = due[n];
			index_due_set(&ix, id);
		} else {
			index_remove(&ix, id);
			due[n] = 0;
		}
		if (i % 500 != 0)
			continue;
		for (size_t k = 0; k < 3000; k++)
			if (due[k] != 0 && due[k] < least)
				least = due[k];
		first = index_due_first(&ix);
		if (first != INDEX_NONE)
			assert_int_equal(index_at(&ix, first)->next_try_us, least);
	}
	index_fini(&ix);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_against_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
