#ifndef MAP_BUILD_INT_H
#define MAP_BUILD_INT_H
#include "map/build.h"

/* How one kind of file is written. Errors are the reason alone; build.c says which file.
 */
struct map_build_kind {
	const char *suffix;
	bool has_nul;  /* keys and values end with NUL unless asked otherwise */
	bool can_keep; /* can go on with a copy of what is there */
	/* `path` exists: empty, or the copy (`is_copy`). */
	enum rc (*open)(const char *path, const struct map_build_request *req,
	    bool is_copy, void **out, struct err *e);
	/* Keys and values as they shall stand. RC_NONE: there already, and stays. */
	enum rc (*put)(
	    void *w, struct str key, struct str value, bool replace, struct err *e);
	enum rc (*del)(void *w, struct str key, struct err *e); /* RC_NONE: not there */
	/* Writes all that is left. Before `close`, once. */
	enum rc (*finish)(void *w, struct err *e);
	void (*close)(void *w);
};

extern const struct map_build_kind map_build_hash, map_build_btree, map_build_lmdb,
    map_build_cdb;
#endif
