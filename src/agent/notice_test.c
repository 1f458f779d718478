/* The transcript of a session as the postmaster reads it, and the classes of notices. The
 * lines were recorded from Postfix. */
#include "agent/notice.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/submit.h"
#include "agent/testing.h"
#include "agent/transcript.h"
#include "base/buf.h"
#include "ipc/channel.h"
#include "log/log.h"

#define X10 "xxxxxxxxxx"
#define X70 X10 X10 X10 X10 X10 X10 X10

static void
expect(const char *line, const char *want)
{
	struct transcript *t = transcript_new(32768);
	struct buf out;

	buf_init(&out, 65536);
	transcript_add(t, TRANSCRIPT_IN, str_c(line));
	assert_int_equal(transcript_format(t, &out), RC_OK);
	if (!str_is(buf_view(&out), want))
		fail_msg("%s\ngot  %.*s\nwant %s", line, STR_ARG(buf_view(&out)), want);
	buf_fini(&out);
	transcript_free(&t);
}

static void
lines_are_wrapped_between_words(void **state)
{
	(void)state;
	expect("QUIT", " In:  QUIT\r\n");
	expect("", " In:\r\n");
	expect("   ", " In:\r\n");
	expect("  NOOP  x ", " In:    NOOP  x\r\n");
	expect("NOOP " X70 X10, " In:  NOOP\r\n     " X70 X10 "\r\n");
	expect("NOOP a " X70 X10 " b", " In:  NOOP a\r\n     " X70 X10 "\r\n     b\r\n");
	expect("FOO " X10 X10 X10 X10 X10 X10 "12345678",
	    " In:  FOO " X10 X10 X10 X10 X10 X10 "12345678\r\n");
	expect("FOO " X10 X10 X10 X10 X10 X10 "1234567890",
	    " In:  FOO\r\n     " X10 X10 X10 X10 X10 X10 "1234567890\r\n");
	expect("NOOP   " X70 X10 "   " X70,
	    " In:  NOOP\r\n     " X70 X10 "\r\n     " X70 "\r\n");
	expect("NOOP z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z "
	       "z z 12345 6",
	    " In:  NOOP z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z z "
	    "z z\r\n     z z 12345 6\r\n");
	expect("MAIL a b c d e f g h i " X10 X10 X10 X10 X10 " j k l m n o p q r s t u v "
	       "w x y z a b c d e f g h i j k l m n o p q r s t u v w",
	    " In:  MAIL a b c d e f g h i " X10 X10 X10 X10 X10 "\r\n"
	    "     j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r "
	    "s "
	    "t\r\n     u v w\r\n");
}

static void
what_cannot_be_printed_is_a_question_mark(void **state)
{
	(void)state;
	expect("NOOP a\tb\033[1m\177", " In:  NOOP a?b?[1m?\r\n");
	expect("NOOP \303\251 \303 \200", " In:  NOOP \303\251 ? ?\r\n");
}

static void
a_reply_has_several_lines(void **state)
{
	struct transcript *t = transcript_new(32768);
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	transcript_add(t, TRANSCRIPT_OUT, STR("250-a\r\n250 b\r\n"));
	assert_int_equal(transcript_lines(t), 2);
	assert_int_equal(transcript_format(t, &out), RC_OK);
	assert_true(str_is(buf_view(&out), " Out: 250-a\r\n Out: 250 b\r\n"));
	buf_fini(&out);
	transcript_free(&t);
}

/* A client that sends BDAT for ever. */
static void
the_middle_of_a_long_session_is_left_out(void **state)
{
	struct transcript *t = transcript_new(1000);
	struct buf out;
	struct str text;

	(void)state;
	buf_init(&out, 65536);
	transcript_add(t, TRANSCRIPT_IN, STR("first"));
	for (unsigned i = 0; i < 100000; i++)
		transcript_add(t, TRANSCRIPT_IN, STR("BDAT 1"));
	transcript_add(t, TRANSCRIPT_IN, STR("last"));
	assert_int_equal(transcript_lines(t), 100002);
	assert_int_equal(transcript_format(t, &out), RC_OK);
	text = buf_view(&out);
	assert_true(text.n < 4000);
	assert_true(str_starts(text, STR(" In:  first\r\n In:  BDAT 1\r\n")));
	assert_true(str_ends(text, STR(" In:  BDAT 1\r\n In:  last\r\n")));
	assert_non_null(memmem(text.p, text.n, " lines are left out)\r\n", 21));
	buf_fini(&out);
	transcript_free(&t);
}

static void
a_line_that_is_too_long_is_lost_alone(void **state)
{
	struct transcript *t = transcript_new(20);
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	transcript_add(t, TRANSCRIPT_IN, STR("a"));
	transcript_add(t, TRANSCRIPT_IN, STR(X70));
	transcript_add(t, TRANSCRIPT_IN, STR("b"));
	assert_int_equal(transcript_format(t, &out), RC_OK);
	assert_true(
	    str_is(buf_view(&out), " In:  a\r\n (1 lines are left out)\r\n In:  b\r\n"));
	buf_fini(&out);
	transcript_free(&t);
}

static void
classes(void **state)
{
	(void)state;
	assert_int_equal(notice_classes(STR("resource, software")),
	    SMTP_TROUBLE_RESOURCE | SMTP_TROUBLE_SOFTWARE);
	assert_int_equal(notice_classes(STR("2bounce delay")), 0);
	assert_int_equal(notice_classes(STR("Bounce,POLICY\tprotocol data")),
	    SMTP_TROUBLE_BOUNCE | SMTP_TROUBLE_POLICY | SMTP_TROUBLE_PROTOCOL |
		SMTP_TROUBLE_DATA);
	assert_int_equal(notice_classes(STR("")), 0);
}

static void
passwords_are_not_shown(void **state)
{
	static const struct {
		const char *line, *shown;
	} cases[] = {
		{ "AUTH PLAIN AGEAYg==", "AUTH PLAIN ..." },
		{ "auth\tlogin  x y", "auth\tlogin ..." },
		{ "\vAUTH\fPLAIN\rx", "\vAUTH\fPLAIN ..." },
		{ "AUTH PLAIN", "AUTH PLAIN" },
		{ "AUTH PLAIN  ", "AUTH PLAIN  " },
		{ "AUTH " X70 X70 " x", "AUTH " X70 X10 X10 "xxxxx ..." },
		{ "AUTHOR x y", "AUTHOR x y" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char room[TRANSCRIPT_ROOM];
		struct str shown = transcript_shown(str_c(cases[i].line), room);

		if (!str_is(shown, cases[i].shown))
			fail_msg("%s: %.*s", cases[i].line, STR_ARG(shown));
	}
}

static void
lines_go_to_the_log(void **state)
{
	static const char want[] = "< h[a]: \n> h[a]: 250-one\n> h[a]: 250 two\n"
				   "> h[a]: MAIL ?\n> h[a]: AUTH X ...\n> h[a]: QUIT\n";
	struct log *l = log_new("t", "h");
	int fd = memfd_create("log", 0);
	char text[1000], *rest = text, *line, got[1000] = "";
	ssize_t n;

	(void)state;
	log_to_fd(l, dup(fd));
	transcript_log(l, TRANSCRIPT_IN, STR("h[a]"), STR(""));
	transcript_log(l, TRANSCRIPT_OUT, STR("h[a]"), STR("250-one\r\n250 two\r\n"));
	transcript_log(l, TRANSCRIPT_OUT, STR("h[a]"), STR("MAIL \1\r\nAUTH X y\nQUIT"));
	log_flush(l);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		line = strstr(line, "]: ");
		assert_non_null(line);
		(void)snprintf(
		    got + strlen(got), sizeof(got) - strlen(got), "%s\n", line + 3);
	}
	assert_string_equal(got, want);
	log_free(&l);
	(void)close(fd);
}

static void
recheck(void *all)
{
	notices_recheck(all);
}

/* A process that has just begun has no ids yet; nor has one whose queue is started again.
 */
static void
a_notice_waits_for_the_queue(void **state)
{
	struct testing_queue q;
	struct notices *all;
	struct notice_conf conf = { .classes = SMTP_TROUBLE_PROTOCOL,
		.error_recipient = STR("boss@o.rg"),
		.bounce_recipient = STR("nobody@o.rg"),
		.sender = STR("double-bounce"),
		.mail_name = STR("Postfix") };
	struct transcript *said = transcript_new(1000);
	struct notice_text text = { .trouble = SMTP_TROUBLE_PROTOCOL,
		.who = "SMTP server",
		.peer = STR("h[a]"),
		.transcript = said };

	(void)state;
	testing_queue_init(&q);
	conf.ingest = (struct ingest_conf){ .log = q.log,
		.cleanup_log = q.log,
		.mime = { .header_size_limit = 1000 },
		.rewrite = { .at_myorigin = STR("o.rg") },
		.myorigin = STR("o.rg"),
		.message_size_limit = 1000000 };
	all =
	    notices_new(&(struct notices_request){ .submit = q.submit, .loop = q.loop });
	submit_on_ready(q.submit, recheck, all);
	transcript_add(said, TRANSCRIPT_IN, STR("FOO"));
	notices_send(all, &conf, &text);
	notices_send(all, &conf, &text);
	testing_queue_rounds(&q);
	assert_int_equal(notices_open(all), 2);
	testing_queue_connect(&q, 1);
	testing_queue_rounds(&q);
	assert_int_equal(notices_open(all), 0);
	assert_int_equal(q.n_puts, 2);
	assert_true(testing_queue_was_told(&q, " to=boss@o.rg,"));
	/* Not to a queue that has no room: nothing is to be gained by waiting. */
	ipc_send_state(q.ch, &(struct wire_state){ .can_store = false });
	testing_queue_rounds(&q);
	notices_send(all, &conf, &text);
	testing_queue_rounds(&q);
	assert_int_equal(notices_open(all), 0);
	assert_int_equal(q.n_puts, 2);
	free(all);
	transcript_free(&said);
	testing_queue_fini(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_wrapped_between_words),
		cmocka_unit_test(what_cannot_be_printed_is_a_question_mark),
		cmocka_unit_test(a_reply_has_several_lines),
		cmocka_unit_test(the_middle_of_a_long_session_is_left_out),
		cmocka_unit_test(a_line_that_is_too_long_is_lost_alone),
		cmocka_unit_test(classes),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(lines_go_to_the_log),
		cmocka_unit_test(a_notice_waits_for_the_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
