/* Notifications against what Postfix 3.7 sent for the same failures. */
#include "dsn/notice.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define D "Sun, 22 Nov 2026 00:58:00 +0000 (UTC)"
#define REPLY                                                                            \
	"550 5.1.1 <fail@sinks.test>: Recipient address rejected: User unknown in "      \
	"local "                                                                         \
	"recipient table, with a somewhat long text that must be wrapped"
#define LONG                                                                             \
	"fail-a-very-long-local-part-which-is-quite-long-indeed-xxxxxxxxxx@a-very-long-" \
	"domain.sinks.test"

static struct dsn_notice
notice(enum dsn_kind kind, const struct dsn_rcpt *r, size_t n)
{
	return (struct dsn_notice){ .kind = kind,
		.qid = STR("81FC5A721B2"),
		.myhostname = STR("mail.example.test"),
		.mail_name = STR("Postfix"),
		.from = STR("MAILER-DAEMON@mail.example.test"),
		.to = STR("user@box.test"),
		.sender = STR("user@box.test"),
		.date = STR(D),
		.arrival = STR(D),
		.boundary = STR("B.1/h"),
		.max_queue_lifetime_us = INT64_C(432000) * US_PER_SEC,
		.delay_warning_us = INT64_C(14400) * US_PER_SEC,
		.rcpts = r,
		.n_rcpts = n };
}

static void
expect(const struct dsn_notice *n, const char *const parts[])
{
	struct buf prefix, suffix;
	struct str rest;

	buf_init(&prefix, 100000);
	buf_init(&suffix, 1000);
	assert_int_equal(dsn_notice_format(n, &prefix, &suffix, NULL), RC_OK);
	rest = buf_view(&prefix);
	for (size_t i = 0; parts[i] != NULL; i++) {
		if (!str_starts(rest, str_c(parts[i])))
			fail_msg("part %zu is\n%.*s", i, STR_ARG(rest));
		rest = str_from(rest, strlen(parts[i]));
	}
	assert_int_equal(rest.n, 0);
	assert_true(str_is(buf_view(&suffix), "\r\n--B.1/h--\r\n"));
	buf_fini(&prefix);
	buf_fini(&suffix);
}

#define HEADER(subject, to, auto)                                                        \
	"Date: " D                                                                       \
	"\r\nFrom: Mail Delivery System <MAILER-DAEMON@mail.example.test>\r\n"           \
	"Subject: " subject "\r\nTo: " to                                                \
	"\r\nAuto-Submitted: " auto "\r\nMIME-Version: 1.0\r\n"                          \
				    "Content-Type: multipart/report; "                   \
				    "report-type=delivery-status;\r\n"                   \
				    "\tboundary=\"B.1/"                                  \
				    "h\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"     \
				    "This is a MIME-encapsulated message.\r\n\r\n"       \
				    "--B.1/h\r\nContent-Description: Notification\r\n"   \
				    "Content-Type: text/plain; "                         \
				    "charset=utf-8\r\nContent-Transfer-Encoding: "       \
				    "8bit\r\n\r\n"
#define SORRY                                                                            \
	"This is the mail system at host mail.example.test.\r\n\r\n"                     \
	"I'm sorry to have to inform you that your message could not\r\n"                \
	"be delivered to one or more recipients. It's attached below.\r\n\r\n"           \
	"For further assistance, please send mail to postmaster.\r\n\r\n"                \
	"If you do so, please include this problem report. You can\r\n"                  \
	"delete your own text from the attached returned message.\r\n\r\n"               \
	"                   The mail system\r\n\r\n"
#define REPORT                                                                           \
	"\r\n--B.1/h\r\nContent-Description: Delivery report\r\n"                        \
	"Content-Type: message/delivery-status\r\n\r\n"                                  \
	"Reporting-MTA: dns; mail.example.test\r\n"
#define REPORT2                                                                          \
	"X-Postfix-Queue-ID: 81FC5A721B2\r\nX-Postfix-Sender: rfc822; user@box.test\r\n" \
	"Arrival-Date: " D "\r\n"
#define ORIGINAL(description, type)                                                      \
	"\r\n--B.1/h\r\nContent-Description: " description "\r\nContent-Type: " type     \
	"\r\n"                                                                           \
	"Content-Transfer-Encoding: 8bit\r\n\r\nReturn-Path: <user@box.test>\r\n"

static void
failure(void **state)
{
	static const struct dsn_rcpt rcpts[] = {
		{ .address = STR_INIT("fail@sinks.test"),
		    .status = STR_INIT("5.1.1"),
		    .reason = STR_INIT("host 127.0.0.1[127.0.0.1] said: " REPLY
				       " (in reply to RCPT TO command)"),
		    .mta = STR_INIT("127.0.0.1"),
		    .diag_type = STR_INIT("smtp"),
		    .diag = STR_INIT(REPLY) },
		{ .address = STR_INIT("multi@sinks.test"),
		    .orig = STR_INIT("alias@here"),
		    .orcpt = STR_INIT("rfc822;orig+x@sinks.test"),
		    .status = STR_INIT("5.1.1"),
		    .reason = STR_INIT("one\r\ntwo"),
		    .diag = STR_INIT("") },
	};
	struct dsn_notice n = notice(DSN_FAILED, rcpts, 2);

	(void)state;
	n.envid = STR("QQ+314");
	expect(&n,
	    (const char *const[]){ HEADER("Undelivered Mail Returned to Sender",
				       "user@box.test", "auto-replied"),
		SORRY,
		"<fail@sinks.test>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 "
		"<fail@sinks.test>:\r\n"
		"    Recipient address rejected: User unknown in local recipient table, "
		"with a\r\n"
		"    somewhat long text that must be wrapped (in reply to RCPT TO "
		"command)\r\n"
		"\r\n<multi@sinks.test> (expanded from <alias@here>): one  two\r\n",
		REPORT, "Original-Envelope-Id: QQ+314\r\n", REPORT2,
		"\r\nFinal-Recipient: rfc822; fail@sinks.test\r\n"
		"Original-Recipient: rfc822;fail@sinks.test\r\nAction: failed\r\n"
		"Status: 5.1.1\r\nRemote-MTA: dns; 127.0.0.1\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 <fail@sinks.test>: Recipient address "
		"rejected:\r\n"
		"    User unknown in local recipient table, with a somewhat long text "
		"that must\r\n"
		"    be wrapped\r\n",
		"\r\nFinal-Recipient: rfc822; multi@sinks.test\r\n"
		"Original-Recipient: rfc822;orig+x@sinks.test\r\nAction: failed\r\n"
		"Status: 5.1.1\r\nDiagnostic-Code: X-Postfix; one  two\r\n",
		ORIGINAL("Undelivered Message", "message/rfc822"), NULL });
}

static void
long_words(void **state)
{
	static const struct dsn_rcpt rcpt = { .address = STR_INIT(LONG),
		.status = STR_INIT("5.1.1"),
		.reason = STR_INIT(
		    "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <" LONG
		    ">: Recipient address rejected: User unknown in local recipient "
		    "table, with a somewhat long text that must be wrapped (in reply "
		    "to RCPT TO command)"),
		.diag_type = STR_INIT("smtp"),
		.diag = STR_INIT("550 5.1.1 <" LONG ">: Recipient address") };
	struct dsn_notice n = notice(DSN_FAILED, &rcpt, 1);

	(void)state;
	n.is_postmaster_copy = true;
	n.headers_only = true;
	n.to = STR("postmaster@mail.example.test");
	expect(&n,
	    (const char *const[]){ HEADER("Postmaster Copy: Undelivered Mail",
				       "postmaster@mail.example.test", "auto-generated"),
		"\r\n<" LONG ">:\r\n"
		"    host 127.0.0.1[127.0.0.1] said: 550 5.1.1\r\n"
		"    <" LONG ">:\r\n"
		"    Recipient address rejected: User unknown in local recipient table, "
		"with a\r\n"
		"    somewhat long text that must be wrapped (in reply to RCPT TO "
		"command)\r\n",
		REPORT, REPORT2,
		"\r\nFinal-Recipient: rfc822; " LONG "\r\n"
		"Original-Recipient: rfc822;" LONG
		"\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1\r\n    <" LONG
		">:\r\n    Recipient address\r\n",
		ORIGINAL("Undelivered Message Headers", "text/rfc822-headers"), NULL });
}

static void
delay(void **state)
{
	static const struct dsn_rcpt rcpt = { .address = STR_INIT("temp@sinks.test"),
		.status = STR_INIT("4.2.0"),
		.reason = STR_INIT(
		    "host 127.0.0.1[127.0.0.1] said: 450 4.2.0 try later (in reply "
		    "to RCPT TO command)") };
	struct dsn_notice n = notice(DSN_DELAYED, &rcpt, 1);

	(void)state;
	n.headers_only = true;
	n.will_retry_until = STR("Fri");
	expect(&n,
	    (const char *const[]){ HEADER("Delayed Mail (still being retried)",
				       "user@box.test", "auto-replied"),
		"This is the mail system at host mail.example.test.\r\n\r\n"
		"####################################################################\r\n"
		"# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\r\n"
		"####################################################################"
		"\r\n\r\n"
		"Your message could not be delivered for more than 4 hour(s).\r\n"
		"It will be retried until it is 5 day(s) old.\r\n\r\n"
		"For further assistance, please send mail to postmaster.\r\n\r\n"
		"If you do so, please include this problem report. You can\r\n"
		"delete your own text from the attached returned message.\r\n\r\n"
		"                   The mail system\r\n\r\n"
		"<temp@sinks.test>: host 127.0.0.1[127.0.0.1] said: 450 4.2.0 try later "
		"(in\r\n"
		"    reply to RCPT TO command)\r\n",
		REPORT, REPORT2,
		"\r\nFinal-Recipient: rfc822; temp@sinks.test\r\n"
		"Original-Recipient: rfc822;temp@sinks.test\r\nAction: delayed\r\n"
		"Status: 4.2.0\r\n"
		"Diagnostic-Code: X-Postfix; host 127.0.0.1[127.0.0.1] said: 450 4.2.0 "
		"try "
		"later\r\n    (in reply to RCPT TO command)\r\nWill-Retry-Until: Fri\r\n",
		ORIGINAL("Undelivered Message Headers", "text/rfc822-headers"), NULL });
}

/* A server's words, and an agent's, must not add fields to the report. */
static void
line_end_in_a_field_adds_another(void **state)
{
	static const struct dsn_rcpt rcpt = { .address = STR_INIT("a@b.test"),
		.status = STR_INIT("5.0.0\r\nX-Status: 1"),
		.action = STR_INIT("failed\r\nX-Action: 1"),
		.mta = STR_INIT("mx.test\nX-Mta: 1"),
		.diag_type = STR_INIT("smtp\rX-Type: 1"),
		.diag = STR_INIT("550 no\r\nX-Diag: 1"),
		.reason = STR_INIT("said\r\n\r\n--B.1/h--\r\n") };
	struct dsn_notice n = notice(DSN_FAILED, &rcpt, 1);
	struct buf prefix, suffix;

	(void)state;
	buf_init(&prefix, 100000);
	buf_init(&suffix, 1000);
	assert_int_equal(dsn_notice_format(&n, &prefix, &suffix, NULL), RC_OK);
	assert_int_equal(buf_put(&prefix, STR("\0")), RC_OK);
	assert_null(strstr(prefix.p + prefix.start, "\nX-Status"));
	assert_null(strstr(prefix.p + prefix.start, "\nX-Action"));
	assert_null(strstr(prefix.p + prefix.start, "\nX-Mta"));
	assert_null(strstr(prefix.p + prefix.start, "\rX-Type"));
	assert_null(strstr(prefix.p + prefix.start, "\nX-Diag"));
	assert_null(strstr(prefix.p + prefix.start, "\n--B.1/h--"));
	buf_fini(&prefix);
	buf_fini(&suffix);
}

static void
limits(void **state)
{
	struct dsn_notice n = notice(DSN_FAILED, NULL, 0);
	static const struct dsn_rcpt rcpt = { .address = STR_INIT("a"),
		.status = STR_INIT("5.0.0") };
	struct buf prefix, suffix;

	(void)state;
	buf_init(&prefix, 100);
	buf_init(&suffix, 100);
	assert_int_equal(dsn_notice_format(&n, &prefix, &suffix, NULL), RC_PERM);
	n.rcpts = &rcpt;
	n.n_rcpts = 1;
	assert_int_equal(dsn_notice_format(&n, &prefix, &suffix, NULL), RC_TEMP);
	buf_fini(&prefix);
	buf_fini(&suffix);
	assert_int_equal(dsn_headers_size(STR("A: b\r\nC: d\r\n\r\nbody\r\n")), 12);
	assert_int_equal(dsn_headers_size(STR("A: b\r\n")), 6);
	assert_int_equal(dsn_headers_size(STR("\r\nbody")), 0);
	assert_int_equal(dsn_headers_size(STR("")), 0);
}

/* As Postfix 3.7 wrote it for sendmail -bv. */
static void
asked_for(void **state)
{
	static const struct dsn_rcpt rcpts[] = {
		{ .address = STR_INIT("bob@example.test"),
		    .status = STR_INIT("2.0.0"),
		    .action = STR_INIT("deliverable"),
		    .reason = STR_INIT("delivery via virtual: delivers to maildir") },
		{ .address = STR_INIT("q@down.test"),
		    .status = STR_INIT("4.4.1"),
		    .action = STR_INIT("undeliverable"),
		    .reason = STR_INIT(
			"connect to 127.0.0.1[127.0.0.1]:1: Connection refused") },
	};
	struct dsn_notice n = notice(DSN_REPORTED, rcpts, 2);

	(void)state;
	n.headers_only = true;
	expect(&n,
	    (const char *const[]){
		HEADER("Mail Delivery Status Report", "user@box.test", "auto-replied"),
		"This is the mail system at host mail.example.test.\r\n\r\n"
		"Enclosed is the mail delivery report that you requested.\r\n\r\n"
		"                   The mail system\r\n\r\n"
		"<bob@example.test>: delivery via virtual: delivers to maildir\r\n\r\n"
		"<q@down.test>: connect to 127.0.0.1[127.0.0.1]:1: Connection "
		"refused\r\n",
		REPORT, REPORT2,
		"\r\nFinal-Recipient: rfc822; bob@example.test\r\n"
		"Original-Recipient: rfc822;bob@example.test\r\n"
		"Action: deliverable\r\nStatus: 2.0.0\r\n"
		"Diagnostic-Code: X-Postfix; delivery via virtual: delivers to "
		"maildir\r\n",
		"\r\nFinal-Recipient: rfc822; q@down.test\r\n"
		"Original-Recipient: rfc822;q@down.test\r\n"
		"Action: undeliverable\r\nStatus: 4.4.1\r\n"
		"Diagnostic-Code: X-Postfix; connect to 127.0.0.1[127.0.0.1]:1: "
		"Connection\r\n    refused\r\n",
		ORIGINAL("Message Headers", "text/rfc822-headers"), NULL });
}

/* RFC 6533, with Postfix 3.7's fields. */
static void
utf8(void **state)
{
	static const struct dsn_rcpt rcpt = { .address =
						  STR_INIT("j\xc3\xb6rg@plain.test"),
		.status = STR_INIT("5.6.7"),
		.reason =
		    STR_INIT("SMTPUTF8 is required, but was not offered by host h") };
	struct dsn_notice n = notice(DSN_FAILED, &rcpt, 1);

	(void)state;
	n.is_utf8 = true;
	expect(&n,
	    (const char *const[]){ HEADER("Undelivered Mail Returned to Sender",
				       "user@box.test", "auto-replied"),
		SORRY,
		"<j\xc3\xb6rg@plain.test>: SMTPUTF8 is required, but was not offered by "
		"host h\r\n",
		"\r\n--B.1/h\r\nContent-Description: Delivery report\r\n"
		"Content-Type: message/global-delivery-status\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n"
		"Reporting-MTA: dns; mail.example.test\r\n",
		REPORT2,
		"\r\nFinal-Recipient: utf-8; j\xc3\xb6rg@plain.test\r\n"
		"Original-Recipient: rfc822;j\xc3\xb6rg@plain.test\r\n"
		"Action: failed\r\nStatus: 5.6.7\r\n"
		"Diagnostic-Code: X-Postfix; SMTPUTF8 is required, but was not offered "
		"by "
		"host h\r\n",
		ORIGINAL("Undelivered Message", "message/global"), NULL });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure),
		cmocka_unit_test(long_words),
		cmocka_unit_test(delay),
		cmocka_unit_test(line_end_in_a_field_adds_another),
		cmocka_unit_test(limits),
		cmocka_unit_test(asked_for),
		cmocka_unit_test(utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
