#include "access/access.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char tables[] = "hash:vbox a@vbox.test = a/\n"
		       "hash:local unix = x\n"
		       "hash:rrcpt r@relay.test = x\n";

static void
set(struct access_conf *c, enum access_stage stage, const char *text, struct arena *mem)
{
	assert_int_equal(
	    access_compile(str_c(text), NULL, mem, &c->list[stage], NULL), RC_OK);
}

static void
conf(struct access_conf *c, struct arena *mem)
{
	struct route_conf *r = arena_get(mem, sizeof(*r));

	testing_conf(r, mem);
	*c = (struct access_conf){
		.route = r,
		.mynetworks = testing_list("127.0.0.0/8", ROUTE_LIST_PARENTS, mem),
		.relay_before_recipient = true,
		.reject_unlisted_recipient = true,
		.reject_code = 554,
		.defer_code = 450,
		.relay_domains_reject_code = 554,
		.unknown_local_recipient_reject_code = 550,
		.unknown_virtual_alias_reject_code = 550,
		.unknown_virtual_mailbox_reject_code = 550,
		.unknown_relay_recipient_reject_code = 550,
	};
	set(c, ACCESS_RELAY,
	    "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
	    mem);
}

/* The reply, "ok", "dunno"; notes behind it. */
static const char *
run(const struct access_conf *c, enum access_stage stage, const char *addr,
    const char *rcpt)
{
	static char line[600];
	struct arena *mem = arena_new(1 << 18);
	struct access_request q = { .client_name = STR("c.test"),
		.client_addr = str_c(addr),
		.helo = STR("helo.test"),
		.sender = STR("s@vbox.test"),
		.has_sender = true,
		.recipient = str_c(rcpt) };
	struct access_state state = { 0 };
	struct access_verdict v;
	struct ask a;

	ask_init(&a, mem, 0);
	a.now = testing_tables;
	a.now_ctx = tables;
	assert_int_equal(access_run(&a, c, stage, &q, &state, &v), RC_OK);
	(void)snprintf(line, sizeof(line), "%.*s",
	    STR_ARG(v.what == ACCESS_REJECT ? v.reply
		    : v.what == ACCESS_OK   ? STR("ok")
					    : STR("dunno")));
	for (struct access_note *n = v.notes; n != NULL; n = n->next)
		(void)snprintf(line + strlen(line), sizeof(line) - strlen(line),
		    "|%s%.*s", n->what == ACCESS_WARNING ? "W " : "R ", STR_ARG(n->text));
	arena_free(&mem);
	return line;
}

static void
relay_control(void **state)
{
	static const struct {
		const char *addr, *rcpt, *out;
	} cases[] = {
		{ "127.0.0.1", "x@far.test", "dunno" },
		{ "192.0.2.9", "x@far.test",
		    "454 4.7.1 <x@far.test>: Relay access denied" },
		{ "192.0.2.9", "unix@mail.example.test", "dunno" },
		{ "192.0.2.9", "nobody@mail.example.test",
		    "550 5.1.1 <nobody@mail.example.test>: Recipient address rejected: "
		    "User "
		    "unknown in local recipient table" },
		{ "127.0.0.1", "b@vbox.test",
		    "550 5.1.1 <b@vbox.test>: Recipient address rejected: User unknown "
		    "in "
		    "virtual mailbox table" },
		{ "192.0.2.9", "r@relay.test", "dunno" },
		{ "192.0.2.9", "x%far.test@relay.test",
		    "454 4.7.1 <x%far.test@relay.test>: Relay access denied" },
		{ "192.0.2.9", "x%far.test@mail.example.test",
		    "454 4.7.1 <x%far.test@mail.example.test>: Relay access denied" },
		{ "192.0.2.9", "PostMaster", "dunno" },
		{ "192.0.2.9", "unix", "dunno" },
	};
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	conf(&c, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
		    run(&c, ACCESS_RECIPIENT, cases[i].addr, cases[i].rcpt),
		    cases[i].out);
	set(&c, ACCESS_RELAY, "permit_mynetworks reject_unauth_destination", mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, "192.0.2.9", "x@far.test"),
	    "554 5.7.1 <x@far.test>: Relay access denied");
	c.soft_bounce = true;
	assert_string_equal(run(&c, ACCESS_RECIPIENT, "192.0.2.9", "x@far.test"),
	    "454 4.7.1 <x@far.test>: Relay access denied");
	arena_free(&mem);
}

static void
lists(void **state)
{
	static const struct {
		enum access_stage stage;
		const char *list, *out;
	} cases[] = {
		{ ACCESS_CLIENT, "", "dunno" },
		{ ACCESS_CLIENT, "permit", "ok" },
		{ ACCESS_CLIENT, "reject",
		    "554 5.7.1 <c.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_HELO, "defer",
		    "450 4.3.2 <helo.test>: Helo command rejected: Try again later" },
		{ ACCESS_SENDER, "Reject",
		    "554 5.7.1 <s@vbox.test>: Sender address rejected: Access denied" },
		{ ACCESS_SENDER, "reject_unlisted_sender",
		    "550 5.1.0 <s@vbox.test>: Sender address rejected: User unknown in "
		    "virtual "
		    "mailbox table" },
		{ ACCESS_DATA, "reject",
		    "554 5.7.1 <DATA>: Data command rejected: Access denied" },
		{ ACCESS_END_OF_DATA, "reject",
		    "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied" },
		{ ACCESS_CLIENT, "permit_mynetworks, reject",
		    "554 5.7.1 <c.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_CLIENT, "permit reject",
		    "ok|W restriction `reject' after `permit' is ignored" },
		{ ACCESS_CLIENT, "warn_if_reject reject permit",
		    "ok|R 554 5.7.1 <c.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_CLIENT, "no_such_thing",
		    "451 4.3.5 Server configuration error|W unknown smtpd restriction: "
		    "\"no_such_thing\"" },
		{ ACCESS_CLIENT, "warn_if_reject no_such_thing permit",
		    "451 4.3.5 Server configuration error|W unknown smtpd restriction: "
		    "\"no_such_thing\"" },
		{ ACCESS_CLIENT, "hash:/x", "dunno" },
		{ ACCESS_DATA, "hash:/x",
		    "451 4.3.5 Server configuration error|W specify one of "
		    "(check_client_access, check_reverse_client_hostname_access, "
		    "check_helo_access, check_sender_access, check_recipient_access, "
		    "check_etrn_access) before Data command restriction \"hash:/x\"" },
		{ ACCESS_CLIENT, "defer_if_reject reject",
		    "450 4.7.0 <c.test[192.0.2.9]>: Client host rejected: "
		    "defer_if_reject "
		    "requested" },
		{ ACCESS_RECIPIENT, "defer_if_permit permit",
		    "450 4.7.0 <unix@mail.example.test>: Recipient address rejected: "
		    "defer_if_permit requested" },
		{ ACCESS_RECIPIENT, "defer_if_permit reject",
		    "554 5.7.1 <unix@mail.example.test>: Recipient address rejected: "
		    "Access "
		    "denied" },
	};
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		conf(&c, mem);
		set(&c, cases[i].stage, cases[i].list, mem);
		assert_string_equal(
		    run(&c, cases[i].stage, "192.0.2.9", "unix@mail.example.test"),
		    cases[i].out);
	}
	conf(&c, mem);
	c.mynetworks = testing_list("broken:", ROUTE_LIST_PARENTS, mem);
	assert_string_equal(
	    run(&c, ACCESS_RECIPIENT, "192.0.2.9", "unix@mail.example.test"),
	    "451 4.3.0 <unix@mail.example.test>: Temporary lookup failure|W broken:: "
	    "lookup of \"c.test\": out of order|W broken: lookup error for \"c.test\"");
	arena_free(&mem);
}

static void
protection(void **state)
{
	static const struct {
		const char *relay, *recipient;
		enum rc rc;
	} cases[] = {
		{ "", "", RC_PERM },
		{ "permit_mynetworks, reject_unauth_destination", "", RC_OK },
		{ "", "permit_mynetworks, DEFER", RC_OK },
		{ "permit, reject", "", RC_PERM },
		{ "warn_if_reject reject_unauth_destination", "", RC_PERM },
		{ "warn_if_reject reject, reject", "", RC_OK },
		{ "check_client_access reject", "", RC_PERM }, /* its argument */
	};
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	conf(&c, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		set(&c, ACCESS_RELAY, cases[i].relay, mem);
		set(&c, ACCESS_RECIPIENT, cases[i].recipient, mem);
		assert_int_equal(access_check_relay(&c, NULL), cases[i].rc);
	}
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relay_control),
		cmocka_unit_test(lists),
		cmocka_unit_test(protection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
