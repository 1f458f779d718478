#ifndef SPOOL_MESSAGE_H
#define SPOOL_MESSAGE_H
#include "base/base.h"

struct arena;
struct buf;

/* A message as the spool keeps it: envelope, facts, the state of its recipients. All
 * strings are views; who made the structure says into what. */

#define SPOOL_INLINE_MAX                                                                 \
	((size_t)64 * 1024) /* content up to here stays in the record                    \
			     */
#define SPOOL_RCPTS_MAX   ((size_t)100000)
#define SPOOL_REASONS_MAX ((size_t)60000)
#define SPOOL_TEXT_MAX    ((size_t)4000) /* any one text of a reason */
#define SPOOL_STR_MAX     ((size_t)2000) /* any one string of an envelope */

/* What a delivery must know about the content, noted once on the way in. */
enum message_fact {
	MESSAGE_HAS_8BIT = 1, /* some byte of the body is above 127 */
	MESSAGE_HAS_8BIT_HEADER = 2,
	MESSAGE_HAS_LONG_LINES = 4, /* longer than 998 bytes without CRLF */
	MESSAGE_HAS_DOT_LINES = 8,  /* a line begins with ".": SMTP must double it */
	MESSAGE_HAS_NUL = 16,
	MESSAGE_HAS_PARTS = 32,     /* of which each may say that it is 8-bit */
	MESSAGE_SAID_8BITMIME = 64, /* BODY=8BITMIME, or its header says so */
	/* Said SMTPUTF8, or smtputf8_autodetect_classes found it: what follows may need a
	 * server that offers it. */
	MESSAGE_SMTPUTF8 = 128,
	MESSAGE_IS_NOTICE = 256, /* a notification of the bounce program */
	MESSAGE_IS_LOCAL =
	    512, /* came by sendmail(1) or from ourselves, not from the net */
	MESSAGE_IS_PROBE = 1024,    /* address verification: nothing is delivered */
	MESSAGE_HAS_BARE_LF = 2048, /* line ends were repaired on the way in */
	/* sendmail -v and -bv: what became of each recipient is reported to the sender;
	 * with the latter nothing is delivered. */
	MESSAGE_IS_REPORT = 4096,
	MESSAGE_VERIFY_ONLY = 8192,
	MESSAGE_SAID_7BIT = 16384, /* BODY=7BIT */
};

struct spool_rcpt {
	struct str address; /* external form, without <> */
	struct str orig;  /* as the sender gave it when aliasing changed it; else empty */
	struct str orcpt; /* "rfc822;..." or empty */
	uint8_t notify; /* RFC 3461: 1 never, 2 success, 4 failure, 8 delay; 0 not given;
			 * SPOOL_EXPANDED */
};
/* With the bits of NOTIFY: an alias that was expanded into other recipients. Nothing is
 * delivered to it; the sender is told so. */
#define SPOOL_EXPANDED 16

struct spool_message {
	uint64_t number;    /* from spool_grant_ids() */
	bool is_long;       /* the queue id's form */
	bool is_held;       /* put on hold at once */
	int64_t arrival_us; /* wall clock */
	struct str sender, envid;
	uint8_t ret;       /* RFC 3461: 0 not given, 1 full, 2 headers */
	uint32_t facts;    /* enum message_fact */
	struct str origin; /* "smtpd", "pickup", "bounce" */
	struct str client_name, client_addr, client_port, client_proto, client_helo;
	struct str filter; /* "transport:nexthop" for all recipients; empty: routed */
	struct str verp; /* VERP delimiters; empty: each recipient has the same sender */
	const struct spool_rcpt *rcpts;
	size_t n_rcpts;
	uint64_t size_bytes; /* of the content with CRLF line ends */
	struct str content;  /* size_bytes long, or empty when staged */
	uint32_t stage;      /* number of the stage file that has the content; 0: none */
	uint32_t stage_crc;  /* CRC-32C of its first size_bytes bytes */
};

/* What is to be done about one recipient. */
enum spool_rcpt_what {
	SPOOL_RCPT_PENDING,  /* not tried yet */
	SPOOL_RCPT_DEFERRED, /* tried, to be tried again */
	SPOOL_RCPT_DONE,     /* nothing is left to do */
	SPOOL_RCPT_FAILED,   /* will not be tried again; the sender must still be told */
	SPOOL_RCPT_REPORT, /* delivered; the sender asked to be told and must still be */
};

struct spool_rcpt_state {
	uint8_t what;    /* enum spool_rcpt_what */
	uint16_t reason; /* 0: none; else 1 + index in reasons */
};

/* Why a recipient is in its state; shared by all recipients for which it is the same. */
struct spool_reason {
	struct str dsn;  /* "4.4.1" */
	struct str text; /* what stands in (...) of the log line */
	struct str mta, diag, diag_type, action; /* as `outcome` in wire/messages.ipc */
};

enum spool_flag {
	SPOOL_HELD = 1,     /* on hold */
	SPOOL_EXPIRED = 2,  /* to be returned at the next attempt (postsuper -e) */
	SPOOL_WARNED = 4,   /* the delay warning was sent */
	SPOOL_DEFERRED = 8, /* some attempt was made: it belongs to the deferred queue */
	/* The following are kept in memory only and not settable by an update. */
	SPOOL_CLAIMED = 16, /* the queue works on it: the active queue */
	SPOOL_LONG_ID = 32,
	SPOOL_STAGED = 64,
};
#define SPOOL_STORED_FLAGS (SPOOL_HELD | SPOOL_EXPIRED | SPOOL_WARNED | SPOOL_DEFERRED)

/* The whole present state of a message. */
struct spool_state {
	int64_t next_try_us; /* wall clock */
	int64_t last_try_us; /* 0: none */
	uint32_t n_attempts;
	uint8_t flags;                        /* of SPOOL_STORED_FLAGS */
	const struct spool_rcpt_state *rcpts; /* NULL with n_rcpts 0: all pending */
	size_t n_rcpts;                       /* 0 or that of the message */
	const struct spool_reason *reasons;
	size_t n_reasons;
};

/* Bytes of an envelope or a state, as records hold them.
 * Returns: RC_TEMP `to` is full; RC_PERM something exceeds its limit.
 * Source:  docs/spool-format.md sections 5 and 6. */
MUST_USE enum rc spool_envelope_encode(const struct spool_message *m, struct buf *to);
MUST_USE enum rc spool_state_encode(const struct spool_state *s, struct buf *to);

/* Total: any bytes give RC_OK, RC_PERM (damaged) or RC_TEMP (`mem` is full).
 * Memory:  arrays live in `mem`, strings are views into `in`. content is left empty. */
MUST_USE enum rc spool_envelope_decode(
    struct str in, struct arena *mem, struct spool_message *out);
MUST_USE enum rc spool_state_decode(
    struct str in, struct arena *mem, struct spool_state *out);
#endif
