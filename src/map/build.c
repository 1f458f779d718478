#include "map/build.h"
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_MIN ((size_t)1 << 20)
#define CACHE_MAX ((size_t)1 << 30)

struct map_build {
	DB *db;
	char *target, *temp;
	int lock_fd; /* the old table or its folder, locked against other writers */
	bool without_nul;
	bool has_temp;
};

static bool
type_of(struct str name, DBTYPE *out)
{
	if (str_is(name, "hash"))
		*out = DB_HASH;
	else if (str_is(name, "btree"))
		*out = DB_BTREE;
	else
		return false;
	return true;
}

bool
map_build_can(struct str type)
{
	DBTYPE unused;

	return type_of(type, &unused);
}

static char *
join(struct str path, const char *suffix)
{
	size_t n = path.n + strlen(suffix) + 1;
	char *p = mem_get(n);

	memcpy(p, path.p, path.n);
	memcpy(p + path.n, suffix, n - path.n);
	return p;
}

/* To be freed. */
static char *
folder_of(const char *path)
{
	char *folder = mem_strdup(path);
	char *slash = strrchr(folder, '/');

	if (slash == NULL) {
		free(folder);
		return mem_strdup(".");
	}
	slash[slash == folder ? 1 : 0] = '\0';
	return folder;
}

void
map_build_abort(struct map_build **bp)
{
	struct map_build *b = *bp;

	if (b == NULL)
		return;
	if (b->db != NULL)
		(void)b->db->close(b->db, 0);
	if (b->has_temp)
		(void)unlink(b->temp);
	if (b->lock_fd >= 0)
		(void)close(b->lock_fd);
	free(b->target);
	free(b->temp);
	free(b);
	*bp = NULL;
}

/* RC_NONE: there is no table. Whoever waited for the lock may hold a version that was
 * replaced meanwhile, so it looks again. */
static enum rc
lock_present(struct map_build *b, struct err *e)
{
	for (;;) {
		struct stat mine, there;
		int fd = open(b->target, O_RDONLY | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			return RC_NONE;
		if (fd < 0)
			return err_sys(e, RC_TEMP, "open database %s", b->target);
		if (flock(fd, LOCK_EX) != 0 || fstat(fd, &mine) != 0) {
			(void)close(fd);
			return err_sys(e, RC_TEMP, "lock database %s", b->target);
		}
		if (stat(b->target, &there) == 0 && there.st_ino == mine.st_ino &&
		    there.st_dev == mine.st_dev) {
			b->lock_fd = fd;
			return RC_OK;
		}
		(void)close(fd);
	}
}

/* One writer at a time: the present table is locked, and as long as there is none, its
 * folder. So nobody's entries are lost, and a file of the temporary name is always one
 * that somebody left behind who was killed. RC_NONE: locked, but there is no table. */
static enum rc
lock_table(struct map_build *b, struct err *e)
{
	enum rc rc = lock_present(b, e);
	char *folder;
	int fd;

	if (rc != RC_NONE)
		return rc;
	folder = folder_of(b->target);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		rc = err_sys(e, RC_TEMP, "open database %s", b->target);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	rc = lock_present(b, e);
	if (rc == RC_NONE)
		b->lock_fd = fd;
	else
		(void)close(fd);
	return rc;
}

static enum rc
copy_present(struct map_build *b, int to, struct err *e)
{
	char block[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(b->lock_fd, block, sizeof(block), at)) > 0) {
		if (write(to, block, (size_t)n) != n)
			return err_sys(e, RC_TEMP, "write %s", b->temp);
		at += n;
	}
	return n < 0 ? err_sys(e, RC_TEMP, "read %s", b->target) : RC_OK;
}

/* The file under its temporary name, with the mode and owner that it shall have. */
static enum rc
make_temp(
    struct map_build *b, const struct map_build_request *req, bool copies, struct err *e)
{
	struct stat old;
	mode_t mode = req->mode;
	bool has_old = stat(b->target, &old) == 0;
	enum rc rc = RC_OK;
	int fd;

	if (has_old)
		mode = old.st_mode & 07777;
	fd = open(b->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open database %s", b->target); /* compat */
	b->has_temp = true;
	/* Giving it to the old owner works for root only, and need not for others. */
	if (has_old && (old.st_uid != geteuid() || old.st_gid != getegid()) &&
	    fchown(fd, old.st_uid, old.st_gid) != 0 && geteuid() == 0)
		rc = err_sys(e, RC_TEMP, "chown %s", b->temp);
	if (rc == RC_OK && fchmod(fd, mode) != 0)
		rc = err_sys(e, RC_TEMP, "chmod %s", b->temp);
	if (rc == RC_OK && copies)
		rc = copy_present(b, fd, e);
	(void)close(fd);
	return rc;
}

/* Room for all of the table, if that is possible: pages that are written out and read
 * again cost more than everything else together (measured: half of the time of 1,000,000
 * entries). A table takes up to four times its text. */
static u_int32_t
cache_size(const struct map_build *b, size_t n_bytes)
{
	struct stat st;
	size_t want = n_bytes < CACHE_MAX / 4 ? n_bytes * 4 : CACHE_MAX;

	if (stat(b->temp, &st) == 0 && st.st_size > 0) /* a copy of what there is */
		want += st.st_size < (off_t)CACHE_MAX ? (size_t)st.st_size : CACHE_MAX;
	if (want > CACHE_MAX)
		want = CACHE_MAX;
	return (u_int32_t)(want < CACHE_MIN ? CACHE_MIN : want);
}

static enum rc
open_temp(
    struct map_build *b, const struct map_build_request *req, bool is_copy, struct err *e)
{
	DBTYPE type = DB_HASH;
	int r = db_create(&b->db, NULL, 0);

	(void)type_of(req->type, &type);

	if (r != 0) {
		b->db = NULL;
		return err_set(e, RC_TEMP, "create DB database: %s", db_strerror(r));
	}
	b->db->set_errfile(b->db, NULL);
	(void)b->db->set_cachesize(b->db, 0, cache_size(b, req->n_bytes), 1);
	r = b->db->open(b->db, NULL, b->temp, NULL, type,
	    is_copy ? 0 : DB_CREATE | DB_TRUNCATE, 0600);
	if (r != 0)
		return err_set(
		    e, RC_TEMP, "open database %s: %s", b->target, db_strerror(r));
	return RC_OK;
}

enum rc
map_build_new(const struct map_build_request *req, struct map_build **out, struct err *e)
{
	struct map_build *b;
	bool has_table;
	enum rc rc;
	DBTYPE type;

	if (!type_of(req->type, &type))
		return err_set(e, RC_PERM, /* compat */
		    "unsupported dictionary type: %.*s does not support bulk-mode "
		    "creation.",
		    STR_ARG(req->type));
	b = mem_get(sizeof(*b));
	b->lock_fd = -1;
	b->without_nul = req->without_nul;
	b->target = join(req->path, ".db");
	b->temp = join(req->path, ".db.new");
	rc = lock_table(b, e);
	has_table = rc == RC_OK;
	if (rc == RC_NONE && !req->must_exist)
		rc = RC_OK;
	if (rc == RC_OK) {
		(void)unlink(b->temp); /* of a run that was killed */
		rc = make_temp(b, req, has_table && req->keep_entries, e);
	}
	if (rc == RC_OK)
		rc = open_temp(b, req, has_table && req->keep_entries, e);
	if (rc != RC_OK) {
		map_build_abort(&b);
		return rc;
	}
	*out = b;
	return RC_OK;
}

/* With the NUL that Postfix writes behind keys and values. */
static DBT
to_dbt(char **copy, struct str s, bool without_nul)
{
	DBT d;

	*copy = mem_get(s.n + 1);
	if (s.n > 0)
		memcpy(*copy, s.p, s.n);
	memset(&d, 0, sizeof(d));
	d.data = *copy;
	d.size = (u_int32_t)(s.n + (without_nul ? 0 : 1));
	return d;
}

enum rc
map_build_put(
    struct map_build *b, struct str key, struct str value, bool replace, struct err *e)
{
	char *k, *v;
	DBT dk = to_dbt(&k, key, b->without_nul), dv = to_dbt(&v, value, b->without_nul);
	int r = b->db->put(b->db, NULL, &dk, &dv, replace ? 0 : DB_NOOVERWRITE);

	free(k);
	free(v);
	if (r == DB_KEYEXIST)
		return RC_NONE;
	if (r != 0)
		return err_set(
		    e, RC_TEMP, "error writing %s: %s", b->target, db_strerror(r));
	return RC_OK;
}

enum rc
map_build_delete(struct map_build *b, struct str key, struct err *e)
{
	enum rc rc = RC_NONE;

	/* Entries may have been written either way. */
	for (int without_nul = 0; without_nul < 2; without_nul++) {
		char *k;
		DBT dk = to_dbt(&k, key, without_nul != 0);
		int r = b->db->del(b->db, NULL, &dk, 0);

		free(k);
		if (r == 0)
			rc = RC_OK;
		else if (r != DB_NOTFOUND)
			return err_set(e, RC_TEMP, "error writing %s: %s", b->target,
			    db_strerror(r));
	}
	return rc;
}

static enum rc
sync_path(const char *path, int flags, struct err *e)
{
	int fd = open(path, flags | O_CLOEXEC);
	enum rc rc = RC_OK;

	if (fd < 0)
		return err_sys(e, RC_TEMP, "open %s", path);
	if (fsync(fd) != 0)
		rc = err_sys(e, RC_TEMP, "fsync %s", path);
	(void)close(fd);
	return rc;
}

static enum rc
sync_folder(const char *path, struct err *e)
{
	char *folder = folder_of(path);
	enum rc rc = sync_path(folder, O_RDONLY | O_DIRECTORY, e);

	free(folder);
	return rc;
}

enum rc
map_build_commit(struct map_build **bp, struct err *e)
{
	struct map_build *b = *bp;
	int r = b->db->close(b->db, 0);
	enum rc rc = RC_OK;

	b->db = NULL;
	if (r != 0)
		rc = err_set(
		    e, RC_TEMP, "close database %s: %s", b->target, db_strerror(r));
	if (rc == RC_OK)
		rc = sync_path(b->temp, O_RDONLY, e);
	if (rc == RC_OK && rename(b->temp, b->target) != 0)
		rc = err_sys(e, RC_TEMP, "rename %s to %s", b->temp, b->target);
	if (rc == RC_OK) {
		b->has_temp = false;
		rc = sync_folder(b->target, e);
	}
	map_build_abort(bp);
	return rc;
}
