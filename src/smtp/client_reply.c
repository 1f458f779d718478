/* What a server's reply means, and what is sent next. Texts of outcomes are Postfix's
 * (compat: all literals here). */
#include "smtp/client_int.h"
#include "smtp/reply.h"
#include <assert.h>
#include <string.h>

enum { REPLY_LINES_MAX = 1000 };

static const struct {
	const char *name;
	unsigned bit;
} cap_names[] = { { "PIPELINING", SMTP_CAP_PIPELINING }, { "SIZE", SMTP_CAP_SIZE },
	{ "8BITMIME", SMTP_CAP_8BITMIME }, { "ENHANCEDSTATUSCODES", SMTP_CAP_STATUS },
	{ "DSN", SMTP_CAP_DSN }, { "STARTTLS", SMTP_CAP_STARTTLS },
	{ "AUTH", SMTP_CAP_AUTH }, { "SMTPUTF8", SMTP_CAP_SMTPUTF8 },
	{ "CHUNKING", SMTP_CAP_CHUNKING } };

static unsigned
cap_bit(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(cap_names); i++)
		if (str_iis(name, cap_names[i].name))
			return cap_names[i].bit;
	return 0;
}

unsigned
smtp_cap_bits(struct str names)
{
	unsigned bits = 0;
	struct str word;

	while (str_token(&names, " \t\r\n,", &word))
		bits |= cap_bit(word);
	return bits;
}

/* ---- outcomes ---- */

/* The reply that is complete now, as text: its lines with blanks between. */
static struct str
reply_text(const struct smtp_client *c)
{
	return buf_view(&c->reply);
}

static struct str
reply_dsn(struct smtp_client *c)
{
	char digit = (char)('0' + c->code / 100);
	struct str s = smtp_reply_dsn(str_from(reply_text(c), 4), digit);

	if (s.n > 0)
		return cl_textf(c, "%.*s", STR_ARG(s));
	if (digit != '2' && digit != '4' && digit != '5')
		return STR("5.5.0");
	return cl_textf(c, "%c.0.0", digit);
}

/* We, or the server, did not understand the protocol. */
static void
note_trouble(struct smtp_client *c)
{
	if (c->code < 400 || c->code == 555 || (c->code >= 500 && c->code < 510))
		c->has_trouble = true;
}

static struct smtp_client_outcome
refusal(struct smtp_client *c, const char *command)
{
	struct smtp_client_outcome o = { .rc = c->code / 100 == 4 ? RC_TEMP : RC_PERM,
		.dsn = reply_dsn(c),
		.mta = c->name };
	const char *oddity = "";

	note_trouble(c);
	/* A success code where something else was asked for. */
	if (o.dsn.p[0] == '2') {
		o.dsn = STR("5.5.0");
		oddity = "Protocol error: ";
	}
	o.diag = cl_textf(c, "%.*s", STR_ARG(reply_text(c)));
	o.text = cl_textf(c, "%shost %.*s said: %.*s (in reply to %s command)", oddity,
	    STR_ARG(c->namaddr), STR_ARG(reply_text(c)), command);
	return o;
}

/* Greeting, EHLO or HELO refused. */
static void
refused_to_talk(struct smtp_client *c, bool soften)
{
	struct smtp_client_outcome o = { .rc = c->code / 100 == 5 && !soften ? RC_PERM
									     : RC_TEMP,
		.dsn = reply_dsn(c),
		.mta = c->name };

	note_trouble(c);
	if (o.rc == RC_TEMP && o.dsn.p[0] != '4')
		o.dsn = cl_textf(c, "4%.*s", STR_ARG(str_from(o.dsn, 1)));
	o.diag = cl_textf(c, "%.*s", STR_ARG(reply_text(c)));
	o.text = cl_textf(c, "host %.*s refused to talk to me: %.*s", STR_ARG(c->namaddr),
	    STR_ARG(reply_text(c)));
	cl_fail_session(c, &o);
}

static void
accept_outcome(struct smtp_client *c, struct smtp_client_outcome *o)
{
	*o = (struct smtp_client_outcome){ .rc = RC_OK,
		.dsn = reply_dsn(c),
		.text = cl_textf(c, "%.*s", STR_ARG(reply_text(c))),
		.is_relayed = (c->caps & SMTP_CAP_DSN) == 0 };
	o->diag = o->text;
	o->mta = c->name;
}

/* ---- replies to the envelope ---- */

static void
mail_reply(struct smtp_client *c)
{
	struct smtp_client_outcome o;

	if (c->code / 100 == 2)
		return;
	c->mail_failed = true;
	o = refusal(c, "MAIL FROM");
	cl_outcome(c, CL_UNDECIDED, &o);
}

static void
rcpt_reply(struct smtp_client *c, uint32_t index)
{
	struct smtp_client_outcome o;
	struct cl_fx *fx;

	if (c->mail_failed)
		return;
	if (c->code / 100 == 2) {
		c->rcpt_state[index] = RCPT_ACCEPTED;
		c->n_accepted++;
		if (!c->job->is_probe || c->job->asks_data)
			return;
		accept_outcome(c, &o);
	} else {
		o = refusal(c, "RCPT TO");
	}
	fx = cl_emit(c, SMTP_CX_OUTCOME, STR(""));
	fx->outcome = o;
	fx->index = index;
	c->rcpt_state[index] = RCPT_DECIDED;
}

/* The content is awaited now, and none will come: only closing leads out of here. */
static void
probe_end(struct smtp_client *c)
{
	struct smtp_client_outcome o;

	accept_outcome(c, &o);
	o.dsn = STR("2.0.0"); /* compat */
	if (c->n_accepted > 0)
		cl_outcome(c, CL_UNDECIDED, &o);
	c->is_dying = true;
	cl_done(c);
}

static void
data_reply(struct smtp_client *c)
{
	struct smtp_client_outcome o;

	if (c->job->is_probe && c->code / 100 == 3) {
		probe_end(c);
		return;
	}
	if (c->code / 100 == 3 && c->n_accepted > 0) {
		cl_data_start(c);
		return;
	}
	if (c->code / 100 == 3) {
		/* DATA was pipelined behind recipients that were all refused: the server
		 * wants a message, and gets an empty one for nobody. RFC 2920 3.1. */
		c->is_empty_end = true;
		cl_lone_dot(c);
		return;
	}
	if (c->n_accepted > 0) {
		o = refusal(c, "DATA");
		cl_outcome(c, CL_UNDECIDED, &o);
	}
	cl_give_up_transaction(c);
}

static void
envelope_reply(struct smtp_client *c)
{
	uint32_t at = c->n_got++;

	c->deadline_us = c->now_us + cl_step_timeout(c, c->n_got);
	switch (cl_step_of(c, at)) {
	case STEP_RSET:
		break;
	case STEP_MAIL:
		mail_reply(c);
		break;
	case STEP_RCPT:
		rcpt_reply(c, at - cl_first_rcpt(c));
		break;
	case STEP_DATA:
		data_reply(c);
		return;
	case STEP_ABORT:
		cl_done(c);
		return;
	}
	cl_send_steps(c);
}

/* ---- the end of the content ---- */

/* LMTP: one reply for each recipient that was accepted, in their order. RFC 2033 4.2. */
static void
lmtp_dot_reply(struct smtp_client *c)
{
	struct smtp_client_outcome o;
	struct cl_fx *fx;

	while (c->dot_at < c->job->n_rcpt && c->rcpt_state[c->dot_at] != RCPT_ACCEPTED)
		c->dot_at++;
	assert(c->dot_at < c->job->n_rcpt);
	if (c->code / 100 == 2)
		accept_outcome(c, &o);
	else
		o = refusal(c, "end of DATA");
	fx = cl_emit(c, SMTP_CX_OUTCOME, STR(""));
	fx->outcome = o;
	fx->index = c->dot_at;
	c->rcpt_state[c->dot_at++] = RCPT_DECIDED;
	if (--c->n_accepted == 0)
		cl_done(c);
	else
		cl_expect(c, CL_DOT, c->conf->data_done_us);
}

static void
dot_reply(struct smtp_client *c)
{
	struct smtp_client_outcome o;

	if (c->is_empty_end) {
		cl_done(c);
		return;
	}
	if (c->conf->is_lmtp) {
		lmtp_dot_reply(c);
		return;
	}
	if (c->code / 100 == 2)
		accept_outcome(c, &o);
	else
		o = refusal(c, "end of DATA");
	cl_outcome(c, CL_UNDECIDED, &o);
	cl_done(c);
}

/* ---- the beginning ---- */

static void
say_ehlo(struct smtp_client *c)
{
	cl_sendf(c, "%s %.*s\r\n", c->conf->is_lmtp ? "LHLO" : "EHLO",
	    STR_ARG(c->conf->helo_name));
	cl_expect(c, CL_EHLO, c->conf->helo_us);
}

static void
say_helo(struct smtp_client *c)
{
	c->caps = 0;
	cl_sendf(c, "HELO %.*s\r\n", STR_ARG(c->conf->helo_name));
	cl_expect(c, CL_HELO, c->conf->helo_us);
}

static void
greeting(struct smtp_client *c)
{
	bool esmtp = false;
	struct str text = str_from(reply_text(c), 4), word;

	if (c->code / 100 != 2) {
		refused_to_talk(c, c->conf->skip_5xx_greeting);
		return;
	}
	while (str_token(&text, " ", &word))
		esmtp |= str_iis(word, "ESMTP");
	if (c->conf->is_lmtp ||
	    ((c->conf->always_send_ehlo || esmtp) && !c->conf->never_send_ehlo))
		say_ehlo(c);
	else
		say_helo(c);
}

/* One line of the reply to EHLO; the first names the server. */
static void
ehlo_line(struct smtp_client *c, struct str line)
{
	struct str rest = str_from(line, 4), word, arg;
	uint64_t n;
	unsigned bit;

	if (!str_token(&rest, " \t=", &word))
		return;
	bit = cap_bit(word) & ~c->conf->hide;
	c->caps |= bit;
	if (bit == SMTP_CAP_SIZE && str_token(&rest, " \t", &arg) &&
	    str_u64(arg, INT64_MAX, &n) == RC_OK)
		c->size_limit = (int64_t)n;
}

static void
greeted(struct smtp_client *c)
{
	c->is_greeted = true;
	cl_expect(c, CL_READY, 0);
	if (c->job != NULL)
		cl_start(c);
}

static bool
is_ourselves(const struct smtp_client *c)
{
	struct str text = str_from(reply_text(c), 4), word;

	return c->conf->remember_own_name && str_token(&text, " ", &word) &&
	       str_ieq(word, c->conf->helo_name);
}

static void
ehlo_reply(struct smtp_client *c)
{
	struct smtp_client_outcome o = { .rc = RC_PERM, .dsn = STR("5.4.6") };

	if (c->code / 100 != 2) {
		if (c->code == 421 || c->conf->is_lmtp)
			refused_to_talk(c, false);
		else
			say_helo(c);
		return;
	}
	if (is_ourselves(c)) {
		struct str to =
		    c->job != NULL && c->job->nexthop.n > 0 ? c->job->nexthop : c->name;

		o.text = cl_textf(c, "mail for %.*s loops back to myself", STR_ARG(to));
		cl_fail_session(c, &o);
		return;
	}
	greeted(c);
}

static void
helo_reply(struct smtp_client *c)
{
	if (c->code / 100 == 2)
		greeted(c);
	else
		refused_to_talk(c, false);
}

/* ---- dispatch ---- */

static void
complete_reply(struct smtp_client *c)
{
	if (c->code == 421)
		c->is_dying = true;
	switch (c->state) {
	case CL_GREETING:
		greeting(c);
		break;
	case CL_EHLO:
		ehlo_reply(c);
		break;
	case CL_HELO:
		helo_reply(c);
		break;
	case CL_ENVELOPE:
		envelope_reply(c);
		break;
	case CL_DOT:
		dot_reply(c);
		break;
	case CL_QUIT:
		cl_close(c);
		break;
	case CL_READY: /* "421 too quiet": nobody asked, and nothing more comes */
	case CL_BODY:  /* the server gave up in the middle */
		if (c->code == 421 && c->job == NULL)
			cl_close(c);
		break;
	case CL_CLOSED:
		break;
	}
}

static void
keep_text(struct smtp_client *c, struct str line)
{
	bool is_first = c->reply.n == 0;
	char *p = buf_room(&c->reply, line.n + 1);

	if (p == NULL)
		return; /* long enough to know what it is about */
	if (!is_first)
		*p++ = ' ';
	memcpy(p, line.p, line.n);
	buf_added(&c->reply, line.n + (is_first ? 0 : 1));
}

/* A reply without an end would fill the log, and keep us busy until the time limit. */
static void
refuse_endless(struct smtp_client *c)
{
	struct smtp_client_outcome o = { .rc = RC_TEMP, .dsn = STR("4.4.2") };

	o.text = cl_textf(c, "host %.*s sent a reply of more than %d lines while %s",
	    STR_ARG(c->namaddr), REPLY_LINES_MAX, cl_doing(c));
	cl_fail_session(c, &o);
}

void
cl_reply_line(struct smtp_client *c, struct str line)
{
	bool is_last;
	int code;

	if (c->n_lines++ == REPLY_LINES_MAX) {
		refuse_endless(c);
		return;
	}
	if (!smtp_reply_line(line, &code, &is_last)) {
		/* compat: said and skipped */
		if (c->job != NULL)
			cl_emit(c, SMTP_CX_LOG,
			    cl_textf(c, "warning: %.*s: non-%s response from %.*s: %.*s",
				STR_ARG(c->job->queue_id),
				c->conf->is_lmtp ? "LMTP" : "ESMTP",
				STR_ARG(c->namaddrport), STR_ARG(str_head(line, 100))));
		return;
	}
	if (c->state == CL_EHLO && c->reply.n > 0 && code / 100 == 2)
		ehlo_line(c, line);
	keep_text(c, line);
	if (!is_last)
		return;
	c->code = code;
	c->n_lines = 0;
	complete_reply(c);
	buf_reset(&c->reply);
}

static const char *const step_names[] = {
	[STEP_RSET] = "sending RSET",
	[STEP_MAIL] = "sending MAIL FROM",
	[STEP_RCPT] = "sending RCPT TO",
	[STEP_DATA] = "sending DATA command",
	[STEP_ABORT] = "sending RSET",
};

const char *
cl_doing(const struct smtp_client *c)
{
	switch (c->state) {
	case CL_GREETING:
		return "receiving the initial server greeting";
	case CL_EHLO:
		return c->conf->is_lmtp ? "performing the LHLO handshake"
					: "performing the EHLO handshake";
	case CL_HELO:
		return "performing the HELO handshake";
	case CL_ENVELOPE:
		return step_names[cl_step_of(c, c->n_got)];
	case CL_BODY:
		return "sending message body";
	case CL_DOT:
		return "sending end of data -- message may be sent more than once";
	case CL_QUIT:
		return "sending QUIT command";
	case CL_READY:
	case CL_CLOSED:
		break;
	}
	return "idle";
}
