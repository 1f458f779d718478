#ifndef MAP_BUILD_H
#define MAP_BUILD_H
#include "base/base.h"
#include <sys/types.h>

/* Writing indexed tables (hash:, btree:, lmdb:, cdb:). The new version is made beside the
 * old one and takes its place by rename when it is whole and on disk, so that readers see
 * the old or the new table and never half of one, whatever happens in between. */
struct map_build;

struct map_build_request {
	struct str type;   /* "hash", "btree", "lmdb" or "cdb" */
	struct str path;   /* without the suffix */
	bool keep_entries; /* begin with a copy of the present table, if there is one */
	bool must_exist;   /* RC_NONE without a present table (postmap -d) */
	bool without_nul;  /* postmap -n */
	bool with_nul;     /* postmap -N; neither: as the type does */
	mode_t mode;       /* of a new table; one that exists keeps its mode */
	size_t n_bytes;    /* about how much is to come; 0: unknown */
};

/* Returns: RC_NONE must_exist, but there is no table (nothing was made); RC_PERM the
 * type cannot be built ("unsupported dictionary type: …"); RC_TEMP cannot be written.
 * Blocks:  on the disk, and until no other writer is at this table. */
MUST_USE enum rc map_build_new(
    const struct map_build_request *req, struct map_build **out, struct err *e);
/* RC_NONE: the key is there; with `replace` it gets the new value instead. */
MUST_USE enum rc map_build_put(
    struct map_build *b, struct str key, struct str value, bool replace, struct err *e);
/* RC_NONE: no such key. */
MUST_USE enum rc map_build_delete(struct map_build *b, struct str key, struct err *e);
/* Makes it the table. Frees *b in any case. */
MUST_USE enum rc map_build_commit(struct map_build **b, struct err *e);
void map_build_abort(struct map_build **b);
bool map_build_can(struct str type);
/* Of the file: ".db"; empty: cannot be built. */
const char *map_build_suffix(struct str type);
#endif
