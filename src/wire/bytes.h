#ifndef WIRE_BYTES_H
#define WIRE_BYTES_H
#include "base/base.h"
#include "base/buf.h"

/* Byte reader and writer of every format of ours: big-endian integers, strings with a
 * length before them. Failure sticks: read straight down, check once at the end. */
struct wire_rd {
	const unsigned char *p, *end;
	bool bad;
};

struct wire_rd wire_rd(struct str in);
uint64_t wire_rd_uint(struct wire_rd *r, unsigned bytes); /* 1..8 bytes; 0 when bad */
int64_t wire_rd_int(struct wire_rd *r);                   /* 8 bytes, two's complement */
/* A view into the input: 4-byte length, then the bytes. More than `max`: bad. */
struct str wire_rd_str(struct wire_rd *r, size_t max);
struct str wire_rd_raw(struct wire_rd *r, size_t n); /* n bytes, no length before them */
/* RC_PERM: something was short, too long, or bytes are left over. */
MUST_USE enum rc wire_rd_end(const struct wire_rd *r);

/* Writes into a buf; when its maximum is reached `bad` sticks and nothing more goes in.
 */
struct wire_wr {
	struct buf *to;
	bool bad;
};

struct wire_wr wire_wr(struct buf *to);
void wire_wr_uint(struct wire_wr *w, unsigned bytes, uint64_t v);
void wire_wr_int(struct wire_wr *w, int64_t v);
void wire_wr_str(struct wire_wr *w, struct str s);
void wire_wr_raw(struct wire_wr *w, struct str s);
MUST_USE enum rc wire_wr_end(const struct wire_wr *w); /* RC_TEMP: did not fit */
#endif
