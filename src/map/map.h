#ifndef MAP_MAP_H
#define MAP_MAP_H
#include "base/arena.h"
#include "base/base.h"

/* Lookup tables. A process opens all tables that its configuration names into one struct
 * map_set, before it is confined; look-ups are in memory or memory-mapped and never wait.
 * A table that changed on disk is opened again beside the old one and replaces it only
 * when it could be read whole; a broken new version leaves the old one serving. */
struct log;
struct map;
struct map_set;

/* `log` takes the warnings; NULL in tests. */
struct map_set *map_set_new(struct log *log);
void map_set_free(struct map_set **s);

/* The table "type:name"; the same one for the same text.
 * Returns: RC_OK always gives a table. One that cannot be opened (unknown type, missing
 * file) is a stand-in: warned about once here, every look-up is RC_TEMP with the reason
 * in e. RC_PERM: not of the form type:name at all. Blocks:  on the disk. */
MUST_USE enum rc map_set_open(
    struct map_set *s, struct str spec, struct map **out, struct err *e);
/* Already open, or NULL. Never touches the disk. */
struct map *map_set_get(const struct map_set *s, struct str spec);
/* Notices changed files; does nothing when it did within the last second. Call it before
 * a decision, with the loop's monotonic clock. */
void map_set_refresh(struct map_set *s, int64_t now_us);
/* The files behind all open tables (the .db, not the source), for the sandbox: the
 * *folders* need read access, because a new version is a new file. */
typedef void map_path_fn(void *ctx, struct str path);
void map_set_paths(const struct map_set *s, map_path_fn *fn, void *ctx);

enum map_flag {
	MAP_PARTIAL = 1, /* a derived key: tables of patterns have nothing for it */
	MAP_NOFOLD = 2,  /* look the key up as it is */
};

/* Memory:  *out in `mem`.
 * Returns: RC_OK; RC_NONE; RC_TEMP: the table fails, or an empty value was found; e has
 * the words for the log. */
MUST_USE enum rc map_find(const struct map *m, struct str key, unsigned flags,
    struct arena *mem, struct str *out, struct err *e);
struct str map_spec(const struct map *m);

/* One table by itself: for commands. RC_PERM here: unsupported type; RC_TEMP: cannot be
 * opened. `log` takes warnings about its content, or is NULL. */
MUST_USE enum rc map_open(
    struct str spec, struct log *log, struct map **out, struct err *e);
void map_close(struct map **m);
/* Walks all entries, in the table's own order. RC_PERM: the type has no such thing. */
typedef enum rc map_each_fn(void *ctx, struct str key, struct str value);
MUST_USE enum rc map_each(const struct map *m, map_each_fn *fn, void *ctx, struct err *e);

/* "hash btree texthash …", the names that map_open knows, NULL-terminated, sorted. */
const char *const *map_types(void);
#endif
