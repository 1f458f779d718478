/* The session's questions. Local tables are answered from memory, so most questions are
 * answered at once. Those to remote tables wait for `lookup`, COMMIT for the disk, MAIL
 * for queue. */
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

struct access_stages {
	enum access_stage v[CONN_STAGES_MAX];
	unsigned n;
};

static struct access_request
request_of(const struct conn *c, const struct smtp_server_view *v)
{
	const struct question *qu = &c->question;
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
	if (qu->fx.type == SMTP_FX_CHECK_RCPT)
		q.recipient = qu->fx.rcpt->address;
	else if (qu->fx.type == SMTP_FX_CHECK_VRFY)
		q.recipient = qu->fx.data;
	return q;
}

/* Runs the stages one after the other, up to the first refusal. Only asks: it runs again
 * when an answer had to be fetched. */
static enum rc
run_stages(void *arg, struct ask *a)
{
	struct conn *c = arg;
	struct question *qu = &c->question;
	struct smtp_server_view view = smtp_server_view(c->session);
	struct access_request q = request_of(c, &view);
	struct access_state state = { 0 };

	qu->reply = STR("");
	qu->n_notes = 0;
	for (unsigned i = 0; i < qu->stages->n; i++) {
		struct access_verdict v = { 0 };
		enum rc rc = access_run(a, decide_access(c->service->decide),
		    qu->stages->v[i], &q, &state, &v);

		if (rc != RC_OK)
			return rc;
		qu->notes[qu->n_notes++] = v.notes;
		if (v.what == ACCESS_REJECT) {
			qu->reply = v.reply;
			return RC_PERM;
		}
	}
	return RC_OK;
}

static void
log_notes(struct conn *c, const struct access_note *n)
{
	for (; n != NULL; n = n->next) {
		if (n->what == ACCESS_WARNING)
			log_warn(c->service->entry->log, "%.*s", STR_ARG(n->text));
		else
			smtp_server_note(c->session, str_c(n->verb), n->text);
	}
}

static void
refused(struct conn *c)
{
	if (c->question.fx.type == SMTP_FX_COMMIT)
		smtp_server_note(c->session, STR("reject"), c->question.reply);
	refuse(c, c->question.reply);
}

/* The stages are over. */
static void
conclude(struct conn *c, enum rc rc)
{
	struct question *qu = &c->question;

	for (unsigned i = 0; i < qu->n_notes; i++)
		log_notes(c, qu->notes[i]);
	if (rc == RC_OK)
		qu->permitted(c, &qu->fx);
	else
		refused(c);
}

static void
on_decided(void *arg, enum rc rc)
{
	struct conn *c = arg;

	conclude(c, rc);
	/* A message that is being stored goes on when it is. */
	conn_run(c);
}

/* Runs the stages, now or later; then answers, or does what is to be done when they
 * permit. The session holds still meanwhile, and what it gave us stays as it is. */
static void
check(struct conn *c, const struct smtp_fx *fx, const struct access_stages *stages,
    void (*permitted)(struct conn *c, const struct smtp_fx *fx))
{
	struct smtpd *d = c->service->smtpd;
	enum rc rc;

	c->question =
	    (struct question){ .fx = *fx, .stages = stages, .permitted = permitted };
	c->decision = (struct decide_run){
		.d = c->service->decide, .run = run_stages, .done = on_decided, .arg = c
	};
	arena_reset(d->scratch);
	rc = decide_run_start(&c->decision, d->scratch);
	if (rc != RC_MORE)
		conclude(c, rc);
}

static void
say_yes(struct conn *c, const struct smtp_fx *fx)
{
	(void)fx;
	conn_answer(c, &yes);
}

/* Restrictions of events before RCPT wait for it with smtpd_delay_reject, so that the log
 * shows whom a refused client wanted to reach. */
static void
early_stage(struct conn *c, const struct smtp_fx *fx, const struct access_stages *stages)
{
	if (c->service->conf.smtpd_delay_reject)
		conn_answer(c, &yes);
	else
		check(c, fx, stages, say_yes);
}

static const struct access_stages client_stages = { { ACCESS_CLIENT }, 1 };
static const struct access_stages helo_stages = { { ACCESS_HELO }, 1 };
static const struct access_stages mail_stages = { { ACCESS_SENDER }, 1 };
static const struct access_stages rcpt_stages = {
	{ ACCESS_CLIENT, ACCESS_HELO, ACCESS_SENDER, ACCESS_RECIPIENT }, 4
};
static const struct access_stages vrfy_stages = {
	{ ACCESS_CLIENT, ACCESS_HELO, ACCESS_RECIPIENT }, 3
};
static const struct access_stages data_stages = { { ACCESS_DATA }, 1 };
static const struct access_stages end_stages = { { ACCESS_END_OF_DATA }, 1 };

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
		early_stage(c, fx, &mail_stages);
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

static void
add_rcpt(struct conn *c, const struct smtp_fx *fx)
{
	struct smtp_answer a = yes;
	struct err e = { 0 };

	if (message_add(c, fx->rcpt, &e) != RC_OK) {
		arena_reset(c->service->smtpd->scratch);
		refuse(c, arena_printf(c->service->smtpd->scratch, "%u %s",
			      ingest_reply_code(str_c(e.text)), e.text));
		return;
	}
	a.queue_id = ingest_qid(c->message->ingest);
	conn_answer(c, &a);
}

static void
begin_data(struct conn *c, const struct smtp_fx *fx)
{
	(void)fx;
	message_begin(c);
	conn_answer(c, &yes);
}

static void
commit(struct conn *c, const struct smtp_fx *fx)
{
	(void)fx;
	message_commit(c);
}

void
answer_question(struct conn *c, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_CHECK_CLIENT:
		early_stage(c, fx, &client_stages);
		break;
	case SMTP_FX_CHECK_HELO:
		early_stage(c, fx, &helo_stages);
		break;
	case SMTP_FX_CHECK_MAIL:
		check_mail(c, fx);
		break;
	case SMTP_FX_CHECK_RCPT:
		check(c, fx, &rcpt_stages, add_rcpt);
		break;
	case SMTP_FX_CHECK_DATA:
		check(c, fx, &data_stages, begin_data);
		break;
	case SMTP_FX_CHECK_VRFY:
		check(c, fx, &vrfy_stages, say_yes);
		break;
	case SMTP_FX_COMMIT:
		check(c, fx, &end_stages, commit);
		break;
	case SMTP_FX_CHECK_ETRN:
		refuse(c, STR("458 4.0.0 Unable to queue messages"));
		break;
	case SMTP_FX_XCLIENT: /* nobody has the right to it yet */
	case SMTP_FX_FILTER_COMMAND:
	case SMTP_FX_CHECK_COMMAND:
		refuse(c, STR("550 5.7.0 Error: insufficient authorization"));
		break;
	case SMTP_FX_SEND:
	case SMTP_FX_LOG:
	case SMTP_FX_STORE:
	case SMTP_FX_ABORT:
	case SMTP_FX_CLOSE:
		break;
	}
}
