/* One message on its way into the spool.
 *
 * Content leaves the filter into `held`. Up to SPOOL_INLINE_MAX it stays there and
 * travels inside the put; beyond that a stage file is asked for, and once it is here
 * `held` is only a write buffer. While the stage file is on its way the sender is slowed
 * down (RC_MORE).
 *
 * Failure is sticky: the first one wins, everything held is let go, ingest_commit()
 * reports it. */
#include "agent/ingest_int.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "addr/address.h"
#include "agent/submit.h"
#include "base/crc32c.h"
#include "base/hmap.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/random.h"
#include "spool/message.h"
#include "spool/queue_id.h"
#include "wire/messages.h"

#define TEXT_WRITE_ERROR "4.3.0 Error: queue file write error" /* compat */
#define TEXT_TOO_BIG     "5.3.4 Error: message file too big"   /* compat */
#define TEXT_TOO_MANY    "5.3.4 Error: too many recipients"

enum {
	HELD_SLOW = 256 << 10, /* waiting for the stage file: slow the sender down */
	HELD_MAX = 8 << 20,    /* … and what arrives at once all the same */
	WRITE_AT = 128 << 10,  /* stage file: write when so much is gathered */
	ENVELOPE_BYTES_MAX = 7 << 20, /* of a frame of 8 MiB */
	TEXTS_MAX = 128 << 10,        /* arena: Received:, From:, Message-ID */
};

struct ingest {
	struct submit *submit;
	struct loop *loop;
	const struct ingest_conf *conf;
	struct arena *mem;
	struct queue_id qid;
	uint64_t id;
	int64_t arrival_us;
	uint32_t epoch;

	const struct ingest_client *client;
	struct mime_start start;
	struct mime_filter *filter;
	struct buf held;
	uint64_t size_bytes; /* of the stored content */
	uint64_t sent_bytes; /* of what the client sent */
	bool has_logged_id;

	enum rc failed; /* RC_OK: not */
	char why[256];

	bool is_staged;         /* stage file asked for or here */
	uint32_t stage_request; /* not 0: on its way */
	int stage_fd;
	uint32_t stage_number, stage_crc;
	void (*room)(void *arg);
	void *room_arg;
	bool wants_room;

	/* ingest_commit() */
	bool is_committed;
	struct wire_put *put; /* waiting for the stage file */
	uint32_t put_request;
	ingest_done_fn *done;
	void *done_arg;
	struct loop_task later; /* tells `done` about a failure */
};

static void tell(void *arg);

enum rc
ingest_new(struct submit *s, struct loop *loop, const struct ingest_conf *conf,
    struct ingest **out, struct err *e)
{
	struct ingest *in;
	uint64_t id;
	uint32_t epoch;
	enum rc rc = submit_can_store(s, 0, e);

	if (rc == RC_OK)
		rc = submit_take_id(s, &id, &epoch, e);
	if (rc != RC_OK)
		return rc == RC_MORE ? RC_TEMP : rc;
	in = mem_get(sizeof(*in));
	in->submit = s;
	in->loop = loop;
	in->conf = conf;
	in->id = id;
	in->epoch = epoch;
	in->arrival_us = loop_wall_us(loop);
	in->qid = queue_id_format(id, in->arrival_us, conf->enable_long_queue_ids);
	in->stage_fd = -1;
	buf_init(&in->held, HELD_MAX);
	loop_task_init(&in->later, tell, in);
	*out = in;
	return RC_OK;
}

struct str
ingest_qid(const struct ingest *in)
{
	return str_c(in->qid.text);
}

uint64_t
ingest_size(const struct ingest *in)
{
	return in->size_bytes;
}

void
ingest_on_room(struct ingest *in, void (*room)(void *arg), void *arg)
{
	in->room = room;
	in->room_arg = arg;
}

/* ---- letting go ---- */

static void
drop_content(struct ingest *in)
{
	buf_fini(&in->held);
	buf_init(&in->held, HELD_MAX);
	os_fd_close(&in->stage_fd);
	if (in->stage_number != 0)
		submit_stage_drop(in->submit, in->stage_number, in->epoch);
	in->stage_number = 0;
	if (in->stage_request != 0)
		submit_forget(in->submit, in->stage_request);
	in->stage_request = 0;
}

static enum rc
fail(struct ingest *in, enum rc rc, const char *text)
{
	if (in->failed != RC_OK)
		return in->failed;
	in->failed = rc;
	(void)snprintf(in->why, sizeof(in->why), "%s", text);
	drop_content(in);
	return rc;
}

void
ingest_free(struct ingest **inp)
{
	struct ingest *in = *inp;

	if (in == NULL)
		return;
	loop_soon_cancel(in->loop, &in->later);
	if (in->put_request != 0)
		submit_forget(in->submit, in->put_request);
	drop_content(in);
	buf_fini(&in->held);
	mime_filter_free(&in->filter);
	arena_free(&in->mem);
	free(in);
	*inp = NULL;
}

/* ---- content ---- */

void
ingest_begin(struct ingest *in, const struct ingest_client *client, struct str rcpt)
{
	const struct ingest_conf *c = in->conf;
	char date[MIME_DATE_MAX];
	struct buf received;
	struct mime_received r = { .via = client->via,
		.helo = client->helo,
		.client_name = client->name,
		.client_addr = client->addr,
		.proto = client->proto,
		.myhostname = c->myhostname,
		.mail_name = c->mail_name,
		.qid = ingest_qid(in),
		.date = ingest_date(in->arrival_us, date),
		.rcpt = rcpt,
		.uid = client->uid };

	assert(in->filter == NULL);
	in->client = client;
	in->mem = arena_new(TEXTS_MAX);
	buf_init(&received, 16384);
	if (mime_received_format(&r, &received) != RC_OK)
		(void)fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	in->start.received = arena_str(in->mem, buf_view(&received));
	buf_fini(&received);
	in->start.complete = client->is_local || c->always_complete;
	if (in->start.complete) {
		in->start.date = arena_str(in->mem, r.date);
		in->start.message_id =
		    ingest_message_id(c, r.qid, in->arrival_us, in->mem);
		in->start.from = ingest_from(c, client, in->mem);
		/* always_add_missing_headers completes headers, but not addresses. */
		if (client->is_local)
			in->start.rewrite = c->rewrite;
	}
	in->filter = mime_filter_new(&c->mime, &in->start);
}

static enum rc
flush(struct ingest *in)
{
	struct str s = buf_view(&in->held);
	struct err e = { 0 };

	if (s.n == 0)
		return RC_OK;
	if (os_fd_write_all(in->stage_fd, s, &e) != RC_OK) {
		log_warn(in->conf->cleanup_log, "%s: write stage file: %s", in->qid.text,
		    e.text);
		return fail(in, RC_TEMP,
		    e.sys == ENOSPC ? "4.3.1 Insufficient system storage"
				    : TEXT_WRITE_ERROR);
	}
	in->stage_crc = crc32c(in->stage_crc, s);
	buf_reset(&in->held);
	return RC_OK;
}

static void send_put(struct ingest *in);

static void
on_stage(void *arg, enum rc rc, int fd, uint32_t number, struct str text)
{
	struct ingest *in = arg;

	(void)text;
	in->stage_request = 0;
	if (rc != RC_OK) {
		(void)fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	} else {
		in->stage_fd = fd;
		in->stage_number = number;
		(void)flush(in);
	}
	if (in->is_committed) {
		send_put(in);
	} else if (in->wants_room) {
		in->wants_room = false;
		if (in->room != NULL)
			in->room(in->room_arg);
	}
}

static enum rc
hold(struct ingest *in, struct str s)
{
	in->size_bytes += s.n;
	if (buf_put(&in->held, s) != RC_OK)
		return fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	if (in->stage_fd >= 0)
		return in->held.n >= WRITE_AT ? flush(in) : RC_OK;
	if (in->held.n <= SPOOL_INLINE_MAX || in->is_staged)
		return RC_OK;
	if (in->epoch != submit_epoch(in->submit))
		return fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	in->is_staged = true;
	in->stage_request = submit_stage_open(in->submit, on_stage, in);
	return in->stage_request != 0 ? RC_OK : fail(in, RC_TEMP, TEXT_WRITE_ERROR);
}

static void
log_id(struct ingest *in)
{
	struct str id = mime_filter_message_id(in->filter);
	struct str resent = mime_filter_resent_message_id(in->filter);
	struct log *l = in->conf->cleanup_log;

	if (in->has_logged_id || l == NULL)
		return;
	in->has_logged_id = true;
	if (resent.n > 0)
		log_info(l, "%s: resent-message-id=%.*s", in->qid.text, STR_ARG(resent));
	log_begin(l, LOG_LEVEL_INFO);
	log_put(l, ingest_qid(in));
	log_put(l, STR(": message-id=")); /* compat */
	log_put(l, id.n > 0 ? id : STR("<>"));
	log_end(l);
}

static enum rc
filter_failed(struct ingest *in, enum rc rc, const struct err *e)
{
	if (rc == RC_PERM && str_starts(str_c(e->text), STR("5.4.0"))) /* compat */
		log_warn(in->conf->cleanup_log, "%s: message rejected: hopcount exceeded",
		    in->qid.text);
	return fail(in, rc, e->text);
}

enum rc
ingest_content(struct ingest *in, struct str piece, struct err *e)
{
	struct err why = { 0 };
	struct str out;
	enum rc rc = in->failed;

	assert(in->filter != NULL && !in->is_committed);
	in->sent_bytes += piece.n;
	if (rc == RC_OK && in->conf->message_size_limit > 0 &&
	    in->sent_bytes > in->conf->message_size_limit)
		rc = fail(in, RC_PERM, TEXT_TOO_BIG);
	while (rc == RC_OK) {
		rc = mime_filter_step(in->filter, &piece, &out, &why);
		if (rc == RC_OK)
			rc = hold(in, out);
		else if (rc != RC_MORE)
			rc = filter_failed(in, rc, &why);
	}
	if (rc != RC_MORE)
		return err_set(e, rc, "%s", in->why);
	if (!in->has_logged_id && mime_filter_in_body(in->filter))
		log_id(in);
	in->wants_room = in->stage_request != 0 && in->held.n > HELD_SLOW;
	return in->wants_room ? RC_MORE : RC_OK;
}

/* ---- the put ---- */

static void
tell(void *arg)
{
	struct ingest *in = arg;

	in->done(in->done_arg, in->failed, str_c(in->why));
}

static void
on_put_done(void *arg, enum rc rc, struct str text)
{
	struct ingest *in = arg;

	in->put_request = 0;
	in->done(
	    in->done_arg, rc, rc == RC_OK || text.n > 0 ? text : STR(TEXT_WRITE_ERROR));
}

/* Sends the put, or says why not; the stage file is queue's from then on. */
static void
send_put(struct ingest *in)
{
	struct wire_put *p = in->put;

	if (in->failed == RC_OK && in->is_staged)
		(void)flush(in);
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
			(void)fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	}
	if (in->failed != RC_OK) {
		loop_soon(in->loop, &in->later);
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

static void
keep(struct arena *mem, struct str *s, bool *ok)
{
	*s = arena_str(mem, *s);
	if (s->p == NULL)
		*ok = false;
}

/* The put has to wait: its strings, which are the caller's, are copied. */
static bool
keep_put(struct wire_put *p, struct wire_rcpt *rcpts, struct arena *mem)
{
	bool ok = true;

	keep(mem, &p->sender, &ok);
	keep(mem, &p->envid, &ok);
	keep(mem, &p->origin, &ok);
	keep(mem, &p->client_name, &ok);
	keep(mem, &p->client_addr, &ok);
	keep(mem, &p->client_port, &ok);
	keep(mem, &p->client_proto, &ok);
	keep(mem, &p->client_helo, &ok);
	for (size_t i = 0; i < p->n_rcpts && ok; i++) {
		keep(mem, &rcpts[i].address, &ok);
		keep(mem, &rcpts[i].orig, &ok);
		keep(mem, &rcpts[i].orcpt, &ok);
	}
	return ok;
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
make_put(struct ingest *in, const struct ingest_envelope *env)
{
	const struct ingest_client *c = in->client;
	struct wire_put *p;
	struct wire_rcpt *rcpts;

	/* One arena for what depends on the number of recipients. */
	arena_free(&in->mem);
	in->mem = arena_new(((size_t)1 << 20) + env->n_rcpts * 8192);
	p = arena_get(in->mem, sizeof(*p));
	if (p == NULL || env->n_rcpts > SPOOL_RCPTS_MAX)
		return RC_TEMP;
	rcpts = full_rcpts(in, env, in->mem, &p->n_rcpts);
	p->rcpts = rcpts;
	p->sender = full_sender(in, env->sender, in->mem);
	if (rcpts == NULL || p->sender.p == NULL || p->sender.n > ADDR_MAX)
		return RC_TEMP;
	if (is_too_long(rcpts, p->n_rcpts))
		return fail(in, RC_PERM, TEXT_TOO_MANY);
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
	return in->stage_request == 0 || keep_put(p, rcpts, in->mem) ? RC_OK : RC_TEMP;
}

void
ingest_commit(
    struct ingest *in, const struct ingest_envelope *env, ingest_done_fn *done, void *arg)
{
	struct err e = { 0 };
	struct str out;
	enum rc rc = in->failed;

	assert(in->filter != NULL && !in->is_committed && env->n_rcpts > 0);
	in->is_committed = true;
	in->done = done;
	in->done_arg = arg;
	while (rc == RC_OK) {
		rc = mime_filter_end(in->filter, &out, &e);
		if (rc == RC_OK)
			rc = hold(in, out);
		else if (rc != RC_NONE)
			rc = filter_failed(in, rc, &e);
	}
	if (in->failed == RC_OK) {
		log_id(in);
		if (make_put(in, env) != RC_OK)
			(void)fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	}
	/* on_stage() goes on when the stage file is here. */
	if (in->stage_request == 0)
		send_put(in);
}
