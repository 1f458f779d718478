/* The message that a session is taking in: recipients here, content in agent/ingest. */
#include "base/arena.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORCPT_MAX       1000                       /* of a recipient as it was written */
#define MESSAGE_MEM_MAX ((size_t)64 * 1024 * 1024) /* of a whole envelope */

void
message_drop(struct conn *c)
{
	struct message *m = c->message;

	if (m == NULL)
		return;
	ingest_free(&m->ingest);
	filter_free(&m->proxy);
	arena_free(&m->mem);
	free(m->rcpts);
	free(m);
	c->message = NULL;
	c->is_full = false;
}

struct message *
message_get(struct conn *c)
{
	if (c->message == NULL) {
		c->message = mem_get(sizeof(*c->message));
		c->message->mem = arena_new(MESSAGE_MEM_MAX);
	}
	return c->message;
}

enum rc
message_open(struct conn *c, struct err *e)
{
	struct service *s = c->service;

	if (c->message != NULL && c->message->ingest != NULL)
		return RC_OK;
	return ingest_new(
	    s->smtpd->submit, s->smtpd->loop, &s->ingest, &message_get(c)->ingest, e);
}

/* ---- what restrictions want ---- */

/* Room for one more in a list of `n`, which grows when that is a power of two: a client
 * with a thousand recipients gets a thousand of each. NULL: the memory limit. */
static void *
grow(struct message *m, void *list, size_t n, size_t size)
{
	void *more;

	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return list;
	more = arena_array(m->mem, n == 0 ? 4 : 2 * n, size);
	if (more != NULL && n > 0)
		memcpy(more, list, n * size);
	return more;
}

static bool
add_bcc(struct message *m, struct str address)
{
	struct ingest_rcpt *v = grow(m, m->bcc, m->n_bcc, sizeof(*v));

	address = arena_str(m->mem, address);
	if (v == NULL || address.p == NULL)
		return false;
	v[m->n_bcc++] =
	    (struct ingest_rcpt){ .address = address, .notify = SMTP_NOTIFY_NEVER };
	m->bcc = v;
	return true;
}

/* A value of a table may have several lines; those that would be headers of their own
 * become part of the first (compat). */
static struct str
fold(struct str text, struct arena *mem)
{
	char *to = arena_get(mem, 3 * text.n + 1);
	struct str line;
	size_t n = 0;

	while (to != NULL && str_token(&text, "\r\n", &line)) {
		bool is_more = n > 0;

		if (is_more) {
			to[n++] = '\r';
			to[n++] = '\n';
		}
		if (is_more && *line.p != ' ' && *line.p != '\t')
			to[n++] = '\t';
		memcpy(to + n, line.p, line.n);
		n += line.n;
	}
	return (struct str){ to, n };
}

static bool
add_prepend(struct message *m, struct str line)
{
	struct str *v = grow(m, m->prepend, m->n_prepend, sizeof(*v));

	line = fold(line, m->mem);
	if (v == NULL || line.p == NULL)
		return false;
	v[m->n_prepend++] = line;
	m->prepend = v;
	return true;
}

static bool
set_text(struct message *m, struct str *to, struct str text)
{
	struct str copy;

	if (text.n == 0 || str_eq(*to, text))
		return true;
	copy = arena_str(m->mem, text);
	if (copy.p == NULL)
		return false;
	*to = copy;
	return true;
}

enum rc
message_apply(struct conn *c, const struct access_effects *fx)
{
	struct message *m;
	bool ok;

	if (fx->filter.n == 0 && fx->redirect.n == 0 && !fx->hold && !fx->discard &&
	    fx->prepend == NULL && fx->bcc == NULL)
		return RC_OK;
	m = message_get(c);
	m->hold = m->hold || fx->hold;
	m->discard = m->discard || fx->discard;
	ok = set_text(m, &m->filter, fx->filter);
	ok = set_text(m, &m->redirect, fx->redirect) && ok;
	for (const struct access_text *t = fx->prepend; ok && t != NULL; t = t->next)
		ok = add_prepend(m, t->text);
	for (const struct access_text *t = fx->bcc; ok && t != NULL; t = t->next)
		ok = add_bcc(m, t->text);
	return ok ? RC_OK : RC_TEMP;
}

/* ---- recipients ---- */

enum rc
message_add(struct conn *c, const struct smtp_rcpt_args *rcpt, struct err *e)
{
	enum rc rc = message_open(c, e);

	return rc == RC_OK ? message_note(c, rcpt, e) : rc;
}

static bool
has_controls(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return true;
	return false;
}

/* compat: what the recipient is called in reports to come is what the client wrote, when
 * it said no ORCPT. */
static struct str
orcpt_of(const struct conn *c, const struct smtp_rcpt_args *rcpt, struct arena *mem)
{
	struct str s = str_trim(rcpt->written);

	if (str_starts(s, STR("<")) && str_ends(s, STR(">")))
		s = str_head(str_from(s, 1), s.n - 2);
	while (s.n > 0 && ascii_isspace(s.p[s.n - 1]))
		s = str_head(s, s.n - 1);
	/* A filter was told what we read; it must not hear more when it is told again. */
	if (rcpt->orcpt.n > 0 || s.n == 0 || s.n > ORCPT_MAX || c->service->has_filter ||
	    str_eq(s, rcpt->address) || has_controls(s))
		return arena_str(mem, rcpt->orcpt);
	return arena_printf(mem, "rfc822;%.*s", STR_ARG(s));
}

enum rc
message_note(struct conn *c, const struct smtp_rcpt_args *rcpt, struct err *e)
{
	struct message *m = message_get(c);
	struct ingest_rcpt *r;

	if (m->n_rcpts == m->cap) {
		m->cap = m->cap == 0 ? 4 : m->cap * 2;
		m->rcpts = mem_grow(m->rcpts, m->cap, sizeof(*m->rcpts));
	}
	r = &m->rcpts[m->n_rcpts];
	*r = (struct ingest_rcpt){ .address = arena_str(m->mem, rcpt->address),
		.orcpt = orcpt_of(c, rcpt, m->mem),
		.notify = (uint8_t)rcpt->notify };
	if (r->address.p == NULL || r->orcpt.p == NULL)
		return err_set(e, RC_TEMP, "4.3.1 Insufficient system storage");
	m->n_rcpts++;
	return RC_OK;
}

static void
on_room(void *arg)
{
	struct conn *c = arg;

	c->is_full = false;
	if (!c->is_running)
		conn_run(c);
}

/* What XFORWARD said; what it did not say is not known (compat). */
static struct str
forwarded(struct str s)
{
	return s.p != NULL ? s : STR("unknown");
}

static void
fill_forwarded(struct message *m, const struct smtp_client_attrs *x)
{
	m->forwarded = m->client;
	m->forwarded.name = forwarded(x->name);
	m->forwarded.addr = forwarded(x->addr);
	m->forwarded.port = forwarded(x->port);
	m->forwarded.proto = forwarded(x->proto);
	m->forwarded.helo = forwarded(x->helo);
	m->client.forwarded = &m->forwarded;
	/* compat: whose mail it is decides the first server. */
	if (x->source.p != NULL)
		m->client.is_local = str_iis(x->source, "LOCAL");
}

/* RFC 3848: in Received: only. */
static void
name_login(struct message *m)
{
	m->forwarded = m->client;
	m->client.forwarded = &m->forwarded;
	m->client.proto = STR("ESMTPA");
}

void
message_begin(struct conn *c)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct message *m = c->message;
	/* While a table is asked the session may forget the transaction before we do. */
	struct str sender = arena_str(m->mem, v.mail->address);

	if (sender.p == NULL)
		sender = v.mail->address;
	m->client = (struct ingest_client){ .origin = STR("smtpd"),
		.name = v.client->name,
		.addr = v.client->addr,
		.port = v.client->port,
		.proto = v.proto,
		.helo = v.helo,
		.via = c->service->conf.smtpd_hide_client_session ? MIME_VIA_SELF
								  : MIME_VIA_SMTP,
		.is_local = c->is_local,
		.sender = sender,
		.recipient = m->n_rcpts > 0 ? m->rcpts[m->n_rcpts - 1].address : STR(""),
		.prepend = m->prepend,
		.n_prepend = m->n_prepend,
		.is_smtputf8 = v.mail->smtputf8 };
	if (v.xforward != NULL)
		fill_forwarded(m, v.xforward);
	else if (c->more != NULL && c->more->login.n > 0 && str_is(v.proto, "ESMTP"))
		name_login(m);
	if (v.mail->has_auth && v.mail->auth.n == 0)
		log_warn(c->service->ingest.cleanup_log, /* compat */
		    "%.*s: spurious null attribute value for \"sasl_sender\" -- "
		    "ignored",
		    STR_ARG(v.queue_id));
	ingest_on_room(m->ingest, on_room, c);
	ingest_begin(
	    m->ingest, &m->client, m->n_rcpts == 1 ? m->rcpts[0].address : STR(""));
	m->is_begun = true;
	ingest_envelope(
	    m->ingest, &(struct ingest_envelope){
			   .sender = sender, .rcpts = m->rcpts, .n_rcpts = m->n_rcpts });
}

void
message_store(struct conn *c, struct str piece)
{
	struct err e;

	if (c->message->proxy != NULL) {
		filter_store(c, piece);
		return;
	}

	/* A failure is sticky: the commit will tell it. */
	if (ingest_content(c->message->ingest, piece, &e) == RC_MORE)
		c->is_full = true;
}

static void
on_committed(void *arg, enum rc rc, struct str text)
{
	struct conn *c = arg;
	struct smtp_answer a = { .rc = rc };
	char reply[INGEST_REPLY_MAX];

	if (rc != RC_OK)
		a.reply = ingest_reply(text, reply);
	c->message->is_committing = false;
	conn_answer(c, &a);
	message_drop(c);
	conn_run(c);
}

void
message_commit(struct conn *c)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct message *m = c->message;
	struct ingest_envelope env = { .sender = v.mail->address,
		.envid = v.mail->envid,
		.ret = (uint8_t)v.mail->ret,
		.body_8bit = v.mail->body == SMTP_BODY_8BITMIME,
		.body_7bit = v.mail->body == SMTP_BODY_7BIT,
		.hold = m->hold,
		.discard = m->discard,
		.smtputf8 = v.mail->smtputf8,
		.filter = m->filter.n > 0 ? m->filter : c->service->conf.content_filter,
		.redirect = m->redirect,
		.verp = v.mail->verp,
		.bcc = m->bcc,
		.n_bcc = m->n_bcc,
		.rcpts = m->rcpts,
		.n_rcpts = m->n_rcpts };

	assert(m->is_begun);
	conn_question_close(c); /* what waits now is the message */
	m->is_committing = true;
	ingest_commit(m->ingest, &env, on_committed, c);
}
