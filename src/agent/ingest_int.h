#ifndef AGENT_INGEST_INT_H
#define AGENT_INGEST_INT_H
/* One message inside: what the ingest_*.c files share.
 *
 *	ingest.c          id, memory, stage file, failure
 *	ingest_content.c  the filter: from ingest_begin() to the end of the content
 *	ingest_convert.c  8-bit content to 7 bits, when that is asked for
 *	ingest_checks.c   header_checks and its relatives: decisions about the content
 *	ingest_return.c   mail that goes back to its sender
 *	ingest_put.c      sender and recipients, and the put
 *	ingest_text.c     texts that are added, configuration */
#include "agent/decide.h"
#include "agent/ingest.h"
#include "base/arena.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "spool/queue_id.h"

struct ingest_convert;
struct ingest_expansion;
struct wire_put;

#define TEXT_WRITE_ERROR "4.3.0 Error: queue file write error" /* compat */
#define TEXT_TOO_BIG     "5.3.4 Error: message file too big"   /* compat */

/* What header and body checks ask for, besides changing the text; later ones replace
 * earlier ones. Strings live in in->mem. */
struct ingest_effects {
	struct str filter, redirect; /* or empty */
	struct ingest_rcpt *bcc;
	size_t n_bcc, cap_bcc;
	bool hold, discard;
};

/* The envelope as it goes into the put: what became of ingest_envelope after mapping,
 * expansion and the effects of checks. */
struct ingest_final {
	struct str sender;
	const struct ingest_rcpt *rcpts;
	size_t n_rcpts;
	struct str filter, redirect, verp;
	bool hold, discard;
};

struct ingest {
	struct submit *submit;
	struct loop *loop;
	const struct ingest_conf *conf;
	struct arena *mem; /* texts of the content, and what checks asked for */
	struct queue_id qid;
	uint64_t id;
	int64_t arrival_us;
	uint32_t epoch;

	const struct ingest_client *client;
	struct mime_start start;
	struct mime_filter *filter;
	struct ingest_convert *convert; /* before the filter; or NULL */
	struct buf held;
	uint64_t size_bytes; /* of the stored content */
	uint64_t sent_bytes; /* of what the client sent */
	unsigned n_ids;      /* and stripped addresses that are in the log */
	bool is_past_headers, is_too_big;

	/* For log lines about the content, compat: mapped as soon as that is known,
	 * before that completed. External form; the last recipient; may be empty. */
	struct str shown_sender, shown_rcpt;

	/* client->is_returned: why it goes back, "5.7.1 message content rejected"; in
	 * mem. */
	struct str refused;

	enum rc failed; /* RC_OK: not */
	char why[512];

	bool is_staged;         /* stage file asked for or here */
	uint32_t stage_request; /* not 0: on its way */
	int stage_fd;
	uint32_t stage_number, stage_crc;
	void (*room)(void *arg);
	void *room_arg;
	bool wants_room;

	struct ingest_check *check; /* state of checks; NULL: nothing is checked */
	struct buf pending;         /* content behind what a check waits for */
	bool is_ending;             /* committed, and the filter not at its end */
	struct ingest_effects fx;

	/* ingest_commit() */
	bool is_committed;
	struct ingest_envelope env;
	struct arena *env_mem; /* what depends on the number of recipients */
	struct ingest_final final;
	struct ingest_expansion *expansion; /* how far that is; in env_mem */
	struct decide_run expand;           /* the decision about sender and recipients */
	struct wire_put *put;               /* waiting for the stage file */
	uint32_t put_request;
	ingest_done_fn *done;
	void *done_arg;
	struct loop_task later; /* tells `done` about a failure, or a discarded message */
};

/* ---- ingest.c ---- */
/* The message cannot be stored: everything held is let go. The first failure counts.
 * Returns: the failure. */
enum rc ingest_fail(struct ingest *in, enum rc rc, const char *text);
/* The content goes away; the message need not fail. */
void ingest_drop(struct ingest *in);
/* One piece of filtered content. */
MUST_USE enum rc ingest_hold(struct ingest *in, struct str s);
enum rc ingest_flush(struct ingest *in);
/* Tells `done`, soon: in->failed, or RC_OK with nothing stored. */
void ingest_tell(struct ingest *in);

/* ---- ingest_return.c ---- */
/* client->is_returned: the message goes back to its sender because of `text`, which may
 * be a whole reply; the first reason counts, unless `text` is that it is too large. */
MUST_USE enum rc ingest_return(struct ingest *in, struct str text);
/* What the filter alone has to say so far. */
MUST_USE enum rc ingest_return_refused(struct ingest *in);
/* The envelope of such a message, in place of what ingest_commit() was given; what checks
 * asked for is forgotten. */
MUST_USE enum rc ingest_return_envelope(struct ingest *in);

/* ---- ingest_convert.c ---- */
/* NULL: nobody asked for it. After in->start and in->check are made. */
struct ingest_convert *ingest_convert_new(const struct ingest *in);
void ingest_convert_free(struct ingest_convert **v);
/* *piece becomes what it is in 7 bits, valid until the next call. What refuses the
 * message is the result, as of mime_filter_step(). */
MUST_USE enum rc ingest_convert_piece(
    struct ingest_convert *v, struct str *piece, struct err *e);
/* The content is over: what is left. */
MUST_USE enum rc ingest_convert_end(
    struct ingest_convert *v, struct str *out_rest, struct err *e);
/* As mime_filter_refusal(), and the facts that are gone behind it; of NULL: none. */
MUST_USE enum rc ingest_convert_refusal(const struct ingest_convert *v, struct err *e);
unsigned ingest_convert_facts(const struct ingest_convert *v);

/* ---- ingest_content.c ---- */
/* Whether content has to wait: for a check, or for what the sender is mapped to. */
bool ingest_is_waiting(const struct ingest *in);
/* The filter refused the message with `text`. */
void ingest_log_refused(struct ingest *in, struct str text);

/* ---- ingest_put.c ---- */
/* All content is in and in->env is set: decides about sender and recipients, then puts;
 * or fails. From here on everything ends in `done`. */
void ingest_expand_start(struct ingest *in);
/* The stage file is here, or failed; the put that waits for it goes on. */
void ingest_put_go(struct ingest *in);
/* The message goes away: decisions that wait are given up. */
void ingest_put_cancel(struct ingest *in);

/* ---- ingest_text.c ---- */
/* "<20261122005909.QID@host>", or "<QID@host>" when queue ids are long. .p NULL: limit.
 */
struct str ingest_message_id(const struct ingest_conf *conf, struct str qid,
    int64_t arrival_us, struct arena *mem);
/* The value of a From: for mail without one; `sender` in its full form. Memory: in
 * in->mem. .p NULL: limit. */
struct str ingest_from(const struct ingest *in, struct str sender);
/* An envelope address in its full form. .p NULL: limit. */
struct str ingest_full_address(
    const struct ingest_conf *conf, struct str address, struct arena *mem);
#endif
