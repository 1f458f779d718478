#include "map/reply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void
check_netstring(const char *in, enum rc want_rc, const char *want)
{
	struct str out = STR("");
	size_t used = 0;
	enum rc rc = map_reply_netstring(str_c(in), 20, &out, &used);

	if (rc != want_rc)
		fail_msg("%s: %s", in, rc_name(rc));
	if (rc == RC_OK && !str_is(out, want))
		fail_msg("%s: %.*s", in, STR_ARG(out));
}

static void
netstrings(void **state)
{
	(void)state;
	check_netstring("", RC_MORE, NULL);
	check_netstring("5", RC_MORE, NULL);
	check_netstring("5:hell", RC_MORE, NULL);
	check_netstring("5:hello", RC_MORE, NULL);
	check_netstring("5:hello,", RC_OK, "hello");
	check_netstring("5:hello,more", RC_OK, "hello");
	check_netstring("0:,", RC_OK, "");
	check_netstring("0005:hello,", RC_OK, "hello");
	check_netstring("20:12345678901234567890,", RC_OK, "12345678901234567890");
	check_netstring("21:", RC_TEMP, NULL);
	check_netstring("99999999999999999999999", RC_TEMP, NULL);
	check_netstring("000000000000000000000", RC_PERM, NULL);
	check_netstring("5:hello;", RC_PERM, NULL);
	check_netstring("5;hello,", RC_PERM, NULL);
	check_netstring(":hello,", RC_PERM, NULL);
	check_netstring("-5:hello,", RC_PERM, NULL);
	check_netstring(" 5:hello,", RC_PERM, NULL);
	check_netstring("OK hello\n", RC_PERM, NULL);
}

static void
check_tcp(const char *line, enum rc want_rc, unsigned want_status, const char *want)
{
	unsigned status = 0;
	struct buf out;
	enum rc rc;

	buf_init(&out, 20);
	rc = map_reply_tcp(str_c(line), &status, &out);
	if (rc != want_rc ||
	    (rc == RC_OK && (status != want_status || !str_is(buf_view(&out), want))))
		fail_msg(
		    "%s: %s %u %.*s", line, rc_name(rc), status, STR_ARG(buf_view(&out)));
	buf_fini(&out);
}

static void
tcp_lines(void **state)
{
	(void)state;
	check_tcp("200 value", RC_OK, 200, "value");
	check_tcp("200 two%20words", RC_OK, 200, "two words");
	check_tcp("500 ", RC_OK, 500, "");
	check_tcp("400\ttab", RC_OK, 400, "tab");
	check_tcp("999 %fF", RC_OK, 999, "\xff");
	check_tcp("", RC_PERM, 0, NULL);
	check_tcp("200", RC_PERM, 0, NULL);
	check_tcp("2000 x", RC_PERM, 0, NULL);
	check_tcp("20x y", RC_PERM, 0, NULL);
	check_tcp("200 a%4", RC_PERM, 0, NULL);
	check_tcp("200 a%", RC_PERM, 0, NULL);
	check_tcp("200 a%zz", RC_PERM, 0, NULL);
	check_tcp("200 123456789012345678901", RC_TEMP, 0, NULL);
}

static void
a_key_is_another_request(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(map_request_tcp(STR("a\nget b\0%\r\x7f"), &out), RC_OK);
	assert_true(str_is(buf_view(&out), "a%0Aget%20b%00%25%0D%7F"));
	buf_fini(&out);
}

static void
check_memcache(const char *in, enum rc want_rc, const char *want)
{
	const struct map_memcache_limits limits = { .line = 30, .data = 10 };
	struct str out = STR("");
	size_t used = 0;
	enum rc rc = map_reply_memcache(str_c(in), STR("k"), &limits, &out, &used);

	if (rc != want_rc)
		fail_msg("%s: %s", in, rc_name(rc));
	if (want != NULL && !str_is(out, want))
		fail_msg("%s: %.*s", in, STR_ARG(out));
}

static void
memcache(void **state)
{
	(void)state;
	check_memcache("VALUE k 0 5\r\nvalue\r\nEND\r\n", RC_OK, "value");
	check_memcache("VALUE k 17 5 99\r\nvalue\r\nEND\r\n", RC_OK, "value");
	check_memcache("VALUE k 0 0\r\n\r\nEND\r\n", RC_OK, "");
	check_memcache("VALUE k 0 4\r\na\r\nb\r\nEND\r\n", RC_OK, "a\r\nb");
	check_memcache("END\r\n", RC_NONE, NULL);
	check_memcache("VALUE k 0 5\r\nvalue\r\nEND\r", RC_MORE, NULL);
	check_memcache("VALUE k 0 5\r\nval", RC_MORE, NULL);
	check_memcache("VALUE k", RC_MORE, NULL);
	check_memcache("VALUE k 0 11\r\n", RC_PERM, "VALUE k 0 11");
	check_memcache("VALUE k 0 -1\r\n", RC_PERM, "VALUE k 0 -1");
	check_memcache("VALUE k 0 5x\r\n", RC_PERM, "VALUE k 0 5x");
	check_memcache("VALUE k 0 5 6 7\r\n", RC_PERM, "VALUE k 0 5 6 7");
	check_memcache("VALUE else 0 5\r\nvalue\r\nEND\r\n", RC_PERM, "VALUE else 0 5");
	check_memcache("VALUE k 0 3\r\nvalue\r\nEND\r\n", RC_PERM, NULL);
	check_memcache("VALUE k 0 5\r\nvalue\r\nVALUE k 0 1\r\n", RC_PERM, "VALUE k 0 1");
	check_memcache("SERVER_ERROR no\r\n", RC_PERM, "SERVER_ERROR no");
	check_memcache("123456789012345678901234567890", RC_TEMP, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(netstrings),
		cmocka_unit_test(tcp_lines), cmocka_unit_test(a_key_is_another_request),
		cmocka_unit_test(memcache) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
