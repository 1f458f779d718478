/* The envelope of a message, and the put. */
#include <assert.h>
#include "addr/address.h"
#include "agent/ingest_int.h"
#include "agent/submit.h"
#include "base/hmap.h"
#include "os/fd.h"
#include "os/random.h"
#include "spool/message.h"
#include "wire/messages.h"

#define TEXT_TOO_MANY "5.3.4 Error: too many recipients"

enum { ENVELOPE_BYTES_MAX = 7 << 20 /* of a frame of 8 MiB */ };

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

static uint32_t
facts(const struct ingest *in, const struct ingest_envelope *env)
{
	static const struct {
		unsigned from;
		uint32_t to;
	} map[] = {
		{ MIME_8BIT, MESSAGE_HAS_8BIT },
		{ MIME_8BIT_HEADER, MESSAGE_HAS_8BIT_HEADER },
		{ MIME_LONG_LINE, MESSAGE_HAS_LONG_LINES },
		{ MIME_DOT_LINE, MESSAGE_HAS_DOT_LINES },
		{ MIME_NUL, MESSAGE_HAS_NUL },
		{ MIME_BARE_LF, MESSAGE_HAS_BARE_LF },
		{ MIME_VERSION, MESSAGE_IS_MIME },
	};
	unsigned noted = mime_filter_facts(in->filter);
	uint32_t out = env->body_8bit ? MESSAGE_SAID_8BITMIME : 0;

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (noted & map[i].from)
			out |= map[i].to;
	/* Local programs end their lines with LF: nothing was repaired. */
	if (in->client->via != MIME_VIA_SMTP)
		out = (out & ~(uint32_t)MESSAGE_HAS_BARE_LF) | MESSAGE_IS_LOCAL;
	if (in->client->via == MIME_VIA_SELF)
		out |= MESSAGE_IS_NOTICE;
	return out;
}

/* Recipients in full form, duplicates left out. */
struct seen {
	struct hmap_node node;
	size_t at;
};

static bool
is_duplicate(
    struct hmap *h, struct seen *s, const struct wire_rcpt *v, size_t at, bool by_orig)
{
	uint64_t hash = hmap_hash_ci(h, v[at].address);
	struct hmap_node *n = hmap_first(h, hash);

	for (; n != NULL; n = hmap_more(n)) {
		const struct wire_rcpt *old = &v[CONTAINER_OF(n, struct seen, node)->at];

		if (addr_same(old->address, v[at].address) &&
		    (!by_orig || addr_same(old->orig, v[at].orig)) &&
		    str_ieq(old->orcpt, v[at].orcpt) && old->notify == v[at].notify)
			return true;
	}
	s->at = at;
	hmap_put(h, hash, &s->node);
	return false;
}

static struct wire_rcpt *
full_rcpts(struct ingest *in, const struct ingest_envelope *env, struct arena *mem,
    size_t *out_n)
{
	struct wire_rcpt *v = arena_array(mem, env->n_rcpts, sizeof(*v));
	struct seen *seen = arena_array(mem, env->n_rcpts, sizeof(*seen));
	bool look = env->n_rcpts > 1;
	struct hmap h = { 0 };
	uint64_t seed[2];
	size_t n = 0;

	if (v == NULL || seen == NULL)
		return NULL;
	if (look) {
		os_random_seed(seed);
		hmap_init(&h, seed);
	}
	for (size_t i = 0; i < env->n_rcpts; i++) {
		const struct ingest_rcpt *r = &env->rcpts[i];
		struct str full = ingest_full_address(in->conf, r->address, mem);

		v[n] = (struct wire_rcpt){ .index = (uint32_t)n,
			.address = full,
			.orig = r->orig,
			.orcpt = r->orcpt,
			.notify = r->notify };
		if (full.p == NULL || full.n > ADDR_MAX) {
			n = 0;
			break;
		}
		if (v[n].orig.n == 0 && !str_eq(full, r->address))
			v[n].orig = r->address;
		if (!look || i >= in->conf->duplicate_filter_limit ||
		    !is_duplicate(&h, &seen[i], v, n, in->conf->keeps_original))
			n++;
	}
	if (look)
		hmap_fini(&h);
	*out_n = n;
	return n > 0 ? v : NULL;
}

/* MAILER-DAEMON@myorigin is the empty sender. Compat: cleanup of Postfix. */
static struct str
full_sender(struct ingest *in, struct str sender, struct arena *mem)
{
	struct str full = ingest_full_address(in->conf, sender, mem), local, domain;

	if (full.p == NULL || full.n == 0)
		return full;
	addr_split(full, &local, &domain);
	if (str_iis(local, "MAILER-DAEMON") && str_ieq(domain, in->conf->myorigin))
		return STR("");
	return full;
}

/* Recipients go to queue in one frame; one that is too long would close the channel, and
 * with it end everybody else's mail. */
static bool
is_too_long(const struct wire_rcpt *v, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += v[i].address.n + v[i].orig.n + v[i].orcpt.n + 32;
	return bytes > ENVELOPE_BYTES_MAX;
}

static enum rc
make_put(struct ingest *in)
{
	const struct ingest_envelope *env = &in->env;
	const struct ingest_client *c = in->client;
	struct wire_put *p;
	struct wire_rcpt *rcpts;

	/* One arena for what depends on the number of recipients. */
	in->env_mem = arena_new(((size_t)1 << 20) + env->n_rcpts * 8192);
	p = arena_get(in->env_mem, sizeof(*p));
	if (p == NULL || env->n_rcpts > SPOOL_RCPTS_MAX)
		return RC_TEMP;
	rcpts = full_rcpts(in, env, in->env_mem, &p->n_rcpts);
	p->rcpts = rcpts;
	p->sender = full_sender(in, env->sender, in->env_mem);
	if (rcpts == NULL || p->sender.p == NULL || p->sender.n > ADDR_MAX)
		return RC_TEMP;
	if (is_too_long(rcpts, p->n_rcpts))
		return ingest_fail(in, RC_PERM, TEXT_TOO_MANY);
	p->id = in->id;
	p->is_long = in->conf->enable_long_queue_ids;
	p->arrival_us = in->arrival_us;
	p->envid = env->envid;
	p->ret = env->ret;
	p->facts = facts(in, env);
	p->hold = env->hold;
	p->origin = c->origin;
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
ingest_expand_start(struct ingest *in)
{
	if (make_put(in) != RC_OK)
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	/* When the stage file is here, ingest.c goes on. */
	if (in->stage_request == 0)
		ingest_put_go(in);
}

void
ingest_put_cancel(struct ingest *in)
{
	if (in->put_request != 0)
		submit_forget(in->submit, in->put_request);
	in->put_request = 0;
	arena_free(&in->env_mem);
}
