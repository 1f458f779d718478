#ifndef MAP_LMDB_READ_H
#define MAP_LMDB_READ_H
#include "base/arena.h"
#include "map/bytes.h"
#include "map/map.h"

/* Reading of LMDB files without the library, which maps the file and believes it: one
 * that was cut short or damaged would end the process. Here every look-up ends, reads
 * only the file, and gives an entry or RC_TEMP; it takes no lock and waits for nobody.
 *
 * Pages of psize bytes, numbers in the byte order and word size of the host (64 bit,
 * little endian; others are refused). A page:
 *
 *     0 page number 8, 8 pad 2, 10 flags 2 (1 branch, 2 leaf, 4 overflow, 8 meta),
 *     12 lower 2, 14 upper 2 (overflow: number of pages 4), 16 offsets of nodes 2 each
 *
 * A node: 0 size low 2, 2 size high 2, 4 flags 2, 6 key size 2, 8 key, then data. On a
 * branch page the first three are the child's page number; on a leaf page flag 1 says
 * that the data is the number of an overflow page. Pages 0 and 1 are meta pages, behind
 * the page's header:
 *
 *     0 magic 4, 4 version 4 (1), 8 address 8, 16 map size 8, 24 free pages' tree 48 (its
 *     first 4: psize), 72 main tree 48 (4 flags 2, 6 depth 2, 40 root 8), 120 last page
 *     8, 128 transaction 8
 *
 * The valid one is the one with the later transaction. Writers never change a page that
 * the last two transactions use, so what was read is right when at most one more was
 * committed meanwhile. Each look-up ends by reading that number. */
enum { MAP_LMDB_PAGE_MAX = 65536, MAP_LMDB_CACHED = 256, MAP_LMDB_KEPT = 65536 };

struct map_lmdb_page {
	uint64_t number;
	unsigned char *p; /* NULL: never used */
};

struct map_lmdb {
	struct map_bytes file;
	uint32_t psize;
	uint64_t txn, root;
	unsigned depth;
	struct map_lmdb_page *cached; /* pages of this transaction */
	unsigned n_cached;
	bool keeps_leaves; /* also those that no other look-up needs */
	unsigned char *leaf;
};

/* `keeps_all`: for programs that ask for much and are soon gone; else memory stays small.
 * RC_TEMP: the file is not one. Takes `file` over when RC_OK. */
MUST_USE enum rc map_lmdb_open(
    struct map_bytes file, bool keeps_all, struct map_lmdb *out, struct err *e);
void map_lmdb_close(struct map_lmdb *l);
/* Memory: *out in `mem`. */
MUST_USE enum rc map_lmdb_find(struct map_lmdb *l, struct str key, struct arena *mem,
    struct str *out, struct err *e);
/* All entries in the order of their keys. RC_TEMP also: written to meanwhile. */
MUST_USE enum rc map_lmdb_each(
    struct map_lmdb *l, map_each_fn *fn, void *ctx, struct err *e);
#endif
