/* Command lines: cutting them off the input, the table of commands, the questions they
 * ask. Replies and their order of precedence are Postfix's (compat: all literals here).
 */
#include "smtp/server_int.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Characters that would make a HELO name ambiguous where it is shown (compat). */
#define NEUTER " <>()\\\";@"

enum flag {
	LIMIT = 1, /* counts against smtpd_junk_command_limit */
	LAST = 2,  /* ends a group of pipelined commands; RFC 2920 3.1 */
};

struct command {
	const char *name;
	enum srv_verb verb;
	unsigned flags;
	void (*run)(struct smtp_server *, struct str args);
};

static void
fail(struct smtp_server *s, const char *reply)
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
		fail(s,
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
	unsigned hide = s->conf->hide;
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

	if ((c->hide & SMTP_EHLO_PIPELINING) == 0)
		(void)strcpy(line[n++], "PIPELINING");
	if ((c->hide & SMTP_EHLO_SIZE) == 0) {
		if (c->size_limit > 0)
			(void)snprintf(line[n++], sizeof(line[0]), "SIZE %lld",
			    (long long)c->size_limit);
		else
			(void)strcpy(line[n++], "SIZE");
	}
	if ((c->hide & SMTP_EHLO_VRFY) == 0 && !c->disable_vrfy)
		(void)strcpy(line[n++], "VRFY");
	if ((c->hide & SMTP_EHLO_STATUS) == 0)
		(void)strcpy(line[n++], "ENHANCEDSTATUSCODES");
	if ((c->hide & SMTP_EHLO_8BITMIME) == 0)
		(void)strcpy(line[n++], "8BITMIME");
	if ((c->hide & SMTP_EHLO_DSN) == 0)
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
		.has_dsn = (s->conf->hide & SMTP_EHLO_DSN) == 0,
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
		fail(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->tx.has_mail) {
		fail(s, "503 5.5.1 Error: nested MAIL command");
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
		fail(s, "552 5.3.4 Message size exceeds fixed limit");
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
		fail(s, "503 5.5.1 Error: need MAIL command");
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
		fail(s, s->tx.has_mail ? "554 5.5.1 Error: no valid recipients"
				       : "503 5.5.1 Error: need RCPT command");
	else if (args.n > 0)
		fail(s, "501 5.5.4 Syntax: DATA");
	else
		srv_ask(s, SMTP_FX_CHECK_DATA, STR(""));
}

static void
cmd_rset(struct smtp_server *s, struct str args)
{
	if (args.n > 0) {
		fail(s, "501 5.5.4 Syntax: RSET");
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
		fail(s, "502 5.5.1 VRFY command is disabled");
		return;
	}
	if (args.n == 0) {
		fail(s, "501 5.5.4 Syntax: VRFY address [SMTPUTF8]");
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
	fail(s, "502 5.5.1 Error: command not implemented");
}

static void
cmd_auth(struct smtp_server *s, struct str args)
{
	(void)args;
	fail(s, "503 5.5.1 Error: authentication not enabled");
}

static void
cmd_forbidden(struct smtp_server *s, struct str args)
{
	(void)args;
	fail(s, "550 5.7.0 Error: insufficient authorization");
}

/* The chunk that follows would be taken for commands: no going on after this. */
static void
cmd_bdat(struct smtp_server *s, struct str args)
{
	(void)args;
	fail(s, "521 5.5.1 Error: command not implemented");
	srv_close(s);
}

static const struct command commands[] = {
	{ "HELO", VERB_HELO, LIMIT | LAST, cmd_helo },
	{ "EHLO", VERB_EHLO, LIMIT | LAST, cmd_helo },
	{ "MAIL", VERB_MAIL, 0, cmd_mail },
	{ "RCPT", VERB_RCPT, 0, cmd_rcpt },
	{ "DATA", VERB_DATA, LAST, cmd_data },
	{ "RSET", VERB_RSET, LIMIT, cmd_rset },
	{ "QUIT", VERB_QUIT, 0, cmd_quit },
	{ "NOOP", VERB_NOOP, LIMIT | LAST, cmd_noop },
	{ "VRFY", VERB_VRFY, LIMIT | LAST, cmd_vrfy },
	{ "ETRN", VERB_ETRN, LIMIT, cmd_off },
	{ "STARTTLS", VERB_STARTTLS, 0, cmd_off },
	{ "AUTH", VERB_AUTH, 0, cmd_auth },
	{ "BDAT", VERB_BDAT, 0, cmd_bdat },
	{ "XCLIENT", VERB_XCLIENT, 0, cmd_forbidden },
	{ "XFORWARD", VERB_XFORWARD, 0, cmd_forbidden },
};

static const struct command *
find_command(struct str verb)
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

/* ---- lines ---- */

static bool
in_list(struct str list, struct str name)
{
	struct str word;

	while (str_token(&list, " \t\r\n,", &word))
		if (str_ieq(word, name))
			return true;
	return false;
}

/* The one table that smtpd_forbidden_commands has by default (compat), understood without
 * opening any: "regexp:{{/^[^A-Z]/ Bogus}}". Regexp tables fold case. */
static bool
forbids_odd_letters(struct str list)
{
	const struct str rule = STR("regexp:{{/^[^A-Z]/");

	for (size_t i = 0; i + rule.n <= list.n; i++)
		if (str_starts(str_from(list, i), rule))
			return true;
	return false;
}

/* A mail header or another protocol: somebody makes a browser or a proxy talk to us. */
static bool
is_not_smtp(const struct smtp_server *s, struct str verb)
{
	size_t colon = str_find(verb, ':');

	if (colon > 0 && colon < verb.n)
		return true;
	return in_list(s->conf->forbidden_commands, verb) ||
	       (forbids_odd_letters(s->conf->forbidden_commands) &&
		   !ascii_isalpha(verb.p[0]));
}

static void
count_junk(struct smtp_server *s)
{
	if (s->junk_count++ > s->conf->junk_command_limit)
		s->error_count++;
}

static void
unknown_command(struct smtp_server *s, struct str verb, struct str line)
{
	s->verb = VERB_UNKNOWN;
	s->where = "UNKNOWN";
	if (is_not_smtp(s, verb)) {
		srv_logf(s, SMTP_LOG_WARN, "non-SMTP command from %.*s: %.*s",
		    STR_ARG(s->namaddr), STR_ARG(str_head(line, 100)));
		fail(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		srv_close(s);
	} else
		fail(s, "500 5.5.2 Error: command not recognized");
}

/* More input behind a command whose reply the client had to wait for. True: that is the
 * end. */
static bool
breaks_rules(struct smtp_server *s, const struct command *c, struct str more)
{
	if (!s->ill_pipelining && more.n > 0 && (!s->esmtp || (c->flags & LAST) != 0)) {
		srv_log_pipelining(s, c->name, more);
		if (s->conf->forbid_unauth_pipelining) {
			fail(s, "554 5.5.0 Error: SMTP protocol synchronization");
			srv_close(s);
			return true;
		}
	}
	return false;
}

static void
command_line(struct smtp_server *s, struct str line, struct str more)
{
	const struct command *c;
	struct str verb, args = line;

	if (!str_token(&args, " \t\v\f\r", &verb)) {
		srv_reply(s, STR("500 5.5.2 Error: bad syntax"));
		s->error_count++;
		return;
	}
	args = str_trim(args);
	c = find_command(verb);
	if (in_list(s->conf->noop_commands, verb)) {
		srv_reply(s, STR("250 2.0.0 Ok"));
		count_junk(s);
		return;
	}
	if (c == NULL) {
		unknown_command(s, verb, line);
		return;
	}
	s->verb = c->verb;
	if (s->denied && c->verb != VERB_QUIT) {
		srv_replyf(
		    s, "503 5.7.0 Error: access denied for %.*s", STR_ARG(s->namaddr));
		srv_done(s, false);
		return;
	}
	s->where = c->name;
	if (breaks_rules(s, c, more))
		return;
	if ((c->flags & LIMIT) != 0)
		count_junk(s);
	c->run(s, args);
}

/* Bytes above 127 that are not UTF-8. Source: RFC 3629. */
static bool
is_utf8(struct str s)
{
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i++];
		unsigned more = c < 0x80   ? 0
				: c < 0xc2 ? 9
				: c < 0xe0 ? 1
				: c < 0xf0 ? 2
				: c < 0xf5 ? 3
					   : 9;

		if (more > s.n - i)
			return false;
		if ((c == 0xe0 && (unsigned char)s.p[i] < 0xa0) ||
		    (c == 0xed && (unsigned char)s.p[i] > 0x9f) ||
		    (c == 0xf0 && (unsigned char)s.p[i] < 0x90) ||
		    (c == 0xf4 && (unsigned char)s.p[i] > 0x8f))
			return false;
		for (; more > 0; more--, i++)
			if (((unsigned char)s.p[i] & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static bool
refuse_bare_lf(struct smtp_server *s)
{
	if (s->conf->newline == SMTP_NEWLINE_NOTE)
		srv_log_what(s, STR("note"), STR("bare <LF> received"));
	if (s->conf->newline != SMTP_NEWLINE_REJECT)
		return false;
	srv_log_what(s, STR("reject"), STR("bare <LF> received"));
	srv_replyf(s, "%.*s 5.5.2 %.*s Error: bare <LF> received",
	    STR_ARG(s->conf->newline_code), STR_ARG(s->conf->hostname));
	srv_close(s);
	return true;
}

/* The rest of a line that was too long. */
static size_t
skip_line(struct smtp_server *s, struct str in)
{
	size_t nl = str_find(in, '\n');

	s->is_skipping = nl == in.n;
	return s->is_skipping ? in.n : nl + 1;
}

size_t
srv_command_recv(struct smtp_server *s, struct str in)
{
	size_t limit = s->conf->line_limit, nl, used;
	struct str line, head;

	if (s->is_skipping)
		return skip_line(s, in);
	head = str_head(in, limit + 1);
	nl = str_find(head, '\n');
	if (nl == head.n && in.n <= limit)
		return 0;
	if (nl == head.n) {
		line = str_head(in, limit);
		used = limit;
		s->is_skipping = true;
		srv_logf(s, SMTP_LOG_WARN, "%.*s: request longer than %zu: %.*s...",
		    STR_ARG(s->namaddr), limit, STR_ARG(str_head(line, 30)));
	} else {
		line = str_head(in, nl);
		used = nl + 1;
		if ((nl == 0 || in.p[nl - 1] != '\r') && refuse_bare_lf(s))
			return used;
		while (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
	}
	line = str_head(line, str_find(line, '\0')); /* compat: a NUL ends it */
	if (s->conf->utf8_ok && !is_utf8(line)) {
		srv_reply(s, STR("500 5.5.2 Error: bad UTF-8 syntax"));
		s->error_count++;
		return used;
	}
	command_line(s, line, s->is_skipping ? STR("") : str_from(in, used));
	return used;
}

/* ---- names of extensions ---- */

unsigned
smtp_ehlo_bits(struct str names)
{
	static const struct {
		const char *name;
		unsigned bit;
	} table[] = { { "pipelining", SMTP_EHLO_PIPELINING }, { "size", SMTP_EHLO_SIZE },
		{ "vrfy", SMTP_EHLO_VRFY }, { "enhancedstatuscodes", SMTP_EHLO_STATUS },
		{ "8bitmime", SMTP_EHLO_8BITMIME }, { "dsn", SMTP_EHLO_DSN },
		{ "silent-discard", SMTP_EHLO_SILENT } };
	unsigned bits = 0;
	struct str word;

	while (str_token(&names, " \t\r\n,", &word))
		for (size_t i = 0; i < ARRAY_LEN(table); i++)
			if (str_iis(word, table[i].name))
				bits |= table[i].bit;
	return bits;
}
