/* What our client and a server said to each other, for the postmaster: kept while the
 * class "protocol" of notify_classes asks for it, one message at a time; told when the
 * server refused what no server should. Without that class this costs nothing, and we
 * cannot submit mail. */
#include "agent/notice.h"
#include "agent/decide.h"
#include "agent/submit.h"
#include "agent/transcript.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "log/log.h"
#include "prog/smtp/agent.h"
#include <stdio.h>

#define TRANSCRIPT_MAX ((size_t)32 * 1024)

/* ---- start ---- */

static void
on_idle(void *arg)
{
	struct agent *a = arg;

	if (a->is_idle)
		loop_stop(a->loop);
}

static void
connect_queue(struct agent *a)
{
	a->submit = submit_new(a->loop, a->log);
	submit_on_lost(a->submit, worker_need_queue, a->worker);
	a->notices = notices_new(&(struct notices_request){
	    .submit = a->submit, .loop = a->loop, .idle = on_idle, .arg = a });
}

/* What its mail needs on its way in: tables, and who answers for those that wait. */
static enum rc
load_way_in(struct service *s, struct err *e)
{
	struct agent *a = s->agent;
	struct worker *w = a->worker;
	struct ingest_conf_request req = {
		.snapshot = w->snapshot, .service = s->entry->entry, .log = s->entry->log
	};
	enum rc rc = decide_new(&(struct decide_request){ .snapshot = w->snapshot,
				    .service = s->entry->entry,
				    .log = s->entry->log },
	    &s->decide, e);

	if (rc != RC_OK)
		return rc;
	decide_use(s->decide,
	    &(struct decide_sources){ .loop = a->loop, .lookup = worker_lookup(w) });
	req.decide = s->decide;
	return notice_conf_load(s->notices, &req, w->mem, e);
}

enum rc
history_load(struct service *s, struct err *e)
{
	const struct conf_smtp *c = &s->conf;

	s->notices = mem_get(sizeof(*s->notices));
	*s->notices = (struct notice_conf){ .classes = notice_classes(c->notify_classes) &
						       SMTP_TROUBLE_PROTOCOL,
		.error_recipient = c->error_notice_recipient,
		.bounce_recipient = c->error_notice_recipient,
		.sender = c->double_bounce_sender,
		.mail_name = c->mail_name };
	if (s->notices->classes == 0)
		return RC_OK;
	if (s->agent->submit == NULL)
		connect_queue(s->agent);
	return load_way_in(s, e);
}

/* ---- one message ---- */

void
history_begin(struct conn *c, const struct job *j)
{
	const struct notice_conf *n = c->service->notices;

	transcript_free(&c->history);
	/* compat: notices and bounces never cause another. */
	if (n->classes != 0 && j->dj->m->sender.n > 0 &&
	    !notice_is_from(n, j->dj->m->sender))
		c->history = transcript_new(TRANSCRIPT_MAX);
}

void
history_heard(struct conn *c, struct str bytes)
{
	if (c->history != NULL && bytes.n > 0)
		transcript_add(c->history, TRANSCRIPT_IN, bytes);
}

void
history_said(struct conn *c, const struct smtp_cx *fx)
{
	if (c->history != NULL && !fx->is_content)
		transcript_add(c->history, TRANSCRIPT_OUT, fx->data);
}

void
history_end(struct conn *c)
{
	struct notice_text text = { .trouble = SMTP_TROUBLE_PROTOCOL,
		.who = "SMTP client",
		.peer = c->relay,
		.transcript = c->history };
	char intro[600];

	if (c->history != NULL && c->session != NULL &&
	    smtp_client_has_trouble(c->session)) {
		(void)snprintf(intro, sizeof(intro), "Unexpected response from %.*s.",
		    STR_ARG(c->relay)); /* compat */
		text.intro = intro;
		notices_send(c->service->agent->notices, c->service->notices, &text);
	}
	transcript_free(&c->history);
}
