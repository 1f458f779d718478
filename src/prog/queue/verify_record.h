#ifndef PROG_QUEUE_VERIFY_RECORD_H
#define PROG_QUEUE_VERIFY_RECORD_H
#include "base/base.h"
#include "base/buf.h"

/* What is known about one address, and what follows from it. Pure; times are seconds of
 * the wall clock.
 *
 * As text, in address_verify_map (compat, Postfix reads and writes the same):
 *	STATUS:PROBED:UPDATED:TEXT
 * decimal numbers; PROBED: when a probe was sent that has no outcome yet, or 0; UPDATED:
 * when the status was found out, 0: never; TEXT: the reason, which may hold colons. */
enum verify_status {
	VERIFY_OK,
	VERIFY_DEFERRED, /* undeliverable for the moment, or no telling */
	VERIFY_BOUNCED,
	VERIFY_TODO, /* nothing is known yet */
};

struct verify_record {
	enum verify_status status;
	int64_t probed_s, updated_s;
	struct str text;
};

struct verify_conf {
	int64_t positive_expire_s, positive_refresh_s, negative_expire_s,
	    negative_refresh_s;
	bool keeps_negative; /* address_verify_negative_cache */
};

/* A probe without an outcome counts as lost after this (compat). */
#define VERIFY_PROBE_S 1000

/* Total. Memory: out->text is a view. Returns: RC_PERM not such a record. */
MUST_USE enum rc verify_record_parse(struct str in, struct verify_record *out);
/* Returns: RC_TEMP: `to` is full. */
MUST_USE enum rc verify_record_format(const struct verify_record *r, struct buf *to);

/* Whether the record says nothing any more and may be dropped. */
bool verify_is_expired(
    const struct verify_conf *c, const struct verify_record *r, int64_t now_s);
/* What is answered to a question now (VERIFY_TODO when nothing is known), and whether a
 * probe is due. `r` NULL: there is no record. */
struct verify_plan {
	enum verify_status status;
	bool needs_probe;
};
struct verify_plan verify_plan(
    const struct verify_conf *c, const struct verify_record *r, int64_t now_s);
/* Whether the outcome of a probe replaces the record: a failed one not one that says
 * "deliverable" and has not expired ("optimistic caching", compat). */
bool verify_takes(const struct verify_conf *c, const struct verify_record *old,
    enum verify_status outcome, int64_t now_s);

/* address_verify_sender_ttl: `local` with the number of the present period behind it
 * (compat). ttl_s 0: `local` alone. Total: cut at `cap`, which should be 300. */
#define VERIFY_SENDER_MAX 300
struct str verify_sender(
    struct str local, int64_t ttl_s, int64_t now_s, char out[VERIFY_SENDER_MAX]);
#endif
