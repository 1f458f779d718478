/* Views, error texts, arenas, buffers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/arena.h"
#include "base/buf.h"

static void
err_puts_context_before_the_cause(void **state)
{
	struct err e = { 0 };
	enum rc rc;

	(void)state;
	errno = ENOENT;
	rc = err_sys(&e, RC_TEMP, "open %s", "main.cf");
	assert_int_equal(err_in(&e, rc, "configuration"), RC_TEMP);
	assert_string_equal(
	    e.text, "configuration: open main.cf: No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(err_set(NULL, RC_PERM, "nobody listens"), RC_PERM);
}

static void
err_text_is_cut_not_overrun(void **state)
{
	char longer[1000];
	struct err e = { 0 };

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)err_set(&e, RC_PERM, "%s", longer);
	(void)err_in(&e, RC_PERM, "%s", longer);
	(void)err_sys(&e, RC_PERM, "%s", longer);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void
numbers_are_digits_within_the_maximum(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		enum rc rc;
		uint64_t value;
	} cases[] = {
		{ "0", 0, RC_OK, 0 },
		{ "1", 0, RC_PERM, 0 },
		{ "255", 255, RC_OK, 255 },
		{ "256", 255, RC_PERM, 0 },
		{ "18446744073709551615", UINT64_MAX, RC_OK, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, RC_PERM, 0 },
		{ "99999999999999999999999", UINT64_MAX, RC_PERM, 0 },
		{ "", 9, RC_PERM, 0 },
		{ "-1", 9, RC_PERM, 0 },
		{ "+1", 9, RC_PERM, 0 },
		{ " 1", 9, RC_PERM, 0 },
		{ "1x", 9, RC_PERM, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 77;

		assert_int_equal(
		    str_u64(str_c(cases[i].text), cases[i].max, &v), cases[i].rc);
		assert_int_equal(v, cases[i].rc == RC_OK ? cases[i].value : 77);
	}
}

static void
hexadecimal_numbers_fit_64_bits(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(str_hex64(STR("fFfFfFfFfFfFfFfF"), &v), RC_OK);
	assert_int_equal(v, UINT64_MAX);
	assert_int_equal(str_hex64(STR("10000000000000000"), &v), RC_PERM);
	assert_int_equal(str_hex64(STR(""), &v), RC_PERM);
	assert_int_equal(str_hex64(STR("0x1"), &v), RC_PERM);
}

static void
tokens_skip_runs_of_separators(void **state)
{
	struct str rest = STR(" a,, b\tc ,"), tok;
	const char *const want[] = { "a", "b", "c" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(str_token(&rest, " ,\t", &tok));
		assert_true(str_is(tok, want[i]));
	}
	assert_false(str_token(&rest, " ,\t", &tok));
	assert_int_equal(rest.n, 0);
}

static void
cutting_and_finding(void **state)
{
	struct str head = STR("?"), tail = STR("?");

	(void)state;
	assert_true(str_cut(STR("user@host@x"), '@', &head, &tail));
	assert_true(str_is(head, "user") && str_is(tail, "host@x"));
	assert_false(str_cut(STR("user"), '@', &head, &tail));
	assert_int_equal(str_rfind(STR("user@host@x"), '@'), 9);
	assert_int_equal(str_rfind(STR("user"), '@'), 4);
	assert_int_equal(str_find_pair(STR("..a.\n.\n."), '\n', '.'), 4);
	assert_int_equal(str_find_pair(STR(".a\n"), '\n', '.'), 3);
	assert_int_equal(str_find_pair(STR("."), '\n', '.'), 1);
	assert_int_equal(str_find_pair(STR(""), '\n', '.'), 0);
	assert_int_equal(str_find_pair(STR("xaa"), 'a', 'a'), 1);
	assert_true(str_is_line(STR("")) && str_is_line(STR("a\tb\x7f")));
	assert_false(str_is_line(STR("a\n")) || str_is_line(STR("\ra")) ||
		     str_is_line(str_n("a\0b", 3)));
	assert_int_equal(str_from(STR("abc"), 7).n, 0);
	assert_true(str_is(str_trim(STR(" \t x y\r\n")), "x y"));
	assert_true(
	    str_ieq(STR("MixEd"), STR("mIXeD")) && !str_eq(STR("MixEd"), STR("mIXeD")));
	/* Eight bytes at a time, and what is left. */
	assert_true(str_is_ascii(STR("")) && str_is_ascii(STR("ordinary\x7f text")));
	for (size_t i = 0; i < 19; i++) {
		char text[19] = "aaaaaaaaaaaaaaaaaa";

		text[i] = (char)0x80;
		assert_false(str_is_ascii(str_n(text, sizeof(text))));
	}
	assert_true(str_iends(STR("a.EXAMPLE"), STR(".example")) &&
		    !str_ends(STR("x"), STR("xx")));
	assert_true(str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("b"), STR("ab")) > 0);
	assert_true(str_eq(STR(""), (struct str){ NULL, 0 }));
}

static void
an_arena_ends_at_its_limit(void **state)
{
	struct arena *a = arena_new(1000);
	struct str copy;

	(void)state;
	assert_null(arena_get(a, 1001));
	assert_null(arena_get(a, SIZE_MAX));
	assert_null(arena_array(a, SIZE_MAX / 2, 4));
	copy = arena_str(a, STR("hello"));
	assert_string_equal(copy.p, "hello");
	copy = arena_printf(a, "%d-%s", 7, "x");
	assert_string_equal(copy.p, "7-x");
	for (int i = 0; i < 10; i++) { /* one of them does not fit the chunk */
		char want[64];

		(void)snprintf(want, sizeof(want), "%060d", i);
		copy = arena_printf(a, "%060d", i);
		assert_true(str_is(copy, want) && copy.p[copy.n] == '\0');
	}
	while (arena_get(a, 64) != NULL)
		;
	assert_null(arena_printf(a, "%064d", 1).p);
	assert_true(arena_used(a) > 900 && arena_used(a) <= 1000);
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	assert_non_null(arena_get(a, 900));
	arena_free(&a);
	assert_null(a);
}

static void
arena_memory_is_zeroed_even_after_a_reset(void **state)
{
	struct arena *a = arena_new(4096);
	unsigned char *p = arena_get(a, 100);

	(void)state;
	memset(p, 0xff, 100);
	arena_reset(a);
	p = arena_get(a, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	arena_free(&a);
}

static void
a_buffer_takes_all_or_nothing(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_put(&b, STR("12345678")), RC_OK);
	assert_int_equal(buf_put(&b, STR("9ab")), RC_TEMP);
	assert_int_equal(buf_printf(&b, "%d", 123), RC_TEMP);
	assert_true(str_is(buf_view(&b), "12345678"));
	assert_int_equal(buf_printf(&b, "%d", 12), RC_OK);
	buf_consume(&b, 9);
	assert_true(str_is(buf_view(&b), "2"));
	assert_null(buf_room(&b, 10));
	assert_int_equal(buf_put(&b, STR("abcdefghi")), RC_OK);
	assert_true(str_is(buf_view(&b), "2abcdefghi"));
	buf_consume(&b, 10);
	assert_int_equal(buf_view(&b).n, 0);
	buf_release(&b);
	assert_null(b.p);
	assert_int_equal(buf_left(&b), 10);
	buf_fini(&b);
	buf_init(&b, 1000); /* grows while it prints, with and without a gap in front */
	assert_int_equal(buf_printf(&b, "%0200d", 1), RC_OK);
	buf_consume(&b, 199);
	assert_int_equal(buf_printf(&b, "%0100d", 2), RC_OK);
	assert_int_equal(buf_printf(&b, "%0300d", 3), RC_OK);
	assert_int_equal(b.n, 401);
	assert_true(b.p[b.start] == '1' && b.p[b.start + 100] == '2' &&
		    b.p[b.start + 400] == '3');
	buf_fini(&b);
}

/* Any mix of puts and consumes gives the bytes back in order. */
static void
a_buffer_is_a_queue_of_bytes(void **state)
{
	struct buf b;
	unsigned in = 0, out = 0, seed = 1;

	(void)state;
	buf_init(&b, 300);
	for (int round = 0; round < 5000; round++) {
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		char *room = buf_room(&b, n);

		if (room != NULL) {
			for (size_t i = 0; i < n; i++)
				room[i] = (char)in++;
			buf_added(&b, n);
		}
		n = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		if (n > b.n)
			n = b.n;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_view(&b).p[i], (char)out++);
		buf_consume(&b, n);
	}
	assert_true(out > 10000);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_puts_context_before_the_cause),
		cmocka_unit_test(err_text_is_cut_not_overrun),
		cmocka_unit_test(numbers_are_digits_within_the_maximum),
		cmocka_unit_test(hexadecimal_numbers_fit_64_bits),
		cmocka_unit_test(tokens_skip_runs_of_separators),
		cmocka_unit_test(cutting_and_finding),
		cmocka_unit_test(an_arena_ends_at_its_limit),
		cmocka_unit_test(arena_memory_is_zeroed_even_after_a_reset),
		cmocka_unit_test(a_buffer_takes_all_or_nothing),
		cmocka_unit_test(a_buffer_is_a_queue_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
