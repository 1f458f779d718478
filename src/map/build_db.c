/* Writing hash: and btree: — Berkeley DB files. */
#include "map/build_int.h"
#include <db.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_MIN ((size_t)1 << 20)
#define CACHE_MAX ((size_t)1 << 30)

/* Room for all of the table, if that is possible: pages that are written out and read
 * again cost more than everything else together (measured: half of the time of 1,000,000
 * entries). A table takes up to four times its text. */
static u_int32_t
cache_size(const char *path, size_t n_bytes)
{
	struct stat st;
	size_t want = n_bytes < CACHE_MAX / 4 ? n_bytes * 4 : CACHE_MAX;

	if (stat(path, &st) == 0 && st.st_size > 0) /* a copy of what there is */
		want += st.st_size < (off_t)CACHE_MAX ? (size_t)st.st_size : CACHE_MAX;
	if (want > CACHE_MAX)
		want = CACHE_MAX;
	return (u_int32_t)(want < CACHE_MIN ? CACHE_MIN : want);
}

static enum rc
db_open(const char *path, DBTYPE type, const struct map_build_request *req, bool is_copy,
    void **out, struct err *e)
{
	DB *db;
	int r = db_create(&db, NULL, 0);

	if (r != 0)
		return err_set(e, RC_TEMP, "%s", db_strerror(r));
	db->set_errfile(db, NULL);
	(void)db->set_cachesize(db, 0, cache_size(path, req->n_bytes), 1);
	r = db->open(
	    db, NULL, path, NULL, type, is_copy ? 0 : DB_CREATE | DB_TRUNCATE, 0600);
	if (r != 0) {
		(void)db->close(db, 0);
		return err_set(e, RC_TEMP, "%s", db_strerror(r));
	}
	*out = mem_get(sizeof(DB *));
	*(DB **)*out = db;
	return RC_OK;
}

static enum rc
hash_open(const char *path, const struct map_build_request *req, bool is_copy, void **out,
    struct err *e)
{
	return db_open(path, DB_HASH, req, is_copy, out, e);
}

static enum rc
btree_open(const char *path, const struct map_build_request *req, bool is_copy,
    void **out, struct err *e)
{
	return db_open(path, DB_BTREE, req, is_copy, out, e);
}

static DBT
to_dbt(struct str s)
{
	DBT d;

	memset(&d, 0, sizeof(d));
	d.data = (void *)(uintptr_t)s.p;
	d.size = (u_int32_t)s.n;
	return d;
}

static enum rc
db_put(void *w, struct str key, struct str value, bool replace, struct err *e)
{
	DB *db = *(DB **)w;
	DBT k = to_dbt(key), v = to_dbt(value);
	int r = db->put(db, NULL, &k, &v, replace ? 0 : DB_NOOVERWRITE);

	if (r == DB_KEYEXIST)
		return RC_NONE;
	return r == 0 ? RC_OK : err_set(e, RC_TEMP, "%s", db_strerror(r));
}

static enum rc
db_del(void *w, struct str key, struct err *e)
{
	DB *db = *(DB **)w;
	DBT k = to_dbt(key);
	int r = db->del(db, NULL, &k, 0);

	if (r == DB_NOTFOUND)
		return RC_NONE;
	return r == 0 ? RC_OK : err_set(e, RC_TEMP, "%s", db_strerror(r));
}

static enum rc
db_finish(void *w, struct err *e)
{
	DB **db = w;
	int r = (*db)->close(*db, 0);

	*db = NULL;
	return r == 0 ? RC_OK : err_set(e, RC_TEMP, "%s", db_strerror(r));
}

static void
db_close(void *w)
{
	DB *db = *(DB **)w;

	if (db != NULL)
		(void)db->close(db, 0);
	free(w);
}

const struct map_build_kind map_build_hash = {
	.suffix = ".db",
	.has_nul = true,
	.can_keep = true,
	.open = hash_open,
	.put = db_put,
	.del = db_del,
	.finish = db_finish,
	.close = db_close,
};

const struct map_build_kind map_build_btree = {
	.suffix = ".db",
	.has_nul = true,
	.can_keep = true,
	.open = btree_open,
	.put = db_put,
	.del = db_del,
	.finish = db_finish,
	.close = db_close,
};
