/* What the sides of a session said to each other, for the postmaster: kept while a class
 * of notify_classes may ask for it; told at the end of the session, and before at EHLO,
 * RSET or the end of a message when smtpd_history_flush_threshold lines are there.
 *
 * Kept from the first command on: a client that has only been greeted costs nothing. */
#include "agent/notice.h"
#include "agent/transcript.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>

#define TRANSCRIPT_MAX ((size_t)32 * 1024)
#define BLANKS         " \t\v\f\r" /* between the words of a command */

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
	s->server[0].has_listener = s->server[1].has_listener = n->classes != 0;
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

/* A password in base64 is no news for a mailbox. */
static bool
is_login(struct str line, struct str *out_shown)
{
	struct str rest = line, verb, mechanism = STR("");

	if (!str_token(&rest, BLANKS, &verb) || !str_iis(verb, "AUTH") ||
	    !str_token(&rest, BLANKS, &mechanism) || str_trim(rest).n == 0)
		return false;
	*out_shown = str_head(line, (size_t)(mechanism.p - line.p) + mechanism.n);
	return true;
}

void
history_heard(struct conn *c, struct str line)
{
	char shown[200];
	struct str rest;

	if (!is_login(line, &rest)) {
		transcript_add(get(c), TRANSCRIPT_IN, line);
		return;
	}
	(void)snprintf(shown, sizeof(shown), "%.*s ...", STR_ARG(str_head(rest, 100)));
	transcript_add(get(c), TRANSCRIPT_IN, str_c(shown));
}

void
history_said(struct conn *c, struct str reply)
{
	if (!c->service->server[0].has_listener)
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
	(void)snprintf(peer, sizeof(peer), "%.*s[%.*s]%s%.*s",
	    STR_ARG(str_head(v.client->name, 300)), STR_ARG(v.client->addr),
	    s->server[0].log_port ? ":" : "",
	    STR_ARG(s->server[0].log_port ? v.client->port : STR("")));
	text.peer = str_c(peer);
	notices_send(s->smtpd->notices, s->notices, &text);
	smtp_server_pardon(c->session);
	transcript_free(&c->history);
}

void
history_free(struct conn *c)
{
	transcript_free(&c->history);
}
