/* cdb: — constant databases. Keys and values may have a trailing NUL or not; both are
 * read. The format is in cdb_read.h. */
#include "map/cdb_read.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>

struct table {
	struct map_cdb cdb;
	unsigned flags; /* MAP_NO_NUL, MAP_NO_PLAIN */
};

static enum rc
cdb_open(const struct map_how *how, void **out, struct err *e)
{
	struct table *t = mem_get(sizeof(*t));
	char *path = mem_get(how->name.n + 5);
	struct map_bytes file;
	enum rc rc;

	t->flags = how->flags;
	memcpy(path, how->name.p, how->name.n);
	memcpy(path + how->name.n, ".cdb", 5);
	rc = map_bytes_file(path, &file, e);
	/* Commands may look for everything in a table, and are soon gone. */
	if (rc == RC_OK && how->env->asks_remote)
		map_bytes_keep(&file);
	if (rc == RC_OK && (rc = map_cdb_open(file, &t->cdb, e)) != RC_OK) {
		map_bytes_close(&file);
		rc = err_in(e, rc, "open database %s", path);
	}
	free(path);
	if (rc != RC_OK) {
		free(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

static void
cdb_close(void *state)
{
	struct table *t = state;

	map_bytes_close(&t->cdb.file);
	free(t);
}

static enum rc
cdb_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct table *t = state;
	const char *with_nul = arena_cstr(mem, key);
	enum rc rc = RC_NONE;

	(void)flags;
	if (with_nul == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if ((t->flags & MAP_NO_PLAIN) == 0)
		rc = map_cdb_find(&t->cdb, key, mem, out, e);
	if (rc == RC_NONE && (t->flags & MAP_NO_NUL) == 0)
		rc = map_cdb_find(&t->cdb, str_n(with_nul, key.n + 1), mem, out, e);
	if (rc == RC_OK)
		*out = map_without_nul(*out);
	return rc;
}

static enum rc
cdb_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	const struct table *t = state;
	struct map_plain_walk w = { .fn = fn, .ctx = ctx };

	return map_cdb_each(&t->cdb, map_give_plain, &w, e);
}

const struct map_type map_type_cdb = {
	.name = "cdb",
	.traits = { .is_fixed = true },
	.suffix = ".cdb",
	.open = cdb_open,
	.close = cdb_close,
	.find = cdb_find,
	.each = cdb_each,
};
