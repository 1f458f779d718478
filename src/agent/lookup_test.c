/* Questions to a lookup that is played here, decisions that wait for it, and which tables
 * a lookup may serve. */
#include "agent/decide.h"
#include "agent/lookup_client.h"
#include "agent/lookup_tables.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* For what comes, on a machine that stands still for a second; for what does not come;
 * for something that comes before what does not. */
#define PATIENCE_US (60 * US_PER_SEC)
#define BRIEF_US    (US_PER_SEC / 4)
#define WHILE_US    (2 * US_PER_SEC)

struct scene {
	struct loop *loop;
	struct log *log;
	struct lookup_client *client;
	struct ipc_channel *server; /* the other end; NULL: away */
	/* What the server does. */
	bool is_mute;
	enum rc rc;
	unsigned n_asked, n_needed;
	char asked[400];
	/* What came back. */
	unsigned n_answers;
	char answers[400];
};

static void
on_find(void *arg, const struct wire_find *m)
{
	struct scene *s = arg;
	size_t n = strlen(s->asked);

	s->n_asked++;
	(void)snprintf(s->asked + n, sizeof(s->asked) - n, "%.*s %.*s %u|",
	    STR_ARG(m->table), STR_ARG(str_head(m->key, 20)), m->flags);
	if (s->is_mute)
		return;
	ipc_send_found(s->server, &(struct wire_found){ .request = m->request,
				      .rc = (uint8_t)s->rc,
				      .value = s->rc == RC_OK ? m->key : STR("words") });
	/* Twice: the second is nobody's. */
	if (s->rc != RC_MORE)
		ipc_send_found(s->server,
		    &(struct wire_found){ .request = m->request, .rc = RC_NONE });
}

static void
on_close(void *arg, const char *why)
{
	struct scene *s = arg;

	(void)why;
	ipc_channel_free(&s->server);
}

static void
serve(struct scene *s)
{
	static const struct ipc_handlers on = { .on_find = on_find };
	const struct ipc_channel_conf conf = { .me = WIRE_LOOKUP,
		.peer = WIRE_ASKER,
		.on = &on,
		.on_close = on_close,
		.arg = s };
	int pair[2];

	assert_int_equal(os_sock_pair(pair, NULL), RC_OK);
	ipc_channel_free(&s->server);
	s->server = ipc_channel_new(s->loop, pair[0], &conf);
	lookup_client_connect(s->client, pair[1]);
}

static void
need(void *arg)
{
	((struct scene *)arg)->n_needed++;
}

static void
begin_for(struct scene *s, int64_t patience_us)
{
	struct lookup_client_conf conf = {
		.timeout_us = patience_us, .need = need, .arg = s
	};

	*s = (struct scene){ .loop = loop_new(), .log = log_new("test", "host") };
	conf.loop = s->loop;
	conf.log = s->log;
	s->client = lookup_client_new(&conf);
}

static void
begin(struct scene *s)
{
	begin_for(s, PATIENCE_US);
}

static void
end(struct scene *s)
{
	lookup_client_free(&s->client);
	ipc_channel_free(&s->server);
	loop_round(s->loop, 0);
	loop_free(&s->loop);
	log_free(&s->log);
}

static void
on_answer(void *arg, enum rc rc, struct str value)
{
	struct scene *s = arg;
	size_t n = strlen(s->answers);

	s->n_answers++;
	(void)snprintf(s->answers + n, sizeof(s->answers) - n, "%s %.*s|", rc_name(rc),
	    STR_ARG(value));
}

static struct lookup_query *
ask(struct scene *s, struct str key)
{
	const struct lookup_question q = {
		.table = STR("mysql:/x.cf"), .key = key, .flags = MAP_PARTIAL
	};

	return lookup_client_ask(s->client, &q, on_answer, s);
}

/* Rounds until so many answers are there: bounded by the client's own patience. */
static void
wait_for_answers(struct scene *s, unsigned n)
{
	while (s->n_answers < n)
		loop_round(s->loop, PATIENCE_US);
}

static void
answers(void **state)
{
	static const struct {
		enum rc rc;
		const char *out;
	} cases[] = {
		{ RC_OK, "ok k|" }, { RC_NONE, "none words|" },
		{ RC_TEMP, "temp words|" },
		{ RC_PERM, "temp words|" }, /* our own trouble */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene s;

		begin(&s);
		s.rc = cases[i].rc;
		serve(&s);
		(void)ask(&s, STR("k"));
		assert_int_equal(s.n_answers, 0);
		wait_for_answers(&s, 1);
		loop_round(s.loop, 0);
		assert_string_equal(s.answers, cases[i].out);
		assert_string_equal(s.asked, "mysql:/x.cf k 1|");
		assert_int_equal(lookup_client_open(s.client), 0);
		end(&s);
	}
}

static void
never_a_miss(void **state)
{
	struct scene s;

	(void)state;
	/* Nobody there: trouble, in time; and somebody was asked to change that. */
	begin_for(&s, WHILE_US);
	(void)ask(&s, STR("k"));
	wait_for_answers(&s, 1);
	assert_string_equal(s.answers, "temp the lookup service is not available|");
	assert_true(s.n_needed > 0);
	end(&s);
	/* It hangs. */
	begin_for(&s, BRIEF_US);
	s.is_mute = true;
	serve(&s);
	(void)ask(&s, STR("k"));
	wait_for_answers(&s, 1);
	assert_string_equal(s.answers, "temp the lookup service did not answer in time|");
	end(&s);
	/* It has another configuration, and no other comes. */
	begin_for(&s, WHILE_US);
	s.rc = RC_MORE;
	serve(&s);
	(void)ask(&s, STR("k"));
	wait_for_answers(&s, 1);
	assert_string_equal(
	    s.answers, "temp the lookup service does not know the table|");
	end(&s);
}

static void
the_next_one_answers(void **state)
{
	struct scene s;

	(void)state;
	/* Killed in mid-use. */
	begin(&s);
	s.is_mute = true;
	serve(&s);
	(void)ask(&s, STR("k"));
	while (s.n_asked == 0)
		loop_round(s.loop, PATIENCE_US);
	ipc_channel_free(&s.server);
	loop_round(s.loop, 0);
	s.is_mute = false;
	serve(&s);
	wait_for_answers(&s, 1);
	assert_string_equal(s.answers, "ok k|");
	end(&s);
	/* The first is from before the reload. */
	begin(&s);
	s.rc = RC_MORE;
	serve(&s);
	(void)ask(&s, STR("k"));
	while (s.n_asked == 0)
		loop_round(s.loop, PATIENCE_US);
	loop_round(s.loop, 0);
	s.rc = RC_NONE;
	serve(&s);
	wait_for_answers(&s, 1);
	assert_string_equal(s.answers, "none words|");
	end(&s);
}

static void
cancelled_and_refused(void **state)
{
	static char large[130000];
	struct lookup_query *a, *b;
	struct scene s;

	(void)state;
	begin(&s);
	serve(&s);
	a = ask(&s, STR("a"));
	b = ask(&s, STR("b"));
	lookup_client_cancel(&a);
	lookup_client_cancel(&a);
	assert_null(a);
	assert_non_null(b);
	wait_for_answers(&s, 1);
	loop_round(s.loop, 0);
	assert_string_equal(s.answers, "ok b|");
	memset(large, 'x', sizeof(large));
	(void)ask(&s, str_n(large, sizeof(large)));
	wait_for_answers(&s, 2);
	assert_string_equal(s.answers, "ok b|temp the question is too large|");
	assert_int_equal(s.n_asked, 2); /* the channel is as good as before */
	(void)ask(&s, STR("c"));        /* open at the end */
	end(&s);
}

/* ---- decisions ---- */

static const struct conf_snapshot *
snapshot(const char *text, const char *master, struct arena *mem)
{
	static const struct conf_host host = { .name = STR_INIT("mail.example.test"),
		.addresses = STR_INIT("192.0.2.1/24 127.0.0.1/8") };
	const struct conf_snapshot *s = NULL;
	struct err e = { 0 };

	if (conf_from_text(str_c(text), str_c(master), &host, mem, &s, &e) != RC_OK)
		fail_msg("%s", e.text);
	return s;
}

struct decision {
	struct decide_run run;
	struct ask_tables tables;
	unsigned n_runs, n_done;
	enum rc rc;
	char value[100];
};

/* The mailbox behind an alias, both in tables of lookup. */
static enum rc
decide(void *arg, struct ask *a)
{
	struct decision *d = arg;
	struct str one, two;
	enum rc rc = ask_map(a, d->tables.v[0], STR("a"), 0, &one);

	d->n_runs++;
	if (rc == RC_OK)
		rc = ask_map(a, d->tables.v[1], STR("b"), 0, &two);
	if (rc == RC_OK)
		(void)snprintf(
		    d->value, sizeof(d->value), "%.*s %.*s", STR_ARG(one), STR_ARG(two));
	return rc;
}

static void
decided(void *arg, enum rc rc)
{
	struct decision *d = arg;

	d->n_done++;
	d->rc = rc;
}

static struct decide *
make(struct decision *d, struct arena *mem)
{
	const struct decide_request req = { .snapshot = snapshot("", "", mem),
		.only_search = true };
	struct decide *out;
	struct err e = { 0 };

	assert_int_equal(decide_new(&req, &out, &e), RC_OK);
	assert_int_equal(
	    decide_open_tables(out, STR("tcp:h:1 tcp:h:2"), 0, &d->tables, &e), RC_OK);
	d->run =
	    (struct decide_run){ .d = out, .run = decide, .done = decided, .arg = d };
	return out;
}

static void
decisions_wait(void **state)
{
	struct arena *mem = arena_new(64 << 20), *scratch = arena_new(1 << 20);
	struct decision d = { 0 };
	struct decide *tables = make(&d, mem);
	struct scene s;

	(void)state;
	begin(&s);
	/* Nobody can be asked: trouble at once. */
	assert_int_equal(decide_run_start(&d.run, scratch), RC_TEMP);
	assert_false(decide_run_is_waiting(&d.run));

	serve(&s);
	decide_use(
	    tables, &(struct decide_sources){ .loop = s.loop, .lookup = s.client });
	arena_reset(scratch);
	assert_int_equal(decide_run_start(&d.run, scratch), RC_MORE);
	assert_true(decide_run_is_waiting(&d.run));
	arena_free(&scratch); /* others use it meanwhile */
	while (d.n_done == 0)
		loop_round(s.loop, PATIENCE_US);
	assert_int_equal(d.rc, RC_OK);
	assert_string_equal(d.value, "a b");
	assert_string_equal(s.asked, "tcp:h:1 a 0|tcp:h:2 b 0|");
	assert_false(decide_run_is_waiting(&d.run));

	/* Whoever waits may leave. */
	scratch = arena_new(1 << 20);
	assert_int_equal(decide_run_start(&d.run, scratch), RC_MORE);
	decide_run_cancel(&d.run);
	decide_run_cancel(&d.run);
	while (s.n_asked < 3)
		loop_round(s.loop, PATIENCE_US);
	loop_round(s.loop, 0);
	assert_int_equal(d.n_done, 1);

	decide_free(&tables);
	end(&s);
	arena_free(&scratch);
	arena_free(&mem);
}

/* ---- which tables ---- */

static void
tables_of_a_configuration(void **state)
{
	static const struct {
		const char *main, *master, *spec;
		bool is_named, is_readable, is_writable, are_asked;
	} cases[] = {
		{ "", "", "tcp:h:1", false, false, false, false },
		{ "transport_maps = tcp:h:1", "", "tcp:h:1", true, false, false, true },
		{ "x = tcp:h:1\nmynetworks = !$x", "", "tcp:h:1", true, false, false,
		    true },
		/* A local table may not be chosen by whoever asks. */
		{ "transport_maps = tcp:h:1", "", "texthash:/etc/shadow", false, false,
		    false, true },
		{ "transport_maps = texthash:/t", "", "texthash:/t", true, false, false,
		    false },
		{ "transport_maps = proxy:texthash:/t", "", "texthash:/t", true, true,
		    false, false },
		{ "transport_maps = proxy:texthash:/t\nproxy_read_maps =", "",
		    "texthash:/t", true, false, false, true },
		/* What stands in the list without proxy: is not listed. */
		{ "proxy_read_maps = texthash:/t", "", "texthash:/t", false, false, false,
		    false },
		{ "proxy_write_maps = proxy:lmdb:/t", "", "lmdb:/t", false, false, true,
		    false },
		{ "smtpd_recipient_restrictions = check_client_access { tcp:h:1, "
		  "search_order = x }, reject",
		    "", "tcp:h:1", true, false, false, true },
		{ "", "smtp inet n - n - - smtpd -o relay_recipient_maps=tcp:h:1\n",
		    "tcp:h:1", true, false, false, true },
		{ "y = $z", "smtp inet n - n - - smtpd -o z=tcp:h:1\n", "tcp:h:1", true,
		    false, false, true },
		{ "",
		    "proxymap unix - - n - - proxymap -o proxy_read_maps=proxy:tcp:h:1\n",
		    "tcp:h:1", false, true, false, false },
		/* Not a table. */
		{ "smtpd_milters = inet:h:1", "", "inet:h:1", false, false, false,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(64 << 20);
		const struct lookup_tables *t = NULL;
		const struct lookup_table *one;
		struct err e = { 0 };

		assert_int_equal(
		    lookup_tables_make(
			snapshot(cases[i].main, cases[i].master, mem), mem, &t, &e),
		    RC_OK);
		one = lookup_tables_find(t, str_c(cases[i].spec));
		if ((one != NULL && one->is_named) != cases[i].is_named ||
		    (one != NULL && one->is_readable) != cases[i].is_readable ||
		    (one != NULL && one->is_writable) != cases[i].is_writable ||
		    lookup_tables_are_asked(t) != cases[i].are_asked)
			fail_msg("%s", cases[i].main);
		arena_free(&mem);
	}
	assert_true(str_is(lookup_tables_strip(STR("proxy:proxy:a:b")), "a:b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(never_a_miss),
		cmocka_unit_test(the_next_one_answers),
		cmocka_unit_test(cancelled_and_refused),
		cmocka_unit_test(decisions_wait),
		cmocka_unit_test(tables_of_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
