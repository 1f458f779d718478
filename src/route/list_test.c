#include "route/list.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static char tables[] = "hash:d in.test = x\n"
		       "hash:d .sub.test = x\n"
		       "hash:d par.test = x\n"
		       "hash:c 10.1.1.1 = x\n";

static void
domains(void **state)
{
	static const struct {
		const char *list;
		enum route_list_kind kind;
		const char *domain;
		enum rc rc;
	} cases[] = {
		{ "", ROUTE_LIST_STRING, "a.test", RC_NONE },
		{ "a.test", ROUTE_LIST_STRING, "A.TEST", RC_OK },
		{ "a.test", ROUTE_LIST_STRING, "x.a.test", RC_NONE },
		{ ".a.test", ROUTE_LIST_STRING, "x.a.test", RC_NONE },
		{ ".a.test", ROUTE_LIST_DOMAIN, "x.a.test", RC_OK },
		{ ".a.test", ROUTE_LIST_DOMAIN, "a.test", RC_NONE },
		{ "a.test", ROUTE_LIST_DOMAIN, "x.a.test", RC_NONE },
		{ "a.test", ROUTE_LIST_PARENTS, "x.a.test", RC_OK },
		{ "a.test", ROUTE_LIST_PARENTS, "xa.test", RC_NONE },
		{ "!x.a.test, a.test", ROUTE_LIST_PARENTS, "x.a.test", RC_NONE },
		{ "!x.a.test, a.test", ROUTE_LIST_PARENTS, "y.a.test", RC_OK },
		{ "!!a.test", ROUTE_LIST_STRING, "a.test", RC_OK },
		{ "hash:d", ROUTE_LIST_STRING, "in.test", RC_OK },
		{ "hash:d", ROUTE_LIST_STRING, "x.par.test", RC_NONE },
		{ "hash:d", ROUTE_LIST_PARENTS, "x.y.par.test", RC_OK },
		{ "hash:d", ROUTE_LIST_DOMAIN, "x.par.test", RC_NONE },
		{ "hash:d", ROUTE_LIST_DOMAIN, "x.sub.test", RC_OK },
		{ "!hash:d *", ROUTE_LIST_STRING, "in.test", RC_NONE },
		{ "broken: a.test", ROUTE_LIST_STRING, "a.test", RC_TEMP },
		{ "a.test broken:", ROUTE_LIST_STRING, "a.test", RC_OK },
		{ "/etc/hosts a.test", ROUTE_LIST_STRING, "a.test", RC_TEMP },
	};
	struct arena *mem = arena_new(1 << 18);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_list l = testing_list(cases[i].list, cases[i].kind, mem);
		struct ask a;

		ask_init(&a, mem, 0);
		a.now = testing_tables;
		a.now_ctx = tables;
		if (route_list_domain(&a, &l, str_c(cases[i].domain)) != cases[i].rc)
			fail_msg("%s / %s", cases[i].list, cases[i].domain);
	}
	arena_free(&mem);
}

static void
clients(void **state)
{
	static const struct {
		const char *list, *name, *addr;
		enum rc rc;
	} cases[] = {
		{ "127.0.0.0/8 [::1]/128", "unknown", "127.9.9.9", RC_OK },
		{ "127.0.0.0/8 [::1]/128", "unknown", "::1", RC_OK },
		{ "127.0.0.0/8 [::1]/128", "unknown", "128.0.0.1", RC_NONE },
		{ "!10.0.0.5 10.0.0.0/24", "", "10.0.0.5", RC_NONE },
		{ "!10.0.0.5 10.0.0.0/24", "", "10.0.0.6", RC_OK },
		{ "host.test", "host.test", "10.0.0.6", RC_OK },
		{ "dom.test", "host.dom.test", "10.0.0.6", RC_OK },
		{ "hash:c", "x.test", "10.1.1.1", RC_OK },
		{ "hash:c", "x.test", "10.1.1.2", RC_NONE },
		{ "10.0.0.0/33 10.0.0.0/8", "", "10.0.0.1", RC_TEMP },
		{ "[2001:db8::]/32", "", "2001:db8:1::5", RC_OK },
	};
	struct arena *mem = arena_new(1 << 18);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_list l =
		    testing_list(cases[i].list, ROUTE_LIST_PARENTS, mem);
		struct ask a;

		ask_init(&a, mem, 0);
		a.now = testing_tables;
		a.now_ctx = tables;
		if (route_list_client(&a, &l, str_c(cases[i].name),
			str_c(cases[i].addr)) != cases[i].rc)
			fail_msg("%s / %s", cases[i].list, cases[i].addr);
	}
	assert_true(route_parent_matches(STR("a, relay_domains b"), "relay_domains"));
	assert_false(route_parent_matches(STR("a, b"), "relay_domains"));
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains),
		cmocka_unit_test(clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
