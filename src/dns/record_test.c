/* rdata of every type, right and wrong, in memory of exactly its size. */
#include "dns/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	const char *title;
	enum dns_type type;
	struct str rdata;
	const char *want; /* address, "preference name", name or text; NULL: refused */
} cases[] = {
	{ "A", DNS_A, STR_INIT("\300\0\2\1"), "192.0.2.1" },
	{ "A too short", DNS_A, STR_INIT("\300\0\2"), NULL },
	{ "A too long", DNS_A, STR_INIT("\300\0\2\1\0"), NULL },
	{ "AAAA", DNS_AAAA, STR_INIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), "::1" },
	{ "AAAA mapped", DNS_AAAA, STR_INIT("\0\0\0\0\0\0\0\0\0\0\377\377\12\0\0\1"),
	    NULL },
	{ "AAAA of four bytes", DNS_AAAA, STR_INIT("\300\0\2\1"), NULL },
	{ "MX", DNS_MX, STR_INIT("\0\12\2mx\1a\0"), "10 mx.a" },
	{ "null MX", DNS_MX, STR_INIT("\0\0\0"), "0 ." },
	{ "MX without a name", DNS_MX, STR_INIT("\0\12"), NULL },
	{ "MX with more", DNS_MX, STR_INIT("\0\12\1a\0x"), NULL },
	{ "PTR", DNS_PTR, STR_INIT("\4host\1a\0"), "host.a" },
	{ "PTR with more", DNS_PTR, STR_INIT("\4host\1a\0\0"), NULL },
	{ "CNAME", DNS_CNAME, STR_INIT("\1c\0"), "c" },
	{ "NS", DNS_NS, STR_INIT("\2ns\0"), "ns" },
	{ "SOA", DNS_SOA, STR_INIT("\2ns\0\1x\0\0\0\0\1"), "ns" },
	{ "TXT", DNS_TXT, STR_INIT("\3v=s\2pf"), "v=spf" },
	{ "TXT with an empty string", DNS_TXT, STR_INIT("\0\1a"), "a" },
	{ "TXT cut short", DNS_TXT, STR_INIT("\3v="), NULL },
	{ "TXT empty", DNS_TXT, STR_INIT(""), NULL },
	{ "unknown type", (enum dns_type)99, STR_INIT("x"), NULL },
};

static void
show(const struct dns_record *r, char *out, size_t size)
{
	char addr[ADDR_IP_TEXT_MAX];

	if (r->addr.family != 0)
		(void)snprintf(out, size, "%s", addr_ip_format(&r->addr, addr).p);
	else if (r->type == DNS_MX)
		(void)snprintf(out, size, "%u %s", r->preference, r->name.p);
	else if (r->type == DNS_TXT)
		(void)snprintf(out, size, "%.*s", STR_ARG(r->text));
	else
		(void)snprintf(out, size, "%s", r->name.p);
}

static void
test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(65536);
		char *copy = malloc(cases[i].rdata.n + 1), shown[300];
		struct str rdata = { copy + 1, cases[i].rdata.n };
		struct dns_record r = { 0 };
		enum rc rc;

		memcpy(copy + 1, cases[i].rdata.p, cases[i].rdata.n);
		print_message("%s\n", cases[i].title);
		rc = dns_record_decode(cases[i].type, rdata, mem, &r, NULL);
		assert_int_equal(rc, cases[i].want != NULL ? RC_OK : RC_PERM);
		if (rc == RC_OK) {
			show(&r, shown, sizeof(shown));
			assert_string_equal(shown, cases[i].want);
		}
		free(copy);
		arena_free(&mem);
	}
}

static void
test_reason(void **state)
{
	struct arena *mem = arena_new(4096);
	struct dns_answer a = {
		.status = DNS_NXDOMAIN, .type = DNS_A, .qname = STR("nohost.test")
	};

	(void)state;
	assert_string_equal(dns_status_reason(&a, mem).p,
	    "Host or domain name not found. Name service error for name=nohost.test "
	    "type=A: "
	    "Host not found");
	a.status = DNS_FAIL;
	a.type = DNS_MX;
	assert_string_equal(dns_status_reason(&a, mem).p,
	    "Host or domain name not found. Name service error for name=nohost.test "
	    "type=MX: "
	    "Host not found, try again");
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
