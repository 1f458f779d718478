/* Stories of one delivery: which hosts are tried, and what becomes of whom. Hosts,
 * connections and the delivery frame are played here.
 *
 * A next hop is a row of letters, one for each of its hosts (_: we are among them,
 * so it is final; alone: a loop; z: it has no host). What a host does with the
 * recipients is in its row of the story: R refuses the connection, B breaks in the
 * middle, or for each recipient that is left s (sent), t (not now), p (never). */
#include "prog/smtp/agent.h"
#include "spool/message.h"
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct story {
	const char *title;
	const char *nexthop, *fallback;
	const char *idle;  /* a connection for the first next hop: a host's letter */
	const char *hosts; /* "a=st b=R" */
	int session_limit;
	const char *want; /* the trace */
};

static struct {
	const struct story *story;
	char trace[1000];
	size_t n;
	struct job *asking;   /* for a server's address; we are stopped before it comes */
	struct conn *pending; /* the loop's part: sessions run one after the other */
	struct arena *mem;
	bool is_begun; /* some recipient has an outcome */
} world;

__attribute__((format(printf, 1, 2))) static void
say(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(world.trace + world.n, sizeof(world.trace) - world.n, fmt, ap);
	va_end(ap);
	assert_true(n >= 0);
	world.n += (size_t)n;
	assert_true(world.n < sizeof(world.trace));
}

/* ---- what job.c calls ---- */

bool
target_at_once(
    struct service *s, const struct net_dest *dest, struct arena *mem, struct target *out)
{
	struct target t = { 0 };

	(void)s;
	if (str_is(dest->host, "dns"))
		return false;
	t.hosts = arena_array(mem, 8, sizeof(*t.hosts));
	for (size_t i = 0; i < dest->host.n; i++) {
		char c = dest->host.p[i];

		if (c == '_')
			t.is_final = true;
		else if (c != 'z')
			t.hosts[t.n++] =
			    (struct dns_host){ .name = { dest->host.p + i, 1 },
				    .addr = { 4, { (uint8_t)c } } };
	}
	if (t.n == 0)
		t.why = (struct failure){ t.is_final ? STR("5.4.6") : STR("5.4.4"),
			t.is_final ? STR("loop") : STR("no host"), STR(""), STR("") };
	*out = t;
	return true;
}

struct target_query *
target_find(struct service *s, const struct net_dest *dest, struct arena *mem,
    target_fn *done, void *arg)
{
	(void)s, (void)dest, (void)mem, (void)done;
	say("dns? ");
	world.asking = arg;
	return (struct target_query *)&world;
}

void
target_cancel(struct target_query **q)
{
	*q = NULL;
}

void
delivery_abandon(struct delivery *d, struct delivery_job *job)
{
	(void)d, (void)job;
	say("abandoned");
}

static struct conn *
new_conn(struct job *j, char letter)
{
	struct conn *c = arena_get(world.mem, sizeof(*c) + 2);
	struct addr_ip a = { 4, { (uint8_t)letter } };

	c->text[0] = letter;
	c->name = c->relay = (struct str){ c->text, 1 };
	c->job = j;
	c->service = j->service;
	net_endpoint_set(&c->to, &a, j->port);
	return c;
}

/* What host `letter` does. */
static const char *
behaviour(char letter)
{
	for (const char *p = world.story->hosts; *p != '\0'; p++) {
		if (p[0] == letter && p[1] == '=')
			return p + 2;
	}
	fail_msg("nothing about host %c", letter);
	return "";
}

enum rc
conn_open(struct job *j, const struct dns_host *host, struct failure *out_why)
{
	char letter = host->name.p[0];

	say("%c ", letter);
	if (behaviour(letter)[0] == 'R') {
		*out_why =
		    (struct failure){ STR("4.4.1"), STR("refused"), STR(""), STR("") };
		return RC_TEMP;
	}
	world.pending = new_conn(j, letter);
	return RC_OK;
}

struct conn *
pool_find_site(struct pool *p, const struct service *s, struct str site, int64_t now_us)
{
	(void)p, (void)s, (void)site, (void)now_us;
	if (world.story->idle[0] == '\0')
		return NULL;
	return arena_get(world.mem, sizeof(struct conn) + 2);
}

void
conn_deliver(struct conn *c, struct job *j)
{
	(void)c;
	say("%c+ ", world.story->idle[0]);
	j->port = 25;
	world.pending = new_conn(j, world.story->idle[0]);
}

bool
delivery_is_probe(const struct delivery_job *job)
{
	return (job->m->facts & MESSAGE_IS_PROBE) != 0;
}

bool
delivery_is_begun(struct delivery_job *job)
{
	(void)job;
	return world.is_begun;
}

void
delivery_outcome(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o)
{
	(void)d, (void)job;
	world.is_begun = true;
	say("%u%s(%.*s) ", o->rcpt,
	    o->what == DELIVERY_SENT       ? "sent"
	    : o->what == DELIVERY_DEFERRED ? "later"
					   : "never",
	    STR_ARG(o->relay));
}

void
delivery_outcome_rest(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o)
{
	(void)d, (void)job;
	say("rest%s(%.*s,%.*s,%.*s) ", o->what == DELIVERY_DEFERRED ? "later" : "never",
	    STR_ARG(o->relay), STR_ARG(o->dsn), STR_ARG(o->text));
}

void
delivery_done(struct delivery *d, struct delivery_job *job, enum delivery_site site,
    struct str site_dsn, struct str site_text)
{
	(void)d, (void)job, (void)site_dsn, (void)site_text;
	say("%s", site == DELIVERY_SITE_OK     ? "ok"
		  : site == DELIVERY_SITE_DOWN ? "down"
					       : "?");
}

struct service *
agent_service(struct agent *a, struct str name)
{
	(void)name;
	return a->services;
}

/* ---- the player ---- */

static void
run_session(struct conn *c)
{
	static const struct smtp_client_outcome broken = {
		.rc = RC_TEMP, .dsn = STR_INIT("4.4.2"), .text = STR_INIT("lost")
	};
	const char *does = behaviour(c->text[0]);
	struct job *j = c->job;
	const struct smtp_client_job *attempt = job_attempt(j);
	uint32_t n = attempt->n_rcpt;

	job_set_up(j);
	for (uint32_t i = 0; i < n && *does != 'B'; i++) {
		struct smtp_client_outcome o = {
			.rc = RC_OK, .dsn = STR("2.0.0"), .text = STR("ok")
		};

		if (*does == 't')
			o = (struct smtp_client_outcome){
				.rc = RC_TEMP, .dsn = STR("4.0.0"), .text = STR("busy")
			};
		else if (*does == 'p')
			o = (struct smtp_client_outcome){
				.rc = RC_PERM, .dsn = STR("5.0.0"), .text = STR("no")
			};
		job_outcome(j, c, i, &o);
		if (does[1] != ' ' && does[1] != '\0')
			does++;
	}
	job_session_done(j, c, *does == 'B' ? &broken : NULL);
}

static const struct story stories[] = {
	{ "one host, all sent", "a", "", "", "a=s", 2, "a 0sent(a) 1sent(a) ok" },
	{ "each recipient has its own fate", "a", "", "", "a=sp", 2,
	    "a 0sent(a) 1never(a) ok" },
	{ "the only host's not-now is final", "a", "", "", "a=st", 2,
	    "a 0sent(a) 1later(a) ok" },
	{ "who was refused for now goes to the next host", "ab", "", "", "a=st b=s", 2,
	    "a 0sent(a) b 1sent(b) ok" },
	{ "a refusal is not asked for again elsewhere", "ab", "", "", "a=pt b=s", 2,
	    "a 0never(a) b 1sent(b) ok" },
	{ "connection refused, next host", "ab", "", "", "a=R b=s", 2,
	    "a b 0sent(b) 1sent(b) ok" },
	{ "no host can be reached", "ab", "", "", "a=R b=R", 2,
	    "a b restlater(,4.4.1,refused) down" },
	{ "the last host breaks", "ab", "", "", "a=R b=B", 2,
	    "a b restlater(b,4.4.2,lost) down" },
	{ "two sessions are enough", "abc", "", "", "a=t b=t c=s", 2,
	    "a b 0later(b) 1later(b) ok" },
	{ "refused connections are not sessions", "abcd", "", "", "a=R b=R c=t d=s", 2,
	    "a b c d 0sent(d) 1sent(d) ok" },
	{ "no limit of sessions", "abc", "", "", "a=t b=t c=s", 0,
	    "a b c 0sent(c) 1sent(c) ok" },
	{ "the second next hop of a list", "a,b", "", "", "a=R b=s", 2,
	    "a b 0sent(b) 1sent(b) ok" },
	{ "the fallback relay", "a", "b", "", "a=t b=s", 2, "a b 0sent(b) 1sent(b) ok" },
	{ "no such domain, fallback relay", "z", "b", "", "b=s", 2,
	    "b 0sent(b) 1sent(b) ok" },
	{ "no such domain", "z", "", "", "", 2, "restnever(,5.4.4,no host) ok" },
	{ "an unusable fallback relay is a mistake of ours", "a", "z", "", "a=R", 2,
	    "a restlater(,4.3.5,no host) down" },
	{ "mail that loops goes nowhere else", "_", "b", "", "b=s", 2,
	    "restnever(,5.4.6,loop) ok" },
	{ "a backup MX does not use the fallback relay", "_a", "b", "", "a=R b=s", 2,
	    "a restlater(,4.4.1,refused) down" },
	{ "a kept connection", "ab", "", "a", "a=s", 2, "a+ 0sent(a) 1sent(a) ok" },
	{ "a kept connection was dead: the same host again", "b", "", "x", "x=B b=s", 2,
	    "x+ b 0sent(b) 1sent(b) ok" },
	{ "a kept connection's server is busy: the others", "ab", "", "a", "a=t b=s", 2,
	    "a+ b 0sent(b) 1sent(b) ok" },
	{ "a kept connection's server is busy and there is no other", "a", "", "a",
	    "a=st", 2, "a+ 0sent(a) restlater(a,4.0.0,busy) ok" },
	{ "a next hop that is none", "a..b", "", "", "", 2,
	    "restlater(,4.3.5,valid hostname or network address required in server "
	    "description: a..b) down" },
	{ "a stop does not wait for a name server, and nothing is lost", "dns", "", "",
	    "", 2, "dns? abandoned" },
	{ "a stop does not send again what some already have", "a", "dns", "", "a=st", 2,
	    "a 0sent(a) dns? restlater(a,4.0.0,busy) ok" },
};

static void
play(const struct story *story)
{
	struct conf_snapshot snapshot = { 0 };
	struct worker worker = { .snapshot = &snapshot, .loop = loop_new() };
	struct worker_service entry = { .log = log_new("test", "test") };
	struct agent agent = { .worker = &worker, .loop = worker.loop };
	struct service service = { .agent = &agent, .entry = &entry, .port = 25 };
	struct wire_rcpt rcpts[2] = { { .address = STR("x@t") },
		{ .address = STR("y@t") } };
	struct wire_job m = { .qid = STR("Q"),
		.nexthop = str_c(story->nexthop),
		.rcpts = rcpts,
		.n_rcpts = 2 };
	struct delivery_job dj = { .m = &m, .mem = arena_new(1 << 20), .log = entry.log };

	memset(&world, 0, sizeof(world));
	world.story = story;
	world.mem = arena_new(1 << 20);
	list_init(&agent.asking);
	agent.services = &service;
	service.conf.smtp_mx_session_limit = story->session_limit;
	service.conf.smtp_fallback_relay = str_c(story->fallback);
	service.conf.smtp_line_length_limit_bytes = 998;
	job_start(&agent, &dj);
	while (world.pending != NULL) {
		struct conn *c = world.pending;

		world.pending = NULL;
		run_session(c);
	}
	if (world.asking != NULL)
		job_stop(world.asking);
	assert_true(list_is_empty(&agent.asking));
	log_to_fd(entry.log, open("/dev/null", O_WRONLY | O_CLOEXEC));
	log_free(&entry.log);
	loop_free(&worker.loop);
	arena_free(&dj.mem);
	arena_free(&world.mem);
}

static void
test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		print_message("%s\n", stories[i].title);
		play(&stories[i]);
		assert_string_equal(world.trace, stories[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stories) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
