/* IP addresses and networks. */
#include "addr/net.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct addr_ip
ip(const char *text)
{
	struct addr_ip out = { 0 };

	if (addr_ip_parse(str_c(text), &out) != RC_OK)
		fail_msg("%s", text);
	return out;
}

static void
addresses(void **state)
{
	static const struct {
		const char *in, *out, *reverse;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", "1.0.0.127.in-addr.arpa" },
		{ "::ffff:1.2.3.4", "1.2.3.4", "4.3.2.1.in-addr.arpa" },
		{ "2001:DB8:0::1", "2001:db8::1",
		    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6."
		    "arpa" },
	};
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.256",
		"fe80::1%eth0", "x", "[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc" };
	char text[ADDR_IP_TEXT_MAX], name[80];
	struct addr_ip out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_ip a = ip(rows[i].in);

		assert_string_equal(addr_ip_format(&a, text).p, rows[i].out);
		assert_string_equal(addr_ip_reverse(&a, name).p, rows[i].reverse);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(addr_ip_parse(str_c(bad[i]), &out), RC_PERM);
	assert_int_equal(addr_ip_parse_literal(STR("IPv6:::1"), &out), RC_OK);
	assert_true(addr_ip_is_loopback(&out));
	assert_int_equal(addr_ip_parse_literal(STR("IPv6:1.2.3.4"), &out), RC_PERM);
	out = ip("127.3.2.1");
	assert_true(addr_ip_is_loopback(&out));
	out = ip("128.0.0.1");
	assert_false(addr_ip_is_loopback(&out));
}

static void
networks(void **state)
{
	static const struct {
		const char *net, *in, *not_in; /* in NULL: the pattern is refused */
	} rows[] = {
		{ "127.0.0.0/8", "127.255.1.2", "128.0.0.1" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "192.0.2.128/25", "192.0.2.200", "192.0.2.127" },
		{ "0.0.0.0/0", "9.9.9.9", "::1" },
		{ "[::1]/128", "::1", "::2" },
		{ "[2001:db8::]/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
		{ "2001:db8::/32", "2001:db8::1", "2001:db9::1" },
		{ "[2001:db8::/32]", "2001:db8::1", "2001:db9::1" },
		{ "[::1]", "::1", "127.0.0.1" },
		{ "[::ffff:127.0.0.0]/104", "127.1.2.3", "128.0.0.1" },
		{ "::ffff:192.0.2.1/128", "192.0.2.1", "192.0.2.2" },
		{ "[::ffff:192.0.2.0]/24", NULL, NULL },
		{ "[::ffff:192.0.2.0]/129", NULL, NULL },
		{ "[::ffff:192.0.2.1]/120", NULL, NULL },
		{ "192.0.2.1/24", NULL, NULL },
		{ "192.0.2.0/33", NULL, NULL },
		{ "192.0.2.0/", NULL, NULL },
		{ "192.0.2.0/-1", NULL, NULL },
		{ "[::1", NULL, NULL },
		{ "example.com", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_net net;
		struct addr_ip a;
		struct err e = { 0 };
		enum rc rc = addr_net_parse(str_c(rows[i].net), &net, &e);

		if ((rc == RC_OK) != (rows[i].in != NULL))
			fail_msg("%s: %s %s", rows[i].net, rc_name(rc), e.text);
		if (rows[i].in == NULL)
			continue;
		a = ip(rows[i].in);
		assert_true(addr_net_has(&net, &a));
		a = ip(rows[i].not_in);
		assert_false(addr_net_has(&net, &a));
	}
	assert_true(addr_net_looks_like(STR("127.0.0.0/8")));
	assert_true(addr_net_looks_like(STR("[::1]/128")));
	assert_false(addr_net_looks_like(STR("hash:/etc/x")));
	assert_false(addr_net_looks_like(STR("example.com")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
