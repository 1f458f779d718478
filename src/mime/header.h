#ifndef MIME_HEADER_H
#define MIME_HEADER_H
/* Single header fields: finding the name, walking the addresses, formatting ours. */
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* Header fields that matter to us; everything else is MIME_HDR_OTHER. */
enum mime_header {
	MIME_HDR_OTHER,
	MIME_HDR_APPARENTLY_TO,
	MIME_HDR_BCC,
	MIME_HDR_CC,
	MIME_HDR_CONTENT_LENGTH,
	MIME_HDR_CONTENT_MIME, /* Content-Type and its kind, but for the next */
	MIME_HDR_CONTENT_TRANSFER_ENCODING,
	MIME_HDR_DATE,
	MIME_HDR_DELIVERED_TO,
	MIME_HDR_DISPOSITION_NOTIFICATION_TO,
	MIME_HDR_ERRORS_TO,
	MIME_HDR_FROM,
	MIME_HDR_MAIL_FOLLOWUP_TO,
	MIME_HDR_MESSAGE_ID,
	MIME_HDR_MIME_VERSION,
	MIME_HDR_RECEIVED,
	MIME_HDR_REPLY_TO,
	MIME_HDR_RESENT_BCC,
	MIME_HDR_RESENT_CC,
	MIME_HDR_RESENT_DATE,
	MIME_HDR_RESENT_FROM,
	MIME_HDR_RESENT_MESSAGE_ID,
	MIME_HDR_RESENT_REPLY_TO,
	MIME_HDR_RESENT_SENDER,
	MIME_HDR_RESENT_TO,
	MIME_HDR_RETURN_PATH,
	MIME_HDR_RETURN_RECEIPT_TO,
	MIME_HDR_SENDER,
	MIME_HDR_TO,
	MIME_HDR_COUNT,
};

/* Whether `line` begins a header field ("Name:" or "Name :", name of printable bytes
 * without
 * ':'). *name_n is the length of the name, *value_at where the value begins. */
bool mime_header_split(struct str line, size_t *name_n, size_t *value_at);
enum mime_header mime_header_find(struct str name);
/* Does the field hold addresses: From, Sender, To, Cc, Bcc, Reply-To and their Resent
 * forms? And of recipients, in the eyes of canonical_classes? */
bool mime_header_has_addresses(enum mime_header h);
bool mime_header_has_recipients(enum mime_header h);
/* Content-Type and its kind, MIME-Version: what mime_header_checks are for. */
bool mime_header_is_mime(enum mime_header h);

/* Calls `each` for every address of an address field's value (folded lines, comments,
 * groups, quoted phrases understood); the address comes in external form without <>, with
 * comments and routes removed. Nothing is said about addresses that cannot be read: they
 * are skipped. RC_TEMP: `mem` is full. */
typedef void mime_address_fn(void *arg, struct str address);
MUST_USE enum rc mime_addresses_each(
    struct str value, struct arena *mem, mime_address_fn *each, void *arg);

/* How incomplete addresses of local mail are completed. Empty strings: leave alone. */
struct mime_rewrite {
	struct str at_myorigin; /* "user" to "user@myorigin" (append_at_myorigin) */
	struct str
	    dot_mydomain; /* "user@host" to "user@host.mydomain" (append_dot_mydomain) */
	bool swap_bangpath; /* "host!user" to "user@host" */
	bool percent_hack;  /* "user%host" to "user@host" */
};
/* Completes one address in external form, without <>: what Postfix's rewrite service does
 * in the local context. Memory: in `mem`, or `address` itself when nothing had to change;
 * .p NULL: limit. Source: features.md section 3. */
struct str mime_address_complete(
    struct str address, const struct mime_rewrite *how, struct arena *mem);
/* Turns one address into another. Memory: *out in `mem`, or `address` itself. Anything
 * but RC_OK ends the walk and is its result. */
typedef enum rc mime_map_fn(
    void *ctx, struct str address, struct arena *mem, struct str *out);
/* mime_address_complete() as such a function; ctx: struct mime_rewrite. */
mime_map_fn mime_map_complete;
struct mime_mapping {
	mime_map_fn *map;
	void *ctx;
	size_t column;      /* where the value begins on its first line */
	size_t token_limit; /* header_address_token_limit: the rest is cut; 0: none */
	/* Told of every entry of which only the address is left, as it would have been;
	 * may be NULL. Compat. */
	void (*stripped)(void *ctx, struct str entry);
	void *stripped_ctx;
};
/* Writes the value of an address field to `out` with every address mapped, one blank or
 * fold behind each comma. RC_NONE: nothing had to change and nothing was written.
 * RC_TEMP: too large. RC_MORE: the map said so; nothing counts, call again. */
MUST_USE enum rc mime_addresses_rewrite(
    struct str value, const struct mime_mapping *how, struct arena *mem, struct buf *out);

/* "Sun, 22 Nov 2026 00:34:58 +0000 (UTC)" */
#define MIME_DATE_MAX 64
struct mime_time {
	int year, month, day, weekday; /* 2026, 1..12, 1..31, 0 = Sunday */
	int hour, minute, second;
	int east_minutes; /* of UTC */
	const char *zone; /* "UTC"; NULL or empty: no comment */
};
struct str mime_date_format(const struct mime_time *t, char out[MIME_DATE_MAX]);

/* The Received: field, exactly as Postfix writes it, with CRLF line ends.
 * Compat: smtpd, pickup and post_mail of Postfix 3.7; features.md section 2. */
enum mime_via {
	MIME_VIA_SMTP,  /* from HELO (NAME [ADDR]) by HOST (Postfix) with PROTO id QID for
			   <…>; */
	MIME_VIA_LOCAL, /* by HOST (Postfix, from userid UID) id QID; */
	MIME_VIA_SELF,  /* by HOST (Postfix) id QID; */
};
struct mime_received {
	enum mime_via via;
	struct str helo, client_name, client_addr; /* client_addr as logged: no "IPv6:" */
	struct str proto;                          /* "ESMTP" */
	struct str myhostname, mail_name, qid, date;
	struct str rcpt; /* external form; empty: more than one recipient */
	unsigned uid;    /* MIME_VIA_LOCAL */
};
MUST_USE enum rc mime_received_format(const struct mime_received *r, struct buf *out);
#endif
