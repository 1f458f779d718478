#include "map/cdb_read.h"
#include <string.h>

#define HEADER     ((size_t)MAP_CDB_TABLES * 8)
#define SLOTS      16                 /* that are read at once, at most */
#define RECORD_MAX ((size_t)64 << 20) /* key and data */

uint32_t
map_cdb_hash(struct str key)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < key.n; i++)
		h = ((h << 5) + h) ^ (unsigned char)key.p[i];
	return h;
}

static enum rc
damaged(struct err *e)
{
	return err_set(e, RC_TEMP, "the file is damaged, or was cut short");
}

enum rc
map_cdb_open(struct map_bytes file, struct map_cdb *out, struct err *e)
{
	unsigned char raw[HEADER];

	if (file.size < HEADER || file.read(&file, 0, raw, HEADER) != RC_OK)
		return damaged(e);
	out->file = file;
	for (size_t i = 0; i < MAP_CDB_TABLES; i++) {
		out->table[i].at = map_le32(raw + 8 * i);
		out->table[i].slots = map_le32(raw + 8 * i + 4);
		if (out->table[i].slots > 0 &&
		    (out->table[i].at < HEADER ||
			out->table[i].at + 8 * (uint64_t)out->table[i].slots > file.size))
			return damaged(e);
	}
	return RC_OK;
}

/* The record at `at`. RC_NONE: it has another key. */
static enum rc
take_record(const struct map_cdb *c, uint32_t at, struct str key, struct arena *mem,
    struct str *out)
{
	unsigned char raw[MAP_BYTES_PIECE];
	uint64_t left = at < c->file.size ? c->file.size - at : 0;
	size_t n = left < c->file.piece ? (size_t)left : c->file.piece, klen, dlen;
	char *p;

	if (n < 8 || c->file.read(&c->file, at, raw, n) != RC_OK)
		return RC_TEMP;
	klen = map_le32(raw);
	dlen = map_le32(raw + 4);
	if ((uint64_t)klen + dlen > left - 8 || klen + dlen > RECORD_MAX)
		return RC_TEMP;
	if (klen != key.n)
		return RC_NONE;
	if (8 + klen + dlen <= n) {
		if (memcmp(raw + 8, key.p, klen) != 0)
			return RC_NONE;
		*out = arena_str(mem, str_n(raw + 8 + klen, dlen));
		return out->p == NULL ? RC_TEMP : RC_OK;
	}
	p = arena_get(mem, klen + dlen + 1);
	if (p == NULL ||
	    c->file.read(&c->file, (uint64_t)at + 8, p, klen + dlen) != RC_OK)
		return RC_TEMP;
	if (memcmp(p, key.p, klen) != 0)
		return RC_NONE;
	*out = str_n(p + klen, dlen);
	return RC_OK;
}

enum rc
map_cdb_find(const struct map_cdb *c, struct str key, struct arena *mem, struct str *out,
    struct err *e)
{
	uint32_t h = map_cdb_hash(key), slots = c->table[h & 255].slots, i, have = 0;
	uint32_t slot = slots == 0 ? 0 : (h >> 8) % slots;
	uint32_t many = c->file.piece < SLOTS * 8 * 4 ? SLOTS / 4 : SLOTS;
	unsigned char raw[SLOTS * 8], *p = raw;

	for (i = 0; i < slots; i++, p += 8, have--) {
		uint32_t at;

		if (slot == slots)
			slot = have = 0;
		if (have == 0) {
			have = slots - slot < many ? slots - slot : many;
			p = raw;
			if (c->file.read(&c->file,
				c->table[h & 255].at + 8 * (uint64_t)slot, raw,
				8 * (size_t)have) != RC_OK)
				return damaged(e);
		}
		slot++;
		at = map_le32(p + 4);
		if (at == 0)
			return RC_NONE;
		if (map_le32(p) == h) {
			enum rc rc = take_record(c, at, key, mem, out);

			if (rc == RC_TEMP)
				return damaged(e);
			if (rc == RC_OK)
				return RC_OK;
		}
	}
	return RC_NONE;
}

enum rc
map_cdb_each(const struct map_cdb *c, map_each_fn *fn, void *ctx, struct err *e)
{
	struct arena *mem = arena_new(RECORD_MAX + 65536);
	uint64_t at = HEADER, end = c->table[0].at;
	enum rc rc = RC_OK;

	while (rc == RC_OK && at < end) {
		unsigned char raw[8];
		uint32_t klen = 0, dlen = 0;
		char *p = NULL;

		if (c->file.read(&c->file, at, raw, 8) == RC_OK) {
			klen = map_le32(raw);
			dlen = map_le32(raw + 4);
			if ((uint64_t)klen + dlen <= RECORD_MAX)
				p = arena_get(mem, (size_t)klen + dlen + 1);
		}
		if (p == NULL ||
		    c->file.read(&c->file, at + 8, p, (size_t)klen + dlen) != RC_OK) {
			rc = damaged(e);
			break;
		}
		rc = fn(ctx, str_n(p, klen), str_n(p + klen, dlen));
		arena_reset(mem);
		at += 8 + (uint64_t)klen + dlen;
	}
	arena_free(&mem);
	return rc;
}
