/* Names: wire to text, text to wire, host names, reverse names, addresses. */
#include "dns/name.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
test_decode(void **state)
{
	static const struct {
		const char *title;
		struct str wire;
		const char *want; /* NULL: refused */
		size_t used;
	} cases[] = {
		{ "two labels", STR_INIT("\2mx\7example\0"), "mx.example", 12 },
		{ "root", STR_INIT("\0"), ".", 1 },
		{ "bytes behind it are left", STR_INIT("\1a\0xx"), "a", 3 },
		{ "nothing", STR_INIT(""), NULL, 0 },
		{ "no end", STR_INIT("\1a"), NULL, 0 },
		{ "label cut short", STR_INIT("\5abc"), NULL, 0 },
		{ "a pointer", STR_INIT("\300\014"), NULL, 0 },
		{ "a dot in a label", STR_INIT("\3a.b\0"), NULL, 0 },
		{ "a blank in a label", STR_INIT("\3a b\0"), NULL, 0 },
		{ "NUL in a label", STR_INIT("\3a\0b\0"), NULL, 0 },
		{ "8-bit", STR_INIT("\2\303\244\0"), NULL, 0 },
		{ "underscore", STR_INIT("\5_smtp\0"), "_smtp", 7 },
	};
	char text[DNS_NAME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		size_t used = 0;
		/* On the heap in its exact size, so that reading too far is noticed. */
		char *copy = mem_get(cases[i].wire.n + 1);
		struct str wire = { copy + 1, cases[i].wire.n };
		enum rc rc;

		memcpy(copy + 1, cases[i].wire.p, cases[i].wire.n);
		rc = dns_name_decode(wire, text, &used, &e);
		print_message("%s\n", cases[i].title);
		assert_int_equal(rc, cases[i].want != NULL ? RC_OK : RC_PERM);
		if (rc == RC_OK) {
			assert_string_equal(text, cases[i].want);
			assert_int_equal(used, cases[i].used);
		}
		free(copy);
	}
}

/* The longest name there can be, and one byte more. */
static void
test_longest(void **state)
{
	unsigned char wire[300], back[DNS_NAME_WIRE_MAX];
	char text[DNS_NAME_TEXT_MAX];
	size_t n = 0, back_n;

	(void)state;
	for (unsigned i = 0; i < 127; i++) {
		wire[n++] = 1;
		wire[n++] = 'a';
	}
	wire[n++] = 0;
	assert_int_equal(n, DNS_NAME_WIRE_MAX);
	assert_int_equal(dns_name_decode(str_n(wire, n), text, NULL, NULL), RC_OK);
	assert_int_equal(strlen(text), 253);
	assert_int_equal(dns_name_encode(str_c(text), back, &back_n), RC_OK);
	assert_int_equal(back_n, n);
	assert_memory_equal(back, wire, n);
	wire[n - 1] = 1;
	wire[n++] = 'a';
	wire[n++] = 0;
	assert_int_equal(dns_name_decode(str_n(wire, n), text, NULL, NULL), RC_PERM);
}

static void
test_encode(void **state)
{
	static const struct {
		const char *text;
		enum rc want;
		struct str wire;
	} cases[] = {
		{ "mx.example", RC_OK, STR_INIT("\2mx\7example\0") },
		{ "mx.example.", RC_OK, STR_INIT("\2mx\7example\0") },
		{ ".", RC_OK, STR_INIT("\0") },
		{ "", RC_OK, STR_INIT("\0") },
		{ "a..b", RC_PERM, STR_INIT("") },
		{ ".a", RC_PERM, STR_INIT("") },
		{ "a..", RC_PERM, STR_INIT("") },
		{ "0123456789012345678901234567890123456789012345678901234567890123",
		    RC_PERM, STR_INIT("") },
	};
	unsigned char wire[DNS_NAME_WIRE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = 0;

		print_message("'%s'\n", cases[i].text);
		assert_int_equal(
		    dns_name_encode(str_c(cases[i].text), wire, &n), cases[i].want);
		assert_int_equal(n, cases[i].wire.n);
		assert_memory_equal(wire, cases[i].wire.p, n);
	}
}

static void
test_is_host(void **state)
{
	static const struct {
		const char *name;
		bool want;
	} cases[] = {
		{ "a", true },
		{ "mx1.example.com", true },
		{ "a-b.c_d.example", true },
		{ "3com.com", true },
		{ "1.2.3.4", false },
		{ "12345", false },
		{ "", false },
		{ ".", false },
		{ "a.", false },
		{ ".a", false },
		{ "a..b", false },
		{ "-a.b", false },
		{ "a-.b", false },
		{ "a.b-", false },
		{ "a b", false },
		{ "[1.2.3.4]", false },
		{ "0123456789012345678901234567890123456789012345678901234567890abc.d",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("'%s'\n", cases[i].name);
		assert_int_equal(dns_name_is_host(str_c(cases[i].name)), cases[i].want);
	}
}

static void
test_compare(void **state)
{
	(void)state;
	assert_true(dns_name_eq(STR("A.Example"), STR("a.example.")));
	assert_false(dns_name_eq(STR("a.example"), STR("b.example")));
	assert_true(dns_name_under(STR("x.Example"), STR("example")));
	assert_true(dns_name_under(STR("example."), STR("example")));
	assert_false(dns_name_under(STR("xexample"), STR("example")));
	assert_false(dns_name_under(STR("example"), STR("x.example")));
}

static void
test_address(void **state)
{
	static const struct {
		const char *text, *back, *reverse; /* back NULL: not an address */
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa" },
		{ "::1", "::1",
		    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6."
		    "arpa" },
		{ "2001:DB8::25", "2001:db8::25",
		    "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6."
		    "arpa" },
		{ "::ffff:192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa" },
		{ "1.2.3", NULL, NULL },
		{ "1.2.3.4.5", NULL, NULL },
		{ "fe80::1%eth0", NULL, NULL },
		{ "", NULL, NULL },
		{ "host", NULL, NULL },
	};
	char text[DNS_ADDR_TEXT_MAX], name[DNS_NAME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_addr a;
		enum rc rc = dns_addr_parse(str_c(cases[i].text), &a);

		print_message("'%s'\n", cases[i].text);
		assert_int_equal(rc, cases[i].back != NULL ? RC_OK : RC_NONE);
		if (rc != RC_OK)
			continue;
		assert_string_equal(dns_addr_format(&a, text).p, cases[i].back);
		dns_name_reverse(&a, name);
		assert_string_equal(name, cases[i].reverse);
	}
}

static void
test_address_in(void **state)
{
	static const struct {
		const char *addr, *net;
		unsigned bits;
		bool want;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.0", 8, true },
		{ "128.0.0.1", "127.0.0.0", 8, false },
		{ "10.1.2.3", "10.1.2.2", 31, true },
		{ "10.1.2.4", "10.1.2.2", 31, false },
		{ "10.1.2.4", "0.0.0.0", 0, true },
		{ "10.1.2.4", "10.1.2.4", 32, true },
		{ "10.1.2.4", "10.1.2.4", 33, false },
		{ "2001:db8::1", "2001:db8::", 64, true },
		{ "::1", "0.0.0.0", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_addr a, net;

		assert_int_equal(dns_addr_parse(str_c(cases[i].addr), &a), RC_OK);
		assert_int_equal(dns_addr_parse(str_c(cases[i].net), &net), RC_OK);
		assert_int_equal(dns_addr_in(&a, &net, cases[i].bits), cases[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_is_host),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_address_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
