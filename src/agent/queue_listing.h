#ifndef AGENT_QUEUE_LISTING_H
#define AGENT_QUEUE_LISTING_H
#include <stdio.h>
#include "base/buf.h"

/* Reads Postfix's listing protocol and prints it for people or as JSON lines. Feed it
 * bytes as they come; it prints each message when its last attribute is there. */
struct queue_listing {
	FILE *to;
	bool is_json, is_long; /* is_long: columns for long queue ids */
	struct buf in;
	enum { QUEUE_LISTING_HEAD, QUEUE_LISTING_BODY, QUEUE_LISTING_OVER } where;
	bool in_message, has_rcpt, has_reason;
	uint64_t n_messages, total_bytes;
	/* the message being read; JSON needs the reason behind its recipient */
	char *queue_name, *id, *sender, *rcpt, *reason, *last_reason;
	uint64_t time_s, size_bytes;
	bool is_expired;
};

void queue_listing_init(struct queue_listing *l, FILE *to, bool is_json, bool is_long);
/* RC_PERM: this is not the protocol; RC_TEMP: an attribute is larger than anybody needs.
 */
MUST_USE enum rc queue_listing_feed(struct queue_listing *l, struct str bytes);
/* Prints what stands at the end. RC_PERM: the list broke off. */
MUST_USE enum rc queue_listing_end(struct queue_listing *l);
#endif
