#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/arena.h"
#include "base/base.h"

/* RFC 4648 section 4: padded, without line breaks.
 * Memory: in `mem`, with a NUL behind that .n does not count; .p NULL: limit. */
struct str base64_encode(struct str bytes, struct arena *mem);
/* Strict: the alphabet, complete groups, padding at the end only and unused bits zero.
 * Returns: RC_PERM malformed; RC_TEMP memory limit. */
MUST_USE enum rc base64_decode(struct str text, struct arena *mem, struct str *out);
#endif
