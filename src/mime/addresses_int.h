#ifndef MIME_ADDRESSES_INT_H
#define MIME_ADDRESSES_INT_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* The value of an address field as tokens, and which of them are addresses. */

enum mime_token_type {
	TOK_ATOM,
	TOK_ODD,     /* one with backslashes or control characters */
	TOK_QUOTED,  /* "…" with its quotes */
	TOK_LITERAL, /* […] with its brackets */
	TOK_COMMENT, /* (…) with its parentheses */
	TOK_SIGN,    /* one of , ; : < > @ . % ! | ) ] */
};

enum mime_token_mark {
	MARK_FIRST = 1, /* an address begins here */
	MARK_LAST = 2,  /* … and ends here; comments in it come behind it */
	MARK_COMMA = 4, /* a comma is missing before this one */
	MARK_GROUP = 8, /* this colon ends the name of a group */
};

struct mime_token {
	const char *p; /* in the value */
	uint32_t n;
	uint8_t type, marks;
};

struct mime_tokens {
	struct mime_token *v;
	size_t n, n_addresses;
};

/* Cuts at most `limit` tokens (0: all) and finds the addresses. Memory: in `mem`.
 * RC_TEMP: it is full. */
MUST_USE enum rc mime_tokens_read(
    struct str value, size_t limit, struct arena *mem, struct mime_tokens *out);
bool mime_token_is(const struct mime_token *t, char sign);
/* Atom, quoted text or literal. */
bool mime_token_is_word(const struct mime_token *t);

/* One token as text: what it means, or (`in_quotes`) as it has to be written.
 * Returns as buf_put(). */
MUST_USE enum rc mime_token_put(
    struct buf *out, const struct mime_token *t, bool in_quotes);

/* What the tokens of an address say. Both without comments and source route. */
struct mime_address {
	struct str written; /* put together again */
	struct str
	    text; /* external form; with may_swap perhaps with more quotes or less */
	bool had_route;
	bool may_swap; /* no domain, but a ! or % */
};
/* Memory: *out in `mem`, or views of the tokens' text. RC_TEMP: it is full. */
MUST_USE enum rc mime_address_read(const struct mime_token *first,
    const struct mime_token *last, struct arena *mem, struct mime_address *out);
#endif
