#ifndef AGENT_TRANSCRIPT_H
#define AGENT_TRANSCRIPT_H
#include "base/base.h"

/* What two sides said to each other in a session: for a notice to the postmaster, or for
 * the log. Memory is bounded whatever they say: the beginning and the end are kept, the
 * middle goes. */
struct buf;
struct log;
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

/* A line as it may be shown: what follows the mechanism of AUTH is "...", because it may
 * be a password. Memory: a view of `line`, or of `room`. */
enum { TRANSCRIPT_ROOM = 200 };
struct str transcript_shown(struct str line, char room[TRANSCRIPT_ROOM]);

/* Logs lines as debug_peer_list and -v want it, "< NAME[ADDR]: LINE", as they may be
 * shown (compat). `lines`: as for transcript_add(). */
void transcript_log(
    struct log *l, enum transcript_side side, struct str peer, struct str lines);
#endif
