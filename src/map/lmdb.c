/* lmdb: — and hash:, btree: where Berkeley DB is not on the system; their file is
 * NAME.lmdb then. Look-ups are in lmdb_read.c, changes in lmdb_write.c.
 *
 * Keys and values may have a trailing NUL or not; both are read. Tables are built with
 * it, as Postfix does; single changes are written without. */
#include "map/lmdb_read.h"
#include "map/lmdb_write.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>

struct table {
	struct map_lmdb reader;
	struct map_lmdb_file *writer; /* NULL: open for reading only */
	unsigned flags;               /* MAP_NO_NUL, MAP_NO_PLAIN */
};

static enum rc
open_reader(struct table *t, const char *path, bool keeps_all, struct err *e)
{
	struct map_bytes file;
	enum rc rc = map_bytes_file(path, &file, e);

	if (rc != RC_OK)
		return rc;
	rc = map_lmdb_open(file, keeps_all, &t->reader, e);
	if (rc != RC_OK) {
		map_bytes_close(&file);
		return err_in(e, rc, "open database %s", path); /* compat */
	}
	return RC_OK;
}

/* A cache that does not exist yet begins empty. */
static enum rc
open_writer(struct table *t, const char *path, struct err *e)
{
	enum rc rc = map_lmdb_file_open(path, false, &t->writer, e);

	/* The first transaction makes the pages that a reader looks for. */
	if (rc == RC_OK)
		rc = map_lmdb_file_begin(t->writer, e);
	if (rc == RC_OK)
		rc = map_lmdb_file_commit(t->writer, e);
	return rc == RC_OK ? rc : err_in(e, rc, "open database %s", path);
}

static enum rc
lmdb_open(const struct map_how *how, void **out, struct err *e)
{
	struct table *t = mem_get(sizeof(*t));
	char *path = mem_get(how->name.n + 6);
	enum rc rc = RC_OK;

	t->flags = how->flags;
	memcpy(path, how->name.p, how->name.n);
	memcpy(path + how->name.n, ".lmdb", 6);
	if (how->for_writing)
		rc = open_writer(t, path, e);
	if (rc == RC_OK)
		rc = open_reader(t, path, how->env->asks_remote, e);
	free(path);
	if (rc != RC_OK) {
		map_lmdb_file_close(&t->writer);
		free(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

static void
lmdb_close(void *state)
{
	struct table *t = state;

	map_lmdb_close(&t->reader);
	map_lmdb_file_close(&t->writer);
	free(t);
}

static enum rc
lmdb_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	struct table *t = state;
	const char *with_nul = arena_cstr(mem, key);
	enum rc rc = RC_NONE;

	(void)flags;
	if (with_nul == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if ((t->flags & MAP_NO_PLAIN) == 0)
		rc = map_lmdb_find(&t->reader, key, mem, out, e);
	if (rc == RC_NONE && (t->flags & MAP_NO_NUL) == 0)
		rc = map_lmdb_find(&t->reader, str_n(with_nul, key.n + 1), mem, out, e);
	if (rc == RC_OK)
		*out = map_without_nul(*out);
	return rc;
}

static enum rc
lmdb_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	struct table *t = state;
	struct map_plain_walk w = { .fn = fn, .ctx = ctx };

	return map_lmdb_each(&t->reader, map_give_plain, &w, e);
}

/* RC_NONE: not there. */
static enum rc
delete_with_nul(struct map_lmdb_file *f, struct str key, struct err *e)
{
	char *longer = mem_get(key.n + 1);
	enum rc rc;

	if (key.n > 0)
		memcpy(longer, key.p, key.n);
	rc = map_lmdb_file_delete(f, str_n(longer, key.n + 1), e);
	free(longer);
	return rc;
}

static enum rc
lmdb_put(void *state, struct str key, struct str value, struct err *e)
{
	struct table *t = state;
	enum rc rc = map_lmdb_file_begin(t->writer, e);

	if (rc != RC_OK)
		return rc;
	rc = map_lmdb_file_put(t->writer, key, value, MAP_LMDB_REPLACE, e);
	/* One of the other form would be a second entry of this key. */
	if (rc == RC_OK && delete_with_nul(t->writer, key, e) == RC_TEMP)
		rc = RC_TEMP;
	if (rc == RC_OK)
		return map_lmdb_file_commit(t->writer, e);
	map_lmdb_file_abort(t->writer);
	return rc;
}

static enum rc
lmdb_del(void *state, struct str key, struct err *e)
{
	struct table *t = state;
	enum rc rc = map_lmdb_file_begin(t->writer, e), plain;

	if (rc != RC_OK)
		return rc;
	plain = map_lmdb_file_delete(t->writer, key, e);
	rc = delete_with_nul(t->writer, key, e);
	if (plain == RC_TEMP || rc == RC_TEMP || (plain == RC_NONE && rc == RC_NONE)) {
		map_lmdb_file_abort(t->writer);
		return plain == RC_TEMP || rc == RC_TEMP ? RC_TEMP : RC_NONE;
	}
	return map_lmdb_file_commit(t->writer, e);
}

#define LMDB_TYPE(type_name)                                                             \
	{                                                                                \
		.name = type_name, .traits = { .is_fixed = true }, .suffix = ".lmdb",    \
		.open = lmdb_open, .close = lmdb_close, .find = lmdb_find,               \
		.each = lmdb_each, .put = lmdb_put, .del = lmdb_del, .is_live = true,    \
	}

const struct map_type map_type_lmdb = LMDB_TYPE("lmdb");
#ifndef HAVE_BERKELEY_DB
const struct map_type map_type_hash = LMDB_TYPE("hash");
const struct map_type map_type_btree = LMDB_TYPE("btree");
#endif
