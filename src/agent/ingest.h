#ifndef AGENT_INGEST_H
#define AGENT_INGEST_H
/* One message on its way into the spool: id, filter, memory or stage file, put.
 * Used by smtpd, pickup and bounce alike; what Postfix's cleanup does happens here.
 *
 *	ingest_new -> ingest_begin -> ingest_content* -> ingest_commit -> done()
 *
 * or ingest_free at any time. Memory per message is bounded: SPOOL_INLINE_MAX inline, the
 * rest goes to a stage file. Decisions about headers and lines of the body run while the
 * content comes; those about sender and recipients run in ingest_commit, before the put.
 * Any of them may wait for tables. */
#include "base/base.h"
#include "mime/filter.h"

struct conf_snapshot;
struct decide;
struct decide_mapping;
struct ingest;
struct ingest_checks;
struct log;
struct loop;
struct master_service;
struct submit;

/* What all messages of a service share; made once from the configuration snapshot. */
struct ingest_conf {
	struct mime_conf mime;
	/* force_mime_input_conversion: of the filter that comes before; NULL: none. */
	const struct mime_conf *to_7bit;
	struct mime_rewrite rewrite;      /* envelope, and headers of local mail */
	struct str myhostname, mail_name; /* Received: by myhostname (mail_name) */
	struct str myorigin;
	uint64_t message_size_limit; /* 0: none */
	size_t duplicate_filter_limit;
	bool keeps_original; /* enable_original_recipient: tells duplicates apart */
	bool enable_long_queue_ids;
	bool always_complete;    /* always_add_missing_headers */
	bool obsolete_from;      /* header_from_format = obsolete */
	struct str name_charset; /* full_name_encoding_charset */
	struct log *log;         /* of the program */
	struct log *cleanup_log; /* tag ".../cleanup": message-id= lines */
	/* The program's tables and its ways to ask others; NULL: none. */
	struct decide *decide;
	const struct decide_mapping *mapping; /* NULL without `decide` */
	const struct ingest_checks *checks;   /* header_checks and so on; NULL: none */
	/* receive_override_options of the service that takes mail in. */
	bool no_mappings, no_checks, no_milters;
	/* smtputf8_autodetect_classes, empty without smtputf8_enable. */
	struct str utf8_classes;
};

struct ingest_conf_request {
	const struct conf_snapshot *snapshot;
	const struct master_service
	    *service; /* that takes mail in; NULL: main.cf alone */
	struct log *log;
	/* Opens the tables that are needed. NULL: who names tables all the same gets
	 * every message refused with 4.3.0. */
	struct decide *decide;
	/* Mail of our own: "bounce" or "notify"; its content is checked only when
	 * internal_mail_filter_classes names it. NULL: the mail of others. */
	const char *internal_class;
};

/* What cleanup reads comes from the service that cleanup_service_name names, with its own
 * overrides. Memory: strings live in `mem`; cleanup_log is made on the sink of `log` and
 * is the caller's. Returns: RC_PERM a parameter is wrong. Blocks: on the disk (tables);
 * call before the process is confined. */
MUST_USE enum rc ingest_conf_load(const struct ingest_conf_request *req,
    struct arena *mem, struct ingest_conf *out, struct err *e);

struct ingest_rcpt {
	struct str address; /* external form */
	struct str orig;    /* empty: same */
	struct str orcpt;   /* "rfc822;…", decoded, or empty */
	uint8_t notify;     /* enum dsn_notify, or-ed */
};

/* Who brought it. The views must stay valid until done() or ingest_free(). */
struct ingest_client {
	struct str origin; /* "smtpd", "pickup", "bounce", "notice" (of a session) */
	struct str name, addr, port, proto, helo; /* as logged: "unknown" or empty */
	enum mime_via via;
	unsigned uid;         /* MIME_VIA_LOCAL */
	bool is_local;        /* complete headers, rewrite addresses:
				 local_header_rewrite_clients */
	struct str sender;    /* external form, empty for <>: for a missing From: */
	struct str full_name; /* of the sender, for the same; often empty */
	/* The last recipient, external form: for log lines about the content. Compat. */
	struct str recipient;
	/* Header lines to stand above Received:, without line ends (PREPEND). */
	const struct str *prepend;
	size_t n_prepend;
	/* XFORWARD: who is logged and named to the next server instead; NULL: nobody. */
	const struct ingest_client *forwarded;
	bool no_received; /* behind a content filter: XFORWARD was given */
	bool is_smtputf8; /* MAIL said SMTPUTF8 */
	/* Nobody hears a refusal: mail whose content is refused for good is stored all
	 * the same, with nowhere to go but back to its sender. RC_OK then means that. */
	bool is_returned;
};

struct ingest_envelope {
	struct str sender; /* external form, empty for <> */
	struct str envid;
	uint8_t ret;    /* enum dsn_ret */
	bool body_8bit; /* BODY=8BITMIME was given */
	bool body_7bit; /* BODY=7BIT was */
	bool hold;
	bool discard; /* thrown away, and the client hears 250 */
	bool smtputf8;
	bool is_probe;       /* of address verification: no content is checked */
	bool is_report;      /* sendmail -v: a report of the delivery comes back */
	bool is_verify_only; /* sendmail -bv: nothing is delivered */
	uint32_t job;        /* bounce: whose notification this is; else 0 */
	struct str filter;   /* "transport:nexthop", overrides content_filter; or empty */
	struct str redirect; /* one address instead of all recipients; or empty */
	struct str verp;     /* two delimiters, or empty */
	const struct ingest_rcpt *rcpts;
	size_t n_rcpts;
	const struct ingest_rcpt *bcc; /* of access tables, besides rcpts */
	size_t n_bcc;
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
 * recipient, or empty. Once, before the first ingest_content(). client->prepend is used
 * during the call only. */
void ingest_begin(struct ingest *in, const struct ingest_client *client, struct str rcpt);

/* Sender and recipients are known before the content is: their look-ups begin now, while
 * content comes. Only sender, rcpts and is_probe of *env are used; ingest_commit() has to
 * name the same, and they must stay valid as there. What fails is said by
 * ingest_content() and ingest_commit(). May be left out. After ingest_begin(), before any
 * content. */
void ingest_envelope(struct ingest *in, const struct ingest_envelope *env);

/* Content as sent, after dot unstuffing, in pieces of any size; all of it is always used.
 * Returns: RC_OK go on; RC_MORE too much is waiting for the stage file, or a decision
 *          about a header or a line waits for others: stop reading until room() is
 *          called; RC_PERM or RC_TEMP failed (too large, hops, refused, disk):
 *          sticky, the rest is swallowed and ingest_commit() gives the same answer.
 * Blocks:  on writes to the stage file (page cache).
 * Limits:  pieces of at most 1 MiB. */
MUST_USE enum rc ingest_content(struct ingest *in, struct str piece, struct err *e);
void ingest_on_room(struct ingest *in, void (*room)(void *arg), void *arg);

/* All content is in: stores it. `done` is called once, later, never from inside: RC_OK
 * it is on stable storage; RC_TEMP / RC_PERM with the reply's words in `text`, enhanced
 * code first ("4.3.0 Error: queue file write error"), or with a whole reply ("550 …").
 * *env is copied; its arrays and strings must stay valid until done() or ingest_free(). A
 * message that is to be discarded is RC_OK without a put. */
typedef void ingest_done_fn(void *arg, enum rc rc, struct str text);
void ingest_commit(struct ingest *in, const struct ingest_envelope *env,
    ingest_done_fn *done, void *arg);
/* The SMTP code that goes before such a text: 552 for 5.3.4, 451 for 4.3.0 … (compat). */
unsigned ingest_reply_code(struct str text);
/* The reply to a text of done(): the text itself when it is whole, else with its code. */
#define INGEST_REPLY_MAX 1000
struct str ingest_reply(struct str text, char out[INGEST_REPLY_MAX]);

/* Content bytes with CRLF so far. */
uint64_t ingest_size(const struct ingest *in);

/* "Sun, 22 Nov 2026 00:34:58 +0000 (UTC)": local time. */
struct str ingest_date(int64_t wall_us, char out[MIME_DATE_MAX]);
#endif
