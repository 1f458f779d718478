/* What MAIL and RCPT take, what they refuse, and with which words. The replies were
 * recorded from Postfix. */
#include "smtp/path.h"
#include "addr/address.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct path_case {
	const char *args; /* behind MAIL or RCPT */
	const char
	    *want; /* the address in <> and what else was understood, or the reply */
};

static const struct path_case mail_cases[] = {
	{ "FROM:<a@b.test>", "<a@b.test>" },
	{ "FROM: <a@b.test>", "<a@b.test>" },
	{ "FROM:a@b.test", "<a@b.test>" },
	{ "FROM:<>", "<>" },
	{ "from:<A@B.TEST>", "<A@B.TEST>" },
	{ "FROM <a@b.test>", "501 5.5.4 Syntax: MAIL FROM:<address>" },
	{ "FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>" },
	{ "", "501 5.5.4 Syntax: MAIL FROM:<address>" },
	{ "TO:<a@b.test>", "501 5.5.4 Syntax: MAIL FROM:<address>" },
	{ "FROM:<a@b.test", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a@b.test>>", "<a@b.test>" },
	{ "FROM:<<a@b.test>>", "<a@b.test>" },
	{ "FROM:<a@b@c.test>", "<\"a@b\"@c.test>" },
	{ "FROM:<@one.test,@two.test:a@b.test>", "<a@b.test>" },
	{ "FROM:<@one.test:a@b.test>", "<a@b.test>" },
	{ "FROM:<\"a b\"@b.test>", "<\"a b\"@b.test>" },
	{ "FROM:<a b@b.test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a @ b . test>", "<a@b.test>" },
	{ "FROM:< a@b .test >", "<a@b.test>" },
	{ "FROM:<a@b c.test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<@b.test>", "<\"\"@b.test>" },
	{ "FROM:<@x@b.test>", "<\"@x\"@b.test>" },
	{ "FROM:<@>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<-a@b.test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a@b> ENVID=a=b", "<a@b> envid=a=b" },
	{ "FROM:<a@b> ENVID=a+2bc", "<a@b> envid=a+c" },
	{ "FROM:<a@b> ENVID=a+7Fc", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<a@b> ENVID=+C3+A4", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<a@b> ENVID=+00", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<a@b> SMTPUTF8 XVERP AUTH=<>", "<a@b> verp=+= utf8" },
	{ "FROM:<a@b> XVERP=-+ AUTH=x+2By", "<a@b> verp=-+ auth=x+2By" },
	{ "FROM:<a@b> XVERP=ab", "501 5.5.4 Error: XVERP needs two characters from -=+" },
	{ "FROM:<> XVERP", "503 5.5.4 Error: XVERP requires non-null sender" },
	{ "FROM:<a@[127.0.0.1]>", "<a@[127.0.0.1]>" },
	{ "FROM:<a@[IPv6:::1]>", "<a@[IPv6:::1]>" },
	{ "FROM:<a@[300.1.1.1]>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a@-b.test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a@b_c.test>", "<a@b_c.test>" },
	{ "FROM:<a@b..test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a%b@c.test>", "<a%b@c.test>" },
	{ "FROM:<a%b>", "<a%b>" },
	{ "FROM:<a%>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<!a>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a%b..c>", "<\"a%b..c\">" },
	{ "FROM:<a%1.2.3.4>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<'a%b.test'>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a!b@>", "<a!b>" },
	{ "FROM:<a@>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a@1>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<[a]>", "<\"[a]\">" },
	{ "FROM:<a@>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<a>", "<a>" },
	{ "FROM:<a@b.test> (comment)", "555 5.5.4 Unsupported option: (comment)" },
	{ "FROM:Alice <a@b.test>", "555 5.5.4 Unsupported option: <a@b.test>" },
	{ "FROM:<a@b.test> junk", "555 5.5.4 Unsupported option: junk" },
	{ "FROM:<a@b.test>junk", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<s@good.test> SIZE=100", "<s@good.test> size=100" },
	{ "FROM:<s@good.test> SIZE=99999999999999999999",
	    "552 5.3.4 Message size exceeds file system imposed limit" },
	{ "FROM:<s@good.test> SIZE=abc", "501 5.5.4 Bad message size syntax" },
	{ "FROM:<s@good.test> SIZE=", "501 5.5.4 Bad message size syntax" },
	{ "FROM:<s@good.test> SIZE=-1", "501 5.5.4 Bad message size syntax" },
	{ "FROM:<s@good.test> SIZE", "555 5.5.4 Unsupported option: SIZE" },
	{ "FROM:<s@good.test> size=10 body=8bitmime", "<s@good.test> size=10 8bit" },
	{ "FROM:<s@good.test> BODY=7BIT", "<s@good.test> 7bit" },
	{ "FROM:<s@good.test> BODY=BINARYMIME",
	    "555 5.5.4 Unsupported option: BODY=BINARYMIME" },
	{ "FROM:<s@good.test> BODY=", "555 5.5.4 Unsupported option: BODY=" },
	{ "FROM:<s@good.test> RET=FULL ENVID=abc+2Bdef",
	    "<s@good.test> full envid=abc+def" },
	{ "FROM:<s@good.test> RET=HDRS RET=FULL", "501 5.5.4 Bad RET parameter syntax" },
	{ "FROM:<s@good.test> RET=NONE", "501 5.5.4 Bad RET parameter syntax" },
	{ "FROM:<s@good.test> ENVID=bad+zz", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<s@good.test> ENVID=bad+00", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<s@good.test> ENVID=", "501 5.5.4 Bad ENVID parameter syntax" },
	{ "FROM:<s@good.test> AUTH=<>", "<s@good.test>" },
	{ "FROM:<s@good.test> AUTH=a AUTH=b", "503 5.5.4 Error: multiple AUTH= options" },
	{ "FROM:<s@good.test> ENVID=<a b>", "<s@good.test> envid=<a b>" },
	{ "FROM:<s@good.test> \"a b\"", "555 5.5.4 Unsupported option: \"a b\"" },
	{ "FROM:\"a@b.test\"", "<a@b.test>" },
	{ "FROM:<[a@b]>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<s@\xc3\xbc.test>", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<s@\xc3\xbc.test> SMTPUTF8", "<s@\xc3\xbc.test> utf8" },
	{ "FROM:<s@-\xc3\xbc.test> SMTPUTF8", "501 5.1.7 Bad sender address syntax" },
	{ "FROM:<s@good.test> AUTH", "555 5.5.4 Unsupported option: AUTH" },
	{ "FROM:<s@good.test> FOO=bar", "555 5.5.4 Unsupported option: FOO=bar" },
	{ "FROM:<s@good.test> REQUIRETLS", "555 5.5.4 Unsupported option: REQUIRETLS" },
	{ "FROM:<s@good.test>  SIZE=100   BODY=8BITMIME   ",
	    "<s@good.test> size=100 8bit" },
	{ "FROM:<s@good.test>SIZE=100", "501 5.1.7 Bad sender address syntax" },
};

static const struct path_case rcpt_cases[] = {
	{ "TO:<a@b> ORCPT=rfc822;a=b+0Ac",
	    "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=rfc822;a=b+2Cc", "<a@b> orcpt=rfc822;a=b,c" },
	{ "TO:<a@b> ORCPT=utf-8;+C3+A4@b", "<a@b> orcpt=utf-8;+C3+A4@b" },
	{ "TO:<a@b> ORCPT=utf-8;\xc3\xa4\\x{e4}\\x@b",
	    "<a@b> orcpt=utf-8;\xc3\xa4\xc3\xa4\\x@b" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{00041}\\x{1F600}",
	    "<a@b> orcpt=utf-8;A\xf0\x9f\x98\x80" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{e4", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{zz}", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{110000}",
	    "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{d800}",
	    "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{}", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=utf-8;\\x{a}", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a%b@c.test>", "<a%b@c.test> written=<a%b@c.test>" },
	{ "TO:<\"a\"@c.test>", "<a@c.test> written=<\"a\"@c.test>" },
	{ "TO:a@c.test.", "<a@c.test> written=a@c.test." },
	{ "TO:<\"a@b\"@>", "<a@b> written=<\"a@b\"@>" },
	{ "TO:<<<a@c.test>>>", "501 5.1.3 Bad recipient address syntax" },
	{ "TO:<-a@b.test>", "501 5.1.3 Bad recipient address syntax" },
	{ "", "501 5.5.4 Syntax: RCPT TO:<address>" },
	{ "TO:", "501 5.5.4 Syntax: RCPT TO:<address>" },
	{ "FROM:<a>", "501 5.5.4 Syntax: RCPT TO:<address>" },
	{ "TO:<>", "501 5.1.3 Bad recipient address syntax" },
	{ "TO:<a", "501 5.1.3 Bad recipient address syntax" },
	{ "TO:<a@b@c.test>", "<\"a@b\"@c.test> written=<a@b@c.test>" },
	{ "TO:<a@b> FOO", "555 5.5.4 Unsupported option: FOO" },
	{ "TO:<a@b> NOTIFY=", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
	{ "TO:<a@b> NOTIFY=NEVER,SUCCESS",
	    "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
	{ "TO:<a@b> NOTIFY=foo", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
	{ "TO:<a@b> NOTIFY=SUCCESS NOTIFY=FAILURE",
	    "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
	{ "TO:<a@b> NOTIFY=NEVER", "<a@b> notify=1" },
	{ "TO:<a@b> ORCPT=rfc822;a@b NOTIFY=SUCCESS,failure,DELAY",
	    "<a@b> orcpt=rfc822;a@b notify=14" },
	{ "TO:<a@b> ORCPT=rfc822;x+2By@b", "<a@b> orcpt=rfc822;x+y@b" },
	{ "TO:<a@b> ORCPT=rfc822;", "<a@b> orcpt=rfc822;" },
	{ "TO:<a@b> ORCPT=foo", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=rfc822;a+00b", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
	{ "TO:<a@b> ORCPT=rfc822;a@b ORCPT=rfc822;a@b",
	    "501 5.5.4 Error: Bad ORCPT parameter syntax" },
};

static void
show_mail(const struct smtp_mail_args *m, char *got, size_t size)
{
	size_t n = (size_t)snprintf(got, size, "<%.*s>", STR_ARG(m->address));

	if (m->size_bytes > 0)
		n += (size_t)snprintf(
		    got + n, size - n, " size=%lld", (long long)m->size_bytes);
	if (m->body != SMTP_BODY_NONE)
		n += (size_t)snprintf(
		    got + n, size - n, m->body == SMTP_BODY_7BIT ? " 7bit" : " 8bit");
	if (m->ret != SMTP_RET_NONE)
		n += (size_t)snprintf(
		    got + n, size - n, m->ret == SMTP_RET_FULL ? " full" : " hdrs");
	if (m->envid.n > 0)
		n +=
		    (size_t)snprintf(got + n, size - n, " envid=%.*s", STR_ARG(m->envid));
	if (m->verp.n > 0)
		n += (size_t)snprintf(got + n, size - n, " verp=%.*s", STR_ARG(m->verp));
	if (m->auth.n > 0)
		n += (size_t)snprintf(got + n, size - n, " auth=%.*s", STR_ARG(m->auth));
	if (m->smtputf8)
		(void)snprintf(got + n, size - n, " utf8");
}

static void
show_rcpt(const struct smtp_rcpt_args *r, char *got, size_t size)
{
	size_t n = (size_t)snprintf(got, size, "<%.*s>", STR_ARG(r->address));

	if (r->written.n > 0)
		n += (size_t)snprintf(
		    got + n, size - n, " written=%.*s", STR_ARG(r->written));
	if (r->orcpt.n > 0)
		n +=
		    (size_t)snprintf(got + n, size - n, " orcpt=%.*s", STR_ARG(r->orcpt));
	if (r->notify != 0)
		(void)snprintf(got + n, size - n, " notify=%u", r->notify);
}

static void
run_cases(const struct path_case *cases, size_t n_cases, bool is_mail)
{
	struct smtp_path_conf conf = { .has_dsn = true,
		.has_utf8 = true,
		.has_verp = true,
		.verp_delimiters = STR("+="),
		.verp_filter = STR("-=+"),
		.operators = ADDR_BANG | ADDR_PERCENT };
	struct arena *mem = arena_new(1 << 16);

	for (size_t i = 0; i < n_cases; i++) {
		struct smtp_mail_args mail = { 0 };
		struct smtp_rcpt_args rcpt = { 0 };
		struct smtp_path_bad bad;
		struct str args = str_c(cases[i].args);
		char got[500];
		enum rc rc = is_mail ? smtp_path_mail(args, &conf, mem, &mail, &bad)
				     : smtp_path_rcpt(args, &conf, mem, &rcpt, &bad);

		if (rc != RC_OK)
			(void)snprintf(got, sizeof(got), "%.*s", STR_ARG(bad.reply));
		else if (is_mail)
			show_mail(&mail, got, sizeof(got));
		else
			show_rcpt(&rcpt, got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg(
			    "%s\n want %s\n got  %s", cases[i].args, cases[i].want, got);
		arena_reset(mem);
	}
	arena_free(&mem);
}

static void
test_mail(void **state)
{
	(void)state;
	run_cases(mail_cases, ARRAY_LEN(mail_cases), true);
}

static void
test_rcpt(void **state)
{
	(void)state;
	run_cases(rcpt_cases, ARRAY_LEN(rcpt_cases), false);
}

static void
test_off(void **state)
{
	struct smtp_path_conf conf = { 0 };
	struct arena *mem = arena_new(1 << 16), *small = arena_new(4);
	struct smtp_mail_args mail;
	struct smtp_rcpt_args rcpt;
	struct smtp_path_bad bad;

	(void)state;
	assert_int_equal(
	    smtp_path_mail(STR("FROM:<a@b> RET=FULL"), &conf, mem, &mail, &bad), RC_PERM);
	assert_true(str_is(bad.reply, "501 5.7.1 DSN support is disabled"));
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@b> NOTIFY=NEVER"), &conf, mem, &rcpt, &bad),
	    RC_PERM);
	assert_true(str_is(bad.reply, "501 5.7.1 DSN support is disabled"));
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@b> NOTIFY=NEVER"),
		&(struct smtp_path_conf){ .has_dsn = true }, mem, &rcpt, &bad),
	    RC_OK);
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@b> NOTIFY=DELAY,SOON"),
		&(struct smtp_path_conf){ .has_dsn = true }, mem, &rcpt, &bad),
	    RC_PERM);
	assert_true(str_is(
	    bad.warning, "unknown DSN NOTIFY command value \"SOON\" in \"DELAY,SOON\""));
	assert_int_equal(
	    smtp_path_mail(STR("FROM:<-a@b> SMTPUTF8"), &conf, mem, &mail, &bad),
	    RC_PERM);
	conf.null_ok = conf.append_dot = true;
	assert_int_equal(smtp_path_rcpt(STR("TO:<a@>"), &conf, mem, &rcpt, &bad), RC_OK);
	assert_true(str_is(rcpt.address, "a"));
	assert_int_equal(smtp_path_rcpt(STR("TO:<a@1>"), &conf, mem, &rcpt, &bad), RC_OK);
	assert_true(str_is(rcpt.address, "a@1"));
	conf.minus_ok = true;
	assert_int_equal(
	    smtp_path_mail(STR("FROM:<-a@b>"), &conf, mem, &mail, &bad), RC_OK);
	assert_int_equal(
	    smtp_path_mail(STR("FROM:<-a@b> SMTPUTF8"), &conf, mem, &mail, &bad),
	    RC_PERM);
	assert_true(str_is(bad.reply, "555 5.5.4 Unsupported option: SMTPUTF8"));
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@192.0.2.1>"), &conf, mem, &rcpt, &bad), RC_PERM);
	conf.numeric_ok = true;
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@192.0.2.1>"), &conf, mem, &rcpt, &bad), RC_OK);
	assert_int_equal(
	    smtp_path_rcpt(STR("TO:<a@192.0.2.300>"), &conf, mem, &rcpt, &bad), RC_PERM);
	conf.strict = true;
	assert_int_equal(smtp_path_rcpt(STR("TO:x@y"), &conf, mem, &rcpt, &bad), RC_PERM);
	assert_true(str_is(bad.text, "x@y"));
	assert_int_equal(
	    smtp_path_mail(STR("FROM:<long@address.test>"), &conf, small, &mail, &bad),
	    RC_TEMP);
	arena_free(&mem);
	arena_free(&small);
}

int
main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
