/* The server session's life: effects, questions and answers, time. */
#include "smtp/server_int.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX     ((size_t)64 * 1024) /* of all effects that wait */
#define TX_LIMIT     ((size_t)16 * 1024) /* addresses of one transaction */
#define SCRATCH_SIZE ((size_t)16 * 1024) /* one command */
#define REPLY_MAX    ((size_t)2048)      /* RFC 5321 4.5.3.1.5 asks for 512 */

/* ---- effects ---- */

static struct srv_fx *
new_fx(struct smtp_server *s, enum smtp_fx_type type)
{
	assert(s->fx_put < FX_MAX);
	s->fx[s->fx_put] = (struct srv_fx){ .type = type };
	return &s->fx[s->fx_put++];
}

void
srv_emit(struct smtp_server *s, enum smtp_fx_type type, struct str data)
{
	struct srv_fx *fx = new_fx(s, type);
	char *room = buf_room(&s->text, data.n + 1);

	assert(room != NULL);
	if (data.n > 0)
		memcpy(room, data.p, data.n);
	fx->at = s->text.n;
	fx->view.n = data.n;
	buf_added(&s->text, data.n);
}

void
srv_emit_view(struct smtp_server *s, enum smtp_fx_type type, struct str data)
{
	new_fx(s, type)->view = data;
}

void
srv_ask(struct smtp_server *s, enum smtp_fx_type question, struct str about)
{
	assert(!s->waiting);
	s->asked = question;
	s->waiting = true;
	srv_emit(s, question, about);
}

void
srv_soften(char *reply, size_t n)
{
	if (n > 0 && reply[0] == '5')
		reply[0] = '4';
	if (n > 5 && reply[4] == '5' && reply[5] == '.')
		reply[4] = '4';
}

/* Clients that make many mistakes wait for every reply. */
static void
hold_replies(struct smtp_server *s)
{
	if (s->is_holding || s->error_count < s->conf->soft_error_limit ||
	    s->conf->error_sleep_us <= 0)
		return;
	s->is_holding = true;
	s->hold_at = s->fx_put;
	s->hold_until_us = s->now_us + s->conf->error_sleep_us;
}

void
srv_send(struct smtp_server *s, struct str lines)
{
	hold_replies(s);
	srv_emit(s, SMTP_FX_SEND, lines);
}

void
srv_reply(struct smtp_server *s, struct str line)
{
	char text[REPLY_MAX + 2];

	line = str_head(line, REPLY_MAX);
	memcpy(text, line.p, line.n);
	/* A reply built from a client's words must stay one line. */
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
	memcpy(text + line.n, "\r\n", 2);
	if (s->conf->soft_bounce)
		srv_soften(text, line.n);
	srv_send(s, (struct str){ text, line.n + 2 });
}

void
srv_replyf(struct smtp_server *s, const char *fmt, ...)
{
	char text[REPLY_MAX + 1];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert(n >= 0);
	srv_reply(s, str_head((struct str){ text, (size_t)n }, sizeof(text) - 1));
}

/* Effects that were asked for and are not worth carrying out any more. */
static void
drop_effects(struct smtp_server *s)
{
	s->fx_get = s->fx_put = 0;
	s->is_holding = false;
	buf_reset(&s->text);
}

void
srv_chapter(struct smtp_server *s)
{
	if (s->conf->has_listener)
		srv_emit(s, SMTP_FX_CHAPTER, STR(""));
}

void
srv_close(struct smtp_server *s)
{
	srv_reset(s, true);
	srv_log_disconnect(s);
	srv_emit(s, SMTP_FX_CLOSE, STR(""));
	s->state = SRV_CLOSED;
	s->waiting = false;
}

/* The client is gone, or too slow: the session ends in the middle of whatever it does. */
static void
break_off(struct smtp_server *s, const char *what)
{
	drop_effects(s);
	s->reason = what;
	srv_log_after(s, what);
	if (s->state == SRV_DATA)
		s->n_all[VERB_DATA]++; /* compat: a DATA that failed */
	if (s->state == SRV_BDAT)
		s->n_all[VERB_BDAT]++;
}

/* What has to be said once everything before it is said. True: there are new effects. */
static bool
last_words(struct smtp_server *s)
{
	if (s->state != SRV_COMMAND || s->waiting)
		return false;
	if (s->error_count >= s->conf->hard_error_limit) {
		s->reason = "too many errors"; /* compat */
		srv_log_after(s, s->reason);
		srv_replyf(s, "421 4.7.0 %.*s Error: too many errors", /* compat */
		    STR_ARG(s->conf->hostname));
	} else if (s->draining && !s->tx.has_mail) {
		srv_replyf(s, "421 4.3.2 %.*s Error: service is shutting down",
		    STR_ARG(s->conf->hostname));
	} else
		return false;
	srv_close(s);
	return true;
}

bool
smtp_server_next(struct smtp_server *s, struct smtp_fx *out)
{
	const struct srv_fx *fx;

	if (s->fx_get == s->fx_put) {
		s->fx_get = s->fx_put = 0;
		buf_reset(&s->text);
		if (!last_words(s))
			return false;
	}
	if (s->is_holding && s->fx_get >= s->hold_at)
		return false;
	fx = &s->fx[s->fx_get++];
	*out = (struct smtp_fx){ .type = fx->type, .level = fx->level, .data = fx->view };
	if (fx->view.p == NULL)
		out->data.p = buf_view(&s->text).p + fx->at;
	if (fx->type == SMTP_FX_CHECK_RCPT || fx->type == SMTP_FX_CHECK_VRFY)
		out->rcpt = &s->tx.rcpt;
	return true;
}

enum smtp_newline
srv_newline(const struct smtp_server *s)
{
	return s->rights.may_bare_lf ? SMTP_NEWLINE_NO : s->conf->newline;
}

/* ---- transactions and commands ---- */

void
srv_reset(struct smtp_server *s, bool abort)
{
	if (abort && s->tx.queue_id.n > 0)
		srv_emit(s, SMTP_FX_ABORT, STR(""));
	if (s->mem != NULL)
		arena_reset(s->mem);
	s->tx = (struct srv_tx){ 0 };
	s->bdat = BDAT_NONE;
	srv_forward_free(&s->forward);
}

void
srv_request_start(struct smtp_server *s)
{
	s->deadline_us = s->now_us + s->conf->timeout_us;
}

void
srv_done(struct smtp_server *s, bool ok)
{
	s->n_all[s->verb]++;
	if (ok)
		s->n_ok[s->verb]++;
	else
		s->error_count++;
	s->tx.has_rcpt = s->is_smtputf8 = false;
	s->xclient = NULL;
	if (s->scratch != NULL)
		arena_reset(s->scratch);
	srv_request_start(s);
}

/* ---- who the client is ---- */

static size_t
client_size(const struct smtp_client_id *c)
{
	return c->name.n + c->addr.n + c->port.n + 4;
}

/* "name[addr]:port" in `p` holds all three. */
static void
place_client(struct smtp_server *s, const struct smtp_client_id *c, char *p)
{
	size_t n = client_size(c);

	(void)snprintf(p, n, "%.*s[%.*s]:%.*s", STR_ARG(c->name), STR_ARG(c->addr),
	    STR_ARG(c->port));
	s->namaddr = str_head(
	    (struct str){ p, n - 1 }, s->conf->log_port ? n : c->name.n + c->addr.n + 2);
	s->client = (struct smtp_client_id){ .name = { p, c->name.n },
		.addr = { p + c->name.n + 1, c->addr.n },
		.port = { p + n - 1 - c->port.n, c->port.n } };
}

void
srv_set_client(
    struct smtp_server *s, const struct smtp_client_id *client, struct str login)
{
	struct smtp_client_id from = *client;
	size_t n = client_size(&from);
	char *text = mem_get(n + login.n + 1), *old = s->client_text;

	if (login.n > 0)
		memcpy(text + n, login.p, login.n);
	place_client(s, &from, text);
	s->client_text = text;
	s->login = (struct str){ text + n, login.n };
	free(old);
}

void
srv_restart(struct smtp_server *s)
{
	s->denied = s->early = false;
	s->state = SRV_CONNECT;
	srv_ask(s, SMTP_FX_CHECK_CLIENT, STR(""));
}

/* ---- pushes ---- */

struct smtp_server *
smtp_server_new(const struct smtp_server_conf *conf, const struct smtp_client_id *client,
    const struct smtp_client_rights *rights, int64_t now_us)
{
	struct smtp_server *s = mem_get(sizeof(*s) + client_size(client));

	s->conf = conf;
	place_client(s, client, (char *)(s + 1));
	s->rights = *rights;
	s->where = "CONNECT";
	s->now_us = now_us;
	buf_init(&s->text, TEXT_MAX);
	buf_init(&s->helo_text, conf->line_limit + 1);
	srv_request_start(s);
	srv_logf(s, SMTP_LOG_INFO, "connect from %.*s", STR_ARG(s->namaddr));
	srv_ask(s, SMTP_FX_CHECK_CLIENT, STR(""));
	return s;
}

void
smtp_server_free(struct smtp_server **sp)
{
	struct smtp_server *s = *sp;

	if (s == NULL)
		return;
	arena_free(&s->mem);
	arena_free(&s->scratch);
	buf_fini(&s->text);
	buf_fini(&s->helo_text);
	srv_forward_free(&s->forward);
	free(s->client_text);
	free(s);
	*sp = NULL;
}

/* New bytes keep the session alive; with a deadline for a whole request, they only
 * lengthen it as far as min_data_rate makes up for them. */
static void
note_activity(struct smtp_server *s, size_t n_new)
{
	int64_t full = s->now_us + s->conf->timeout_us, more;

	if (n_new == 0)
		return;
	if (!s->conf->per_request_deadline) {
		s->deadline_us = full;
		return;
	}
	if ((s->state != SRV_DATA && s->state != SRV_BDAT) || s->conf->min_data_rate <= 0)
		return;
	more = (int64_t)(n_new > 1u << 30 ? 1u << 30 : n_new) * US_PER_SEC /
	       s->conf->min_data_rate;
	s->deadline_us = s->deadline_us + more < full ? s->deadline_us + more : full;
}

size_t
smtp_server_recv(struct smtp_server *s, int64_t now_us, struct str in)
{
	size_t used;

	if (s->waiting || s->fx_get < s->fx_put || s->state == SRV_CLOSED ||
	    s->state == SRV_CONNECT)
		return 0;
	s->now_us = now_us;
	s->fx_get = s->fx_put = 0;
	buf_reset(&s->text);
	if (in.n > s->offered)
		note_activity(s, in.n - s->offered);
	s->offered = in.n;
	if (in.n == 0)
		return 0;
	if (s->scratch == NULL) {
		s->scratch = arena_new(SCRATCH_SIZE);
		s->mem = arena_new(TX_LIMIT);
	}
	used = s->state == SRV_DATA   ? srv_data_recv(s, in)
	       : s->state == SRV_BDAT ? srv_bdat_recv(s, in)
				      : srv_command_recv(s, in);
	assert(used <= in.n);
	s->offered = in.n - used;
	return used;
}

size_t
smtp_server_need(const struct smtp_server *s)
{
	return s->conf->line_limit + 2;
}

static bool
hangs_up(struct str reply)
{
	return str_starts(reply, STR("421")) || str_starts(reply, STR("521"));
}

void
srv_local_trouble(struct smtp_server *s)
{
	char text[600];

	(void)snprintf(text, sizeof(text),
	    "421 4.3.0 %.*s Server local data error", /* compat */
	    STR_ARG(str_head(s->conf->hostname, 400)));
	srv_logf(s, SMTP_LOG_INFO, "%.*s: reject: %s from %.*s: %s",
	    STR_ARG(s->tx.queue_id.n > 0 ? s->tx.queue_id : STR("NOQUEUE")), s->where,
	    STR_ARG(s->namaddr), text);
	s->trouble |= SMTP_TROUBLE_DATA;
	srv_reply(s, str_c(text));
	srv_close(s);
}

static void
answer_client(struct smtp_server *s, const struct smtp_answer *a)
{
	struct str no =
	    a->reply.n > 0 ? a->reply : STR("450 4.3.2 Service currently unavailable");

	s->state = SRV_COMMAND;
	if (s->early && s->conf->forbid_unauth_pipelining) {
		srv_reply(s,
		    STR("554 5.5.0 Error: SMTP protocol synchronization")); /* compat */
		srv_close(s);
		return;
	}
	if (a->rc == RC_OK) {
		srv_replyf(s, "220 %.*s", STR_ARG(s->conf->banner));
		return;
	}
	if (!a->log_quiet)
		srv_log_what(s, a->log_verb.n > 0 ? a->log_verb : STR("reject"), no);
	s->trouble |= smtp_trouble_of(SMTP_FX_CHECK_CLIENT, no);
	srv_reply(s, no);
	s->denied = true;
	if (hangs_up(no))
		srv_close(s);
}

void
smtp_server_answer(struct smtp_server *s, int64_t now_us, const struct smtp_answer *a)
{
	assert(s->waiting);
	s->waiting = false;
	s->now_us = now_us;
	srv_request_start(s);
	if (a->hangs_up) {
		if (s->asked == SMTP_FX_CHECK_HELO)
			s->helo = buf_view(&s->helo_text);
		if (s->asked != SMTP_FX_CHECK_CLIENT)
			srv_done(s, false);
		srv_close(s);
		return;
	}
	if (s->asked == SMTP_FX_CHECK_CLIENT)
		answer_client(s, a);
	else if (s->asked == SMTP_FX_COMMIT)
		srv_answer_commit(s, a);
	else if (s->asked == SMTP_FX_FILTER_COMMAND)
		srv_answer_filter(s, a);
	else if (s->asked == SMTP_FX_CHECK_COMMAND)
		srv_answer_forbidden(s, a);
	else
		srv_answer_command(s, a);
	if (s->state != SRV_CLOSED && a->rc != RC_OK && hangs_up(a->reply))
		srv_close(s);
}

void
smtp_server_note(struct smtp_server *s, struct str verb, struct str text)
{
	if (str_is(verb, "reject_warning"))
		s->trouble |= smtp_trouble_of(s->asked, text);
	/* Whoever has that much to say about one question says the first things. */
	if (s->fx_put < FX_MAX - 8)
		srv_log_what(s, verb, text);
}

void
smtp_server_early(struct smtp_server *s, struct str in)
{
	assert(s->state == SRV_CONNECT);
	if (in.n == 0 || s->early)
		return;
	s->early = true;
	srv_log_pipelining(s, "CONNECT", in);
}

void
smtp_server_pardon(struct smtp_server *s)
{
	s->trouble = 0;
}

void
smtp_server_lost(struct smtp_server *s, int64_t now_us)
{
	s->is_holding = false;
	if (s->state == SRV_CLOSED)
		return;
	s->now_us = now_us;
	break_off(s, "lost connection");
	srv_close(s);
}

void
smtp_server_drain(struct smtp_server *s, int64_t now_us)
{
	s->now_us = now_us;
	s->draining = true;
}

int64_t
smtp_server_deadline(const struct smtp_server *s)
{
	if (s->is_holding)
		return s->hold_until_us;
	return s->waiting || s->state == SRV_CLOSED ? INT64_MAX : s->deadline_us;
}

void
smtp_server_tick(struct smtp_server *s, int64_t now_us)
{
	s->now_us = now_us;
	if (s->is_holding) {
		if (now_us >= s->hold_until_us) {
			s->is_holding = false;
			srv_request_start(s);
		}
		return;
	}
	if (s->waiting || s->state == SRV_CLOSED || now_us < s->deadline_us)
		return;
	break_off(s, "timeout");
	srv_replyf(s, "421 4.4.2 %.*s Error: timeout exceeded", /* compat */
	    STR_ARG(s->conf->hostname));
	srv_close(s);
}

/* ---- looking in ---- */

struct smtp_server_view
smtp_server_view(const struct smtp_server *s)
{
	return (struct smtp_server_view){
		.client = &s->client,
		.helo = s->helo,
		.proto = s->esmtp ? STR("ESMTP") : STR("SMTP"),
		.queue_id = s->tx.queue_id,
		.mail = s->tx.has_mail ? &s->tx.mail : NULL,
		.n_rcpt = s->tx.n_rcpt,
		.content_bytes = s->tx.size,
		.in_data = s->state == SRV_DATA ||
			   (s->state == SRV_BDAT && !s->chunk.is_dropped),
		.is_bdat = s->bdat == BDAT_OK,
		.is_pipelining = s->ill_pipelining,
		.is_smtputf8 = s->tx.mail.smtputf8 || s->is_smtputf8,
		.where = strcmp(s->where, "BDAT") == 0 ? STR("DATA") : str_c(s->where),
		.xforward = srv_forwarded(s),
		.xclient = s->xclient,
		.trouble = s->trouble,
		.reason = s->reason,
	};
}

bool
smtp_server_is_asking(const struct smtp_server *s)
{
	return s->waiting;
}

bool
smtp_server_has_quit(const struct smtp_server *s)
{
	return s->has_quit;
}
