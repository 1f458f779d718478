/* The lines of the server session in the mail log, in Postfix's shapes (compat: all of
 * this file), and the counters of the last one. */
#include "smtp/server_int.h"
#include "addr/address.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_MAX 4000

void
srv_logf(struct smtp_server *s, enum smtp_log_level level, const char *fmt, ...)
{
	char line[LOG_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	srv_emit(s, SMTP_FX_LOG, (struct str){ line, (size_t)n });
	s->fx[s->fx_put - 1].level = level;
}

/* The recipient that the line is about: at DATA and later only a lone one (compat). */
static bool
log_rcpt(const struct smtp_server *s, struct str *out)
{
	if (s->tx.has_rcpt) {
		*out = s->tx.rcpt.address;
		return true;
	}
	*out = s->tx.first_rcpt;
	return s->tx.n_rcpt == 1;
}

/* Two addresses at their longest fill a line: what has no room is left out, and
 * snprintf's answer, which counts that too, never becomes an offset. */
struct tail {
	char text[LOG_MAX];
	size_t n;
};

static void add(struct tail *t, const char *fmt, ...) PRINTF(2, 3);

static void
add(struct tail *t, const char *fmt, ...)
{
	size_t room = sizeof(t->text) - t->n;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->text + t->n, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n < room ? (size_t)n : room - 1;
}

static void
add_address(struct tail *t, const struct smtp_server *s, const char *name, struct str a)
{
	if (s->conf->log_internal) {
		char space[ADDR_MAX];

		a = addr_shown_internal(a, space);
		add(t, "%s=<%.*s>", name, STR_ARG(a));
	} else
		add(t, "%s=<%.*s>", name, STR_ARG(a));
}

void
srv_log_what(struct smtp_server *s, struct str verb, struct str text)
{
	struct tail tail = { .text = "" };
	char said[1000];
	struct str rcpt;

	if (s->tx.has_mail)
		add_address(&tail, s, " from", s->tx.mail.address);
	if (log_rcpt(s, &rcpt))
		add_address(&tail, s, " to", rcpt);
	add(&tail, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo.n > 0)
		add(&tail, " helo=<%.*s>", STR_ARG(str_head(s->helo, 1000)));
	text = str_head(text, sizeof(said));
	if (text.n > 0)
		memcpy(said, text.p, text.n);
	if (s->conf->soft_bounce)
		srv_soften(said, text.n);
	srv_logf(s, SMTP_LOG_INFO, "%.*s: %.*s: %s from %.*s: %.*s;%s",
	    STR_ARG(s->tx.queue_id.n > 0 ? s->tx.queue_id : STR("NOQUEUE")),
	    STR_ARG(verb), s->where, STR_ARG(s->namaddr), (int)text.n, said, tail.text);
}

void
srv_log_bare_lf(struct smtp_server *s)
{
	bool had = s->tx.has_rcpt;

	if (!had && s->tx.n_rcpt > 0) {
		s->tx.rcpt.address = s->tx.first_rcpt;
		s->tx.has_rcpt = true;
	}
	srv_log_what(s, STR("reject"), STR("bare <LF> received"));
	s->tx.has_rcpt = had;
}

void
srv_log_after(struct smtp_server *s, const char *what)
{
	/* compat: a client may hang up after its message without a word */
	if (s->where == srv_where_end && strcmp(what, "lost connection") == 0)
		return;
	if (s->bdat == BDAT_OK && strcmp(s->where, "BDAT") == 0)
		srv_logf(s, SMTP_LOG_INFO, "%s after BDAT (%" PRId64 " bytes) from %.*s",
		    what, s->tx.size + s->tx.n_bare, STR_ARG(s->namaddr));
	else if (s->state == SRV_DATA)
		srv_logf(s, SMTP_LOG_INFO, "%s after DATA (%" PRId64 " bytes) from %.*s",
		    what, s->tx.size - s->tx.size_tail, STR_ARG(s->namaddr));
	else
		srv_logf(s, SMTP_LOG_INFO, "%s after %s from %.*s", what, s->where,
		    STR_ARG(s->namaddr));
}

void
srv_log_disconnect(struct smtp_server *s)
{
	static const char *const names[N_VERB] = { "helo", "ehlo", "xclient", "xforward",
		"starttls", "auth", "mail", "rcpt", "data", "bdat", "rset", "noop",
		"vrfy", "etrn", "quit", "help", "unknown" };
	uint32_t ok = 0, all = 0;
	char line[600];
	size_t n = 0;

	for (size_t i = 0; i < N_VERB; i++) {
		if (s->n_all[i] == 0)
			continue;
		ok += s->n_ok[i];
		all += s->n_all[i];
		n += (size_t)snprintf(
		    line + n, sizeof(line) - n, " %s=%" PRIu32, names[i], s->n_ok[i]);
		if (s->n_ok[i] != s->n_all[i])
			n += (size_t)snprintf(
			    line + n, sizeof(line) - n, "/%" PRIu32, s->n_all[i]);
	}
	n += (size_t)snprintf(line + n, sizeof(line) - n, " commands=%" PRIu32, ok);
	if (ok != all || all == 0)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "/%" PRIu32, all);
	srv_logf(s, SMTP_LOG_INFO, "disconnect from %.*s%.*s%s", STR_ARG(s->namaddr),
	    (int)n, line, s->had_bare_lf ? " notes=bare_lf" : "");
}

/* compat: the first 100 bytes, as C would write them; 400 bytes fit what comes of it. */
static size_t
escape(struct str in, char out[400])
{
	static const char names[] = "abtnvfr"; /* of the bytes from 7 on */
	size_t n = 0;

	in = str_head(in, 100);
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c >= ' ' && c <= '~' && c != '\\') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		if (c == '\\') {
			out[n++] = '\\';
		} else if (c >= 7 && c <= 13) {
			out[n++] = names[c - 7];
		} else {
			out[n++] = (char)('0' + (c >> 6));
			out[n++] = (char)('0' + (c >> 3 & 7));
			out[n++] = (char)('0' + (c & 7));
		}
	}
	return n;
}

void
srv_log_pipelining(struct smtp_server *s, const char *after, struct str more)
{
	char text[400];
	size_t n = escape(more, text);

	srv_logf(s, SMTP_LOG_INFO, "improper command pipelining after %s from %.*s: %.*s",
	    after, STR_ARG(s->namaddr), (int)n, text);
	s->ill_pipelining = true;
}

void
srv_log_not_smtp(struct smtp_server *s, struct str line)
{
	char text[400];
	size_t n = escape(line, text);

	srv_logf(s, SMTP_LOG_WARN, "non-SMTP command from %.*s: %.*s",
	    STR_ARG(s->namaddr), (int)n, text);
}
