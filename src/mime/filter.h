#ifndef MIME_FILTER_H
#define MIME_FILTER_H
/* Message content on its way in: a pure streaming filter from what a client sent (after
 * dot unstuffing) to what the spool stores (CRLF lines, headers completed).
 *
 * It pulls: give it input, take pieces of output until it wants more. Body bytes come out
 * as views of the input, not copies. Memory is bounded by header_size_limit, whatever the
 * sender does. */
#include "base/arena.h"
#include "base/base.h"
#include "mime/header.h"

/* What was noted on the way; sticky. agent/ingest turns these into spool facts. */
enum mime_fact {
	MIME_8BIT = 1 << 0,        /* a byte above 127 in the body */
	MIME_8BIT_HEADER = 1 << 1, /* … in a header field */
	MIME_LONG_LINE = 1 << 2,   /* a line of more than 998 bytes without CRLF */
	MIME_DOT_LINE = 1 << 3,    /* a line that begins with "." */
	MIME_BARE_CR = 1 << 4,     /* a CR that ended no line: became a space */
	MIME_BARE_LF = 1 << 5,     /* an LF without CR before it */
	MIME_NUL = 1 << 6,
	MIME_NO_BODY = 1 << 7, /* no empty line behind the headers */
	MIME_VERSION = 1 << 8, /* MIME-Version: is there */
};

struct mime_conf {
	size_t header_size_limit; /* bytes of one field; the rest is cut (Postfix: the
				     same) */
	unsigned hopcount_limit;  /* this many Received: fields, ours included: RC_PERM */
	uint32_t drop_known;      /* message_drop_headers: set by mime_conf_drop() */
	struct str drop_others;
	bool keep_stray_cr;     /* cleanup_replace_stray_cr_lf = no */
	struct str undisclosed; /* undisclosed_recipients_header, "To:
				   undisclosed-recipients:;" */
};

/* Which fields are deleted: names, separated by blanks or commas. `names` must outlive
 * conf. */
void mime_conf_drop(struct mime_conf *conf, struct str names);

/* One message. All views must stay valid until mime_filter_fini(). */
struct mime_start {
	struct str
	    received;  /* complete field(s) with CRLF to stand first; may be empty */
	bool complete; /* local client: add what is missing, rewrite incomplete addresses
			*/
	struct str message_id; /* added when missing: "<…>"; empty: never */
	struct str date;       /* added when missing */
	struct str from;       /* value of From: added when missing */
	struct mime_rewrite rewrite;
};

struct mime_filter;

/* Memory: the filter owns itself; conf and start must outlive it. */
struct mime_filter *mime_filter_new(
    const struct mime_conf *conf, const struct mime_start *start);
void mime_filter_free(struct mime_filter **f);

/* Takes bytes off the front of *in and gives one piece of output.
 * Returns: RC_OK *out is set (valid until the next call, or as long as the input);
 *          RC_MORE *in is used up, *out is empty;
 *          RC_PERM refuse the message ("5.4.0 too many hops" in e): final. */
MUST_USE enum rc mime_filter_step(
    struct mime_filter *f, struct str *in, struct str *out, struct err *e);
/* The input is over: call until RC_NONE. The last line is ended with CRLF if it wasn't.
 */
MUST_USE enum rc mime_filter_end(struct mime_filter *f, struct str *out, struct err *e);

unsigned mime_filter_facts(const struct mime_filter *f); /* enum mime_fact, or-ed */
/* The first Message-ID: (and Resent-Message-ID:) value for the log, without folding;
 * empty: none so far. The added one counts. Valid as long as the filter. */
struct str mime_filter_message_id(const struct mime_filter *f);
struct str mime_filter_resent_message_id(const struct mime_filter *f);
/* The headers are over; their values are final. */
bool mime_filter_in_body(const struct mime_filter *f);
#endif
