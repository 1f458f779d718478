/* Plays a story for the SMTP server session. */
#include "scenario.h"
#include "smtp/server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct player {
	const struct scenario *scn;
	const struct variant *v;
	struct buf *trace;
	struct smtp_server_conf conf;
	struct smtp_client_id id;
	struct smtp_client_rights rights;
	struct smtp_server *s;
	struct buf in, out, content;
	struct str ask; /* names of questions that the story answers */
	size_t seen;    /* of `in` */
	size_t n_fed, n_qid;
	int64_t now;
	enum smtp_fx_type open;
	bool is_open, is_lost, is_closed;
	bool opens_early; /* smtpd_delay_open_until_valid_rcpt = no */
};

static const char *const question_names[] = {
	[SMTP_FX_CHECK_CLIENT] = "client",
	[SMTP_FX_CHECK_HELO] = "helo",
	[SMTP_FX_CHECK_MAIL] = "mail",
	[SMTP_FX_CHECK_RCPT] = "rcpt",
	[SMTP_FX_CHECK_DATA] = "data",
	[SMTP_FX_CHECK_VRFY] = "vrfy",
	[SMTP_FX_CHECK_ETRN] = "etrn",
	[SMTP_FX_XCLIENT] = "xclient",
	[SMTP_FX_FILTER_COMMAND] = "filter",
	[SMTP_FX_CHECK_COMMAND] = "command",
	[SMTP_FX_COMMIT] = "commit",
};

static bool
is_asked(const struct player *p, enum smtp_fx_type q)
{
	struct str names = p->ask, word;

	while (str_token(&names, " ", &word))
		if (str_is(word, question_names[q]))
			return true;
	return false;
}

/* XCLIENT: what was given replaces what was known. A client "evil.test" has no rights. */
static void
answer_xclient(struct player *p, struct smtp_answer *a, struct smtp_client_id *id,
    struct smtp_client_rights *rights)
{
	struct smtp_server_view v = smtp_server_view(p->s);

	*id = *v.client;
	*rights = p->rights;
	if (v.xclient->name.p != NULL)
		id->name = v.xclient->name;
	if (v.xclient->addr.p != NULL)
		id->addr = v.xclient->addr;
	if (v.xclient->port.p != NULL)
		id->port = v.xclient->port;
	if (str_is(id->name, "evil.test"))
		*rights = (struct smtp_client_rights){ 0 };
	a->client = id;
	a->rights = rights;
}

static void
answer(struct player *p, enum rc rc, struct str reply)
{
	struct smtp_answer a = { .rc = rc, .reply = reply };
	struct smtp_client_id id;
	struct smtp_client_rights rights;
	char qid[20];

	if (str_is(reply, "(hang up)")) {
		a.reply = STR("");
		a.hangs_up = true;
	}
	if (p->open == SMTP_FX_XCLIENT && rc == RC_OK)
		answer_xclient(p, &a, &id, &rights);
	(void)snprintf(qid, sizeof(qid), "QID%zu", p->n_qid + 1);
	if (p->open == (p->opens_early ? SMTP_FX_CHECK_MAIL : SMTP_FX_CHECK_RCPT) &&
	    rc == RC_OK && smtp_server_view(p->s).queue_id.n == 0) {
		p->n_qid++;
		a.queue_id = str_c(qid);
	}
	if (p->open == SMTP_FX_COMMIT && p->v->commit != 0) {
		a.rc = (enum rc)p->v->commit;
		a.reply = STR("");
	}
	p->is_open = false;
	smtp_server_answer(p->s, p->now, &a);
}

static void
show_attrs(struct player *p, const char *what, const struct smtp_client_attrs *a)
{
	const struct {
		const char *name;
		struct str v;
	} rows[] = { { "name", a->name }, { "reverse_name", a->reverse_name },
		{ "addr", a->addr }, { "port", a->port }, { "proto", a->proto },
		{ "helo", a->helo }, { "login", a->login }, { "dest_addr", a->dest_addr },
		{ "dest_port", a->dest_port }, { "ident", a->ident },
		{ "source", a->source } };
	struct buf text;

	buf_init(&text, 8192);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].v.p != NULL && buf_printf(&text, " %s=%.*s", rows[i].name,
					       STR_ARG(rows[i].v)) != RC_OK)
			abort();
	if (a->name_is_temp && buf_put(&text, STR(" (name may be known later)")) != RC_OK)
		abort();
	scenario_say(p->trace, "? %s%.*s", what, STR_ARG(buf_view(&text)));
	buf_fini(&text);
}

static void
show_question(struct player *p, const struct smtp_fx *fx)
{
	struct buf text;

	buf_init(&text, 65536);
	scenario_escape(fx->data, &text);
	scenario_say(p->trace, "? %s%s%.*s", question_names[fx->type],
	    fx->data.n > 0 ? " " : "", STR_ARG(buf_view(&text)));
	buf_fini(&text);
}

static void
question(struct player *p, const struct smtp_fx *fx)
{
	bool asked = is_asked(p, fx->type);

	p->open = fx->type;
	p->is_open = true;
	if (fx->type == SMTP_FX_COMMIT)
		scenario_say(p->trace, "commit");
	else if (asked && fx->type == SMTP_FX_XCLIENT)
		show_attrs(p, "xclient", smtp_server_view(p->s).xclient);
	else if (asked)
		show_question(p, fx);
	if (fx->type == SMTP_FX_CHECK_DATA && smtp_server_view(p->s).xforward != NULL)
		show_attrs(p, "forwarded", smtp_server_view(p->s).xforward);
	if (!asked)
		answer(p, RC_OK, STR(""));
}

static void
carry_out(struct player *p, const struct smtp_fx *fx)
{
	if (fx->type != SMTP_FX_STORE)
		scenario_rest(&p->content, "D", p->trace);
	switch (fx->type) {
	case SMTP_FX_SEND:
		if (buf_put(&p->out, fx->data) != RC_OK)
			abort();
		scenario_lines(&p->out, "S", p->trace);
		break;
	case SMTP_FX_LOG:
		if (p->scn->has_log)
			scenario_say(p->trace, "%c %.*s",
			    fx->level == SMTP_LOG_WARN ? 'W' : 'L', STR_ARG(fx->data));
		break;
	case SMTP_FX_STORE:
		if (buf_put(&p->content, fx->data) != RC_OK)
			abort();
		break;
	case SMTP_FX_ABORT:
		scenario_say(p->trace, "abort");
		break;
	case SMTP_FX_HEARD:
		scenario_say(p->trace, "heard %.*s", STR_ARG(fx->data));
		break;
	case SMTP_FX_CHAPTER:
		scenario_say(p->trace, "chapter %u", smtp_server_view(p->s).trouble);
		break;
	case SMTP_FX_CLOSE:
		scenario_say(p->trace, "close");
		p->is_closed = true;
		break;
	case SMTP_FX_CHECK_CLIENT:
	case SMTP_FX_CHECK_HELO:
	case SMTP_FX_CHECK_MAIL:
	case SMTP_FX_CHECK_RCPT:
	case SMTP_FX_CHECK_DATA:
	case SMTP_FX_CHECK_VRFY:
	case SMTP_FX_CHECK_ETRN:
	case SMTP_FX_XCLIENT:
	case SMTP_FX_FILTER_COMMAND:
	case SMTP_FX_CHECK_COMMAND:
	case SMTP_FX_COMMIT:
		question(p, fx);
		break;
	}
}

static void
drain(struct player *p)
{
	struct smtp_fx fx;

	while (smtp_server_next(p->s, &fx))
		carry_out(p, &fx);
}

/* Lets the session take what it can; the bytes come in pieces. */
static void
run(struct player *p)
{
	for (;;) {
		size_t used, chunk = p->v->chunk == 0 ? p->in.n : p->v->chunk;

		drain(p);
		/* More than it needs is never shown at once: like a buffer of that size.
		 */
		used = p->seen == 0 ? 0
				    : smtp_server_recv(p->s, p->now,
					  str_head(buf_view(&p->in), p->seen));
		if (used > 0) {
			buf_consume(&p->in, used);
			p->seen -= used;
			continue;
		}
		struct smtp_fx fx;
		if (smtp_server_next(p->s, &fx)) {
			carry_out(p, &fx);
			continue;
		}
		if (p->seen == p->in.n)
			return;
		p->seen = p->seen + chunk < p->in.n ? p->seen + chunk : p->in.n;
	}
}

static void
feed(struct player *p, const struct buf *bytes)
{
	struct str all = buf_view(bytes);
	size_t left = p->v->cut == SIZE_MAX ? all.n : p->v->cut - p->n_fed;

	if (p->is_lost)
		return;
	all = str_head(all, left);
	p->n_fed += all.n;
	if (buf_put(&p->in, all) != RC_OK)
		abort();
	run(p);
	if (p->v->cut != SIZE_MAX && p->n_fed >= p->v->cut) {
		p->is_lost = true;
		p->is_open = false;
		smtp_server_lost(p->s, p->now);
		drain(p);
	}
}

static void
pass_time(struct player *p, int64_t us)
{
	int64_t end = p->now + us;

	while (smtp_server_deadline(p->s) <= end && !p->is_closed) {
		p->now = smtp_server_deadline(p->s);
		smtp_server_tick(p->s, p->now);
		run(p);
	}
	p->now = end;
}

static void
told_answer(struct player *p, struct str args)
{
	struct str word, reply = STR("");

	if (p->is_lost)
		return;
	if (!p->is_open && (p->v->commit != 0 || p->v->cut != SIZE_MAX))
		return; /* the story went another way */
	if (!p->is_open)
		scenario_die("no question is open: = %.*s", STR_ARG(args));
	if (!str_cut(args, ' ', &word, &reply))
		word = args;
	answer(p,
	    str_is(word, "ok")     ? RC_OK
	    : str_is(word, "temp") ? RC_TEMP
				   : RC_PERM,
	    reply);
	run(p);
}

static void
step(struct player *p, struct str line)
{
	struct str args;
	struct buf bytes;

	buf_init(&bytes, (size_t)4 << 20);
	if (scenario_peer(line, "C", &bytes)) {
		feed(p, &bytes);
	} else if (scenario_is(line, "=", &args))
		told_answer(p, args);
	else if (scenario_is(line, "+", &args) && !p->is_lost)
		pass_time(p, (int64_t)scenario_number(args) * US_PER_SEC);
	else if (scenario_is(line, "drain", &args) && !p->is_lost) {
		smtp_server_drain(p->s, p->now);
		run(p);
	} else if (scenario_is(line, "early", &args) && !p->is_lost) {
		scenario_unescape(args, &bytes);
		smtp_server_early(p->s, buf_view(&bytes));
		run(p);
	} else if (scenario_is(line, "lost", &args) && !p->is_lost) {
		p->is_lost = true;
		smtp_server_lost(p->s, p->now);
		drain(p);
	}
	buf_fini(&bytes);
}

/* ---- settings ---- */

static void
set_newline(struct smtp_server_conf *c, struct str v)
{
	c->newline = str_is(v, "no")       ? SMTP_NEWLINE_NO
		     : str_is(v, "reject") ? SMTP_NEWLINE_REJECT
		     : str_is(v, "note")   ? SMTP_NEWLINE_NOTE
					   : SMTP_NEWLINE_NORMALIZE;
}

static void
set(struct player *p, struct str name, struct str v)
{
	struct smtp_server_conf *c = &p->conf;
	const struct {
		const char *name;
		uint32_t *at;
	} numbers[] = { { "soft", &c->soft_error_limit },
		{ "hard", &c->hard_error_limit }, { "junk", &c->junk_command_limit },
		{ "rcpts", &c->recipient_limit },
		{ "overshoot", &c->recipient_overshoot } };
	const struct {
		const char *name;
		bool *at;
	} flags[] = { { "deadline", &c->per_request_deadline },
		{ "helo_required", &c->helo_required },
		{ "disable_vrfy", &c->disable_vrfy }, { "strict", &c->strict_envelopes },
		{ "forbid_pipelining", &c->forbid_unauth_pipelining },
		{ "utf8", &c->utf8_ok }, { "needs_tls", &c->needs_tls },
		{ "log_port", &c->log_port }, { "no_ipv6", &c->no_ipv6 },
		{ "strict_utf8", &c->strict_utf8 }, { "soft_bounce", &c->soft_bounce },
		{ "filter", &c->filters_commands },
		{ "forbid_table", &c->forbids_by_table },
		{ "xclient", &p->rights.may_xclient },
		{ "xforward", &p->rights.may_xforward }, { "verp", &p->rights.may_verp },
		{ "bare_lf_ok", &p->rights.may_bare_lf },
		{ "listener", &c->has_listener }, { "opens_early", &p->opens_early } };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (str_is(name, numbers[i].name))
			*numbers[i].at = (uint32_t)scenario_number(v);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (str_is(name, flags[i].name))
			*flags[i].at = str_is(v, "yes");
	if (str_is(name, "size"))
		c->size_limit = (int64_t)scenario_number(v);
	else if (str_is(name, "line"))
		c->line_limit = scenario_number(v);
	else if (str_is(name, "timeout"))
		c->timeout_us = (int64_t)scenario_number(v) * US_PER_SEC;
	else if (str_is(name, "sleep"))
		c->error_sleep_us = (int64_t)scenario_number(v) * US_PER_SEC;
	else if (str_is(name, "rate"))
		c->min_data_rate = (int64_t)scenario_number(v);
	else if (str_is(name, "hide"))
		p->rights.hide = smtp_ehlo_bits(v, NULL);
	else if (str_is(name, "noop"))
		c->noop_commands = v;
	else if (str_is(name, "newline"))
		set_newline(c, v);
}

static const struct smtp_server_conf defaults = {
	.hostname = STR_INIT("mx.test"),
	.banner = STR_INIT("mx.test ESMTP Postfix"),
	.size_limit = 10240000,
	.soft_error_limit = 10,
	.hard_error_limit = 20,
	.junk_command_limit = 100,
	.error_sleep_us = 0,
	.recipient_limit = 1000,
	.recipient_overshoot = 1000,
	.line_limit = 2048,
	.timeout_us = 300 * US_PER_SEC,
	.min_data_rate = 500,
	.utf8_ok = true,
	.newline = SMTP_NEWLINE_NORMALIZE,
	.newline_code = STR_INIT("550"),
	.verp_delimiters = STR_INIT("+="),
	.verp_filter = STR_INIT("-=+"),
	.forbidden_commands = STR_INIT("CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}"),
};

size_t
play_server(const struct scenario *scn, const struct variant *v, struct buf *trace)
{
	struct player p = { .scn = scn, .v = v, .trace = trace, .conf = defaults };
	struct str rest = scn->text, line, args, name, value;

	p.id = (struct smtp_client_id){
		.name = STR("client.test"), .addr = STR("192.0.2.1"), .port = STR("2525")
	};
	buf_init(&p.in, (size_t)8 << 20);
	buf_init(&p.out, (size_t)8 << 20);
	buf_init(&p.content, (size_t)8 << 20);
	while (scenario_line(&rest, &line)) {
		if (scenario_is(line, "conf", &args)) {
			if (!str_cut(args, ' ', &name, &value))
				scenario_die("conf NAME VALUE");
			set(&p, name, value);
			continue;
		}
		if (scenario_is(line, "ask", &args)) {
			p.ask = args;
			continue;
		}
		if (p.s == NULL) {
			p.s = smtp_server_new(&p.conf, &p.id, &p.rights, p.now);
			run(&p);
		}
		step(&p, line);
	}
	if (p.v->cut != SIZE_MAX && !p.is_lost) {
		smtp_server_lost(p.s, p.now);
		drain(&p);
	}
	scenario_rest(&p.content, "D", trace);
	smtp_server_free(&p.s);
	buf_fini(&p.in);
	buf_fini(&p.out);
	buf_fini(&p.content);
	return p.n_fed;
}
