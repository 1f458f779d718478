/* The envelope on its way out: RSET, MAIL, RCPT, DATA, one by one or all at once. What
 * the replies mean is client_reply.c's. */
#include "smtp/client_int.h"
#include "addr/address.h"
#include "smtp/orcpt.h"
#include <stdio.h>

uint32_t
cl_first_rcpt(const struct smtp_client *c)
{
	return c->with_rset ? 2 : 1;
}

enum cl_step
cl_step_of(const struct smtp_client *c, uint32_t at)
{
	uint32_t rcpt = cl_first_rcpt(c);

	if (at + 1 == rcpt)
		return STEP_MAIL;
	if (at < rcpt)
		return STEP_RSET;
	if (at < rcpt + c->job->n_rcpt)
		return STEP_RCPT;
	return c->job->is_probe && !c->job->asks_data ? STEP_ABORT : STEP_DATA;
}

/* The server would not take the content as it is. */
static bool
needs_7bit(const struct smtp_client *c)
{
	return c->job->is_8bit && (c->caps & SMTP_CAP_8BITMIME) == 0 &&
	       !c->conf->keeps_8bit;
}

static const char *
body_parameter(const struct smtp_client *c)
{
	if ((c->caps & SMTP_CAP_8BITMIME) == 0)
		return "";
	if (c->job->is_8bit)
		return " BODY=8BITMIME";
	return c->job->says_7bit ? " BODY=7BIT" : "";
}

static void
send_mail(struct smtp_client *c)
{
	const struct smtp_client_job *j = c->job;
	char size[32] = "", envid[1200] = "";

	/* compat: how large the content is when it is converted is not known. */
	if ((c->caps & SMTP_CAP_SIZE) != 0 && j->size_bytes > 0 && !c->converts)
		(void)snprintf(
		    size, sizeof(size), " SIZE=%lld", (long long)j->size_bytes);
	if ((c->caps & SMTP_CAP_DSN) != 0 && j->envid.n > 0) {
		struct str x = addr_xtext_encode(j->envid, c->fx_mem);

		if (x.p != NULL && x.n < sizeof(envid) - 8)
			(void)snprintf(envid, sizeof(envid), " ENVID=%.*s", STR_ARG(x));
	}
	cl_sendf(c, "MAIL FROM:<%.*s>%s%s%s%s%s\r\n", STR_ARG(j->sender), size,
	    body_parameter(c), envid,
	    (c->caps & SMTP_CAP_DSN) == 0 || j->ret == SMTP_RET_NONE ? ""
	    : j->ret == SMTP_RET_FULL                                ? " RET=FULL"
								     : " RET=HDRS",
	    (c->caps & SMTP_CAP_SMTPUTF8) != 0 && j->is_utf8 ? " SMTPUTF8" : "");
}

static void
format_notify(unsigned notify, char out[48])
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { SMTP_NOTIFY_NEVER, "NEVER" }, { SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" }, { SMTP_NOTIFY_DELAY, "DELAY" } };
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((notify & names[i].bit) != 0)
			n += (size_t)snprintf(out + n, 48 - n, "%s%s",
			    n == 0 ? " NOTIFY=" : ",", names[i].name);
}

static void
send_rcpt(struct smtp_client *c, uint32_t index)
{
	const struct smtp_client_rcpt *r = &c->job->rcpts[index];
	struct str orcpt = r->orcpt;
	char notify[48];

	if ((c->caps & SMTP_CAP_DSN) == 0) {
		cl_sendf(c, "RCPT TO:<%.*s>\r\n", STR_ARG(r->address));
		return;
	}
	if (orcpt.n == 0)
		orcpt = arena_printf(c->fx_mem, "rfc822;%.*s",
		    STR_ARG(r->orig.n > 0 ? r->orig : r->address));
	orcpt = smtp_orcpt_encode(orcpt, c->fx_mem);
	format_notify(r->notify, notify);
	/* RFC 3461 4.2 limits the parameter; one that got too long is worth less than the
	 * mail. */
	if (orcpt.p == NULL || orcpt.n > 1000)
		cl_sendf(c, "RCPT TO:<%.*s>%s\r\n", STR_ARG(r->address), notify);
	else
		cl_sendf(c, "RCPT TO:<%.*s> ORCPT=%.*s%s\r\n", STR_ARG(r->address),
		    STR_ARG(orcpt), notify);
}

static void
send_step(struct smtp_client *c, uint32_t at)
{
	switch (cl_step_of(c, at)) {
	case STEP_RSET:
		cl_sendf(c, "RSET\r\n");
		break;
	case STEP_MAIL:
		send_mail(c);
		break;
	case STEP_RCPT:
		send_rcpt(c, at - cl_first_rcpt(c));
		break;
	case STEP_DATA:
		cl_sendf(c, "DATA\r\n");
		break;
	case STEP_ABORT:
		cl_sendf(c, "RSET\r\n");
		break;
	}
}

int64_t
cl_step_timeout(const struct smtp_client *c, uint32_t at)
{
	switch (cl_step_of(c, at)) {
	case STEP_RSET:
	case STEP_ABORT:
		return c->conf->rset_us;
	case STEP_MAIL:
		return c->conf->mail_us;
	case STEP_RCPT:
		return c->conf->rcpt_us;
	case STEP_DATA:
		break;
	}
	return c->conf->data_init_us;
}

/* Nobody is left to send the content to. */
void
cl_give_up_transaction(struct smtp_client *c)
{
	c->needs_rset = true;
	cl_done(c);
}

/* Everything with PIPELINING, else one command. */
void
cl_send_steps(struct smtp_client *c)
{
	bool pipelining = (c->caps & SMTP_CAP_PIPELINING) != 0;
	uint32_t window = !pipelining                 ? 1
			  : c->conf->pipeline_max > 0 ? c->conf->pipeline_max
						      : UINT32_MAX;

	while (c->n_sent <= cl_first_rcpt(c) + c->job->n_rcpt &&
	       c->n_sent - c->n_got < window && c->fx_put < CL_FX_MAX - 3) {
		/* DATA on its own is sent only when somebody wants the message. */
		if (cl_step_of(c, c->n_sent) == STEP_DATA && c->n_sent == c->n_got &&
		    c->n_accepted == 0) {
			cl_give_up_transaction(c);
			return;
		}
		if (c->mail_failed && c->n_sent == c->n_got) {
			cl_give_up_transaction(c);
			return;
		}
		if (c->mail_failed)
			break;
		if (c->n_sent == c->n_got)
			c->deadline_us = c->now_us + cl_step_timeout(c, c->n_got);
		send_step(c, c->n_sent++);
	}
}

/* The server's size limit is known: do not send in vain. True: refused. */
static bool
is_too_big(struct smtp_client *c)
{
	struct smtp_client_outcome o = { .rc = RC_PERM, .dsn = STR("5.3.4") };

	if (c->size_limit <= 0 || c->job->size_bytes <= c->size_limit)
		return false;
	o.text = cl_textf(c, "message size %lld exceeds size limit %lld of server %.*s",
	    (long long)c->job->size_bytes, (long long)c->size_limit, STR_ARG(c->namaddr));
	cl_outcome(c, CL_UNDECIDED, &o);
	cl_done(c);
	return true;
}

static bool
needs_utf8(const struct smtp_client_job *j)
{
	bool needs = j->is_utf8 && (j->has_utf8_header || !str_is_ascii(j->sender));

	for (uint32_t i = 0; j->is_utf8 && !needs && i < j->n_rcpt; i++)
		needs = !str_is_ascii(j->rcpts[i].address);
	return needs;
}

/* True: refused, because it cannot be said to this server. */
static bool
is_unspeakable(struct smtp_client *c)
{
	struct smtp_client_outcome o = { .rc = RC_PERM, .dsn = STR("5.6.7") };

	if ((c->caps & SMTP_CAP_SMTPUTF8) != 0 || !needs_utf8(c->job))
		return false;
	o.text = cl_textf(c,
	    "SMTPUTF8 is required, but was not offered by host %.*s", /* compat */
	    STR_ARG(c->namaddr));
	cl_outcome(c, CL_UNDECIDED, &o);
	cl_done(c);
	return true;
}

void
cl_start(struct smtp_client *c)
{
	if (is_too_big(c) || is_unspeakable(c))
		return;
	c->state = CL_ENVELOPE;
	c->converts = needs_7bit(c);
	c->n_sent = c->n_got = c->n_accepted = 0;
	c->with_rset = c->needs_rset;
	c->needs_rset = c->mail_failed = c->is_empty_end = false;
	cl_send_steps(c);
}
