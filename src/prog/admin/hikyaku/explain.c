/* The decisions of smtpd, run for a client that may not exist. */
#include "prog/admin/hikyaku/explain.h"
#include "conf/generated.h"
#include "log/log.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define NAME_CACHE_US (60 * US_PER_SEC)

/* Questions that nobody may be asked for a mere explanation. */
static bool
stand_in(struct explain *x, struct ask *a)
{
	switch (a->wanted.kind) {
	case ASK_POLICY:
		x->v.skipped_policy = true;
		ask_answer(a, RC_OK, STR("DUNNO"));
		return true;
	case ASK_VERIFY:
		x->v.skipped_verify = true;
		ask_answer(a, RC_OK, STR("0 2.0.0 not asked"));
		return true;
	case ASK_DELAY:
		ask_answer(a, RC_OK, STR(""));
		return true;
	case ASK_MAP:
	case ASK_DNS:
		break;
	}
	return false;
}

static struct access_request
request_of(const struct explain *x)
{
	const struct explain_case *q = x->q;
	const struct net_client_name *n = &x->name;
	struct access_request r = { .client_name = n->name,
		.client_reverse_name = n->reverse_name,
		.client_name_rc = n->status == NET_NAME_OK     ? RC_OK
				  : n->status == NET_NAME_TEMP ? RC_TEMP
							       : RC_NONE,
		.client_reverse_rc = n->reverse_status == NET_NAME_OK     ? RC_OK
				     : n->reverse_status == NET_NAME_TEMP ? RC_TEMP
									  : RC_NONE,
		.client_addr = str_c(q->client),
		.client_port = STR("0"),
		.protocol = STR("ESMTP"),
		.state = STR("RCPT"),
		.helo = str_c(q->helo != NULL ? q->helo : ""),
		.sender = str_c(q->sender),
		.has_sender = true,
		.recipient = str_c(x->rcpt),
		.is_authenticated = q->login != NULL,
		.wants_trace = true };

	if (q->login != NULL) {
		r.sasl_method = STR("PLAIN");
		r.sasl_username = str_c(q->login);
	}
	return r;
}

static enum rc
run_restrictions(struct explain *x, struct ask *a)
{
	static const enum access_stage stages[EXPLAIN_STAGES] = { ACCESS_CLIENT,
		ACCESS_HELO, ACCESS_SENDER, ACCESS_RECIPIENT };
	struct access_request q = request_of(x);
	struct access_state state = { 0 };

	x->v.n_stages = 0;
	x->v.is_refused = false;
	for (unsigned i = 0; i < EXPLAIN_STAGES; i++) {
		struct access_verdict *v = &x->v.stage[i];
		enum rc rc;

		*v = (struct access_verdict){ 0 };
		rc = access_run(a, decide_access(x->decide), stages[i], &q, &state, v);
		if (rc != RC_OK)
			return rc;
		x->v.n_stages++;
		if (v->what == ACCESS_REJECT) {
			x->v.is_refused = true;
			return RC_OK;
		}
	}
	return RC_OK;
}

static enum rc
in_trouble(struct explain *x, struct ask *a, enum rc rc, const struct err *e)
{
	if (rc == RC_TEMP)
		x->v.trouble = arena_str(a->mem, str_c(e->text));
	return rc;
}

/* Where the message would go. */
static enum rc
run_rewriting(struct explain *x, struct ask *a)
{
	const struct mapping_conf *m = &x->mapping->local;
	struct mapping_rcpt to = { .orcpt = STR(""), .orig = STR("") };
	struct err e = { 0 };
	enum rc rc = mapping_address(
	    a, m, MAPPING_ENVELOPE_SENDER, str_c(x->q->sender), &x->v.sender, &e);

	if (rc == RC_OK)
		rc = mapping_address(
		    a, m, MAPPING_ENVELOPE_RECIPIENT, str_c(x->rcpt), &to.address, &e);
	if (rc == RC_OK)
		rc = mapping_expand(a, m, &to, &x->v.expanded, &e);
	if (rc != RC_OK)
		return in_trouble(x, a, rc, &e);
	x->v.routes = arena_array(a->mem, x->v.expanded.n + 1, sizeof(*x->v.routes));
	for (size_t i = 0; rc == RC_OK && i < x->v.expanded.n; i++)
		rc = x->v.routes == NULL
			 ? err_set(&e, RC_TEMP, "memory limit")
			 : route_resolve(a, decide_route(x->decide), x->v.sender,
			       x->v.expanded.v[i].address, &x->v.routes[i], &e);
	return in_trouble(x, a, rc, &e);
}

static enum rc
decide_rcpt(void *arg, struct ask *a)
{
	struct explain *x = arg;

	for (;;) {
		enum rc rc = run_restrictions(x, a);

		if (rc == RC_OK && !x->v.is_refused)
			rc = run_rewriting(x, a);
		if (rc != RC_MORE || !stand_in(x, a))
			return rc;
	}
}

/* ---- waiting for answers ---- */

static void
on_decided(void *arg, enum rc rc)
{
	struct explain *x = arg;

	print_verdict(x, rc);
	loop_stop(x->loop);
}

static void
explain_rcpt(struct explain *x, const char *rcpt, struct arena *scratch)
{
	enum rc rc;

	x->rcpt = rcpt;
	x->v = (struct verdict){ 0 };
	x->run = (struct decide_run){
		.d = x->decide, .run = decide_rcpt, .done = on_decided, .arg = x
	};
	arena_reset(scratch);
	rc = decide_run_start(&x->run, scratch);
	if (rc == RC_MORE)
		loop_run(x->loop);
	else
		print_verdict(x, rc);
}

/* ---- the client's name ---- */

static void
on_name(void *arg, const struct net_client_name *name)
{
	struct explain *x = arg;

	x->name = *name;
	x->name.name = arena_str(x->c->mem, name->name);
	x->name.reverse_name = arena_str(x->c->mem, name->reverse_name);
	loop_stop(x->loop);
}

static void
find_name(struct explain *x)
{
	struct addr_ip ip;

	if (addr_ip_parse(str_c(x->q->client), &ip) != RC_OK)
		command_fatal(x->c, EX_USAGE, "%s: not an IP address", x->q->client);
	if (x->q->name == NULL) {
		(void)net_client_name_find(x->names, &ip, on_name, x);
		loop_run(x->loop);
		return;
	}
	x->name = (struct net_client_name){ .status = NET_NAME_OK,
		.reverse_status = NET_NAME_OK,
		.name = str_c(x->q->name),
		.reverse_name = str_c(x->q->name) };
	if (str_is(x->name.name, "unknown"))
		x->name.status = x->name.reverse_status = NET_NAME_PERM;
}

/* ---- start ---- */

static void
find_service(struct explain *x)
{
	const struct master_cf *m = &x->c->snapshot->master;

	for (size_t i = 0; i < m->n && x->service == NULL; i++)
		if (str_is(m->v[i].command, "smtpd") &&
		    (x->q->service == NULL || str_is(m->v[i].name, x->q->service)))
			x->service = &m->v[i];
	if (x->service == NULL && x->q->service != NULL)
		command_fatal(x->c, EX_USAGE, "%s: no such smtpd service in %.*s",
		    x->q->service, STR_ARG(x->c->snapshot->master_path));
}

static enum rc
open_all(struct explain *x, struct err *e)
{
	const struct conf_snapshot *s = x->c->snapshot;
	struct decide_request req = { .snapshot = s,
		.service = x->service,
		.log = x->c->log,
		.with_access = true,
		.asks_remote = true };
	struct net_resolver_conf resolver = { 0 };
	struct conf_protocols p;
	struct conf_smtpd conf;
	struct str cleanup;
	enum rc rc = conf_fill_smtpd(s, x->service, x->c->mem, &conf, e);

	if (rc == RC_OK)
		rc = conf_protocols(s, NULL, &p, e);
	if (rc == RC_OK)
		rc = decide_new(&req, &x->decide, e);
	if (rc == RC_OK)
		rc = conf_get(
		    s, x->service, STR("cleanup_service_name"), x->c->mem, &cleanup, e);
	if (rc == RC_OK)
		rc = decide_mapping_load(x->decide, s,
		    master_cf_find(&s->master, cleanup, MASTER_UNIX), x->c->mem,
		    &x->mapping, e);
	if (rc != RC_OK)
		return rc;
	resolver.servers = conf.hikyaku_dns_servers;
	resolver.ipv4 = p.has_ipv4;
	resolver.ipv6 = p.has_ipv6;
	x->is_delayed = conf.smtpd_delay_reject;
	rc = net_resolver_new(x->loop, x->c->log, &resolver, &x->resolver, e);
	if (rc == RC_OK)
		x->names = net_client_names_new(x->resolver, NAME_CACHE_US);
	return rc;
}

int
explain_all(struct command *c, const struct explain_case *q)
{
	struct explain x = { .c = c, .q = q, .loop = loop_new() };
	struct arena *scratch = arena_new((size_t)64 << 20);
	struct err e = { 0 };
	bool refused = false;

	find_service(&x);
	if (open_all(&x, &e) != RC_OK)
		command_fatal(c, EX_CONFIG, "%s", e.text);
	decide_use(
	    x.decide, &(struct decide_sources){ .loop = x.loop, .resolver = x.resolver });
	find_name(&x);
	print_client(&x);
	for (size_t i = 0; i < q->n_rcpts; i++) {
		explain_rcpt(&x, q->rcpts[i], scratch);
		refused = refused || x.v.is_refused;
	}
	arena_free(&scratch);
	net_client_names_free(&x.names);
	net_resolver_free(&x.resolver);
	decide_free(&x.decide);
	loop_free(&x.loop);
	return refused ? 1 : 0;
}
