#ifndef POSTQUEUE_LISTING_H
#define POSTQUEUE_LISTING_H
#include <stdio.h>
#include "base/buf.h"

/* Reads Postfix's listing protocol and prints it for people or as JSON lines. Feed it
 * bytes as they come; it prints each message when its last attribute is there. */
struct listing {
	FILE *to;
	bool is_json, is_long; /* is_long: columns for long queue ids */
	struct buf in;
	enum { LISTING_HEAD, LISTING_BODY, LISTING_OVER } where;
	bool in_message, has_rcpt, has_reason;
	uint64_t n_messages, total_bytes;
	/* the message being read; JSON needs the reason behind its recipient */
	char *queue_name, *id, *sender, *rcpt, *reason, *last_reason;
	uint64_t time_s, size_bytes;
	bool is_expired;
};

void listing_init(struct listing *l, FILE *to, bool is_json, bool is_long);
/* RC_PERM: this is not the protocol; RC_TEMP: an attribute is larger than anybody needs.
 */
MUST_USE enum rc listing_feed(struct listing *l, struct str bytes);
/* Prints what stands at the end. RC_PERM: the list broke off. */
MUST_USE enum rc listing_end(struct listing *l);
#endif
