#ifndef AGENT_MAILDROP_H
#define AGENT_MAILDROP_H
/* The file that postdrop leaves in the maildrop for pickup, and the stream that sendmail
 *sends to postdrop: the same bytes.
 *
 * A file is a row of records: one byte type, four bytes length (big-endian), that many
 *bytes.
 *
 *	V  version, "1"; the first record
 *	S  envelope sender, external form, "" for <>; exactly one
 *	F  full name of the sender for a missing From:
 *	E  ENVID, decoded
 *	T  RET: "full" or "hdrs"
 *	B  body type: "7BIT" or "8BITMIME"
 *	G  "": from a gateway, headers are not completed
 *	P  VERP: its two delimiters, ASCII punctuation
 *	M  "report": tell the sender what became of each recipient; "verify": only that,
 *	   deliver nothing
 *	U  "": the sender asks for SMTPUTF8
 *	N  NOTIFY as a decimal number (enum dsn_notify) for the R that follow
 *	O  ORCPT of the next R, decoded: "rfc822;user@host"
 *	R  recipient, external form; at least one
 *	L  content: as typed, lines end in LF or CRLF; pieces of any cut
 *	X  "": the end; nothing follows
 *
 * Order: V, then S F E T B G P M U in any order and each at most once, then N, O and R,
 *then L, then X. A file is *valid* when the order holds, X is the last byte read, and no
 *text but L has a byte below blank (NUL, CR, LF …). Who wrote it is the owner of the
 *file, not its content.
 *
 * A file is *complete* when its owner may execute it (mode 0744): postdrop sets that
 *last. Its content is protected by the folder, which only mail_owner can list. */
#include "base/base.h"
#include "base/buf.h"

enum {
	MAILDROP_TEXT_MAX = 2000,   /* any record but L */
	MAILDROP_ENVID_MAX = 1000,  /* E */
	MAILDROP_PIECE_MAX = 32768, /* L */
	MAILDROP_RCPTS_MAX = 100000,
	MAILDROP_RECORD_MAX = 5 + MAILDROP_PIECE_MAX,
	MAILDROP_MODE_READY = 0744, /* while it is written: 0600 */
};

struct maildrop_record {
	char type;
	struct str text; /* view of the input */
};

/* RC_TEMP: `out` is full. */
MUST_USE enum rc maildrop_put(struct buf *out, char type, struct str text);

struct maildrop_reader {
	uint32_t seen; /* types that may come once */
	unsigned phase;
	size_t n_rcpts;
	uint64_t content_bytes;
	bool is_bad;
};

/* Starts with all zero. Takes one record off the front of *in.
 * Returns: RC_MORE nothing was taken, give more bytes behind these; RC_NONE the X was
 * taken: complete; RC_PERM not a valid file (sticky). */
MUST_USE enum rc maildrop_next(struct maildrop_reader *r, struct str *in,
    struct maildrop_record *out, struct err *e);
#endif
