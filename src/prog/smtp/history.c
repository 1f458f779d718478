/* What our client and a server said to each other. For the postmaster: kept while the
 * class "protocol" of notify_classes asks for it, one message at a time; told when the
 * server refused what no server should. Without that class this costs nothing, and we
 * cannot submit mail. For the log: said at once of servers in debug_peer_list, and of all
 * with -v in master.cf. */
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
#define LIST_MEM       ((size_t)1 << 20) /* of one search in debug_peer_list */

/* ---- start ---- */

static void
on_idle(void *arg)
{
	struct agent *a = arg;

	if (a->is_idle)
		loop_stop(a->loop);
}

static void
on_queue_ready(void *arg)
{
	notices_recheck(((struct agent *)arg)->notices);
}

static void
connect_queue(struct agent *a)
{
	a->submit = submit_new(a->loop, a->log);
	submit_on_ready(a->submit, on_queue_ready, a);
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

static enum rc
load_notices(struct service *s, struct err *e)
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

/* debug_peer_list; usually there is none. */
static enum rc
load_debugged(struct service *s, struct err *e)
{
	const struct conf_smtp *c = &s->conf;
	bool has_parents =
	    route_parent_matches(c->parent_domain_matches_subdomains, "debug_peer_list");
	enum rc rc = RC_OK;

	if (str_trim(c->debug_peer_list).n == 0)
		return RC_OK;
	if (s->decide == NULL)
		rc = decide_new(
		    &(struct decide_request){ .snapshot = s->agent->worker->snapshot,
			.service = s->entry->entry,
			.log = s->entry->log,
			.only_search = true },
		    &s->decide, e);
	if (rc == RC_OK)
		rc = decide_open_list(s->decide, c->debug_peer_list,
		    has_parents ? ROUTE_LIST_PARENTS : ROUTE_LIST_DOMAIN, &s->debugged,
		    e);
	return rc == RC_OK ? rc : err_in(e, rc, "parameter debug_peer_list");
}

enum rc
history_load(struct service *s, struct err *e)
{
	enum rc rc = load_notices(s, e);

	return rc == RC_OK ? load_debugged(s, e) : rc;
}

/* ---- the log ---- */

/* No connection waits for it: tables that are not at hand do not count. */
static bool
is_listed(const struct conn *c)
{
	const struct service *s = c->service;
	struct arena *mem;
	struct str what;
	struct ask a;
	enum rc rc;

	if (s->debugged.n == 0)
		return false;
	mem = arena_new(LIST_MEM);
	decide_begin(s->decide, &a, mem, loop_now_us(s->agent->loop));
	rc = route_list_client(&a, &s->debugged, c->name, c->addr);
	if (rc == RC_MORE || rc == RC_TEMP) {
		what = rc == RC_MORE ? a.wanted.source : ask_trouble(&a, mem);
		log_warn(s->entry->log, "debug_peer_list: %.*s: table lookup problem",
		    STR_ARG(what)); /* compat */
	}
	arena_free(&mem);
	return rc == RC_OK;
}

void
history_open(struct conn *c)
{
	c->is_debugged = log_verbose(c->service->entry->log) > 0 || is_listed(c);
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
	if (c->is_debugged && bytes.n > 0)
		transcript_log(c->service->entry->log, TRANSCRIPT_IN, c->relay, bytes);
	if (c->history != NULL && bytes.n > 0)
		transcript_add(c->history, TRANSCRIPT_IN, bytes);
}

void
history_said(struct conn *c, const struct smtp_cx *fx)
{
	if (c->is_debugged && !fx->is_content)
		transcript_log(
		    c->service->entry->log, TRANSCRIPT_OUT, c->relay, fx->data);
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
