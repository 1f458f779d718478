/* The session's questions: which restrictions belong to them, and what happens when those
 * permit. Local tables are answered from memory, so most questions are answered at once.
 * Those to remote tables wait for `lookup`, COMMIT for the disk, MAIL for queue. */
#include "agent/submit.h"
#include "base/arena.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>
#include <string.h>

#define QUEUE_PATIENCE_US (20 * US_PER_SEC)
#define RECHECK_US        (US_PER_SEC / 2)

void
answer_no(struct conn *c, struct str reply)
{
	struct smtp_answer a = { .reply = reply };

	a.rc = reply.n > 0 && reply.p[0] == '4' ? RC_TEMP : RC_PERM;
	conn_answer(c, &a);
}

void
answer_yes(struct conn *c)
{
	static const struct smtp_answer yes = { .rc = RC_OK };

	conn_answer(c, &yes);
}

/* Our own trouble, in the words of ingest. */
static void
answer_trouble(struct conn *c, const struct err *e)
{
	char reply[INGEST_REPLY_MAX];

	answer_no(c, ingest_reply(str_c(e->text), reply));
}

/* Most lists are empty. The sender's and the recipient's have checks behind them. */
static void
add_stage(struct conn *c, enum access_stage stage)
{
	if (stage != ACCESS_SENDER && stage != ACCESS_RECIPIENT &&
	    decide_access(c->service->decide)->list[stage].n == 0)
		return;
	c->question->stages[c->question->n_stages++] = stage;
}

/* Restrictions of events before RCPT wait for it with smtpd_delay_reject, so that the log
 * shows whom a refused client wanted to reach. */
static void
add_early(struct conn *c, enum access_stage stage)
{
	if (!c->service->conf.smtpd_delay_reject)
		add_stage(c, stage);
}

static void
add_delayed(struct conn *c, enum access_stage stage)
{
	if (c->service->conf.smtpd_delay_reject)
		add_stage(c, stage);
}

/* ---- CONNECT, HELO ---- */

static void
check_client_lists(struct conn *c)
{
	add_early(c, ACCESS_CLIENT);
	checks_run(c, answer_yes);
}

static void
check_client(struct conn *c)
{
	char reply[300];
	struct smtp_answer a = { .rc = RC_TEMP, .log_quiet = true };

	if (!c->is_refused) {
		limits_check(c, RATES_CONNECT, check_client_lists);
		return;
	}
	(void)snprintf(reply, sizeof(reply), "421 4.3.0 %.*s Server local error",
	    STR_ARG(c->service->conf.myhostname)); /* compat */
	a.reply = str_c(reply);
	conn_answer(c, &a);
}

static void
check_helo(struct conn *c)
{
	add_early(c, ACCESS_HELO);
	checks_run(c, answer_yes);
}

/* ---- MAIL ---- */

static void
mail_permitted(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_OK };
	struct err e = { 0 };

	if (c->service->conf.smtpd_delay_open_until_valid_rcpt ||
	    c->service->has_filter) {
		answer_yes(c);
		return;
	}
	if (message_open(c, &e) != RC_OK) {
		answer_trouble(c, &e);
		return;
	}
	a.queue_id = ingest_qid(c->message->ingest);
	conn_answer(c, &a);
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
check_mail(struct conn *c)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct err e = { 0 };
	enum rc rc =
	    submit_can_store(c->service->smtpd->submit, (uint64_t)v.mail->size_bytes, &e);

	if (rc == RC_MORE && wait_for_queue(c))
		return;
	c->patience_us = 0;
	if (rc != RC_OK) {
		answer_trouble(c, &e);
		return;
	}
	if (v.mail->written.n > 0)
		c->question->odd = v.mail->address;
	add_early(c, ACCESS_SENDER);
	c->question->asks_rewrite = true;
	checks_run(c, mail_permitted);
}

static void
begin_mail(struct conn *c)
{
	/* What a transaction wanted in which nobody was accepted. */
	message_drop(c);
	c->instance = 0;
	limits_check(c, RATES_MAIL, check_mail);
}

void
answer_waiting(struct smtpd *d)
{
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
		check_mail(c);
		if (list_is_empty(&c->waiting))
			conn_run(c);
	}
}

/* ---- RCPT, VRFY ---- */

static void
rcpt_permitted(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_OK };
	struct err e = { 0 };

	if (c->service->has_filter) {
		filter_rcpt(c);
		return;
	}
	if (message_add(c, c->question->fx.rcpt, &e) != RC_OK) {
		answer_trouble(c, &e);
		return;
	}
	a.queue_id = ingest_qid(c->message->ingest);
	conn_answer(c, &a);
}

static void
look_at_recipient(struct conn *c)
{
	if (c->question->fx.rcpt->written.n > 0)
		c->question->odd = c->question->fx.rcpt->address;
}

static void
check_rcpt(struct conn *c)
{
	look_at_recipient(c);
	/* compat: everybody must be able to write to him. */
	if (!str_iis(c->question->fx.rcpt->address, "postmaster")) {
		add_delayed(c, ACCESS_CLIENT);
		add_delayed(c, ACCESS_HELO);
		add_delayed(c, ACCESS_SENDER);
		add_stage(c, ACCESS_RECIPIENT);
	}
	checks_run(c, rcpt_permitted);
}

static void
check_vrfy(struct conn *c)
{
	look_at_recipient(c);
	add_delayed(c, ACCESS_CLIENT);
	add_delayed(c, ACCESS_HELO);
	add_stage(c, ACCESS_RECIPIENT);
	checks_run(c, answer_yes);
}

/* ---- ETRN ---- */

/* compat: the replies have no enhanced codes. */
static void
on_flushed(void *arg, enum rc rc)
{
	struct conn *c = arg;
	struct smtp_server_view v = smtp_server_view(c->session);
	struct smtp_answer a = { .rc = RC_OK, .log_quiet = true };
	char reply[600];

	c->flushing = 0;
	if (rc == RC_NONE) {
		log_warn(c->service->entry->log, "reject: ETRN %.*s... from %.*s[%.*s]",
		    STR_ARG(str_head(c->question->fx.data, 100)), STR_ARG(v.client->name),
		    STR_ARG(v.client->addr));
		(void)snprintf(reply, sizeof(reply), "459 <%.*s>: service unavailable",
		    STR_ARG(str_head(c->question->fx.data, 500)));
		a.rc = RC_TEMP;
		a.reply = str_c(reply);
	} else if (rc != RC_OK) {
		a.rc = RC_TEMP;
		a.reply = STR("458 Unable to queue messages");
	}
	conn_answer(c, &a);
	conn_run(c);
}

static void
flush_site(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_TEMP,
		.log_quiet = true,
		.reply = STR("458 Unable to queue messages") };

	c->flushing = submit_flush_site(
	    c->service->smtpd->submit, c->question->fx.data, on_flushed, c);
	if (c->flushing == 0)
		conn_answer(c, &a);
}

static void
check_etrn(struct conn *c)
{
	add_delayed(c, ACCESS_CLIENT);
	add_delayed(c, ACCESS_HELO);
	add_stage(c, ACCESS_ETRN);
	checks_run(c, flush_site);
}

/* ---- DATA ---- */

static void
begin_data(struct conn *c)
{
	if (c->service->has_filter) {
		filter_data(c);
		return;
	}
	message_begin(c);
	answer_yes(c);
}

static void
check_data(struct conn *c)
{
	add_stage(c, ACCESS_DATA);
	checks_run(c, begin_data);
}

static void
check_end(struct conn *c)
{
	add_stage(c, ACCESS_END_OF_DATA);
	checks_run(c, c->service->has_filter ? filter_commit : message_commit);
}

/* ---- all of them ---- */

void
answer_question(struct conn *c, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_CHECK_CLIENT:
		check_client(c);
		break;
	case SMTP_FX_CHECK_HELO:
		check_helo(c);
		break;
	case SMTP_FX_CHECK_MAIL:
		begin_mail(c);
		break;
	case SMTP_FX_CHECK_RCPT:
		limits_check(c, RATES_RCPT, check_rcpt);
		break;
	case SMTP_FX_CHECK_DATA:
		check_data(c);
		break;
	case SMTP_FX_CHECK_VRFY:
		limits_check(c, RATES_RCPT, check_vrfy);
		break;
	case SMTP_FX_CHECK_ETRN:
		check_etrn(c);
		break;
	case SMTP_FX_XCLIENT:
		client_change(c);
		break;
	case SMTP_FX_FILTER_COMMAND:
		checks_filter_command(c);
		break;
	case SMTP_FX_CHECK_COMMAND:
		checks_forbidden_command(c);
		break;
	case SMTP_FX_COMMIT:
		check_end(c);
		break;
	case SMTP_FX_SEND:
	case SMTP_FX_LOG:
	case SMTP_FX_STORE:
	case SMTP_FX_ABORT:
	case SMTP_FX_HEARD:
	case SMTP_FX_CHAPTER:
	case SMTP_FX_CLOSE:
		break;
	}
}
