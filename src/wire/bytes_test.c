/* The byte reader and writer: what goes in comes out, and nothing is read beyond the end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "wire/bytes.h"

static void
test_round(void **state)
{
	struct buf b;
	struct wire_wr w;
	struct wire_rd r;

	(void)state;
	buf_init(&b, 1000);
	w = wire_wr(&b);
	wire_wr_uint(&w, 1, 200);
	wire_wr_uint(&w, 3, 0xabcdef);
	wire_wr_uint(&w, 8, UINT64_MAX);
	wire_wr_int(&w, -5);
	wire_wr_str(&w, STR("hello"));
	wire_wr_raw(&w, STR("xy"));
	assert_int_equal(wire_wr_end(&w), RC_OK);
	r = wire_rd(buf_view(&b));
	assert_int_equal(wire_rd_uint(&r, 1), 200);
	assert_int_equal(wire_rd_uint(&r, 3), 0xabcdef);
	assert_true(wire_rd_uint(&r, 8) == UINT64_MAX);
	assert_true(wire_rd_int(&r) == -5);
	assert_true(str_is(wire_rd_str(&r, 5), "hello"));
	assert_int_equal(wire_rd_end(&r), RC_PERM); /* bytes are left over */
	assert_true(str_is(wire_rd_raw(&r, 2), "xy"));
	assert_int_equal(wire_rd_end(&r), RC_OK);
	buf_fini(&b);
}

static void
test_short(void **state)
{
	struct wire_rd r = wire_rd(STR("\0\0\0\005abc"));

	(void)state;
	assert_int_equal(wire_rd_str(&r, 10).n, 0);
	assert_int_equal(wire_rd_uint(&r, 1), 0); /* failure sticks */
	assert_int_equal(wire_rd_end(&r), RC_PERM);
	r = wire_rd(STR("\0\0\0\003abc"));
	assert_int_equal(wire_rd_str(&r, 2).n, 0); /* longer than its maximum */
	assert_int_equal(wire_rd_end(&r), RC_PERM);
	r = wire_rd(STR(""));
	assert_int_equal(wire_rd_end(&r), RC_OK);
}

static void
test_full(void **state)
{
	struct buf b;
	struct wire_wr w;

	(void)state;
	buf_init(&b, 6);
	w = wire_wr(&b);
	wire_wr_uint(&w, 4, 1);
	wire_wr_str(&w, STR("abc"));
	assert_int_equal(wire_wr_end(&w), RC_TEMP);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
