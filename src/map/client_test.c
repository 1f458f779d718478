#include "map/client.h"
#include "map/reply.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define REPLY_MAX 1000

/* A server that says `text`, in pieces of `piece` bytes with `pause_us` between, on each
 * connection until that ends, as often as it is asked. */
struct server {
	char dir[40], path[100];
	int fd;
	const char *text;
	size_t piece;
	int pause_us;
	int64_t timeout_us; /* for who asks; 0: more than the slowest machine needs */
	bool never_ends, hangs_up;
	int connections;
	pthread_t thread;
};

static bool
say(const struct server *s, int fd)
{
	size_t n = strlen(s->text);

	do {
		for (size_t i = 0; i < n; i += s->piece) {
			size_t left = n - i < s->piece ? n - i : s->piece;

			if (send(fd, s->text + i, left, MSG_NOSIGNAL) < 0)
				return false;
			if (s->pause_us > 0)
				usleep((useconds_t)s->pause_us);
		}
	} while (s->never_ends);
	return !s->hangs_up;
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	char in[100];
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		s->connections++;
		while (read(fd, in, sizeof(in)) > 0 && say(s, fd))
			;
		(void)close(fd);
	}
	return NULL;
}

static void
start(struct server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)strcpy(s->dir, "/tmp/hk-client-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/socket", s->dir);
	memcpy(sa.sun_path, s->path, sizeof(s->path));
	s->piece = s->piece == 0 ? SIZE_MAX / 2 : s->piece;
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(s->fd, 5), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
stop(struct server *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->fd);
	(void)unlink(s->path);
	(void)rmdir(s->dir);
}

static enum rc
take_line(void *ctx, struct str in, size_t *out_used, struct err *e)
{
	(void)e;
	return map_reply_line(in, REPLY_MAX, ctx, out_used);
}

/* Asks `times` times; what the last says. */
static enum rc
ask(const struct server *s, int times, struct str *out, enum map_client_fault *out_fault)
{
	const struct map_env env = { 0 };
	const struct map_how how = { .name = STR("n"), .env = &env };
	char service[120];
	struct map_client_where where = {
		.how = &how, .type = "t", .reply_max = REPLY_MAX
	};
	const struct map_exchange x = { .request = STR("get\n"),
		.timeout_us = s->timeout_us > 0 ? s->timeout_us : 60 * US_PER_SEC,
		.reply = take_line,
		.ctx = out };
	struct map_client c;
	struct err e = { 0 };
	enum rc rc = RC_NONE;

	(void)snprintf(service, sizeof(service), "unix:%s", s->path);
	where.service = str_c(service);
	assert_int_equal(map_client_init(&c, &where, &e), RC_OK);
	for (int i = 0; i < times; i++)
		rc = map_client_ask(&c, &x, out_fault, &e);
	assert_true(c.in.cap <= 64 * 1024);
	assert_true((c.fd >= 0) == (rc == RC_OK) || s->hangs_up ||
		    strlen(s->text) > REPLY_MAX || out->n + 1 < strlen(s->text));
	map_client_fini(&c);
	return rc;
}

static void
answers(void **state)
{
	struct server s = { .text = "hello\n" };
	enum map_client_fault fault;
	struct str out;

	(void)state;
	start(&s);
	assert_int_equal(ask(&s, 3, &out, &fault), RC_OK);
	stop(&s);
	assert_int_equal(s.connections, 1);
	assert_int_equal(fault, MAP_CLIENT_FINE);

	s = (struct server){ .text = "hello\n", .piece = 1, .pause_us = 1000 };
	start(&s);
	assert_int_equal(ask(&s, 1, &out, &fault), RC_OK);
	stop(&s);
	assert_int_equal(out.n, 5);

	/* An old connection that is dead is no trouble; nor is what nobody asked for. */
	s = (struct server){ .text = "hello\n", .hangs_up = true };
	start(&s);
	assert_int_equal(ask(&s, 3, &out, &fault), RC_OK);
	stop(&s);
	assert_int_equal(s.connections, 3);
	s = (struct server){ .text = "hello\nother\n" };
	start(&s);
	assert_int_equal(ask(&s, 3, &out, &fault), RC_OK);
	stop(&s);
	assert_int_equal(out.n, 5);
	assert_int_equal(s.connections, 3);
}

static void
check_hostile(struct server s, enum map_client_fault want)
{
	enum map_client_fault fault;
	struct str out = STR("");

	if (want == MAP_CLIENT_TIME)
		s.timeout_us = 200 * US_PER_MS;
	start(&s);
	assert_int_equal(ask(&s, 2, &out, &fault), RC_TEMP);
	stop(&s);
	assert_int_equal(fault, want);
}

static void
hostile(void **state)
{
	(void)state;
	check_hostile((struct server){ .text = "" }, MAP_CLIENT_TIME);
	check_hostile((struct server){ .text = "half a line" }, MAP_CLIENT_TIME);
	check_hostile(
	    (struct server){
		.text = "drip", .piece = 1, .pause_us = 10000, .never_ends = true },
	    MAP_CLIENT_TIME);
	check_hostile(
	    (struct server){ .text = "flood", .never_ends = true }, MAP_CLIENT_SIZE);
	check_hostile((struct server){ .text = "half a line", .hangs_up = true },
	    MAP_CLIENT_DISCONNECT);
	check_hostile(
	    (struct server){ .text = "", .hangs_up = true }, MAP_CLIENT_DISCONNECT);
}

static void
check_name(const char *service, const char *want)
{
	const struct map_env env = { 0 };
	const struct map_how how = { .name = STR("n"), .env = &env };
	const struct map_client_where where = {
		.how = &how, .type = "t", .service = str_c(service), .reply_max = 10
	};
	struct map_client c;
	struct err e = { 0 };

	if (map_client_init(&c, &where, &e) == RC_OK) {
		assert_string_equal(c.text, want);
		map_client_fini(&c);
	} else {
		assert_string_equal(e.text, want);
	}
}

static void
names(void **state)
{
	(void)state;
	check_name("inet:h:25", "h:25");
	check_name("inet:[::1]:25", "[::1]:25");
	check_name("inet::25", ":25");
	check_name("inet:25", "25");
	check_name("unix:/x/y", "/x/y");
	check_name("inet:::1:25", "::1:25: valid hostname or network address required");
	check_name("inet:h:", "h:: missing service information");
	check_name("inet:127.0.0.1", "127.0.0.1: garbage after numerical service");
	check_name("unix", "need service transport:endpoint instead of \"unix\"");
	check_name("tcp:h:1", "invalid transport name: tcp in service: tcp:h:1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(answers),
		cmocka_unit_test(hostile), cmocka_unit_test(names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
