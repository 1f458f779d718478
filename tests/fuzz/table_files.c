/* Any bytes as the file of an lmdb: or a cdb: table. The first byte chooses: 'l' or not.
 */
#include "map/cdb_read.h"
#include "map/lmdb_read.h"
#include <assert.h>

#define ENTRIES_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned n;
	char key[100];
	size_t key_size;
};

static enum rc
take(void *ctx, struct str key, struct str value)
{
	struct seen *s = ctx;
	size_t sum = 0;

	for (size_t i = 0; i < value.n; i++)
		sum += (unsigned char)value.p[i];
	assert(sum <= value.n * 255);
	s->key_size = key.n < sizeof(s->key) ? key.n : sizeof(s->key);
	for (size_t i = 0; i < s->key_size; i++)
		s->key[i] = key.p[i];
	return ++s->n < ENTRIES_MAX ? RC_OK : RC_NONE;
}

static bool
is_ending(enum rc rc)
{
	return rc == RC_OK || rc == RC_NONE || rc == RC_TEMP;
}

static void
lmdb(struct str file, struct arena *mem)
{
	struct seen s = { .key = "key7", .key_size = 4 };
	struct map_lmdb l;
	struct str out;

	if (map_lmdb_open(map_bytes_memory(file), file.n % 2 != 0, &l, NULL) != RC_OK)
		return;
	assert(is_ending(map_lmdb_find(&l, STR("key7"), mem, &out, NULL)));
	assert(is_ending(map_lmdb_find(&l, STR("big"), mem, &out, NULL)));
	assert(is_ending(map_lmdb_each(&l, take, &s, NULL)));
	assert(is_ending(map_lmdb_find(&l, str_n(s.key, s.key_size), mem, &out, NULL)));
	map_lmdb_close(&l);
}

static void
cdb(struct str file, struct arena *mem)
{
	struct seen s = { .key = "key7", .key_size = 4 };
	struct map_cdb c;
	struct str out;

	if (map_cdb_open(map_bytes_memory(file), &c, NULL) != RC_OK)
		return;
	assert(is_ending(map_cdb_find(&c, STR("key7"), mem, &out, NULL)));
	assert(is_ending(map_cdb_find(&c, STR("big"), mem, &out, NULL)));
	assert(is_ending(map_cdb_each(&c, take, &s, NULL)));
	assert(is_ending(map_cdb_find(&c, str_n(s.key, s.key_size), mem, &out, NULL)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *mem = arena_new(8 << 20);

	if (size > 0 && data[0] == 'l')
		lmdb(str_n(data + 1, size - 1), mem);
	else if (size > 0)
		cdb(str_n(data + 1, size - 1), mem);
	arena_free(&mem);
	return 0;
}
