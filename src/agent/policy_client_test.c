/* Requests to a policy service that is played here, over a socket in a folder of ours. */
#include "agent/policy_client.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define REQUEST STR("request=smtpd_access_policy\nhelo_name=x\n\n")

struct scene;
struct peer {
	struct scene *s;
	struct loop_io io;
	size_t got;
};

struct scene {
	struct loop *loop;
	struct log *log;
	struct policy_client *client;
	char dir[40];
	int listen_fd;
	struct loop_io listener;
	struct peer peers[20];
	unsigned n_peers;
	const char *script; /* what becomes of each request: a letter */
	/* What came back. */
	unsigned n_answers;
	char answers[400];
};

static void
hang_up(struct peer *p)
{
	loop_io_remove(p->s->loop, &p->io);
	os_fd_close(&p->io.fd);
}

static void
send_text(struct peer *p, const char *text)
{
	assert_int_equal(os_fd_write_all(p->io.fd, str_c(text), NULL), RC_OK);
}

static void
serve(struct peer *p)
{
	static char long_line[10000];
	char letter = *p->s->script;

	if (letter != '\0')
		p->s->script++;
	switch (letter) {
	case 'a':
		send_text(p, "action=DUNNO\n\n");
		break;
	case 'r':
		send_text(p, "more=1\naction=REJECT no\nmore=2\n\n");
		break;
	case '8':
		send_text(p, "action=REJECT \xff\n\n");
		break;
	case 'g':
		send_text(p, "nonsense\n\n");
		break;
	case 'n':
		send_text(p, "x=y\n\n");
		break;
	case 'x':
		send_text(p, "action=DUNNO\n\naction=OK\n\n");
		break;
	case 'l':
		memset(long_line, 'l', sizeof(long_line) - 1);
		send_text(p, long_line);
		break;
	case 'h': /* half a reply */
		send_text(p, "action=DUN");
		break;
	case 'q': /* the last one */
		send_text(p, "action=DUNNO\n\n");
		hang_up(p);
		break;
	case 'c':
		hang_up(p);
		break;
	default: /* says nothing */
		break;
	}
}

static void
on_request(void *arg, unsigned events)
{
	struct peer *p = arg;
	char block[4096];
	ssize_t n = read(p->io.fd, block, sizeof(block));

	(void)events;
	if (n <= 0) {
		hang_up(p);
		return;
	}
	p->got += (size_t)n;
	if (p->got < REQUEST.n)
		return;
	assert_int_equal(p->got, REQUEST.n);
	p->got = 0;
	serve(p);
}

static void
on_client(void *arg, unsigned events)
{
	struct scene *s = arg;
	struct peer *p = &s->peers[s->n_peers++];
	int fd = accept(s->listen_fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0 && s->n_peers <= ARRAY_LEN(s->peers));
	p->s = s;
	loop_io_init(&p->io, fd, on_request, p);
	loop_io_want(s->loop, &p->io, LOOP_READ);
}

static void
listen_here(struct scene *s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/policy", s->dir);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listen_fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->listen_fd, 10), 0);
	loop_io_init(&s->listener, s->listen_fd, on_client, s);
	loop_io_want(s->loop, &s->listener, LOOP_READ);
}

static void
stop_listening(struct scene *s)
{
	char path[60];

	loop_io_remove(s->loop, &s->listener);
	os_fd_close(&s->listen_fd);
	(void)snprintf(path, sizeof(path), "%s/policy", s->dir);
	(void)unlink(path);
}

/* Where a server answers, no time is too long: machines stand still for a second. */
static const struct policy_settings usual = {
	.timeout_us = 30 * US_PER_SEC,
	.max_idle_us = 100 * US_PER_SEC,
	.max_ttl_us = 100 * US_PER_SEC,
	.retry_delay_us = 1000,
	.try_limit = 2,
	.default_action = STR_INIT("451 4.3.5 Server configuration problem"),
	.is_smtputf8 = true,
};

static void
begin(struct scene *s, const struct policy_settings *conf)
{
	struct policy_settings set = *conf;

	*s = (struct scene){ .script = "" };
	(void)strcpy(s->dir, "/tmp/hk-policy-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->loop = loop_new();
	s->log = log_new("policy_test", "host");
	set.queue_directory = str_c(s->dir);
	s->client = policy_client_new(s->loop, s->log, &set);
	listen_here(s);
}

static void
end(struct scene *s)
{
	policy_client_free(&s->client);
	if (s->listen_fd >= 0)
		stop_listening(s);
	for (unsigned i = 0; i < s->n_peers; i++)
		if (s->peers[i].io.fd >= 0)
			hang_up(&s->peers[i]);
	(void)rmdir(s->dir);
	log_free(&s->log);
	loop_free(&s->loop);
}

static void
on_action(void *arg, enum rc rc, struct str action)
{
	struct scene *s = arg;
	size_t n = strlen(s->answers);

	s->n_answers++;
	if (n + action.n + 3 < sizeof(s->answers))
		(void)snprintf(s->answers + n, sizeof(s->answers) - n, "%s%.*s|",
		    rc == RC_OK ? "" : "!", STR_ARG(action));
}

static struct policy_query *
ask(struct scene *s, const char *service)
{
	return policy_client_ask(s->client, str_c(service), REQUEST, on_action, s);
}

static void
wait_for(struct scene *s, unsigned n)
{
	for (int i = 0; i < 2000 && s->n_answers < n; i++)
		loop_round(s->loop, US_PER_SEC / 100);
	assert_int_equal(s->n_answers, n);
}

#define DEFAULT "451 4.3.5 Server configuration problem|"

/* Short when nothing comes. */
static int64_t
patience_us(const char *script)
{
	if (strpbrk(script, "hm") == NULL)
		return usual.timeout_us;
	return strchr(script, 'a') == NULL ? US_PER_SEC / 5 : 3 * US_PER_SEC;
}

/* One request each; how the server behaves, and what the answer is. */
static void
behaviours(void **state)
{
	static const struct {
		const char *script, *answer;
		unsigned n_connections;
	} cases[] = {
		{ "a", "DUNNO|", 1 },
		{ "r", "REJECT no|", 1 },
		{ "ca", "DUNNO|", 2 },
		{ "cc", DEFAULT, 2 },
		{ "gr", "REJECT no|", 2 },
		{ "gg", DEFAULT, 2 },
		{ "nn", DEFAULT, 2 },
		{ "x", "DUNNO|", 1 },
		{ "ll", DEFAULT, 2 },
		{ "hh", DEFAULT, 2 },
		{ "mm", DEFAULT, 2 },
		{ "ma", "DUNNO|", 2 },
		{ "8", DEFAULT, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy_settings set = usual;
		struct scene s;

		set.timeout_us = patience_us(cases[i].script);
		begin(&s, &set);
		s.script = cases[i].script;
		(void)ask(&s, "unix:policy");
		assert_int_equal(s.n_answers, 0);
		wait_for(&s, 1);
		assert_string_equal(s.answers, cases[i].answer);
		assert_int_equal(s.n_peers, cases[i].n_connections);
		end(&s);
	}
}

/* A connection is used again until a limit says no, and replaced when it was closed. */
static void
reuse(void **state)
{
	struct policy_settings set = usual;
	struct scene s;

	(void)state;
	begin(&s, &set);
	s.script = "aaqaa";
	for (unsigned i = 1; i <= 5; i++) {
		(void)ask(&s, "unix:policy");
		wait_for(&s, i);
		/* The server's hanging up is heard before the next request. */
		loop_round(s.loop, 0);
		loop_round(s.loop, 0);
	}
	assert_string_equal(s.answers, "DUNNO|DUNNO|DUNNO|DUNNO|DUNNO|");
	assert_int_equal(s.n_peers, 2);
	end(&s);

	set.request_limit = 2;
	begin(&s, &set);
	s.script = "aaaaa";
	for (unsigned i = 1; i <= 5; i++) {
		(void)ask(&s, "unix:policy");
		wait_for(&s, i);
	}
	assert_int_equal(s.n_peers, 3);
	end(&s);

	set = usual;
	set.max_idle_us = 1000;
	begin(&s, &set);
	s.script = "a";
	(void)ask(&s, "unix:policy");
	wait_for(&s, 1);
	assert_int_equal(policy_client_connections(s.client), 1);
	for (int i = 0; i < 1000 && policy_client_connections(s.client) > 0; i++)
		loop_round(s.loop, US_PER_SEC / 100);
	assert_int_equal(policy_client_connections(s.client), 0);
	end(&s);
}

/* Many requests at once: as many connections as allowed, then they wait their turn. */
static void
crowd(void **state)
{
	struct policy_settings set = usual;
	struct policy_query *gone[3];
	struct scene s;

	(void)state;
	set.connections_max = 2;
	begin(&s, &set);
	s.script = "aaaaaaaaaaaaaaaa";
	for (int i = 0; i < 10; i++)
		(void)ask(&s, "unix:policy");
	wait_for(&s, 10);
	assert_int_equal(s.n_peers, 2);

	/* Those who leave: one that is being served, one that waits. */
	s.script = "aaaaaaa";
	for (int i = 0; i < 3; i++)
		gone[i] = ask(&s, "unix:policy");
	policy_client_cancel(&gone[2]);
	policy_client_cancel(&gone[0]);
	assert_null(gone[0]);
	wait_for(&s, 11);
	(void)ask(&s, "unix:policy");
	wait_for(&s, 12);
	assert_int_equal(s.n_peers, 2);
	/* Open ones are dropped with the client. */
	(void)ask(&s, "unix:policy");
	(void)ask(&s, "{ unix:policy, timeout = 1s");
	end(&s);
}

/* Until the server has taken so many requests that this is left of its script. */
static void
wait_script(struct scene *s, size_t left)
{
	for (int i = 0; i < 2000 && strlen(s->script) > left; i++)
		loop_round(s->loop, US_PER_SEC / 100);
	assert_int_equal(strlen(s->script), left);
}

/* The server thinks about those who have left: nobody waits behind them. */
static void
leavers(void **state)
{
	struct policy_settings set = usual;
	struct policy_query *gone;
	struct scene s;

	(void)state;
	set.connections_max = 1;
	begin(&s, &set);
	s.script = "--a";
	gone = ask(&s, "unix:policy");
	wait_script(&s, 2);
	policy_client_cancel(&gone);
	gone = ask(&s, "unix:policy");
	wait_script(&s, 1);
	/* One more waits when the second leaves, too. */
	(void)ask(&s, "unix:policy");
	policy_client_cancel(&gone);
	wait_for(&s, 1);
	assert_int_equal(s.n_peers, 3);
	assert_int_equal(policy_client_connections(s.client), 1);
	end(&s);
}

/* The server dies while thousands wait for their turn: each gets the default action. */
static void
death_under_a_crowd(void **state)
{
	struct policy_settings set = usual;
	struct scene s;

	(void)state;
	set.connections_max = 1;
	set.try_limit = 1;
	begin(&s, &set);
	s.script = "c";
	for (int i = 0; i < 30000; i++)
		(void)ask(&s, "unix:policy");
	while (s.n_peers == 0)
		loop_round(s.loop, US_PER_SEC / 100);
	stop_listening(&s);
	wait_for(&s, 30000);
	assert_int_equal(strncmp(s.answers, DEFAULT DEFAULT, 2 * strlen(DEFAULT)), 0);
	end(&s);
}

/* Nobody listens; then somebody does. The service's own settings go before. */
static void
absence(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, &usual);
	stop_listening(&s);
	(void)ask(&s, "unix:policy");
	wait_for(&s, 1);
	(void)ask(&s, "{ unix:policy, { default_action = 450 later, please } }");
	wait_for(&s, 2);
	assert_string_equal(s.answers, DEFAULT "450 later, please|");
	listen_here(&s);
	s.script = "a";
	(void)ask(&s, "{ unix:policy, timeout=5s retry_delay=1s }");
	wait_for(&s, 3);
	assert_int_equal(s.n_peers, 1);
	end(&s);
}

/* Services that make no sense are never asked, and say so. */
static void
nonsense(void **state)
{
	static const char *const texts[] = { "", "policy", "tcp:127.0.0.1:1",
		"inet:127.0.0.1:", "inet:127.0.0.1:nosuchservice",
		"unix:", "{ unix:policy, timeout=soon }", "{ unix:policy, timeout=0 }",
		"{ unix:policy, try_limit=0 }", "{ unix:policy, default_action= }",
		"{ unix:policy, colour=red }", "{ unix:policy, timeout }", "{ }",
		("unix:/a23456789b23456789c23456789d23456789e23456789f23456789"
		 "g23456789h23456789i23456789j23456789k23456789l23456789m23456789") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct scene s;

		begin(&s, &usual);
		(void)ask(&s, texts[i]);
		wait_for(&s, 1);
		if (s.answers[0] != '!')
			print_error("%s\n", texts[i]);
		assert_string_equal(s.answers, "!" DEFAULT);
		assert_int_equal(s.n_peers, 0);
		end(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaviours),
		cmocka_unit_test(reuse),
		cmocka_unit_test(crowd),
		cmocka_unit_test(leavers),
		cmocka_unit_test(death_under_a_crowd),
		cmocka_unit_test(absence),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
