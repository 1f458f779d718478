/* Decisions that wait for answers: run, fetch what is wanted, run again. The one place
 * where a question becomes a message to `lookup`, to the DNS, to a policy service, to
 * queue. */
#include "agent/decide.h"
#include "agent/decide_int.h"
#include "agent/lookup_client.h"
#include "agent/policy_client.h"
#include "agent/verify_client.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include <assert.h>

#define RUN_MEM_MAX ((size_t)16 << 20)
#define VALUE_MAX   ((size_t)256 << 10)

#define DELAY_MAX_S 86400

/* What is being fetched; lives in the run's memory, so that a decision that never waits
 * has no room for it. At most one of them is under way. */
struct decide_wait {
	struct lookup_query *lookup;
	struct net_query *dns;
	struct policy_query *policy;
	struct verify_query *verify;
	struct loop_timer delay;
	struct loop_task soon;   /* the decision is over */
	struct loop_task nobody; /* there is no queue to ask */
};

static void go_on(struct decide_run *r);

static void
answer(struct decide_run *r, enum rc rc, struct str value)
{
	ask_answer(&r->ask, rc, value);
	go_on(r);
}

/* ---- tables ---- */

static void
on_found(void *arg, enum rc rc, struct str value)
{
	struct decide_run *r = arg;

	r->wait->lookup = NULL;
	/* compat: an empty result is trouble, and not "not found". */
	if (rc == RC_OK && value.n == 0)
		answer(r, RC_TEMP, STR("empty lookup result"));
	else
		answer(r, rc, value);
}

/* ---- the DNS ---- */

/* "MX+": whole records, "mx.test. 60 IN MX 10 a.test.", as filters of replies see them.
 */
static bool
wants_records(struct str type)
{
	return str_ends(type, STR("+"));
}

static bool
dns_type_of(struct str name, enum dns_type *out)
{
	static const enum dns_type types[] = { DNS_A, DNS_NS, DNS_CNAME, DNS_SOA, DNS_PTR,
		DNS_MX, DNS_TXT, DNS_AAAA };

	if (wants_records(name))
		name.n--;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_is(name, dns_type_name(types[i]))) {
			*out = types[i];
			return true;
		}
	return false;
}

/* What is no text of one line becomes blanks. */
static enum rc
put_text(struct buf *to, struct str text)
{
	char *p = buf_room(to, text.n + 1);

	if (p == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < text.n; i++)
		p[i] =
		    (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? ' ' : text.p[i];
	p[text.n] = '\n';
	buf_added(to, text.n + 1);
	return RC_OK;
}

/* One record a line: "10 mx.example", "192.0.2.1", text; all of it when `of` is given. */
static enum rc
put_record(struct buf *to, const struct dns_record *rr, const struct dns_answer *of)
{
	char text[ADDR_IP_TEXT_MAX];
	struct str s = rr->name;
	const char *dot = of != NULL && !str_is(s, ".") ? "." : "";

	if (of != NULL && buf_printf(to, "%.*s. %u IN %s ", STR_ARG(of->canonical),
			      of->ttl_s, dns_type_name(rr->type)) != RC_OK)
		return RC_TEMP;

	if (rr->type == DNS_A || rr->type == DNS_AAAA)
		return buf_printf(to, "%.*s\n", STR_ARG(addr_ip_format(&rr->addr, text)));
	if (rr->type == DNS_TXT)
		return put_text(to, rr->text);
	if (rr->type == DNS_MX)
		return buf_printf(to, "%u %.*s%s\n", rr->preference, STR_ARG(s), dot);
	return buf_printf(to, "%.*s%s\n", STR_ARG(s), dot);
}

/* MX records by preference; a resolver gives them in any order. */
static void
put_records(struct buf *to, const struct dns_answer *a, bool whole)
{
	const struct dns_answer *of = whole ? a : NULL;
	uint32_t from = 0;
	enum rc rc = RC_OK;

	for (size_t i = 0; a->type != DNS_MX && rc == RC_OK && i < a->n; i++)
		rc = put_record(to, &a->records[i], of);
	while (a->type == DNS_MX && rc == RC_OK && from <= UINT16_MAX) {
		uint32_t next = UINT32_MAX;

		for (size_t i = 0; rc == RC_OK && i < a->n; i++) {
			uint32_t p = a->records[i].preference;

			if (p == from)
				rc = put_record(to, &a->records[i], of);
			else if (p > from && p < next)
				next = p;
		}
		from = next;
	}
}

static void
on_dns(void *arg, const struct dns_answer *a)
{
	struct decide_run *r = arg;
	enum rc rc = a->status == DNS_INVALID ? RC_OK : dns_status_rc(a->status);
	struct str value = str_c(dns_status_text(a->status));
	struct buf lines;

	r->wait->dns = NULL;
	buf_init(&lines, VALUE_MAX);
	if (rc == RC_OK)
		put_records(&lines, a, wants_records(r->ask.wanted.source));
	if (rc == RC_OK)
		value = arena_str(r->mem, buf_view(&lines));
	buf_fini(&lines);
	answer(r, rc, value.p != NULL ? value : STR(""));
}

static bool
is_host(const struct ask_question *q)
{
	return str_is(q->source, "HOST");
}

static void
on_host(void *arg, const struct net_host_answer *a)
{
	struct decide_run *r = arg;
	enum rc rc = a->n > 0                   ? RC_OK
		     : a->status == DNS_INVALID ? RC_NONE
						: dns_status_rc(a->status);
	char text[ADDR_IP_TEXT_MAX];
	struct buf lines;

	r->wait->dns = NULL;
	buf_init(&lines, VALUE_MAX);
	for (size_t i = 0; i < a->n; i++)
		if (buf_printf(&lines, "%.*s\n",
			STR_ARG(addr_ip_format(&a->addrs[i], text))) != RC_OK)
			break;
	ask_answer(&r->ask, rc,
	    rc == RC_OK ? buf_view(&lines) : str_c(dns_status_text(a->status)));
	buf_fini(&lines);
	go_on(r);
}

/* ---- policy services, verification, delays ---- */

static void
on_policy(void *arg, enum rc rc, struct str action)
{
	struct decide_run *r = arg;

	(void)rc; /* it was logged; the action says what counts */
	r->wait->policy = NULL;
	answer(r, RC_OK, action);
}

static void
on_verified(void *arg, enum rc rc, struct str value)
{
	struct decide_run *r = arg;

	r->wait->verify = NULL;
	answer(r, rc, value);
}

static void
on_nobody(void *arg)
{
	answer(arg, RC_TEMP, STR("the queue is not there"));
}

static void
on_delay(void *arg)
{
	answer(arg, RC_OK, STR(""));
}

/* ---- asking ---- */

static bool
can_fetch(const struct decide_run *r)
{
	const struct decide_sources *s = decide_sources(r->d);
	const struct ask_question *q = &r->ask.wanted;
	enum dns_type unused;
	uint64_t seconds;

	switch (q->kind) {
	case ASK_MAP:
		return s->lookup != NULL;
	case ASK_DNS:
		return s->resolver != NULL &&
		       (is_host(q) || dns_type_of(q->source, &unused));
	case ASK_POLICY:
		return s->policy != NULL;
	case ASK_VERIFY:
		return s->submit != NULL;
	case ASK_DELAY:
		return s->loop != NULL && str_u64(q->key, DELAY_MAX_S, &seconds) == RC_OK;
	}
	return false;
}

static void
fetch(struct decide_run *r)
{
	const struct decide_sources *s = decide_sources(r->d);
	const struct ask_question *q = &r->ask.wanted;
	const struct lookup_question question = {
		.table = q->source, .key = q->key, .flags = decide_map_flags(q->flags)
	};
	enum dns_type type = DNS_A;
	uint64_t seconds = 0;

	switch (q->kind) {
	case ASK_MAP:
		r->wait->lookup = lookup_client_ask(s->lookup, &question, on_found, r);
		break;
	case ASK_DNS:
		if (is_host(q)) {
			r->wait->dns = net_resolve_host(s->resolver, q->key,
			    NET_HOST_DNS | NET_HOST_NATIVE, on_host, r);
			break;
		}
		(void)dns_type_of(q->source, &type);
		r->wait->dns = net_resolve(s->resolver, q->key, type, on_dns, r);
		break;
	case ASK_POLICY:
		r->wait->policy =
		    policy_client_ask(s->policy, q->source, q->key, on_policy, r);
		break;
	case ASK_VERIFY:
		r->wait->verify = verify_client_ask(s->submit,
		    &(struct verify_question){ .address = q->key,
			.is_sender = str_is(q->source, "sender"),
			.wait_us = s->verify_wait_us[r->is_stressed ? 1 : 0] },
		    on_verified, r);
		if (r->wait->verify == NULL)
			loop_soon(s->loop, &r->wait->nobody);
		break;
	case ASK_DELAY:
		(void)!str_u64(q->key, DELAY_MAX_S, &seconds);
		loop_timer_set(s->loop, &r->wait->delay,
		    loop_now_us(s->loop) + (int64_t)seconds * US_PER_SEC);
		break;
	}
}

/* Runs until it is over, or until it wants something that can be fetched: RC_MORE. */
static enum rc
run(struct decide_run *r)
{
	for (;;) {
		enum rc rc = r->run(r->arg, &r->ask);

		if (rc != RC_MORE || can_fetch(r))
			return rc;
		ask_answer(&r->ask, RC_TEMP, STR("nobody here can ask it"));
	}
}

static void
end(struct decide_run *r, enum rc rc)
{
	struct arena *mem = r->mem;

	/* The callee may free `r`, and what it is in. */
	r->mem = NULL;
	r->wait = NULL;
	r->done(r->arg, rc);
	arena_free(&mem);
}

static void
go_on(struct decide_run *r)
{
	enum rc rc = run(r);

	if (rc == RC_MORE)
		fetch(r);
	else
		end(r, rc);
}

static void
on_over(void *arg)
{
	struct decide_run *r = arg;

	end(r, r->rc);
}

enum rc
decide_run_start(struct decide_run *r, struct arena *scratch)
{
	const struct decide_sources *s = decide_sources(r->d);
	int64_t now_us = s->loop != NULL ? loop_now_us(s->loop) : 0;
	enum rc rc;

	assert(!decide_run_is_waiting(r));
	decide_begin(r->d, &r->ask, scratch, now_us);
	rc = run(r);
	if (rc != RC_MORE)
		return rc;
	r->mem = arena_new(RUN_MEM_MAX);
	decide_begin(r->d, &r->ask, r->mem, now_us);
	r->wait = arena_get(r->mem, sizeof(*r->wait));
	assert(r->wait != NULL); /* the first of its arena */
	loop_task_init(&r->wait->soon, on_over, r);
	loop_task_init(&r->wait->nobody, on_nobody, r);
	loop_timer_init(&r->wait->delay, on_delay, r);
	r->rc = run(r);
	if (r->rc == RC_MORE)
		fetch(r);
	else /* this memory has another limit */
		loop_soon(s->loop, &r->wait->soon);
	return RC_MORE;
}

void
decide_run_cancel(struct decide_run *r)
{
	if (r->mem == NULL)
		return;
	lookup_client_cancel(&r->wait->lookup);
	net_query_cancel(&r->wait->dns);
	policy_client_cancel(&r->wait->policy);
	verify_client_cancel(&r->wait->verify);
	loop_timer_cancel(decide_sources(r->d)->loop, &r->wait->delay);
	loop_soon_cancel(decide_sources(r->d)->loop, &r->wait->soon);
	loop_soon_cancel(decide_sources(r->d)->loop, &r->wait->nobody);
	r->wait = NULL;
	arena_free(&r->mem);
}

bool
decide_run_is_waiting(const struct decide_run *r)
{
	return r->mem != NULL;
}
