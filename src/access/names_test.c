/* Restrictions without tables, lookups, and the list of clients whose headers are
 * completed. */
#include "access/testing.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define usual    access_testing_request
#define conf     access_testing_conf
#define set      access_testing_set
#define run(...) access_testing_run(__VA_ARGS__).s

/* One list, one thing about the request that changes. */
static void
check(enum access_stage stage, const char *list, const struct access_request *q,
    const char *out)
{
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	conf(&c, mem);
	c.sasl_auth_enable = true;
	c.sender_login_maps = testing_names("hash:t", mem);
	set(&c, stage, list, mem);
	assert_string_equal(
	    run(&c, stage, q, "a@x.test = joe, Jane third/b@x.test = jane"), out);
	arena_free(&mem);
}

static void
helo_names(void **state)
{
	static const struct {
		const char *helo, *invalid, *non_fqdn;
	} cases[] = {
		{ "a.b", NULL, NULL },
		{ "a_b", NULL,
		    "504 5.5.2 <a_b>: Helo command rejected: need "
		    "fully-qualified hostname" },
		{ "-a", "501 5.5.2 <-a>: Helo command rejected: Invalid name",
		    "504 5.5.2 <-a>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "1.2.3.4", NULL,
		    "504 5.5.2 <1.2.3.4>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "[1.2.3.4]", NULL, NULL },
		{ "[IPv6:::1]", NULL, NULL },
		{ "[1.2.3]",
		    "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address",
		    "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address" },
		{ "[", "501 5.5.2 <[>: Helo command rejected: invalid ip address",
		    "501 5.5.2 <[>: Helo command rejected: invalid ip address" },
		{ "::1", NULL,
		    "504 5.5.2 <::1>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "localhost.", NULL,
		    "504 5.5.2 <localhost.>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "a.b.", NULL, NULL },
		{ "a.b..", "501 5.5.2 <a.b..>: Helo command rejected: Invalid name",
		    "504 5.5.2 <a.b..>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "12345", "501 5.5.2 <12345>: Helo command rejected: Invalid name",
		    "504 5.5.2 <12345>: Helo command rejected: need fully-qualified "
		    "hostname" },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct access_request q = usual;

		q.helo = str_c(cases[i].helo);
		check(ACCESS_HELO, "reject_invalid_helo_hostname", &q,
		    cases[i].invalid != NULL ? cases[i].invalid : "dunno");
		check(ACCESS_HELO, "reject_non_fqdn_hostname", &q,
		    cases[i].non_fqdn != NULL ? cases[i].non_fqdn : "dunno");
	}
}

static void
addresses(void **state)
{
	static const struct {
		const char *address;
		bool is_fqdn;
	} cases[] = {
		{ "a", false },
		{ "a@x", false },
		{ "a@x.y", true },
		{ "a@x.y.", true },
		{ "a@x.y..", false },
		{ "a@[1.2.3.4]", true },
		{ "\"a@b.c\"", false },
		{ "a@.", false },
		{ "a@b.123", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct access_request q = usual;
		struct arena *mem = arena_new(1 << 18);
		struct access_conf c;

		conf(&c, mem);
		set(&c, ACCESS_SENDER, "reject_non_fqdn_sender", mem);
		q.sender = str_c(cases[i].address);
		assert_int_equal(strcmp(run(&c, ACCESS_SENDER, &q, ""), "dunno") == 0,
		    cases[i].is_fqdn);
		set(&c, ACCESS_DATA, "reject_non_fqdn_recipient", mem);
		q.recipient = str_c(cases[i].address);
		assert_int_equal(
		    strcmp(run(&c, ACCESS_DATA, &q, ""), "dunno") == 0, cases[i].is_fqdn);
		arena_free(&mem);
	}
	check(ACCESS_RECIPIENT, "reject_non_fqdn_sender",
	    &(struct access_request){ .sender = STR("a@x"), .has_sender = true },
	    "504 5.5.2 <a@x>: Sender address rejected: need fully-qualified address");
	check(ACCESS_RECIPIENT, "reject_non_fqdn_sender reject_non_fqdn_recipient",
	    &(struct access_request){ .has_sender = true }, "dunno");
}

static void
clients(void **state)
{
	struct access_request q = usual;

	(void)state;
	check(ACCESS_CLIENT, "reject_unknown_client, reject_unknown_client_hostname", &q,
	    "dunno");
	q.client_name_rc = RC_NONE;
	check(ACCESS_CLIENT, "reject_unknown_client_hostname", &q,
	    "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.9]");
	check(ACCESS_CLIENT, "reject_unknown_reverse_client_hostname", &q, "dunno");
	q.client_reverse_rc = RC_TEMP;
	check(ACCESS_CLIENT, "reject_unknown_reverse_client_hostname", &q,
	    "450 4.7.1 Client host rejected: cannot find your reverse hostname, "
	    "[192.0.2.9]");
	check(ACCESS_CLIENT, "reject_plaintext_session", &q,
	    "450 4.7.1 Session encryption is required");
	q.has_tls = true;
	check(ACCESS_CLIENT, "reject_plaintext_session", &q, "dunno");
	check(ACCESS_DATA, "reject_unauth_pipelining", &q, "dunno");
	q.is_pipelining = true;
	check(ACCESS_DATA, "reject_unauth_pipelining", &q,
	    "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command "
	    "pipelining");
	q.client_addr = STR("192.0.2.1");
	check(ACCESS_CLIENT, "permit_inet_interfaces, reject", &q, "ok");
	q.is_authenticated = true;
	q.client_addr = STR("192.0.2.2");
	check(ACCESS_CLIENT, "permit_inet_interfaces, permit_sasl_authenticated, reject",
	    &q, "ok");
	check(ACCESS_CLIENT, "check_relay_domains", &q,
	    "451 4.3.5 Server configuration error|W: support for restriction "
	    "\"check_relay_domains\" has been removed in Postfix 3.9; instead, specify "
	    "\"reject_unauth_destination\"");
}

static void
bounces(void **state)
{
	struct access_request q = usual;

	(void)state;
	q.n_rcpt = 1;
	check(ACCESS_RECIPIENT, "reject_multi_recipient_bounce", &q, "dunno");
	q.sender = STR("");
	check(ACCESS_RECIPIENT, "reject_multi_recipient_bounce", &q,
	    "550 5.5.3 <unix@mail.example.test>: Recipient address rejected: "
	    "Multi-recipient bounce");
	check(ACCESS_DATA, "reject_multi_recipient_bounce", &q, "dunno");
	q.recipient = STR("");
	q.n_rcpt = 2;
	check(ACCESS_DATA, "reject_multi_recipient_bounce", &q,
	    "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce");
	/* Bare postmaster is reachable whatever the lists say, but not at DATA. */
	q = usual;
	q.recipient = STR("Postmaster");
	check(ACCESS_CLIENT, "reject", &q, "dunno");
	check(ACCESS_RECIPIENT, "reject", &q, "dunno");
	check(ACCESS_DATA, "reject", &q,
	    "554 5.7.1 <DATA>: Data command rejected: Access denied");
}

static void
logins(void **state)
{
	static const struct {
		const char *login, *sender, *full, *known;
	} cases[] = {
		{ "joe", "a@x.test", NULL, NULL },
		{ "JANE", "a@x.test", NULL, NULL },
		{ "third", "a@x.test", NULL, NULL },
		{ "jo", "a@x.test", "not owned by user jo", "not owned by user jo" },
		{ "joe", "b+ext@x.test", "not owned by user joe",
		    "not owned by user joe" },
		{ "joe", "c@x.test", "not owned by user joe", NULL },
		{ "", "a@x.test", "not logged in", "not logged in" },
		{ "", "c@x.test", NULL, NULL },
		{ "joe", "", NULL, NULL },
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct access_request q = usual;
		const char *const lists[] = { "reject_sender_login_mismatch",
			"reject_known_sender_login_mismatch" };

		q.sasl_username = str_c(cases[i].login);
		q.sender = str_c(cases[i].sender);
		for (int k = 0; k < 2; k++) {
			const char *why = k == 0 ? cases[i].full : cases[i].known;

			(void)snprintf(line, sizeof(line),
			    "553 5.7.1 <%s>: Sender address rejected: %s",
			    cases[i].sender, why != NULL ? why : "");
			check(ACCESS_SENDER, lists[k], &q, why != NULL ? line : "dunno");
		}
	}
}

static void
rewriting(void **state)
{
	static const struct {
		const char *list;
		enum rc rc;
		const char *warning;
	} cases[] = {
		{ "", RC_NONE, NULL },
		{ "permit_inet_interfaces", RC_NONE, NULL },
		{ "permit_mynetworks", RC_OK, NULL },
		{ "check_address_map hash:rw", RC_OK, NULL },
		{ "permit_inet_interfaces, hash:rw", RC_OK, NULL },
		{ "hash:other", RC_NONE, NULL },
		{ "reject, hash:rw", RC_OK,
		    "parameter local_header_rewrite_clients: invalid request: reject" },
		{ "broken:", RC_TEMP, "broken:: lookup of \"192.0.2.9\": out of order" },
	};
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;
	struct ask a;

	(void)state;
	conf(&c, mem);
	c.mynetworks = testing_list("192.0.2.0/24", ROUTE_LIST_PARENTS, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		static char table[] = "hash:rw 192.0.2.9 = x\n";
		struct access_note *notes = NULL;

		assert_int_equal(access_compile_rewrite(
				     str_c(cases[i].list), mem, &c.header_rewrite, NULL),
		    RC_OK);
		ask_init(&a, mem, 0);
		a.now = testing_tables;
		a.now_ctx = table;
		assert_int_equal(
		    access_rewrites_headers(&a, &c, &usual, &notes), cases[i].rc);
		assert_int_equal(notes != NULL, cases[i].warning != NULL);
		if (notes != NULL)
			assert_true(str_is(notes->text, cases[i].warning));
	}
	arena_free(&mem);
}

/* A pause is asked for, once for each time it is written. */
static void
pauses(void **state)
{
	struct arena *mem = arena_new(1 << 18);
	struct access_state st = { 0 };
	struct access_verdict v;
	struct access_conf c;
	struct ask a;

	(void)state;
	conf(&c, mem);
	set(&c, ACCESS_CLIENT, "sleep 3 sleep 3 reject", mem);
	ask_init(&a, mem, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    access_run(&a, &c, ACCESS_CLIENT, &usual, &st, &v), RC_MORE);
		assert_int_equal(a.wanted.kind, ASK_DELAY);
		assert_true(str_is(a.wanted.key, "3"));
		ask_answer(&a, RC_OK, STR(""));
	}
	assert_int_equal(access_run(&a, &c, ACCESS_CLIENT, &usual, &st, &v), RC_OK);
	assert_int_equal(v.what, ACCESS_REJECT);
	arena_free(&mem);
}

static void
check_trace(const char *list)
{
	struct access_request q = usual;
	struct arena *mem = arena_new(1 << 18);
	struct access_state st = { 0 };
	struct access_verdict v = { 0 };
	struct access_conf c;
	static char table[] = "hash:t s@ = defer_if_permit reject\n";
	struct ask a;

	q.wants_trace = true;
	conf(&c, mem);
	set(&c, ACCESS_SENDER, list, mem);
	ask_init(&a, mem, 0);
	a.now = testing_tables;
	a.now_ctx = table;
	assert_int_equal(access_run(&a, &c, ACCESS_SENDER, &q, &st, &v), RC_OK);
	assert_true(str_is(v.trace->name, "permit_mynetworks"));
	assert_true(str_is(v.trace->result, "DUNNO"));
	assert_true(str_is(v.trace->next->name, "check_sender_access"));
	assert_true(str_is(v.trace->next->arg, "hash:t"));
	assert_true(str_is(v.trace->next->result,
	    "if the lists permit: 450 4.7.1 <s+x@d.e.test>: Sender address rejected: "
	    "reject"));
	assert_true(str_is(v.trace->next->next->result,
	    "554 5.7.1 <s+x@d.e.test>: Sender address rejected: Access denied"));
	assert_null(v.trace->next->next->next);
	arena_free(&mem);
}

static void
traces(void **state)
{
	(void)state;
	check_trace("permit_mynetworks check_sender_access hash:t reject");
	check_trace("permit_mynetworks hash:t reject"); /* what a bare table means */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(helo_names),
		cmocka_unit_test(addresses),
		cmocka_unit_test(clients),
		cmocka_unit_test(bounces),
		cmocka_unit_test(logins),
		cmocka_unit_test(rewriting),
		cmocka_unit_test(pauses),
		cmocka_unit_test(traces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
