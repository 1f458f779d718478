#ifndef MAP_MAP_INT_H
#define MAP_MAP_INT_H
#include "map/map.h"
#include <sys/stat.h>

struct log;

/* How one table is to be opened. */
struct map_how {
	struct str name; /* what stands behind "type:" */
	const struct map_env *env;
	unsigned flags; /* enum map_flag */
	bool for_writing;
};

/* What is known of a table by its name alone. */
struct map_traits {
	bool is_fixed;           /* takes derived keys, and keys are folded */
	bool is_remote;          /* look-ups may wait for others */
	bool is_open_to_forgery; /* see MAP_PARANOID */
};

/* One table type. A file of its own each; the list is in types.c. */
struct map_type {
	const char *name;
	struct map_traits traits;
	/* Types made of other tables: the traits follow from those. NULL: as above. */
	struct map_traits (*traits_of)(struct str name);
	/* The file that is watched: the table's name and this, unless `watch` names it;
	 * NULL: no file. */
	const char *suffix;
	const char *(*watch)(struct str name); /* NULL: no such name */
	/* Returns: RC_TEMP cannot be opened now; RC_PERM the name makes no sense.
	 * NULL: the code is in a shared module, see plugin.h. */
	enum rc (*open)(const struct map_how *how, void **out, struct err *e);
	void (*close)(void *state);
	/* `key` is folded already if it should be, never empty. `flags`: MAP_PARTIAL and
	 * MAP_NOFOLD for types made of others, MAP_NO_SUBST for patterns. */
	enum rc (*find)(void *state, struct str key, unsigned flags, struct arena *mem,
	    struct str *out, struct err *e);
	/* NULL: the type has no such thing. */
	enum rc (*each)(void *state, map_each_fn *fn, void *ctx, struct err *e);
	enum rc (*put)(void *state, struct str key, struct str value, struct err *e);
	enum rc (*del)(void *state, struct str key, struct err *e);
};

/* A row of types.c, for types in a shared module without their code. */
const struct map_type *map_type_find(struct str name);
/* By the name of a whole table; proxy: is looked through. */
struct map_traits map_traits_of(struct str spec);

/* A table, of a set or by itself. */
struct map {
	struct map *next; /* in its set */
	struct map_env env;
	unsigned flags; /* it was opened with */
	bool for_writing;
	struct str spec;             /* "hash:/etc/x" */
	struct str name;             /* "/etc/x", a view of spec */
	const struct map_type *type; /* NULL: unknown */
	struct map_traits traits;
	void *state;
	bool is_open;
	char *path;       /* the file that is watched, or NULL */
	struct stat seen; /* its version that was tried last */
	bool has_seen;
	struct err why; /* not open: the reason */
};

/* Not open yet. */
struct map *map_new(const struct map_open_request *req);
/* Opens the version that is there now beside the one that serves, and lets it serve. */
MUST_USE enum rc map_open_version(struct map *m, struct err *e);
/* Whether another version than the one tried last is there. */
bool map_is_changed(const struct map *m);

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

extern const struct map_type map_type_proxy; /* in no list: see map_env.asks_service */
extern const struct map_type map_type_texthash, map_type_hash, map_type_btree,
    map_type_inline, map_type_static, map_type_fail, map_type_unix,
    map_type_regexp, map_type_pcre, map_type_cidr;
#endif
