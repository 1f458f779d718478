#ifndef ADDR_ADDRESS_H
#define ADDR_ADDRESS_H
/* Mail addresses: RFC 5321 paths as they stand in MAIL and RCPT, the two forms of a local
 * part, recipient extensions.
 *
 * External form: as on the wire, the local part quoted where RFC 5321 wants it:
 *	"john doe"@example.com
 * Internal form: what the local part means, as tables and mailboxes know it:
 *	john doe@example.com
 * Everything that travels between our processes is in external form without <>. */
#include "base/arena.h"
#include "base/base.h"

#define ADDR_MAX 2000 /* bytes of one address, either form */

enum addr_flag {
	ADDR_STRICT = 1,   /* strict_rfc821_envelopes: <> required, nothing before it */
	ADDR_EMPTY_OK = 2, /* <> is fine: MAIL FROM */
	ADDR_UTF8_OK = 4,  /* bytes above 127 are fine: SMTPUTF8 was asked for */
};

/* What MAIL FROM or RCPT TO named. All views live in the arena that was given. */
struct addr_path {
	struct str
	    external;     /* local@domain; empty for <>; no domain: just the local part */
	struct str local; /* the part of `external` before the @, quotes included */
	struct str domain; /* behind the @, "[127.0.0.1]" included; empty: none */
	struct str rest;   /* view of the *input* behind the path, blanks skipped */
	bool has_route;    /* a source route was there and is gone: <@a,@b:c@d> */
	bool has_utf8;
};

/* Reads one path off the front of `in`, which begins behind "FROM:" or "TO:".
 *
 * Without ADDR_STRICT it also takes what Postfix takes: blanks before the <, an address
 * without <>, a trailing dot behind the domain. A local part comes out with exactly the
 * quoting that RFC 5321 needs, so that equal addresses have equal external forms (case
 * kept). Returns: RC_PERM not an address (too long, bytes above 127 without ADDR_UTF8_OK,
 *          unbalanced quotes, control characters); RC_TEMP memory limit.
 * Memory:  *out lives in `mem`, except .rest.
 * Source:  RFC 5321 4.1.2. */
MUST_USE enum rc addr_path_parse(struct str in, unsigned flags, struct arena *mem,
    struct addr_path *out, struct err *e);

/* Splits at the last @ that is not inside quotes. No @: *domain is empty. Views of
 * `addr`; works for both forms (an internal form is split at its last @). */
void addr_split(struct str addr, struct str *local, struct str *domain);

/* External to internal form: quotes and backslashes of the local part are taken away.
 * Memory: in `mem`, or a view of `external` when nothing had to change; .p NULL: limit.
 */
struct str addr_to_internal(struct str external, struct arena *mem);
/* The same without an arena, for log lines: a view of `external`, or of `space`. */
struct str addr_shown_internal(struct str external, char space[ADDR_MAX]);
/* And back: the local part is quoted if it has to be. Same rules. */
struct str addr_to_external(struct str internal, struct arena *mem);
/* A local part alone, with quotes if it has to have them. Same rules. */
struct str addr_quote_local(struct str local, struct arena *mem);

/* The first (or last) `c` of an external form that is not inside quotes; s.n: none. */
size_t addr_find_bare(struct str s, char c, bool last);

enum addr_operator {
	ADDR_BANG = 1,    /* swap_bangpath: site!user */
	ADDR_PERCENT = 2, /* allow_percent_hack: user%site */
};

/* What an address without a domain means, user@site, in external form. A site that is not
 * there leaves "user@", a user that is not there ""@site; `s` itself: no operator.
 * `which`: bits of enum addr_operator.
 *
 * Memory: in `mem`, or `s`; .p NULL: limit. */
struct str addr_swap_operators(struct str s, unsigned which, struct arena *mem);

/* Splits the internal local part at the first of `delimiters` (recipient_delimiter):
 * "user+ext" gives user, ext. False, and *user = local: no delimiter, or it is the first
 * byte, or the local part is postmaster or mailer-daemon. (double_bounce_sender and
 * owner_request_special are settings: route_extension_at() of route knows them.)
 * Source: Postfix split_addr(3). */
bool addr_split_extension(
    struct str local, struct str delimiters, struct str *user, struct str *extension);

/* "owner-X" and "X-request", which owner_request_special keeps whole where "-" is a
 * delimiter. */
bool addr_is_list_name(struct str local);

/* Whether it begins with "-", also behind a quote: a command could take it for an option.
 */
bool addr_has_minus(struct str external);

/* Same mailbox for the purpose of removing duplicates: the domain without regard to case,
 * the local part too (Postfix: duplicate_filter is case folded). */
bool addr_same(struct str a, struct str b);

/* xtext (RFC 3461 4) as Postfix takes it: what is not "+" stands for itself.
 *
 * Memory:  *out lives in `mem`; set on RC_OK.
 * Returns: RC_PERM: a broken code, or a control character: it could end up in a header;
 *          RC_TEMP: `mem` is full. */
MUST_USE enum rc addr_xtext_decode(struct str in, struct arena *mem, struct str *out);
/* .p NULL: memory limit. */
struct str addr_xtext_encode(struct str in, struct arena *mem);
#endif
