/* The table of commands, what each does, the questions they ask and what answers mean.
 * Replies and their order of precedence are Postfix's (compat: all literals here). */
#include "smtp/server_int.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Characters that would make a HELO name ambiguous where it is shown (compat). */
#define NEUTER " <>()\\\";@"

void
srv_fail(struct smtp_server *s, const char *reply)
{
	srv_reply(s, str_c(reply));
	srv_done(s, false);
}

static void
ok(struct smtp_server *s, const char *reply)
{
	srv_reply(s, str_c(reply));
	srv_done(s, true);
}

/* ---- HELO, EHLO ---- */

static void
set_helo(struct smtp_server *s, struct str name)
{
	char *p;

	s->helo = STR("");
	buf_reset(&s->helo_text);
	p = buf_room(&s->helo_text, name.n);
	assert(p != NULL);
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool bad = c < ' ' || c == 127 || strchr(NEUTER, c) != NULL;

		p[i] = bad ? '?' : (char)c;
	}
	buf_added(&s->helo_text, name.n);
	s->helo = buf_view(&s->helo_text);
}

static void
cmd_helo(struct smtp_server *s, struct str args)
{
	bool is_ehlo = s->verb == VERB_EHLO;

	if (args.n == 0) {
		srv_fail(s,
		    is_ehlo ? "501 Syntax: EHLO hostname" : "501 Syntax: HELO hostname");
		return;
	}
	srv_reset(s, true);
	/* A new name replaces the old one even if it is refused; log lines of the refusal
	 * show it. */
	set_helo(s, args);
	s->esmtp = false;
	srv_ask(s, SMTP_FX_CHECK_HELO, s->helo);
}

static void
log_hidden(struct smtp_server *s)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { SMTP_EHLO_8BITMIME, " 8BITMIME" },
		{ SMTP_EHLO_PIPELINING, " PIPELINING" }, { SMTP_EHLO_SIZE, " SIZE" },
		{ SMTP_EHLO_VRFY, " VRFY" }, { SMTP_EHLO_STATUS, " ENHANCEDSTATUSCODES" },
		{ SMTP_EHLO_DSN, " DSN" } };
	char text[100] = "";
	unsigned hide = s->rights.hide;
	size_t n = 0;

	if ((hide & SMTP_EHLO_SILENT) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((hide & names[i].bit) != 0) {
			memcpy(text + n, names[i].name, strlen(names[i].name));
			n += strlen(names[i].name);
		}
	if (n > 0)
		srv_logf(s, SMTP_LOG_INFO, "discarding EHLO keywords:%.*s", (int)n, text);
}

static void
greet_esmtp(struct smtp_server *s)
{
	const struct smtp_server_conf *c = s->conf;
	char line[8][80];
	int n = 0;

	if ((s->rights.hide & SMTP_EHLO_PIPELINING) == 0)
		(void)strcpy(line[n++], "PIPELINING");
	if ((s->rights.hide & SMTP_EHLO_SIZE) == 0) {
		if (c->size_limit > 0)
			(void)snprintf(line[n++], sizeof(line[0]), "SIZE %lld",
			    (long long)c->size_limit);
		else
			(void)strcpy(line[n++], "SIZE");
	}
	if ((s->rights.hide & SMTP_EHLO_VRFY) == 0 && !c->disable_vrfy)
		(void)strcpy(line[n++], "VRFY");
	if ((s->rights.hide & SMTP_EHLO_STATUS) == 0)
		(void)strcpy(line[n++], "ENHANCEDSTATUSCODES");
	if ((s->rights.hide & SMTP_EHLO_8BITMIME) == 0)
		(void)strcpy(line[n++], "8BITMIME");
	if ((s->rights.hide & SMTP_EHLO_DSN) == 0)
		(void)strcpy(line[n++], "DSN");
	srv_replyf(s, "250%c%.*s", n > 0 ? '-' : ' ', STR_ARG(c->hostname));
	for (int i = 0; i < n; i++)
		srv_replyf(s, "250%c%s", i + 1 < n ? '-' : ' ', line[i]);
	log_hidden(s);
}

static void
answer_helo(struct smtp_server *s)
{
	s->esmtp = s->verb == VERB_EHLO;
	if (s->esmtp)
		greet_esmtp(s);
	else
		srv_replyf(s, "250 %.*s", STR_ARG(s->conf->hostname));
	srv_done(s, true);
}

/* ---- MAIL, RCPT ---- */

static struct smtp_path_conf
path_conf(const struct smtp_server *s)
{
	return (struct smtp_path_conf){
		.strict = s->conf->strict_envelopes,
		.has_dsn = (s->rights.hide & SMTP_EHLO_DSN) == 0,
		.utf8_ok = s->conf->utf8_ok,
	};
}

static void
bad_path(struct smtp_server *s, const struct smtp_path_bad *bad)
{
	if (bad->text.n > 0)
		srv_logf(s, SMTP_LOG_WARN,
		    "Illegal address syntax from %.*s in %s command: %.*s",
		    STR_ARG(s->namaddr), s->where, STR_ARG(str_head(bad->text, 100)));
	srv_reply(s, bad->reply);
	srv_done(s, false);
}

static void
cmd_mail(struct smtp_server *s, struct str args)
{
	struct smtp_path_conf conf = path_conf(s);
	struct smtp_path_bad bad;

	if (s->conf->helo_required && s->helo.n == 0) {
		srv_fail(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->tx.has_mail) {
		srv_fail(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (smtp_path_mail(args, &conf, s->mem, &s->tx.mail, &bad) != RC_OK) {
		bad_path(s, &bad);
		srv_reset(s, true);
		return;
	}
	s->tx.has_mail = true;
	if (s->conf->size_limit > 0 && s->tx.mail.size_bytes > s->conf->size_limit) {
		srv_log_what(
		    s, STR("reject"), STR("552 5.3.4 Message size exceeds fixed limit"));
		srv_fail(s, "552 5.3.4 Message size exceeds fixed limit");
		srv_reset(s, true);
		return;
	}
	srv_ask(s, SMTP_FX_CHECK_MAIL, s->tx.mail.address);
}

static void
too_many_rcpt(struct smtp_server *s)
{
	srv_reply(s, STR("452 4.5.3 Error: too many recipients"));
	/* RFC 5321 4.5.3.1.10: sending a few more than fit is no mistake. */
	srv_done(s, s->tx.n_over++ < s->conf->recipient_overshoot);
}

static void
cmd_rcpt(struct smtp_server *s, struct str args)
{
	struct smtp_path_conf conf = path_conf(s);
	struct smtp_path_bad bad;

	if (!s->tx.has_mail) {
		srv_fail(s, "503 5.5.1 Error: need MAIL command");
		return;
	}
	if (smtp_path_rcpt(args, &conf, s->scratch, &s->tx.rcpt, &bad) != RC_OK) {
		bad_path(s, &bad);
		return;
	}
	if (s->conf->recipient_limit > 0 && s->tx.n_rcpt >= s->conf->recipient_limit) {
		too_many_rcpt(s);
		return;
	}
	s->tx.has_rcpt = true;
	srv_ask(s, SMTP_FX_CHECK_RCPT, s->tx.rcpt.address);
}

static void
answer_rcpt(struct smtp_server *s, const struct smtp_answer *a)
{
	if (s->tx.n_rcpt == 0) {
		assert(a->queue_id.n > 0);
		s->tx.queue_id = arena_str(s->mem, a->queue_id);
		s->tx.first_rcpt = arena_str(s->mem, s->tx.rcpt.address);
		assert(s->tx.queue_id.p != NULL && s->tx.first_rcpt.p != NULL);
		srv_logf(s, SMTP_LOG_INFO, "%.*s: client=%.*s", STR_ARG(s->tx.queue_id),
		    STR_ARG(s->namaddr));
	}
	s->tx.n_rcpt++;
	ok(s, "250 2.1.5 Ok");
}

/* ---- the others ---- */

static void
cmd_data(struct smtp_server *s, struct str args)
{
	if (s->tx.n_rcpt == 0)
		srv_fail(s, s->tx.has_mail ? "554 5.5.1 Error: no valid recipients"
					   : "503 5.5.1 Error: need RCPT command");
	else if (args.n > 0)
		srv_fail(s, "501 5.5.4 Syntax: DATA");
	else
		srv_ask(s, SMTP_FX_CHECK_DATA, STR(""));
}

static void
cmd_rset(struct smtp_server *s, struct str args)
{
	if (args.n > 0) {
		srv_fail(s, "501 5.5.4 Syntax: RSET");
		return;
	}
	srv_reset(s, true);
	ok(s, "250 2.0.0 Ok");
}

static void
cmd_noop(struct smtp_server *s, struct str args)
{
	(void)args;
	ok(s, "250 2.0.0 Ok");
}

static void
cmd_vrfy(struct smtp_server *s, struct str args)
{
	struct str address;

	if (s->conf->disable_vrfy) {
		srv_fail(s, "502 5.5.1 VRFY command is disabled");
		return;
	}
	if (args.n == 0) {
		srv_fail(s, "501 5.5.4 Syntax: VRFY address [SMTPUTF8]");
		return;
	}
	if (smtp_path_vrfy(args, s->scratch, &address) != RC_OK) {
		bad_path(s, &(struct smtp_path_bad){
				.reply = STR("501 5.1.3 Bad recipient address syntax"),
				.text = args });
		return;
	}
	s->tx.rcpt = (struct smtp_rcpt_args){ .address = address,
		.orcpt = arena_str(s->scratch, args) };
	s->tx.has_rcpt = true;
	srv_ask(s, SMTP_FX_CHECK_VRFY, address);
}

static void
answer_vrfy(struct smtp_server *s, const struct smtp_answer *a)
{
	if (a->reply.n > 0)
		srv_reply(s, a->reply);
	else
		srv_replyf(s, "252 2.0.0 %.*s", STR_ARG(s->tx.rcpt.orcpt));
	srv_done(s, true);
}

static void
cmd_quit(struct smtp_server *s, struct str args)
{
	(void)args;
	ok(s, "221 2.0.0 Bye");
	srv_close(s);
}

/* Postfix's words for a service that is switched off. */
static void
cmd_off(struct smtp_server *s, struct str args)
{
	(void)args;
	srv_fail(s, "502 5.5.1 Error: command not implemented");
}

static void
cmd_starttls(struct smtp_server *s, struct str args)
{
	if (s->conf->needs_tls)
		srv_fail(s, "454 4.7.0 TLS not available due to local problem");
	else
		cmd_off(s, args);
}

static void
cmd_auth(struct smtp_server *s, struct str args)
{
	(void)args;
	srv_fail(s, "503 5.5.1 Error: authentication not enabled");
}

static void
cmd_forbidden(struct smtp_server *s, struct str args)
{
	(void)args;
	srv_fail(s, "550 5.7.0 Error: insufficient authorization");
}

/* The chunk that follows would be taken for commands: no going on after this. */
static void
cmd_bdat(struct smtp_server *s, struct str args)
{
	(void)args;
	srv_fail(s, "521 5.5.1 Error: command not implemented");
	srv_close(s);
}

static const struct srv_command commands[] = {
	{ "HELO", VERB_HELO, SRV_LIMIT | SRV_LAST | SRV_PLAIN, cmd_helo },
	{ "EHLO", VERB_EHLO, SRV_LIMIT | SRV_LAST | SRV_PLAIN, cmd_helo },
	{ "MAIL", VERB_MAIL, 0, cmd_mail },
	{ "RCPT", VERB_RCPT, 0, cmd_rcpt },
	{ "DATA", VERB_DATA, SRV_LAST, cmd_data },
	{ "RSET", VERB_RSET, SRV_LIMIT, cmd_rset },
	{ "QUIT", VERB_QUIT, SRV_PLAIN, cmd_quit },
	{ "NOOP", VERB_NOOP, SRV_LIMIT | SRV_LAST | SRV_PLAIN, cmd_noop },
	{ "VRFY", VERB_VRFY, SRV_LIMIT | SRV_LAST, cmd_vrfy },
	{ "ETRN", VERB_ETRN, SRV_LIMIT, cmd_off },
	{ "STARTTLS", VERB_STARTTLS, SRV_PLAIN, cmd_starttls },
	{ "AUTH", VERB_AUTH, 0, cmd_auth },
	{ "BDAT", VERB_BDAT, 0, cmd_bdat },
	{ "XCLIENT", VERB_XCLIENT, SRV_PLAIN, cmd_forbidden },
	{ "XFORWARD", VERB_XFORWARD, 0, cmd_forbidden },
};

const struct srv_command *
srv_command_find(struct str verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_iis(verb, commands[i].name))
			return &commands[i];
	return NULL;
}

void
srv_answer_command(struct smtp_server *s, const struct smtp_answer *a)
{
	struct str no =
	    a->reply.n > 0 ? a->reply : STR("451 4.3.0 Error: queue file write error");

	if (a->rc != RC_OK) {
		/* compat: room is looked for before the sender is looked at */
		if (s->asked == SMTP_FX_CHECK_MAIL && str_starts(no, STR("452 4.3.1")))
			s->tx.has_mail = false;
		if (!a->log_quiet)
			srv_log_what(
			    s, a->log_verb.n > 0 ? a->log_verb : STR("reject"), no);
		srv_reply(s, no);
		if (s->asked == SMTP_FX_CHECK_MAIL)
			srv_reset(s, true);
		if (s->asked == SMTP_FX_CHECK_HELO)
			s->helo = STR("");
		srv_done(s, false);
		return;
	}
	if (s->asked == SMTP_FX_CHECK_HELO)
		answer_helo(s);
	else if (s->asked == SMTP_FX_CHECK_MAIL)
		ok(s, "250 2.1.0 Ok");
	else if (s->asked == SMTP_FX_CHECK_RCPT)
		answer_rcpt(s, a);
	else if (s->asked == SMTP_FX_CHECK_VRFY)
		answer_vrfy(s, a);
	else
		srv_data_start(s);
}

/* ---- names of extensions ---- */

unsigned
smtp_ehlo_bits(struct str names, struct str *unknown)
{
	static const struct {
		const char *name;
		unsigned bit;
	} table[] = { { "pipelining", SMTP_EHLO_PIPELINING }, { "size", SMTP_EHLO_SIZE },
		{ "vrfy", SMTP_EHLO_VRFY }, { "enhancedstatuscodes", SMTP_EHLO_STATUS },
		{ "8bitmime", SMTP_EHLO_8BITMIME }, { "dsn", SMTP_EHLO_DSN },
		{ "silent-discard", SMTP_EHLO_SILENT }, { "etrn", SMTP_EHLO_ETRN },
		{ "verp", SMTP_EHLO_VERP }, { "xclient", SMTP_EHLO_XCLIENT },
		{ "xforward", SMTP_EHLO_XFORWARD }, { "smtputf8", SMTP_EHLO_UTF8 },
		{ "chunking", SMTP_EHLO_CHUNKING }, { "starttls", SMTP_EHLO_STARTTLS },
		{ "auth", SMTP_EHLO_AUTH }, { "requiretls", SMTP_EHLO_REQUIRETLS } };
	unsigned bits = 0;
	struct str word;

	while (str_token(&names, " \t\r\n,", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(table) && !str_iis(word, table[i].name))
			i++;
		if (i < ARRAY_LEN(table))
			bits |= table[i].bit;
		else if (unknown != NULL)
			*unknown = word;
	}
	return bits;
}
