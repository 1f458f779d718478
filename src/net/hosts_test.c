/* The hosts file, both ways. */
#include "net/hosts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint64_t seed[2] = { 1, 2 };

static const char file[] = "# comment\n"
			   "127.0.0.1\tlocalhost\n"
			   "::1 localhost ip6-localhost\n"
			   "192.0.2.1 Mail.Example mail # the server\r\n"
			   "192.0.2.2 mail.example\n"
			   "192.0.2.1 other\n"
			   "192.0.2.1 mail.example\n"
			   "not-an-address foo\n"
			   "192.0.2.3\n"
			   "192.0.2.4 bad..name good\n"
			   "192.0.2.5 last";

static const char *
addrs_of(const struct net_hosts *h, const char *name, char *out, size_t size)
{
	struct addr_ip v[8];
	char text[ADDR_IP_TEXT_MAX];
	size_t at = 0, n = net_hosts_addrs(h, str_c(name), v, ARRAY_LEN(v));

	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : " ",
		    addr_ip_format(&v[i], text).p);
	return out;
}

static void
test_names(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "localhost", "127.0.0.1 ::1" },
		{ "LOCALHOST.", "127.0.0.1 ::1" },
		{ "mail.example", "192.0.2.1 192.0.2.2" },
		{ "mail", "192.0.2.1" },
		{ "foo", "" },
		{ "bad..name", "" },
		{ "good", "192.0.2.4" },
		{ "last", "192.0.2.5" },
		{ "", "" },
	};
	struct net_hosts *h = NULL;
	char text[300];

	(void)state;
	assert_int_equal(net_hosts_parse(STR(file), seed, &h, NULL), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("'%s'\n", cases[i].name);
		assert_string_equal(
		    addrs_of(h, cases[i].name, text, sizeof(text)), cases[i].want);
	}
	net_hosts_free(&h);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *addr, *want; /* NULL: none */
	} cases[] = {
		{ "127.0.0.1", "localhost" },
		{ "::1", "localhost" },
		{ "192.0.2.1", "Mail.Example" },
		{ "192.0.2.3", NULL },
		{ "192.0.2.4", "good" },
		{ "192.0.2.9", NULL },
	};
	struct net_hosts *h = NULL;

	(void)state;
	assert_int_equal(net_hosts_parse(STR(file), seed, &h, NULL), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str name = STR("");
		struct addr_ip a;

		print_message("%s\n", cases[i].addr);
		assert_int_equal(addr_ip_parse(str_c(cases[i].addr), &a), RC_OK);
		assert_int_equal(net_hosts_name(h, &a, &name),
		    cases[i].want != NULL ? RC_OK : RC_NONE);
		if (cases[i].want != NULL)
			assert_true(str_is(name, cases[i].want));
	}
	net_hosts_free(&h);
}

/* A file that blocks a hundred thousand names must not take quadratic time or memory
 * without end; one name with very many addresses neither. */
static void
test_large(void **state)
{
	size_t max = 4 * 1024 * 1024, n = 0;
	char *text = malloc(max);
	struct net_hosts *h = NULL;
	struct addr_ip v[NET_HOSTS_ADDRS_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		n += (size_t)snprintf(text + n, max - n,
		    "0.0.0.0 ad%u\n10.%u.%u.%u same\n", i, i >> 16, i >> 8 & 255,
		    i & 255);
	assert_int_equal(net_hosts_parse(str_n(text, n), seed, &h, NULL), RC_OK);
	assert_int_equal(net_hosts_addrs(h, STR("ad99999"), v, 1), 1);
	assert_int_equal(
	    net_hosts_addrs(h, STR("same"), v, ARRAY_LEN(v)), NET_HOSTS_ADDRS_MAX);
	net_hosts_free(&h);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
