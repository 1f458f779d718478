#ifndef AGENT_TRANSCRIPT_H
#define AGENT_TRANSCRIPT_H
#include "base/base.h"

/* What two sides said to each other in a session, for a notice to the postmaster. Memory
 * is bounded whatever they say: the beginning and the end are kept, the middle goes. */
struct buf;
struct transcript;

enum transcript_side { TRANSCRIPT_IN, TRANSCRIPT_OUT };

/* Limits: at most `max_bytes` (of texts) is kept. */
struct transcript *transcript_new(size_t max_bytes);
void transcript_free(struct transcript **t);

/* Adds one line, or several that end with CRLF or LF each. */
void transcript_add(struct transcript *t, enum transcript_side side, struct str lines);
/* How many lines were added. */
size_t transcript_lines(const struct transcript *t);

/* The lines " In:  …" and " Out: …", printable, wrapped at word boundaries (compat), each
 * with CRLF. Bytes above 127 that are no UTF-8 become "?".
 * Returns: RC_TEMP: no room in `out`, which may have a part. */
MUST_USE enum rc transcript_format(const struct transcript *t, struct buf *out);
#endif
