/* From bytes to a command: cutting lines off the input, refusing what is no SMTP, and
 * finding the command in the table. Replies are Postfix's (compat: all literals here). */
#include "smtp/server_int.h"
#include "base/utf8.h"

#define SKIP_MAX  ((size_t)2 << 20)   /* of one line: whoever sends more never ends it */
#define HEARD_MAX ((size_t)2048)      /* of a line for a transcript */
#define ASKED_MAX ((size_t)32 * 1024) /* of a line that a table is asked about */

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

static bool
is_noop(const struct smtp_server *s, struct str verb)
{
	return s->conf->noop_commands.n > 0 && in_list(s->conf->noop_commands, verb);
}

/* A mail header or another protocol: somebody makes a browser or a proxy talk to us. */
static bool
is_not_smtp(const struct smtp_server *s, struct str verb)
{
	size_t colon = str_find(verb, ':');

	if (colon > 0 && colon < verb.n)
		return true;
	return s->forbidden == FORBIDDEN_YES ||
	       in_list(s->conf->forbidden_commands, verb) ||
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
deny(struct smtp_server *s)
{
	srv_replyf(s, "503 5.7.0 Error: access denied for %.*s", STR_ARG(s->namaddr));
	srv_done(s, false);
}

static void
unknown_command(struct smtp_server *s, struct str verb, struct str line)
{
	s->verb = VERB_UNKNOWN;
	s->where = "UNKNOWN";
	if (is_not_smtp(s, verb)) {
		srv_log_not_smtp(s, line);
		srv_refuse(s, 0, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		srv_close(s);
	} else if (s->denied)
		deny(s);
	else
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
			srv_refuse(
			    s, 0, "554 5.5.0 Error: SMTP protocol synchronization");
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
		s->trouble |= SMTP_TROUBLE_PROTOCOL;
		srv_reply(s, STR("500 5.5.2 Error: bad syntax"));
		s->error_count++;
		return;
	}
	args = str_trim(args);
	c = srv_command_find(verb);
	if (is_noop(s, verb)) {
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
		deny(s);
		return;
	}
	s->where = c->name;
	if (breaks_rules(s, c, more))
		return;
	if ((c->flags & SRV_LIMIT) != 0)
		count_junk(s);
	if (s->conf->needs_tls && (c->flags & SRV_PLAIN) == 0) {
		srv_refuse(s, 0, "530 5.7.0 Must issue a STARTTLS command first");
		return;
	}
	c->run(s, args);
}

static bool
refuse_bare_lf(struct smtp_server *s)
{
	if (srv_newline(s) == SMTP_NEWLINE_NOTE)
		s->had_bare_lf = true;
	if (srv_newline(s) != SMTP_NEWLINE_REJECT)
		return false;
	s->trouble |= SMTP_TROUBLE_PROTOCOL;
	srv_log_bare_lf(s);
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

/* ---- what tables say about a line ---- */

/* smtpd_command_filter, and tables of smtpd_forbidden_commands: True: that was asked. The
 * line stays with the shell meanwhile and is offered again with the answer. */
static bool
asks(struct smtp_server *s, struct str line)
{
	struct str verb;

	while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = str_from(line, 1);
	/* line_length_limit may be more than there is room for. */
	if (line.n > ASKED_MAX) {
		srv_local_trouble(s);
		return true;
	}
	if (s->conf->filters_commands && !s->has_filtered) {
		srv_ask(s, SMTP_FX_FILTER_COMMAND, line);
		return true;
	}
	if (!s->conf->forbids_by_table || s->forbidden != FORBIDDEN_UNKNOWN ||
	    !str_token(&line, " \t\v\f\r", &verb) || srv_command_find(verb) != NULL ||
	    is_noop(s, verb))
		return false;
	srv_ask(s, SMTP_FX_CHECK_COMMAND, verb);
	return true;
}

void
srv_answer_filter(struct smtp_server *s, const struct smtp_answer *a)
{
	if (a->rc != RC_OK) {
		srv_local_trouble(s);
		return;
	}
	s->has_filtered = true;
	s->filtered = STR("");
	arena_reset(s->scratch); /* commands that end without srv_done() left theirs */
	if (a->reply.n == 0)
		return;
	s->filtered = arena_str(s->scratch, str_head(a->reply, s->conf->line_limit));
	if (s->filtered.p == NULL)
		srv_local_trouble(s); /* too long to keep; never the line as it was */
}

void
srv_answer_forbidden(struct smtp_server *s, const struct smtp_answer *a)
{
	if (a->rc == RC_TEMP)
		srv_local_trouble(s);
	else
		s->forbidden = a->rc == RC_OK ? FORBIDDEN_NO : FORBIDDEN_YES;
}

/* ---- cutting lines off ---- */

struct cut {
	struct str line;
	size_t used;
	bool is_too_long, is_bare;
};

/* False: the line has no end yet. */
static bool
cut_line(const struct smtp_server *s, struct str in, struct cut *out)
{
	size_t limit = s->conf->line_limit;
	struct str head = str_head(in, limit + 1);
	size_t nl = str_find(head, '\n');

	if (nl == head.n && in.n <= limit)
		return false;
	*out = (struct cut){ .line = str_head(in, nl), .used = nl + 1 };
	if (nl == head.n) {
		out->line = str_head(in, limit);
		out->used = limit;
		out->is_too_long = true;
		return true;
	}
	out->is_bare = nl == 0 || in.p[nl - 1] != '\r';
	while (out->line.n > 0 && out->line.p[out->line.n - 1] == '\r')
		out->line.n--;
	return true;
}

/* The line is taken off the input. False: it is not to be looked at. */
static bool
take_line(struct smtp_server *s, const struct cut *c)
{
	s->is_skipping = c->is_too_long;
	if (c->is_too_long) {
		s->n_skipped = 0;
		srv_logf(s, SMTP_LOG_WARN, "%.*s: request longer than %zu: %.*s...",
		    STR_ARG(s->namaddr), s->conf->line_limit,
		    STR_ARG(str_head(c->line, 30)));
	}
	return !c->is_bare || !refuse_bare_lf(s);
}

/* Once, also when tables are asked about the line and it is offered again. */
static void
hear(struct smtp_server *s, struct str line)
{
	if (!s->conf->has_listener || s->is_heard)
		return;
	s->is_heard = true;
	srv_emit(s, SMTP_FX_HEARD, str_head(line, HEARD_MAX));
}

size_t
srv_command_recv(struct smtp_server *s, struct str in)
{
	struct str line;
	struct cut c;

	if (s->is_skipping)
		return skip_line(s, in);
	if (!cut_line(s, in, &c))
		return 0;
	line = str_head(c.line, str_find(c.line, '\0')); /* compat: a NUL ends it */
	hear(s, line);
	if (s->has_filtered && s->filtered.n > 0)
		line = s->filtered;
	if ((s->conf->filters_commands || s->conf->forbids_by_table) && asks(s, line))
		return 0;
	s->is_heard = false;
	if (!take_line(s, &c))
		return c.used;
	if (s->conf->utf8_ok && !utf8_is_valid(line)) {
		s->trouble |= SMTP_TROUBLE_PROTOCOL;
		srv_reply(s, STR("500 5.5.2 Error: bad UTF-8 syntax"));
		s->error_count++;
	} else {
		s->line = line;
		command_line(s, line, s->is_skipping ? STR("") : str_from(in, c.used));
		s->line = STR("");
	}
	s->has_filtered = false;
	s->forbidden = FORBIDDEN_UNKNOWN;
	return c.used;
}
