#ifndef MIME_FILTER_H
#define MIME_FILTER_H
/* Message content on its way in: a pure streaming filter from what a client sent (after
 * dot unstuffing) to what the spool stores (CRLF lines, headers completed).
 *
 * It pulls: give it input, take pieces of output until it wants more. Body bytes come out
 * as views of the input, not copies. Memory is bounded by header_size_limit and
 * line_limit, whatever the sender does.
 *
 * Checks and mappings of headers and lines are the caller's (struct mime_hooks). One that
 * has to wait answers RC_MORE; the filter stands still then and asks again, about the
 * same text, when it is called the next time. */
#include "base/arena.h"
#include "base/base.h"
#include "mime/header.h"
#include "mime/structure.h"

/* What was noted on the way; sticky. agent/ingest turns these into spool facts. */
enum mime_fact {
	MIME_8BIT = 1 << 0,        /* a byte above 127 in the body */
	MIME_8BIT_HEADER = 1 << 1, /* … in a header field */
	MIME_LONG_LINE = 1 << 2,   /* a line of more than 998 bytes without CRLF */
	MIME_DOT_LINE = 1 << 3,    /* a line that begins with "." */
	MIME_BARE_CR = 1 << 4,     /* a CR that ended no line: became a space */
	MIME_BARE_LF = 1 << 5,     /* an LF without CR before it */
	MIME_NUL = 1 << 6,
	MIME_NO_BODY = 1 << 7,   /* no empty line behind the headers */
	MIME_HAS_PARTS = 1 << 8, /* Content-Type: is that of something with parts */
	MIME_SAYS_8BIT = 1 << 9, /* Content-Transfer-Encoding: 8bit, of the message */
};

/* What is not as it must be; the first of each kind goes to mime_hooks.trouble, and the
 * message is refused at its end. */
enum mime_strict {
	MIME_STRICT_HEADERS = 1 << 0,  /* strict_7bit_headers */
	MIME_STRICT_BODY = 1 << 1,     /* strict_8bitmime_body */
	MIME_STRICT_ENCODING = 1 << 2, /* strict_mime_encoding_domain */
};
/* What is written behind "reject: mime-error " and "550 5.6.0 ". Compat. */
const char *mime_strict_text(enum mime_strict what);

/* A set of bytes: message_reject_characters, message_strip_characters. */
struct mime_bytes {
	bool has[256];
};

/* non_empty_end_of_header_action: headers are followed by text without an empty line. */
enum mime_end_action {
	MIME_END_FIX,    /* an empty line is put between */
	MIME_END_TELL,   /* and a header tells so: MIME-Error: … */
	MIME_END_REFUSE, /* the message is refused */
};

struct mime_conf {
	/* Lines and folds are added to a field while it is shorter; the rest is cut.
	 * Compat. */
	size_t header_size_limit;
	size_t line_limit; /* what is checked at once; 0: 2048 */
	size_t nesting_limit, boundary_limit;
	size_t body_check_limit; /* bytes of a part's body that are checked */
	size_t token_limit;      /* of one address field */
	bool is_flat;            /* disable_mime_input_processing */
	/* What says that it is 8-bit becomes quoted-printable: what
	 * force_mime_input_conversion does, and smtp for servers without 8BITMIME. For a
	 * filter without checks and mappings: they are for the text that comes out. */
	bool converts;
	unsigned strict; /* enum mime_strict, or-ed */
	enum mime_end_action end_action;
	const struct mime_bytes *reject, *strip; /* or NULL */
	unsigned hopcount_limit; /* this many Received: fields, ours included: RC_PERM */
	uint32_t drop_known;     /* message_drop_headers: set by mime_conf_drop() */
	struct str drop_others;
	bool ignores_8bit_header; /* detect_8bit_encoding_header = no */
	bool keep_stray_cr;       /* cleanup_replace_stray_cr_lf = no */
	struct str undisclosed;   /* undisclosed_recipients_header, "To:
				     undisclosed-recipients:;" */
};

/* Which fields are deleted: names, separated by blanks or commas. `names` must outlive
 * conf. */
void mime_conf_drop(struct mime_conf *conf, struct str names);

/* What becomes of a header or a line that was checked. */
enum mime_verdict { MIME_KEEP, MIME_DROP, MIME_REPLACE, MIME_PREPEND };
struct mime_edit {
	enum mime_verdict verdict;
	struct str text; /* MIME_REPLACE, MIME_PREPEND: lines with LF between them */
};

struct mime_hooks {
	void *ctx;
	/* Which parts are checked: 1 << enum mime_part. */
	unsigned checks;
	/* One header with LF between its lines, or a line of body (or line_limit bytes of
	 * one), never empty; both without line end.
	 * Returns: RC_OK: *out, which stays valid until the next call; RC_MORE: not known
	 *          yet; else: the message is refused, e has the words. */
	enum rc (*check)(void *ctx, enum mime_part part, struct str text,
	    struct mime_edit *out, struct err *e);
	/* Writes the value of an address field to `out` with addresses mapped; NULL:
	 * mime_start.rewrite only. Returns: as mime_addresses_rewrite(), and RC_PERM. */
	enum rc (*map)(void *ctx, enum mime_header h, struct str value, size_t column,
	    struct buf *out, struct err *e);
	/* For the log; NULL: nobody wants to know. */
	void (*trouble)(void *ctx, enum mime_strict what, struct str text);
	/* A byte of mime_conf.reject is in this line. */
	void (*disallowed)(void *ctx, struct str line);
};

/* One message. All views must stay valid until mime_filter_free(). */
struct mime_start {
	struct str received; /* complete fields with CRLF to stand first; may be empty */
	bool reads_received; /* … and are noted, cut and counted as if they were input */
	const struct mime_hooks *hooks; /* NULL: nothing is checked or mapped */
	bool complete;                  /* local client: add what is missing, … */
	bool rewrites;                  /* … and map addresses */
	/* What would refuse the message is kept for mime_filter_refusal(), and the
	 * content goes on. */
	bool carries_on;
	struct str message_id; /* added when missing: "<…>"; empty: never */
	struct str date;       /* added when missing */
	struct str from;       /* value of From: added when missing */
	struct mime_rewrite rewrite;
	/* For the log, NULL: nobody wants to know. Each Message-ID: and
	 * Resent-Message-ID: that passes, and the one that is added: the value without
	 * blanks before it, CRLF between its lines, valid during the call. At the end of
	 * the headers "<>", when there was no Message-ID:. */
	void (*identified)(void *ctx, bool is_resent, struct str id);
	/* mime_mapping.stripped, where there is no mime_hooks.map. */
	void (*stripped)(void *ctx, struct str entry);
	void *log_ctx;
};

struct mime_filter;

/* Memory: the filter owns itself; conf and start must outlive it. */
struct mime_filter *mime_filter_new(
    const struct mime_conf *conf, const struct mime_start *start);
void mime_filter_free(struct mime_filter **f);

/* Takes bytes off the front of *in and gives one piece of output.
 * Returns: RC_OK *out is set (valid until the next call, or as long as the input);
 *          RC_MORE *in is used up, *out is empty; or a hook waits
 *          (mime_filter_is_waiting) and *in is what was not looked at yet: keep these
 *          bytes, give the same again later;
 *          RC_PERM, RC_TEMP refuse the message ("5.4.0 too many hops" in e): final. */
MUST_USE enum rc mime_filter_step(
    struct mime_filter *f, struct str *in, struct str *out, struct err *e);
/* A hook answered RC_MORE. */
bool mime_filter_is_waiting(const struct mime_filter *f);
/* The input is over: call until RC_NONE. The last line is ended with CRLF if it wasn't.
 * RC_MORE: a hook waits. */
MUST_USE enum rc mime_filter_end(struct mime_filter *f, struct str *out, struct err *e);

/* mime_start.carries_on: what refuses the message so far. RC_OK: nothing; RC_PERM: words
 * in e. At the end of the content all is known. */
MUST_USE enum rc mime_filter_refusal(const struct mime_filter *f, struct err *e);

unsigned mime_filter_facts(const struct mime_filter *f); /* enum mime_fact, or-ed */
/* Parts beyond nesting_limit were not looked into, and so not converted. */
bool mime_filter_is_too_deep(const struct mime_filter *f);
/* The headers are over; their values are final. */
bool mime_filter_in_body(const struct mime_filter *f);
#endif
