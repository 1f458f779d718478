/* cdb: — constant databases. Keys and values may have a trailing NUL or not; both are
 * read. The format is in cdb_read.h. */
#include "map/cdb_read.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>

static enum rc
cdb_open(const struct map_how *how, void **out, struct err *e)
{
	struct map_cdb *c = mem_get(sizeof(*c));
	char *path = mem_get(how->name.n + 5);
	struct map_bytes file;
	enum rc rc;

	memcpy(path, how->name.p, how->name.n);
	memcpy(path + how->name.n, ".cdb", 5);
	rc = map_bytes_file(path, &file, e);
	/* Commands may look for everything in a table, and are soon gone. */
	if (rc == RC_OK && how->env->asks_remote)
		map_bytes_keep(&file);
	if (rc == RC_OK && (rc = map_cdb_open(file, c, e)) != RC_OK) {
		map_bytes_close(&file);
		rc = err_in(e, rc, "open database %s", path);
	}
	free(path);
	if (rc != RC_OK) {
		free(c);
		return rc;
	}
	*out = c;
	return RC_OK;
}

static void
cdb_close(void *state)
{
	struct map_cdb *c = state;

	map_bytes_close(&c->file);
	free(c);
}

static struct str
without_nul(struct str s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\0')
		s.n--;
	return s;
}

static enum rc
cdb_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const char *with_nul = arena_cstr(mem, key);
	enum rc rc;

	(void)flags;
	if (with_nul == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = map_cdb_find(state, key, mem, out, e);
	if (rc == RC_NONE)
		rc = map_cdb_find(state, str_n(with_nul, key.n + 1), mem, out, e);
	if (rc == RC_OK)
		*out = without_nul(*out);
	return rc;
}

struct walk {
	map_each_fn *fn;
	void *ctx;
};

static enum rc
give(void *ctx, struct str key, struct str value)
{
	const struct walk *w = ctx;

	return w->fn(w->ctx, without_nul(key), without_nul(value));
}

static enum rc
cdb_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	struct walk w = { .fn = fn, .ctx = ctx };

	return map_cdb_each(state, give, &w, e);
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
