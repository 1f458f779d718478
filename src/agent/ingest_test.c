/* Messages on their way into the spool, with a queue that the test plays: what it is
 * sent, what the caller is told, and what happens when queue says no, says nothing, or
 * goes away. */
#include "agent/ingest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "addr/address.h"
#include "agent/submit.h"
#include "agent/testing.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "spool/message.h"

struct told {
	size_t n, n_room;
	enum rc rc;
	char text[200];
};

static const struct ingest_conf base_conf = {
	.mime = { .header_size_limit = 1000,
	    .hopcount_limit = 10,
	    .drop_known = 1 << MIME_HDR_BCC,
	    .undisclosed = STR_INIT("") },
	.rewrite = { .at_myorigin = STR_INIT("o.rg"),
	    .swap_bangpath = true,
	    .percent_hack = true },
	.myhostname = STR_INIT("mx.o.rg"),
	.mail_name = STR_INIT("Postfix"),
	.myorigin = STR_INIT("o.rg"),
	.message_size_limit = 1000000,
	.duplicate_filter_limit = 1000,
	.keeps_original = true,
	.name_charset = STR_INIT("utf-8"),
};
static const struct ingest_client client = {
	.origin = STR_INIT("smtpd"),
	.name = STR_INIT("unknown"),
	.addr = STR_INIT("192.0.2.1"),
	.port = STR_INIT("99"),
	.proto = STR_INIT("ESMTP"),
	.helo = STR_INIT("h"),
	.via = MIME_VIA_SMTP,
};

/* As a process of this site has it; made anew by setup(). */
static struct ingest_conf conf;

static void
setup(struct testing_queue *q)
{
	testing_queue_init(q);
	conf = base_conf;
	conf.log = conf.cleanup_log = q->log;
}

/* With a queue that answers. */
static void
setup_connected(struct testing_queue *q)
{
	setup(q);
	testing_queue_connect(q, 1);
	testing_queue_rounds(q);
}

static void
done(void *arg, enum rc rc, struct str text)
{
	struct told *t = arg;

	t->n++;
	t->rc = rc;
	(void)snprintf(t->text, sizeof(t->text), "%.*s", STR_ARG(text));
}

static void
room(void *arg)
{
	((struct told *)arg)->n_room++;
}

static struct ingest *
begin(struct testing_queue *q, const struct ingest_client *c)
{
	struct ingest *in = NULL;

	assert_int_equal(ingest_new(q->submit, q->loop, &conf, &in, NULL), RC_OK);
	ingest_begin(in, c, STR("a@b"));
	return in;
}

static const struct ingest_rcpt one = { .address = STR_INIT("a@b.c") };

static void
commit(struct ingest *in, struct told *t)
{
	const struct ingest_envelope env = {
		.sender = STR("s@t"), .rcpts = &one, .n_rcpts = 1
	};

	ingest_commit(in, &env, done, t);
	assert_int_equal(t->n, 0);
}

static void
a_message_is_put_and_confirmed(void **state)
{
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in = NULL;
	struct str body;

	(void)state;
	setup(&q);
	assert_int_equal(ingest_new(q.submit, q.loop, &conf, &in, NULL), RC_TEMP);
	testing_queue_connect(&q, 1);
	testing_queue_rounds(&q);
	in = begin(&q, &client);
	assert_int_equal(
	    ingest_content(in, STR("Bcc: x\r\nSubject: y\r\n\r"), NULL), RC_OK);
	assert_int_equal(ingest_content(in, STR("\n.body\xff\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	body = buf_view(&q.content);
	assert_true(str_starts(
	    body, STR("Received: from h (unknown [192.0.2.1])\r\n\tby mx.o.rg (Postfix) "
		      "with ESMTP id ")));
	assert_true(str_ends(body, STR(")\r\nSubject: y\r\n\r\n.body\xff\r\n")));
	assert_true(testing_queue_was_told(&q, "from=s@t"));
	assert_true(testing_queue_was_told(&q, " facts=9 to=a@b.c,"));
	assert_int_equal(q.stage, 0);
	assert_int_equal(ingest_size(in), body.n);
	ingest_free(&in);
	testing_queue_fini(&q);
}

static void
addresses_are_completed_once(void **state)
{
	static const struct ingest_rcpt rcpts[] = { { .address = STR_INIT("root") },
		{ .address = STR_INIT("x@Y.z") }, { .address = STR_INIT("X@y.z") },
		{ .address = STR_INIT("root") },
		{ .address = STR_INIT("x@y.z"), .notify = 1 } };
	const struct ingest_envelope env = {
		.sender = STR("mailer-daemon"), .rcpts = rcpts, .n_rcpts = 5
	};
	struct ingest_client local = client;
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	local.is_local = true;
	local.via = MIME_VIA_LOCAL;
	local.uid = 5;
	local.sender = STR("joe");
	local.full_name = STR("Joe \"J\" Doe");
	in = begin(&q, &local);
	assert_int_equal(ingest_content(in, STR("To: root\n\nx\n"), NULL), RC_OK);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_true(testing_queue_was_told(&q, "from= "));
	assert_true(
	    testing_queue_was_told(&q, " to=root@o.rg,root,0 to=x@Y.z,,0 to=x@y.z,,1"));
	assert_true(str_starts(buf_view(&q.content),
	    STR("Received: by mx.o.rg (Postfix, from userid 5)\r\n\tid ")));
	assert_true(str_ends(buf_view(&q.content),
	    STR("\r\nFrom: \"Joe \\\"J\\\" Doe\" <joe@o.rg>\r\n\r\nx\r\n")));
	ingest_free(&in);
	testing_queue_fini(&q);
}

/* Its ORCPT would be longer than a put takes: the message goes without it. */
static void
a_long_recipient_of_local_mail(void **state)
{
	char address[ADDR_MAX] = "";
	const struct ingest_rcpt to = { .address = str_n(address, ADDR_MAX) };
	const struct ingest_envelope env = {
		.sender = STR("s@t"), .rcpts = &to, .n_rcpts = 1
	};
	struct ingest_client local = client;
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	memset(address, 'a', sizeof(address));
	memcpy(address + ADDR_MAX - 4, "@b.c", 4);
	setup_connected(&q);
	local.is_local = true;
	local.origin = STR("pickup");
	in = begin(&q, &local);
	assert_int_equal(ingest_content(in, STR("To: root\n\nx\n"), NULL), RC_OK);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	testing_queue_fini(&q);
}

static void
feed(struct ingest *in, size_t n, enum rc want_last)
{
	char piece[10000];
	enum rc rc = RC_OK;

	memset(piece, 'x', sizeof(piece));
	for (size_t i = 79; i < sizeof(piece); i += 80)
		memcpy(piece + i - 1, "\r\n", 2);
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	for (size_t i = 0; i < n; i++)
		rc = ingest_content(in, str_n(piece, sizeof(piece)), NULL);
	assert_int_equal(rc, want_last);
}

static void
large_mail_goes_to_a_stage_file(void **state)
{
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	in = begin(&q, &client);
	ingest_on_room(in, room, &t);
	feed(in, 30, RC_MORE); /* the file is not here yet */
	testing_queue_rounds(&q);
	assert_int_equal(t.n_room, 1);
	feed(in, 30, RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	assert_int_equal(q.content.n, ingest_size(in));
	assert_int_not_equal(q.stage, 0);
	ingest_free(&in);
	/* Committed before the file was there; the envelope is only lent. */
	t = (struct told){ 0 };
	in = begin(&q, &client);
	feed(in, 10, RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_true(testing_queue_was_told(&q, "from=s@t"));
	assert_int_equal(q.content.n, ingest_size(in));
	assert_int_equal(q.n_dropped, 0);
	ingest_free(&in);
	testing_queue_fini(&q);
}

static void
given_up_mail_gives_the_stage_file_back(void **state)
{
	struct testing_queue q;
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	in = begin(&q, &client);
	feed(in, 10, RC_OK);
	testing_queue_rounds(&q);
	ingest_free(&in);
	testing_queue_rounds(&q);
	assert_int_equal(q.n_dropped, 1);
	in = begin(&q, &client); /* given up while the file is on its way */
	feed(in, 10, RC_OK);
	ingest_free(&in);
	testing_queue_rounds(&q);
	assert_int_equal(q.n_dropped, 2);
	assert_int_equal(q.n_puts, 0);
	testing_queue_fini(&q);
}

static void
too_large_and_too_many_hops_are_refused(void **state)
{
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	in = begin(&q, &client);
	feed(in, 101, RC_PERM);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.3.4 Error: message file too big");
	assert_int_equal(ingest_reply_code(str_c(t.text)), 552);
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &client);
	for (int i = 0; i < 12; i++)
		(void)!ingest_content(in, STR("Received: x\r\n"), NULL);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.4.0 Error: too many hops");
	assert_int_equal(ingest_reply_code(str_c(t.text)), 554);
	ingest_free(&in);
	assert_int_equal(q.n_puts, 0);
	testing_queue_fini(&q);
}

static void
mail_that_nobody_waits_for_goes_back(void **state)
{
	struct testing_queue q;
	struct ingest_client local = client;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	local.is_returned = true;
	in = begin(&q, &local);
	feed(in, 101, RC_MORE); /* what is beyond the limit is not stored */
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_true(testing_queue_was_told(
	    &q, " filter=error:5.3.4 message file too big hold=0 ret=2"));
	assert_in_range(q.content.n, 1000000, 1000200);
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &local);
	for (int i = 0; i < 12; i++)
		assert_int_equal(ingest_content(in, STR("Received: x\r\n"), NULL), RC_OK);
	assert_int_equal(ingest_content(in, STR("\r\nbody\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_true(
	    testing_queue_was_told(&q, " filter=error:5.4.0 too many hops hold=0 ret=0"));
	assert_true(str_ends(buf_view(&q.content), STR("\r\n\r\nbody\r\n")));
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &local); /* nothing is wrong with it */
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_true(testing_queue_was_told(&q, " filter= hold=0 ret=0"));
	ingest_free(&in);
	testing_queue_fini(&q);
}

static void
an_envelope_too_long_for_a_frame_leaves_the_channel_open(void **state)
{
	enum { N = 5000, LENGTH = 1900 };
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest_rcpt *v = mem_array(N, sizeof(*v));
	char *text = mem_array(N, LENGTH);
	struct ingest_envelope env = {
		.sender = STR("s@o.rg"), .rcpts = v, .n_rcpts = N
	};
	struct ingest *in;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		char *p = text + i * LENGTH;

		memset(p, 'a', LENGTH);
		(void)snprintf(p + LENGTH - 16, 16, "%05zu@example.o", i);
		v[i].address = str_n(p, LENGTH - 2);
	}
	setup_connected(&q);
	in = begin(&q, &client);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.3.4 Error: too many recipients");
	ingest_free(&in);
	assert_false(q.is_closed);
	t = (struct told){ 0 };
	in = begin(&q, &client);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	testing_queue_fini(&q);
	free(v);
	free(text);
}

static void
no_answer_is_no_yes(void **state)
{
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in, *other;

	(void)state;
	setup_connected(&q);
	q.answer = RC_TEMP;
	in = begin(&q, &client);
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_TEMP);
	assert_string_equal(t.text, "4.3.1 full");
	assert_int_equal(ingest_reply_code(str_c(t.text)), 452);
	ingest_free(&in);

	/* queue is restarted while one put is open and one message is half way. */
	t = (struct told){ 0 };
	q.is_silent = true;
	in = begin(&q, &client);
	other = begin(&q, &client);
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 0);
	ipc_channel_free(&q.ch);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_TEMP);
	ingest_free(&in);
	q.is_silent = false;
	q.answer = RC_OK;
	testing_queue_connect(&q, 50);
	testing_queue_rounds(&q);
	t = (struct told){ 0 };
	commit(other, &t);
	testing_queue_rounds(&q);
	assert_int_equal(
	    t.rc, RC_TEMP); /* its id was granted by the queue that is gone */
	ingest_free(&other);
	t = (struct told){ 0 };
	in = begin(&q, &client);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	testing_queue_fini(&q);
}

/* The stage file comes in the round in which the message was given up with a 250. */
static void
a_discarded_message_needs_no_stage_file(void **state)
{
	struct ingest_envelope env = {
		.sender = STR("s@t"), .rcpts = &one, .n_rcpts = 1, .discard = true
	};
	struct wire_stage late = { .number = 7, .file = -1 };
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	q.is_silent = true;
	in = begin(&q, &client);
	feed(in, 8, RC_OK);
	testing_queue_rounds(&q);
	assert_int_equal(q.n_stages, 1);
	q.stage_fd = memfd_create("stage", MFD_CLOEXEC);
	late.request = q.stage_request;
	late.file = dup(q.stage_fd);
	ipc_send_stage(q.ch, &late);
	loop_round(q.loop, 0);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	assert_int_equal(q.n_puts, 0);
	ingest_free(&in);
	testing_queue_rounds(&q);
	assert_int_equal(q.n_dropped, 1);
	testing_queue_fini(&q);
}

/* A table may name a filter of any length. */
static void
a_filter_too_long_for_a_frame_leaves_the_channel_open(void **state)
{
	static char name[3000];
	struct ingest_envelope env = {
		.sender = STR("s@t"), .rcpts = &one, .n_rcpts = 1
	};
	struct ingest_client odd = client;
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	memset(name, 'f', sizeof(name));
	env.filter = str_n(name, sizeof(name));
	in = begin(&q, &client);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_TEMP);
	ingest_free(&in);
	/* What XFORWARD said is cut. */
	env.filter = STR("");
	odd.proto = str_n(name, 200);
	t = (struct told){ 0 };
	in = begin(&q, &odd);
	ingest_commit(in, &env, done, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	assert_false(q.is_closed);
	testing_queue_fini(&q);
}

/* How often `what` is in the log behind `fd`. */
static size_t
count_logged(int fd, const char *what)
{
	static char text[1 << 16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	size_t found = 0;

	assert_true(n >= 0 && (size_t)n < sizeof(text) - 1);
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		found++;
	return found;
}

static void
the_log_has_message_ids_but_no_flood_of_them(void **state)
{
	int fd = memfd_create("log", 0);
	struct testing_queue q;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	setup_connected(&q);
	conf.cleanup_log = log_new("t", "h");
	log_to_fd(conf.cleanup_log, dup(fd));
	in = begin(&q, &client);
	assert_int_equal(
	    ingest_content(in, STR("Message-Id: <a\r\n b>\r\n"), NULL), RC_OK);
	for (int i = 0; i < 200; i++)
		assert_int_equal(
		    ingest_content(in, STR("Message-Id: <m>\r\n"), NULL), RC_OK);
	assert_int_equal(ingest_content(in, STR("\r\nbody\r\n"), NULL), RC_OK);
	commit(in, &t);
	testing_queue_rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	log_flush(conf.cleanup_log);
	assert_int_equal(count_logged(fd, ": message-id=<a? b>\n"), 1);
	assert_int_equal(count_logged(fd, ": message-id=<m>\n"), 99);
	ingest_free(&in);
	log_free(&conf.cleanup_log);
	testing_queue_fini(&q);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_put_and_confirmed),
		cmocka_unit_test(addresses_are_completed_once),
		cmocka_unit_test(a_long_recipient_of_local_mail),
		cmocka_unit_test(large_mail_goes_to_a_stage_file),
		cmocka_unit_test(given_up_mail_gives_the_stage_file_back),
		cmocka_unit_test(too_large_and_too_many_hops_are_refused),
		cmocka_unit_test(mail_that_nobody_waits_for_goes_back),
		cmocka_unit_test(
		    an_envelope_too_long_for_a_frame_leaves_the_channel_open),
		cmocka_unit_test(no_answer_is_no_yes),
		cmocka_unit_test(a_discarded_message_needs_no_stage_file),
		cmocka_unit_test(a_filter_too_long_for_a_frame_leaves_the_channel_open),
		cmocka_unit_test(the_log_has_message_ids_but_no_flood_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
