/* The envelope of a message, and the put. */
#include <assert.h>
#include "addr/address.h"
#include "agent/ingest_expand.h"
#include "agent/submit.h"
#include "os/fd.h"
#include "spool/message.h"
#include "wire/messages.h"

/* ---- the put ---- */

static void
on_put_done(void *arg, enum rc rc, struct str text)
{
	struct ingest *in = arg;

	in->put_request = 0;
	in->done(
	    in->done_arg, rc, rc == RC_OK || text.n > 0 ? text : STR(TEXT_WRITE_ERROR));
}

/* Sends the put, or says why not; the stage file is queue's from then on. */
void
ingest_put_go(struct ingest *in)
{
	struct wire_put *p = in->put;

	/* The stage file came first; or it failed, and the expansion finds that out. */
	if (in->expansion != NULL && in->expansion->is_waiting)
		return;
	if (in->failed == RC_OK && in->is_staged)
		(void)ingest_flush(in);
	if (in->failed == RC_OK) {
		p->size = in->size_bytes;
		if (in->is_staged) {
			p->stage = in->stage_number;
			p->stage_crc = in->stage_crc;
		} else {
			p->content = buf_view(&in->held);
		}
		in->put_request = submit_put(in->submit, p, in->epoch, on_put_done, in);
		if (in->put_request == 0)
			(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	}
	if (in->failed != RC_OK) {
		ingest_tell(in);
		return;
	}
	in->stage_number = 0;
	os_fd_close(&in->stage_fd);
	buf_release(&in->held);
	mime_filter_free(&in->filter);
	in->put = NULL;
}

/* (Mail whose sender's session is hidden has a Received: like ours.) */
bool
ingest_is_notice(const struct ingest *in)
{
	return str_is(in->client->origin, "bounce") ||
	       str_is(in->client->origin, "notice");
}

/* How the message came, in the words of smtputf8_autodetect_classes. */
static const char *
way_in(const struct ingest *in)
{
	if (in->env.is_probe)
		return "verify";
	if (ingest_is_notice(in))
		return str_is(in->client->origin, "bounce") ? "bounce" : "notify";
	return in->client->via == MIME_VIA_LOCAL ? "sendmail" : "smtpd";
}

/* It did not say so, but nobody without SMTPUTF8 could take it: its header or its
 * envelope is more than ASCII, and it came a way for which that is looked for. */
static bool
needs_utf8(const struct ingest *in, unsigned noted)
{
	struct str rest = in->conf->utf8_classes, one;
	const char *way = way_in(in);
	bool is_looked_for = false;

	while (!is_looked_for && str_token(&rest, ", \t\r\n", &one))
		is_looked_for = str_iis(one, way) || str_iis(one, "all");
	if (!is_looked_for)
		return false;
	if ((noted & MIME_8BIT_HEADER) != 0 || !str_is_ascii(in->final.sender))
		return true;
	for (size_t i = 0; i < in->final.n_rcpts; i++)
		if (!str_is_ascii(in->final.rcpts[i].address))
			return true;
	return false;
}

static uint32_t
facts(const struct ingest *in, const struct ingest_envelope *env)
{
	static const struct {
		unsigned from;
		uint32_t to;
	} map[] = {
		{ MIME_8BIT, MESSAGE_HAS_8BIT },
		{ MIME_SAYS_8BIT, MESSAGE_SAID_8BITMIME }, /* compat */
		{ MIME_8BIT_HEADER, MESSAGE_HAS_8BIT_HEADER },
		{ MIME_LONG_LINE, MESSAGE_HAS_LONG_LINES },
		{ MIME_DOT_LINE, MESSAGE_HAS_DOT_LINES },
		{ MIME_NUL, MESSAGE_HAS_NUL },
		{ MIME_BARE_LF, MESSAGE_HAS_BARE_LF },
		{ MIME_HAS_PARTS, MESSAGE_HAS_PARTS },
	};
	unsigned noted =
	    mime_filter_facts(in->filter) | ingest_convert_facts(in->convert);
	uint32_t out = (env->body_8bit ? MESSAGE_SAID_8BITMIME : 0U) |
		       (env->body_7bit ? MESSAGE_SAID_7BIT : 0U) |
		       (env->smtputf8 ? MESSAGE_SMTPUTF8 : 0U) |
		       (env->is_probe ? MESSAGE_IS_PROBE : 0U) |
		       (env->is_report ? MESSAGE_IS_REPORT : 0U) |
		       (env->is_verify_only ? MESSAGE_VERIFY_ONLY : 0U);

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (noted & map[i].from)
			out |= map[i].to;
	/* Local programs end their lines with LF: nothing was repaired. */
	if (in->client->via == MIME_VIA_LOCAL || ingest_is_notice(in))
		out = (out & ~(uint32_t)MESSAGE_HAS_BARE_LF) | MESSAGE_IS_LOCAL;
	if (str_is(in->client->origin, "bounce"))
		out |= MESSAGE_IS_NOTICE;
	if ((out & MESSAGE_SMTPUTF8) == 0 && needs_utf8(in, noted))
		out |= MESSAGE_SMTPUTF8;
	return out;
}

/* Checks of the content come later than those of the envelope, and win. */
static void
merge_effects(struct ingest *in)
{
	const struct ingest_effects *fx = &in->fx;
	const struct ingest_envelope *env = &in->env;
	struct ingest_final *f = &in->final;

	f->filter = fx->filter.n > 0 ? fx->filter : env->filter;
	f->redirect = fx->redirect.n > 0 ? fx->redirect : env->redirect;
	f->verp = env->verp;
	f->hold = fx->hold || env->hold;
	f->discard = fx->discard || env->discard;
}

/* compat: whoever it was for, it goes to one address, neither mapped nor expanded; the
 * first recipient's other properties stay. */
static enum rc
redirect(struct ingest *in, struct wire_put *p, struct wire_rcpt *v)
{
	struct str to = ingest_full_address(in->conf, in->final.redirect, in->env_mem);

	if (to.p == NULL || to.n > ADDR_MAX)
		return RC_TEMP;
	if (v[0].orig.n == 0)
		v[0].orig = v[0].address;
	v[0].address = to;
	v[0].notify &= (uint8_t)~SPOOL_EXPANDED;
	p->n_rcpts = 1;
	return RC_OK;
}

static enum rc
put_rcpts(struct ingest *in, struct wire_put *p)
{
	const struct ingest_final *f = &in->final;
	struct wire_rcpt *v = arena_array(in->env_mem, f->n_rcpts, sizeof(*v));

	if (v == NULL || f->n_rcpts == 0)
		return RC_TEMP;
	for (size_t i = 0; i < f->n_rcpts; i++)
		v[i] = (struct wire_rcpt){ .index = (uint32_t)i,
			.address = f->rcpts[i].address,
			.orig = f->rcpts[i].orig,
			.orcpt = f->rcpts[i].orcpt,
			.notify = f->rcpts[i].notify };
	p->rcpts = v;
	p->n_rcpts = f->n_rcpts;
	return f->redirect.n > 0 ? redirect(in, p, v) : RC_OK;
}

static enum rc
make_put(struct ingest *in)
{
	const struct ingest_envelope *env = &in->env;
	const struct ingest_final *f = &in->final;
	const struct ingest_client *c = in->client;
	struct wire_put *p = arena_get(in->env_mem, sizeof(*p));

	if (p == NULL || f->sender.n > ADDR_MAX || put_rcpts(in, p) != RC_OK)
		return RC_TEMP;
	p->sender = f->sender;
	p->id = in->id;
	p->is_long = in->conf->enable_long_queue_ids;
	p->arrival_us = in->arrival_us;
	p->envid = env->envid;
	p->ret = env->ret;
	p->facts = facts(in, env);
	p->hold = f->hold;
	p->filter = f->filter;
	p->verp = f->verp;
	p->origin = c->origin;
	if (c->forwarded != NULL)
		c = c->forwarded;
	p->client_name = c->name;
	p->client_addr = c->addr;
	p->client_port = c->port;
	p->client_proto = c->proto;
	p->client_helo = c->helo;
	p->job = env->job;
	in->put = p;
	return RC_OK;
}

void
ingest_put_expanded(struct ingest *in)
{
	if (in->failed == RC_OK && make_put(in) != RC_OK)
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	/* When the stage file is here, ingest.c goes on. */
	if (in->stage_request == 0)
		ingest_put_go(in);
}

void
ingest_expand_start(struct ingest *in)
{
	merge_effects(in);
	if (in->failed != RC_OK) {
		ingest_tell(in);
	} else if (in->final.discard) {
		/* As if it had been stored. A stage file that is still on its way must
		 * not find a message that waits for it. */
		ingest_drop(in);
		ingest_tell(in);
	} else {
		ingest_expand_finish(in);
	}
}

void
ingest_put_cancel(struct ingest *in)
{
	if (in->put_request != 0)
		submit_forget(in->submit, in->put_request);
	in->put_request = 0;
	ingest_expand_cancel(in);
	arena_free(&in->env_mem);
}
