/* Plays a story for the SMTP client session. */
#include "scenario.h"
#include "smtp/client.h"
#include <stdlib.h>
#include <string.h>

#define RCPTS_MAX 200

struct player {
	const struct scenario *scn;
	const struct variant *v;
	struct buf *trace;
	struct smtp_client_conf conf;
	struct smtp_client *c;
	struct smtp_client_job job;
	struct smtp_client_rcpt rcpts[RCPTS_MAX];
	struct buf in, out, body;
	size_t seen, n_fed, body_at;
	int64_t now;
	bool is_lost, is_closed, wants_content, content_fails;
	struct smtp_client_outcome why;
};

static const char *
outcome_name(enum rc rc)
{
	return rc == RC_OK ? "ok" : rc == RC_TEMP ? "temp" : "perm";
}

static void
carry_out(struct player *p, const struct smtp_cx *cx)
{
	switch (cx->type) {
	case SMTP_CX_SEND:
		if (buf_put(&p->out, cx->data) != RC_OK)
			abort();
		scenario_lines(&p->out, "C", p->trace);
		break;
	case SMTP_CX_LOG:
		if (p->scn->has_log)
			scenario_say(p->trace, "L %.*s", STR_ARG(cx->data));
		break;
	case SMTP_CX_OUTCOME:
		scenario_say(p->trace, "O %u %s %.*s %.*s", cx->index,
		    outcome_name(cx->outcome->rc), STR_ARG(cx->outcome->dsn),
		    STR_ARG(cx->outcome->text));
		break;
	case SMTP_CX_CONTENT:
		p->wants_content = true;
		if (cx->as_7bit && p->body_at == 0)
			scenario_say(p->trace, "7bit");
		break;
	case SMTP_CX_DONE:
		if (cx->is_try_next)
			scenario_say(p->trace, "done next %s %.*s %.*s%s",
			    outcome_name(cx->outcome->rc), STR_ARG(cx->outcome->dsn),
			    STR_ARG(cx->outcome->text), cx->is_closing ? " closing" : "");
		else
			scenario_say(
			    p->trace, "done%s", cx->is_closing ? " closing" : "");
		break;
	case SMTP_CX_CLOSE:
		scenario_rest(&p->out, "C", p->trace);
		scenario_say(p->trace, "close");
		p->is_closed = true;
		break;
	}
}

static void
give_content(struct player *p)
{
	size_t chunk = p->v->chunk == 0 ? p->body.n : p->v->chunk;
	struct str piece = str_head(str_from(buf_view(&p->body), p->body_at), chunk);

	p->wants_content = false;
	if (p->content_fails) {
		smtp_client_content_failed(p->c, p->now, &p->why);
		return;
	}
	p->body_at += piece.n;
	smtp_client_content(p->c, p->now, piece, p->body_at == p->body.n);
}

static void
drain(struct player *p)
{
	struct smtp_cx cx;

	for (;;) {
		while (smtp_client_next(p->c, &cx))
			carry_out(p, &cx);
		if (!p->wants_content || p->is_closed)
			return;
		give_content(p);
	}
}

static void
run(struct player *p)
{
	for (;;) {
		size_t used, chunk = p->v->chunk == 0 ? p->in.n : p->v->chunk;

		drain(p);
		used =
		    smtp_client_recv(p->c, p->now, str_head(buf_view(&p->in), p->seen));
		if (used > 0) {
			buf_consume(&p->in, used);
			p->seen -= used;
			continue;
		}
		if (p->seen == p->in.n || p->is_closed)
			return;
		p->seen = p->seen + chunk < p->in.n ? p->seen + chunk : p->in.n;
	}
}

static void
lose(struct player *p)
{
	p->is_lost = true;
	smtp_client_lost(p->c, p->now);
	drain(p);
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
	if (p->v->cut != SIZE_MAX && p->n_fed >= p->v->cut)
		lose(p);
}

static void
pass_time(struct player *p, int64_t us)
{
	p->now += us;
	if (smtp_client_deadline(p->c) <= p->now && !p->is_closed) {
		smtp_client_tick(p->c, p->now);
		run(p);
	}
}

/* ---- settings ---- */

static void
set_job(struct player *p, struct str args)
{
	struct smtp_client_job *j = &p->job;
	struct str word, name, value;

	*j = (struct smtp_client_job){ .queue_id = STR("QID1"), .rcpts = p->rcpts };
	while (str_token(&args, " ", &word)) {
		if (!str_cut(word, '=', &name, &value))
			name = word;
		if (str_is(name, "sender"))
			j->sender = value;
		else if (str_is(name, "envid"))
			j->envid = value;
		else if (str_is(name, "nexthop"))
			j->nexthop = value;
		else if (str_is(name, "size"))
			j->size_bytes = (int64_t)scenario_number(value);
		else if (str_is(name, "ret"))
			j->ret = str_is(value, "full") ? SMTP_RET_FULL : SMTP_RET_HDRS;
		else if (str_is(name, "8bit"))
			j->is_8bit = true;
		else if (str_is(name, "7bit"))
			j->says_7bit = true;
		else if (str_is(name, "utf8"))
			j->is_utf8 = true;
		else if (str_is(name, "utf8-header"))
			j->has_utf8_header = true;
		else if (str_is(name, "probe"))
			j->is_probe = true;
		else if (str_is(name, "probe-data"))
			j->is_probe = j->asks_data = true;
		else if (str_is(name, "dots"))
			j->has_dots = true;
		else if (str_is(name, "long"))
			j->has_long_lines = true;
		else if (str_is(name, "rcpt"))
			p->rcpts[j->n_rcpt++] =
			    (struct smtp_client_rcpt){ .address = value };
		else if (str_is(name, "orig"))
			p->rcpts[j->n_rcpt - 1].orig = value;
		else if (str_is(name, "orcpt"))
			p->rcpts[j->n_rcpt - 1].orcpt = value;
		else if (str_is(name, "notify"))
			p->rcpts[j->n_rcpt - 1].notify = (unsigned)scenario_number(value);
		else
			scenario_die("job: what is %.*s?", STR_ARG(name));
		if (j->n_rcpt == RCPTS_MAX)
			scenario_die("job: too many recipients");
	}
}

static void
set(struct player *p, struct str name, struct str v)
{
	struct smtp_client_conf *c = &p->conf;
	const struct {
		const char *name;
		bool *at;
	} flags[] = { { "lmtp", &c->is_lmtp }, { "always_ehlo", &c->always_send_ehlo },
		{ "never_ehlo", &c->never_send_ehlo }, { "keeps_8bit", &c->keeps_8bit },
		{ "skip_5xx", &c->skip_5xx_greeting },
		{ "skip_quit", &c->skip_quit_response },
		{ "own_name", &c->remember_own_name } };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (str_is(name, flags[i].name))
			*flags[i].at = str_is(v, "yes");
	if (str_is(name, "hide"))
		c->hide = smtp_cap_bits(v);
	else if (str_is(name, "line"))
		c->line_limit = scenario_number(v);
	else if (str_is(name, "window"))
		c->pipeline_max = (uint32_t)scenario_number(v);
}

static const struct smtp_client_conf defaults = {
	.helo_name = STR_INIT("me.test"),
	.always_send_ehlo = true,
	.skip_5xx_greeting = true,
	.skip_quit_response = true,
	.greeting_us = 300 * US_PER_SEC,
	.helo_us = 300 * US_PER_SEC,
	.mail_us = 310 * US_PER_SEC,
	.rcpt_us = 320 * US_PER_SEC,
	.data_init_us = 120 * US_PER_SEC,
	.data_xfer_us = 180 * US_PER_SEC,
	.data_done_us = 600 * US_PER_SEC,
	.rset_us = 20 * US_PER_SEC,
	.quit_us = 300 * US_PER_SEC,
	.line_limit = 998,
};

static void
step(struct player *p, struct str line)
{
	struct str args;
	struct buf bytes;

	buf_init(&bytes, (size_t)4 << 20);
	if (scenario_peer(line, "S", &bytes)) {
		feed(p, &bytes);
	} else if (p->is_lost || p->is_closed) {
		/* nothing more can happen */
	} else if (scenario_is(line, "deliver", &args)) {
		p->body_at = 0;
		if (p->v->cut == SIZE_MAX || smtp_client_is_ready(p->c) || p->n_fed == 0)
			smtp_client_deliver(p->c, p->now, &p->job);
		run(p);
	} else if (scenario_is(line, "quit", &args)) {
		smtp_client_quit(p->c, p->now);
		run(p);
	} else if (scenario_is(line, "+", &args))
		pass_time(p, (int64_t)scenario_number(args) * US_PER_SEC);
	else if (scenario_is(line, "lost", &args))
		lose(p);
	buf_fini(&bytes);
}

size_t
play_client(const struct scenario *scn, const struct variant *v, struct buf *trace)
{
	struct smtp_client_peer peer = {
		.name = STR("mx.test"), .addr = STR("192.0.2.25"), .port = STR("25")
	};
	struct player *p = mem_get(sizeof(*p));
	struct str rest = scn->text, line, args, name, value;
	size_t n_fed;

	*p = (struct player){ .scn = scn, .v = v, .trace = trace, .conf = defaults };
	buf_init(&p->in, (size_t)8 << 20);
	buf_init(&p->out, (size_t)8 << 20);
	buf_init(&p->body, (size_t)8 << 20);
	while (scenario_line(&rest, &line)) {
		if (scenario_is(line, "conf", &args)) {
			if (!str_cut(args, ' ', &name, &value))
				scenario_die("conf NAME VALUE");
			set(p, name, value);
		} else if (scenario_is(line, "job", &args))
			set_job(p, args);
		else if (scenario_is(line, "body", &args))
			scenario_unescape(args, &p->body);
		else if (scenario_is(line, "fail", &args)) {
			p->content_fails = true;
			p->why = (struct smtp_client_outcome){ RC_TEMP,
				.dsn = STR("4.3.0"), .text = args };
		} else if (scenario_is(line, "refuse", &args)) {
			p->content_fails = true;
			p->why = (struct smtp_client_outcome){ RC_PERM,
				.dsn = STR("5.6.0"), .text = args };
		} else {
			if (p->c == NULL)
				p->c = smtp_client_new(&p->conf, &peer, p->now);
			step(p, line);
		}
	}
	if (v->cut != SIZE_MAX && !p->is_lost && !p->is_closed)
		lose(p);
	scenario_rest(&p->out, "C", trace);
	smtp_client_free(&p->c);
	buf_fini(&p->in);
	buf_fini(&p->out);
	buf_fini(&p->body);
	n_fed = p->n_fed;
	free(p);
	return n_fed;
}
