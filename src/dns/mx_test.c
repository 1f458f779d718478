/* The order of hosts: stories in text form. A host is "name/preference/family". */
#include "dns/mx.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* "a/10/4 b/20/6" */
static size_t
read_hosts(const char *text, struct dns_host *out)
{
	struct str rest = str_c(text), item, name, pref, family;
	size_t n = 0;

	while (str_token(&rest, " ", &item)) {
		uint64_t v;

		assert_true(str_cut(item, '/', &name, &item));
		assert_true(str_cut(item, '/', &pref, &family));
		assert_int_equal(str_u64(pref, 65535, &v), RC_OK);
		out[n] = (struct dns_host){ .name = name, .preference = (uint16_t)v };
		out[n].addr.family = family.p[0] == '4' ? 4 : 6;
		out[n++].addr.b[0] = (uint8_t)name.p[0];
	}
	return n;
}

static const char *
show(const struct dns_host *h, size_t n, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(
		    out + at, size - at, "%s%.*s", i == 0 ? "" : " ", STR_ARG(h[i].name));
	return out;
}

/* Always the last place: a shuffle by it leaves the order. */
static uint64_t
no_luck(void *arg)
{
	uint64_t *k = arg;

	return --*k;
}

static uint64_t
zero(void *arg)
{
	(void)arg;
	return 0;
}

static void
test_order(void **state)
{
	static const struct {
		const char *title, *hosts;
		enum dns_prefer prefer;
		bool balance;
		unsigned limit;
		const char *want;
	} cases[] = {
		{ "preference", "c/30/4 a/10/4 b/20/4", DNS_PREFER_ANY, false, 0,
		    "a b c" },
		{ "equals keep their order", "b/10/4 a/10/6 c/5/4", DNS_PREFER_ANY, false,
		    0, "c b a" },
		{ "ipv4 first among equals", "a/10/6 b/10/4 c/20/4 d/20/6",
		    DNS_PREFER_IPV4, false, 0, "b a c d" },
		{ "ipv6 first among equals", "a/10/4 b/10/6 c/20/4", DNS_PREFER_IPV6,
		    false, 0, "b a c" },
		{ "limit", "a/1/4 b/2/4 c/3/4", DNS_PREFER_ANY, false, 2, "a b" },
		{ "balance lets the other protocol in",
		    "a/1/6 b/1/6 c/1/6 d/1/6 e/1/4 f/1/4", DNS_PREFER_ANY, true, 4,
		    "a b e f" },
		{ "balance does not make up what is not there",
		    "a/1/6 b/1/6 c/1/6 d/1/6 e/1/4", DNS_PREFER_ANY, true, 4, "a b c e" },
		{ "balance leaves a mixed list", "a/1/6 b/1/4 c/1/6 d/1/4 e/1/4",
		    DNS_PREFER_ANY, true, 4, "a b c d" },
		{ "no balance below the limit", "a/1/6 b/1/6 c/1/4", DNS_PREFER_ANY, true,
		    5, "a b c" },
		{ "nothing", "", DNS_PREFER_ANY, true, 5, "" },
	};
	struct dns_host h[16];
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_mx_policy policy = { .prefer = cases[i].prefer,
			.balance = cases[i].balance,
			.address_limit = cases[i].limit };
		size_t n = read_hosts(cases[i].hosts, h);

		print_message("%s\n", cases[i].title);
		dns_mx_order(&policy, h, &n);
		assert_string_equal(show(h, n, text, sizeof(text)), cases[i].want);
	}
}

static void
test_shuffle(void **state)
{
	struct dns_host h[16];
	struct dns_mx_policy policy = { .randomize = true, .random = zero };
	char text[200];
	size_t n = read_hosts("a/10/4 b/10/4 c/10/4 d/5/4", h);
	uint64_t k = n;

	(void)state;
	dns_mx_order(&policy, h, &n);
	assert_string_equal(show(h, n, text, sizeof(text)), "d b c a");
	n = read_hosts("a/10/4 b/10/4 c/10/4", h);
	k = n;
	policy.random = no_luck;
	policy.random_arg = &k;
	dns_mx_order(&policy, h, &n);
	assert_string_equal(show(h, n, text, sizeof(text)), "a b c");
}

static void
test_self(void **state)
{
	static const struct {
		const char *title, *hosts, *want;
		char own;
		bool is_self;
	} cases[] = {
		{ "not us", "a/10/4 b/20/4", "a b", 'x', false },
		{ "we are the backup", "a/10/4 b/20/4 c/20/4 d/30/4", "a", 'b', true },
		{ "we are the best", "a/10/4 b/20/4", "", 'a', true },
		{ "order does not matter", "b/20/4 d/30/4 a/10/4", "a", 'b', true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct addr_ip own = { .family = 4, .b = { (uint8_t)cases[i].own } };
		struct dns_host h[16];
		char text[200];
		size_t n = read_hosts(cases[i].hosts, h);

		print_message("%s\n", cases[i].title);
		assert_int_equal(dns_mx_drop_self(h, &n, &own, 1), cases[i].is_self);
		assert_string_equal(show(h, n, text, sizeof(text)), cases[i].want);
	}
}

static void
test_read(void **state)
{
	struct dns_record r[] = {
		{ .type = DNS_MX, .preference = 20, .name = STR("b.test") },
		{ .type = DNS_MX, .preference = 10, .name = STR("a.test") },
		{ .type = DNS_MX, .preference = 5, .name = STR(".") },
		{ .type = DNS_MX, .preference = 5, .name = STR("192.0.2.1") },
	};
	struct dns_answer a = { .status = DNS_OK, .records = r, .n = ARRAY_LEN(r) };
	struct dns_host h[DNS_ANSWER_MAX];
	char text[200];
	size_t n;

	(void)state;
	assert_int_equal(dns_mx_read(&a, h, &n), DNS_MX_LIST);
	assert_string_equal(show(h, n, text, sizeof(text)), "a.test b.test");
	a.records = &r[2];
	a.n = 1;
	assert_int_equal(dns_mx_read(&a, h, &n), DNS_MX_NULL);
	a.records = &r[3];
	assert_int_equal(dns_mx_read(&a, h, &n), DNS_MX_LIST);
	assert_int_equal(n, 0);
	a.status = DNS_NODATA;
	a.n = 0;
	assert_int_equal(dns_mx_read(&a, h, &n), DNS_MX_IMPLICIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
