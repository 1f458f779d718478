/* The content of a message: what stands in front of it, the filter, and its end.
 *
 * A check that has to wait stops the filter; what the caller had in hand for it waits in
 * `pending`, and ingest_content_go() goes on from there. So does content that came before
 * the sender was mapped: a From: that is added shows him as he is then. */
#include <assert.h>
#include <stdio.h>
#include "agent/decide_mapping.h"
#include "agent/ingest_checks.h"
#include "agent/ingest_expand.h"
#include "log/log.h"

enum {
	HELD_SLOW = 256 << 10, /* waiting for the stage file: slow the sender down */
	TEXTS_MAX = 1 << 20,   /* arena: Received:, From:, what checks ask for */
	ID_SHOWN_MAX = 1900,   /* bytes of a message id in the log */
	ENTRY_SHOWN_MAX = 100, /* bytes of a stripped address */
	IDS_MAX = 100, /* message ids and stripped addresses of one message in the log */
};

/* RFC 6531 3.7.3. Compat: with HELO it stays SMTP. */
static struct str
protocol(const struct ingest_client *c, char room[32])
{
	if (!c->is_smtputf8 || !str_starts(c->proto, STR("ESMTP")) || c->proto.n > 16)
		return c->proto;
	(void)snprintf(room, 32, "UTF8SMTP%.*s", STR_ARG(str_from(c->proto, 5)));
	return str_c(room);
}

static void
log_stripped(void *ctx, struct str entry)
{
	struct ingest *in = ctx;

	if (in->n_ids++ < IDS_MAX) /* they are the sender's as well */
		log_warn(in->conf->cleanup_log,
		    "stripping too many comments from address: %.*s...", /* compat */
		    STR_ARG(str_head(entry, ENTRY_SHOWN_MAX)));
}

/* What stands above the sender's headers. */
static enum rc
our_headers(const struct ingest_client *c, const struct mime_received *r, struct buf *out)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < c->n_prepend && rc == RC_OK; i++)
		rc = buf_printf(out, "%.*s\r\n", STR_ARG(c->prepend[i]));
	if (rc == RC_OK && !c->no_received)
		rc = mime_received_format(r, out);
	return rc;
}

/* What is added and mapped. always_add_missing_headers completes headers, but not
 * addresses; remote_header_rewrite_domain means both. */
static void
fill_completion(struct ingest *in, struct str date)
{
	const struct ingest_conf *c = in->conf;
	bool rewrites_remote = c->mapping != NULL && c->mapping->rewrites_remote;

	in->start.rewrites = in->client->is_local || rewrites_remote;
	in->start.complete = in->start.rewrites || c->always_complete;
	if (in->client->is_local)
		in->start.rewrite = c->rewrite;
	if (!in->start.complete)
		return;
	in->start.date = arena_str(in->mem, date);
	in->start.message_id =
	    ingest_message_id(c, ingest_qid(in), in->arrival_us, in->mem);
	in->start.from = ingest_from(in, in->shown_sender);
}

/* One line for each, where its header stands. Compat. */
static void
log_id(void *ctx, bool is_resent, struct str id)
{
	struct ingest *in = ctx;
	struct log *l = in->conf->cleanup_log;

	if (in->n_ids >= IDS_MAX)
		return;
	in->n_ids++;
	log_begin(l, LOG_LEVEL_INFO);
	log_put(l, ingest_qid(in));
	log_put(l, is_resent ? STR(": resent-message-id=") : STR(": message-id="));
	id = str_head(id, ID_SHOWN_MAX);
	while (id.n > 0) {
		size_t n = str_find(id, '\r');
		bool is_end = n + 1 < id.n && id.p[n + 1] == '\n';

		/* compat: the end of a line is one "?" */
		log_put(l, str_head(id, is_end ? n : n + 1));
		id = str_from(id, n + 1);
	}
	log_end(l);
}

void
ingest_begin(struct ingest *in, const struct ingest_client *client, struct str rcpt)
{
	const struct ingest_conf *c = in->conf;
	char date[MIME_DATE_MAX], proto[32];
	struct buf received;
	struct mime_received r = { .via = client->via,
		.helo = client->helo,
		.client_name = client->name,
		.client_addr = client->addr,
		.proto = protocol(client, proto),
		.myhostname = c->myhostname,
		.mail_name = c->mail_name,
		.qid = ingest_qid(in),
		.date = ingest_date(in->arrival_us, date),
		.rcpt = rcpt,
		.uid = client->uid };

	assert(in->filter == NULL);
	in->client = client;
	in->mem = arena_new(TEXTS_MAX);
	buf_init(&received, TEXTS_MAX / 2);
	if (our_headers(client, &r, &received) != RC_OK)
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	in->start.received = arena_str(in->mem, buf_view(&received));
	buf_fini(&received);
	in->start.reads_received = client->n_prepend > 0;
	in->shown_sender = ingest_full_address(c, client->sender, in->mem);
	in->shown_rcpt = ingest_full_address(c, client->recipient, in->mem);
	fill_completion(in, r.date);
	in->check = ingest_check_new(in);
	if (in->check != NULL)
		in->start.hooks = &in->check->hooks;
	in->start.carries_on = client->is_returned;
	if (c->cleanup_log != NULL) {
		in->start.identified = log_id;
		in->start.stripped = log_stripped;
	}
	in->start.log_ctx = in;
	in->filter = mime_filter_new(&c->mime, &in->start);
	in->convert = ingest_convert_new(in);
}

void
ingest_log_refused(struct ingest *in, struct str text)
{
	if (str_starts(text, STR("5.4.0"))) /* compat */
		log_warn(in->conf->cleanup_log, "%s: message rejected: hopcount exceeded",
		    in->qid.text);
}

static enum rc
filter_failed(struct ingest *in, enum rc rc, const struct err *e)
{
	if (in->fx.discard) {
		ingest_drop(in);
		return RC_OK;
	}
	if (rc == RC_PERM)
		ingest_log_refused(in, str_c(e->text));
	return ingest_fail(in, rc, e->text);
}

/* Filters what is there. RC_OK: *in_hand is used up, or the message is to be discarded;
 * RC_MORE: a check waits, *in_hand is what is left; else it failed. */
static enum rc
filter_piece(struct ingest *in, struct str *in_hand)
{
	struct err why = { 0 };
	struct str out;
	enum rc rc = in->failed;

	while (rc == RC_OK && !in->fx.discard) {
		rc = mime_filter_step(in->filter, in_hand, &out, &why);
		if (rc == RC_MORE)
			return mime_filter_is_waiting(in->filter) ? RC_MORE : RC_OK;
		rc = rc == RC_OK ? ingest_hold(in, out) : filter_failed(in, rc, &why);
	}
	return rc;
}

/* The sender's bytes become those that the filter reads. What fails is in in->failed. */
static void
convert_piece(struct ingest *in, struct str *piece)
{
	struct err why = { 0 };
	enum rc rc;

	if (in->convert == NULL || in->failed != RC_OK || in->fx.discard)
		return;
	rc = ingest_convert_piece(in->convert, piece, &why);
	if (rc != RC_OK)
		(void)filter_failed(in, rc, &why);
}

/* compat: being too large counts more than anything that checks found. */
static enum rc
too_big(struct ingest *in)
{
	if (in->is_too_big)
		return in->failed;
	in->is_too_big = true;
	log_warn(in->conf->log, "%s: queue file size limit exceeded", in->qid.text);
	if (in->client->is_returned)
		return ingest_return(in, STR(TEXT_TOO_BIG));
	in->failed = RC_OK;
	return ingest_fail(in, RC_PERM, TEXT_TOO_BIG);
}

bool
ingest_is_waiting(const struct ingest *in)
{
	return ingest_check_is_waiting(in) || ingest_expand_holds_content(in);
}

static bool
is_slow(const struct ingest *in)
{
	return ingest_is_waiting(in) ||
	       (in->stage_request != 0 && in->held.n > HELD_SLOW);
}

enum rc
ingest_content(struct ingest *in, struct str piece, struct err *e)
{
	uint64_t limit = in->conf->message_size_limit;
	bool is_beyond = limit > 0 && piece.n > limit - in->sent_bytes;
	enum rc rc;

	assert(in->filter != NULL && !in->is_committed);
	if (is_beyond)
		piece = str_head(piece, (size_t)(limit - in->sent_bytes));
	in->sent_bytes += piece.n;
	convert_piece(in, &piece);
	rc = in->failed == RC_OK && ingest_is_waiting(in) ? RC_MORE
							  : filter_piece(in, &piece);
	if (is_beyond && too_big(in) != RC_OK)
		rc = in->failed;
	if (rc == RC_MORE && buf_put(&in->pending, piece) != RC_OK)
		rc = ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	if (rc != RC_OK && rc != RC_MORE)
		return err_set(e, rc, "%s", in->why);
	if (!in->is_past_headers && mime_filter_in_body(in->filter)) {
		in->is_past_headers = true;
		(void)!ingest_return_refused(in); /* a failure shows at the end */
	}
	in->wants_room = is_slow(in);
	return in->wants_room ? RC_MORE : RC_OK;
}

/* ---- the end ---- */

/* RC_MORE: a check waits. */
static enum rc
end_filter(struct ingest *in)
{
	struct err e = { 0 };
	struct str out;
	enum rc rc = in->failed;

	while (rc == RC_OK && !in->fx.discard) {
		rc = mime_filter_end(in->filter, &out, &e);
		if (rc == RC_NONE)
			return RC_OK;
		if (rc == RC_MORE)
			return rc;
		rc = rc == RC_OK ? ingest_hold(in, out) : filter_failed(in, rc, &e);
	}
	return rc;
}

/* What conversion held back follows what was given before it. */
static void
end_convert(struct ingest *in)
{
	struct err why = { 0 };
	struct str rest;
	enum rc rc;

	if (in->convert == NULL || in->failed != RC_OK || in->fx.discard)
		return;
	rc = ingest_convert_end(in->convert, &rest, &why);
	if (rc != RC_OK) {
		(void)filter_failed(in, rc, &why);
		return;
	}
	rc = ingest_is_waiting(in) ? RC_MORE : filter_piece(in, &rest);
	if (rc == RC_MORE && buf_put(&in->pending, rest) != RC_OK)
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
}

static void
end_content(struct ingest *in)
{
	if (end_filter(in) == RC_MORE)
		return;
	in->is_ending = false;
	(void)!ingest_return_refused(in);
	(void)!ingest_return_envelope(in);
	if (in->failed != RC_OK || in->fx.discard) {
		ingest_tell(in);
		return;
	}
	ingest_expand_start(in);
}

void
ingest_content_go(struct ingest *in)
{
	struct str rest = buf_view(&in->pending);
	size_t n = rest.n;
	enum rc rc = filter_piece(in, &rest);

	buf_consume(&in->pending, n - rest.n);
	if (rc == RC_MORE)
		return;
	buf_release(&in->pending);
	if (in->is_ending) {
		end_content(in);
	} else if (in->wants_room && !is_slow(in)) {
		in->wants_room = false;
		if (in->room != NULL)
			in->room(in->room_arg);
	}
}

void
ingest_commit(
    struct ingest *in, const struct ingest_envelope *env, ingest_done_fn *done, void *arg)
{
	assert(in->filter != NULL && !in->is_committed && env->n_rcpts > 0);
	in->is_committed = true;
	in->is_ending = true;
	in->done = done;
	in->done_arg = arg;
	in->env = *env;
	end_convert(in);
	/* ingest_content_go() comes back here when content waits. */
	if (in->failed != RC_OK || !ingest_is_waiting(in))
		end_content(in);
}
