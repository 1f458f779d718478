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
#include "agent/submit.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/sock.h"
#include "spool/message.h"

/* The other side. */
struct fake_queue {
	struct ingest_conf conf;
	struct loop *loop;
	struct log *log;
	struct submit *submit;
	struct ipc_channel *ch;
	struct buf content; /* of the last put */
	char trace[4000];   /* what the last put said */
	size_t n_puts, n_stages, n_dropped, n_wants;
	uint32_t request, stage_request;
	int stage_fd;
	enum rc answer;
	bool is_silent, is_closed;
};

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

static void
on_ids_want(void *arg, const struct wire_ids_want *m)
{
	struct fake_queue *q = arg;

	(void)m;
	q->n_wants++;
	ipc_send_ids(q->ch, &(struct wire_ids){ .first = 1000 * q->n_wants, .count = 4 });
}

static void
on_stage_open(void *arg, const struct wire_stage_open *m)
{
	struct fake_queue *q = arg;
	struct wire_stage s = { .request = m->request, .number = 7, .file = -1 };

	q->n_stages++;
	q->stage_request = m->request;
	if (q->is_silent)
		return;
	os_fd_close(&q->stage_fd);
	q->stage_fd = memfd_create("stage", MFD_CLOEXEC);
	s.file = dup(q->stage_fd);
	ipc_send_stage(q->ch, &s);
}

static void
on_stage_drop(void *arg, const struct wire_stage_drop *m)
{
	struct fake_queue *q = arg;

	assert_int_equal(m->number, 7);
	q->n_dropped++;
}

static void
on_put(void *arg, const struct wire_put *m)
{
	struct fake_queue *q = arg;
	int n;

	q->n_puts++;
	q->request = m->request;
	n = snprintf(q->trace, sizeof(q->trace), "from=%.*s size=%llu stage=%u facts=%u",
	    STR_ARG(m->sender), (unsigned long long)m->size, m->stage, m->facts);
	for (size_t i = 0; i < m->n_rcpts && i < 10; i++)
		n += snprintf(q->trace + n, sizeof(q->trace) - (size_t)n, " to=%.*s,%.*s",
		    STR_ARG(m->rcpts[i].address), STR_ARG(m->rcpts[i].orig));
	(void)snprintf(q->trace + n, sizeof(q->trace) - (size_t)n, " filter=%.*s ret=%d",
	    STR_ARG(m->filter), m->ret);
	buf_reset(&q->content);
	assert_int_equal(buf_put(&q->content, m->content), RC_OK);
	if (m->stage != 0) {
		char *room = buf_room(&q->content, m->size);

		assert_int_equal(pread(q->stage_fd, room, m->size, 0), m->size);
		buf_added(&q->content, m->size);
		assert_int_equal(crc32c(0, buf_view(&q->content)), m->stage_crc);
	}
	if (!q->is_silent)
		ipc_send_put_done(q->ch,
		    &(struct wire_put_done){ .request = m->request,
			.rc = (uint8_t)q->answer,
			.text = q->answer == RC_OK ? STR("") : STR("4.3.1 full") });
}

static void
on_close(void *arg, const char *why)
{
	struct fake_queue *q = arg;

	(void)why;
	q->is_closed = true;
	ipc_channel_free(&q->ch);
}

static void
connect_queue(struct fake_queue *q, uint64_t first)
{
	static const struct ipc_handlers on = { .on_ids_want = on_ids_want,
		.on_stage_open = on_stage_open,
		.on_stage_drop = on_stage_drop,
		.on_put = on_put };
	const struct ipc_channel_conf c = { .me = WIRE_QUEUE,
		.peer = WIRE_SUBMITTER,
		.on = &on,
		.on_close = on_close,
		.arg = q };
	int fds[2];

	assert_int_equal(os_sock_pair(fds, NULL), RC_OK);
	q->ch = ipc_channel_new(q->loop, fds[0], &c);
	submit_connect(q->submit, fds[1]);
	ipc_send_ids(q->ch, &(struct wire_ids){ .first = first, .count = 4 });
	ipc_send_state(
	    q->ch, &(struct wire_state){ .can_store = true, .free_bytes = 1 << 30 });
}

static void
rounds(struct fake_queue *q)
{
	for (int i = 0; i < 12; i++)
		loop_round(q->loop, 0);
}

static struct fake_queue
setup(void)
{
	struct fake_queue q = { .stage_fd = -1 };

	q.loop = loop_new();
	q.log = log_new("test", "h");
	q.conf = base_conf;
	q.conf.log = q.conf.cleanup_log = q.log;
	q.submit = submit_new(q.loop, q.log);
	buf_init(&q.content, 4 << 20);
	return q;
}

static void
teardown(struct fake_queue *q)
{
	submit_free(&q->submit);
	if (q->ch != NULL)
		ipc_channel_free(&q->ch);
	log_free(&q->log);
	loop_free(&q->loop);
	buf_fini(&q->content);
	os_fd_close(&q->stage_fd);
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
begin(struct fake_queue *q, const struct ingest_client *c)
{
	struct ingest *in = NULL;

	assert_int_equal(ingest_new(q->submit, q->loop, &q->conf, &in, NULL), RC_OK);
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
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in = NULL;
	struct str body;

	(void)state;
	assert_int_equal(ingest_new(q.submit, q.loop, &q.conf, &in, NULL), RC_TEMP);
	connect_queue(&q, 1);
	rounds(&q);
	in = begin(&q, &client);
	assert_int_equal(
	    ingest_content(in, STR("Bcc: x\r\nSubject: y\r\n\r"), NULL), RC_OK);
	assert_int_equal(ingest_content(in, STR("\n.body\xff\r\n"), NULL), RC_OK);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	body = buf_view(&q.content);
	assert_true(str_starts(
	    body, STR("Received: from h (unknown [192.0.2.1])\r\n\tby mx.o.rg (Postfix) "
		      "with ESMTP id ")));
	assert_true(str_ends(body, STR(")\r\nSubject: y\r\n\r\n.body\xff\r\n")));
	assert_non_null(strstr(q.trace, "from=s@t"));
	assert_non_null(strstr(q.trace, "stage=0 facts=9 to=a@b.c,"));
	assert_int_equal(ingest_size(in), body.n);
	ingest_free(&in);
	teardown(&q);
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
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	local.is_local = true;
	local.via = MIME_VIA_LOCAL;
	local.uid = 5;
	local.sender = STR("joe");
	local.full_name = STR("Joe \"J\" Doe");
	in = begin(&q, &local);
	assert_int_equal(ingest_content(in, STR("To: root\n\nx\n"), NULL), RC_OK);
	ingest_commit(in, &env, done, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_non_null(strstr(q.trace, "from= "));
	assert_non_null(strstr(q.trace, " to=root@o.rg,root to=x@Y.z, to=x@y.z,"));
	assert_true(str_starts(buf_view(&q.content),
	    STR("Received: by mx.o.rg (Postfix, from userid 5)\r\n\tid ")));
	assert_true(str_ends(buf_view(&q.content),
	    STR("\r\nFrom: \"Joe \\\"J\\\" Doe\" <joe@o.rg>\r\n\r\nx\r\n")));
	ingest_free(&in);
	teardown(&q);
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
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	in = begin(&q, &client);
	ingest_on_room(in, room, &t);
	feed(in, 30, RC_MORE); /* the file is not here yet */
	rounds(&q);
	assert_int_equal(t.n_room, 1);
	feed(in, 30, RC_OK);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	assert_int_equal(q.content.n, ingest_size(in));
	assert_non_null(strstr(q.trace, "stage=7"));
	ingest_free(&in);
	/* Committed before the file was there; the envelope is only lent. */
	t = (struct told){ 0 };
	in = begin(&q, &client);
	feed(in, 10, RC_OK);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_non_null(strstr(q.trace, "from=s@t"));
	assert_int_equal(q.content.n, ingest_size(in));
	assert_int_equal(q.n_dropped, 0);
	ingest_free(&in);
	teardown(&q);
}

static void
given_up_mail_gives_the_stage_file_back(void **state)
{
	struct fake_queue q = setup();
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	in = begin(&q, &client);
	feed(in, 10, RC_OK);
	rounds(&q);
	ingest_free(&in);
	rounds(&q);
	assert_int_equal(q.n_dropped, 1);
	in = begin(&q, &client); /* given up while the file is on its way */
	feed(in, 10, RC_OK);
	ingest_free(&in);
	rounds(&q);
	assert_int_equal(q.n_dropped, 2);
	assert_int_equal(q.n_puts, 0);
	teardown(&q);
}

static void
too_large_and_too_many_hops_are_refused(void **state)
{
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	in = begin(&q, &client);
	feed(in, 101, RC_PERM);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.3.4 Error: message file too big");
	assert_int_equal(ingest_reply_code(str_c(t.text)), 552);
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &client);
	for (int i = 0; i < 12; i++)
		(void)!ingest_content(in, STR("Received: x\r\n"), NULL);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.4.0 Error: too many hops");
	assert_int_equal(ingest_reply_code(str_c(t.text)), 554);
	ingest_free(&in);
	assert_int_equal(q.n_puts, 0);
	teardown(&q);
}

static void
mail_that_nobody_waits_for_goes_back(void **state)
{
	struct fake_queue q = setup();
	struct ingest_client local = client;
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	local.is_returned = true;
	in = begin(&q, &local);
	feed(in, 101, RC_MORE); /* what is beyond the limit is not stored */
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_non_null(
	    strstr(q.trace, " filter=error:5.3.4 message file too big ret=2"));
	assert_in_range(q.content.n, 1000000, 1000200);
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &local);
	for (int i = 0; i < 12; i++)
		assert_int_equal(ingest_content(in, STR("Received: x\r\n"), NULL), RC_OK);
	assert_int_equal(ingest_content(in, STR("\r\nbody\r\n"), NULL), RC_OK);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_non_null(strstr(q.trace, " filter=error:5.4.0 too many hops ret=0"));
	assert_true(str_ends(buf_view(&q.content), STR("\r\n\r\nbody\r\n")));
	ingest_free(&in);

	t = (struct told){ 0 };
	in = begin(&q, &local); /* nothing is wrong with it */
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	assert_non_null(strstr(q.trace, " filter= ret=0"));
	ingest_free(&in);
	teardown(&q);
}

static void
an_envelope_too_long_for_a_frame_leaves_the_channel_open(void **state)
{
	enum { N = 5000, LENGTH = 1900 };
	struct fake_queue q = setup();
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
	connect_queue(&q, 1);
	rounds(&q);
	in = begin(&q, &client);
	ingest_commit(in, &env, done, &t);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_PERM);
	assert_string_equal(t.text, "5.3.4 Error: too many recipients");
	ingest_free(&in);
	assert_false(q.is_closed);
	t = (struct told){ 0 };
	in = begin(&q, &client);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	teardown(&q);
	free(v);
	free(text);
}

static void
no_answer_is_no_yes(void **state)
{
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in, *other;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	q.answer = RC_TEMP;
	in = begin(&q, &client);
	assert_int_equal(ingest_content(in, STR("A: b\r\n\r\n"), NULL), RC_OK);
	commit(in, &t);
	rounds(&q);
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
	rounds(&q);
	assert_int_equal(t.n, 0);
	ipc_channel_free(&q.ch);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_TEMP);
	ingest_free(&in);
	q.is_silent = false;
	q.answer = RC_OK;
	connect_queue(&q, 50);
	rounds(&q);
	t = (struct told){ 0 };
	commit(other, &t);
	rounds(&q);
	assert_int_equal(
	    t.rc, RC_TEMP); /* its id was granted by the queue that is gone */
	ingest_free(&other);
	t = (struct told){ 0 };
	in = begin(&q, &client);
	commit(in, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	teardown(&q);
}

/* The stage file comes in the round in which the message was given up with a 250. */
static void
a_discarded_message_needs_no_stage_file(void **state)
{
	struct ingest_envelope env = {
		.sender = STR("s@t"), .rcpts = &one, .n_rcpts = 1, .discard = true
	};
	struct wire_stage late = { .number = 7, .file = -1 };
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	q.is_silent = true;
	in = begin(&q, &client);
	feed(in, 8, RC_OK);
	rounds(&q);
	assert_int_equal(q.n_stages, 1);
	q.stage_fd = memfd_create("stage", MFD_CLOEXEC);
	late.request = q.stage_request;
	late.file = dup(q.stage_fd);
	ipc_send_stage(q.ch, &late);
	loop_round(q.loop, 0);
	ingest_commit(in, &env, done, &t);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	assert_int_equal(q.n_puts, 0);
	ingest_free(&in);
	rounds(&q);
	assert_int_equal(q.n_dropped, 1);
	teardown(&q);
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
	struct fake_queue q = setup();
	struct told t = { 0 };
	struct ingest *in;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	memset(name, 'f', sizeof(name));
	env.filter = str_n(name, sizeof(name));
	in = begin(&q, &client);
	ingest_commit(in, &env, done, &t);
	rounds(&q);
	assert_int_equal(t.rc, RC_TEMP);
	ingest_free(&in);
	/* What XFORWARD said is cut. */
	env.filter = STR("");
	odd.proto = str_n(name, 200);
	t = (struct told){ 0 };
	in = begin(&q, &odd);
	ingest_commit(in, &env, done, &t);
	rounds(&q);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rc, RC_OK);
	ingest_free(&in);
	assert_false(q.is_closed);
	teardown(&q);
}

struct pair {
	struct submit *s;
	uint32_t request[2];
	size_t n;
};

/* One answer is enough: the owner goes away, and the other request with him. */
static void
told_once(void *arg, enum rc rc, int fd, uint32_t number, struct str text)
{
	struct pair *p = arg;

	(void)fd;
	(void)number;
	(void)text;
	assert_int_equal(rc, RC_TEMP);
	p->n++;
	submit_forget(p->s, p->request[0]);
	submit_forget(p->s, p->request[1]);
}

static void
who_leaves_when_queue_dies_is_not_called_again(void **state)
{
	struct fake_queue q = setup();
	struct pair p = { .s = q.submit };

	(void)state;
	connect_queue(&q, 1);
	q.is_silent = true;
	rounds(&q);
	for (int i = 0; i < 2; i++)
		p.request[i] = submit_stage_open(q.submit, told_once, &p);
	rounds(&q);
	ipc_channel_free(&q.ch);
	rounds(&q);
	assert_int_equal(p.n, 1);
	teardown(&q);
}

static void
ids_never_run_out(void **state)
{
	struct fake_queue q = setup();
	uint64_t last = 0;

	(void)state;
	connect_queue(&q, 1);
	rounds(&q);
	for (int i = 0; i < 50; i++) {
		uint64_t id;
		uint32_t epoch;

		assert_int_equal(submit_take_id(q.submit, &id, &epoch, NULL), RC_OK);
		assert_true(id > last);
		last = id;
		rounds(&q);
	}
	teardown(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_put_and_confirmed),
		cmocka_unit_test(addresses_are_completed_once),
		cmocka_unit_test(large_mail_goes_to_a_stage_file),
		cmocka_unit_test(given_up_mail_gives_the_stage_file_back),
		cmocka_unit_test(too_large_and_too_many_hops_are_refused),
		cmocka_unit_test(mail_that_nobody_waits_for_goes_back),
		cmocka_unit_test(
		    an_envelope_too_long_for_a_frame_leaves_the_channel_open),
		cmocka_unit_test(no_answer_is_no_yes),
		cmocka_unit_test(a_discarded_message_needs_no_stage_file),
		cmocka_unit_test(a_filter_too_long_for_a_frame_leaves_the_channel_open),
		cmocka_unit_test(who_leaves_when_queue_dies_is_not_called_again),
		cmocka_unit_test(ids_never_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
