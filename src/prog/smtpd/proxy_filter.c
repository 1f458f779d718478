/* smtpd_proxy_filter: the message goes to a content filter while the client waits; what
 * the filter says is what the client hears. One connection for each message, made for its
 * first recipient. What is said to the filter is src/smtp/filter_client's.
 *
 * A filter that does not work is our own trouble: 451, never a message that passes
 * unfiltered. */
#include "addr/address.h"
#include "agent/log_address.h"
#include "base/arena.h"
#include "log/log.h"
#include "os/clock.h"
#include "prog/smtpd/filter_int.h"
#include "smtp/orcpt.h"
#include <stdio.h>

#define LINE_MEM ((size_t)64 * 1024) /* of one line to the filter, or of our header */

/* ---- answers to the client ---- */

/* All lines but the last go out at once; that one is returned for the session. */
static struct str
last_line(struct conn *c, struct str reply)
{
	size_t at = str_rfind(reply, '\n');

	if (at >= reply.n)
		return reply;
	history_said(c, str_head(reply, at + 1));
	output_add(c, str_head(reply, at + 1));
	return str_from(reply, at + 1);
}

static void
pass_refusal(struct conn *c, int code, struct str reply)
{
	struct smtp_answer a = { .log_quiet = true };

	if (code / 100 != 4 && code / 100 != 5)
		reply = STR(FILTER_TROUBLE);
	a.reply = last_line(c, reply);
	a.rc = a.reply.p[0] == '4' ? RC_TEMP : RC_PERM;
	conn_answer(c, &a);
}

void
filter_log_refusal(
    struct filter *f, const char *command, struct str what, struct str reply)
{
	log_warn(f->c->service->entry->log, "proxy %.*s rejected \"%s%.*s\": \"%.*s\"",
	    STR_ARG(filter_name(f)), command, STR_ARG(what),
	    STR_ARG(str_head(reply, 500)));
}

/* ---- RCPT ---- */

struct str
filter_mail_line(struct conn *c, struct arena *mem)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	const struct smtp_mail_args *m = v.mail;
	char size[40] = "";

	if (m->size_bytes > 0)
		(void)snprintf(
		    size, sizeof(size), " SIZE=%lld", (long long)m->size_bytes);
	return arena_printf(mem, "MAIL FROM:<%.*s>%s%s%s%s%.*s%s", STR_ARG(m->address),
	    size,
	    m->body == SMTP_BODY_8BITMIME ? " BODY=8BITMIME"
	    : m->body == SMTP_BODY_7BIT   ? " BODY=7BIT"
					  : "",
	    m->ret == SMTP_RET_FULL   ? " RET=FULL"
	    : m->ret == SMTP_RET_HDRS ? " RET=HDRS"
				      : "",
	    m->envid.n > 0 ? " ENVID=" : "",
	    STR_ARG(m->envid.n > 0 ? addr_xtext_encode(m->envid, mem) : STR("")),
	    m->smtputf8 ? " SMTPUTF8" : "");
}

struct str
filter_rcpt_line(const struct smtp_rcpt_args *r, struct arena *mem)
{
	static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	static const unsigned bits[] = { SMTP_NOTIFY_NEVER, SMTP_NOTIFY_SUCCESS,
		SMTP_NOTIFY_FAILURE, SMTP_NOTIFY_DELAY };
	struct str line, orcpt = smtp_orcpt_encode(r->orcpt, mem);

	line = arena_printf(mem, "RCPT TO:<%.*s>", STR_ARG(r->address));
	for (size_t i = 0, n = 0; i < ARRAY_LEN(bits); i++)
		if ((r->notify & bits[i]) != 0)
			line = arena_printf(mem, "%.*s%s%s", STR_ARG(line),
			    n++ == 0 ? " NOTIFY=" : ",", names[i]);
	if (orcpt.p != NULL)
		line =
		    arena_printf(mem, "%.*s ORCPT=%.*s", STR_ARG(line), STR_ARG(orcpt));
	return line;
}

static void
rcpt_replied(struct filter *f, int code, struct str reply)
{
	struct conn *c = f->c;
	struct smtp_answer a = { .rc = RC_OK, .queue_id = STR("NOQUEUE") };
	struct err e = { 0 };

	if (code / 100 == 2 && message_note(c, c->question->fx.rcpt, &e) == RC_OK) {
		conn_answer(c, &a);
		return;
	}
	if (code != 0) {
		/* Refused recipients must not use up the transaction's memory. */
		struct arena *mem = arena_new(LINE_MEM);

		filter_log_refusal(
		    f, "", filter_rcpt_line(c->question->fx.rcpt, mem), reply);
		arena_free(&mem);
	}
	pass_refusal(c, code, reply);
}

static void
send_rcpt(struct filter *f)
{
	struct arena *mem = arena_new(LINE_MEM);

	filter_ask(f, filter_rcpt_line(f->c->question->fx.rcpt, mem), rcpt_replied);
	arena_free(&mem);
}

static void
mail_replied(struct filter *f, int code, struct str reply)
{
	struct conn *c = f->c;

	if (code / 100 == 2) {
		send_rcpt(f);
		return;
	}
	if (code != 0)
		filter_log_refusal(f, "", filter_mail_line(c, f->mem), reply);
	pass_refusal(c, code, reply);
	/* compat: the next recipient tries again, with a filter that knows nothing. */
	filter_free(&c->message->proxy);
}

/* Whom we accept the filter hears of when all is there. */
static void
note_rcpt(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_OK, .queue_id = STR("NOQUEUE") };
	struct err e = { 0 };

	if (message_note(c, c->question->fx.rcpt, &e) == RC_OK)
		conn_answer(c, &a);
	else
		pass_refusal(c, 451, STR(FILTER_TROUBLE));
}

void
filter_rcpt(struct conn *c)
{
	struct message *m = message_get(c);

	if (c->service->adjusts_speed) {
		note_rcpt(c);
		return;
	}
	/* compat: one that broke stays so for the whole transaction. */
	if (m->proxy != NULL) {
		send_rcpt(m->proxy);
		return;
	}
	filter_connect(filter_new(c));
	filter_ask(m->proxy, filter_mail_line(c, m->proxy->mem), mail_replied);
}

/* ---- DATA ---- */

static void
put(struct filter *f, struct str s)
{
	if (f->replay != NULL)
		replay_store(f, s);
	else
		smtp_filter_content(f->session, s);
}

/* Header lines of ours above the client's; no Received: when we only stand between two
 * filters (compat). */
static void
send_header(struct filter *f)
{
	struct conn *c = f->c;
	const struct message *m = c->message;
	struct smtp_server_view v = smtp_server_view(c->session);
	const struct conf_smtpd *conf = &c->service->conf;
	bool is_v6 = str_find(v.client->addr, ':') < v.client->addr.n;
	char date[MIME_DATE_MAX];
	struct str when = ingest_date(os_clock_wall_us(), date), text;
	struct arena *mem;

	for (size_t i = 0; i < m->n_prepend; i++) {
		put(f, m->prepend[i]);
		put(f, STR("\r\n"));
	}
	if (v.xforward != NULL)
		return;
	mem = arena_new(LINE_MEM);
	text = arena_printf(mem,
	    "Received: from %.*s (%.*s [%s%.*s])\r\n\tby %.*s (%.*s) with %.*s",
	    STR_ARG(v.helo.n > 0 ? v.helo : v.client->name), STR_ARG(v.client->name),
	    is_v6 ? "IPv6:" : "", STR_ARG(v.client->addr), STR_ARG(conf->myhostname),
	    STR_ARG(conf->mail_name), STR_ARG(v.proto));
	if (m->n_rcpts == 1)
		text = arena_printf(mem, "%.*s\r\n\tfor <%.*s>; %.*s\r\n", STR_ARG(text),
		    STR_ARG(m->rcpts[0].address), STR_ARG(when));
	else
		text = arena_printf(
		    mem, "%.*s;\r\n\t%.*s\r\n", STR_ARG(text), STR_ARG(when));
	put(f, text);
	arena_free(&mem);
}

static void
data_replied(struct filter *f, int code, struct str reply)
{
	struct conn *c = f->c;

	if (code != 354) {
		if (code != 0)
			filter_log_refusal(f, "DATA", STR(""), reply);
		pass_refusal(c, code, reply);
		return;
	}
	c->message->is_begun = true;
	send_header(f);
	answer_yes(c);
	filter_pump(f);
}

void
filter_data(struct conn *c)
{
	struct filter *f;

	if (c->service->adjusts_speed) {
		f = filter_new(c);
		replay_open(f);
		c->message->is_begun = true;
		send_header(f);
		answer_yes(c);
		return;
	}
	filter_ask(c->message->proxy, STR("DATA"), data_replied);
}

void
filter_store(struct conn *c, struct str piece)
{
	struct filter *f = c->message->proxy;

	if (f->replay != NULL) {
		replay_store(f, piece);
		return;
	}
	if (f->is_broken)
		return; /* it is told at the end */
	smtp_filter_content(f->session, piece);
	filter_pump(f);
	if (!f->is_broken && f->out.n > FILTER_OUT_SLOW)
		c->is_full = true;
}

/* compat: the line, with what cannot be printed as "?". */
static void
log_verdict(struct filter *f, bool is_accepted, struct str reply)
{
	struct conn *c = f->c;
	struct smtp_server_view v = smtp_server_view(c->session);
	struct log *log = c->service->entry->log;
	char text[1000];
	size_t n = 0;

	for (; n < reply.n && n < sizeof(text); n++)
		text[n] = (unsigned char)reply.p[n] < ' ' || reply.p[n] == 0x7f
			      ? '?'
			      : reply.p[n];
	log_begin(log, LOG_LEVEL_INFO);
	log_putf(log, "proxy-%s: %.*s: %.*s; ", is_accepted ? "accept" : "reject",
	    STR_ARG(v.where), (int)n, text);
	log_put_address(log, "from=<", v.mail->address);
	log_put_address(log, "> to=<", c->message->rcpts[0].address);
	log_putf(log, "> proto=%.*s helo=<%.*s>", STR_ARG(v.proto), STR_ARG(v.helo));
	log_end(log);
}

void
filter_end(struct filter *f, int code, struct str reply)
{
	struct conn *c = f->c;
	struct smtp_answer a = { .rc = RC_OK, .log_quiet = true };
	bool ok = code / 100 == 2;

	c->message->is_begun = false;
	log_verdict(f, ok, reply);
	if (ok) {
		a.reply = last_line(c, reply);
		conn_answer(c, &a);
	} else {
		pass_refusal(c, code, reply);
	}
	message_drop(c);
}

void
filter_commit(struct conn *c)
{
	struct filter *f = c->message->proxy;

	if (f->replay != NULL)
		replay_start(f);
	else
		filter_ask_end(f, filter_end);
}
