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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
