/* From bytes to a command: cutting lines off the input, refusing what is no SMTP, and
 * finding the command in the table. Replies are Postfix's (compat: all literals here). */
#include "smtp/server_int.h"

#define SKIP_MAX ((size_t)2 << 20) /* of one line: whoever sends more never ends it */

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
		srv_fail(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		srv_close(s);
	} else
		srv_fail(s, "500 5.5.2 Error: command not recognized");
}

/* More input behind a command whose reply the client had to wait for. True: that is the
 * end. */
static bool
breaks_rules(struct smtp_server *s, const struct srv_command *c, struct str more)
{
	if (!s->ill_pipelining && more.n > 0 &&
	    (!s->esmtp || (c->flags & SRV_LAST) != 0)) {
		srv_log_pipelining(s, c->name, more);
		if (s->conf->forbid_unauth_pipelining) {
			srv_fail(s, "554 5.5.0 Error: SMTP protocol synchronization");
			srv_close(s);
			return true;
		}
	}
	return false;
}

static void
command_line(struct smtp_server *s, struct str line, struct str more)
{
	const struct srv_command *c;
	struct str verb, args = line;

	if (!str_token(&args, " \t\v\f\r", &verb)) {
		srv_reply(s, STR("500 5.5.2 Error: bad syntax"));
		s->error_count++;
		return;
	}
	args = str_trim(args);
	c = srv_command_find(verb);
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
	if ((c->flags & SRV_LIMIT) != 0)
		count_junk(s);
	if (s->conf->needs_tls && (c->flags & SRV_PLAIN) == 0) {
		srv_fail(s, "530 5.7.0 Must issue a STARTTLS command first");
		return;
	}
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
	if (srv_newline(s) == SMTP_NEWLINE_NOTE)
		srv_log_what(s, STR("note"), STR("bare <LF> received"));
	if (srv_newline(s) != SMTP_NEWLINE_REJECT)
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
	s->n_skipped += nl;
	if (s->is_skipping && s->n_skipped > SKIP_MAX) {
		srv_logf(s, SMTP_LOG_WARN, "%.*s: a request without an end",
		    STR_ARG(s->namaddr));
		srv_reply(s, STR("500 5.5.2 Error: line too long"));
		srv_close(s);
	}
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
		s->n_skipped = 0;
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
