/* What tables say and what becomes of it: searches, actions, classes. Expected texts are
 * Postfix 3.7's, but where 3.12 differs. */
#include "access/testing.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* What a case has of its own; the rest is the usual client and message. */
struct test {
	enum access_stage stage;
	const char *list;
	const char *table; /* lines "key = value" of hash:t; '/' separates */
	const char *out;
};

#define usual    access_testing_request
#define conf     access_testing_conf
#define set      access_testing_set
#define run(...) access_testing_run(__VA_ARGS__).s

static void
play(const struct test *tests, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct arena *mem = arena_new(1 << 18);
		struct access_conf c;

		conf(&c, mem);
		set(&c, tests[i].stage, tests[i].list, mem);
		assert_string_equal(
		    run(&c, tests[i].stage, &usual, tests[i].table), tests[i].out);
		arena_free(&mem);
	}
}

#define FROM_SENDER "<s+x@d.e.test>: Sender address"

static void
actions(void **state)
{
	static const struct {
		const char *action, *out;
	} cases[] = {
		{ "OK", "ok" },
		{ "relay", "ok" },
		{ "OK whatever", "ok" },
		{ "12345", "ok" },
		{ "550", "ok" },
		{ "DUNNO", "dunno" },
		{ "Dunno foo", "dunno" },
		{ "REJECT", "554 5.7.1 " FROM_SENDER " rejected: Access denied" },
		{ "reject 5.7.9 go", "554 5.7.9 " FROM_SENDER " rejected: go" },
		{ "REJECT 5.7.9", "554 5.7.9 " FROM_SENDER " rejected: Access denied" },
		{ "REJECT 5.1 go", "554 5.7.1 " FROM_SENDER " rejected: 5.1 go" },
		{ "REJECT 4.7.0 go", "554 5.7.0 " FROM_SENDER " rejected: go" },
		{ "REJECT {", "554 5.7.1 " FROM_SENDER " rejected: {" },
		{ "REJECT 5.1.3 go", "554 5.1.7 " FROM_SENDER
				     " rejected: go|I: mapping DSN status 5.1.3 into "
				     "Sender address status 5.1.7" },
		{ "550 5.1.8 go", "550 5.1.8 " FROM_SENDER " rejected: go" },
		{ "550 5.1.9 go", "550 5.1.0 " FROM_SENDER
				  " rejected: go|I: mapping DSN status 5.1.9 into "
				  "Sender address status 5.1.0" },
		{ "DEFER", "450 4.7.1 " FROM_SENDER " rejected: Access denied" },
		{ "DEFER later", "450 4.7.1 " FROM_SENDER " rejected: later" },
		{ "421 4.7.0 bye", "421 4.7.0 " FROM_SENDER " rejected: bye" },
		{ "599 x\ty", "599 5.7.1 " FROM_SENDER " rejected: x y" },
		{ "DEFER_IF_PERMIT", "dunno" },
		{ "DEFER_IF_REJECT", "dunno" },
		{ "HOLD", "dunno|hold: " FROM_SENDER " triggers HOLD action|FX hold" },
		{ "HOLD why", "dunno|hold: " FROM_SENDER " why|FX hold" },
		{ "DISCARD",
		    "ok|discard: " FROM_SENDER " triggers DISCARD action|FX discard" },
		{ "FILTER smtp:x", "dunno|filter: " FROM_SENDER
				   " triggers FILTER smtp:x|FILTER smtp:x" },
		{ "FILTER", "dunno|W: access table hash:t entry \"s+x@d.e.test\" has "
			    "FILTER entry without value" },
		{ "FILTER x", "dunno|W: access table hash:t entry \"s+x@d.e.test\" "
			      "requires transport:destination" },
		{ "REDIRECT a@b", "dunno|redirect: " FROM_SENDER
				  " triggers REDIRECT a@b|REDIRECT a@b" },
		{ "REDIRECT a", "dunno|W: access table hash:t entry \"s+x@d.e.test\" "
				"requires user@domain target" },
		{ "REDIRECT a@b\rc",
		    "dunno|W: access table hash:t entry \"s+x@d.e.test\" "
		    "requires user@domain target" },
		{ "FILTER smtp:x\ry", "dunno|W: access table hash:t entry "
				      "\"s+x@d.e.test\" requires "
				      "transport:destination" },
		{ "BCC a@b\rc", "dunno|W: access table hash:t entry \"s+x@d.e.test\" "
				"requires user@domain target" },
		{ "BCC a@b", "dunno|bcc: " FROM_SENDER " triggers BCC a@b|BCC a@b" },
		{ "BCC", "dunno|W: access table hash:t entry \"s+x@d.e.test\" requires "
			 "user@domain target" },
		{ "PREPEND X-Y: z", "dunno|PREPEND X-Y: z" },
		{ "PREPEND no header", "dunno|W: access table hash:t entry "
				       "\"s+x@d.e.test\" requires header: text" },
		{ "INFO", "dunno|info: " },
		{ "INFO hello", "dunno|info: hello" },
		{ "WARN hello", "dunno|warn: hello" },
		{ "HANGUP bye", "421 4.7.1 Service unavailable|hangup: bye|FX hangup" },
		{ "reject_plaintext_session, permit",
		    "450 4.7.1 Session encryption is required" },
		{ "defer_if_permit permit", "dunno" }, /* the action, with a text */
		{ "permit_auth_destination, reject", "ok" },
		{ "warn_if_reject defer, permit",
		    "ok|reject_warning: 450 4.3.2 " FROM_SENDER
		    " rejected: Try again later" },
		{ "12345 abc", "451 4.3.5 Server configuration error|W: unknown smtpd "
			       "restriction: \"12345\"" },
		{ "399 text", "451 4.3.5 Server configuration error|W: unknown smtpd "
			      "restriction: \"399\"" },
		{ "nonsense", "451 4.3.5 Server configuration error|W: unknown smtpd "
			      "restriction: \"nonsense\"" },
		{ "permit }", "451 4.3.5 Server configuration error|W: access table "
			      "hash:t entry \"s+x@d.e.test\" has unbalanced braces" },
		{ "check_client_access hash:x, reject",
		    "451 4.3.5 Server configuration error|W: access table hash:t has "
		    "entry with lookup table: check_client_access hash:x, reject|W: do "
		    "not specify lookup tables inside SMTPD access maps|W: define a "
		    "restriction class and specify its name instead." },
		{ "sleep x", "451 4.3.5 Server configuration error|W: restriction sleep "
			     "must be followed by number" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char table[300];
		const struct test t = { ACCESS_SENDER, "check_sender_access hash:t",
			table, cases[i].out };

		(void)snprintf(
		    table, sizeof(table), "s+x@d.e.test = %s", cases[i].action);
		play(&t, 1);
	}
}

static void
searches(void **state)
{
	static const struct test tests[] = {
		/* a name and its parents before the address and its networks */
		{ ACCESS_CLIENT, "hash:t", "192.0.2.9=REJECT/test=OK", "ok" },
		{ ACCESS_CLIENT, "hash:t", "c.a.test=OK/a.test=REJECT", "ok" },
		{ ACCESS_CLIENT, "hash:t", "a.test=OK", "ok" },
		{ ACCESS_CLIENT, "hash:t", ".a.test=OK", "dunno" },
		{ ACCESS_CLIENT, "hash:t", "192.0.2.9=OK/192.0.2=REJECT", "ok" },
		{ ACCESS_CLIENT, "check_client_access hash:t", "192=DEFER",
		    "450 4.7.1 <c.a.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_CLIENT, "hash:t", "a.test=DUNNO/192=REJECT", "dunno" },
		{ ACCESS_CLIENT, "hash:t reject", "x=OK",
		    "554 5.7.1 <c.a.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_CLIENT, "check_client_access re:t, hash:t",
		    "a.test=REJECT 5.1.1 x",
		    "554 5.0.0 <c.a.test[192.0.2.9]>: Client host rejected: x|I: mapping "
		    "DSN status 5.1.1 into Client host status 5.0.0" },
		{ ACCESS_CLIENT, "check_reverse_client_hostname_access hash:t",
		    "rev.test=REJECT",
		    "554 5.7.1 <rev.test>: Unverified Client host rejected: Access "
		    "denied" },
		{ ACCESS_CLIENT, "check_reverse_client_hostname_access hash:t",
		    "192.0.2.9=OK",
		    "451 4.3.5 Server configuration error|W: restriction "
		    "check_reverse_client_hostname_access returns OK for rev.test|W: "
		    "this is not allowed for security reasons|W: use DUNNO instead of OK "
		    "if you want to make an exception" },
		{ ACCESS_CLIENT, "check_reverse_client_hostname_access hash:t",
		    "rev.test=DUNNO", "dunno" },
		{ ACCESS_HELO, "hash:t", "h.b.test=REJECT",
		    "554 5.7.1 <h.b.test>: Helo command rejected: Access denied" },
		{ ACCESS_HELO, "check_helo_access hash:t", "b.test=DEFER x",
		    "450 4.7.1 <h.b.test>: Helo command rejected: x" },
		{ ACCESS_SENDER, "hash:t", "s@d.e.test=OK/d.e.test=REJECT", "ok" },
		{ ACCESS_SENDER, "hash:t", "d.e.test=OK/s@=REJECT", "ok" },
		{ ACCESS_SENDER, "hash:t", "e.test=OK/s+x@=REJECT", "ok" },
		{ ACCESS_SENDER, "hash:t", "s+x@=OK/s@=REJECT", "ok" },
		{ ACCESS_SENDER, "hash:t", "s@=OK", "ok" },
		{ ACCESS_SENDER, "hash:t", "s=OK/@d.e.test=OK", "dunno" },
		{ ACCESS_RECIPIENT, "check_sender_access hash:t", "s@=REJECT",
		    "554 5.7.1 " FROM_SENDER " rejected: Access denied" },
		{ ACCESS_RECIPIENT, "hash:t", "unix@=REJECT 5.1.7 no",
		    "554 5.1.3 <unix@mail.example.test>: Recipient address rejected: "
		    "no|I: mapping DSN status 5.1.7 into Recipient address status "
		    "5.1.3" },
		{ ACCESS_RECIPIENT, "check_client_access hash:t", "192.0=REJECT",
		    "554 5.7.1 <c.a.test[192.0.2.9]>: Client host rejected: Access "
		    "denied" },
		{ ACCESS_DATA, "check_recipient_access hash:t", "unix@=REJECT",
		    "554 5.7.1 <unix@mail.example.test>: Recipient address rejected: "
		    "Access denied" },
		{ ACCESS_RECIPIENT, "check_sasl_access hash:t", "unix@=REJECT",
		    "dunno|W: restriction `check_sasl_access' ignored: no SASL "
		    "support" },
		{ ACCESS_CLIENT, "check_ccert_access { hash:t { search_order = x } }",
		    "192=REJECT",
		    "dunno|W: check_ccert_access is requested, but "
		    "\"smtpd_tls_ask_ccert = no\"" },
		{ ACCESS_CLIENT, "permit_tls_clientcerts permit_tls_all_clientcerts",
		    "x=OK", "dunno" },
		{ ACCESS_RECIPIENT, "check_sender_access reject", "x=OK",
		    "451 4.3.5 Server configuration error|W: restriction "
		    "check_sender_access: bad argument \"reject\": need "
		    "maptype:mapname" },
		{ ACCESS_RECIPIENT, "check_sender_access", "x=OK",
		    "451 4.3.5 Server configuration error|W: restriction "
		    "check_sender_access: bad argument \"check_sender_access\": need "
		    "maptype:mapname" },
		{ ACCESS_SENDER, "check_sender_access broken:", "x=OK",
		    "451 4.3.5 " FROM_SENDER
		    " rejected: Server configuration error|W: broken:: lookup of "
		    "\"s+x@d.e.test\": out of order|W: broken: lookup error for "
		    "\"s+x@d.e.test\"" },
	};

	(void)state;
	play(tests, ARRAY_LEN(tests));
}

/* Requests that differ from the usual one. */
static void
requests(void **state)
{
	struct access_request null = usual, routed = usual, v6 = usual, dotted = usual,
			      login = usual, quoted = usual;
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	null.sender = STR("");
	routed.recipient = STR("x%far.test@relay.test");
	v6.client_name = STR("unknown");
	v6.client_addr = STR("2001:db8::9");
	dotted.helo = STR("192.0.2.9");
	login.sasl_username = STR("joe");
	quoted.sender = STR("\"a b\"@d.e.test");
	conf(&c, mem);
	set(&c, ACCESS_SENDER, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_SENDER, &null, "<>=REJECT"),
	    "554 5.7.1 <>: Sender address rejected: Access denied");
	assert_string_equal(run(&c, ACCESS_SENDER, &quoted, "\"a b\"@=OK"), "ok");
	assert_string_equal(run(&c, ACCESS_SENDER, &quoted, "\"a b\"@=BCC"),
	    "dunno|W: access table hash:t entry \"\"a b\"@d.e.test\" requires "
	    "user@domain target");
	assert_string_equal(run(&c, ACCESS_SENDER, &quoted, "a b@d.e.test=REJECT"),
	    "554 5.7.1 <a b@d.e.test>: Sender address rejected: Access denied");
	set(&c, ACCESS_RECIPIENT, "hash:t reject", mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "unix@=OK"), "ok");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &routed, "relay.test=OK"),
	    "554 5.7.1 <x%far.test@relay.test>: Recipient address rejected: "
	    "Access denied");
	c.allow_untrusted_routing = true;
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &routed, "relay.test=OK"), "ok");
	set(&c, ACCESS_CLIENT, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_CLIENT, &v6, "2001:db8=OK"), "ok");
	assert_string_equal(run(&c, ACCESS_CLIENT, &v6, "unknown=OK"), "ok");
	c.parents = false;
	assert_string_equal(run(&c, ACCESS_CLIENT, &usual, "a.test=OK"), "dunno");
	assert_string_equal(run(&c, ACCESS_CLIENT, &usual, ".test=OK"), "ok");
	set(&c, ACCESS_HELO, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_HELO, &dotted, "192.0=OK/.9=OK"), "dunno");
	c.sasl_auth_enable = true;
	set(&c, ACCESS_CLIENT, "check_sasl_access hash:t", mem);
	assert_string_equal(run(&c, ACCESS_CLIENT, &usual, "joe=REJECT no"), "dunno");
	assert_string_equal(run(&c, ACCESS_CLIENT, &login, "joe=REJECT no"),
	    "554 5.7.1 <joe>: SASL login name rejected: no");
	arena_free(&mem);
}

/* Actions that change a message, where there is none, or where it is not ours. */
static void
not_available(void **state)
{
	struct access_request early = usual, etrn = usual, held = usual, gone = usual;
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	early.has_sender = etrn.has_sender = false;
	early.sender = early.recipient = STR("");
	etrn.etrn_domain = STR("e.test");
	held.is_held = true;
	gone.is_discarding = true;
	conf(&c, mem);
	set(&c, ACCESS_CLIENT, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_CLIENT, &early, "192=PREPEND X: y"),
	    "dunno|W: access table hash:t: with smtpd_delay_reject=no, action PREPEND is "
	    "always skipped in Client host or Helo command restrictions");
	assert_string_equal(run(&c, ACCESS_CLIENT, &early, "192=DISCARD"),
	    "dunno|W: access table hash:t: with smtpd_delay_reject=no, action DISCARD is "
	    "always skipped in Client host or Helo command restrictions");
	assert_string_equal(run(&c, ACCESS_CLIENT, &held, "192=HOLD"), "dunno");
	set(&c, ACCESS_CLIENT, "reject", mem);
	assert_string_equal(run(&c, ACCESS_CLIENT, &gone, "x=OK"), "dunno");
	set(&c, ACCESS_ETRN, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_ETRN, &etrn, "e.test=HOLD"),
	    "dunno|W: access table hash:t: action HOLD is unavailable in "
	    "smtpd_etrn_restrictions");
	assert_string_equal(run(&c, ACCESS_ETRN, &etrn, "e.test=REJECT no"),
	    "554 5.7.1 <e.test>: Etrn command rejected: no");
	set(&c, ACCESS_END_OF_DATA, "check_client_access hash:t", mem);
	assert_string_equal(run(&c, ACCESS_END_OF_DATA, &usual, "192=PREPEND X: y"),
	    "dunno|W: access table hash:t: action PREPEND must be used before "
	    "smtpd_end_of_data_restrictions");
	c.has_proxy_filter = true;
	set(&c, ACCESS_SENDER, "hash:t", mem);
	assert_string_equal(run(&c, ACCESS_SENDER, &usual, "s@=REDIRECT a@b"),
	    "dunno|W: access table hash:t: with smtpd_proxy_filter specified, action "
	    "REDIRECT is unavailable");
	assert_string_equal(
	    run(&c, ACCESS_SENDER, &usual, "s@=PREPEND X: y"), "dunno|PREPEND X: y");
	arena_free(&mem);
}

/* Several actions in one event: the last address, all headers and copies. */
static void
effects_add_up(void **state)
{
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	conf(&c, mem);
	set(&c, ACCESS_RECIPIENT,
	    "check_client_access hash:t check_helo_access hash:t check_sender_access "
	    "hash:t check_recipient_access hash:t",
	    mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual,
				"192=BCC a@b/b.test=BCC c@d/s@=PREPEND X: 1/"
				"unix@=PREPEND Y: 2"),
	    "dunno|bcc: <c.a.test[192.0.2.9]>: Client host triggers BCC a@b|bcc: "
	    "<h.b.test>: Helo command triggers BCC c@d|PREPEND X: 1|PREPEND Y: 2|BCC "
	    "a@b|BCC c@d");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual,
				"192=REDIRECT a@b/b.test=REDIRECT c@d/s@=HOLD/"
				"unix@=HOLD"),
	    "dunno|redirect: <c.a.test[192.0.2.9]>: Client host triggers REDIRECT "
	    "a@b|redirect: <h.b.test>: Helo command triggers REDIRECT c@d|hold: "
	    "<s+x@d.e.test>: Sender address triggers HOLD action|REDIRECT c@d|FX hold");
	/* What was held stays held when the recipient is refused. */
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=HOLD x/unix@=REJECT"),
	    "554 5.7.1 <unix@mail.example.test>: Recipient address rejected: Access "
	    "denied|hold: <s+x@d.e.test>: Sender address x|FX hold");
	assert_string_equal(
	    run(&c, ACCESS_RECIPIENT, &usual, "192=DISCARD x/unix@=REJECT"),
	    "ok|discard: <c.a.test[192.0.2.9]>: Client host x|FX discard");
	arena_free(&mem);
}

static void
deferrals(void **state)
{
	static const struct test tests[] = {
		{ ACCESS_RECIPIENT, "check_sender_access hash:t permit",
		    "s@=DEFER_IF_PERMIT 4.2.1 wait",
		    "450 4.2.1 " FROM_SENDER " rejected: wait" },
		{ ACCESS_RECIPIENT, "check_sender_access hash:t reject",
		    "s@=DEFER_IF_PERMIT",
		    "554 5.7.1 <unix@mail.example.test>: Recipient address rejected: "
		    "Access denied" },
		{ ACCESS_RECIPIENT, "check_sender_access hash:t reject",
		    "s@=DEFER_IF_REJECT",
		    "450 4.7.1 " FROM_SENDER " rejected: Service unavailable" },
		{ ACCESS_RECIPIENT, "warn_if_reject check_sender_access hash:t permit",
		    "s@=DEFER_IF_PERMIT",
		    "ok|reject_warning: 450 4.7.1 " FROM_SENDER
		    " rejected: Service unavailable" },
		{ ACCESS_RECIPIENT, "warn_if_reject defer_if_reject reject", "x=OK",
		    "450 4.7.0 <unix@mail.example.test>: Recipient address rejected: "
		    "defer_if_reject requested" },
		/* compat: both at once end the list, and the first reason counts */
		{ ACCESS_RECIPIENT,
		    "defer_if_permit defer_if_reject check_sender_access hash:t",
		    "s@=REJECT",
		    "450 4.7.0 <unix@mail.example.test>: Recipient address rejected: "
		    "defer_if_permit requested" },
		{ ACCESS_RECIPIENT, "defer_if_permit check_sender_access hash:t",
		    "s@=DEFER_IF_PERMIT second",
		    "450 4.7.0 <unix@mail.example.test>: Recipient address rejected: "
		    "defer_if_permit requested" },
	};

	(void)state;
	play(tests, ARRAY_LEN(tests));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions),
		cmocka_unit_test(searches),
		cmocka_unit_test(requests),
		cmocka_unit_test(not_available),
		cmocka_unit_test(effects_add_up),
		cmocka_unit_test(deferrals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
