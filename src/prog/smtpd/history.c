/* What the sides of a session said to each other. For the postmaster: kept while a class
 * of notify_classes may ask for it; told at the end of the session, and before at EHLO,
 * RSET or the end of a message when smtpd_history_flush_threshold lines are there. For
 * the log: said at once of clients in debug_peer_list, and of all with -v in master.cf.
 *
 * Kept from the first command on: a client that has only been greeted costs nothing. */
#include "agent/notice.h"
#include "agent/transcript.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>

#define TRANSCRIPT_MAX ((size_t)32 * 1024)

enum rc
history_load(struct service *s, const struct ingest_conf_request *req, struct err *e)
{
	const struct conf_smtpd *c = &s->conf;
	struct worker *w = s->smtpd->w;
	struct notice_conf *n = mem_get(sizeof(*n));

	s->notices = n;
	*n = (struct notice_conf){ .classes = notice_classes(c->notify_classes),
		.error_recipient = c->error_notice_recipient,
		.bounce_recipient = c->bounce_notice_recipient,
		.sender = c->double_bounce_sender,
		.mail_name = c->mail_name };
	s->server[0].has_listener = s->server[1].has_listener =
	    n->classes != 0 || s->lists.debugged.n > 0 || log_verbose(s->entry->log) > 0;
	return notice_conf_load(n, req, w->mem, e);
}

/* ---- keeping ---- */

static struct transcript *
get(struct conn *c)
{
	struct service *s = c->service;
	char banner[1000];

	if (c->history != NULL)
		return c->history;
	c->history = transcript_new(TRANSCRIPT_MAX);
	if (c->owes_banner) {
		(void)snprintf(banner, sizeof(banner), "220 %.*s",
		    STR_ARG(s->server[c->is_stressed].banner));
		transcript_add(c->history, TRANSCRIPT_OUT, str_c(banner));
		c->owes_banner = false;
	}
	return c->history;
}

/* "N[A]", with the port when that is logged. */
static struct str
peer_of(const struct conn *c, char room[600])
{
	const struct smtp_server_conf *conf = &c->service->server[0];
	const struct smtp_client_id *id = smtp_server_view(c->session).client;

	(void)snprintf(room, 600, "%.*s[%.*s]%s%.*s", STR_ARG(str_head(id->name, 300)),
	    STR_ARG(id->addr), conf->log_port ? ":" : "",
	    STR_ARG(conf->log_port ? id->port : STR("")));
	return str_c(room);
}

static void
debug(const struct conn *c, enum transcript_side side, struct str lines)
{
	char peer[600];

	transcript_log(c->service->entry->log, side, peer_of(c, peer), lines);
}

void
history_heard(struct conn *c, struct str line)
{
	char shown[TRANSCRIPT_ROOM];

	if (c->is_debugged)
		debug(c, TRANSCRIPT_IN, line);
	if (c->service->notices->classes != 0)
		transcript_add(get(c), TRANSCRIPT_IN, transcript_shown(line, shown));
}

void
history_said(struct conn *c, struct str reply)
{
	if (c->is_debugged)
		debug(c, TRANSCRIPT_OUT, reply);
	if (c->service->notices->classes == 0)
		return;
	if (c->history == NULL && str_starts(reply, STR("220 ")))
		c->owes_banner = true;
	else
		transcript_add(get(c), TRANSCRIPT_OUT, reply);
}

/* ---- telling ---- */

void
history_chapter(struct conn *c, size_t threshold)
{
	struct service *s = c->service;
	struct smtp_server_view v = smtp_server_view(c->session);
	struct notice_text text = { .trouble = v.trouble,
		.who = "SMTP server",
		.may_break_off = true,
		.reason = v.reason,
		.transcript = c->history };
	char peer[600];

	if (c->history == NULL || transcript_lines(c->history) <= threshold)
		return;
	text.peer = peer_of(c, peer);
	notices_send(s->smtpd->notices, s->notices, &text);
	smtp_server_pardon(c->session);
	transcript_free(&c->history);
}

void
history_free(struct conn *c)
{
	transcript_free(&c->history);
}
