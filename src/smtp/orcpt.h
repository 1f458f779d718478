#ifndef SMTP_ORCPT_H
#define SMTP_ORCPT_H
/* ORCPT: "type;coded", where the code is xtext, or behind "utf-8;" that of RFC 6533 3
 * (\x{…}). */
#include "base/arena.h"
#include "base/base.h"

/* "type;coded" to "type;text".
 *
 * Memory:  *out lives in `mem`; set on RC_OK.
 * Returns: RC_PERM: a broken code, one for a control character, which could end up in a
 *          header, no type, or no text; RC_TEMP: `mem` is full. */
MUST_USE enum rc smtp_orcpt_decode(struct str in, struct arena *mem, struct str *out);

/* And back, as it goes to the next server. Memory: in `mem`; .p NULL: it is full, there
 * is no type, or what stands behind "utf-8;" is not. Local programs may write anything.
 */
struct str smtp_orcpt_encode(struct str orcpt, struct arena *mem);
#endif
