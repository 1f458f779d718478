/* Writing cdb: — records as they came, then the 256 hash tables, then the header that
 * says where those are. The format is in cdb_read.h. */
#include "map/build_int.h"
#include "map/cdb_read.h"
#include "map/map_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER ((size_t)MAP_CDB_TABLES * 8)

struct slot {
	uint32_t hash, at;
};

struct writer {
	struct map_mem *entries;
	FILE *f;
	struct slot *slots; /* of all records, in the order of the file */
	size_t n;
	uint64_t at;
};

static enum rc
cdb_open(const char *path, const struct map_build_request *req, bool is_copy, void **out,
    struct err *e)
{
	FILE *f = fopen(path, "r+e");
	struct writer *w;

	(void)req;
	(void)is_copy;
	if (f == NULL)
		return err_set(e, RC_TEMP, "%s", strerror(errno));
	w = mem_get(sizeof(*w));
	w->f = f;
	w->entries = map_mem_new();
	*out = w;
	return RC_OK;
}

static enum rc
cdb_put(void *state, struct str key, struct str value, bool replace, struct err *e)
{
	struct writer *w = state;
	enum rc rc = replace ? map_mem_replace(w->entries, key, value)
			     : map_mem_put(w->entries, key, value);

	return rc == RC_TEMP ? err_set(e, RC_TEMP, "too large") : rc;
}

static enum rc
cdb_del(void *state, struct str key, struct err *e)
{
	(void)state;
	(void)key;
	return err_set(e, RC_PERM, "delete operation is not supported");
}

static void
put_pair(struct writer *w, uint32_t a, uint32_t b)
{
	unsigned char raw[8];

	for (int i = 0; i < 4; i++) {
		raw[i] = (unsigned char)(a >> 8 * i);
		raw[4 + i] = (unsigned char)(b >> 8 * i);
	}
	/* Errors stay with the stream, and finish() asks for them. */
	(void)fwrite(raw, 1, sizeof(raw), w->f);
	w->at += sizeof(raw);
}

static enum rc
put_record(void *ctx, struct str key, struct str value)
{
	struct writer *w = ctx;

	if (w->at + 8 + key.n + value.n > UINT32_MAX)
		return RC_PERM;
	w->slots[w->n++] =
	    (struct slot){ .hash = map_cdb_hash(key), .at = (uint32_t)w->at };
	put_pair(w, (uint32_t)key.n, (uint32_t)value.n);
	(void)fwrite(key.p, 1, key.n, w->f);
	(void)fwrite(value.p, 1, value.n, w->f);
	w->at += key.n + value.n;
	return RC_OK;
}

/* One hash table, half full. `in`: the records whose table it is. */
static void
put_table(struct writer *w, const struct slot *in, size_t n)
{
	size_t slots = 2 * n;
	struct slot *t = mem_array(slots + 1, sizeof(*t));

	for (size_t i = 0; i < n; i++) {
		size_t j = (in[i].hash >> 8) % slots;

		while (t[j].at != 0)
			j = j + 1 == slots ? 0 : j + 1;
		t[j] = in[i];
	}
	for (size_t j = 0; j < slots; j++)
		put_pair(w, t[j].hash, t[j].at);
	free(t);
}

/* The records by table, in the order of the file within each; the header in *at, *len. */
static void
put_tables(struct writer *w, uint32_t at[MAP_CDB_TABLES], uint32_t len[MAP_CDB_TABLES])
{
	struct slot *sorted = mem_array(w->n + 1, sizeof(*sorted));
	size_t start[MAP_CDB_TABLES + 1] = { 0 }, next[MAP_CDB_TABLES];

	for (size_t i = 0; i < w->n; i++)
		start[(w->slots[i].hash & 255) + 1]++;
	for (size_t t = 0; t < MAP_CDB_TABLES; t++) {
		start[t + 1] += start[t];
		next[t] = start[t];
	}
	for (size_t i = 0; i < w->n; i++)
		sorted[next[w->slots[i].hash & 255]++] = w->slots[i];
	for (size_t t = 0; t < MAP_CDB_TABLES; t++) {
		size_t n = start[t + 1] - start[t];

		at[t] = (uint32_t)w->at;
		len[t] = (uint32_t)(2 * n);
		put_table(w, sorted + start[t], n);
	}
	free(sorted);
}

static enum rc
cdb_finish(void *state, struct err *e)
{
	static const char nothing[HEADER];
	uint32_t at[MAP_CDB_TABLES], len[MAP_CDB_TABLES];
	struct writer *w = state;

	w->slots = mem_array(map_mem_count(w->entries) + 1, sizeof(*w->slots));
	(void)fwrite(nothing, 1, HEADER, w->f);
	w->at = HEADER;
	if (map_mem_each(w->entries, put_record, w) != RC_OK ||
	    w->at + 16 * (uint64_t)w->n > UINT32_MAX)
		return err_set(e, RC_PERM, "a cdb has room for 4 GiB");
	put_tables(w, at, len);
	if (fseek(w->f, 0, SEEK_SET) == 0)
		for (size_t t = 0; t < MAP_CDB_TABLES; t++)
			put_pair(w, at[t], len[t]);
	if (fflush(w->f) != 0 || ferror(w->f) != 0)
		return err_set(e, RC_TEMP, "%s", strerror(errno != 0 ? errno : EIO));
	return RC_OK;
}

static void
cdb_close(void *state)
{
	struct writer *w = state;

	(void)fclose(w->f);
	map_mem_free(&w->entries);
	free(w->slots);
	free(w);
}

const struct map_build_kind map_build_cdb = {
	.suffix = ".cdb",
	.open = cdb_open,
	.put = cdb_put,
	.del = cdb_del,
	.finish = cdb_finish,
	.close = cdb_close,
};
