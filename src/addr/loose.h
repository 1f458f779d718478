#ifndef ADDR_LOOSE_H
#define ADDR_LOOSE_H
/* Addresses that RFC 5321 has no name for, but mail programs send: comments, phrases,
 * groups, quotes anywhere, blanks around dots. */
#include "base/arena.h"
#include "base/base.h"

/* Whether `word` is "<local@domain>" with nothing in it that has to be understood: then
 * it means what it says. Bytes above 127 count as letters. */
bool addr_word_is_plain(struct str word);

/* Reads one word of a MAIL or RCPT command as an RFC 822 address. Source routes, phrases
 * and comments are gone from *out, its local part has the quotes that it needs; whether
 * its domain is one, and whether its bytes are allowed, is for addr_path_parse() to say.
 *
 * `flags`: ADDR_STRICT: <> has to begin it, and nothing but one address may be there.
 *
 * Memory:  *out lives in `mem`; without <>; set on RC_OK.
 * Returns: RC_NONE: no address, or "": the null address, where that is allowed; RC_PERM:
 *          more than one address, a NUL, or not strict; RC_TEMP: `mem` is full.
 * Limits:  256 tokens, else RC_PERM.
 * Source:  RFC 822 6.1, and what Postfix 3.7 answered (loose_test.c). */
MUST_USE enum rc addr_loose_read(
    struct str word, unsigned flags, struct arena *mem, struct str *out);
#endif
