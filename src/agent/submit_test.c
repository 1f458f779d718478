/* A submission channel that breaks: what was asked is answered, once, and another one
 * wanted; and the ids that come over one. */
#include "agent/submit.h"
#include "agent/testing.h"
#include "agent/verify_client.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct scene {
	struct loop *loop;
	struct log *log;
	struct submit *submit;
	int queue_fd;
	unsigned n_needed, n_answers;
	enum rc rc;
};

static void
need(void *arg)
{
	((struct scene *)arg)->n_needed++;
}

static void
on_verified(void *arg, enum rc rc, struct str value)
{
	struct scene *s = arg;

	(void)value;
	s->n_answers++;
	s->rc = rc;
}

static void
connect_queue(struct scene *s)
{
	int pair[2];

	assert_int_equal(os_sock_pair(pair, NULL), RC_OK);
	s->queue_fd = pair[0];
	submit_connect(s->submit, pair[1]);
}

static void
wait_for(struct scene *s, const unsigned *count, unsigned n)
{
	for (int i = 0; i < 2000 && *count < n; i++)
		loop_round(s->loop, US_PER_SEC / 100);
	assert_int_equal(*count, n);
}

static void
a_broken_channel_is_asked_for_anew(void **state)
{
	const struct verify_question what = { .address = STR("a@b") };
	struct scene s = { .loop = loop_new(), .log = log_new("test", "host") };
	struct err e = { 0 };
	int64_t second_us;

	(void)state;
	s.submit = submit_new(s.loop, s.log);
	submit_on_lost(s.submit, need, &s);
	connect_queue(&s);
	assert_non_null(verify_client_ask(s.submit, &what, on_verified, &s));

	/* queue closes; there is none for a while. */
	os_fd_close(&s.queue_fd);
	wait_for(&s, &s.n_answers, 1);
	assert_int_equal(s.rc, RC_TEMP);
	assert_null(verify_client_ask(s.submit, &what, on_verified, &s));
	assert_int_equal(submit_can_store(s.submit, 1, &e), RC_MORE);
	wait_for(&s, &s.n_needed, 1);
	second_us = loop_now_us(s.loop);
	wait_for(&s, &s.n_needed, 2);
	second_us = loop_now_us(s.loop) - second_us;
	assert_true(second_us > US_PER_SEC / 10);

	/* A new one that makes no sense is no better. */
	connect_queue(&s);
	assert_non_null(verify_client_ask(s.submit, &what, on_verified, &s));
	assert_int_equal(
	    os_fd_write_all(s.queue_fd, STR("\377\377\377\377nonsense"), &e), RC_OK);
	wait_for(&s, &s.n_answers, 2);
	wait_for(&s, &s.n_needed, 3);

	/* One that works is not replaced. */
	os_fd_close(&s.queue_fd);
	connect_queue(&s);
	loop_round(s.loop, US_PER_SEC);
	assert_int_equal(s.n_needed, 3);
	os_fd_close(&s.queue_fd);
	submit_free(&s.submit);
	log_free(&s.log);
	loop_free(&s.loop);
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
	struct testing_queue q;
	struct pair p = { 0 };

	(void)state;
	testing_queue_init(&q);
	testing_queue_connect(&q, 1);
	p.s = q.submit;
	q.is_silent = true;
	testing_queue_rounds(&q);
	for (int i = 0; i < 2; i++)
		p.request[i] = submit_stage_open(q.submit, told_once, &p);
	testing_queue_rounds(&q);
	ipc_channel_free(&q.ch);
	testing_queue_rounds(&q);
	assert_int_equal(p.n, 1);
	testing_queue_fini(&q);
}

static void
ids_never_run_out(void **state)
{
	struct testing_queue q;
	uint64_t last = 0;

	(void)state;
	testing_queue_init(&q);
	testing_queue_connect(&q, 1);
	testing_queue_rounds(&q);
	for (int i = 0; i < 50; i++) {
		uint64_t id;
		uint32_t epoch;

		assert_int_equal(submit_take_id(q.submit, &id, &epoch, NULL), RC_OK);
		assert_true(id > last);
		last = id;
		testing_queue_rounds(&q);
	}
	testing_queue_fini(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_channel_is_asked_for_anew),
		cmocka_unit_test(who_leaves_when_queue_dies_is_not_called_again),
		cmocka_unit_test(ids_never_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
