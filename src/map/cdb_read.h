#ifndef MAP_CDB_READ_H
#define MAP_CDB_READ_H
#include "base/arena.h"
#include "map/bytes.h"
#include "map/map.h"

/* Reading of constant databases (D. J. Bernstein's cdb). All numbers are 32 bits, little
 * endian:
 *
 *     256 × { position, slots } of the hash tables
 *     records: { key length, data length, key, data }
 *     hash tables: slots × { hash, position of the record, 0: empty }
 *
 * Table number hash % 256; the search begins at slot (hash / 256) % slots and ends at an
 * empty one. Total: whatever is in the file, a look-up ends, reads only the file, and
 * gives an entry or RC_TEMP. */
enum { MAP_CDB_TABLES = 256 };

struct map_cdb {
	struct map_bytes file;
	struct {
		uint32_t at, slots;
	} table[MAP_CDB_TABLES];
};

uint32_t map_cdb_hash(struct str key);
/* RC_TEMP: the file is not one, or cannot be read. Takes `file` over when RC_OK. */
MUST_USE enum rc map_cdb_open(struct map_bytes file, struct map_cdb *out, struct err *e);
/* The first record with this key. Memory: *out in `mem`. */
MUST_USE enum rc map_cdb_find(const struct map_cdb *c, struct str key, struct arena *mem,
    struct str *out, struct err *e);
/* All records as they are, in the order of the file. */
MUST_USE enum rc map_cdb_each(
    const struct map_cdb *c, map_each_fn *fn, void *ctx, struct err *e);
#endif
