/* The content of a message: what stands in front of it, the filter, and its end. */
#include <assert.h>
#include "agent/ingest_int.h"
#include "log/log.h"

enum {
	HELD_SLOW = 256 << 10, /* waiting for the stage file: slow the sender down */
	TEXTS_MAX = 128 << 10, /* arena: Received:, From:, Message-ID */
};

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
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
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

void
ingest_log_id(struct ingest *in)
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
	return ingest_fail(in, rc, e->text);
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
		rc = ingest_fail(in, RC_PERM, TEXT_TOO_BIG);
	while (rc == RC_OK) {
		rc = mime_filter_step(in->filter, &piece, &out, &why);
		if (rc == RC_OK)
			rc = ingest_hold(in, out);
		else if (rc != RC_MORE)
			rc = filter_failed(in, rc, &why);
	}
	if (rc != RC_MORE)
		return err_set(e, rc, "%s", in->why);
	if (!in->has_logged_id && mime_filter_in_body(in->filter))
		ingest_log_id(in);
	in->wants_room = in->stage_request != 0 && in->held.n > HELD_SLOW;
	return in->wants_room ? RC_MORE : RC_OK;
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
			rc = ingest_hold(in, out);
		else if (rc != RC_NONE)
			rc = filter_failed(in, rc, &e);
	}
	in->env = *env;
	if (in->failed != RC_OK) {
		ingest_tell(in);
		return;
	}
	ingest_log_id(in);
	ingest_expand_start(in);
}
