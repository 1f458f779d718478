#ifndef DNS_NAME_H
#define DNS_NAME_H
/* Domain names on the wire and as text. What is a host name: addr/domain.h; addresses,
 * and their names for PTR queries: addr/net.h. */
#include "base/base.h"

#define DNS_NAME_WIRE_MAX 255 /* RFC 1035 2.3.4 */
#define DNS_NAME_TEXT_MAX 256 /* a name as text with its NUL; 253 characters at most */

/* Decodes an uncompressed wire-format name at the start of `in` into text without the
 * last dot ("." for the root). Labels with dots, blanks, NUL, backslashes, control or
 * 8-bit characters are refused, because such a name, printed, would lie.
 *
 * Returns: RC_PERM malformed; out_used (may be NULL) is how many bytes the name took. */
MUST_USE enum rc dns_name_decode(
    struct str in, char out[DNS_NAME_TEXT_MAX], size_t *out_used, struct err *e);

/* Encodes text as an uncompressed wire-format name. Returns: RC_PERM empty label, label
 * over 63, name over 255. */
MUST_USE enum rc dns_name_encode(
    struct str name, unsigned char out[DNS_NAME_WIRE_MAX], size_t *out_n);
#endif
