/* What one client may do in a time unit, and how many connections it may have. anvil
 * counts for all workers together; the limits, and what is said to who exceeds them, are
 * here. */
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>

/* The client as anvil knows it: an address, or the network that stands for it. */
static struct str
client_text(const struct conn *c, char out[ADDR_IP_TEXT_MAX + 8])
{
	const struct conf_smtpd *conf = &c->service->conf;
	bool is_v4 = c->addr.family == ADDR_IPV4;
	int64_t bits = is_v4 ? conf->smtpd_client_ipv4_prefix_length
			     : conf->smtpd_client_ipv6_prefix_length;
	struct addr_ip net = c->addr;
	char text[ADDR_IP_TEXT_MAX];
	int n;

	if (bits >= (is_v4 ? 32 : 128)) {
		(void)addr_ip_format(&c->addr, text);
		n = snprintf(out, ADDR_IP_TEXT_MAX + 8, "%s", text);
	} else {
		addr_ip_mask(&net, (unsigned)bits);
		(void)addr_ip_format(&net, text);
		n = snprintf(out, ADDR_IP_TEXT_MAX + 8, "%s/%lld", text, (long long)bits);
	}
	return (struct str){ out, (size_t)n };
}

static struct rates_what
what_of(const struct conn *c, enum rates_event event, char text[ADDR_IP_TEXT_MAX + 8])
{
	return (struct rates_what){ .event = event,
		.service = c->service->entry->service_name,
		.client = client_text(c, text) };
}

/* ---- exceeded ---- */

static void
warn_exceeded(const struct conn *c, const char *what, uint32_t value)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	const struct service *s = c->service;
	bool has_port = s->conf.smtpd_client_port_logging;
	struct str port = has_port ? v.client->port : STR("");

	log_warn(s->entry->log,
	    "%s limit exceeded: %u from %.*s[%.*s]%s%.*s for service %.*s", what, value,
	    STR_ARG(v.client->name), STR_ARG(v.client->addr), has_port ? ":" : "",
	    STR_ARG(port), STR_ARG(s->entry->service_name));
}

static void
refuse(struct conn *c, const char *words, bool with_host)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct smtp_answer a = { .rc = RC_TEMP, .log_quiet = true };
	char text[400];

	if (with_host)
		(void)snprintf(text, sizeof(text), "421 4.7.0 %.*s Error: %s from %.*s",
		    STR_ARG(c->service->conf.myhostname), words, STR_ARG(v.client->addr));
	else
		(void)snprintf(text, sizeof(text), "450 4.7.1 Error: %s from %.*s", words,
		    STR_ARG(v.client->addr));
	a.reply = str_c(text);
	conn_answer(c, &a);
}

static bool
exceeds(uint32_t value, int64_t limit)
{
	return limit > 0 && value > limit;
}

/* False: the client may not go on, and has been told. compat: all words. */
static bool
may_go_on(struct conn *c, enum rates_event event, const struct rates_count *n)
{
	const struct conf_smtpd *conf = &c->service->conf;

	switch (event) {
	case RATES_CONNECT:
		if (exceeds(n->count, conf->smtpd_client_connection_count_limit))
			warn_exceeded(c, "Connection concurrency", n->count);
		else if (exceeds(n->rate, conf->smtpd_client_connection_rate_limit))
			warn_exceeded(c, "Connection rate", n->rate);
		else
			return true;
		refuse(c, "too many connections", true);
		return false;
	case RATES_MAIL:
		if (!exceeds(n->rate, conf->smtpd_client_message_rate_limit))
			return true;
		warn_exceeded(c, "Message delivery request rate", n->rate);
		refuse(c, "too much mail", false);
		return false;
	case RATES_RCPT:
		if (!exceeds(n->rate, conf->smtpd_client_recipient_rate_limit))
			return true;
		warn_exceeded(c, "Recipient address rate", n->rate);
		refuse(c, "too many recipients", false);
		return false;
	case RATES_NEW_TLS:
	case RATES_AUTH:
	case RATES_DISCONNECT:
		break;
	}
	return true;
}

/* ---- counting ---- */

static bool
is_counted(const struct conn *c, enum rates_event event)
{
	const struct conf_smtpd *conf = &c->service->conf;

	if (!c->service->has_limits || c->is_unlimited || c->addr.family == ADDR_NONE)
		return false;
	switch (event) {
	case RATES_CONNECT: /* always: for the statistics, too (compat) */
		return true;
	case RATES_MAIL:
		return conf->smtpd_client_message_rate_limit > 0;
	case RATES_RCPT:
		return conf->smtpd_client_recipient_rate_limit > 0;
	case RATES_NEW_TLS:
	case RATES_AUTH:
	case RATES_DISCONNECT:
		break;
	}
	return false;
}

static void
on_count(void *arg, enum rc rc, const struct rates_count *n)
{
	struct conn *c = arg;
	struct question *q = c->question;

	c->rating = NULL;
	if (rc == RC_OK && q->counted == RATES_CONNECT)
		c->counted_in = rates_epoch(c->service->smtpd->rates);
	if (rc != RC_OK || may_go_on(c, q->counted, n))
		q->go_on(c);
	conn_run(c);
}

void
limits_check(struct conn *c, enum rates_event event, void (*go_on)(struct conn *c))
{
	char text[ADDR_IP_TEXT_MAX + 8];
	struct rates_what what;

	if (!is_counted(c, event)) {
		go_on(c);
		return;
	}
	what = what_of(c, event, text);
	c->question->counted = event;
	c->question->go_on = go_on;
	c->rating = rates_ask(c->service->smtpd->rates, &what, on_count, c);
}

void
limits_forget(struct conn *c)
{
	struct rates *r = c->service->smtpd->rates;
	char text[ADDR_IP_TEXT_MAX + 8];
	struct rates_what what;

	if (c->rating != NULL) {
		/* What was asked about is counted, or will be before this. */
		if (c->question != NULL && c->question->counted == RATES_CONNECT)
			c->counted_in = rates_epoch(r);
		rates_cancel(&c->rating);
	}
	if (c->counted_in == 0)
		return;
	what = what_of(c, RATES_DISCONNECT, text);
	rates_disconnected(r, &what, c->counted_in);
}
