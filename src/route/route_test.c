#include "route/route.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char tables[] = "hash:valias alias.test = x\n"
		       "hash:valias both.test = x\n"
		       "hash:valias joe@alias.test = j@far.test\n"
		       "hash:vbox a@vbox.test = a/\n"
		       "hash:vbox @catchall.test = c/\n"
		       "hash:local unix = x\n"
		       "hash:rrcpt r@relay.test = x\n"
		       "hash:transport user+ext@t1.test = one:\n"
		       "hash:transport user@t1.test = two:[h]:25\n"
		       "hash:transport t1.test = :hop.test\n"
		       "hash:transport .t2.test = sub:s.test\n"
		       "hash:transport err@t1.test = error:5.2.1 mailbox disabled\n"
		       "hash:transport err2@t1.test = error:\n"
		       "hash:transport retry@t1.test = retry:4.2.1 try later\n"
		       "hash:transport none.test = :\n"
		       "re:transport pattern@p.test = pat:x\n"
		       "re:transport p.test = never:x\n"
		       "hash:transport fail.test = x\n"
		       "hash:sr s@here.test = [srelay]:587\n"
		       "hash:sr <> = DUNNO\n"
		       "hash:relocated gone@far.test = new@far.test\n";

static void
rewrite(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "user", "user@mail.example.test" },
		{ "user@host", "user@host.example.test" },
		{ "user@a.b", "user@a.b" },
		{ "user@a.b.", "user@a.b" },
		{ "user@a.b..", "user@a.b.." },
		{ "@", "" },
		{ "", "" },
		{ "a!b!c", "b!c@a.example.test" },
		{ "a.x!b", "b@a.x" },
		{ "user%a.b", "user@a.b" },
		{ "user%x%a.b", "user%x@a.b" },
		{ "\"a%b\"", "\"a%b\"@mail.example.test" },
		{ "@x,@y:user@a.b", "user@a.b" },
		{ "@x:@y:user@a.b", "user@a.b" },
		{ "user@[1.2.3.4]", "user@[1.2.3.4]" },
		{ "!a", "a@" },
		{ "a%", "a@" },
		{ "a%b.c%", "a@b.c" },
		{ "a.b!", "\"\"@a.b" },
		{ "%a.b", "\"\"@a.b" },
		{ "user@", "user@" },
		{ "\"a@b\"@c.d", "\"a@b\"@c.d" },
	};
	struct arena *mem = arena_new(1 << 16);
	struct route_conf c;

	(void)state;
	testing_conf(&c, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str out = STR("?");

		assert_int_equal(route_rewrite(&c, str_c(cases[i].in), mem, &out), RC_OK);
		if (!str_is(out, cases[i].out))
			fail_msg("%s: %.*s", cases[i].in, STR_ARG(out));
	}
	arena_free(&mem);
}

/* "class transport nexthop recipient[ bad][ routed][ !warning]" */
static const char *
resolved(struct route_conf *c, const char *sender, const char *address)
{
	static char line[400];
	struct arena *mem = arena_new(1 << 16);
	struct err e = { 0 };
	struct route r;
	struct ask a;
	enum rc rc;

	ask_init(&a, mem, 0);
	a.now = testing_tables;
	a.now_ctx = tables;
	rc = route_resolve(&a, c, str_c(sender), str_c(address), &r, &e);
	if (rc == RC_OK)
		(void)snprintf(line, sizeof(line), "%s|%.*s|%.*s|%.*s%s%s%s%.*s",
		    route_class_name(r.cls), STR_ARG(r.transport), STR_ARG(r.nexthop),
		    STR_ARG(r.recipient), r.is_bad ? "|bad" : "",
		    r.is_routed ? "|routed" : "", r.warning.n > 0 ? "|" : "",
		    STR_ARG(r.warning));
	else
		(void)snprintf(line, sizeof(line), "%s %s", rc_name(rc), e.text);
	arena_free(&mem);
	return line;
}

static void
resolve(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "u@mail.example.test",
		    "local|local|mail.example.test|u@mail.example.test" },
		{ "u", "local|local|mail.example.test|u@mail.example.test" },
		{ "u@LOCALHOST",
		    "local|local|mail.example.test|u@LOCALHOST.example.test" },
		{ "u@[192.0.2.1]", "local|local|mail.example.test|u@[192.0.2.1]" },
		{ "u@[IPv6:2001:db8::1]",
		    "local|local|mail.example.test|u@[IPv6:2001:db8::1]" },
		{ "u@[192.0.2.2]", "default|smtp|[192.0.2.2]|u@[192.0.2.2]" },
		{ "", "local|local|mail.example.test|MAILER-DAEMON@mail.example.test" },
		{ "joe@alias.test", "virtual alias|error|5.1.1 User unknown in virtual "
				    "alias table|joe@alias.test" },
		{ "jim@alias.test", "virtual alias|error|5.1.1 User unknown in virtual "
				    "alias table|jim@alias.test" },
		{ "a@vbox.test", "virtual mailbox|virtual|vbox.test|a@vbox.test" },
		{ "a@both.test",
		    "virtual alias|error|5.1.1 User unknown in virtual alias "
		    "table|a@both.test|"
		    "do not list domain both.test in BOTH virtual_alias_domains and "
		    "virtual_mailbox_domains" },
		{ "a@sub.vbox.test", "default|smtp|sub.vbox.test|a@sub.vbox.test" },
		{ "a@relay.test", "relay|relay|relay.test|a@relay.test" },
		{ "a@x.relay.test", "relay|relay|x.relay.test|a@x.relay.test" },
		{ "a@xrelay.test", "default|smtp|xrelay.test|a@xrelay.test" },
		{ "a@Far.Test", "default|smtp|far.test|a@Far.Test" },
		{ "a%far.test@mail.example.test", "default|smtp|far.test|a@far.test" },
		{ "\"@r:b\"@relay.test", "relay|relay|relay.test|b@relay.test" },
		{ "\"@r:b c\"@relay.test", "relay|relay|relay.test|\"b c\"@relay.test" },
		{ "a%far.test@relay.test",
		    "relay|relay|relay.test|a%far.test@relay.test|routed" },
		{ "\"a@far.test\"@mail.example.test",
		    "default|smtp|far.test|a@far.test" },
		{ "\"a@far.test\"@relay.test",
		    "relay|relay|relay.test|\"a@far.test\"@relay.test|routed" },
		{ "far.test!a@mail.example.test", "default|smtp|far.test|a@far.test" },
		{ "-x@far.test", "default|smtp|far.test|-x@far.test|bad" },
		{ "x@1.2.3.4", "default|smtp|1.2.3.4|x@1.2.3.4|bad" },
		{ "x@a..b", "default|smtp|a..b|x@a..b|bad" },
		{ "\"\"@mail.example.test", "local|local|mail.example.test|"
					    "MAILER-DAEMON@mail.example.test" },
		{ "\"@far.test\"@mail.example.test",
		    "default|smtp|far.test|\"\"@far.test" },
		{ "x@", "local|local|mail.example.test|x@|bad" },
		{ "user+ext@t1.test", "default|one|t1.test|user+ext@t1.test" },
		{ "user+more@t1.test", "default|two|[h]:25|user+more@t1.test" },
		{ "else@t1.test", "default|smtp|hop.test|else@t1.test" },
		{ "else@x.t1.test", "default|smtp|x.t1.test|else@x.t1.test" },
		{ "else@a.b.t2.test", "default|sub|s.test|else@a.b.t2.test" },
		{ "else@t2.test", "default|smtp|t2.test|else@t2.test" },
		{ "err@t1.test", "default|error|5.2.1 mailbox disabled|err@t1.test" },
		{ "err2@t1.test", "default|error|Address is undeliverable|err2@t1.test" },
		{ "x@none.test", "default|smtp|none.test|x@none.test" },
		{ "pattern@p.test", "default|pat|x|pattern@p.test" },
		{ "other@p.test", "default|smtp|p.test|other@p.test" },
		{ "gone@far.test",
		    "default|error|5.1.6 User has moved to new@far.test|gone@far.test" },
	};
	struct arena *mem = arena_new(1 << 16);
	struct route_conf c;

	(void)state;
	testing_conf(&c, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(resolved(&c, "s@x.test", cases[i].in), cases[i].out);
	c.relocated_prefix_enable = false; /* the table's text is all of it */
	assert_string_equal(resolved(&c, "s@x.test", "gone@far.test"),
	    "default|error|new@far.test|gone@far.test");
	c.relayhost = STR("[hub]:26");
	c.sender_dependent_relayhost_maps = testing_names("hash:sr", mem);
	assert_string_equal(
	    resolved(&c, "s@x.test", "a@far.test"), "default|smtp|[hub]:26|a@far.test");
	assert_string_equal(resolved(&c, "s@here.test", "a@far.test"),
	    "default|smtp|[srelay]:587|a@far.test");
	assert_string_equal(
	    resolved(&c, "", "a@far.test"), "default|smtp|[hub]:26|a@far.test");
	assert_string_equal(
	    resolved(&c, "", "a@relay.test"), "relay|relay|[hub]:26|a@relay.test");
	c.default_transport = STR("smtp:[fixed]");
	assert_string_equal(
	    resolved(&c, "", "a@far.test"), "default|smtp|[fixed]|a@far.test");
	c.transport_maps = testing_names("hash:transport broken:", mem);
	assert_string_equal(resolved(&c, "", "a@far.test"),
	    "temp broken:: lookup of \"a@far.test\": out of order");
	arena_free(&mem);
}

static void
listed(void **state)
{
	static const struct {
		const char *in;
		bool is_sender;
		const char *out; /* "": listed */
	} cases[] = {
		{ "unix@mail.example.test", false, "" },
		{ "unix+x@mail.example.test", false, "" },
		{ "PostMaster@mail.example.test", false, "" },
		{ "nobody@mail.example.test", false,
		    "550 5.1.1 User unknown in local recipient table" },
		{ "nobody@mail.example.test", true,
		    "550 5.1.0 User unknown in local recipient table" },
		{ "joe@alias.test", false, "" },
		{ "jim@alias.test", false,
		    "550 5.1.1 User unknown in virtual alias table" },
		{ "a@vbox.test", false, "" },
		{ "a+b@vbox.test", false, "" },
		{ "b@vbox.test", false,
		    "550 5.1.1 User unknown in virtual mailbox table" },
		{ "r@relay.test", false, "" },
		{ "q@relay.test", false,
		    "550 5.1.1 User unknown in relay recipient table" },
		{ "q@far.test", false, "" },
		{ "err@t1.test", false, "550 5.2.1 mailbox disabled (fixed)" },
		{ "err2@t1.test", false, "550 5.1.1 Address is undeliverable (fixed)" },
		{ "retry@t1.test", false, "450 4.2.1 try later (fixed)" },
	};
	struct arena *mem = arena_new(1 << 18);
	struct route_conf c;

	(void)state;
	testing_conf(&c, mem);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_unlisted why;
		char line[200] = "";
		struct ask a;
		enum rc rc;

		ask_init(&a, mem, 0);
		a.now = testing_tables;
		a.now_ctx = tables;
		rc = route_listed(&a, &c,
		    &(struct route_candidate){
			.address = str_c(cases[i].in), .is_sender = cases[i].is_sender },
		    &why);
		if (rc == RC_NONE)
			(void)snprintf(line, sizeof(line), "%u %.*s %.*s%s", why.code,
			    STR_ARG(why.dsn), STR_ARG(why.text),
			    why.code_fixed ? " (fixed)" : "");
		else
			assert_int_equal(rc, RC_OK);
		assert_string_equal(line, cases[i].out);
	}
	arena_free(&mem);
}

/* With every answer fetched instead of at hand the result is the same. */
static void
reruns(void **state)
{
	struct arena *mem = arena_new(1 << 16);
	struct route_conf c;
	struct route r;
	struct ask a;
	unsigned rounds = 0;

	(void)state;
	testing_conf(&c, mem);
	ask_init(&a, mem, 0);
	while (route_resolve(&a, &c, STR(""), STR("user+more@t1.test"), &r, NULL) ==
	       RC_MORE) {
		struct str value = { NULL, 0 };
		enum rc rc = testing_tables(tables, &a.wanted, mem, &value);

		ask_answer(&a, rc, value);
		rounds++;
	}
	assert_true(str_is(r.transport, "two"));
	assert_true(rounds >= 4);
	arena_free(&mem);
}

/* Names that are kept whole whatever the delimiter is. */
static void
extensions(void **state)
{
	static const struct {
		const char *local;
		size_t n;
	} rows[] = {
		{ "user-ext", 4 },
		{ "owner-x", 7 },
		{ "x-request", 9 },
		{ "mailer-daemon", 13 },
		{ "double-bounce", 6 },
		{ "Returned-Mail", 13 },
		{ "returned-mail-x", 8 },
	};
	struct arena *mem = arena_new(1 << 16);
	struct route_conf c;

	(void)state;
	testing_conf(&c, mem);
	c.recipient_delimiter = STR("-");
	c.owner_request_special = true;
	c.double_bounce_sender = STR("returned-mail");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(route_extension_at(&c, str_c(rows[i].local)), rows[i].n);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrite),
		cmocka_unit_test(resolve),
		cmocka_unit_test(listed),
		cmocka_unit_test(reruns),
		cmocka_unit_test(extensions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
