/* The client side of the submission channel. Owns the grant of queue ids and the requests
 * that queue has not answered; survives queue: every new channel is a new epoch, and what
 * belonged to the old one is answered RC_TEMP. */
#include "agent/submit.h"
#include "agent/again.h"
#include "agent/verify_client.h"
#include <stdlib.h>
#include "base/hmap.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/random.h"

#define TEXT_NO_QUEUE                                                                    \
	"4.3.0 Error: queue file write error"             /* compat: the store is away */
#define TEXT_NO_SPACE "4.3.1 Insufficient system storage" /* compat */

enum { PENDING_OUT_MAX = 24 << 20 };

#define ASK_FIRST_US (US_PER_SEC / 10)

/* Of strings, as src/wire/messages.ipc has them. */
enum {
	STR_MAX = 2000,
	ENVID_MAX = 1000,
	CLIENT_ADDR_MAX = 64,
	CLIENT_PORT_MAX = 8,
	DOMAIN_MAX = 512,
};

enum request_kind { REQUEST_STAGE, REQUEST_PUT, REQUEST_VERIFY, REQUEST_FLUSH };

/* One question to queue. */
struct request {
	struct hmap_node by_number;
	uint32_t number;
	uint32_t epoch;
	enum request_kind kind;
	bool is_forgotten;
	union { /* by kind */
		submit_stage_fn *stage;
		submit_put_fn *put;
		verify_done_fn *verify;
		submit_flush_fn *flush;
	} done;
	void *arg;
};

struct range {
	uint64_t first;
	uint32_t count;
};

struct submit {
	struct loop *loop;
	struct log *log;
	struct ipc_channel *ch; /* NULL: no queue */
	uint32_t epoch;
	uint32_t last_request;
	struct hmap requests;
	struct range now, next; /* ids at hand */
	uint32_t granted;
	bool has_asked, has_state, can_store, was_ready;
	uint64_t free_bytes;
	void (*ready)(void *arg);
	void *ready_arg;
	struct again again;
};

struct submit *
submit_new(struct loop *loop, struct log *log)
{
	struct submit *s = mem_get(sizeof(*s));
	uint64_t seed[2];

	os_random_seed(seed);
	hmap_init(&s->requests, seed);
	s->loop = loop;
	s->log = log;
	again_init(&s->again, loop, ASK_FIRST_US);
	return s;
}

/* ---- requests ---- */

static struct request *
request_find(struct submit *s, uint32_t number)
{
	struct hmap_node *n =
	    hmap_first(&s->requests, hmap_hash_u64(&s->requests, number));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct request, by_number)->number == number)
			return CONTAINER_OF(n, struct request, by_number);
	return NULL;
}

static void
request_init(struct submit *s, struct request *r, enum request_kind kind, void *arg)
{
	do
		s->last_request++;
	while (s->last_request == 0 || request_find(s, s->last_request) != NULL);
	r->number = s->last_request;
	r->epoch = s->epoch;
	r->kind = kind;
	r->arg = arg;
	hmap_put(&s->requests, hmap_hash_u64(&s->requests, r->number), &r->by_number);
}

static struct request *
request_new(struct submit *s, enum request_kind kind, void *arg)
{
	struct request *r = mem_get(sizeof(*r));

	request_init(s, r, kind, arg);
	return r;
}

/* What queue said; what does not belong to the kind of the request is empty. */
struct reply {
	enum rc rc;
	int fd;
	uint32_t number;
	struct str text;
};

static void
request_answer(struct request *r, const struct reply *a)
{
	void *arg = r->arg;

	if (r->is_forgotten) {
		free(r);
		return;
	}
	switch (r->kind) {
	case REQUEST_STAGE:
		r->done.stage(arg, a->rc, a->fd, a->number, a->text);
		break;
	case REQUEST_PUT:
		r->done.put(arg, a->rc, a->text);
		break;
	case REQUEST_VERIFY:
		r->done.verify(arg, a->rc, a->text);
		break;
	case REQUEST_FLUSH:
		r->done.flush(arg, a->rc);
		break;
	}
	free(r);
}

/* Everything that was asked of a queue that is gone. There is no channel meanwhile, so no
 * request is made. Those that wait for their turn stay where submit_forget() finds them:
 * whoever is told about one may go away, and with him who asked for another. */
static void
answer_all(struct submit *s)
{
	static const struct reply gone = {
		.rc = RC_TEMP, .fd = -1, .text = STR_INIT(TEXT_NO_QUEUE)
	};
	struct hmap_node *n;

	while ((n = hmap_drain(&s->requests)) != NULL)
		request_answer(CONTAINER_OF(n, struct request, by_number), &gone);
}

/* ---- ids and state ---- */

static bool
is_ready(const struct submit *s)
{
	return s->ch != NULL && s->can_store && s->now.count > 0;
}

static void
tell_ready(struct submit *s)
{
	bool now = is_ready(s);

	if (now && !s->was_ready && s->ready != NULL) {
		s->was_ready = now;
		s->ready(s->ready_arg);
		return;
	}
	s->was_ready = now;
}

static void
on_ids(void *arg, const struct wire_ids *m)
{
	struct submit *s = arg;

	s->has_asked = false;
	s->granted = m->count;
	if (s->now.count == 0)
		s->now = (struct range){ m->first, m->count };
	else
		s->next = (struct range){ m->first, m->count };
	tell_ready(s);
}

static void
on_state(void *arg, const struct wire_state *m)
{
	struct submit *s = arg;

	s->has_state = true;
	s->can_store = m->can_store;
	s->free_bytes = m->free_bytes;
	tell_ready(s);
}

enum rc
submit_take_id(struct submit *s, uint64_t *out, uint32_t *out_epoch, struct err *e)
{
	static const struct wire_ids_want want = { 0 };

	if (s->ch == NULL || s->now.count == 0) {
		s->was_ready = false;
		return err_set(e, RC_TEMP, TEXT_NO_QUEUE);
	}
	*out = s->now.first++;
	*out_epoch = s->epoch;
	s->now.count--;
	if (s->now.count == 0) {
		s->now = s->next;
		s->next.count = 0;
	}
	if (!s->has_asked && s->next.count == 0 && s->now.count <= s->granted / 2) {
		s->has_asked = true;
		ipc_send_ids_want(s->ch, &want);
	}
	return RC_OK;
}

enum rc
submit_can_store(const struct submit *s, uint64_t size_bytes, struct err *e)
{
	if (s->ch == NULL || !s->has_state)
		return err_set(e, RC_MORE, TEXT_NO_QUEUE);
	if (!s->can_store || size_bytes > s->free_bytes)
		return err_set(e, RC_TEMP, TEXT_NO_SPACE);
	if (s->now.count == 0)
		return err_set(e, RC_MORE, TEXT_NO_QUEUE);
	return RC_OK;
}

void
submit_on_ready(struct submit *s, void (*ready)(void *arg), void *arg)
{
	s->ready = ready;
	s->ready_arg = arg;
}

/* ---- stage files and puts ---- */

/* The request that this answers, taken out; NULL: queue makes no sense, and is left. */
static struct request *
take(struct submit *s, uint32_t number, enum request_kind kind)
{
	struct request *r = request_find(s, number);

	if (r == NULL || r->kind != kind) {
		ipc_channel_finish(s->ch);
		return NULL;
	}
	hmap_remove(&s->requests, &r->by_number);
	return r;
}

static void
on_stage(void *arg, const struct wire_stage *m)
{
	struct submit *s = arg;
	struct request *r = take(s, m->request, REQUEST_STAGE);
	struct reply a = { .rc = m->rc == RC_OK && m->file >= 0 ? RC_OK : RC_TEMP,
		.fd = m->file,
		.number = m->number,
		.text = m->text };

	if (r == NULL) {
		os_fd_close(&a.fd);
		return;
	}
	if (r->is_forgotten || a.rc != RC_OK) {
		os_fd_close(&a.fd);
		if (a.rc == RC_OK)
			submit_stage_drop(s, m->number, s->epoch);
	}
	request_answer(r, &a);
}

static void
on_put_done(void *arg, const struct wire_put_done *m)
{
	struct submit *s = arg;
	struct request *r = take(s, m->request, REQUEST_PUT);
	struct reply a = { .rc = m->rc == RC_OK     ? RC_OK
				 : m->rc == RC_PERM ? RC_PERM
						    : RC_TEMP,
		.fd = -1,
		.text = m->text };

	if (r != NULL)
		request_answer(r, &a);
}

static void
on_verified(void *arg, const struct wire_verified *m)
{
	struct submit *s = arg;
	struct request *r = take(s, m->request, REQUEST_VERIFY);
	struct reply a = {
		.rc = m->rc == RC_OK ? RC_OK : RC_TEMP, .fd = -1, .text = m->value
	};

	if (r != NULL)
		request_answer(r, &a);
}

static void
on_flush_site_done(void *arg, const struct wire_flush_site_done *m)
{
	struct submit *s = arg;
	struct request *r = take(s, m->request, REQUEST_FLUSH);
	struct reply a = { .rc = m->rc == RC_OK     ? RC_OK
				 : m->rc == RC_NONE ? RC_NONE
						    : RC_TEMP,
		.fd = -1 };

	if (r != NULL)
		request_answer(r, &a);
}

uint32_t
submit_stage_open(struct submit *s, submit_stage_fn *done, void *arg)
{
	struct request *r;
	struct wire_stage_open m = { 0 };

	if (s->ch == NULL)
		return 0;
	r = request_new(s, REQUEST_STAGE, arg);
	r->done.stage = done;
	m.request = r->number;
	ipc_send_stage_open(s->ch, &m);
	return m.request;
}

void
submit_stage_drop(struct submit *s, uint32_t number, uint32_t epoch)
{
	struct wire_stage_drop m = { .number = number };

	if (s->ch != NULL && epoch == s->epoch)
		ipc_send_stage_drop(s->ch, &m);
}

uint32_t
submit_epoch(const struct submit *s)
{
	return s->epoch;
}

/* What is too long for the frame would close the channel, and with it end everybody's
 * mail: tables and local programs may name filters and ids of any length. */
static bool
fits(const struct wire_put *p)
{
	if (p->sender.n > STR_MAX || p->filter.n > STR_MAX || p->envid.n > ENVID_MAX ||
	    p->client_addr.n > CLIENT_ADDR_MAX || p->client_port.n > CLIENT_PORT_MAX ||
	    p->verp.n > 2)
		return false;
	for (size_t i = 0; i < p->n_rcpts; i++)
		if (p->rcpts[i].address.n > STR_MAX || p->rcpts[i].orig.n > STR_MAX ||
		    p->rcpts[i].orcpt.n > STR_MAX)
			return false;
	return true;
}

uint32_t
submit_put(struct submit *s, struct wire_put *put, uint32_t epoch, submit_put_fn *done,
    void *arg)
{
	struct request *r;

	if (s->ch == NULL || epoch != s->epoch || !fits(put) ||
	    ipc_channel_pending(s->ch) > PENDING_OUT_MAX)
		return 0;
	r = request_new(s, REQUEST_PUT, arg);
	r->done.put = done;
	put->request = r->number;
	ipc_send_put(s->ch, put);
	return put->request;
}

void
submit_forget(struct submit *s, uint32_t request)
{
	struct request *r = request_find(s, request);

	if (r != NULL)
		r->is_forgotten = true;
}

/* ---- addresses and destinations ---- */

/* A request by another name: it lives until it is answered, and its owner may leave. */
struct verify_query {
	struct request r; /* first: freed as one */
};

struct verify_query *
verify_client_ask(
    struct submit *s, const struct verify_question *what, verify_done_fn *done, void *arg)
{
	struct wire_verify m = { .is_sender = what->is_sender,
		.wait_us = what->wait_us,
		.address = what->address };
	struct verify_query *q;

	if (s->ch == NULL || what->address.n > STR_MAX)
		return NULL;
	q = mem_get(sizeof(*q));
	request_init(s, &q->r, REQUEST_VERIFY, arg);
	q->r.done.verify = done;
	m.request = q->r.number;
	ipc_send_verify(s->ch, &m);
	return q;
}

void
verify_client_cancel(struct verify_query **q)
{
	if (*q != NULL)
		(*q)->r.is_forgotten = true;
	*q = NULL;
}

uint32_t
submit_flush_site(struct submit *s, struct str domain, submit_flush_fn *done, void *arg)
{
	struct wire_flush_site m = { .domain = domain };
	struct request *r;

	if (s->ch == NULL || domain.n > DOMAIN_MAX)
		return 0;
	r = request_new(s, REQUEST_FLUSH, arg);
	r->done.flush = done;
	m.request = r->number;
	ipc_send_flush_site(s->ch, &m);
	return m.request;
}

/* ---- the channel ---- */

void
submit_on_lost(struct submit *s, void (*need)(void *arg), void *arg)
{
	s->again.ask = need;
	s->again.arg = arg;
}

static void
disconnect(struct submit *s)
{
	if (s->ch == NULL)
		return;
	ipc_channel_free(&s->ch);
	s->now.count = s->next.count = 0;
	s->has_asked = s->has_state = s->can_store = s->was_ready = false;
	answer_all(s);
}

static void
on_close(void *arg, const char *why)
{
	struct submit *s = arg;

	if (why != NULL)
		log_warn(s->log, "submission channel: %s", why);
	disconnect(s);
	again_lost(&s->again);
}

void
submit_connect(struct submit *s, int channel_fd)
{
	static const struct ipc_handlers on = {
		.on_ids = on_ids,
		.on_state = on_state,
		.on_stage = on_stage,
		.on_put_done = on_put_done,
		.on_verified = on_verified,
		.on_flush_site_done = on_flush_site_done,
	};
	struct ipc_channel_conf conf = {
		.me = WIRE_SUBMITTER,
		.peer = WIRE_QUEUE,
		.on = &on,
		.on_close = on_close,
		.arg = s,
		.out_max = 2 * (size_t)PENDING_OUT_MAX,
	};

	disconnect(s);
	again_found(&s->again);
	s->epoch++;
	s->ch = ipc_channel_new(s->loop, channel_fd, &conf);
}

void
submit_free(struct submit **sp)
{
	struct submit *s = *sp;
	struct hmap_node *n;

	if (s == NULL)
		return;
	if (s->ch != NULL)
		ipc_channel_free(&s->ch);
	again_cancel(&s->again);
	while ((n = hmap_drain(&s->requests)) != NULL)
		free(CONTAINER_OF(n, struct request, by_number));
	hmap_fini(&s->requests);
	free(s);
	*sp = NULL;
}
