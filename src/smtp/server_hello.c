/* HELO and EHLO: the name of the client, the keywords of the reply (compat: their order
 * and the texts here), and the names by which keywords are hidden. */
#include "smtp/server_int.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Characters that would make a HELO name ambiguous where it is shown (compat). */
#define NEUTER " <>()\\\";@"

#define XCLIENT_ATTRS  "NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
#define XFORWARD_ATTRS "NAME ADDR PROTO HELO SOURCE PORT IDENT"

void
srv_neuter(const struct smtp_server_conf *conf, char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c == 127 || strchr(NEUTER, c) != NULL ||
		    (c > 127 && !conf->utf8_ok))
			text[i] = '?';
	}
}

static void
make_printable(char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
}

void
srv_set_helo(struct smtp_server *s, struct str name)
{
	char *p;

	s->helo = STR("");
	buf_reset(&s->helo_text);
	if (name.n == 0)
		return;
	p = buf_room(&s->helo_text, name.n);
	assert(p != NULL);
	memcpy(p, name.p, name.n);
	srv_neuter(s->conf, p, name.n);
	buf_added(&s->helo_text, name.n);
	s->helo = buf_view(&s->helo_text);
}

void
srv_cmd_helo(struct smtp_server *s, struct str args)
{
	bool is_ehlo = s->verb == VERB_EHLO;
	struct str name;

	if (args.n == 0) {
		srv_fail(s,
		    is_ehlo ? "501 Syntax: EHLO hostname" : "501 Syntax: HELO hostname");
		return;
	}
	/* Log lines of a refusal show the new name; nothing else changes then (compat).
	 */
	name = arena_str(s->scratch, args);
	if (name.p == NULL) {
		srv_refuse(
		    s, SMTP_TROUBLE_RESOURCE, "452 4.3.1 Insufficient system storage");
		return;
	}
	make_printable((char *)(uintptr_t)name.p, name.n);
	s->helo = name;
	srv_ask(s, SMTP_FX_CHECK_HELO, name);
}

/* ---- the keywords ---- */

/* In the order of the log line. */
static const struct {
	unsigned bit;
	const char *name;  /* in smtpd_discard_ehlo_keywords */
	const char *shown; /* in the log */
} hideable[] = { { SMTP_EHLO_8BITMIME, "8bitmime", " 8BITMIME" },
	{ SMTP_EHLO_AUTH, "auth", " AUTH" }, { SMTP_EHLO_ETRN, "etrn", " ETRN" },
	{ SMTP_EHLO_PIPELINING, "pipelining", " PIPELINING" },
	{ SMTP_EHLO_SIZE, "size", " SIZE" },
	{ SMTP_EHLO_STARTTLS, "starttls", " STARTTLS" },
	{ SMTP_EHLO_VERP, "verp", " VERP" }, { SMTP_EHLO_VRFY, "vrfy", " VRFY" },
	{ SMTP_EHLO_XCLIENT, "xclient", " XCLIENT" },
	{ SMTP_EHLO_XFORWARD, "xforward", " XFORWARD" },
	{ SMTP_EHLO_STATUS, "enhancedstatuscodes", " ENHANCEDSTATUSCODES" },
	{ SMTP_EHLO_DSN, "dsn", " DSN" },
	{ SMTP_EHLO_UTF8, "smtputf8", " EHLO_MASK_SMTPUTF8" }, /* compat */
	{ SMTP_EHLO_CHUNKING, "chunking", " CHUNKING" },
	{ SMTP_EHLO_REQUIRETLS, "requiretls", " REQUIRETLS" },
	{ SMTP_EHLO_SILENT, "silent-discard", "" } };

static void
log_hidden(struct smtp_server *s, bool has_keywords)
{
	char text[300];
	unsigned hide = s->rights.hide;
	size_t n = 0;

	/* compat: who has nothing to say does not say why */
	if (hide == 0 || (hide & SMTP_EHLO_SILENT) != 0 || !has_keywords)
		return;
	for (size_t i = 0; i < ARRAY_LEN(hideable); i++)
		if ((hide & hideable[i].bit) != 0)
			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%s", hideable[i].shown);
	srv_logf(s, SMTP_LOG_INFO, "discarding EHLO keywords:%.*s", (int)n, text);
}

/* A reply of several lines that grows. */
struct lines {
	char text[1200];
	size_t n, last; /* where the last line begins */
};

static void PRINTF(2, 3) add(struct lines *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	l->last = l->n;
	va_start(ap, fmt);
	n = vsnprintf(l->text + l->n, sizeof(l->text) - l->n, fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < sizeof(l->text) - l->n - 2);
	l->n += (size_t)n;
	memcpy(l->text + l->n, "\r\n", 2);
	l->n += 2;
}

/* Those that say who may do what. */
static void
add_rights(const struct smtp_server *s, struct lines *l)
{
	unsigned hide = s->rights.hide;

	if (s->rights.may_verp && (hide & SMTP_EHLO_VERP) == 0)
		add(l, "250-XVERP");
	if (s->rights.may_xclient && (hide & SMTP_EHLO_XCLIENT) == 0)
		add(l, "250-XCLIENT " XCLIENT_ATTRS);
	if (s->rights.may_xforward && (hide & SMTP_EHLO_XFORWARD) == 0)
		add(l, "250-XFORWARD " XFORWARD_ATTRS);
}

static void
greet_esmtp(struct smtp_server *s)
{
	const struct smtp_server_conf *c = s->conf;
	unsigned hide = s->rights.hide;
	struct lines l;

	l.n = 0;
	add(&l, "250-%.*s", STR_ARG(str_head(c->hostname, 400)));
	if ((hide & SMTP_EHLO_PIPELINING) == 0)
		add(&l, "250-PIPELINING");
	if ((hide & SMTP_EHLO_SIZE) == 0 && c->size_limit > 0)
		add(&l, "250-SIZE %" PRId64, c->size_limit);
	else if ((hide & SMTP_EHLO_SIZE) == 0)
		add(&l, "250-SIZE");
	if ((hide & SMTP_EHLO_VRFY) == 0 && !c->disable_vrfy)
		add(&l, "250-VRFY");
	if ((hide & SMTP_EHLO_ETRN) == 0)
		add(&l, "250-ETRN");
	add_rights(s, &l);
	if ((hide & SMTP_EHLO_STATUS) == 0)
		add(&l, "250-ENHANCEDSTATUSCODES");
	if ((hide & SMTP_EHLO_8BITMIME) == 0)
		add(&l, "250-8BITMIME");
	if ((hide & SMTP_EHLO_DSN) == 0)
		add(&l, "250-DSN");
	if ((hide & SMTP_EHLO_UTF8) == 0 && c->utf8_ok)
		add(&l, "250-SMTPUTF8");
	if ((hide & SMTP_EHLO_CHUNKING) == 0)
		add(&l, "250-CHUNKING");
	l.text[l.last + 3] = ' ';
	srv_send(s, (struct str){ l.text, l.n });
	log_hidden(s, l.last > 0);
}

void
srv_answer_helo(struct smtp_server *s)
{
	srv_reset(s, true);
	srv_set_helo(s, s->helo);
	srv_chapter(s);
	/* compat: a HELO after EHLO leaves ESMTP on */
	s->esmtp = s->esmtp || s->verb == VERB_EHLO;
	if (s->verb == VERB_EHLO)
		greet_esmtp(s);
	else
		srv_replyf(s, "250 %.*s", STR_ARG(s->conf->hostname));
	srv_done(s, true);
}

unsigned
smtp_ehlo_bits(struct str names, struct str *unknown)
{
	unsigned bits = 0;
	struct str word;

	while (str_token(&names, " \t\r\n,", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(hideable) && !str_iis(word, hideable[i].name))
			i++;
		if (i < ARRAY_LEN(hideable))
			bits |= hideable[i].bit;
		else if (unknown != NULL)
			*unknown = word;
	}
	return bits;
}
