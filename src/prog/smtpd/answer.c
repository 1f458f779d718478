/* The session's questions. All but COMMIT are answered at once: tables answer from
 * memory. MAIL waits while there is no queue. */
#include "agent/submit.h"
#include "base/arena.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <string.h>

#define QUEUE_PATIENCE_US (20 * US_PER_SEC)
#define RECHECK_US        (US_PER_SEC / 2)

static const struct smtp_answer yes = { .rc = RC_OK };

static void
refuse(struct conn *c, struct str reply)
{
	struct smtp_answer a = { .reply = reply };

	a.rc = reply.n > 0 && reply.p[0] == '4' ? RC_TEMP : RC_PERM;
	conn_answer(c, &a);
}

/* ---- restrictions ---- */

struct stages {
	enum access_stage v[4];
	unsigned n;
};

static struct access_request
request_of(
    const struct conn *c, const struct smtp_server_view *v, const struct smtp_fx *fx)
{
	struct access_request q = { .client_name = v->client->name,
		.client_reverse_name =
		    c->reverse_name != NULL ? str_c(c->reverse_name) : v->client->name,
		.client_addr = v->client->addr,
		.client_port = v->client->port,
		.helo = v->helo,
		.n_rcpt = v->n_rcpt };

	if (v->mail != NULL) {
		q.sender = v->mail->address;
		q.has_sender = true;
	}
	if (fx->type == SMTP_FX_CHECK_RCPT)
		q.recipient = fx->rcpt->address;
	else if (fx->type == SMTP_FX_CHECK_VRFY)
		q.recipient = fx->data;
	return q;
}

static void
log_notes(struct conn *c, const struct access_note *n)
{
	for (; n != NULL; n = n->next) {
		if (n->what == ACCESS_WARNING)
			log_warn(c->service->entry->log, "%.*s", STR_ARG(n->text));
		else
			smtp_server_note(c->session, STR("reject_warning"), n->text);
	}
}

/* Runs the stages one after the other. False: refused, *out_reply says how. */
static bool
permitted(struct conn *c, const struct smtp_fx *fx, const struct stages *stages,
    struct str *out_reply)
{
	struct smtpd *d = c->service->smtpd;
	struct smtp_server_view view = smtp_server_view(c->session);
	struct access_request q = request_of(c, &view, fx);
	struct access_state state = { 0 };
	struct ask ask;

	arena_reset(d->scratch);
	ask_init(&ask, d->scratch, 0);
	decide_begin(c->service->decide, &ask, d->scratch, loop_now_us(d->loop));
	for (unsigned i = 0; i < stages->n; i++) {
		struct access_verdict v = { 0 };

		if (access_run(&ask, decide_access(c->service->decide), stages->v[i], &q,
			&state, &v) != RC_OK) {
			/* No table of today keeps one waiting. */
			log_warn(
			    c->service->entry->log, "a table did not answer at once");
			*out_reply =
			    STR("451 4.3.5 Server configuration error"); /* compat */
			return false;
		}
		log_notes(c, v.notes);
		if (v.what == ACCESS_REJECT) {
			*out_reply = v.reply;
			return false;
		}
	}
	return true;
}

/* Restrictions of events before RCPT wait for it with smtpd_delay_reject, so that the log
 * shows whom a refused client wanted to reach. */
static void
early_stage(struct conn *c, const struct smtp_fx *fx, enum access_stage stage)
{
	struct stages one = { { stage }, 1 };
	struct str reply;

	if (c->service->conf.smtpd_delay_reject || permitted(c, fx, &one, &reply))
		conn_answer(c, &yes);
	else
		refuse(c, reply);
}

/* While queue is being started MAIL waits for it, but not for ever: a client that is told
 * 451 now would come back in half an hour. */
static bool
wait_for_queue(struct conn *c)
{
	struct smtpd *d = c->service->smtpd;
	int64_t now = loop_now_us(d->loop);

	if (c->patience_us == 0)
		c->patience_us = now + QUEUE_PATIENCE_US;
	if (now >= c->patience_us || d->is_draining)
		return false;
	list_add_tail(&d->waiting, &c->waiting);
	loop_timer_set(d->loop, &d->recheck, now + RECHECK_US);
	return true;
}

static void
check_mail(struct conn *c, const struct smtp_fx *fx)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct err e = { 0 };
	enum rc rc =
	    submit_can_store(c->service->smtpd->submit, (uint64_t)v.mail->size_bytes, &e);

	if (rc == RC_MORE && wait_for_queue(c))
		return;
	c->patience_us = 0;
	arena_reset(c->service->smtpd->scratch);
	if (rc != RC_OK)
		refuse(c, arena_printf(c->service->smtpd->scratch, "%u %s",
			      ingest_reply_code(str_c(e.text)), e.text)); /* compat */
	else
		early_stage(c, fx, ACCESS_SENDER);
}

void
answer_waiting(struct smtpd *d)
{
	static const struct smtp_fx mail = { .type = SMTP_FX_CHECK_MAIL };
	struct list now;

	/* Into a list of their own: who has to wait on is added to the other one. */
	list_init(&now);
	while (!list_is_empty(&d->waiting)) {
		struct list *node = list_first(&d->waiting);

		list_remove(node);
		list_add_tail(&now, node);
	}
	while (!list_is_empty(&now)) {
		struct conn *c = CONTAINER_OF(list_first(&now), struct conn, waiting);

		list_remove(&c->waiting);
		check_mail(c, &mail);
		if (list_is_empty(&c->waiting))
			conn_run(c);
	}
}

static const struct stages rcpt_stages = {
	{ ACCESS_CLIENT, ACCESS_HELO, ACCESS_SENDER, ACCESS_RECIPIENT }, 4
};
static const struct stages vrfy_stages = {
	{ ACCESS_CLIENT, ACCESS_HELO, ACCESS_RECIPIENT }, 3
};

static void
check_rcpt(struct conn *c, const struct smtp_fx *fx)
{
	struct smtp_answer a = yes;
	struct err e = { 0 };
	struct str reply;

	if (!permitted(c, fx, &rcpt_stages, &reply)) {
		refuse(c, reply);
		return;
	}
	if (message_add(c, fx->rcpt, &e) != RC_OK) {
		refuse(c, arena_printf(c->service->smtpd->scratch, "%u %s",
			      ingest_reply_code(str_c(e.text)), e.text));
		return;
	}
	a.queue_id = ingest_qid(c->message->ingest);
	conn_answer(c, &a);
}

static void
check_vrfy(struct conn *c, const struct smtp_fx *fx)
{
	struct str reply;

	if (permitted(c, fx, &vrfy_stages, &reply))
		conn_answer(c, &yes);
	else
		refuse(c, reply);
}

static void
check_data(struct conn *c, const struct smtp_fx *fx)
{
	static const struct stages data = { { ACCESS_DATA }, 1 };
	struct str reply;

	if (!permitted(c, fx, &data, &reply)) {
		refuse(c, reply);
		return;
	}
	message_begin(c);
	conn_answer(c, &yes);
}

static void
commit(struct conn *c, const struct smtp_fx *fx)
{
	static const struct stages end = { { ACCESS_END_OF_DATA }, 1 };
	struct str reply;

	if (permitted(c, fx, &end, &reply))
		message_commit(c);
	else {
		smtp_server_note(c->session, STR("reject"), reply);
		refuse(c, reply);
	}
}

void
answer_question(struct conn *c, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_CHECK_CLIENT:
		early_stage(c, fx, ACCESS_CLIENT);
		break;
	case SMTP_FX_CHECK_HELO:
		early_stage(c, fx, ACCESS_HELO);
		break;
	case SMTP_FX_CHECK_MAIL:
		check_mail(c, fx);
		break;
	case SMTP_FX_CHECK_RCPT:
		check_rcpt(c, fx);
		break;
	case SMTP_FX_CHECK_DATA:
		check_data(c, fx);
		break;
	case SMTP_FX_CHECK_VRFY:
		check_vrfy(c, fx);
		break;
	case SMTP_FX_COMMIT:
		commit(c, fx);
		break;
	case SMTP_FX_SEND:
	case SMTP_FX_LOG:
	case SMTP_FX_STORE:
	case SMTP_FX_ABORT:
	case SMTP_FX_CLOSE:
		break;
	}
}
