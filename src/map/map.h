#ifndef MAP_MAP_H
#define MAP_MAP_H
#include "base/arena.h"
#include "base/base.h"

/* Lookup tables. A process opens all tables that its configuration names into one struct
 * map_set, before it is confined. Look-ups in *local* tables are in memory or
 * memory-mapped and never wait. *Remote* tables (SQL, LDAP, sockets …) wait for others:
 * commands and the `lookup` process ask them here, every other process gets RC_MORE and
 * asks `lookup`.
 *
 * A table that changed on disk is opened again beside the old one and replaces it only
 * when it could be read whole; a broken new version leaves the old one serving. */
struct conf_snapshot;
struct log;
struct map;
struct map_set;
struct master_service;

/* What tables need to know of their process. Copied; what it points to must outlive the
 * tables. All zero is legal (tests): built-in defaults, no warnings. */
struct map_env {
	struct log *log; /* takes the warnings */
	/* Settings of tables that stand in main.cf ("ldapname_server_host"), sizes,
	 * directories; NULL: defaults. */
	const struct conf_snapshot *snapshot;
	const struct master_service *service;
	bool asks_remote; /* commands and `lookup`: opens remote tables, and waits */
	bool no_utf8;     /* keys are bytes, whatever smtputf8_enable says */
	/* Commands: proxy: asks the running service. Others look through it. */
	bool asks_service;
	/* `postfix check`: an index is too old even when its source was written just now,
	 * and the rebuild may be under way. */
	bool warns_of_any_age;
	/* Who cannot open a table asks `lookup`: that says so, if it cannot either. */
	bool asks_closed;
	const char *plugin_folder; /* of the modules; NULL: beside the program */
	/* How many tables name each other until here ("backup = type:name" in a table's
	 * own file); 0 for what is not part of a table. */
	unsigned depth;
};

struct map_set *map_set_new(const struct map_env *env);
void map_set_free(struct map_set **s);

enum map_flag {
	MAP_PARTIAL = 1, /* find: a derived key: tables of patterns have nothing for it */
	MAP_NOFOLD = 2,  /* find: look the key up as it is */
	/* find: rules whose result takes text from the key ($1) do not exist; open: say
	 * so. For transport_maps and others whose result is a command or a file. */
	MAP_NO_SUBST = 4,
	/* open, find: refuse tables whose answers anybody on the way could make up (tcp,
	 * socketmap, memcache, proxy). For alias_maps of local, tables of virtual. */
	MAP_PARANOID = 8,
	MAP_EMPTY_OK = 16, /* find: an empty value is no trouble: for commands */
	/* open: entries whose keys end with a NUL in the file, or do not, are not there;
	 * at most one of both. For commands. */
	MAP_NO_NUL = 32,
	MAP_NO_PLAIN = 64,
};

/* The table "type:name"; the same one for the same text.
 * Returns: RC_OK always gives a table. One that cannot be opened (unknown type, missing
 * file) is a stand-in: warned about once here, every look-up is RC_TEMP with the reason
 * in e. RC_PERM: not of the form type:name at all. Blocks:  on the disk. */
MUST_USE enum rc map_set_open(
    struct map_set *s, struct str spec, unsigned flags, struct map **out, struct err *e);
/* Already open, or NULL. Never touches the disk. */
struct map *map_set_get(const struct map_set *s, struct str spec);
/* Notices changed files; does nothing when it did within the last second. Call it before
 * a decision, with the loop's monotonic clock. */
void map_set_refresh(struct map_set *s, int64_t now_us);
/* The files behind all open tables (the .db, not the source), for the sandbox: the
 * *folders* need read access, because a new version is a new file. */
typedef void map_path_fn(void *ctx, struct str path);
void map_set_paths(const struct map_set *s, map_path_fn *fn, void *ctx);
/* All open tables, in no order. */
typedef void map_table_fn(void *ctx, struct map *m);
void map_set_each(const struct map_set *s, map_table_fn *fn, void *ctx);

/* Memory:  *out in `mem`.
 * Returns: RC_OK; RC_NONE; RC_TEMP: the table fails, or an empty value was found; e has
 * the words for the log. RC_MORE: a remote table, and this process does not ask those.
 * Blocks:  on the network, remote tables with asks_remote only; one thread at a time. */
MUST_USE enum rc map_find(struct map *m, struct str key, unsigned flags,
    struct arena *mem, struct str *out, struct err *e);
struct str map_spec(const struct map *m);
/* Whether look-ups may wait for others. */
bool map_is_remote(const struct map *m);

/* One table by itself: for commands, and for each thread of `lookup`. RC_PERM here:
 * unsupported type; RC_TEMP: cannot be opened. `for_writing`: map_put and map_delete will
 * be used; RC_PERM when the type has no such thing. */
struct map_open_request {
	struct str spec;
	const struct map_env *env;
	unsigned flags; /* MAP_NO_SUBST, MAP_PARANOID */
	bool for_writing;
};
MUST_USE enum rc map_open(
    const struct map_open_request *req, struct map **out, struct err *e);
void map_close(struct map **m);
/* Walks all entries, in the table's own order. RC_PERM: the type has no such thing. */
typedef enum rc map_each_fn(void *ctx, struct str key, struct str value);
MUST_USE enum rc map_each(struct map *m, map_each_fn *fn, void *ctx, struct err *e);
/* One entry of a table that is open for writing: caches, proxywrite, `postmap -i` of
 * tables that are not built by rename. RC_NONE of delete: no such key. */
MUST_USE enum rc map_put(struct map *m, struct str key, struct str value, struct err *e);
MUST_USE enum rc map_delete(struct map *m, struct str key, struct err *e);

/* "btree fail hash …", the names that map_open knows, NULL-terminated, sorted. */
const char *const *map_types(void);
/* Known, and when its code is in a module of its own, that is installed. */
bool map_type_is_here(const char *name);
#endif
