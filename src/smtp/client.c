/* The client session's life: effects, outcomes, time. */
#include "smtp/client_int.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FX_MEM_LIMIT ((size_t)64 * 1024)
#define REPLY_LIMIT  ((size_t)4000) /* what is kept of a reply's text */
#define LINE_LIMIT   ((size_t)2048) /* of one reply line; the rest of it is skipped */

/* ---- effects ---- */

struct cl_fx *
cl_emit(struct smtp_client *c, enum smtp_cx_type type, struct str data)
{
	assert(c->fx_put < CL_FX_MAX);
	c->fx[c->fx_put] = (struct cl_fx){ .type = type, .data = data };
	return &c->fx[c->fx_put++];
}

static struct str text_va(struct smtp_client *c, const char *fmt, va_list ap)
    PRINTF(2, 0);
static struct str long_text_va(struct smtp_client *c, const char *fmt, va_list ap)
    PRINTF(2, 0);

static struct str
long_text_va(struct smtp_client *c, const char *fmt, va_list ap)
{
	char text[REPLY_LIMIT + 4200];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	assert(n >= 0);
	return arena_str(
	    c->fx_mem, str_head((struct str){ text, (size_t)n }, sizeof(text) - 1));
}

/* The room for the longest is made only for those that need it: it is zeroed each time.
 */
static struct str
text_va(struct smtp_client *c, const char *fmt, va_list ap)
{
	char text[256];
	struct str s;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	assert(n >= 0);
	s = (size_t)n < sizeof(text) ? arena_str(c->fx_mem, str_n(text, (size_t)n))
				     : long_text_va(c, fmt, again);
	va_end(again);
	return s.p == NULL ? STR("") : s;
}

struct str
cl_textf(struct smtp_client *c, const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = text_va(c, fmt, ap);
	va_end(ap);
	return s;
}

void
cl_sendf(struct smtp_client *c, const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = text_va(c, fmt, ap);
	va_end(ap);
	assert(s.n > 0);
	cl_emit(c, SMTP_CX_SEND, s);
}

void
cl_outcome(struct smtp_client *c, unsigned whom, const struct smtp_client_outcome *o)
{
	struct cl_fx *fx = cl_emit(c, SMTP_CX_OUTCOME, STR(""));

	fx->outcome = *o;
	fx->is_bulk = true;
	fx->whom = whom;
}

void
cl_expect(struct smtp_client *c, enum cl_state state, int64_t timeout_us)
{
	c->state = state;
	c->deadline_us = c->now_us + timeout_us;
}

void
cl_done(struct smtp_client *c)
{
	struct cl_fx *fx = cl_emit(c, SMTP_CX_DONE, STR(""));

	fx->is_closing = c->is_dying;
	c->job = NULL;
	c->state = CL_READY;
	if (c->is_dying)
		cl_close(c);
}

void
cl_fail_session(struct smtp_client *c, const struct smtp_client_outcome *o)
{
	if (c->job != NULL) {
		struct cl_fx *fx = cl_emit(c, SMTP_CX_DONE, STR(""));

		fx->outcome = *o;
		fx->is_try_next = fx->is_closing = true;
		c->job = NULL;
	}
	cl_close(c);
}

void
cl_close(struct smtp_client *c)
{
	cl_emit(c, SMTP_CX_CLOSE, STR(""));
	c->state = CL_CLOSED;
	c->piece = STR("");
	c->wants_piece = false;
}

/* The next recipient that a bulk outcome is for. */
static bool
next_outcome(struct smtp_client *c, struct cl_fx *fx)
{
	for (; fx->index < c->n_rcpt; fx->index++) {
		unsigned bit = 1u << c->rcpt_state[fx->index];

		if ((fx->whom & bit) != 0) {
			c->rcpt_state[fx->index] = RCPT_DECIDED;
			return true;
		}
	}
	return false;
}

bool
smtp_client_next(struct smtp_client *c, struct smtp_cx *out)
{
	while (c->fx_get < c->fx_put) {
		struct cl_fx *fx = &c->fx[c->fx_get];

		*out = (struct smtp_cx){ .type = fx->type,
			.data = fx->data,
			.is_try_next = fx->is_try_next,
			.is_closing = fx->is_closing,
			.as_7bit = fx->type == SMTP_CX_CONTENT && c->converts };
		c->out = fx->outcome;
		if (fx->is_bulk && !next_outcome(c, fx)) {
			c->fx_get++;
			continue;
		}
		out->index = fx->index;
		if (fx->type == SMTP_CX_OUTCOME || fx->is_try_next)
			out->outcome = &c->out;
		if (!fx->is_bulk)
			c->fx_get++;
		return true;
	}
	c->fx_get = c->fx_put = 0;
	arena_reset(c->fx_mem);
	if (c->state == CL_ENVELOPE) {
		cl_send_steps(c);
		if (c->fx_put > 0)
			return smtp_client_next(c, out);
	}
	return cl_data_next(c, out);
}

/* ---- life ---- */

struct smtp_client *
smtp_client_new(const struct smtp_client_conf *conf, const struct smtp_client_peer *peer,
    int64_t now_us)
{
	size_t n = peer->name.n + peer->addr.n + 3, all = n + peer->port.n + 2;
	struct smtp_client *c = mem_get(sizeof(*c) + n + all);
	char *p = (char *)(c + 1);

	(void)snprintf(p, n, "%.*s[%.*s]", STR_ARG(peer->name), STR_ARG(peer->addr));
	c->name = (struct str){ p, peer->name.n };
	c->namaddr = (struct str){ p, n - 1 };
	(void)snprintf(p + n, all, "%.*s[%.*s]:%.*s", STR_ARG(peer->name),
	    STR_ARG(peer->addr), STR_ARG(peer->port));
	c->namaddrport = str_c(p + n);
	c->conf = conf;
	c->now_us = now_us;
	c->fx_mem = arena_new(FX_MEM_LIMIT);
	buf_init(&c->reply, REPLY_LIMIT);
	cl_expect(
	    c, CL_GREETING, conf->greeting_us > 0 ? conf->greeting_us : conf->helo_us);
	return c;
}

void
smtp_client_free(struct smtp_client **cp)
{
	struct smtp_client *c = *cp;

	if (c == NULL)
		return;
	arena_free(&c->fx_mem);
	buf_fini(&c->reply);
	free(c->rcpt_state);
	free(c);
	*cp = NULL;
}

void
smtp_client_deliver(
    struct smtp_client *c, int64_t now_us, const struct smtp_client_job *job)
{
	assert(c->job == NULL && job->n_rcpt > 0);
	assert(c->state == CL_READY || !c->is_greeted);
	c->now_us = now_us;
	c->job = job;
	if (job->n_rcpt > c->rcpt_cap) {
		c->rcpt_state = mem_grow(c->rcpt_state, job->n_rcpt, 1);
		c->rcpt_cap = job->n_rcpt;
	}
	memset(c->rcpt_state, RCPT_OPEN, job->n_rcpt);
	c->has_trouble = false;
	c->n_rcpt = job->n_rcpt;
	if (c->state == CL_READY)
		cl_start(c);
}

void
smtp_client_quit(struct smtp_client *c, int64_t now_us)
{
	if (c->state == CL_CLOSED)
		return;
	assert(c->job == NULL);
	c->now_us = now_us;
	cl_sendf(c, "QUIT\r\n");
	if (c->conf->skip_quit_response)
		cl_close(c);
	else
		cl_expect(c, CL_QUIT, c->conf->quit_us);
}

/* ---- input ---- */

size_t
smtp_client_recv(struct smtp_client *c, int64_t now_us, struct str in)
{
	struct str line;
	size_t nl;

	if (c->state == CL_CLOSED || c->fx_get < c->fx_put || in.n == 0)
		return 0;
	c->now_us = now_us;
	nl = str_find(str_head(in, SMTP_CLIENT_NEED), '\n');
	if (nl == in.n && in.n < SMTP_CLIENT_NEED)
		return 0;
	/* Without an end in sight, the piece counts as a line: the code is at its front,
	 * or it is not SMTP. */
	line = str_head(str_head(in, nl), LINE_LIMIT);
	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	cl_reply_line(c, line);
	return nl < in.n && nl < SMTP_CLIENT_NEED ? nl + 1 : nl;
}

/* ---- trouble ---- */

/* `how`: "lost connection with %s while %s" or the like. What recipients already got as
 * their outcome stands; the others may be tried elsewhere. */
static void
broken(struct smtp_client *c, struct str text)
{
	struct smtp_client_outcome o = {
		.rc = RC_TEMP, .dsn = STR("4.4.2"), .text = text
	};

	cl_fail_session(c, &o);
}

void
smtp_client_lost(struct smtp_client *c, int64_t now_us)
{
	if (c->state == CL_CLOSED)
		return;
	c->now_us = now_us;
	broken(c, cl_textf(c, "lost connection with %.*s while %s", /* compat */
		      STR_ARG(c->namaddr), cl_doing(c)));
}

void
smtp_client_tick(struct smtp_client *c, int64_t now_us)
{
	if (now_us < smtp_client_deadline(c))
		return;
	c->now_us = now_us;
	broken(c, cl_textf(c, "conversation with %.*s timed out while %s", /* compat */
		      STR_ARG(c->namaddr), cl_doing(c)));
}

int64_t
smtp_client_deadline(const struct smtp_client *c)
{
	return c->state == CL_CLOSED || c->state == CL_READY ? INT64_MAX : c->deadline_us;
}

void
smtp_client_sent(struct smtp_client *c, int64_t now_us)
{
	if (c->state == CL_BODY)
		c->deadline_us = now_us + c->conf->data_xfer_us;
}

/* ---- looking in ---- */

bool
smtp_client_has_trouble(const struct smtp_client *c)
{
	return c->has_trouble;
}

bool
smtp_client_is_ready(const struct smtp_client *c)
{
	return c->state == CL_READY && c->job == NULL && c->fx_get == c->fx_put;
}
