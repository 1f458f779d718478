/* Restrictions of the session's events, and tables that are asked about its commands.
 * Every decision only asks; what it wants done is done when it is over. */
#include "base/arena.h"
#include "conf/list.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "prog/smtpd/smtpd.h"
#include "route/route.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what restrictions are told ---- */

/* The address that the client came to. */
static void
find_server(struct conn *c, struct access_request *q, struct arena *mem)
{
	struct addr_ip addr = { 0 };
	uint16_t port = 0;
	struct net_endpoint ep;
	char text[ADDR_IP_TEXT_MAX];

	if (c->more != NULL && c->more->server.family != ADDR_NONE) {
		addr = c->more->server;
		port = c->more->server_port;
	} else if (net_endpoint_local(c->io.fd, &ep, NULL) == RC_OK) {
		addr = net_endpoint_addr(&ep);
		port = net_endpoint_port(&ep);
	}
	if (addr.family == ADDR_NONE)
		return;
	q->server_addr = arena_str(mem, addr_ip_format(&addr, text));
	q->server_port = arena_printf(mem, "%u", port);
}

/* What only policy services are told. */
static void
fill_policy(struct conn *c, struct access_request *q, struct arena *mem)
{
	struct smtpd *d = c->service->smtpd;

	find_server(c, q, mem);
	if (c->instance == 0)
		c->instance = ++d->n_instances;
	q->instance = arena_printf(mem, "%x.%x.%x", (unsigned)getpid(), d->w->instance,
	    c->instance); /* any text that no other message has */
	q->stress = c->is_stressed ? STR("yes") : c->service->conf.stress;
}

static void
fill_mail(
    const struct conn *c, const struct smtp_server_view *v, struct access_request *q)
{
	if (v->mail == NULL)
		return;
	q->sender = v->mail->address;
	q->has_sender = true;
	q->size = v->content_bytes > 0 ? v->content_bytes : v->mail->size_bytes;
	if (c->message != NULL) {
		q->is_discarding = c->message->discard;
		q->is_held = c->message->hold;
	}
}

static void
fill_login(const struct conn *c, struct access_request *q)
{
	if (c->more == NULL || c->more->login.n == 0)
		return;
	q->is_authenticated = true;
	q->sasl_method = STR("XCLIENT"); /* compat */
	q->sasl_username = c->more->login;
}

static struct access_request
request_of(struct conn *c, const struct smtp_server_view *v, struct arena *mem)
{
	const struct smtp_fx *fx = &c->question->fx;
	struct access_request q = { .client_name = v->client->name,
		.client_reverse_name =
		    c->reverse_name != NULL ? str_c(c->reverse_name) : v->client->name,
		.client_name_rc = (enum rc)c->name_rc,
		.client_reverse_rc = (enum rc)c->reverse_rc,
		.client_addr = v->client->addr,
		.client_port = v->client->port,
		.protocol = v->proto,
		.state = str_is(v->where, "BDAT") ? STR("DATA") : v->where, /* compat */
		.helo = v->helo,
		.is_pipelining = v->is_pipelining,
		.is_smtputf8 = v->is_smtputf8,
		.peer_addr = c->more != NULL ? str_c(c->more->peer) : STR(""),
		.queue_id = c->service->has_filter ? STR("") : v->queue_id,
		.n_rcpt = v->n_rcpt };

	fill_mail(c, v, &q);
	fill_login(c, &q);
	if (c->service->has_policy)
		fill_policy(c, &q, mem);
	if (fx->type == SMTP_FX_CHECK_RCPT)
		q.recipient = fx->rcpt->address;
	else if (fx->type == SMTP_FX_CHECK_VRFY)
		q.recipient = fx->data;
	else if (fx->type == SMTP_FX_CHECK_ETRN)
		q.etrn_domain = fx->data;
	else if ((fx->type == SMTP_FX_CHECK_DATA || fx->type == SMTP_FX_COMMIT) &&
		 c->message != NULL && c->message->n_rcpts == 1)
		q.recipient = c->message->rcpts[0].address; /* compat: DATA and later */
	return q;
}

/* ---- from stage to stage ---- */

/* With smtpd_delay_reject = no each event's list runs when it happens; what one leaves
 * pending the next ones must know. At RCPT the whole chain runs, otherwise. */
static int
slot_of(enum access_stage stage)
{
	return stage == ACCESS_CLIENT   ? 0
	       : stage == ACCESS_HELO   ? 1
	       : stage == ACCESS_SENDER ? 2
					: -1;
}

static struct access_state
state_before(const struct conn *c, enum access_stage first)
{
	struct access_state none = { 0 }, state;
	int slot = slot_of(first);

	if (c->more == NULL || c->service->conf.smtpd_delay_reject ||
	    first == ACCESS_DATA || first == ACCESS_END_OF_DATA || slot == 0)
		return none;
	if (first == ACCESS_ETRN)
		slot = 2;
	state = c->more->after[slot < 0 ? 2 : slot - 1];
	state.unlisted_done = false;
	return state;
}

static void
set_state(struct access_state *to, const struct access_state *from)
{
	char *old = (char *)(uintptr_t)to->defer_if_permit.p, *copy = NULL;

	if (from->defer_if_permit.n > 0) {
		copy = mem_get(from->defer_if_permit.n);
		memcpy(copy, from->defer_if_permit.p, from->defer_if_permit.n);
	}
	*to = *from;
	to->defer_if_permit = (struct str){ copy, from->defer_if_permit.n };
	free(old);
}

static bool
is_empty(const struct access_state *s)
{
	return s->defer_if_permit.n == 0 && !s->is_discarding && !s->is_held;
}

static void
keep_state(struct conn *c)
{
	const struct question *qu = c->question;
	int slot = qu->n_stages == 1 ? slot_of(qu->stages[0]) : -1;

	if (slot < 0 || qu->n_done == 0)
		return;
	if (c->more == NULL && is_empty(&qu->states[0]))
		return;
	/* HELO again, or MAIL again: what came after is void. */
	for (int i = slot; i < 3; i++)
		set_state(&conn_more(c)->after[i], &qu->states[0]);
}

void
checks_free(struct conn_more *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->after); i++)
		set_state(&m->after[i], &(struct access_state){ 0 });
}

/* ---- restrictions ---- */

static enum rc
run_rewrite(struct conn *c, struct ask *a, const struct access_request *q)
{
	struct question *qu = c->question;
	enum rc rc;

	if (!qu->asks_rewrite || c->is_known_local)
		return RC_OK;
	rc = access_rewrites_headers(
	    a, decide_access(c->service->decide), q, &qu->rewrite_notes);
	qu->rewrite = rc;
	return rc == RC_MORE ? rc : RC_OK;
}

/* compat: whether an address is one at all depends on which domains are ours. Trouble
 * with that is for the restrictions to find. */
static enum rc
run_meaning(struct conn *c, struct ask *a)
{
	struct question *qu = c->question;
	struct route r;
	enum rc rc;

	qu->is_no_address = false;
	if (qu->odd.n == 0)
		return RC_OK;
	rc = route_resolve(
	    a, decide_route(c->service->decide), STR(""), qu->odd, &r, NULL);
	qu->is_no_address = rc == RC_OK && r.is_bad;
	return rc == RC_MORE ? rc : RC_OK;
}

/* Runs the stages one after the other, up to the first refusal. Only asks: it runs again
 * when an answer had to be fetched. */
static enum rc
run_stages(void *arg, struct ask *a)
{
	struct conn *c = arg;
	struct question *qu = c->question;
	struct smtp_server_view view = smtp_server_view(c->session);
	struct access_request q = request_of(c, &view, a->mem);
	struct access_state state = { 0 };

	if (qu->n_stages > 0)
		state = state_before(c, qu->stages[0]);
	qu->reply = STR("");
	qu->n_done = 0;
	if (run_meaning(c, a) != RC_OK)
		return RC_MORE;
	if (qu->is_no_address)
		return RC_PERM;
	for (unsigned i = 0; i < qu->n_stages; i++) {
		struct access_verdict v = { 0 };
		enum rc rc = access_run(
		    a, decide_access(c->service->decide), qu->stages[i], &q, &state, &v);

		if (rc != RC_OK)
			return rc;
		qu->states[i] = state;
		qu->verdicts[qu->n_done++] = v;
		/* What this stage wants the next ones must know. */
		q.is_discarding = q.is_discarding || v.fx.discard;
		q.is_held = q.is_held || v.fx.hold;
		if (v.fx.hangup)
			return RC_PERM;
		if (v.what == ACCESS_REJECT) {
			qu->reply = v.reply;
			return RC_PERM;
		}
	}
	return run_rewrite(c, a, &q);
}

static void
log_notes(struct conn *c, const struct access_note *n)
{
	for (; n != NULL; n = n->next) {
		if (n->what == ACCESS_LINE)
			smtp_server_note(c->session, str_c(n->verb), n->text);
		else if (n->what == ACCESS_INFO)
			log_info(c->service->entry->log, "%.*s", STR_ARG(n->text));
		else
			log_warn(c->service->entry->log, "%.*s", STR_ARG(n->text));
	}
}

static void
refused(struct conn *c)
{
	if (c->question->fx.type == SMTP_FX_COMMIT)
		smtp_server_note(c->session, STR("reject"), c->question->reply);
	answer_no(c, c->question->reply);
}

static void
note_rewrite(struct conn *c)
{
	if (!c->question->asks_rewrite || c->is_known_local)
		return;
	c->is_local = c->question->rewrite == RC_OK;
	c->is_known_local = c->question->rewrite != RC_TEMP;
	log_notes(c, c->question->rewrite_notes);
}

/* The stages are over. */
static void
conclude(struct conn *c, enum rc rc)
{
	struct question *qu = c->question;
	bool hangs_up = false, is_full = false;

	for (unsigned i = 0; i < qu->n_done; i++) {
		log_notes(c, qu->verdicts[i].notes);
		is_full = message_apply(c, &qu->verdicts[i].fx) != RC_OK || is_full;
		hangs_up = hangs_up || qu->verdicts[i].fx.hangup;
	}
	if (hangs_up) {
		conn_hang_up(c);
		return;
	}
	if (rc == RC_OK && is_full) { /* a filter, a header or a copy would be missing */
		qu->reply = STR("451 4.3.0 Error: queue file write error");
		rc = RC_TEMP;
	}
	if (qu->is_no_address) {
		conn_answer(c, &(struct smtp_answer){ .rc = rc, .is_no_address = true });
		return;
	}
	if (rc != RC_OK) {
		refused(c);
		return;
	}
	keep_state(c);
	note_rewrite(c);
	if (qu->asks_rewrite && qu->rewrite == RC_TEMP)
		answer_no(c, STR("451 4.3.0 Temporary lookup error")); /* compat */
	else
		qu->permitted(c);
}

void
checks_run(struct conn *c, void (*permitted)(struct conn *c))
{
	struct question *qu = c->question;

	qu->permitted = permitted;
	if (qu->n_stages == 0 && qu->odd.n == 0 &&
	    (!qu->asks_rewrite || c->is_known_local))
		permitted(c);
	else
		conn_decide(c, run_stages, conclude);
}

/* ---- commands ---- */

static enum rc
run_command_filter(void *arg, struct ask *a)
{
	struct conn *c = arg;

	return ask_tables(a, &c->service->lists.command_filter, c->question->fx.data, 0,
	    &c->question->reply);
}

static void
filtered(struct conn *c, enum rc rc)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct question *qu = c->question;
	struct smtp_answer a = { .rc = RC_OK };

	if (rc == RC_OK) {
		a.reply = qu->reply;
		/* compat */
		log_info(c->service->entry->log,
		    "%.*s[%.*s]: replacing command \"%.*s\" with \"%.*s\"",
		    STR_ARG(v.client->name), STR_ARG(v.client->addr),
		    STR_ARG(str_head(qu->fx.data, 100)),
		    STR_ARG(str_head(qu->reply, 100)));
	} else if (rc != RC_NONE) {
		log_warn(c->service->entry->log,
		    "smtpd_command_filter: lookup error for \"%.*s\"",
		    STR_ARG(str_head(qu->fx.data, 100)));
		a.rc = RC_TEMP;
	}
	conn_answer(c, &a);
}

void
checks_filter_command(struct conn *c)
{
	conn_decide(c, run_command_filter, filtered);
}

static enum rc
run_forbidden(void *arg, struct ask *a)
{
	struct conn *c = arg;

	return route_list_domain(a, &c->service->lists.forbidden, c->question->fx.data);
}

static void
was_forbidden(struct conn *c, enum rc rc)
{
	struct smtp_answer a = { .rc = rc == RC_OK     ? RC_PERM
				       : rc == RC_NONE ? RC_OK
						       : RC_TEMP };

	conn_answer(c, &a);
}

void
checks_forbidden_command(struct conn *c)
{
	conn_decide(c, run_forbidden, was_forbidden);
}
