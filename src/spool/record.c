/* Frames of records. A record is valid when its length, type, place and checksum are
 * right; that it belongs to the segment's present life is told by the epoch, which
 * nobody outside knows: bytes planted inside a message can never be taken for a record.
 */
#include "spool/record.h"
#include "base/crc32c.h"
#include "wire/bytes.h"
#include <string.h>

static void
put32(unsigned char *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static void
put64(unsigned char *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

static uint32_t
get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static uint64_t
get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

void
record_seal(char *at, const struct record *r)
{
	unsigned char *p = (unsigned char *)at;

	put32(p + 4, r->length);
	put64(p + 8, r->epoch);
	put32(p + 16, r->at8);
	put32(p + 20, r->batch8);
	put64(p + 24, r->number);
	put32(p + 32, (uint32_t)r->type << 24);
	put32(p + 36, r->seq);
	put32(p, crc32c(0, str_n(at + 4, r->length - 4)));
}

bool
record_read(struct str in, struct record *out)
{
	struct record r;
	uint32_t word;

	if (in.n < RECORD_HEAD)
		return false;
	r.length = get32(in.p + 4);
	if (r.length < RECORD_HEAD || r.length > in.n)
		return false;
	word = get32(in.p + 32);
	r.type = (uint8_t)(word >> 24);
	if ((word & 0xffffff) != 0 || r.type < RECORD_MESSAGE || r.type > RECORD_VOID)
		return false;
	if (get32(in.p) != crc32c(0, str_n(in.p + 4, r.length - 4)))
		return false;
	r.epoch = get64(in.p + 8);
	r.at8 = get32(in.p + 16);
	r.batch8 = get32(in.p + 20);
	r.number = get64(in.p + 24);
	r.seq = get32(in.p + 36);
	*out = r;
	return true;
}

bool
record_may_begin(const char *p, uint64_t epoch, uint64_t at)
{
	return get64(p + 8) == epoch && get32(p + 16) == at / RECORD_ALIGN;
}

bool
record_parts(struct str payload, struct message_parts *out)
{
	struct wire_rd r = wire_rd(payload);
	size_t env = (size_t)wire_rd_uint(&r, 4), st = (size_t)wire_rd_uint(&r, 4);
	struct message_parts parts;

	parts.envelope = wire_rd_raw(&r, env);
	parts.state = wire_rd_raw(&r, st);
	parts.content = wire_rd_raw(&r, (size_t)(r.end - r.p));
	if (r.bad)
		return false;
	*out = parts;
	return true;
}
