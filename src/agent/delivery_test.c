#include "agent/delivery.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void
delays(void **state)
{
	static const struct {
		int64_t arrival, active, handed, setup, now; /* milliseconds */
		const char *out;
	} cases[] = {
		{ 0, 0, 0, 0, 0, "delay=0, delays=0/0/0/0" },
		{ 0, 34, 36, 0, 56, "delay=0.06, delays=0.03/0/0/0.02" },
		{ 0, 100, 200, 450, 1260, "delay=1.3, delays=0.1/0.1/0.25/0.81" },
		{ 0, 12600, 12600, 12604, 12606, "delay=13, delays=13/0/0/0" },
		{ 0, 0, 500000, 500000, 123456789,
		    "delay=123457, delays=0/500/0/122957" },
		{ 0, 9960, 9960, 9960, 9960, "delay=10, delays=10/0/0/0" },
		{ 100, 50, 60, 0, 70, "delay=0, delays=0/0.01/0/0.01" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct delivery_times t = { cases[i].arrival * US_PER_MS,
			cases[i].active * US_PER_MS, cases[i].handed * US_PER_MS,
			cases[i].setup * US_PER_MS, cases[i].now * US_PER_MS, 2 };
		char to[DELIVERY_DELAYS_MAX];

		(void)delivery_delays(&t, to);
		assert_string_equal(to, cases[i].out);
	}
}

/* ---- a job from a queue to an agent and back ---- */

struct scene {
	struct delivery *d;
	struct ipc_channel *queue;
	unsigned n_results, n_idle, n_leaving;
	bool is_closed; /* by the agent */
	char result[400];
};

static void
start(void *ctx, struct delivery_job *job)
{
	struct scene *s = ctx;
	char body[20];
	size_t n;
	const struct delivery_outcome one = { .rcpt = 0,
		.what = DELIVERY_SENT,
		.dsn = STR("2.0.0"),
		.text = STR("delivered to maildir"),
		.relay = STR("virtual") };
	const struct delivery_outcome rest = { .what = DELIVERY_BOUNCED,
		.dsn = STR("5.1.1"),
		.text = STR("unknown user: \"b@x\"") };

	assert_int_equal(delivery_read(job, 2, body, sizeof(body), &n), RC_OK);
	assert_int_equal(n, 3);
	assert_memory_equal(body, "llo", 3);
	assert_int_equal(delivery_read(job, 5, body, sizeof(body), &n), RC_NONE);
	delivery_outcome(s->d, job, &one);
	delivery_outcome_rest(s->d, job, &rest);
	delivery_done(s->d, job, DELIVERY_SITE_OK, STR(""), STR(""));
}

static void
idle(void *ctx)
{
	((struct scene *)ctx)->n_idle++;
}

static void
on_result(void *arg, const struct wire_result *m)
{
	struct scene *s = arg;
	size_t n = 0;

	s->n_results++;
	for (size_t i = 0; i < m->n_outcomes; i++)
		n += (size_t)snprintf(s->result + n, sizeof(s->result) - n,
		    "%u %u %.*s %.*s|", m->outcomes[i].index, m->outcomes[i].what,
		    STR_ARG(m->outcomes[i].dsn), STR_ARG(m->outcomes[i].text));
}

static void
on_leaving(void *arg, const struct wire_leaving *m)
{
	(void)m;
	((struct scene *)arg)->n_leaving++;
}

static void
on_close(void *arg, const char *why)
{
	(void)why;
	((struct scene *)arg)->is_closed = true;
}

/* What stands in the log behind "]: ", one line a line. */
static void
read_log(int fd, char *to, size_t n)
{
	char raw[2000], *line = raw;
	ssize_t got = read(fd, raw, sizeof(raw) - 1);

	assert_true(got > 0);
	raw[got] = '\0';
	to[0] = '\0';
	for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		char *text = strstr(line, "]: ");

		*end = '\0';
		assert_non_null(text);
		(void)snprintf(to + strlen(to), n - strlen(to), "%s\n", text + 3);
	}
}

static void
one_job(bool soft_bounce, const char *result, const char *lines)
{
	static const struct ipc_handlers on = { .on_result = on_result,
		.on_leaving = on_leaving };
	static const struct delivery_ops ops = { .start = start, .idle = idle };
	struct scene s = { 0 };
	struct loop *l = loop_new();
	struct log *log = log_new("postfix/virtual", "h");
	const struct delivery_request req = { .loop = l,
		.log = log,
		.ops = &ops,
		.ctx = &s,
		.soft_bounce = soft_bounce,
		.delay_resolution = 2 };
	const struct ipc_channel_conf conf = { .me = WIRE_QUEUE,
		.peer = WIRE_AGENT,
		.on = &on,
		.on_close = on_close,
		.arg = &s };
	const struct wire_rcpt rcpts[] = {
		{ .index = 7, .address = STR("a@x"), .orig = STR("o@x") },
		{ .index = 9, .address = STR("b@x"), .orig = STR("b@x") }
	};
	struct wire_job job = { .job = 3,
		.qid = STR("ABC"),
		.service = STR("virtual"),
		.rcpts = rcpts,
		.n_rcpts = 2,
		.content = STR("hello"),
		.size = 5,
		.file = -1 };
	int pair[2], out[2];
	char text[2000];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(out), 0);
	log_to_fd(log, out[1]);
	s.d = delivery_new(&req);
	delivery_attach(s.d, pair[0]);
	s.queue = ipc_channel_new(l, pair[1], &conf);
	loop_round(l, 0);
	/* Times to come count as none: the test does not depend on how fast it runs. */
	job.arrival_us = job.active_us = job.delivering_us =
	    loop_wall_us(l) + 1000 * US_PER_SEC;
	ipc_send_job(s.queue, &job);
	for (int i = 0; i < 20 && s.n_results == 0; i++)
		loop_round(l, US_PER_SEC);
	assert_int_equal(s.n_results, 1);
	assert_string_equal(s.result, result);
	log_flush(log);
	read_log(out[0], text, sizeof(text));
	assert_string_equal(text, lines);
	assert_int_equal(s.n_idle, 0);
	/* A job that is under way when the agent drains is still done. */
	delivery_drain(s.d);
	ipc_send_job(s.queue, &job);
	for (int i = 0; i < 20 && s.n_results == 1; i++)
		loop_round(l, US_PER_SEC);
	assert_int_equal(s.n_results, 2);
	assert_int_equal(s.n_leaving, 1);
	assert_int_equal(s.n_idle, 0);
	ipc_channel_finish(s.queue);
	for (int i = 0; i < 20 && s.n_idle == 0; i++)
		loop_round(l, US_PER_SEC);
	assert_int_equal(s.n_idle, 1);
	delivery_free(&s.d);
	ipc_channel_free(&s.queue);
	log_free(&log);
	loop_free(&l);
	(void)close(out[0]);
}

static void
job_and_result(void **state)
{
	(void)state;
	one_job(false, "7 1 2.0.0 delivered to maildir|9 3 5.1.1 unknown user: \"b@x\"|",
	    "ABC: to=<a@x>, orig_to=<o@x>, relay=virtual, delay=0, delays=0/0/0/0, "
	    "dsn=2.0.0, status=sent (delivered to maildir)\n"
	    "ABC: to=<b@x>, relay=none, delay=0, delays=0/0/0/0, dsn=5.1.1, "
	    "status=bounced (unknown user: \"b@x\")\n");
	one_job(true, "7 1 2.0.0 delivered to maildir|9 2 4.1.1 unknown user: \"b@x\"|",
	    "ABC: to=<a@x>, orig_to=<o@x>, relay=virtual, delay=0, delays=0/0/0/0, "
	    "dsn=2.0.0, status=sent (delivered to maildir)\n"
	    "ABC: to=<b@x>, relay=none, delay=0, delays=0/0/0/0, dsn=4.1.1, "
	    "status=SOFTBOUNCE (unknown user: \"b@x\")\n");
}

/* ---- queue is restarted ---- */

struct slow {
	struct scene s;
	struct delivery_job *open;
	unsigned n_started;
	struct loop *loop;
	struct log *log;
};

static void
start_slow(void *ctx, struct delivery_job *job)
{
	struct slow *w = ctx;

	w->open = job;
	w->n_started++;
}

static struct ipc_channel *
connect_queue(struct slow *w)
{
	static const struct ipc_handlers on = { .on_result = on_result,
		.on_leaving = on_leaving };
	const struct ipc_channel_conf conf = { .me = WIRE_QUEUE,
		.peer = WIRE_AGENT,
		.on = &on,
		.on_close = on_close,
		.arg = &w->s };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	delivery_attach(w->s.d, pair[0]);
	return ipc_channel_new(w->loop, pair[1], &conf);
}

static const struct wire_rcpt slow_rcpt = { .index = 7, .address = STR_INIT("a@x") };
static const struct wire_job slow_job = { .job = 3,
	.qid = STR_INIT("ABC"),
	.service = STR_INIT("smtp"),
	.rcpts = &slow_rcpt,
	.n_rcpts = 1,
	.content = STR_INIT("hello"),
	.size = 5,
	.file = -1 };
static const struct delivery_outcome slow_sent = {
	.what = DELIVERY_SENT, .dsn = STR_INIT("2.0.0"), .text = STR_INIT("250 ok")
};

static void
slow_begin(struct slow *w)
{
	static const struct delivery_ops ops = { .start = start_slow };

	w->loop = loop_new();
	w->log = log_new("postfix/smtp", "h");
	w->s.d = delivery_new(&(struct delivery_request){
	    .loop = w->loop, .log = w->log, .ops = &ops, .ctx = w });
	w->s.queue = connect_queue(w);
}

static void
slow_end(struct slow *w)
{
	ipc_channel_free(&w->s.queue);
	delivery_free(&w->s.d);
	log_free(&w->log);
	loop_free(&w->loop);
}

static void
go_on(struct slow *w)
{
	for (int i = 0; i < 10; i++)
		loop_round(w->loop, 0);
}

static void
what_is_under_way_is_not_begun_again_for_the_next_queue(void **state)
{
	struct wire_job job = slow_job;
	struct slow w = { 0 };

	(void)state;
	slow_begin(&w);
	ipc_send_job(w.s.queue, &job);
	go_on(&w);
	assert_int_equal(w.n_started, 1);
	ipc_channel_free(&w.s.queue);
	go_on(&w);
	assert_true(delivery_is_orphan(w.open));

	w.s.queue = connect_queue(&w);
	job.job = 99;
	ipc_send_job(w.s.queue, &job);
	go_on(&w);
	assert_int_equal(w.n_started, 1);
	assert_false(delivery_is_orphan(w.open));
	assert_int_equal(w.open->m->job, 99);
	delivery_outcome_rest(w.s.d, w.open, &slow_sent);
	delivery_done(w.s.d, w.open, DELIVERY_SITE_OK, STR(""), STR(""));
	go_on(&w);
	assert_string_equal(w.s.result, "7 1 2.0.0 250 ok|");

	/* It is over: the same once more is a new attempt. */
	ipc_send_job(w.s.queue, &job);
	go_on(&w);
	assert_int_equal(w.n_started, 2);
	delivery_outcome_rest(w.s.d, w.open, &slow_sent);
	delivery_done(w.s.d, w.open, DELIVERY_SITE_OK, STR(""), STR(""));
	slow_end(&w);
}

static void
a_job_that_is_abandoned_goes_back_without_a_word(void **state)
{
	struct wire_job job = slow_job;
	struct slow w = { 0 };
	struct delivery_job *first;

	(void)state;
	slow_begin(&w);
	ipc_send_job(w.s.queue, &job);
	go_on(&w);
	first = w.open;
	job.job = 4;
	ipc_send_job(w.s.queue, &job);
	go_on(&w);
	assert_int_equal(w.n_started, 2);
	delivery_drain(w.s.d);
	assert_false(delivery_is_begun(first));
	delivery_abandon(w.s.d, first);
	go_on(&w);
	/* The other one is still under way; its result is heard before the channel
	 * closes. */
	assert_false(w.s.is_closed);
	delivery_outcome_rest(w.s.d, w.open, &slow_sent);
	assert_true(delivery_is_begun(w.open));
	delivery_done(w.s.d, w.open, DELIVERY_SITE_OK, STR(""), STR(""));
	go_on(&w);
	assert_int_equal(w.s.n_results, 1);
	assert_string_equal(w.s.result, "7 1 2.0.0 250 ok|");
	assert_true(w.s.is_closed);
	slow_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_under_way_is_not_begun_again_for_the_next_queue),
		cmocka_unit_test(a_job_that_is_abandoned_goes_back_without_a_word),
		cmocka_unit_test(delays),
		cmocka_unit_test(job_and_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
