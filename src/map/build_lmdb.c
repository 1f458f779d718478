/* Writing lmdb: — a new table is gathered, sorted and written in one go, which is several
 * times faster than entry by entry; a copy of an old one is changed. */
#include "map/build_int.h"
#include "map/lmdb_write.h"
#include "map/map_int.h"
#include <stdlib.h>

struct writer {
	struct map_lmdb_file *file;
	struct map_mem *entries; /* a new table; NULL: a copy */
	struct err *e;
};

static void
lmdb_close(void *state)
{
	struct writer *w = state;

	map_lmdb_file_close(&w->file);
	map_mem_free(&w->entries);
	free(w);
}

static enum rc
lmdb_open(const char *path, const struct map_build_request *req, bool is_copy, void **out,
    struct err *e)
{
	struct writer *w = mem_get(sizeof(*w));
	enum rc rc = map_lmdb_file_open(path, true, &w->file, e);

	(void)req;
	if (rc == RC_OK)
		rc = map_lmdb_file_begin(w->file, e);
	if (rc != RC_OK) {
		lmdb_close(w);
		return rc;
	}
	if (!is_copy)
		w->entries = map_mem_new();
	*out = w;
	return RC_OK;
}

static enum rc
lmdb_put(void *state, struct str key, struct str value, bool replace, struct err *e)
{
	struct writer *w = state;
	enum rc rc;

	if (w->entries == NULL)
		return map_lmdb_file_put(
		    w->file, key, value, replace ? MAP_LMDB_REPLACE : MAP_LMDB_NEW, e);
	rc = replace ? map_mem_replace(w->entries, key, value)
		     : map_mem_put(w->entries, key, value);
	return rc == RC_TEMP ? err_set(e, RC_TEMP, "too large") : rc;
}

static enum rc
lmdb_del(void *state, struct str key, struct err *e)
{
	struct writer *w = state;

	if (w->entries != NULL)
		return RC_NONE; /* only tables that were there are deleted from */
	return map_lmdb_file_delete(w->file, key, e);
}

static enum rc
append(void *ctx, struct str key, struct str value)
{
	const struct writer *w = ctx;

	return map_lmdb_file_put(w->file, key, value, MAP_LMDB_LAST, w->e);
}

static enum rc
lmdb_finish(void *state, struct err *e)
{
	struct writer *w = state;
	enum rc rc = RC_OK;

	if (w->entries != NULL) {
		map_mem_sort(w->entries);
		w->e = e;
		rc = map_mem_each(w->entries, append, w);
	}
	if (rc != RC_OK)
		return rc;
	return map_lmdb_file_commit(w->file, e);
}

const struct map_build_kind map_build_lmdb = {
	.suffix = ".lmdb",
	.has_nul = true,
	.can_keep = true,
	.open = lmdb_open,
	.put = lmdb_put,
	.del = lmdb_del,
	.finish = lmdb_finish,
	.close = lmdb_close,
};
