/* Jobs in, outcomes out. A job is copied once, from the channel's buffer into its own
 * arena, and lives until its result is sent; it outlives the channel that brought it. */
#include "agent/delivery.h"
#include "agent/again.h"
#include "agent/log_address.h"
#include "agent/worker.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "spool/message.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB_ARENA_MAX  ((size_t)32 << 20)
#define NOTIFY_SUCCESS 2   /* RFC 3461, see wire/messages.ipc */
#define SPARE_MAX      256 /* job structures kept for the next */
#define ASK_FIRST_US   (US_PER_SEC / 2)

struct channel {
	struct list node;
	struct list jobs;
	struct delivery *d;
	struct ipc_channel *ipc;
};

struct job {
	struct delivery_job pub;
	struct list node;        /* in channel->jobs, d->orphans or d->spares */
	struct channel *channel; /* NULL: gone */
	struct wire_job m;
	struct wire_outcome *outcomes; /* one for each recipient */
	uint32_t n_done;
};

struct delivery {
	struct delivery_request req;
	struct list channels, orphans, spares;
	unsigned n_open, n_spares;
	bool is_draining, has_abandoned;
	struct again again; /* never asks while draining */
};

const char *
delivery_what_name(enum delivery_what what)
{
	switch (what) { /* compat */
	case DELIVERY_SENT:
	case DELIVERY_EXPANDED:
		return "sent";
	case DELIVERY_DEFERRED:
		return "deferred";
	case DELIVERY_BOUNCED:
		return "bounced";
	case DELIVERY_EXPIRED:
		return "expired";
	}
	return "?";
}

static void
need_channel(void *arg)
{
	worker_need(arg, STR("delivery"));
}

struct delivery *
delivery_new(const struct delivery_request *req)
{
	struct delivery *d = mem_get(sizeof(*d));

	d->req = *req;
	list_init(&d->channels);
	list_init(&d->orphans);
	list_init(&d->spares);
	again_init(&d->again, req->loop, ASK_FIRST_US);
	d->again.ask = req->worker == NULL ? NULL : need_channel;
	d->again.arg = req->worker;
	return d;
}

/* ---- a job's memory ---- */

static struct job *
take_job(struct delivery *d)
{
	struct list *spare = list_first(&d->spares);
	struct job *j;

	if (spare == NULL) {
		j = mem_get(sizeof(*j));
		j->pub.mem = arena_new(JOB_ARENA_MAX);
		return j;
	}
	list_remove(spare);
	d->n_spares--;
	return CONTAINER_OF(spare, struct job, node);
}

static void
free_job(struct job *j)
{
	arena_free(&j->pub.mem);
	free(j);
}

static void
give_back(struct delivery *d, struct job *j)
{
	struct arena *mem = j->pub.mem;

	list_remove(&j->node);
	os_fd_close(&j->m.file);
	if (d->n_spares >= SPARE_MAX) {
		free_job(j);
		return;
	}
	arena_reset(mem);
	*j = (struct job){ .pub.mem = mem, .m.file = -1 };
	list_add_tail(&d->spares, &j->node);
	d->n_spares++;
}

static bool
copy_str(struct arena *mem, struct str *s)
{
	if (s->n == 0) {
		*s = (struct str){ "", 0 };
		return true;
	}
	*s = arena_str(mem, *s);
	return s->p != NULL;
}

static bool
copy_rcpts(struct arena *mem, struct wire_job *m)
{
	struct wire_rcpt *v = arena_array(mem, m->n_rcpts + 1, sizeof(*v));

	for (size_t i = 0; v != NULL && i < m->n_rcpts; i++) {
		v[i] = m->rcpts[i];
		if (!copy_str(mem, &v[i].address) || !copy_str(mem, &v[i].orig) ||
		    !copy_str(mem, &v[i].orcpt))
			return false;
	}
	m->rcpts = v;
	return v != NULL;
}

static bool
copy_outcomes(struct arena *mem, struct wire_job *m)
{
	struct wire_outcome *v = arena_array(mem, m->n_outcomes + 1, sizeof(*v));

	for (size_t i = 0; v != NULL && i < m->n_outcomes; i++) {
		v[i] = m->outcomes[i];
		if (!copy_str(mem, &v[i].dsn) || !copy_str(mem, &v[i].text) ||
		    !copy_str(mem, &v[i].mta) || !copy_str(mem, &v[i].diag) ||
		    !copy_str(mem, &v[i].diag_type) || !copy_str(mem, &v[i].action))
			return false;
	}
	m->outcomes = v;
	return v != NULL;
}

static bool
copy_job(struct arena *mem, struct wire_job *m)
{
	struct str *all[] = { &m->qid, &m->service, &m->nexthop, &m->sender, &m->envid,
		&m->client_name, &m->client_addr, &m->client_port, &m->client_proto,
		&m->client_helo, &m->filter, &m->verp, &m->reason, &m->content };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!copy_str(mem, all[i]))
			return false;
	return copy_rcpts(mem, m) && copy_outcomes(mem, m);
}

/* ---- the channel ---- */

static struct log *
service_log(const struct delivery *d, struct str service)
{
	const struct worker_service *s =
	    d->req.worker == NULL ? NULL : worker_service(d->req.worker, service);

	return s != NULL ? s->log : d->req.log;
}

/* The same message, for the same recipients by the same way; notices are not deliveries.
 */
static bool
is_same(const struct wire_job *a, const struct wire_job *b)
{
	if (a->n_outcomes + b->n_outcomes > 0 || a->n_rcpts != b->n_rcpts ||
	    !str_eq(a->qid, b->qid) || !str_eq(a->service, b->service) ||
	    !str_eq(a->nexthop, b->nexthop) || !str_eq(a->sender, b->sender) ||
	    a->arrival_us != b->arrival_us)
		return false;
	for (size_t i = 0; i < a->n_rcpts; i++)
		if (a->rcpts[i].index != b->rcpts[i].index ||
		    !str_eq(a->rcpts[i].address, b->rcpts[i].address))
			return false;
	return true;
}

/* A queue that was restarted gives again what we are still at: whoever waits for an
 * answer to the message would get it twice. The job gets the new number instead. */
static bool
adopt(struct channel *ch, const struct wire_job *m)
{
	LIST_EACH (it, &ch->d->orphans) {
		struct job *j = CONTAINER_OF(it, struct job, node);
		int fd = m->file;

		if (!is_same(&j->m, m))
			continue;
		os_fd_close(&fd);
		list_remove(&j->node);
		list_add_tail(&ch->jobs, &j->node);
		j->channel = ch;
		j->m.job = m->job;
		return true;
	}
	return false;
}

static void
on_job(void *arg, const struct wire_job *m)
{
	struct channel *ch = arg;
	struct delivery *d = ch->d;
	struct job *j;

	if (adopt(ch, m))
		return;
	j = take_job(d);
	j->m = *m;
	j->channel = ch;
	list_add_tail(&ch->jobs, &j->node);
	d->n_open++;
	j->outcomes = NULL;
	if (copy_job(j->pub.mem, &j->m))
		j->outcomes =
		    arena_array(j->pub.mem, m->n_rcpts + 1, sizeof(*j->outcomes));
	assert(j->outcomes != NULL); /* a frame is much smaller than the arena's limit */
	j->pub.m = &j->m;
	j->pub.log = service_log(d, j->m.service);
	d->req.ops->start(d->req.ctx, &j->pub);
}

static void
drop_channel(struct channel *ch)
{
	struct list *node;

	while ((node = list_first(&ch->jobs)) != NULL) {
		CONTAINER_OF(node, struct job, node)->channel = NULL;
		list_remove(node);
		list_add_tail(&ch->d->orphans, node);
	}
	list_remove(&ch->node);
	ipc_channel_free(&ch->ipc);
	free(ch);
}

static void
check_idle(struct delivery *d)
{
	if (!d->is_draining || d->n_open > 0)
		return;
	/* queue waits for what it will not hear. */
	if (d->has_abandoned)
		LIST_EACH (it, &d->channels)
			ipc_channel_finish(CONTAINER_OF(it, struct channel, node)->ipc);
	if (!list_is_empty(&d->channels))
		return;
	if (d->req.ops->idle != NULL)
		d->req.ops->idle(d->req.ctx);
}

static void
on_close(void *arg, const char *why)
{
	struct channel *ch = arg;
	struct delivery *d = ch->d;

	if (why != NULL && d->req.log != NULL)
		log_warn(d->req.log, "delivery channel: %s", why);
	drop_channel(ch);
	check_idle(d);
	/* A queue that is started anew brings its own channel; one that lives on, while
	 * ours was closed for want of a descriptor, does not. */
	if (!d->is_draining && list_is_empty(&d->channels))
		again_lost(&d->again);
}

void
delivery_attach(struct delivery *d, int fd)
{
	static const struct ipc_handlers on = { .on_job = on_job };
	struct channel *ch = mem_get(sizeof(*ch));
	const struct ipc_channel_conf conf = { .me = WIRE_AGENT,
		.peer = WIRE_QUEUE,
		.on = &on,
		.on_close = on_close,
		.arg = ch };

	again_found(&d->again);
	ch->d = d;
	list_init(&ch->jobs);
	ch->ipc = ipc_channel_new(d->req.loop, fd, &conf);
	list_add_tail(&d->channels, &ch->node);
	if (d->is_draining)
		ipc_send_leaving(ch->ipc, &(struct wire_leaving){ 0 });
}

void
delivery_drain(struct delivery *d)
{
	d->is_draining = true;
	again_cancel(&d->again);
	LIST_EACH (it, &d->channels)
		ipc_send_leaving(CONTAINER_OF(it, struct channel, node)->ipc,
		    &(struct wire_leaving){ 0 });
	check_idle(d);
}

static void
free_jobs(struct list *jobs)
{
	struct list *node;

	while ((node = list_first(jobs)) != NULL) {
		struct job *j = CONTAINER_OF(node, struct job, node);

		list_remove(node);
		os_fd_close(&j->m.file);
		free_job(j);
	}
}

void
delivery_free(struct delivery **dp)
{
	struct delivery *d = *dp;
	struct list *node;

	if (d == NULL)
		return;
	again_cancel(&d->again);
	while ((node = list_first(&d->channels)) != NULL)
		drop_channel(CONTAINER_OF(node, struct channel, node));
	free_jobs(&d->orphans);
	free_jobs(&d->spares);
	free(d);
	*dp = NULL;
}

bool
delivery_is_probe(const struct delivery_job *job)
{
	return (job->m->facts & (MESSAGE_IS_PROBE | MESSAGE_VERIFY_ONLY)) != 0;
}

bool
delivery_is_orphan(struct delivery_job *job)
{
	return CONTAINER_OF(job, struct job, pub)->channel == NULL;
}

/* ---- content ---- */

const char *
delivery_inline(const struct delivery_job *job, size_t *out_n)
{
	if (job->m->is_staged)
		return NULL;
	*out_n = job->m->content.n;
	return job->m->content.p;
}

enum rc
delivery_read(
    const struct delivery_job *job, uint64_t offset, char *to, size_t n, size_t *out_n)
{
	const struct wire_job *m = job->m;
	uint64_t end = m->is_staged ? m->size : m->content.n;
	ssize_t got;

	if (offset >= end)
		return RC_NONE;
	if (n > end - offset)
		n = (size_t)(end - offset);
	if (!m->is_staged) {
		memcpy(to, m->content.p + offset, n);
		*out_n = n;
		return RC_OK;
	}
	do
		got = pread(m->file, to, n, (off_t)offset);
	while (got < 0 && errno == EINTR);
	if (got <= 0) /* shorter than promised is as bad as unreadable */
		return RC_TEMP;
	*out_n = (size_t)got;
	return RC_OK;
}

/* ---- outcomes ---- */

static void
log_outcome(const struct delivery *d, const struct job *j,
    const struct delivery_outcome *o, const char *status)
{
	const struct wire_rcpt *r = &j->m.rcpts[o->rcpt];
	struct log *log = j->pub.log;
	const struct delivery_times t = { j->m.arrival_us, j->m.active_us,
		j->m.delivering_us, j->pub.setup_us, loop_wall_us(d->req.loop),
		d->req.delay_resolution };
	char delays[DELIVERY_DELAYS_MAX];

	if (log == NULL)
		return;
	log_begin(log, LOG_LEVEL_INFO); /* compat: the whole line */
	log_put(log, j->m.qid);
	log_put_address(log, ": to=<", r->address);
	if (r->orig.n > 0 && !str_eq(r->orig, r->address))
		log_put_address(log, ">, orig_to=<", r->orig);
	log_put(log, STR(">, relay="));
	log_put(log, o->relay.n > 0 ? o->relay : STR("none"));
	if (o->conn_use > 1)
		log_putf(log, ", conn_use=%u", o->conn_use);
	log_put(log, STR(", "));
	log_put(log, delivery_delays(&t, delays));
	log_put(log, STR(", dsn="));
	log_put(log, j->outcomes[o->rcpt].dsn);
	log_put(log, STR(", status="));
	log_put(log, str_c(status));
	log_put(log, STR(" ("));
	log_put(log, o->text);
	log_put(log, STR(")"));
	log_end(log);
}

/* A copy, or nothing when it is too long for the message: the log has all of it. */
static struct str
keep(struct job *j, struct str s, size_t max)
{
	return copy_str(j->pub.mem, &s) && s.n <= max ? s : STR("");
}

void
delivery_outcome(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o)
{
	struct job *j = CONTAINER_OF(job, struct job, pub);
	struct wire_outcome *w = &j->outcomes[o->rcpt];
	const char *status = delivery_what_name(o->what);
	bool is_asked = delivery_is_probe(job);

	assert(o->rcpt < j->m.n_rcpts && w->what == 0 && o->dsn.n >= 5 && o->dsn.n <= 16);
	*w = (struct wire_outcome){ .index = j->m.rcpts[o->rcpt].index,
		.what = (uint8_t)o->what };
	w->dsn = keep(j, o->dsn, 16);
	if (is_asked) {
		status = o->what == DELIVERY_SENT ? "deliverable" : "undeliverable";
	} else if (o->what == DELIVERY_BOUNCED && d->req.soft_bounce) {
		w->what = DELIVERY_DEFERRED;
		w->dsn = arena_printf(j->pub.mem, "4%.*s", STR_ARG(str_from(o->dsn, 1)));
		status = "SOFTBOUNCE"; /* compat */
	}
	/* A delivery report says where the message went. Compat. */
	if (o->what == DELIVERY_SENT &&
	    (j->m.rcpts[o->rcpt].notify & NOTIFY_SUCCESS) != 0)
		w->text = arena_printf(j->pub.mem, "delivery via %.*s: %.*s",
		    STR_ARG(o->relay.n > 0 ? o->relay : STR("none")), STR_ARG(o->text));
	else
		w->text = keep(j, o->text, SIZE_MAX);
	w->relay = keep(j, o->relay, SIZE_MAX);
	w->mta = keep(j, o->mta, SIZE_MAX);
	w->diag = keep(j, o->diag, SIZE_MAX);
	w->diag_type = keep(j, o->diag_type, 16);
	w->action = is_asked ? str_c(status) : keep(j, o->action, 16);
	j->n_done++;
	log_outcome(d, j, o, status);
}

void
delivery_outcome_rest(
    struct delivery *d, struct delivery_job *job, const struct delivery_outcome *o)
{
	struct job *j = CONTAINER_OF(job, struct job, pub);
	struct delivery_outcome each = *o;

	for (each.rcpt = 0; each.rcpt < j->m.n_rcpts; each.rcpt++)
		if (j->outcomes[each.rcpt].what == 0)
			delivery_outcome(d, job, &each);
}

void
delivery_done(struct delivery *d, struct delivery_job *job, enum delivery_site site,
    struct str site_dsn, struct str site_text)
{
	struct job *j = CONTAINER_OF(job, struct job, pub);
	const struct wire_result r = { .job = j->m.job,
		.outcomes = j->outcomes,
		.n_outcomes = j->m.n_rcpts,
		.site = (uint8_t)site,
		.site_dsn = site_dsn,
		.site_text = site_text };

	assert(j->n_done == j->m.n_rcpts);
	if (j->channel != NULL)
		ipc_send_result(j->channel->ipc, &r);
	give_back(d, j);
	d->n_open--;
	check_idle(d);
}

bool
delivery_is_begun(struct delivery_job *job)
{
	return CONTAINER_OF(job, struct job, pub)->n_done > 0;
}

void
delivery_abandon(struct delivery *d, struct delivery_job *job)
{
	struct job *j = CONTAINER_OF(job, struct job, pub);

	assert(d->is_draining && j->n_done == 0);
	d->has_abandoned = true;
	give_back(d, j);
	d->n_open--;
	check_idle(d);
}
