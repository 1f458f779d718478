/* Refusals on their way out: smtpd_reject_filter_maps may replace one, then a footer is
 * put behind it. Tables may keep one waiting: the session stands still meanwhile.
 *
 * compat: the footer's lines take the code and the enhanced code of the reply; "\n" in it
 * begins a new line, and "\c" in front puts it behind the reply's own text. */
#include "base/arena.h"
#include "conf/expand.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPLY_MAX  ((size_t)16 * 1024)
#define FOOTER_MAX ((size_t)8 * 1024)

/* ---- macros ---- */

struct macros {
	struct conn *c;
	struct smtp_server_view v;
	struct arena *mem;
};

/* What is not in smtpd_expansion_filter becomes "_" (compat); `$` is doubled, because a
 * value is expanded as well. */
static struct str
clean(const struct macros *m, struct str s)
{
	const struct str allowed = m->c->service->conf.smtpd_expansion_filter;
	char *p = arena_get(m->mem, 2 * s.n + 1);
	size_t n = 0;

	if (p == NULL)
		return STR("");
	for (size_t i = 0; i < s.n; i++) {
		p[n++] = str_find(allowed, s.p[i]) < allowed.n ? s.p[i] : '_';
		if (p[n - 1] == '$')
			p[n++] = '$';
	}
	return (struct str){ p, n };
}

static struct str
local_time(struct arena *mem)
{
	char text[64];
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(text, sizeof(text), "%b %e %H:%M:%S", &tm) == 0)
		return STR("");
	return arena_str(mem, str_c(text));
}

static struct str
part(struct str address, bool is_domain)
{
	size_t at = str_rfind(address, '@');

	if (is_domain)
		return at < address.n ? str_from(address, at + 1) : STR("");
	return str_head(address, at);
}

static struct str
sender_of(const struct macros *m)
{
	return m->v.mail == NULL ? STR("") : m->v.mail->address;
}

static enum rc
get_macro(void *arg, struct str name, struct str *out, struct err *e)
{
	struct macros *m = arg;
	const struct smtp_client_id *id = m->v.client;
	struct str reverse =
	    m->c->reverse_name != NULL ? str_c(m->c->reverse_name) : id->name;
	const struct {
		const char *name;
		struct str value;
	} names[] = {
		{ "client_address", id->addr },
		{ "client_name", id->name },
		{ "client_port", id->port },
		{ "reverse_client_name", reverse },
		{ "helo_name", m->v.helo },
		{ "server_name", m->c->service->conf.myhostname },
		{ "sender", sender_of(m) },
		{ "sender_name", part(sender_of(m), false) },
		{ "sender_domain", part(sender_of(m), true) },
		/* compat: it is forgotten before its reply goes out. */
		{ "recipient", STR("") },
		{ "recipient_name", STR("") },
		{ "recipient_domain", STR("") },
	};

	*out = STR("");
	if (str_is(name, "client")) {
		*out = clean(m, arena_printf(m->mem, "%.*s[%.*s]", STR_ARG(id->name),
				    STR_ARG(id->addr)));
		return RC_OK;
	}
	if (str_is(name, "localtime")) {
		*out = local_time(m->mem);
		return RC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_is(name, names[i].name)) {
			*out = clean(m, names[i].value);
			return RC_OK;
		}
	(void)e;
	/* compat: the words, and that the rest is used all the same */
	log_warn(m->c->service->entry->log,
	    "unknown macro name \"%.*s\" in expansion request",
	    STR_ARG(str_head(name, 100)));
	return RC_OK;
}

/* Returns: RC_PERM: not a footer that can be used; nothing is put then (compat). */
static enum rc
expand(struct conn *c, struct str text, struct arena *mem, struct str *out)
{
	struct macros m = { .c = c, .v = smtp_server_view(c->session), .mem = mem };
	const struct expand_source from = { .get = get_macro, .arg = &m };
	struct err e = { 0 };
	enum rc rc = expand_text(&from, text, FOOTER_MAX, mem, out, &e);

	if (rc != RC_OK)
		log_warn(c->service->entry->log, "reject footer: %s: %.*s", e.text,
		    STR_ARG(str_head(text, 200)));
	return rc;
}

/* ---- putting a reply together ---- */

/* "550 5.1.1 " or "550 ": what each line begins with; the fourth byte is set later. */
static struct str
prefix_of(struct str line)
{
	size_t n = 4, dots = 0;

	while (n < line.n && (ascii_isdigit(line.p[n]) || line.p[n] == '.'))
		dots += line.p[n++] == '.';
	if (dots == 2 && n < line.n && line.p[n] == ' ')
		return str_head(line, n + 1);
	return str_head(line, 4);
}

/* Takes one line of the footer off *rest, at a "\n" or a line end; false: it was the last
 * one. */
static bool
next_line(struct str *rest, struct str *out)
{
	*out = *rest;
	for (size_t i = 0; i < rest->n; i++) {
		size_t skip = rest->p[i] == '\n' ? 1 : 0;

		if (i + 1 < rest->n && rest->p[i] == '\\' && rest->p[i + 1] == 'n')
			skip = 2;
		if (skip == 0)
			continue;
		out->n = i;
		*rest = str_from(*rest, i + skip);
		return true;
	}
	return false;
}

/* `reply` has its CRLF; its last line is the one with a blank behind the code. */
static struct str
put_footer(struct str reply, struct str footer, struct arena *mem)
{
	struct str body = str_head(reply, reply.n - 2), prefix, text = STR("");
	size_t last = str_rfind(body, '\n');
	bool more = true;
	struct buf b;
	enum rc rc;

	last = last < body.n ? last + 1 : 0;
	prefix = prefix_of(str_from(body, last));
	buf_init(&b, REPLY_MAX);
	if (str_starts(footer, STR("\\c"))) {
		footer = str_from(footer, 2);
		more = next_line(&footer, &text);
	}
	rc = buf_printf(&b, "%.*s%.*s\r\n", STR_ARG(body), STR_ARG(text));
	while (rc == RC_OK && more) {
		/* The line that was the last one is not any more. */
		b.p[b.start + last + 3] = '-';
		last = b.n;
		more = next_line(&footer, &text);
		rc = buf_printf(&b, "%.*s%.*s\r\n", STR_ARG(prefix), STR_ARG(text));
	}
	text = rc == RC_OK ? arena_str(mem, buf_view(&b)) : STR("");
	buf_fini(&b);
	/* What is too long goes without a footer. */
	return rc == RC_OK && text.p != NULL ? text : reply;
}

/* ---- tables ---- */

/* compat: the key is the reply without its line end; lines are parted by "\n". */
static struct str
key_of(struct str reply, struct arena *mem)
{
	char *p = arena_get(mem, reply.n + 1);
	size_t n = 0;

	for (size_t i = 0; p != NULL && i < reply.n; i++)
		if (reply.p[i] != '\r')
			p[n++] = reply.p[i];
	return str_trim((struct str){ p, n });
}

static bool
is_refusal(struct str s)
{
	return s.n >= 4 && (s.p[0] == '4' || s.p[0] == '5') && ascii_isdigit(s.p[1]) &&
	       ascii_isdigit(s.p[2]) && (s.p[3] == ' ' || s.p[3] == '-');
}

static enum rc
run_filter(struct conn *c, struct ask *a, struct str *reply)
{
	struct service *s = c->service;
	struct str value;
	enum rc rc;

	if (s->lists.reject_filter.n == 0)
		return RC_OK;
	rc = ask_tables(a, &s->lists.reject_filter, key_of(*reply, a->mem), 0, &value);
	if (rc == RC_MORE)
		return rc;
	if (rc == RC_OK && is_refusal(value))
		*reply = arena_printf(a->mem, "%.*s\r\n", STR_ARG(value));
	else if (rc != RC_NONE)
		log_warn(s->entry->log, "smtpd_reject_filter_maps: %s for \"%.*s\"",
		    rc == RC_OK ? "bad reply" : "lookup error",
		    STR_ARG(str_head(key_of(*reply, a->mem), 100)));
	return RC_OK;
}

static enum rc
find_footer(struct conn *c, struct ask *a, struct str reply, struct str *out)
{
	struct service *s = c->service;
	enum rc rc = RC_NONE;

	if (s->lists.reject_footer.n > 0)
		rc =
		    ask_tables(a, &s->lists.reject_footer, key_of(reply, a->mem), 0, out);
	if (rc == RC_TEMP) /* compat: as if there was none */
		log_warn(s->entry->log, "%.*s lookup error for \"%.*s\"",
		    STR_ARG(s->lists.reject_footer.v[0]),
		    STR_ARG(str_head(key_of(reply, a->mem), 300)));
	if (rc != RC_OK && rc != RC_MORE)
		*out = s->conf.smtpd_reject_footer;
	return rc == RC_MORE ? rc : RC_OK;
}

static void
say(struct conn *c, struct str reply)
{
	history_said(c, reply);
	output_add(c, reply);
}

static enum rc
run_texts(void *arg, struct ask *a)
{
	struct conn *c = arg;
	struct str reply = buf_view(&c->more->held), footer = STR(""), text;

	if (run_filter(c, a, &reply) == RC_MORE ||
	    find_footer(c, a, reply, &footer) == RC_MORE)
		return RC_MORE;
	if (footer.n > 0 && expand(c, footer, a->mem, &text) == RC_OK)
		reply = put_footer(reply, text, a->mem);
	say(c, reply);
	return RC_OK;
}

static void
texts_done(struct conn *c, enum rc rc)
{
	(void)rc;
	buf_release(&c->more->held);
	c->is_held = false;
}

void
reply_send(struct conn *c, struct str reply)
{
	if (!c->service->has_reject_texts || !is_refusal(reply) ||
	    buf_put(&conn_more(c)->held, reply) != RC_OK) {
		say(c, reply);
		return;
	}
	c->is_held = true;
	conn_decide(c, run_texts, texts_done);
}
