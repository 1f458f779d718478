#ifndef AGENT_INGEST_EXPAND_H
#define AGENT_INGEST_EXPAND_H
/* Sender and recipients of one message: from the envelope as it came to the one that is
 * stored. Internal to ingest_*.c. */
#include "agent/ingest_int.h"
#include "base/hmap.h"
#include "route/mapping.h"

enum expand_phase {
	EXPAND_SENDER,
	EXPAND_SENDER_COPY, /* sender_bcc_maps */
	EXPAND_NEXT,        /* the next recipient of the envelope, of access tables … */
	EXPAND_MAP,         /* this and the following: the recipient `now` */
	EXPAND_ALIASES,
	EXPAND_COPY, /* recipient_bcc_maps */
	EXPAND_OVER,
};

/* One address that is in the result already. */
struct expand_seen {
	struct hmap_node node;
	size_t at; /* in out */
};

struct ingest_expansion {
	enum expand_phase phase;
	/* The first recipients are those of the envelope, then those of access tables, of
	 * header checks, always_bcc. */
	size_t next;
	struct ingest_rcpt now;
	bool is_copy;                  /* `now` gets no copies itself */
	struct str mapped;             /* now.address, mapped: what its copies are by */
	struct mapping_expansion list; /* what `mapped` is an alias of */
	struct str found;              /* by the decision that ended */
	struct arena *scratch;
	struct loop_task soon;
	struct loop_task resume; /* content that waited for the sender */
	/* is_waiting: a decision or a turn is outstanding; is_final: all content is in.
	 */
	bool is_waiting, is_final, has_seen;
	bool holds_content; /* until `resume`: it waits for the sender */

	struct ingest_rcpt *out;
	size_t n_out, cap_out, bytes_out;
	struct hmap seen;
};

/* ---- ingest_expand.c ---- */
/* All content is in: starts, or goes on from where ingest_envelope() began; ends with
 * ingest_put_expanded(), now or later. */
void ingest_expand_finish(struct ingest *in);
void ingest_expand_cancel(struct ingest *in);
/* Whether content has to wait for the sender: ingest_content_go() follows. */
bool ingest_expand_holds_content(const struct ingest *in);

/* ---- ingest_rcpts.c ---- */
/* Adds a recipient to the result unless it is there.
 * Returns: RC_TEMP memory limit; RC_PERM more than a message can have. */
MUST_USE enum rc ingest_rcpts_add(struct ingest *in, const struct ingest_rcpt *r);

/* ---- ingest_put.c ---- */
/* Whether it is a notice of ours, and not mail that somebody sent. */
bool ingest_is_notice(const struct ingest *in);
/* in->final is set, or the message failed. */
void ingest_put_expanded(struct ingest *in);
#endif
