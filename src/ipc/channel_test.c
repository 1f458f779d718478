/* Channels over socket pairs: messages and descriptors arrive in order; garbage, messages
 * out of turn, impossible lengths and vanished peers close the channel and nothing else;
 * a peer that does not read is noticed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ipc/channel.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/sock.h"

struct side {
	struct ipc_channel *ch;
	char trace[4000];
	size_t n;
	size_t n_bytes;
	int frees_at; /* free the channel inside the n-th callback */
	bool pauses;  /* after every message */
	bool refuses_fds;
};

static void
add(struct side *s, const char *what, size_t n)
{
	assert_true(s->n + n < sizeof(s->trace));
	memcpy(s->trace + s->n, what, n);
	s->n += n;
	s->trace[s->n] = '\0';
}

static void
on_done(void *arg, const struct wire_put_done *m)
{
	struct side *s = arg;

	s->n_bytes += m->text.n;
	if (s->pauses) {
		ipc_channel_pause(s->ch, true);
		return;
	}
	add(s, m->text.p, m->text.n);
	add(s, " ", 1);
	if (s->frees_at > 0 && --s->frees_at == 0)
		ipc_channel_free(&s->ch);
}

static void
on_put(void *arg, const struct wire_put *m)
{
	struct side *s = arg;

	s->n_bytes += m->content.n;
	add(s, "put ", 4);
	if (m->n_rcpts == 2)
		add(s, m->rcpts[1].address.p, m->rcpts[1].address.n);
}

static void
on_stage(void *arg, const struct wire_stage *m)
{
	struct side *s = arg;
	char c = '-';
	int fd = m->file;

	if (fd >= 0)
		assert_int_equal(pread(fd, &c, 1, 0), 1);
	add(s, &c, 1);
	os_fd_close(&fd);
}

static void
on_close(void *arg, const char *why)
{
	struct side *s = arg;

	add(s, "closed:", 7);
	add(s, why == NULL ? "gone" : why, why == NULL ? 4 : strlen(why));
	if (s->ch != NULL)
		ipc_channel_free(&s->ch);
}

static void
on_room(void *arg)
{
	add(arg, "room ", 5);
}

static const struct ipc_handlers queue_on = { .on_put = on_put };
static const struct ipc_handlers submitter_on = { .on_put_done = on_done,
	.on_stage = on_stage };

static struct ipc_channel *
channel(struct loop *l, int fd, bool is_queue, struct side *s)
{
	const struct ipc_channel_conf conf = {
		.me = is_queue ? WIRE_QUEUE : WIRE_SUBMITTER,
		.peer = is_queue ? WIRE_SUBMITTER : WIRE_QUEUE,
		.on = is_queue ? &queue_on : &submitter_on,
		.on_close = on_close,
		.on_room = on_room,
		.arg = s,
		.out_max = 8 << 20,
		.refuses_fds = s->refuses_fds,
	};

	return ipc_channel_new(l, fd, &conf);
}

/* Both ends of a channel in one loop. */
static struct loop *
both(struct side *q, struct side *s)
{
	struct loop *l = loop_new();
	int fd[2];

	assert_int_equal(os_sock_pair(fd, NULL), RC_OK);
	q->ch = channel(l, fd[0], true, q);
	s->ch = channel(l, fd[1], false, s);
	return l;
}

/* The queue's end alone; *out_peer: what its peer writes to. */
static struct loop *
queue_end(struct side *q, int *out_peer)
{
	struct loop *l = loop_new();
	int fd[2];

	assert_int_equal(os_sock_pair(fd, NULL), RC_OK);
	q->ch = channel(l, fd[0], true, q);
	*out_peer = fd[1];
	return l;
}

static void
rounds(struct loop *l, unsigned n)
{
	while (n-- > 0)
		loop_round(l, 0);
}

static int
file_with(char c)
{
	int fd;
	struct err e;

	assert_int_equal(os_fd_sealed("t", str_n(&c, 1), &fd, &e), RC_OK);
	return fd;
}

static void
test_both_ways(void **state)
{
	const struct wire_rcpt rcpts[2] = { { .address = STR_INIT("a@x") },
		{ .address = STR_INIT("b@x") } };
	struct side q = { 0 }, s = { 0 };
	struct loop *l = both(&q, &s);

	(void)state;
	ipc_send_put(
	    s.ch, &(struct wire_put){ .request = 1, .rcpts = rcpts, .n_rcpts = 2 });
	for (int i = 0; i < 80; i++) { /* more descriptors than one call takes */
		ipc_send_stage(q.ch,
		    &(struct wire_stage){
			.file = i % 3 == 0 ? -1 : file_with((char)('a' + i % 26)) });
		ipc_send_put_done(q.ch, &(struct wire_put_done){ .text = STR("ok") });
	}
	assert_true(ipc_channel_pending(q.ch) > 0);
	rounds(l, 10);
	assert_string_equal(q.trace, "put b@x");
	for (int i = 0; i < 80; i++) {
		assert_int_equal(s.trace[4 * i], i % 3 == 0 ? '-' : 'a' + i % 26);
		assert_memory_equal(s.trace + 4 * i + 1, "ok ", 3);
	}
	assert_int_equal(ipc_channel_pending(q.ch), 0);
	ipc_send_put_done(q.ch, &(struct wire_put_done){ .text = STR("last") });
	ipc_channel_finish(q.ch);
	rounds(l, 5);
	assert_string_equal(s.trace + 320, "last closed:gone");
	assert_string_equal(q.trace, "put b@xclosed:gone");
	loop_free(&l);
}

static void
what_was_said_before_the_end_counts(void **state)
{
	struct side q = { 0 }, s = { 0 };
	struct loop *l = both(&q, &s);

	(void)state;
	ipc_send_put_done(q.ch, &(struct wire_put_done){ .text = STR("stored") });
	ipc_channel_flush(q.ch);
	ipc_channel_free(&q.ch);
	ipc_send_put(s.ch, &(struct wire_put){ .request = 1 });
	ipc_channel_flush(s.ch); /* finds that nobody reads, before the answer is read */
	assert_false(ipc_channel_is_open(s.ch));
	ipc_send_put(s.ch, &(struct wire_put){ .request = 2 });
	assert_int_equal(ipc_channel_pending(s.ch), 0);
	rounds(l, 5);
	assert_string_equal(s.trace, "stored closed:gone");
	loop_free(&l);
}

static void
test_large(void **state)
{
	static char content[70000];
	struct side q = { 0 }, s = { 0 };
	struct loop *l = both(&q, &s);

	(void)state;
	ipc_channel_pause(q.ch, true);
	for (int i = 0; i < 50; i++)
		ipc_send_put(s.ch,
		    &(struct wire_put){ .content = str_n(content, sizeof(content)) });
	rounds(l, 5);
	assert_int_equal(q.n, 0);
	assert_true(ipc_channel_pending(s.ch) > 2 << 20);
	ipc_channel_pause(q.ch, false);
	rounds(l, 100);
	assert_int_equal(q.n_bytes, 50 * sizeof(content));
	assert_string_equal(s.trace, "room ");
	/* A peer that does not read any more ends it when the buffer is full. */
	ipc_channel_pause(q.ch, true);
	for (int i = 0; i < 150; i++)
		ipc_send_put(s.ch,
		    &(struct wire_put){ .content = str_n(content, sizeof(content)) });
	assert_false(ipc_channel_is_open(s.ch));
	rounds(l, 2);
	assert_non_null(strstr(s.trace, "closed:a message does not fit"));
	ipc_channel_free(&q.ch);
	loop_free(&l);
}

static void
test_pause_rest(void **state)
{
	struct side q = { 0 }, s = { 0 };
	struct loop *l = both(&q, &s);

	(void)state;
	s.frees_at = 3; /* inside the handler, with more frames behind */
	for (int i = 0; i < 5; i++)
		ipc_send_put_done(q.ch, &(struct wire_put_done){ .text = STR("x") });
	rounds(l, 5);
	assert_string_equal(s.trace, "x x x ");
	assert_null(s.ch);
	assert_string_equal(q.trace, "closed:gone");
	loop_free(&l);
}

/* One message a pause, and a peer that sends many: what is not handled must not pile up.
 */
static void
test_peer_that_outruns_pauses_ends_the_process(void **state)
{
	static const char text[200] = "x";
	const struct wire_put_done m = { .text = { text, sizeof(text) } };
	struct side s = { .pauses = true }, q = { 0 };
	struct loop *l = both(&q, &s);

	(void)state;
	for (int i = 0; i < 300; i++) {
		while (ipc_channel_pending(q.ch) < 1 << 20)
			ipc_send_put_done(q.ch, &m);
		rounds(l, 1);
		ipc_channel_pause(s.ch, false);
	}
	assert_true(s.n_bytes > 100 * sizeof(text));
	ipc_channel_free(&s.ch);
	ipc_channel_free(&q.ch);
	loop_free(&l);
}

/* What a hostile peer may write, and what the channel says to it. */
static void
test_hostile(void **state)
{
	static const struct {
		struct str bytes;
		const char *trace;
	} cases[] = {
		{ STR_INIT("\xff\xff\xff\xff\x0e"),
		    "closed:a frame of an impossible length" },
		{ STR_INIT("\0\0\0\0\x0e"), "closed:a frame of an impossible length" },
		{ STR_INIT("\0\0\0\1\x0e"),
		    "closed:an unreadable or unexpected message" },
		{ STR_INIT("\0\0\0\1\x0f"),
		    "closed:a message out of turn" }, /* put_done */
		{ STR_INIT("\0\0\0\1\xff"), "closed:a message out of turn" },
		{ STR_INIT("\0\0\0\1\0"), "closed:a message out of turn" },
		{ STR_INIT("\0\0\0\1\x0a"),
		    "closed:an unreadable or unexpected message" },
		{ STR_INIT("\0\0\1\0\x0e"
			   "abc"),
		    "closed:cut off inside a message" },
		{ STR_INIT(""), "closed:gone" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct side q = { 0 };
		int peer;
		struct loop *l = queue_end(&q, &peer);

		assert_int_equal(os_fd_write_all(peer, cases[i].bytes, NULL), RC_OK);
		os_fd_close(&peer);
		rounds(l, 4);
		assert_string_equal(q.trace, cases[i].trace);
		loop_free(&l);
	}
}

/* Descriptors that no message mentions are closed, and do not pile up. */
static void
test_fd_flood(void **state)
{
	struct side q = { 0 };
	int peer, many[OS_FD_PASS_MAX];
	struct loop *l = queue_end(&q, &peer);
	size_t n;

	(void)state;
	for (size_t i = 0; i < OS_FD_PASS_MAX; i++)
		many[i] = file_with('x');
	for (int i = 0; i < 12 && q.ch != NULL; i++) {
		if (os_fd_send(peer, STR("\0"), many, OS_FD_PASS_MAX, &n) != RC_OK)
			break;
		rounds(l, 2);
	}
	assert_string_equal(q.trace, "closed:a frame of an impossible length");
	for (size_t i = 0; i < OS_FD_PASS_MAX; i++)
		os_fd_close(&many[i]);
	os_fd_close(&peer);
	loop_free(&l);
}

/* A peer that sends its own end is never seen to leave. */
static void
who_sends_his_own_end_stays_for_ever(void **state)
{
	struct side q = { .refuses_fds = true };
	int peer;
	struct loop *l = queue_end(&q, &peer);
	size_t n;

	(void)state;
	assert_int_equal(os_fd_send(peer, STR("\0"), &peer, 1, &n), RC_OK);
	os_fd_close(&peer);
	rounds(l, 2);
	assert_string_equal(q.trace, "closed:too many descriptors");
	loop_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(what_was_said_before_the_end_counts),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_pause_rest),
		cmocka_unit_test(test_peer_that_outruns_pauses_ends_the_process),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_fd_flood),
		cmocka_unit_test(who_sends_his_own_end_stays_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
