/* Every message: random contents survive encoding; truncated, extended and random bytes
 * are refused or read, never more; and who may send what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/arena.h"
#include "wire/messages.h"

/* xorshift: the same contents in every run. */
static uint64_t
rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static struct str
rnd_str(struct arena *mem, size_t max)
{
	size_t n = rnd() % 4 == 0 ? 0 : rnd() % (max < 60 ? max + 1 : 60);
	char *p = arena_get(mem, n + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rnd();
	return str_n(p, n);
}

#include "wire/fill.inc"

static void
test_round(void **state)
{
	struct arena *mem = arena_new(8 << 20);
	struct buf one, two;

	(void)state;
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	for (unsigned type = 1; type < WIRE_TYPE_END; type++) {
		for (unsigned i = 0; i < 50; i++) {
			buf_reset(&one);
			buf_reset(&two);
			arena_reset(mem);
			rounds[type](mem, &one, &two);
			assert_true(str_eq(buf_view(&one), buf_view(&two)));
		}
	}
	buf_fini(&one);
	buf_fini(&two);
	arena_free(&mem);
}

static void
test_truncated(void **state)
{
	struct arena *mem = arena_new(8 << 20);
	struct buf one, two;

	(void)state;
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	for (unsigned type = 1; type < WIRE_TYPE_END; type++) {
		buf_reset(&one);
		buf_reset(&two);
		arena_reset(mem);
		rounds[type](mem, &one, &two);
		struct str all = buf_view(&one);
		for (size_t n = 0; n < all.n; n++)
			assert_int_equal(
			    wire_any_decode(type, str_head(all, n), mem), RC_PERM);
		assert_int_equal(wire_any_decode(type, all, mem), RC_OK);
		assert_int_equal(buf_put(&one, STR("x")), RC_OK);
		assert_int_equal(wire_any_decode(type, buf_view(&one), mem), RC_PERM);
	}
	buf_fini(&one);
	buf_fini(&two);
	arena_free(&mem);
}

static void
test_garbage(void **state)
{
	struct arena *mem = arena_new(8 << 20);

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		char bytes[200];
		size_t n = rnd() % sizeof(bytes);

		for (size_t k = 0; k < n; k++)
			bytes[k] = rnd() % 2 == 0 ? (char)rnd() : '\0';
		arena_reset(mem);
		/* What it says is open; that it reads only these bytes is the
		 * sanitizer's. */
		enum rc rc = wire_any_decode(
		    (unsigned)(rnd() % (WIRE_TYPE_END + 2)), str_n(bytes, n), mem);
		assert_true(rc == RC_OK || rc == RC_PERM || rc == RC_TEMP);
	}
	arena_free(&mem);
}

static void
test_limits(void **state)
{
	static char long_text[5000];
	struct arena *mem = arena_new(1 << 20);
	struct wire_put_done done = { .request = 7,
		.text = { long_text, sizeof(long_text) } },
			     back;
	struct wire_admin admin = { .target = { long_text, sizeof(long_text) } };
	struct wire_wr w;
	struct buf b;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	buf_init(&b, 1 << 16);
	w = wire_wr(&b);
	wire_put_done_encode(&w, &done); /* text for people is cut */
	assert_int_equal(wire_wr_end(&w), RC_OK);
	assert_int_equal(wire_put_done_decode(buf_view(&b), mem, &back), RC_OK);
	assert_int_equal(back.text.n, 200);
	wire_admin_encode(&w, &admin); /* a name is not */
	assert_int_equal(wire_wr_end(&w), RC_TEMP);
	buf_fini(&b);
	arena_free(&mem);
}

static void
test_who(void **state)
{
	(void)state;
	assert_true(wire_may_send(WIRE_TYPE_PUT, WIRE_SUBMITTER, WIRE_QUEUE));
	assert_false(wire_may_send(WIRE_TYPE_PUT, WIRE_QUEUE, WIRE_SUBMITTER));
	assert_false(wire_may_send(WIRE_TYPE_PUT, WIRE_AGENT, WIRE_QUEUE));
	assert_false(wire_may_send(WIRE_TYPE_STOP, WIRE_WORKER, WIRE_MASTER));
	assert_false(wire_may_send(0, WIRE_MASTER, WIRE_WORKER));
	assert_false(wire_may_send(WIRE_TYPE_END, WIRE_MASTER, WIRE_WORKER));
	assert_string_equal(wire_type_name(WIRE_TYPE_PUT), "put");
	assert_string_equal(wire_type_name(255), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_who),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
