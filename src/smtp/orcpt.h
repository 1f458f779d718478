#ifndef SMTP_ORCPT_H
#define SMTP_ORCPT_H
/* Coded values of MAIL and RCPT: xtext (RFC 3461 4), and what stands behind "utf-8;" in
 * ORCPT (RFC 6533 3: \x{…}). */
#include "base/arena.h"
#include "base/base.h"

/* xtext as Postfix takes it: everything that is not "+" stands for itself.
 *
 * Memory:  *out lives in `mem`; set on RC_OK.
 * Returns: RC_PERM: a broken code, or one for a control character: it could end up in a
 *          header; RC_TEMP: `mem` is full. */
MUST_USE enum rc smtp_xtext_decode(struct str in, struct arena *mem, struct str *out);

/* "type;coded" to "type;text". The same rules; RC_PERM also without a type, or when it is
 * no text. */
MUST_USE enum rc smtp_orcpt_decode(struct str in, struct arena *mem, struct str *out);

/* And back, as it goes to the next server. Memory: in `mem`; .p NULL: it is full, there
 * is no type, or what stands behind "utf-8;" is not. Local programs may write anything.
 */
struct str smtp_orcpt_encode(struct str orcpt, struct arena *mem);
#endif
