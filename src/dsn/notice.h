#ifndef DSN_NOTICE_H
#define DSN_NOTICE_H
/* Delivery status notifications: the human text and RFC 3464 parts around the original
 * message, byte for byte as Postfix writes them. */
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* RFC 3461 NOTIFY, as on the wire between processes. */
enum dsn_notify {
	DSN_NOTIFY_NEVER = 1,
	DSN_NOTIFY_SUCCESS = 2,
	DSN_NOTIFY_FAILURE = 4,
	DSN_NOTIFY_DELAY = 8,
};
/* RFC 3461 RET. */
enum dsn_ret { DSN_RET_UNSET = 0, DSN_RET_FULL = 1, DSN_RET_HDRS = 2 };

enum dsn_kind {
	DSN_FAILED,
	DSN_DELAYED,
	DSN_SUCCEEDED,
	DSN_REPORTED /* sendmail -v, -bv: each recipient has its own action */
};

struct dsn_rcpt {
	struct str address; /* final recipient, external form */
	struct str orig;    /* before aliasing; empty: same as address */
	struct str orcpt;   /* "rfc822;a@b" or empty */
	struct str status;  /* "5.1.1" */
	struct str
	    action; /* empty: implied by the kind ("failed", "delayed", "delivered") */
	struct str reason; /* the text in (…) of the log line */
	struct str mta;    /* Remote-MTA, or empty */
	struct str diag_type,
	    diag; /* "smtp", "550 …"; empty type: x-postfix with `reason` */
};

struct dsn_notice {
	enum dsn_kind kind;
	struct str qid; /* of the original */
	struct str myhostname, mail_name;
	struct str to;     /* who gets the notification, external form */
	struct str sender; /* of the original, external form; never empty (double bounces:
			      MAILER-DAEMON@…) */
	struct str envid;  /* decoded, or empty */
	struct str date;   /* of now, for Date: */
	struct str arrival;          /* of the original */
	struct str boundary;         /* "QID.TIMESTAMP/myhostname" */
	struct str will_retry_until; /* DSN_DELAYED: date */
	struct str from;             /* address of From:, "MAILER-DAEMON@myorigin" */
	int64_t max_queue_lifetime_us, delay_warning_us;
	bool
	    headers_only; /* RET=HDRS, too large, delayed, succeeded, postmaster's copy */
	bool is_postmaster_copy; /* other subject, no explanation */
	bool is_utf8;            /* the original came with SMTPUTF8: RFC 6533's types */
	const struct dsn_rcpt *rcpts;
	size_t n_rcpts;
};

/* Writes what stands before the original message (`prefix`, header of the notification
 * included, without Received:) and behind it (`suffix`), with CRLF line ends. Between
 * them the caller copies the original's bytes: all, or with headers_only up to the first
 * empty line. Returns: RC_TEMP a buffer is full; RC_PERM no recipient. */
MUST_USE enum rc dsn_notice_format(
    const struct dsn_notice *n, struct buf *prefix, struct buf *suffix, struct err *e);

/* The built-in text of a kind, for `postconf -t`: `text` stands between the line that
 * names the host and the one that says who writes; its lines end in CRLF, and each
 * "%lld" is a number: of hours, then of days. */
struct dsn_text {
	const char *subject, *postmaster_subject, *text;
};
struct dsn_text dsn_notice_text(enum dsn_kind kind);

/* How many bytes of `content` belong to its headers, for headers_only: up to the empty
 * line, which is not counted. content.n when there is none in this piece. */
size_t dsn_headers_size(struct str content);
#endif
