/* Next hops, ports, address literals. */
#include "net/endpoint.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void
test_dest(void **state)
{
	static const struct {
		const char *text;
		enum rc rc;
		const char *host;
		bool is_literal;
		uint16_t port;
	} cases[] = {
		{ "example.com", RC_OK, "example.com", false, 25 },
		{ " example.com ", RC_OK, "example.com", false, 25 },
		{ "example.com:26", RC_OK, "example.com", false, 26 },
		{ "example.com:submission", RC_OK, "example.com", false, 587 },
		{ "example.com:", RC_OK, "example.com", false, 25 },
		{ "[mx.example.com]", RC_OK, "mx.example.com", true, 25 },
		{ "[192.0.2.1]:2525", RC_OK, "192.0.2.1", true, 2525 },
		{ "[2001:db8::1]", RC_OK, "2001:db8::1", true, 25 },
		{ "[IPv6:2001:db8::1]:26", RC_OK, "2001:db8::1", true, 26 },
		{ "[ipv6:::1]:smtp", RC_OK, "::1", true, 25 },
		{ "192.0.2.1", RC_OK, "192.0.2.1", false, 25 },
		{ "a..b", RC_PERM, NULL, false, 0 },
		{ "[a b]", RC_PERM, NULL, false, 0 },
		{ "", RC_PERM, NULL, false, 0 },
		{ "[]", RC_PERM, NULL, false, 0 },
		{ ":25", RC_PERM, NULL, false, 0 },
		{ "[192.0.2.1", RC_PERM, NULL, false, 0 },
		{ "[192.0.2.1]x", RC_PERM, NULL, false, 0 },
		{ "[192.0.2.1]xy", RC_PERM, NULL, false, 0 },
		{ "example.com:nosuch", RC_PERM, NULL, false, 0 },
		{ "example.com:0", RC_PERM, NULL, false, 0 },
		{ "example.com:65536", RC_PERM, NULL, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_dest d = { 0 };
		struct err e = { 0 };

		print_message("'%s'\n", cases[i].text);
		assert_int_equal(
		    net_dest_parse(str_c(cases[i].text), 25, NULL, &d, &e), cases[i].rc);
		if (cases[i].rc != RC_OK) {
			assert_int_not_equal(e.text[0], 0);
			continue;
		}
		assert_true(str_is(d.host, cases[i].host));
		assert_int_equal(d.is_literal, cases[i].is_literal);
		assert_int_equal(d.port, cases[i].port);
	}
}

static void
test_helper(void **state)
{
	static const struct {
		const char *text;
		enum rc rc;
		const char *host;
		uint16_t port;
	} cases[] = {
		{ "127.0.0.1:10025", RC_OK, "127.0.0.1", 10025 },
		{ "[::1]:10025", RC_OK, "::1", 10025 },
		{ " filter.test:smtp ", RC_OK, "filter.test", 25 },
		{ ":10025", RC_OK, "localhost", 10025 },
		{ "10025", RC_OK, "localhost", 10025 },
		{ "smtp", RC_OK, "localhost", 25 },
		{ "", RC_PERM, NULL, 0 },
		{ ":", RC_PERM, NULL, 0 },
		{ "127.0.0.1", RC_PERM, NULL, 0 },
		{ "[127.0.0.1]", RC_PERM, NULL, 0 },
		{ "127.0.0.1:", RC_PERM, NULL, 0 },
		{ "a..b:25", RC_PERM, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_dest d = { 0 };
		struct err e = { 0 };

		print_message("'%s'\n", cases[i].text);
		assert_int_equal(
		    net_helper_parse(str_c(cases[i].text), NULL, &d, &e), cases[i].rc);
		if (cases[i].rc != RC_OK) {
			assert_int_not_equal(e.text[0], 0);
			continue;
		}
		assert_true(str_is(d.host, cases[i].host));
		assert_int_equal(d.port, cases[i].port);
	}
}

static void
test_port(void **state)
{
	static const char text[] = "# services\nfoo 1234/udp\nfoo 1235/tcp fooalias # x\n"
				   "broken\nzero 0/tcp\n";
	static const struct {
		const char *name;
		enum rc rc;
		uint16_t port;
	} cases[] = {
		{ "25", RC_OK, 25 },
		{ "smtp", RC_OK, 25 },
		{ "smtps", RC_OK, 465 },
		{ "lmtp", RC_OK, 24 },
		{ "foo", RC_OK, 1235 },
		{ "fooalias", RC_OK, 1235 },
		{ "zero", RC_NONE, 0 },
		{ "broken", RC_NONE, 0 },
		{ "-1", RC_NONE, 0 },
		{ "", RC_NONE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct net_ports ports = { .services = STR(text) };
		uint16_t port = 0;

		print_message("'%s'\n", cases[i].name);
		assert_int_equal(
		    net_port_find(str_c(cases[i].name), &ports, &port), cases[i].rc);
		assert_int_equal(port, cases[i].port);
	}
}

/* known_tcp_ports */
static void
test_known_ports(void **state)
{
	static const struct {
		const char *known, *name;
		enum rc rc;
		uint16_t port;
	} cases[] = {
		{ "lmtp=24, smtp=25", "smtp", RC_OK, 25 },
		{ "smtp=2525", "smtp", RC_OK, 2525 }, /* before all others */
		{ "smtp=2525", "foo", RC_OK, 1 },     /* /etc/services */
		{ "smtp=2525 foo=2", "foo", RC_OK, 2 },
		{ "", "smtp", RC_OK, 25 }, /* built in */
		{ "a=b=c=7", "a", RC_OK, 7 }, { "a=b=c=7", "c", RC_OK, 7 },
		{ "a=b=c=7", "7", RC_OK, 7 }, { "a=b=c", "c", RC_NONE, 0 },
		{ "a=b=0", "a", RC_NONE, 0 }, { "a=65536", "a", RC_NONE, 0 },
		{ "a=1=b", "a", RC_NONE, 0 }, { "a", "a", RC_NONE, 0 },
		{ "a=", "a", RC_NONE, 0 }, { "=9", "", RC_OK, 9 },
		{ "A=9", "a", RC_NONE, 0 },
		{ "26=9", "26", RC_OK, 26 }, /* a number is itself */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct net_ports ports = { str_c(cases[i].known),
			STR("foo 1/tcp\n") };
		uint16_t port = 0;

		print_message("'%s' in '%s'\n", cases[i].name, cases[i].known);
		assert_int_equal(
		    net_port_find(str_c(cases[i].name), &ports, &port), cases[i].rc);
		assert_int_equal(port, cases[i].port);
	}
}

static int
window_of(int fd, int option)
{
	socklen_t len = sizeof(int);
	int size = 0;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, option, &size, &len), 0);
	return size;
}

static void
test_window(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), usual;

	(void)state;
	assert_true(fd >= 0);
	usual = window_of(fd, SO_RCVBUF);
	net_set_window(fd, 0);
	assert_int_equal(window_of(fd, SO_RCVBUF), usual);
	net_set_window(fd, 8192);
	assert_int_equal(window_of(fd, SO_RCVBUF), 2 * 8192); /* Linux doubles it */
	assert_int_equal(window_of(fd, SO_SNDBUF), 2 * 8192);
	(void)close(fd);
}

static void
test_address(void **state)
{
	static const struct {
		const char *text, *literal;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:db8::1", "IPv6:2001:db8::1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[ADDR_IP_TEXT_MAX + 5];
		struct net_endpoint ep;
		struct addr_ip a, back;

		assert_int_equal(addr_ip_parse(str_c(cases[i].text), &a), RC_OK);
		net_endpoint_set(&ep, &a, 2525);
		back = net_endpoint_addr(&ep);
		assert_true(addr_ip_eq(&a, &back));
		assert_int_equal(net_endpoint_port(&ep), 2525);
		assert_string_equal(net_addr_literal(&a, out).p, cases[i].literal);
	}
}

/* A dual-stack socket reports IPv4 clients so. */
static void
test_mapped(void **state)
{
	struct net_endpoint ep = { .len = sizeof(ep.u.in6) };
	char text[ADDR_IP_TEXT_MAX];
	struct addr_ip a;

	(void)state;
	ep.u.in6.sin6_family = AF_INET6;
	memcpy(ep.u.in6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\1", 16);
	a = net_endpoint_addr(&ep);
	assert_string_equal(addr_ip_format(&a, text).p, "192.0.2.1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dest),
		cmocka_unit_test(test_helper),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_known_ports),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
