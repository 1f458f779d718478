/* Restrictions that ask the DNS, policy services and address verification, with answers
 * from a table. */
#include "access/access.h"
#include "access/dns_int.h"
#include "access/testing.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* "TYPE key=value|value", "TYPE key" alone: trouble, "TYPE key=" malformed. What is not
 * here does not exist. */
static const char *const answers[] = {
	"A 10.2.0.192.dnsbl.test=127.0.0.4|127.0.0.9",
	"TXT 10.2.0.192.dnsbl.test=see|http://x.test/",
	"A 11.2.0.192.dnsbl.test=127.0.0.2",
	"A 10.2.0.192.fail.test",
	"A 10.2.0.192.broken.test=",
	"A 10.2.0.192.white.test=127.0.0.3",
	("A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
	 ".dnsbl.test=127.0.0.2"),
	"A bad.test.rhsbl.test=127.0.0.2",
	"TXT bad.test.rhsbl.test=says no",
	"A c.test.white.test=127.0.0.2",
	"MX null.test=0 .",
	"MX good.test=10 mx.good.test",
	"A onlya.test=192.0.2.1",
	"AAAA onlyaaaa.test=2001:db8::1",
	"MX servfail.test",
	"MX broken.test=",
	"MX half.test",
	"A half.test=192.0.2.1",
	"HOST mx.good.test=192.0.2.7|2001:db8::7",
	"HOST onlya.test=192.0.2.1",
	"HOST evil.test=203.0.113.9",
	"NS nsdom.test=ns.evil.test",
	"HOST ns.evil.test=203.0.113.9",
	"MX two.test=10 a.test|20 mail.example.test",
	"MX first.test=10 mail.example.test|20 a.test",
	"MX three.test=10 a.test|20 alias.test",
	"HOST a.test=198.51.100.1",
	"HOST alias.test=192.0.2.1",
	"MX unsure.test=10 lost.test|20 alias.test",
	"MX byname.test=10 lost.test|20 mail.example.test",
	"HOST lost.test",
	"MX lame.test",
	("sender ok@good.test=0 2.1.5 fine"),
	("sender no@good.test=2 5.1.1 host x said: 550 no such user"),
	("sender later@good.test=1 4.2.0 try again"),
	("sender probing@good.test=3 "),
	("sender odd@good.test=7 what"),
	("sender lost@good.test"),
	("recipient no@vbox.test=2 5.1.1 gone"),
	("hash:/mx evil.test=REJECT by name"),
	("hash:/mx 203.0.113.9=REJECT by address"),
	("hash:/mx mx.good.test=OK"),
	("hash:/mx 192.0.2=REJECT by network"),
	("hash:/replies dnsbl.test=521 5.7.99 $rbl_class: ${rbl_reason?{why: "
	 "$rbl_reason}:{no reason}} $$1"),
	("hash:/replies dnsbl.test=127.0.0.2=450 just $rbl_what"),
	("hash:/replies white.test=$nonsense"),
	("hash:/replies rhsbl.test=hello $client"),
};

static char request[4000];

/* The value's lines in the arena. */
static struct str
lines_of(struct str value, struct arena *mem)
{
	char *p = arena_get(mem, value.n + 2);

	memcpy(p, value.p, value.n);
	for (size_t i = 0; i < value.n; i++)
		if (p[i] == '|')
			p[i] = '\n';
	if (value.n > 0)
		p[value.n++] = '\n';
	return str_n(p, value.n);
}

static enum rc
answer(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	char head[300];

	(void)ctx;
	if (q->kind == ASK_POLICY) {
		(void)snprintf(request, sizeof(request), "%.*s", STR_ARG(q->key));
		*out = STR("450 4.7.9 policy");
		return RC_OK;
	}
	(void)snprintf(
	    head, sizeof(head), "%.*s %.*s", STR_ARG(q->source), STR_ARG(q->key));
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct str line = str_c(answers[i]);

		if (str_is(line, head))
			return RC_TEMP;
		if (!str_starts(line, str_c(head)) || line.p[strlen(head)] != '=')
			continue;
		*out = str_from(line, strlen(head) + 1);
		if (q->kind == ASK_DNS)
			*out = lines_of(*out, mem);
		return RC_OK;
	}
	*out = STR("Host not found");
	return RC_NONE;
}

static const char filter[] = "\\t\\40!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRS"
			     "TUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

static void
conf(struct access_conf *c, struct arena *mem)
{
	struct route_conf *r = arena_get(mem, sizeof(*r));
	struct addr_ip *own = arena_get(mem, sizeof(*own));

	access_testing_conf(c, mem);
	*r = *c->route;
	assert_int_equal(addr_ip_parse(STR("192.0.2.1"), own), RC_OK);
	r->own_addrs = own;
	r->n_own_addrs = 1;
	c->route = r;
	c->relay_before_recipient = false;
	c->maps_rbl_reject_code = 554;
	c->unknown_address_reject_code = 450;
	c->unknown_hostname_reject_code = 450;
	c->unverified_sender_reject_code = 450;
	c->unverified_sender_defer_code = 450;
	c->unverified_recipient_reject_code = 550;
	c->unverified_recipient_defer_code = 450;
	c->unknown_address_waits = true;
	c->unknown_helo_hostname_waits = true;
	c->unverified_sender_waits = true;
	c->unverified_recipient_waits = true;
	c->expansion_filter = str_c(filter);
	c->policy_service_policy_context = STR("general");
	c->compatibility_level = STR("3.6");
	c->mail_version = STR("3.12.0");
	c->default_rbl_reply = STR("$rbl_code Service unavailable; $rbl_class "
				   "[$rbl_what] blocked using "
				   "$rbl_domain${rbl_reason?; $rbl_reason}");
}

struct facts {
	const char *addr, *name, *helo, *sender, *rcpt;
};

static const struct facts usual = { "192.0.2.10", "c.test", "helo.test", "s@good.test",
	"x@vbox.test" };

/* The reply, "ok", "dunno", "[reply]" when it waits for a permit; warnings behind it. */
static const char *
run(const struct access_conf *c, enum access_stage stage, const struct facts *f)
{
	static char line[1000];
	struct arena *mem = arena_new(1 << 18);
	const struct access_request q = { .client_name = str_c(f->name),
		.client_reverse_name = str_c(f->name),
		.client_addr = str_c(f->addr),
		.client_port = STR("4711"),
		.helo = str_c(f->helo),
		.sender = str_c(f->sender),
		.has_sender = true,
		.recipient = str_c(f->rcpt),
		.state = STR("RCPT"),
		.protocol = STR("ESMTP"),
		.n_rcpt = 3,
		.size = 77 };
	struct access_state state = { 0 };
	struct access_verdict v;
	struct str say;
	struct ask a;

	ask_init(&a, mem, 0);
	a.now = answer;
	assert_int_equal(access_run(&a, c, stage, &q, &state, &v), RC_OK);
	say = v.what == ACCESS_REJECT ? v.reply
	      : v.what == ACCESS_OK   ? STR("ok")
				      : STR("dunno");
	(void)snprintf(line, sizeof(line), "%.*s", STR_ARG(say));
	if (v.what != ACCESS_REJECT && state.defer_if_permit.n > 0)
		(void)snprintf(
		    line, sizeof(line), "[%.*s]", STR_ARG(state.defer_if_permit));
	for (struct access_note *n = v.notes; n != NULL; n = n->next)
		(void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "|%.*s",
		    STR_ARG(n->text));
	arena_free(&mem);
	return line;
}

struct
try {
	const char *list;
	struct facts f; /* NULL: as usual */
	const char *out;
};

static void
try_all(const struct try *t, size_t n, enum access_stage stage,
    void (*change)(struct access_conf *c, struct arena *mem))
{
	for (size_t i = 0; i < n; i++) {
		struct arena *mem = arena_new(1 << 18);
		struct facts f = t[i].f;
		struct access_conf c;

		conf(&c, mem);
		if (change != NULL)
			change(&c, mem);
		f.addr = f.addr != NULL ? f.addr : usual.addr;
		f.name = f.name != NULL ? f.name : usual.name;
		f.helo = f.helo != NULL ? f.helo : usual.helo;
		f.sender = f.sender != NULL ? f.sender : usual.sender;
		f.rcpt = f.rcpt != NULL ? f.rcpt : usual.rcpt;
		assert_int_equal(
		    access_compile(str_c(t[i].list), NULL, mem, &c.list[stage], NULL),
		    RC_OK);
		assert_string_equal(run(&c, stage, &f), t[i].out);
		arena_free(&mem);
	}
}

#define LISTED "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using "
#define REASON "; see / http://x.test/"
#define ERROR_OF(name, why)                                                              \
	"|" name ": RBL lookup error: Host or domain name not found. Name service "      \
	"error for name=" name " type=A: " why

static void
lists_of_clients(void **state)
{
	static const struct try tries[] = {
		{ "reject_rbl_client dnsbl.test", { 0 }, LISTED "dnsbl.test" REASON },
		{ "reject_rbl dnsbl.test", { 0 }, LISTED "dnsbl.test" REASON },
		{ "reject_rbl_client dnsbl.test", { .addr = "192.0.2.12" }, "dunno" },
		{ "reject_rbl_client dnsbl.test", { .addr = "192.0.2.11" },
		    "554 5.7.1 Service unavailable; Client host [192.0.2.11] blocked "
		    "using dnsbl.test" },
		{ "reject_rbl_client dnsbl.test", { .addr = "2001:db8::1" },
		    "554 5.7.1 Service unavailable; Client host [2001:db8::1] blocked "
		    "using dnsbl.test" },
		{ "reject_rbl_client dnsbl.test", { .addr = "nonsense" }, "dunno" },
		{ "reject_rbl_client dnsbl.test=127.0.0.[2;9]", { 0 },
		    LISTED "dnsbl.test" REASON },
		{ "reject_rbl_client dnsbl.test=127.0.0.[2..3]", { 0 }, "dunno" },
		{ "reject_rbl_client dnsbl.test=127.0.0", { 0 },
		    "451 4.3.5 Server configuration error|bad DNS list filter: "
		    "dnsbl.test=127.0.0" },
		{ "reject_rbl_client fail.test", { 0 },
		    "dunno" ERROR_OF("10.2.0.192.fail.test", "") },
		{ "reject_rbl_client broken.test", { 0 },
		    "dunno" ERROR_OF("10.2.0.192.broken.test",
			"Malformed or unexpected name server reply") },
		{ "reject_rbl_client", { 0 },
		    "dunno|restriction reject_rbl_client requires domain name argument" },
		{ "warn_if_reject reject_rbl_client dnsbl.test, permit", { 0 },
		    "ok|" LISTED "dnsbl.test" REASON },
		/* A white list permits what is for us anyway, and fails closed. */
		{ "permit_dnswl_client white.test, reject", { .rcpt = "a@vbox.test" },
		    "ok" },
		{ "permit_dnswl_client white.test", { .rcpt = "x@far.test" }, "dunno" },
		{ "permit_dnswl_client fail.test, reject", { 0 },
		    "450 4.7.1 <192.0.2.10>: Client host rejected: Service "
		    "unavailable" ERROR_OF("10.2.0.192.fail.test", "") },
		{ "permit_rhswl_client white.test, reject", { .rcpt = "a@vbox.test" },
		    "ok" },
		{ "permit_rhswl_client white.test", { .name = "unknown" }, "dunno" },
	};

	(void)state;
	try_all(tries, ARRAY_LEN(tries), ACCESS_CLIENT, NULL);
}

static void
lists_of_domains(void **state)
{
	static const struct try tries[] = {
		{ "reject_rhsbl_client rhsbl.test", { .name = "bad.test" },
		    "554 5.7.1 Service unavailable; Client host [bad.test] blocked "
		    "using rhsbl.test; says no" },
		{ "reject_rhsbl_reverse_client rhsbl.test", { .name = "bad.test" },
		    "554 5.7.1 Service unavailable; Unverified Client host [bad.test] "
		    "blocked using rhsbl.test; says no" },
		{ "reject_rhsbl_client rhsbl.test", { .name = "unknown" }, "dunno" },
		{ "reject_rhsbl_helo rhsbl.test", { .helo = "bad.test" },
		    "554 5.7.1 Service unavailable; Helo command [bad.test] blocked "
		    "using rhsbl.test; says no" },
		{ "reject_rhsbl_helo rhsbl.test", { .helo = "[192.0.2.1]" }, "dunno" },
		{ "reject_rhsbl_sender rhsbl.test=127.0.0.2",
		    { .sender = "\"a b\"@bad.test" },
		    "554 5.7.1 Service unavailable; Sender address [a b@bad.test] "
		    "blocked using rhsbl.test; says no" },
		{ "reject_rhsbl_sender rhsbl.test", { .sender = "" }, "dunno" },
		{ "reject_rhsbl_sender rhsbl.test", { .sender = "x@192.0.2.1" },
		    "dunno" },
		{ "reject_rhsbl_recipient rhsbl.test", { .rcpt = "x@bad.test" },
		    "554 5.7.1 Service unavailable; Recipient address [x@bad.test] "
		    "blocked using rhsbl.test; says no" },
	};

	(void)state;
	try_all(tries, ARRAY_LEN(tries), ACCESS_RECIPIENT, NULL);
}

static void
with_replies(struct access_conf *c, struct arena *mem)
{
	c->rbl_reply_maps = testing_names("hash:/replies", mem);
}

static void
with_bad_default(struct access_conf *c, struct arena *mem)
{
	(void)mem;
	c->default_rbl_reply = STR("$rbl_code ${rbl_what");
}

static void
reply_texts(void **state)
{
	static const struct try tries[] = {
		{ "reject_rbl_client dnsbl.test", { 0 },
		    "521 5.7.99 Client host: why: see / http://x.test/ $1" },
		{ "reject_rbl_client dnsbl.test=127.0.0.2", { .addr = "192.0.2.11" },
		    "450 4.7.1 just 192.0.2.11" },
		{ "reject_rbl_client dnsbl.test=127.0.0.4", { 0 },
		    "521 5.7.99 Client host: why: see / http://x.test/ $1" },
		{ "reject_rbl_client white.test", { 0 },
		    "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked "
		    "using white.test|unknown macro name \"nonsense\" in expansion "
		    "request|rbl_reject_reply: bad rbl reply template for domain "
		    "white.test: $nonsense" },
		{ "reject_rhsbl_helo rhsbl.test", { .helo = "bad.test" },
		    "450 4.7.1 Service unavailable|rbl response code configuration "
		    "error: hello c.test[192.0.2.10]" },
	};
	static const struct try bad[] = {
		{ "reject_rbl_client dnsbl.test", { 0 },
		    "450 4.7.1 Service unavailable|rbl_reject_reply: bad default rbl "
		    "reply template: $rbl_code ${rbl_what" },
	};

	(void)state;
	try_all(tries, ARRAY_LEN(tries), ACCESS_CLIENT, with_replies);
	try_all(bad, ARRAY_LEN(bad), ACCESS_CLIENT, with_bad_default);
}

static void
names(void **state)
{
	static const struct try helo[] = {
		{ "reject_unknown_helo_hostname", { .helo = "onlya.test" }, "dunno" },
		{ "reject_unknown_helo_hostname", { .helo = "onlyaaaa.test" }, "dunno" },
		{ "reject_unknown_hostname", { .helo = "good.test" }, "dunno" },
		{ "reject_unknown_helo_hostname", { .helo = "null.test" }, "dunno" },
		{ "reject_unknown_helo_hostname", { .helo = "half.test" }, "dunno" },
		{ "reject_unknown_helo_hostname", { .helo = "no.test" },
		    "450 4.7.1 <no.test>: Helo command rejected: Host not found" },
		{ "reject_unknown_helo_hostname", { .helo = "a..good.test" },
		    "450 4.7.1 <a..good.test>: Helo command rejected: Host not found" },
		{ "reject_unknown_helo_hostname", { .helo = ".good.test" },
		    "450 4.7.1 <.good.test>: Helo command rejected: Host not found" },
		{ "reject_unknown_helo_hostname", { .helo = "broken.test" },
		    "450 4.7.1 <broken.test>: Helo command rejected: Malformed DNS "
		    "server reply" },
		{ "reject_unknown_helo_hostname", { .helo = "servfail.test" },
		    "[450 4.7.1 <servfail.test>: Helo command rejected: Host not "
		    "found]" },
		{ "reject_unknown_helo_hostname", { .helo = "[1.2.3]" },
		    "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address" },
	};
	static const struct try sender[] = {
		{ "reject_unknown_sender_domain", { 0 }, "dunno" },
		{ "reject_unknown_sender_domain", { .sender = "" }, "dunno" },
		{ "reject_unknown_sender_domain", { .sender = "x@vbox.test" }, "dunno" },
		{ "reject_unknown_sender_domain", { .sender = "x@[192.0.2.9]" },
		    "dunno" },
		{ "reject_unknown_address", { .sender = "x@no.test" },
		    "450 4.1.8 <x@no.test>: Sender address rejected: Domain not found" },
		{ "reject_unknown_sender_domain", { .sender = "x@null.test" },
		    "550 5.7.27 <x@null.test>: Sender address rejected: Domain "
		    "null.test does not accept mail (nullMX)" },
		{ "reject_unknown_sender_domain", { .sender = "x@servfail.test" },
		    "[450 4.1.8 <x@servfail.test>: Sender address rejected: Domain not "
		    "found]" },
		{ "reject_unknown_sender_domain", { .sender = "x@broken.test" },
		    "450 4.1.8 <x@broken.test>: Sender address rejected: Malformed DNS "
		    "server reply" },
	};
	static const struct try rcpt[] = {
		{ "reject_unknown_recipient_domain", { .rcpt = "x@onlya.test" },
		    "dunno" },
		{ "reject_unknown_recipient_domain", { .rcpt = "x@no.test" },
		    "450 4.1.2 <x@no.test>: Recipient address rejected: Domain not "
		    "found" },
		{ "reject_unknown_recipient_domain", { .rcpt = "x@null.test" },
		    "556 5.1.10 <x@null.test>: Recipient address rejected: Domain "
		    "null.test does not accept mail (nullMX)" },
		/* Waiting for a permit ends with the lists of RCPT. */
		{ "reject_unknown_recipient_domain, permit",
		    { .rcpt = "x@servfail.test" },
		    "450 4.1.2 <x@servfail.test>: Recipient address rejected: Domain "
		    "not found" },
	};

	(void)state;
	try_all(helo, ARRAY_LEN(helo), ACCESS_HELO, NULL);
	try_all(sender, ARRAY_LEN(sender), ACCESS_SENDER, NULL);
	try_all(rcpt, ARRAY_LEN(rcpt), ACCESS_RECIPIENT, NULL);
}

static void
servers_of_domains(void **state)
{
	static const struct try tries[] = {
		{ "check_sender_mx_access hash:/mx", { .sender = "x@evil.test" },
		    "554 5.7.1 <x@evil.test>: Sender address rejected: by name" },
		{ "check_sender_mx_access hash:/mx", { .sender = "x@null.test" },
		    "dunno" },
		{ "check_sender_mx_access hash:/mx", { .sender = "" }, "dunno" },
		{ "check_sender_mx_access hash:/mx", { .sender = "x@[203.0.113.9]" },
		    "554 5.7.1 <x@[203.0.113.9]>: Sender address rejected: by "
		    "address" },
		{ "check_sender_ns_access hash:/mx", { .sender = "x@[203.0.113.9]" },
		    "dunno" },
		{ "check_sender_ns_access hash:/mx", { .sender = "x@a.b.nsdom.test" },
		    "554 5.7.1 <x@a.b.nsdom.test>: Sender address rejected: by name" },
		{ "check_sender_a_access hash:/mx", { .sender = "x@evil.test" },
		    "554 5.7.1 <x@evil.test>: Sender address rejected: by address" },
		{ "check_sender_a_access hash:/mx", { .sender = "x@onlya.test" },
		    "554 5.7.1 <x@onlya.test>: Sender address rejected: by network" },
		{ "check_sender_a_access hash:/mx", { .sender = "x@no.test" }, "dunno" },
		{ "check_sender_mx_access hash:/mx", { .sender = "x@no.test" },
		    "dunno|Unable to look up MX host no.test for Sender address "
		    "x@no.test: Name or service not known" },
		{ "check_sender_mx_access hash:/mx", { .sender = "x@servfail.test" },
		    "dunno|Unable to look up MX host for servfail.test: " },
		{ "check_sender_ns_access hash:/mx", { .sender = "x@no.test" },
		    "dunno|Unable to look up NS host for x@no.test: Host not found" },
	};

	(void)state;
	try_all(tries, ARRAY_LEN(tries), ACCESS_SENDER, NULL);
}

static void
of_approved_networks(struct access_conf *c, struct arena *mem)
{
	c->permit_mx_backup_networks =
	    testing_list("198.51.100.0/24", ROUTE_LIST_PARENTS, mem);
}

static void
of_other_networks(struct access_conf *c, struct arena *mem)
{
	c->permit_mx_backup_networks =
	    testing_list("10.0.0.0/8", ROUTE_LIST_PARENTS, mem);
}

static void
mail_backup(void **state)
{
	static const struct try open[] = {
		{ "permit_mx_backup, reject", { .rcpt = "a@vbox.test" }, "dunno" },
		{ "permit_mx_backup, reject", { .rcpt = "x@two.test" }, "dunno" },
		{ "permit_mx_backup, reject", { .rcpt = "x@three.test" }, "dunno" },
		{ "permit_mx_backup, reject", { .rcpt = "x@first.test" },
		    "554 5.7.1 <x@first.test>: Recipient address rejected: Access "
		    "denied" },
		{ "permit_mx_backup, reject", { .rcpt = "x@good.test" },
		    "554 5.7.1 <x@good.test>: Recipient address rejected: Access "
		    "denied" },
		{ "permit_mx_backup, reject", { .rcpt = "x@onlya.test" },
		    "554 5.7.1 <x@onlya.test>: Recipient address rejected: Access "
		    "denied" },
		{ "permit_mx_backup, reject", { .rcpt = "x@byname.test" }, "dunno" },
		{ "permit_mx_backup, reject", { .rcpt = "x@lame.test" },
		    "450 4.4.4 <x@lame.test>: Recipient address rejected: Unable to "
		    "look up mail exchanger information: " },
		{ "permit_mx_backup, reject", { .rcpt = "x@unsure.test" },
		    "450 4.4.4 <x@unsure.test>: Recipient address rejected: Unable to "
		    "look up mail exchanger host lost.test: " },
	};
	static const struct try approved[] = {
		{ "permit_mx_backup, reject", { .rcpt = "x@two.test" }, "dunno" },
	};
	static const struct try other[] = {
		{ "permit_mx_backup, reject", { .rcpt = "x@two.test" },
		    "554 5.7.1 <x@two.test>: Recipient address rejected: Access "
		    "denied" },
	};

	(void)state;
	try_all(open, ARRAY_LEN(open), ACCESS_RECIPIENT, NULL);
	try_all(approved, ARRAY_LEN(approved), ACCESS_RECIPIENT, of_approved_networks);
	try_all(other, ARRAY_LEN(other), ACCESS_RECIPIENT, of_other_networks);
}

static void
with_reason(struct access_conf *c, struct arena *mem)
{
	(void)mem;
	c->unverified_sender_reject_reason = STR("Address lookup failed");
	c->unverified_sender_defer_code = 250;
	c->unverified_sender_waits = false;
}

static void
verification(void **state)
{
#define PROBLEM "address verification problem"
#define UNVERIFIED(who, words)                                                           \
	"450 4.1.7 <" who "@good.test>: Sender address rejected: " words
	static const struct try usual_tries[] = {
		{ "reject_unverified_sender", { .sender = "ok@good.test" }, "dunno" },
		{ "reject_unverified_sender", { .sender = "" }, "dunno" },
		{ "reject_unverified_sender", { .sender = "no@good.test" },
		    UNVERIFIED("no", "unverified address: host x said: 550 no such "
				     "user") },
		{ "reject_unverified_sender", { .sender = "later@good.test" },
		    "[" UNVERIFIED("later", "unverified address: try again") "]" },
		{ "reject_unverified_sender", { .sender = "probing@good.test" },
		    "[" UNVERIFIED("probing",
			"unverified address: Address verification in progress") "]" },
		{ "reject_unverified_sender", { .sender = "odd@good.test" },
		    UNVERIFIED("odd", PROBLEM "|bad address verification status") },
		{ "reject_unverified_sender", { .sender = "lost@good.test" },
		    UNVERIFIED(
			"lost", PROBLEM "|sender: lookup of \"lost@good.test\": ") },
	};
	static const struct try changed[] = {
		{ "reject_unverified_sender", { .sender = "no@good.test" },
		    UNVERIFIED("no", "unverified address: Address lookup failed") },
		{ "reject_unverified_sender", { .sender = "later@good.test" }, "dunno" },
	};
	static const struct try rcpt[] = {
		{ "reject_unverified_recipient", { .rcpt = "no@vbox.test" },
		    "550 5.1.1 <no@vbox.test>: Recipient address rejected: "
		    "undeliverable address: gone" },
	};

	(void)state;
	try_all(usual_tries, ARRAY_LEN(usual_tries), ACCESS_SENDER, NULL);
	try_all(changed, ARRAY_LEN(changed), ACCESS_SENDER, with_reason);
	try_all(rcpt, ARRAY_LEN(rcpt), ACCESS_RECIPIENT, NULL);
}

static void
policy(void **state)
{
	static const char expected[] =
	    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
	    "client_address=192.0.2.10\nclient_name=c.test\nclient_port=4711\n"
	    "reverse_client_name=c.test\nserver_address=\nserver_port=\n"
	    "helo_name=a?recipient_count=9\nsender=s p@good.test\n"
	    "recipient=x@vbox.test\nrecipient_count=3\nqueue_id=\ninstance=\nsize=77\n"
	    "etrn_domain=\nstress=\nsasl_method=\nsasl_username=\nsasl_sender=\n"
	    "ccert_subject=\nccert_issuer=\nccert_fingerprint=\n"
	    "ccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\n"
	    "encryption_keysize=0\ntls_sni=\npolicy_context=mine, here\n"
	    "compatibility_level=3.6\nmail_version=3.12.0\n\n";
	static const struct try tries[] = {
		{ "check_policy_service inet:127.0.0.1:1", { 0 },
		    "450 4.7.9 <END-OF-MESSAGE>: End-of-data rejected: policy" },
		{ "check_policy_service {}", { 0 },
		    "451 4.3.5 Server configuration error|cannot ask policy service "
		    "\"{}\"" },
		{ "check_policy_service { unix:x, { policy_context = mine, here } }",
		    { .helo = "a\nrecipient_count=9", .sender = "\"s p\"@good.test" },
		    "450 4.7.9 <END-OF-MESSAGE>: End-of-data rejected: policy" },
	};

	(void)state;
	try_all(tries, ARRAY_LEN(tries), ACCESS_END_OF_DATA, NULL);
	assert_string_equal(request, expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_clients),
		cmocka_unit_test(lists_of_domains),
		cmocka_unit_test(reply_texts),
		cmocka_unit_test(names),
		cmocka_unit_test(servers_of_domains),
		cmocka_unit_test(mail_backup),
		cmocka_unit_test(verification),
		cmocka_unit_test(policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
