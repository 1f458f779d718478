/* The header of a proxy, whole, cut and wrong. What is refused, and with which words, was
 * recorded from Postfix (but UNKNOWN, which Postfix 3.12 takes as the protocol says). */
#include "net/proxy_protocol.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define IN4 "\xc0\0\2\7\x7f\0\0\1\x12\x67\0\x19"
#define IP6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define IN6 IP6 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x67\0\x19"

struct test_case {
	struct str in;
	const char *want; /* "client port server port used", "local used", or the words */
};

static const char *
show(struct str in, char *out, size_t size)
{
	struct proxy_header h = { 0 };
	char a[ADDR_IP_TEXT_MAX], b[ADDR_IP_TEXT_MAX];
	struct err e = { 0 };
	size_t used = 0;

	switch (proxy_header_decode(in, &h, &used, &e)) {
	case RC_OK:
		if (h.is_local)
			(void)snprintf(out, size, "local %zu", used);
		else
			(void)snprintf(out, size, "%s %u %s %u %zu",
			    addr_ip_format(&h.client, a).p, h.client_port,
			    addr_ip_format(&h.server, b).p, h.server_port, used);
		break;
	case RC_MORE:
		(void)snprintf(out, size, "more");
		break;
	case RC_PERM:
		(void)snprintf(out, size, "%.190s", e.text);
		break;
	case RC_NONE:
	case RC_TEMP:
		fail();
	}
	return out;
}

static const struct test_case cases[] = {
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\nEHLO"),
	    "192.0.2.7 4711 127.0.0.1 25 40" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\n"),
	    "192.0.2.7 4711 127.0.0.1 25 39" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 0 25 x\r\n"),
	    "192.0.2.7 0 127.0.0.1 25 39" },
	{ STR_INIT("PROXY TCP6 2001:db8::7 ::1 4711 25\r\n"),
	    "2001:db8::7 4711 ::1 25 36" },
	{ STR_INIT("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7 1 ::1 2 37" },
	{ STR_INIT("PROXY UNKNOWN\r\n"), "local 15" },
	{ STR_INIT("PROXY UNKNOWN ffff::1 x 1 2\r\n220"), "local 29" },
	{ STR_INIT("PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n"),
	    "bad or missing protocol type" },
	{ STR_INIT("PROXY         \r\n"), "bad or missing protocol type" },
	{ STR_INIT("PROXY TCP4 192.0.2.777 127.0.0.1 1 2\r\n"),
	    "bad or missing client address" },
	{ STR_INIT("PROXY TCP4 2001:db8::7 127.0.0.1 1 2\r\n"),
	    "bad or missing client address" },
	{ STR_INIT("PROXY TCP6 192.0.2.7 ::1 1 2\r\n"), "bad or missing client address" },
	{ STR_INIT("PROXY TCP4 192.0.2.7\r\n"), "bad or missing server address" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 1.1.1 1 2\r\n"),
	    "bad or missing server address" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 99999 25\r\n"),
	    "bad or missing client port" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 012 25\r\n"),
	    "bad or missing client port" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 127.0.0.1 25 x\r\n"),
	    "bad or missing server port" },
	{ STR_INIT("PROXY TCP4 192.0.2.7 12"), "more" },
	{ STR_INIT("PROXY \n"), "short protocol header" },
	{ STR_INIT("proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n"),
	    "unrecognized protocol header" },
	{ STR_INIT("EHLO x\r\n"), "short protocol header" },
	{ STR_INIT(""), "more" },
	{ STR_INIT("PRO"), "more" },
	{ STR_INIT("\r\n\r\n"), "more" },
	{ STR_INIT("\r\n\r\nx\r\n"), "short protocol header" },
	{ STR_INIT(SIG "\x21\x11\0\x0c" IN4 "QUIT"), "192.0.2.7 4711 127.0.0.1 25 28" },
	{ STR_INIT(SIG "\x21\x21\0\x24" IN6), "2001:db8::7 4711 ::1 25 52" },
	{ STR_INIT(SIG "\x21\x11\0\x10" IN4 "\4\0\1x"),
	    "192.0.2.7 4711 127.0.0.1 25 32" },
	{ STR_INIT(SIG "\x20\0\0\0"), "local 16" },
	{ STR_INIT(SIG "\x20\x11\0\x0c" IN4), "local 28" },
	{ STR_INIT(SIG "\x21\0\0\0"), "unsupported network protocol" },
	{ STR_INIT(SIG "\x21\x12\0\x0c" IN4), "unsupported network protocol" },
	{ STR_INIT(SIG "\x21\x11\0\x08" IN4), "short address field" },
	{ STR_INIT(SIG "\x25\x11\0\x0c" IN4), "bad command in proxy header" },
	{ STR_INIT(SIG "\x31\x11\0\x0c" IN4), "unrecognized protocol version" },
	{ STR_INIT(SIG "\x21\x11\xff\xff" IN4), "short version 2 protocol header" },
};

static void
test_cases(void **state)
{
	char got[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("%zu: %.*s\n", i, STR_ARG(cases[i].in));
		assert_string_equal(show(cases[i].in, got, sizeof(got)), cases[i].want);
	}
}

/* However it is cut, it asks for more up to its last byte. */
static void
test_cut(void **state)
{
	char got[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct proxy_header h;
		size_t used = 0;

		if (proxy_header_decode(cases[i].in, &h, &used, NULL) != RC_OK)
			continue;
		for (size_t n = 0; n < used; n++)
			assert_string_equal(
			    show(str_head(cases[i].in, n), got, sizeof(got)), "more");
	}
}

static void
test_too_long(void **state)
{
	char in[PROXY_HEADER_MAX + 1], got[300];

	(void)state;
	memset(in, '1', sizeof(in));
	memcpy(in, "PROXY TCP4 ", 11);
	assert_string_equal(
	    show(str_n(in, PROXY_HEADER_MAX - 1), got, sizeof(got)), "more");
	assert_string_equal(show(str_n(in, PROXY_HEADER_MAX), got, sizeof(got)),
	    "missing protocol header terminator");
	in[PROXY_HEADER_MAX] = '\n';
	assert_string_equal(show(str_n(in, sizeof(in)), got, sizeof(got)),
	    "missing protocol header terminator");
}

static void
test_words(void **state)
{
	char out[40];
	struct str s = proxy_header_escape(STR("a\r\n\0\x80\\"), out, sizeof(out));

	(void)state;
	assert_true(str_is(s, "a\\r\\n\\000\\200\\\\"));
	assert_int_equal(proxy_header_escape(STR("\1\1\1"), out, 9).n, 8);
	assert_string_equal(proxy_header_cut(STR("")), "EOF");
	assert_string_equal(proxy_header_cut(STR("PROXY")), "short protocol header");
	assert_string_equal(proxy_header_cut(STR("PROXY TCP4 192.0.2")),
	    "missing protocol header terminator");
	assert_string_equal(
	    proxy_header_cut(STR(SIG "\x21")), "short version 2 protocol header");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
