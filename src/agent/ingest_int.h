#ifndef AGENT_INGEST_INT_H
#define AGENT_INGEST_INT_H
/* What ingest.c and ingest_text.c share. */
#include "agent/ingest.h"
#include "base/arena.h"
#include "base/buf.h"

/* "<20261122005909.QID@host>", or "<QID@host>" when queue ids are long. .p NULL: limit.
 */
struct str ingest_message_id(const struct ingest_conf *conf, struct str qid,
    int64_t arrival_us, struct arena *mem);
/* The value of a From: for local mail without one. .p NULL: limit. */
struct str ingest_from(const struct ingest_conf *conf, const struct ingest_client *client,
    struct arena *mem);
/* An envelope address in its full form. .p NULL: limit. */
struct str ingest_full_address(
    const struct ingest_conf *conf, struct str address, struct arena *mem);
#endif
