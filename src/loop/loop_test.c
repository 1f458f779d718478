/* Rounds, timers, descriptors, tasks, signals, children, offload. No test sleeps: what
 * has to be waited for is waited for by the loop itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "loop/loop.h"
#include "os/fd.h"
#include "os/sock.h"

struct trace {
	struct loop *loop;
	char text[100];
	size_t n;
};

static void
note(struct trace *t, char c)
{
	if (t->n < sizeof(t->text) - 1)
		t->text[t->n++] = c;
}

static void
on_a(void *arg)
{
	note(arg, 'a');
}

static void
on_b(void *arg)
{
	note(arg, 'b');
}

static void
on_c(void *arg)
{
	note(arg, 'c');
}

static void
on_stop(void *arg)
{
	struct trace *t = arg;

	note(t, '.');
	loop_stop(t->loop);
}

static void
test_timers(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct loop_timer a, b, c, stop;
	int64_t now = loop_now_us(t.loop);

	(void)state;
	loop_timer_init(&a, on_a, &t);
	loop_timer_init(&b, on_b, &t);
	loop_timer_init(&c, on_c, &t);
	loop_timer_init(&stop, on_stop, &t);
	loop_timer_set(t.loop, &stop, now + 3000);
	loop_timer_set(t.loop, &b, now + 2000);
	loop_timer_set(t.loop, &a, now + 5000);
	loop_timer_set(t.loop, &a, now + 1000); /* moved */
	loop_timer_set(t.loop, &c, now + 1500);
	loop_timer_cancel(t.loop, &c);
	assert_true(loop_timer_is_set(&a));
	assert_false(loop_timer_is_set(&c));
	loop_run(t.loop);
	assert_string_equal(t.text, "ab.");
	assert_true(loop_now_us(t.loop) >= now + 3000);
	loop_free(&t.loop);
}

static struct loop_task again_task;

static void
on_again(void *arg)
{
	struct trace *t = arg;

	note(t, 'r');
	if (t->n < 4)
		loop_soon(t->loop, &again_task);
}

static void
test_tasks(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct loop_task a, hook, output;

	(void)state;
	loop_task_init(&a, on_a, &t);
	loop_task_init(&hook, on_b, &t);
	loop_task_init(&again_task, on_again, &t);
	loop_task_init(&output, on_c, &t);
	loop_at_round_end(t.loop, &hook);
	loop_output(t.loop, &output);
	loop_output(t.loop, &output);
	loop_soon(t.loop, &a);
	loop_soon(t.loop, &a); /* twice is once */
	loop_soon(t.loop, &again_task);
	loop_round(t.loop, 0);
	assert_string_equal(t.text, "arbc");
	loop_round(t.loop, -1); /* does not wait: a task is asked for */
	assert_string_equal(t.text, "arbcrb");
	loop_soon_cancel(t.loop, &hook);
	loop_soon(t.loop, &a);
	loop_soon_cancel(t.loop, &a);
	loop_round(t.loop, 0);
	assert_string_equal(t.text, "arbcrb");
	loop_free(&t.loop);
}

struct pair {
	struct loop *loop;
	struct loop_io one, two;
	unsigned n_calls, events;
};

/* Whoever comes first removes the other, whose event is already in hand. */
static void
on_pair(void *arg, unsigned events)
{
	struct pair *p = arg;

	p->n_calls++;
	p->events |= events;
	loop_io_remove(p->loop, &p->one);
	loop_io_remove(p->loop, &p->two);
}

static void
test_io(void **state)
{
	struct pair p = { .loop = loop_new() };
	int a[2], b[2];
	struct err e;

	(void)state;
	assert_int_equal(os_sock_pair(a, &e), RC_OK);
	assert_int_equal(os_sock_pair(b, &e), RC_OK);
	loop_io_init(&p.one, a[0], on_pair, &p);
	loop_io_init(&p.two, b[0], on_pair, &p);
	loop_io_want(p.loop, &p.one, LOOP_READ);
	loop_io_want(p.loop, &p.two, LOOP_READ);
	loop_round(p.loop, 0);
	assert_int_equal(p.n_calls, 0);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	loop_round(p.loop, -1);
	assert_int_equal(p.n_calls, 1);
	assert_int_equal(p.events, LOOP_READ);
	/* A hang-up comes even when nothing is wanted. */
	os_fd_close(&a[1]);
	p.events = 0;
	loop_io_want(p.loop, &p.one, 0);
	loop_round(p.loop, -1);
	assert_int_equal(p.events, LOOP_HANGUP);
	/* Closing ends that, too. */
	loop_io_close(p.loop, &p.one);
	assert_int_equal(p.one.fd, -1);
	p.events = 0;
	loop_round(p.loop, 0);
	assert_int_equal(p.events, 0);
	os_fd_close(&b[0]);
	os_fd_close(&b[1]);
	loop_free(&p.loop);
}

static void
on_signal(void *arg, int signo)
{
	assert_int_equal(signo, SIGUSR2);
	on_stop(arg);
}

static void
on_child(void *arg, int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	on_stop(arg);
}

static void
test_signal_child(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct loop_signal s;
	struct loop_child c;
	struct err e;
	pid_t pid;

	(void)state;
	loop_signal_watch(t.loop, &s, SIGUSR2, on_signal, &t);
	assert_int_equal(kill(getpid(), SIGUSR2), 0);
	loop_run(t.loop);
	assert_string_equal(t.text, ".");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(7);
	assert_int_equal(loop_child_watch(t.loop, &c, pid, on_child, &t, &e), RC_OK);
	loop_run(t.loop);
	assert_string_equal(t.text, "..");
	loop_signal_unwatch(t.loop, &s);
	loop_free(&t.loop);
}

struct sum {
	struct trace *t;
	pthread_t on;
	int n;
};

static void
work(void *arg)
{
	struct sum *s = arg;

	s->on = pthread_self();
	s->n *= 2;
}

static void
work_done(void *arg)
{
	struct sum *s = arg;

	assert_false(pthread_equal(s->on, pthread_self()));
	note(s->t, 'd');
	if (loop_offload_open(s->t->loop) == 0)
		loop_stop(s->t->loop);
}

static void
test_offload(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct sum sums[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		sums[i] = (struct sum){ .t = &t, .n = i };
		loop_offload(t.loop, work, work_done, &sums[i]);
	}
	assert_int_equal(loop_offload_open(t.loop), 20);
	loop_run(t.loop);
	assert_int_equal(t.n, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(sums[i].n, 2 * i);
	/* What nobody waits for any more is not leaked. */
	loop_offload(t.loop, work, work_done, &sums[0]);
	loop_free(&t.loop);
}

struct meeting {
	struct trace *t;
	pthread_barrier_t both;
};

static void
meet(void *arg)
{
	struct meeting *p = arg;

	(void)pthread_barrier_wait(&p->both);
}

static void
met(void *arg)
{
	struct meeting *p = arg;

	note(p->t, 'm');
	if (loop_offload_open(p->t->loop) == 0)
		loop_stop(p->t->loop);
}

static void
go_on(void *arg)
{
	loop_stop(arg);
}

/* Each of two waits for the other, though an idle thread was there for one of them. The
 * timer gives the thread time to become idle; if it does not, nothing is tried. */
static void
works_do_not_wait_for_each_other(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct trace t = { .loop = loop_new() };
		struct sum first = { .t = &t };
		struct meeting m = { .t = &t };
		struct loop_timer timer;

		assert_int_equal(pthread_barrier_init(&m.both, NULL, 2), 0);
		loop_offload(t.loop, work, work_done, &first);
		loop_run(t.loop);
		loop_timer_init(&timer, go_on, t.loop);
		loop_timer_set(t.loop, &timer, loop_now_us(t.loop) + 2000);
		loop_run(t.loop);
		loop_offload(t.loop, meet, met, &m);
		loop_offload(t.loop, meet, met, &m);
		loop_run(t.loop);
		assert_int_equal(t.n, 3);
		loop_free(&t.loop);
		assert_int_equal(pthread_barrier_destroy(&m.both), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_signal_child),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(works_do_not_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
