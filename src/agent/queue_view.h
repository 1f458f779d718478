#ifndef AGENT_QUEUE_VIEW_H
#define AGENT_QUEUE_VIEW_H
#include "base/base.h"
#include "base/buf.h"
#include "spool/spool.h"

/* How administrators see the spool: by queue names, in Postfix's listing protocol, as
 * postcat prints it; and what they may do to a message. The queue process uses it while
 * it runs, the commands when it does not. */

/* compat: queues of Postfix. A message is in exactly one. */
enum queue_name {
	QUEUE_INCOMING = 1,
	QUEUE_ACTIVE = 2,
	QUEUE_DEFERRED = 4,
	QUEUE_HOLD = 8,
	/* No message of ours is ever there. */
	QUEUE_MAILDROP = 16,
	QUEUE_CORRUPT = 32,
};
enum queue_name queue_view_name(const struct spool_info *info);
const char *queue_view_name_text(enum queue_name n);
/* "hold deferred": a set. RC_PERM: not a queue's name; e has Postfix's words. */
MUST_USE enum rc queue_view_names_parse(struct str text, unsigned *out, struct err *e);

/* ---- the listing of public/showq: attributes ended by NUL ---- */
/* RC_TEMP: `to` is full. */
MUST_USE enum rc queue_view_list_head(struct buf *to);
MUST_USE enum rc queue_view_list_end(struct buf *to);
/* One message, read from the spool. RC_NONE: it is gone or cannot be read; RC_TEMP: `to`
 * is full (it is left as it was). Memory: `scratch` is reset. */
MUST_USE enum rc queue_view_list_item(struct spool *sp, const struct spool_info *info,
    struct arena *scratch, struct buf *to);

/* The same of a file in the maildrop that pickup has not seen yet. RC_PERM: not a valid
 * file; RC_TEMP: `to` is full. `to` is left as it was then. */
struct queue_view_drop {
	struct str name; /* of the file: its queue id */
	uint64_t time_s;
	struct str content; /* all of the file */
};
MUST_USE enum rc queue_view_list_drop(const struct queue_view_drop *d, struct buf *to);

/* ---- postcat ---- */
/* The envelope as text lines, without the frame of *** lines. RC_TEMP: `to` is full. */
MUST_USE enum rc queue_view_envelope(
    const struct spool_info *info, const struct spool_loaded *l, struct buf *to);

/* ---- changes ---- */
enum queue_verb {
	QUEUE_DELETE,
	QUEUE_HOLD_IT,
	QUEUE_RELEASE,
	QUEUE_REQUEUE,
	QUEUE_EXPIRE,
	QUEUE_EXPIRE_RELEASE, /* postsuper -f */
};
MUST_USE enum rc queue_verb_parse(struct str text, enum queue_verb *out);
const char *queue_verb_text(enum queue_verb v); /* "delete" */
const char *queue_verb_done(enum queue_verb v); /* "removed", for the log (compat) */
const char *queue_verb_sum(enum queue_verb v);  /* "Deleted" (compat) */
unsigned queue_verb_queues(enum queue_verb v);  /* where it acts when no queue is named */
/* Does it to a message that is not active.
 * Returns: RC_OK; RC_NONE it is gone, or is in that state already; RC_TEMP not now. */
MUST_USE enum rc queue_verb_apply(struct spool *sp, const struct spool_info *info,
    enum queue_verb v, int64_t now_us, struct err *e);

/* Where the spool and its lock are: below queue_directory. */
#define QUEUE_SPOOL_DIR "journal"
/* The admin endpoint, below queue_directory. */
#define QUEUE_ADMIN_SOCKET "private/queue"
#endif
