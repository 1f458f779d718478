#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/base.h"

/* A growing byte buffer with a maximum: put at the end, consume at the front.
 * Invariant: bytes start .. start + n - 1 of p are the content; start + n <= cap.
 * An empty one owns no memory until the first put. */
struct buf {
	char *p;
	size_t start, n, cap;
	size_t max; /* content never exceeds this */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
/* All or nothing. RC_TEMP: the maximum would be exceeded. */
MUST_USE enum rc buf_put(struct buf *b, struct str s);
MUST_USE enum rc buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Room for `n` more bytes at the end, to be filled by the caller and then counted in with
 * buf_added(); NULL: the maximum would be exceeded. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
/* How many more bytes may be put. */
size_t buf_left(const struct buf *b);
/* Valid until the next put, room, consume or fini. */
struct str buf_view(const struct buf *b);
void buf_consume(struct buf *b, size_t n);
void buf_reset(struct buf *b);   /* empty, memory kept */
void buf_release(struct buf *b); /* empty, memory given back: for idle connections */
#endif
