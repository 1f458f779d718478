/* Notifications: one job of queue becomes up to two messages, to the sender and a copy to
 * the postmaster, one after the other. queue deletes the original only when the first is
 * durable; put.job tells it which that is.
 *
 * Failure to write one is a deferred outcome: queue tries again later. */
#include <stdlib.h>
#include "agent/submit.h"
#include "base/arena.h"
#include "dsn/notice.h"
#include "log/log.h"
#include "loop/loop.h"
#include "mime/header.h"
#include "prog/bounce/bounce.h"
#include "spool/message.h"

enum {
	PREFIX_MAX = 16 << 20, /* 1,000 recipients with texts of 4,000 bytes, twice */
	CHUNK = 64 << 10,
	HEADERS_MAX = 256 << 10, /* how far the end of the headers is looked for */
};

enum target { TO_SENDER, TO_POSTMASTER, TARGET_END };

struct notice {
	struct list node;
	struct bounce *b;
	struct delivery_job *job;
	enum dsn_kind kind;
	bool is_wanted[TARGET_END];
	enum target at;
	struct str rcpt[TARGET_END];
	struct ingest *in;
	struct ingest_client client;
	struct ingest_rcpt to;
	struct buf prefix, suffix;
	uint64_t offset, end; /* of the original: what is still to be copied */
	bool headers_only, has_suffix;
	char *chunk;
};

static void step(struct notice *n);

static void
free_message(struct notice *n)
{
	ingest_free(&n->in);
	buf_fini(&n->prefix);
	buf_fini(&n->suffix);
	free(n->chunk);
	n->chunk = NULL;
	n->has_suffix = false;
}

static void
finish(struct notice *n, bool ok)
{
	struct bounce *b = n->b;
	struct delivery_outcome o = { .what = ok ? DELIVERY_SENT : DELIVERY_DEFERRED,
		.dsn = ok ? STR("2.0.0") : STR("4.3.0"),
		.text = ok ? STR("") : STR("notification was not written") };
	struct delivery_job *job = n->job;

	free_message(n);
	list_remove(&n->node);
	free(n);
	job->log = NULL; /* these are not deliveries: no to=<…> lines */
	delivery_outcome_rest(b->delivery, job, &o);
	delivery_done(b->delivery, job, DELIVERY_SITE_OK, STR(""), STR(""));
}

/* ---- the text ---- */

static struct str
clock_text(struct arena *mem, int64_t wall_us)
{
	char date[MIME_DATE_MAX];

	return arena_str(mem, ingest_date(wall_us, date));
}

static void
fill_rcpt(const struct notice *n, size_t i, struct dsn_rcpt *out)
{
	const struct wire_rcpt *r = &n->job->m->rcpts[i];
	const struct wire_outcome *o = &n->job->m->outcomes[i];

	*out = (struct dsn_rcpt){ .address = r->address,
		.orig = r->orig,
		.orcpt = r->orcpt,
		.status = o->dsn.n > 0 ? o->dsn : STR("4.0.0"),
		.action = o->action,
		.reason = o->text,
		.mta = o->mta,
		.diag_type = o->diag_type,
		.diag = o->diag };
}

static enum rc
write_text(struct notice *n, struct err *e)
{
	struct bounce *b = n->b;
	const struct wire_job *m = n->job->m;
	struct arena *mem = n->job->mem;
	int64_t now_us = loop_wall_us(b->w->loop);
	struct dsn_rcpt *rcpts = arena_array(mem, m->n_rcpts, sizeof(*rcpts));
	struct dsn_notice d = { .kind = n->kind,
		.qid = m->qid,
		.myhostname = b->conf.myhostname,
		.mail_name = b->conf.mail_name,
		.from = STR("MAILER-DAEMON"),
		.to = n->rcpt[n->at],
		.sender = m->sender,
		.envid = m->envid,
		.date = clock_text(mem, now_us),
		.arrival = clock_text(mem, m->arrival_us),
		.max_queue_lifetime_us = b->conf.maximal_queue_lifetime_us,
		.delay_warning_us = b->conf.delay_warning_time_us,
		.headers_only = n->headers_only,
		.is_postmaster_copy = n->at == TO_POSTMASTER,
		.is_utf8 = (m->facts & MESSAGE_SMTPUTF8) != 0,
		.rcpts = rcpts,
		.n_rcpts = m->n_rcpts };

	if (d.sender.n == 0)
		d.sender =
		    mime_address_complete(STR("MAILER-DAEMON"), &b->ingest.rewrite, mem);
	if (n->kind == DSN_DELAYED)
		d.will_retry_until =
		    clock_text(mem, m->arrival_us + b->conf.maximal_queue_lifetime_us);
	d.boundary = arena_printf(mem, "%.*s.%lld/%.*s", STR_ARG(m->qid),
	    (long long)(now_us / US_PER_SEC), STR_ARG(b->conf.myhostname));
	if (rcpts == NULL || d.boundary.p == NULL || d.sender.p == NULL ||
	    d.date.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < m->n_rcpts; i++)
		fill_rcpt(n, i, &rcpts[i]);
	return dsn_notice_format(&d, &n->prefix, &n->suffix, e);
}

/* How much of the original is returned. */
static enum rc
measure(struct notice *n, struct err *e)
{
	size_t got = 0, have = 0;
	char *buf;
	enum rc rc = RC_OK;

	n->offset = 0;
	n->end = n->job->m->size;
	if (!n->headers_only)
		return RC_OK;
	buf = mem_array(1, HEADERS_MAX);
	while (have < HEADERS_MAX && rc == RC_OK) {
		rc = delivery_read(n->job, have, buf + have, HEADERS_MAX - have, &got);
		if (rc == RC_OK)
			have += got;
	}
	if (rc == RC_OK || rc == RC_NONE) {
		n->end = dsn_headers_size(str_n(buf, have));
		rc = RC_OK;
	} else {
		rc = err_set(e, RC_TEMP, "cannot read the message");
	}
	free(buf);
	return rc;
}

/* ---- the message ---- */

static const char *
news(const struct notice *n)
{
	bool to_sender = n->at == TO_SENDER;

	switch (n->kind) { /* compat */
	case DSN_FAILED:
		return to_sender ? "sender non-delivery notification"
				 : "postmaster non-delivery notification";
	case DSN_DELAYED:
		return to_sender ? "sender delay notification"
				 : "postmaster delay notification";
	case DSN_SUCCEEDED:
	case DSN_REPORTED:
		return "sender delivery status notification";
	}
	return "";
}

static void
next(struct notice *n)
{
	free_message(n);
	do
		n->at++;
	while (n->at < TARGET_END && !n->is_wanted[n->at]);
	if (n->at == TARGET_END)
		finish(n, true);
	else
		step(n);
}

static void
not_written(struct notice *n, struct str why)
{
	log_warn(n->b->log, "%.*s: %s failed: %.*s", STR_ARG(n->job->m->qid), news(n),
	    STR_ARG(why));
	/* Once the sender was told, the rest is a courtesy. */
	if (n->at != TO_SENDER && n->is_wanted[TO_SENDER])
		next(n);
	else
		finish(n, false);
}

static void
on_done(void *arg, enum rc rc, struct str text)
{
	struct notice *n = arg;

	if (rc != RC_OK) {
		not_written(n, text);
		return;
	}
	log_info(n->b->log, "%.*s: %s: %.*s", STR_ARG(n->job->m->qid), news(n),
	    STR_ARG(ingest_qid(n->in)));
	next(n);
}

static void
commit(struct notice *n)
{
	struct ingest_envelope env = { .rcpts = &n->to,
		.n_rcpts = 1,
		.smtputf8 = (n->job->m->facts & MESSAGE_SMTPUTF8) != 0,
		.sender = n->at == TO_SENDER ? STR("") : n->b->conf.double_bounce_sender,
		/* The first message that is durable settles the job. */
		.job =
		    n->at == TO_SENDER || !n->is_wanted[TO_SENDER] ? n->job->m->job : 0 };

	n->to = (struct ingest_rcpt){ .address = n->rcpt[n->at] };
	ingest_commit(n->in, &env, on_done, n);
}

/* Copies until the stage file makes us wait or the message is whole. */
static void
pump(void *arg)
{
	struct notice *n = arg;
	enum rc rc = RC_OK;

	while (rc == RC_OK && n->offset < n->end) {
		size_t want =
		    n->end - n->offset < CHUNK ? (size_t)(n->end - n->offset) : CHUNK;
		size_t got = 0;

		rc = delivery_read(n->job, n->offset, n->chunk, want, &got);
		if (rc != RC_OK) {
			not_written(n, STR("cannot read the message"));
			return;
		}
		n->offset += got;
		rc = ingest_content(n->in, str_n(n->chunk, got), NULL);
	}
	if (rc == RC_MORE && n->offset < n->end)
		return;
	if (!n->has_suffix) {
		n->has_suffix = true;
		(void)!ingest_content(n->in, buf_view(&n->suffix), NULL);
	}
	commit(n);
}

/* Writes the message of n->at. */
static void
step(struct notice *n)
{
	struct bounce *b = n->b;
	struct err e = { 0 };
	enum rc rc;

	/* The next queue orders its own. */
	if (delivery_is_orphan(n->job)) {
		finish(n, false);
		return;
	}
	/* The job came by one channel, ids come by the other: they may be a moment apart.
	 */
	if (submit_can_store(b->submit, 0, &e) == RC_MORE) {
		list_remove(&n->node);
		list_add_tail(&b->waiting, &n->node);
		return;
	}
	/* RFC 3461 5.2.8 and bounce_size_limit; delays and successes return headers only.
	 */
	n->headers_only = n->kind != DSN_FAILED || n->job->m->ret == DSN_RET_HDRS ||
			  n->job->m->size > (uint64_t)b->conf.bounce_size_limit_bytes ||
			  (n->at == TO_POSTMASTER && n->is_wanted[TO_SENDER]);
	buf_init(&n->prefix, PREFIX_MAX);
	buf_init(&n->suffix, 4096);
	n->chunk = mem_array(1, CHUNK);
	rc = ingest_new(b->submit, b->w->loop, &b->ingest, &n->in, &e);
	if (rc == RC_OK)
		rc = measure(n, &e);
	if (rc == RC_OK)
		rc = write_text(n, &e);
	if (rc != RC_OK) {
		not_written(n, str_c(e.text));
		return;
	}
	n->client = (struct ingest_client){
		.origin = STR("bounce"), .via = MIME_VIA_SELF, .is_local = true
	};
	ingest_begin(n->in, &n->client, STR(""));
	ingest_on_room(n->in, pump, n);
	rc = ingest_content(n->in, buf_view(&n->prefix), NULL);
	if (rc != RC_MORE)
		pump(n);
}

/* ---- who is told ---- */

static bool
is_double_bounce(const struct bounce *b, struct str sender, struct arena *mem)
{
	struct str own =
	    mime_address_complete(b->conf.double_bounce_sender, &b->ingest.rewrite, mem);

	return str_ieq(sender, b->conf.double_bounce_sender) || str_ieq(sender, own);
}

static enum dsn_kind
kind_of(struct str reason)
{
	if (str_is(reason, "delayed"))
		return DSN_DELAYED;
	if (str_is(reason, "delivered"))
		return DSN_SUCCEEDED;
	if (str_is(reason, "reported"))
		return DSN_REPORTED;
	return DSN_FAILED;
}

/* Compat: who cannot be told of successes. */
static void
log_untold(const struct notice *n, const char *what)
{
	if (n->kind == DSN_SUCCEEDED || n->kind == DSN_REPORTED)
		log_info(n->b->log,
		    "%.*s: not sending trace/success notification for %s message",
		    STR_ARG(n->job->m->qid), what);
}

static void
choose(struct notice *n)
{
	struct bounce *b = n->b;
	const struct wire_job *m = n->job->m;
	bool has_sender = m->sender.n > 0;

	n->rcpt[TO_SENDER] = m->sender;
	n->rcpt[TO_POSTMASTER] = b->conf.bounce_notice_recipient;
	if (has_sender && is_double_bounce(b, m->sender, n->job->mem)) {
		if (n->kind == DSN_FAILED) /* compat */
			log_warn(b->log,
			    "%.*s: undeliverable postmaster notification discarded",
			    STR_ARG(m->qid));
		log_untold(n, "double-bounce");
		return;
	}
	n->is_wanted[TO_SENDER] = has_sender;
	if (!has_sender)
		log_untold(n, "single-bounce");
	if (n->kind == DSN_SUCCEEDED || n->kind == DSN_REPORTED)
		return;
	if (!has_sender) {
		n->rcpt[TO_POSTMASTER] = b->conf.x2bounce_notice_recipient;
		n->is_wanted[TO_POSTMASTER] = b->tells_2bounce;
	} else if (n->kind == DSN_DELAYED) {
		n->rcpt[TO_POSTMASTER] = b->conf.delay_notice_recipient;
		n->is_wanted[TO_POSTMASTER] = b->tells_delay;
	} else {
		n->is_wanted[TO_POSTMASTER] = b->tells_bounce;
	}
}

void
notice_start(struct bounce *b, struct delivery_job *job)
{
	struct notice *n = mem_get(sizeof(*n));

	n->b = b;
	n->job = job;
	n->kind = kind_of(job->m->reason);
	list_init(&n->node);
	list_add_tail(&b->notices, &n->node);
	choose(n);
	if (n->is_wanted[TO_SENDER]) {
		step(n);
	} else if (n->is_wanted[TO_POSTMASTER]) {
		n->at = TO_POSTMASTER;
		step(n);
	} else {
		finish(n, true);
	}
}

void
notices_go_on(struct bounce *b)
{
	struct list *first;

	/* One that has to wait again means that all have to. */
	while ((first = list_first(&b->waiting)) != NULL &&
	       submit_can_store(b->submit, 0, NULL) != RC_MORE) {
		list_remove(first);
		list_add_tail(&b->notices, first);
		step(CONTAINER_OF(first, struct notice, node));
	}
}
