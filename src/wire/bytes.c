#include "wire/bytes.h"
#include <assert.h>

struct wire_rd
wire_rd(struct str in)
{
	const unsigned char *p = (const unsigned char *)in.p;

	if (in.n == 0)
		return (struct wire_rd){ .p = (const unsigned char *)"",
			.end = (const unsigned char *)"" };
	return (struct wire_rd){ .p = p, .end = p + in.n };
}

static bool
need(struct wire_rd *r, size_t n)
{
	if ((size_t)(r->end - r->p) >= n)
		return true;
	r->bad = true;
	r->p = r->end;
	return false;
}

uint64_t
wire_rd_uint(struct wire_rd *r, unsigned bytes)
{
	uint64_t v = 0;

	assert(bytes >= 1 && bytes <= 8);
	if (!need(r, bytes))
		return 0;
	while (bytes-- > 0)
		v = v << 8 | *r->p++;
	return v;
}

int64_t
wire_rd_int(struct wire_rd *r)
{
	return (int64_t)wire_rd_uint(r, 8);
}

struct str
wire_rd_raw(struct wire_rd *r, size_t n)
{
	struct str s;

	if (r->bad || !need(r, n))
		return STR("");
	s = (struct str){ (const char *)r->p, n };
	r->p += n;
	return s;
}

struct str
wire_rd_str(struct wire_rd *r, size_t max)
{
	size_t n = (size_t)wire_rd_uint(r, 4);

	if (n > max)
		r->bad = true;
	return wire_rd_raw(r, n);
}

enum rc
wire_rd_end(const struct wire_rd *r)
{
	return r->bad || r->p != r->end ? RC_PERM : RC_OK;
}

struct wire_wr
wire_wr(struct buf *to)
{
	return (struct wire_wr){ .to = to };
}

void
wire_wr_raw(struct wire_wr *w, struct str s)
{
	if (!w->bad && buf_put(w->to, s) != RC_OK)
		w->bad = true;
}

void
wire_wr_uint(struct wire_wr *w, unsigned bytes, uint64_t v)
{
	char raw[8];

	assert(bytes >= 1 && bytes <= 8 && (bytes == 8 || v >> (8 * bytes) == 0));
	for (unsigned i = 0; i < bytes; i++)
		raw[i] = (char)(v >> (8 * (bytes - 1 - i)));
	wire_wr_raw(w, (struct str){ raw, bytes });
}

void
wire_wr_int(struct wire_wr *w, int64_t v)
{
	wire_wr_uint(w, 8, (uint64_t)v);
}

void
wire_wr_str(struct wire_wr *w, struct str s)
{
	if (s.n > UINT32_MAX) {
		w->bad = true;
		return;
	}
	wire_wr_uint(w, 4, s.n);
	wire_wr_raw(w, s);
}

enum rc
wire_wr_end(const struct wire_wr *w)
{
	return w->bad ? RC_TEMP : RC_OK;
}
