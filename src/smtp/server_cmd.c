/* The table of commands, what each does, the questions they ask and what answers mean.
 * Replies and their order of precedence are Postfix's (compat: all literals here). */
#include "smtp/server_int.h"
#include "addr/domain.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

void
srv_refuse(struct smtp_server *s, unsigned trouble, const char *reply)
{
	s->trouble |= trouble;
	srv_reply(s, str_c(reply));
	srv_done(s, false);
}

void
srv_fail(struct smtp_server *s, const char *reply)
{
	srv_refuse(s, SMTP_TROUBLE_PROTOCOL, reply);
}

void
srv_ok(struct smtp_server *s, const char *reply)
{
	srv_reply(s, str_c(reply));
	srv_done(s, true);
}

/* ---- MAIL, RCPT ---- */

static bool
has_utf8(const struct smtp_server *s)
{
	return s->conf->utf8_ok && (s->rights.hide & SMTP_EHLO_UTF8) == 0;
}

static struct smtp_path_conf
path_conf(const struct smtp_server *s)
{
	return (struct smtp_path_conf){
		.strict = s->conf->strict_envelopes,
		.has_dsn = (s->rights.hide & SMTP_EHLO_DSN) == 0,
		.minus_ok = s->conf->minus_ok,
		.numeric_ok = s->conf->numeric_ok,
		.null_ok = s->conf->null_ok,
		.append_dot = s->conf->append_dot,
		.operators = s->conf->operators,
		.has_utf8 = has_utf8(s),
		.utf8_ok = s->tx.mail.smtputf8,
		.has_verp = s->rights.may_verp,
		.verp_delimiters = s->conf->verp_delimiters,
		.verp_filter = s->conf->verp_filter,
	};
}

static const char bad_sender[] = "501 5.1.7 Bad sender address syntax",
		  bad_recipient[] = "501 5.1.3 Bad recipient address syntax";

static void
bad_path(struct smtp_server *s, const struct smtp_path_bad *bad)
{
	if (bad->text.n > 0)
		srv_logf(s, SMTP_LOG_WARN,
		    "Illegal address syntax from %.*s in %s command: %.*s",
		    STR_ARG(s->namaddr), s->where, STR_ARG(bad->text));
	if (bad->warning.n > 0)
		srv_logf(s, SMTP_LOG_WARN, "%.*s", STR_ARG(bad->warning));
	s->trouble |= SMTP_TROUBLE_PROTOCOL;
	srv_reply(s, bad->reply);
	srv_done(s, false);
}

/* True: such an address needs SMTPUTF8, which was not said. */
static bool
refuse_utf8(struct smtp_server *s, struct str address, bool is_said)
{
	if (!s->conf->strict_utf8 || !s->conf->utf8_ok || is_said ||
	    !smtp_path_is_utf8(address))
		return false;
	srv_refuse(s, 0, "553 5.6.7 Must declare SMTPUTF8 to send unicode address");
	return true;
}

static void
cmd_mail(struct smtp_server *s, struct str args)
{
	struct smtp_path_conf conf = path_conf(s);
	struct smtp_path_bad bad;

	if (s->conf->helo_required && s->helo.n == 0) {
		srv_refuse(
		    s, SMTP_TROUBLE_POLICY, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->tx.has_mail) {
		srv_fail(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (s->bdat != BDAT_NONE) {
		srv_fail(s, s->bdat == BDAT_FAILED
				? "503 5.5.1 Error: MAIL after BDAT"
				: "503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (smtp_path_mail(args, &conf, s->mem, &s->tx.mail, &bad) != RC_OK) {
		bad_path(s, &bad);
		srv_reset(s, true);
		return;
	}
	if (refuse_utf8(s, s->tx.mail.address, s->tx.mail.smtputf8)) {
		srv_reset(s, true);
		return;
	}
	s->tx.has_mail = true;
	if (s->conf->size_limit > 0 && s->tx.mail.size_bytes > s->conf->size_limit) {
		srv_log_what(
		    s, STR("reject"), STR("552 5.3.4 Message size exceeds fixed limit"));
		srv_refuse(
		    s, SMTP_TROUBLE_POLICY, "552 5.3.4 Message size exceeds fixed limit");
		srv_reset(s, true);
		return;
	}
	srv_ask(s, SMTP_FX_CHECK_MAIL, s->tx.mail.address);
}

static void
too_many_rcpt(struct smtp_server *s)
{
	bool is_mistake = s->tx.n_over++ >= s->conf->recipient_overshoot;

	/* RFC 5321 4.5.3.1.10: sending a few more than fit is none. */
	if (is_mistake)
		s->trouble |= SMTP_TROUBLE_POLICY;
	srv_reply(s, STR("452 4.5.3 Error: too many recipients"));
	srv_done(s, !is_mistake);
}

static void
cmd_rcpt(struct smtp_server *s, struct str args)
{
	struct smtp_path_conf conf = path_conf(s);
	struct smtp_path_bad bad;

	if (!s->tx.has_mail && s->bdat != BDAT_FAILED_IN_MAIL) {
		srv_fail(s, "503 5.5.1 Error: need MAIL command");
		return;
	}
	if (s->bdat != BDAT_NONE) {
		srv_fail(s, "503 5.5.1 Error: RCPT after BDAT");
		return;
	}
	if (smtp_path_rcpt(args, &conf, s->scratch, &s->tx.rcpt, &bad) != RC_OK) {
		bad_path(s, &bad);
		return;
	}
	if (refuse_utf8(s, s->tx.rcpt.address, s->tx.mail.smtputf8))
		return;
	if (s->conf->recipient_limit > 0 && s->tx.n_rcpt >= s->conf->recipient_limit) {
		too_many_rcpt(s);
		return;
	}
	s->tx.has_rcpt = true;
	srv_ask(s, SMTP_FX_CHECK_RCPT, s->tx.rcpt.address);
}

/* compat: who forwarded the message, in the shape that depends on what was said. */
static void
log_opened(struct smtp_server *s)
{
	const struct smtp_client_attrs *x = srv_forwarded(s);
	const char *sasl = s->login.n > 0 ? ", sasl_method=XCLIENT, sasl_username=" : "";
	bool has_id = x != NULL && x->ident.n > 0,
	     has_addr = x != NULL && x->addr.n > 0 && !str_is(x->addr, "unknown");
	bool has_client =
	    x != NULL &&
	    (has_addr || x->name.p != NULL || x->port.p != NULL || x->helo.p != NULL ||
		x->proto.p != NULL || x->addr.p != NULL || x->source.p != NULL);
	struct str name = has_client && x->name.n > 0 ? x->name : STR("unknown");

	srv_logf(s, SMTP_LOG_INFO, "%.*s: client=%.*s%s%.*s%s%.*s%s%.*s%s%.*s%s%.*s%s",
	    STR_ARG(s->tx.queue_id), STR_ARG(s->namaddr), sasl, STR_ARG(s->login),
	    s->tx.mail.has_auth ? ", sasl_sender=" : "",
	    STR_ARG(s->tx.mail.has_auth ? s->tx.mail.auth : STR("")),
	    has_id ? ", orig_queue_id=" : "", STR_ARG(has_id ? x->ident : STR("")),
	    has_client ? ", orig_client=" : "", STR_ARG(has_client ? name : STR("")),
	    has_addr ? "[" : "", STR_ARG(has_addr ? x->addr : STR("")),
	    has_addr ? "]" : "");
}

void
srv_opened(struct smtp_server *s, struct str queue_id)
{
	if (s->tx.queue_id.n > 0 || queue_id.n == 0)
		return;
	s->tx.queue_id = arena_str(s->mem, queue_id);
	assert(s->tx.queue_id.p != NULL);
	log_opened(s);
}

static void
answer_rcpt(struct smtp_server *s, const struct smtp_answer *a)
{
	srv_opened(s, a->queue_id);
	assert(s->tx.queue_id.n > 0);
	if (s->tx.n_rcpt == 0) {
		s->tx.first_rcpt = arena_str(s->mem, s->tx.rcpt.address);
		assert(s->tx.first_rcpt.p != NULL);
	}
	s->tx.n_rcpt++;
	srv_ok(s, "250 2.1.5 Ok");
}

/* ---- the others ---- */

static void
cmd_data(struct smtp_server *s, struct str args)
{
	if (s->bdat != BDAT_NONE)
		srv_fail(s, "503 5.5.1 Error: DATA after BDAT");
	else if (s->tx.n_rcpt == 0 && s->tx.has_mail)
		srv_refuse(s, 0, "554 5.5.1 Error: no valid recipients");
	else if (s->tx.n_rcpt == 0)
		srv_fail(s, "503 5.5.1 Error: need RCPT command");
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
	srv_chapter(s);
	srv_ok(s, "250 2.0.0 Ok");
}

static void
cmd_noop(struct smtp_server *s, struct str args)
{
	(void)args;
	srv_ok(s, "250 2.0.0 Ok");
}

/* "address SMTPUTF8": takes the last word off. */
static struct str
vrfy_address(struct smtp_server *s, struct str args)
{
	size_t at = str_rfind(args, ' ');
	s->is_smtputf8 =
	    has_utf8(s) && at < args.n && str_iis(str_from(args, at + 1), "SMTPUTF8");
	return s->is_smtputf8 ? str_trim(str_head(args, at)) : args;
}

static void
cmd_vrfy(struct smtp_server *s, struct str args)
{
	struct smtp_path_conf conf;
	struct str address;

	if (s->conf->disable_vrfy) {
		srv_refuse(s, SMTP_TROUBLE_POLICY, "502 5.5.1 VRFY command is disabled");
		return;
	}
	if (args.n == 0 || (has_utf8(s) && str_iis(args, "SMTPUTF8"))) {
		srv_fail(s, s->conf->utf8_ok ? "501 5.5.4 Syntax: VRFY address [SMTPUTF8]"
					     : "501 5.5.4 Syntax: VRFY address");
		return;
	}
	args = vrfy_address(s, args);
	conf = path_conf(s);
	conf.utf8_ok = s->is_smtputf8;
	if (smtp_path_vrfy(args, &conf, s->scratch, &address) != RC_OK) {
		bad_path(s, &(struct smtp_path_bad){
				.reply = str_c(bad_recipient), .text = args });
		return;
	}
	if (refuse_utf8(s, address, s->is_smtputf8))
		return;
	s->tx.rcpt = (struct smtp_rcpt_args){ .address = address,
		.written = arena_str(s->scratch, args) };
	s->tx.has_rcpt = true;
	srv_ask(s, SMTP_FX_CHECK_VRFY, address);
}

static void
answer_vrfy(struct smtp_server *s, const struct smtp_answer *a)
{
	if (a->reply.n > 0)
		srv_reply(s, a->reply);
	else
		srv_replyf(s, "252 2.0.0 %.*s", STR_ARG(s->tx.rcpt.written));
	srv_done(s, true);
}

static void
cmd_etrn(struct smtp_server *s, struct str args)
{
	struct str domain, inner;

	if (s->conf->helo_required && s->helo.n == 0) {
		srv_refuse(s, SMTP_TROUBLE_POLICY, "503 Error: send HELO/EHLO first");
		return;
	}
	if (s->tx.has_mail) {
		srv_fail(s, "503 Error: MAIL transaction in progress");
		return;
	}
	if (!smtp_path_word(&args, &domain) || str_trim(args).n > 0) {
		srv_fail(s, "500 Syntax: ETRN domain");
		return;
	}
	if (domain.p[0] == '@' || domain.p[0] == '#')
		domain = str_from(domain, 1);
	inner = domain;
	if (inner.n > 2 && inner.p[0] == '[' && inner.p[inner.n - 1] == ']')
		inner = (struct str){ inner.p + 1, inner.n - 2 };
	if (!addr_hostname_valid(domain) &&
	    (inner.n == domain.n || !addr_literal_valid(inner))) {
		srv_fail(s, "501 Error: invalid parameter syntax");
		return;
	}
	s->tx.rcpt.address = arena_str(s->scratch, domain);
	srv_ask(s, SMTP_FX_CHECK_ETRN, domain);
}

static void
answer_etrn(struct smtp_server *s, const struct smtp_answer *a)
{
	srv_reply(s, a->reply.n > 0 ? a->reply : STR("250 Queuing started"));
	srv_done(s, true);
}

static void cmd_help(struct smtp_server *s, struct str args);

static void
cmd_quit(struct smtp_server *s, struct str args)
{
	(void)args;
	s->has_quit = true;
	srv_ok(s, "221 2.0.0 Bye");
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
	if (args.n > 0) /* compat: before anything else */
		srv_refuse(s, 0, "501 5.5.4 Syntax: STARTTLS");
	else if (s->conf->needs_tls)
		srv_refuse(s, 0, "454 4.7.0 TLS not available due to local problem");
	else
		cmd_off(s, args);
}

static void
cmd_auth(struct smtp_server *s, struct str args)
{
	(void)args;
	if (s->conf->helo_required && s->helo.n == 0)
		srv_refuse(
		    s, SMTP_TROUBLE_POLICY, "503 5.5.1 Error: send HELO/EHLO first");
	else
		srv_fail(s, "503 5.5.1 Error: authentication not enabled");
}

static const struct srv_command commands[] = {
	{ "HELO", VERB_HELO, SRV_LIMIT | SRV_LAST | SRV_PLAIN, srv_cmd_helo },
	{ "EHLO", VERB_EHLO, SRV_LIMIT | SRV_LAST | SRV_PLAIN, srv_cmd_helo },
	{ "MAIL", VERB_MAIL, 0, cmd_mail },
	{ "RCPT", VERB_RCPT, 0, cmd_rcpt },
	{ "DATA", VERB_DATA, SRV_LAST, cmd_data },
	{ "RSET", VERB_RSET, SRV_LIMIT, cmd_rset },
	{ "QUIT", VERB_QUIT, SRV_PLAIN, cmd_quit },
	{ "NOOP", VERB_NOOP, SRV_LIMIT | SRV_LAST | SRV_PLAIN, cmd_noop },
	{ "VRFY", VERB_VRFY, SRV_LIMIT | SRV_LAST, cmd_vrfy },
	{ "ETRN", VERB_ETRN, SRV_LIMIT, cmd_etrn },
	{ "STARTTLS", VERB_STARTTLS, SRV_PLAIN, cmd_starttls },
	{ "AUTH", VERB_AUTH, 0, cmd_auth },
	{ "BDAT", VERB_BDAT, 0, srv_cmd_bdat },
	{ "XCLIENT", VERB_XCLIENT, SRV_PLAIN, srv_cmd_xclient },
	{ "XFORWARD", VERB_XFORWARD, 0, srv_cmd_xforward },
	{ "HELP", VERB_HELP, SRV_LIMIT | SRV_PLAIN, cmd_help },
};

static void
cmd_help(struct smtp_server *s, struct str args)
{
	char text[200] = "214 2.0.0 Commands:";
	size_t n = strlen(text);
	const char *last = "";

	(void)args;
	for (size_t done = 0; done < ARRAY_LEN(commands); done++) {
		const char *next = NULL;

		for (size_t i = 0; i < ARRAY_LEN(commands); i++)
			if (strcmp(commands[i].name, last) > 0 &&
			    (next == NULL || strcmp(commands[i].name, next) < 0))
				next = commands[i].name;
		assert(next != NULL);
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", next);
		last = next;
	}
	srv_ok(s, text);
}

const struct srv_command *
srv_command_find(struct str verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_iis(verb, commands[i].name))
			return &commands[i];
	return NULL;
}

/* The words for a refusal that brought none. */
static struct str
usual_no(enum smtp_fx_type asked)
{
	if (asked == SMTP_FX_CHECK_ETRN)
		return STR("458 Unable to queue messages");
	if (asked == SMTP_FX_XCLIENT)
		return STR("501 5.5.4 Bad XCLIENT attributes");
	return STR("451 4.3.0 Error: queue file write error");
}

static void
log_refusal(struct smtp_server *s, const struct smtp_answer *a, struct str no)
{
	if (a->log_quiet)
		return;
	if (s->asked == SMTP_FX_CHECK_ETRN && str_starts(no, STR("459")))
		srv_logf(s, SMTP_LOG_WARN, "reject: ETRN %.*s... from %.*s",
		    STR_ARG(str_head(s->tx.rcpt.address, 100)), STR_ARG(s->namaddr));
	else if (s->asked != SMTP_FX_CHECK_ETRN || !str_starts(no, STR("458")))
		srv_log_what(s, a->log_verb.n > 0 ? a->log_verb : STR("reject"), no);
}

/* compat: what it means is no address. */
static void
refuse_meaning(struct smtp_server *s)
{
	bool is_mail = s->asked == SMTP_FX_CHECK_MAIL;
	struct smtp_path_bad bad = { .reply = str_c(is_mail ? bad_sender : bad_recipient),
		.text = is_mail ? s->tx.mail.written : s->tx.rcpt.written };

	bad_path(s, &bad);
	if (is_mail)
		srv_reset(s, true);
}

static void
refused(struct smtp_server *s, const struct smtp_answer *a)
{
	struct str no = a->reply.n > 0 ? a->reply : usual_no(s->asked);

	/* compat: room is looked for before the sender is looked at */
	if (s->asked == SMTP_FX_CHECK_MAIL && str_starts(no, STR("452 4.3.1")))
		s->tx.has_mail = false;
	log_refusal(s, a, no);
	s->trouble |= smtp_trouble_of(s->asked, no);
	if (s->asked == SMTP_FX_CHECK_DATA && s->verb == VERB_BDAT) {
		srv_bdat_refuse(s, no);
		return;
	}
	srv_reply(s, no);
	if (s->asked == SMTP_FX_CHECK_MAIL)
		srv_reset(s, true);
	if (s->asked == SMTP_FX_CHECK_HELO)
		s->helo = buf_view(&s->helo_text); /* the one before */
	srv_done(s, false);
}

static void
answer_mail(struct smtp_server *s, const struct smtp_answer *a)
{
	srv_opened(s, a->queue_id);
	srv_ok(s, "250 2.1.0 Ok");
}

void
srv_answer_command(struct smtp_server *s, const struct smtp_answer *a)
{
	if (a->is_no_address)
		refuse_meaning(s);
	else if (a->rc != RC_OK)
		refused(s, a);
	else if (s->asked == SMTP_FX_CHECK_HELO)
		srv_answer_helo(s);
	else if (s->asked == SMTP_FX_CHECK_MAIL)
		answer_mail(s, a);
	else if (s->asked == SMTP_FX_CHECK_RCPT)
		answer_rcpt(s, a);
	else if (s->asked == SMTP_FX_CHECK_VRFY)
		answer_vrfy(s, a);
	else if (s->asked == SMTP_FX_CHECK_ETRN)
		answer_etrn(s, a);
	else if (s->asked == SMTP_FX_XCLIENT)
		srv_answer_xclient(s, a);
	else if (s->verb == VERB_BDAT)
		srv_bdat_start(s);
	else
		srv_data_start(s);
}
