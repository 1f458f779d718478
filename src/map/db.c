/* hash: and btree: — Berkeley DB files as postmap builds them, also Postfix's own. Small
 * ones are read into memory whole: faster, and indifferent to a writer that changes the
 * file in place. Large ones stay on disk.
 *
 * Keys and values are written with or without a trailing NUL (Postfix: with); both are
 * read. */
#include "map/db_write.h"
#include "map/map_int.h"
#include <db.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define IN_MEMORY_MAX ((off_t)16 << 20)
#define CACHE_BYTES   (1 << 20)
#define CACHE_MAX     ((off_t)256 << 20)

struct table {
	struct map_mem *mem; /* small table */
	DB *db;              /* large table; NULL otherwise */
	struct stat seen;    /* its version */
	unsigned flags;      /* MAP_NO_NUL, MAP_NO_PLAIN */
	char *write_path;    /* opened for each use; NULL: not for writing */
	DBTYPE type;
};

static struct str
from_dbt(const DBT *d)
{
	struct str s = str_n(d->data, d->size);

	if (s.n > 0 && s.p[s.n - 1] == '\0')
		s.n--;
	return s;
}

static enum rc
open_file(const char *path, DBTYPE type, u_int32_t cache_bytes, DB **out, struct err *e)
{
	DB *db;
	int r = db_create(&db, NULL, 0);

	if (r != 0)
		return err_set(e, RC_TEMP, "create DB database: %s", db_strerror(r));
	db->set_errfile(db, NULL);
	(void)db->set_cachesize(db, 0, cache_bytes, 1);
	/* Not mapped: who cuts the file short would end us with a signal. */
	r = db->open(db, NULL, path, NULL, type, DB_RDONLY | DB_NOMMAP, 0);
	if (r != 0) {
		(void)db->close(db, 0);
		return err_set(e, RC_TEMP, "open database %s: %s", path, db_strerror(r));
	}
	*out = db;
	return RC_OK;
}

/* Commands may look for everything in a table, and are soon gone; the others keep many
 * tables for ever. Pages take memory only when they are read. */
static u_int32_t
cache_bytes(const struct map_how *how, off_t size)
{
	if (how->env == NULL || !how->env->asks_remote)
		return CACHE_BYTES;
	if (size > CACHE_MAX / 5 * 4)
		return (u_int32_t)CACHE_MAX;
	return (u_int32_t)(size + size / 4) + CACHE_BYTES;
}

/* Not one of those that MAP_NO_NUL or MAP_NO_PLAIN leaves out. */
static bool
is_wanted(const DBT *key, unsigned flags)
{
	const char *p = key->data;
	bool has_nul = key->size > 0 && p[key->size - 1] == '\0';

	return (flags & (has_nul ? MAP_NO_NUL : MAP_NO_PLAIN)) == 0;
}

static enum rc
walk(const struct table *t, map_each_fn *fn, void *ctx, struct err *e)
{
	DB *db = t->db;
	DBT key, value;
	enum rc rc = RC_OK;
	DBC *c;
	int r = db->cursor(db, NULL, &c, 0);

	if (r != 0)
		return err_set(e, RC_TEMP, "cursor: %s", db_strerror(r));
	memset(&key, 0, sizeof(key));
	memset(&value, 0, sizeof(value));
	while (rc == RC_OK && (r = c->get(c, &key, &value, DB_NEXT)) == 0)
		if (is_wanted(&key, t->flags))
			rc = fn(ctx, from_dbt(&key), from_dbt(&value));
	(void)c->close(c);
	if (r != 0 && r != DB_NOTFOUND)
		return err_set(e, RC_TEMP, "read: %s", db_strerror(r));
	return rc;
}

static enum rc
keep_entry(void *ctx, struct str key, struct str value)
{
	enum rc rc = map_mem_put(ctx, key, value);

	return rc == RC_NONE ? RC_OK : rc;
}

/* Postfix's postmap, and cp, write in place: what is read while they do is worth nothing.
 */
static enum rc
check_version(const struct table *t, struct err *e)
{
	struct stat now;
	int fd;

	if (t->db->fd(t->db, &fd) != 0 || fstat(fd, &now) != 0)
		return err_set(e, RC_TEMP, "stat failed");
	if (now.st_size != t->seen.st_size ||
	    now.st_mtim.tv_sec != t->seen.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != t->seen.st_mtim.tv_nsec)
		return err_set(e, RC_TEMP, "database changed while it was read");
	return RC_OK;
}

static enum rc
note_version(struct table *t, const char *path, struct err *e)
{
	int fd;

	/* The open file, not the path: another version may stand there by now. */
	if (t->db->fd(t->db, &fd) != 0 || fstat(fd, &t->seen) != 0)
		return err_set(e, RC_TEMP, "stat %s failed", path);
	return RC_OK;
}

static enum rc
read_whole(struct table *t, const char *path, struct err *e)
{
	enum rc rc;

	t->mem = map_mem_new();
	rc = walk(t, keep_entry, t->mem, e);
	if (rc == RC_OK)
		rc = check_version(t, e);
	(void)t->db->close(t->db, 0);
	t->db = NULL;
	return rc == RC_OK ? rc : err_in(e, rc, "%s", path);
}

static void
table_close(void *state)
{
	struct table *t = state;

	if (t->db != NULL)
		(void)t->db->close(t->db, 0);
	map_mem_free(&t->mem);
	free(t->write_path);
	free(t);
}

static enum rc
table_open(const struct map_how *how, DBTYPE type, void **out, struct err *e)
{
	struct str name = how->name;
	struct table *t = mem_get(sizeof(*t));
	char *path = mem_get(name.n + 4);
	struct stat st;
	enum rc rc;

	t->flags = how->flags;
	memcpy(path, name.p, name.n);
	memcpy(path + name.n, ".db", 4);
	if (how->for_writing) {
		struct map_db_file f;

		t->type = type;
		t->write_path = path;
		rc = map_db_file_open(path, type, &f, e); /* whether it can be */
		if (rc == RC_OK)
			rc = map_db_file_close(&f, e);
		if (rc == RC_OK)
			*out = t;
		else
			table_close(t);
		return rc;
	}
	if (stat(path, &st) != 0)
		rc = err_sys(e, RC_TEMP, "open database %s", path); /* compat */
	else
		rc = open_file(path, type, cache_bytes(how, st.st_size), &t->db, e);
	if (rc == RC_OK)
		rc = note_version(t, path, e);
	if (rc == RC_OK && t->seen.st_size <= IN_MEMORY_MAX)
		rc = read_whole(t, path, e);
	free(path);
	if (rc != RC_OK) {
		table_close(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

static enum rc
hash_open(const struct map_how *how, void **out, struct err *e)
{
	return table_open(how, DB_HASH, out, e);
}

static enum rc
btree_open(const struct map_how *how, void **out, struct err *e)
{
	return table_open(how, DB_BTREE, out, e);
}

/* One get; `extra` is 1 for a key with the NUL behind it. */
static int
get(DB *db, const char *key, size_t n, DBT *value)
{
	DBT k;

	memset(&k, 0, sizeof(k));
	memset(value, 0, sizeof(*value));
	k.data = (void *)(uintptr_t)key;
	k.size = (u_int32_t)n;
	return db->get(db, NULL, &k, value, 0);
}

static enum rc
find_on_disk(const struct table *t, struct str key, struct arena *mem, struct str *out,
    struct err *e)
{
	const char *k = arena_cstr(mem, key);
	DBT value;
	int r = DB_NOTFOUND;

	if (k == NULL || key.n > UINT32_MAX - 1)
		return err_set(e, RC_TEMP, "memory limit");
	if ((t->flags & MAP_NO_NUL) == 0)
		r = get(t->db, k, key.n + 1, &value);
	if (r == DB_NOTFOUND && (t->flags & MAP_NO_PLAIN) == 0)
		r = get(t->db, k, key.n, &value);
	if (r == DB_NOTFOUND) {
		enum rc rc = check_version(t, e);

		return rc == RC_OK ? RC_NONE : rc;
	}
	if (r != 0)
		return err_set(e, RC_TEMP, "%s", db_strerror(r));
	*out = from_dbt(&value);
	return RC_OK;
}

/* What others wrote meanwhile counts: opened for each use, like a change. */
static enum rc
open_as_writer(
    const struct table *t, struct map_db_file *f, struct table *now, struct err *e)
{
	enum rc rc = map_db_file_open(t->write_path, t->type, f, e);

	if (rc != RC_OK)
		return rc;
	*now = (struct table){ .db = f->db, .flags = t->flags };
	rc = note_version(now, t->write_path, e);
	if (rc != RC_OK)
		(void)!map_db_file_close(f, NULL);
	return rc;
}

static enum rc
find_of_writer(const struct table *t, struct str key, struct arena *mem, struct str *out,
    struct err *e)
{
	struct map_db_file f;
	struct table now;
	enum rc rc = open_as_writer(t, &f, &now, e), closed;

	if (rc != RC_OK)
		return rc;
	rc = find_on_disk(&now, key, mem, out, e);
	if (rc == RC_OK) {
		*out = arena_str(mem, *out); /* lasts longer than the open file */
		if (out->p == NULL)
			rc = err_set(e, RC_TEMP, "memory limit");
	}
	closed = map_db_file_close(&f, e);
	return closed == RC_OK ? rc : closed;
}

static enum rc
table_put(void *state, struct str key, struct str value, struct err *e)
{
	const struct table *t = state;
	struct map_db_file f;
	enum rc rc = map_db_file_open(t->write_path, t->type, &f, e), closed;

	if (rc != RC_OK)
		return rc;
	rc = map_db_file_put(&f, key, value, e);
	closed = map_db_file_close(&f, rc == RC_OK ? e : NULL);
	return rc == RC_OK ? closed : rc;
}

static enum rc
table_del(void *state, struct str key, struct err *e)
{
	const struct table *t = state;
	struct map_db_file f;
	enum rc rc = map_db_file_open(t->write_path, t->type, &f, e), closed;

	if (rc != RC_OK)
		return rc;
	rc = map_db_file_delete(&f, key, e);
	closed = map_db_file_close(&f, rc == RC_TEMP ? NULL : e);
	return closed == RC_OK ? rc : RC_TEMP;
}

static enum rc
table_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	const struct table *t = state;
	struct str value;
	enum rc rc;

	(void)flags;
	if (t->write_path != NULL)
		return find_of_writer(t, key, mem, out, e);
	rc = t->mem != NULL ? map_mem_find(t->mem, key, &value)
			    : find_on_disk(t, key, mem, &value, e);
	return rc != RC_OK ? rc : map_copy(value, mem, out, e);
}

static enum rc
table_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	const struct table *t = state;
	enum rc rc;

	if (t->mem != NULL)
		return map_mem_each(t->mem, fn, ctx);
	if (t->write_path != NULL) {
		struct map_db_file f;
		struct table now;

		rc = open_as_writer(t, &f, &now, e);
		if (rc != RC_OK)
			return rc;
		rc = walk(&now, fn, ctx, e);
		return map_db_file_close(&f, e) == RC_OK ? rc : RC_TEMP;
	}
	rc = walk(t, fn, ctx, e);
	return rc == RC_OK ? check_version(t, e) : rc;
}

const struct map_type map_type_hash = {
	.name = "hash",
	.traits = { .is_fixed = true },
	.suffix = ".db",
	.open = hash_open,
	.close = table_close,
	.find = table_find,
	.each = table_each,
	.put = table_put,
	.del = table_del,
};

const struct map_type map_type_btree = {
	.name = "btree",
	.traits = { .is_fixed = true },
	.suffix = ".db",
	.open = btree_open,
	.close = table_close,
	.find = table_find,
	.each = table_each,
	.put = table_put,
	.del = table_del,
};
