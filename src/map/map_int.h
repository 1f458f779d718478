#ifndef MAP_MAP_INT_H
#define MAP_MAP_INT_H
#include "base/hmap.h"
#include "map/map.h"
#include <sys/stat.h>

struct log;

/* How one table is to be opened. */
struct map_how {
	struct str name; /* what stands behind "type:" */
	const struct map_env *env;
	unsigned flags; /* enum map_flag */
	bool for_writing;
	bool is_utf8;   /* keys are folded as UTF-8 */
	bool is_of_set; /* tables that it is made of may be stand-ins */
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
	/* What is written into the file shows at once: only another file in its place is
	 * another version. */
	bool is_live;
	/* Types made of other tables, which are watched each by itself. NULL: none. */
	const struct map_members *(*members)(const void *state);
};

struct map_members {
	struct map **v;
	size_t n;
};

/* A row of types.c, for types in a shared module without their code. */
const struct map_type *map_type_find(struct str name);
/* By the name of a whole table; proxy: is looked through. */
struct map_traits map_traits_of(struct str spec);

/* A table, of a set or by itself. */
struct map {
	struct map *next; /* in its set */
	struct hmap_node by_spec;
	bool is_of_set; /* or of a table in a set: may stand in */
	bool is_utf8;
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
	struct err why; /* the version tried last could not be opened: the reason */
	/* It may be for want of memory or descriptors, which the file does not tell. */
	bool is_to_retry;
	int64_t failed_us; /* the set's time; 0: before its first look */
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
MUST_USE enum rc map_mem_replace(struct map_mem *m, struct str key, struct str value);
size_t map_mem_count(const struct map_mem *m);
/* Into the order of the keys' bytes, for map_mem_each. */
void map_mem_sort(struct map_mem *m);
MUST_USE enum rc map_mem_find(const struct map_mem *m, struct str key, struct str *out);
MUST_USE enum rc map_mem_each(const struct map_mem *m, map_each_fn *fn, void *ctx);
/* close, find and each of types whose state is a struct map_mem. */
void map_mem_type_close(void *state);
enum rc map_mem_type_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e);
enum rc map_mem_type_each(void *state, map_each_fn *fn, void *ctx, struct err *e);

/* An answer is a copy: a new version of the table may replace this one. Memory:  *out in
 * `mem`. RC_TEMP: memory limit. */
MUST_USE enum rc map_copy(
    struct str value, struct arena *mem, struct str *out, struct err *e);
/* Without the NUL that Postfix may have written behind it. */
struct str map_without_nul(struct str s);
/* Gives all entries of an indexed file so; the fn of its walk, with the ctx. */
struct map_plain_walk {
	map_each_fn *fn;
	void *ctx;
};
enum rc map_give_plain(void *plain_walk, struct str key, struct str value);

/* "{ text }": RC_OK and the text, trimmed; RC_NONE: the brace is not closed; RC_PERM:
 * something follows it. */
MUST_USE enum rc map_unbrace(struct str s, struct str *out);
/* The next word of a list of words that are set apart by blanks and commas, which may
 * stand inside braces too. RC_NONE: the end. RC_PERM: braces do not match. */
MUST_USE enum rc map_word_next(struct str *rest, struct str *out);

/* Whether nsswitch.conf has this database ("passwd") in local files only. */
bool map_unix_is_local(struct str nsswitch, struct str database);

extern const struct map_type map_type_proxy; /* in no list: see map_env.asks_service */
extern const struct map_type map_type_texthash, map_type_hash, map_type_btree,
    map_type_inline, map_type_static, map_type_fail, map_type_unix, map_type_regexp,
    map_type_pcre, map_type_cidr, map_type_environ, map_type_internal, map_type_pipemap,
    map_type_unionmap, map_type_randmap, map_type_debug, map_type_lmdb, map_type_cdb,
    map_type_memcache, map_type_socketmap, map_type_tcp;
#endif
