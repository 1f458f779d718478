#ifndef AGENT_INGEST_H
#define AGENT_INGEST_H
/* One message on its way into the spool: id, filter, memory or stage file, put.
 * Used by smtpd, pickup and bounce alike; what Postfix's cleanup does happens here.
 *
 *	ingest_new -> ingest_begin -> ingest_content* -> ingest_commit -> done()
 *
 * or ingest_free at any time. Memory per message is bounded: SPOOL_INLINE_MAX inline, the
 *rest goes to a stage file. Alias expansion, bcc maps and milters will stand in
 *ingest_commit, before the put. */
#include "base/base.h"
#include "mime/filter.h"

struct conf_snapshot;
struct ingest;
struct log;
struct loop;
struct master_service;
struct submit;

/* What all messages of a service share; made once from the configuration snapshot. */
struct ingest_conf {
	struct mime_conf mime;
	struct mime_rewrite rewrite;      /* envelope, and headers of local mail */
	struct str myhostname, mail_name; /* Received: by myhostname (mail_name) */
	struct str myorigin;
	uint64_t message_size_limit; /* 0: none */
	size_t duplicate_filter_limit;
	bool keeps_original; /* enable_original_recipient: tells duplicates apart */
	bool enable_long_queue_ids;
	bool always_complete;    /* always_add_missing_headers */
	bool obsolete_from;      /* header_from_format = obsolete */
	struct log *cleanup_log; /* tag ".../cleanup": message-id= lines */
};

/* Memory:  strings live in `mem`; cleanup_log is made on the sink of `log` and is the
 * caller's. Returns: RC_PERM a parameter is wrong. `service` may be NULL: main.cf alone.
 */
MUST_USE enum rc ingest_conf_load(const struct conf_snapshot *snapshot,
    const struct master_service *service, struct log *log, struct arena *mem,
    struct ingest_conf *out, struct err *e);

struct ingest_rcpt {
	struct str address; /* external form */
	struct str orig;    /* empty: same */
	struct str orcpt;   /* "rfc822;…", decoded, or empty */
	uint8_t notify;     /* enum dsn_notify, or-ed */
};

/* Who brought it. The views must stay valid until ingest_commit() returned. */
struct ingest_client {
	struct str origin;                        /* "smtpd", "pickup", "bounce" */
	struct str name, addr, port, proto, helo; /* as logged: "unknown" or empty */
	enum mime_via via;
	unsigned uid;         /* MIME_VIA_LOCAL */
	bool is_local;        /* complete headers, rewrite addresses:
				 local_header_rewrite_clients */
	struct str sender;    /* external form, empty for <>: for a missing From: */
	struct str full_name; /* of the sender, for the same; often empty */
};

struct ingest_envelope {
	struct str sender; /* external form, empty for <> */
	struct str envid;
	uint8_t ret;    /* enum dsn_ret */
	bool body_8bit; /* BODY=8BITMIME was given */
	bool hold;
	uint32_t job; /* bounce: whose notification this is; else 0 */
	const struct ingest_rcpt *rcpts;
	size_t n_rcpts;
};

/* Starts a message: takes a queue id. Its name can be logged at once (`client=`).
 * Returns: RC_TEMP no id at hand or no queue, e has the reply's words ("4.3.0 …").
 * Memory:  *out is freed by ingest_free(). conf, s and loop must outlive it. */
MUST_USE enum rc ingest_new(struct submit *s, struct loop *loop,
    const struct ingest_conf *conf, struct ingest **out, struct err *e);
/* Gives everything up that was not committed (stage file too); after it no callback
 * comes. A message that was handed to queue is stored all the same. */
void ingest_free(struct ingest **in);

/* The queue id's name, valid as long as `in`. */
struct str ingest_qid(const struct ingest *in);

/* The content begins: writes Received: and readies the filter. `rcpt`: the only
 * recipient, or empty. Once, before the first ingest_content(). */
void ingest_begin(struct ingest *in, const struct ingest_client *client, struct str rcpt);

/* Content as sent, after dot unstuffing, in pieces of any size; all of it is always used.
 * Returns: RC_OK go on; RC_MORE too much is waiting for the stage file: stop reading
 *          until room() is called; RC_PERM or RC_TEMP failed (too large, hops, disk):
 *          sticky, the rest is swallowed and ingest_commit() gives the same answer.
 * Blocks:  on writes to the stage file (page cache).
 * Limits:  pieces of at most 1 MiB. */
MUST_USE enum rc ingest_content(struct ingest *in, struct str piece, struct err *e);
void ingest_on_room(struct ingest *in, void (*room)(void *arg), void *arg);

/* All content is in: stores it. `done` is called once, later, never from inside: RC_OK
 * it is on stable storage; RC_TEMP / RC_PERM with the reply's words in `text`, enhanced
 * code first ("4.3.0 Error: queue file write error"). `env` and its strings are used only
 * during the call. */
typedef void ingest_done_fn(void *arg, enum rc rc, struct str text);
void ingest_commit(struct ingest *in, const struct ingest_envelope *env,
    ingest_done_fn *done, void *arg);
/* The SMTP code that goes before such a text: 552 for 5.3.4, 451 for 4.3.0 … (compat). */
unsigned ingest_reply_code(struct str text);

/* Content bytes with CRLF so far. */
uint64_t ingest_size(const struct ingest *in);

/* "Sun, 22 Nov 2026 00:34:58 +0000 (UTC)": local time. */
struct str ingest_date(int64_t wall_us, char out[MIME_DATE_MAX]);
#endif
