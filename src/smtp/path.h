#ifndef SMTP_PATH_H
#define SMTP_PATH_H
/* The arguments of MAIL and RCPT: the address in <>, then KEY=VALUE parameters. */
#include "base/arena.h"
#include "base/base.h"

enum smtp_notify { /* RFC 3461 NOTIFY; the same bits as in wire/messages.ipc */
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

struct smtp_mail_args {
	struct str address; /* external form without <> and source route; empty for <> */
	struct str written; /* as it came, when that is no plain "<local@domain>", or
			     * somebody has to look at what it means; else empty */
	struct str envid;   /* decoded xtext; empty: none */
	int64_t size_bytes; /* SIZE; 0: not said */
	enum smtp_ret ret;
	enum smtp_body body;
	bool smtputf8;
	struct str verp; /* XVERP: its two delimiters, or the default ones; empty: none */
	bool has_auth;   /* AUTH= was there, and not with <> */
	struct str auth; /* as it came */
};

struct smtp_rcpt_args {
	struct str address; /* external form without <> and source route */
	struct str written; /* likewise */
	struct str orcpt;   /* "rfc822;user@host", decoded; empty: none */
	unsigned notify;    /* bits of enum smtp_notify; 0: not said */
};

struct smtp_path_conf {
	bool strict;        /* strict_rfc821_envelopes */
	bool has_dsn;       /* RET, ENVID, NOTIFY and ORCPT may be used */
	bool minus_ok;      /* allow_min_user: an address may begin with "-" */
	bool numeric_ok;    /* resolve_numeric_domain: user@192.0.2.1 is an address */
	bool null_ok;       /* resolve_null_domain: user@ is one */
	bool append_dot;    /* append_dot_mydomain: "1" becomes a name of more parts */
	unsigned operators; /* enum addr_operator: what site!user and user%site mean */
	bool has_utf8;      /* SMTPUTF8 may be used as a parameter */
	bool utf8_ok;       /* RCPT: MAIL had that parameter */
	bool has_verp;      /* XVERP may be used */
	struct str verp_delimiters, verp_filter; /* default, and what is allowed */
};

/* Why arguments were refused. */
struct smtp_path_bad {
	struct str reply; /* for the client: static, or in `mem` */
	struct str
	    text; /* the address as it came when it is worth a warning; else empty */
	struct str warning; /* another one; else empty */
};

/* Reads what stands behind "MAIL" or "RCPT" in a command line.
 *
 * Memory:  *out lives in `mem`, or is a view of `args`; set only on RC_OK.
 * Returns: RC_PERM: *bad is set; RC_TEMP: the same, when `mem` is full.
 * Limits:  an address has at most ADDR_MAX bytes.
 * Source:  RFC 5321 4.1.2, RFC 1870, RFC 3461, RFC 6152. */
MUST_USE enum rc smtp_path_mail(struct str args, const struct smtp_path_conf *conf,
    struct arena *mem, struct smtp_mail_args *out, struct smtp_path_bad *bad);
MUST_USE enum rc smtp_path_rcpt(struct str args, const struct smtp_path_conf *conf,
    struct arena *mem, struct smtp_rcpt_args *out, struct smtp_path_bad *bad);

/* The address of VRFY: all that stands there. RC_PERM: not one address. */
MUST_USE enum rc smtp_path_vrfy(struct str arg, const struct smtp_path_conf *conf,
    struct arena *mem, struct str *out);

/* Takes the next word of a command's arguments off `rest`: <...> and "..." are part of a
 * word, and go on to the end when they are not closed. False: there is none. */
bool smtp_path_word(struct str *rest, struct str *word);

/* Whether `s` has bytes above 127: an address that SMTPUTF8 is for. */
bool smtp_path_is_utf8(struct str s);
#endif
