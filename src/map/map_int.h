#ifndef MAP_MAP_INT_H
#define MAP_MAP_INT_H
#include "map/map.h"

struct log;

/* One table type. A file of its own each; the list is in types.c. */
struct map_type {
	const char *name;
	bool is_fixed; /* takes derived keys, and keys are folded */
	/* The file that is watched: the table's name and this, unless `watch` names it;
	 * NULL: no file. */
	const char *suffix;
	const char *(*watch)(struct str name); /* NULL: no such name */
	/* Returns: RC_TEMP cannot be opened now; RC_PERM the name makes no sense. */
	enum rc (*open)(struct str name, struct log *log, void **out, struct err *e);
	void (*close)(void *state);
	/* `key` is folded already, never empty. */
	enum rc (*find)(const void *state, struct str key, struct arena *mem,
	    struct str *out, struct err *e);
	enum rc (*each)(const void *state, map_each_fn *fn, void *ctx, struct err *e);
};

const struct map_type *map_type_find(struct str name);

/* A table in memory: what small files, texthash and inline become. */
struct map_mem;
struct map_mem *map_mem_new(void);
void map_mem_free(struct map_mem **m);
/* Copies. RC_NONE: the key is there already, and stays as it was. */
MUST_USE enum rc map_mem_put(struct map_mem *m, struct str key, struct str value);
MUST_USE enum rc map_mem_find(const struct map_mem *m, struct str key, struct str *out);
MUST_USE enum rc map_mem_each(const struct map_mem *m, map_each_fn *fn, void *ctx);

/* ASCII folded copy; .p NULL: memory limit. */
struct str map_fold(struct str key, struct arena *mem);

extern const struct map_type map_type_texthash, map_type_hash, map_type_btree,
    map_type_inline, map_type_static, map_type_fail, map_type_unix;
#endif
