/* Owns writing into Berkeley DB files that others read and write, too. */
#include "map/db_write.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum rc
failed(int r, struct err *e)
{
	return err_set(e, RC_TEMP, "%s", db_strerror(r));
}

/* postmap (by flock) and Postfix (by fcntl). Who waited may hold a file that was replaced
 * meanwhile. */
static enum rc
lock(const char *path, int *out, struct err *e)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat mine, there;

	for (;;) {
		int fd = open(
		    path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0644);
		int r;

		if (fd < 0)
			return err_sys(e, RC_TEMP, "open database %s", path);
		while ((r = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
			;
		while (r == 0 && (r = fcntl(fd, F_OFD_SETLKW, &whole)) != 0 &&
		       errno == EINTR)
			r = 0;
		if (r != 0 || fstat(fd, &mine) != 0) {
			(void)close(fd);
			return err_sys(e, RC_TEMP, "lock database %s", path);
		}
		if (!S_ISREG(mine.st_mode)) {
			(void)close(fd);
			return err_set(e, RC_TEMP, "open database %s: not a file", path);
		}
		if (stat(path, &there) == 0 && there.st_ino == mine.st_ino &&
		    there.st_dev == mine.st_dev) {
			*out = fd;
			return RC_OK;
		}
		(void)close(fd);
	}
}

enum rc
map_db_file_open(const char *path, DBTYPE type, struct map_db_file *f, struct err *e)
{
	enum rc rc = lock(path, &f->lock_fd, e);
	int r;

	if (rc != RC_OK)
		return rc;
	r = db_create(&f->db, NULL, 0);
	if (r == 0) {
		f->db->set_errfile(f->db, NULL);
		/* An empty file is one that we made, or somebody who was killed. */
		r = f->db->open(
		    f->db, NULL, path, NULL, type, DB_CREATE | DB_NOMMAP, 0644);
		if (r != 0)
			(void)f->db->close(f->db, 0);
	}
	if (r != 0) {
		(void)close(f->lock_fd);
		return err_set(e, RC_TEMP, "open database %s: %s", path, db_strerror(r));
	}
	return RC_OK;
}

enum rc
map_db_file_close(struct map_db_file *f, struct err *e)
{
	int r = f->db->sync(f->db, 0);
	int closed = f->db->close(f->db, 0);

	(void)close(f->lock_fd); /* and both locks */
	if (r == 0)
		r = closed;
	return r == 0 ? RC_OK : failed(r, e);
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

/* A copy with a NUL behind it; to be freed. */
static char *
with_nul(struct str s)
{
	char *p = mem_get(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

/* RC_NONE: not there. */
static enum rc
remove_one(DB *db, struct str key, struct err *e)
{
	DBT k = to_dbt(key);
	int r = db->del(db, NULL, &k, 0);

	if (r == DB_NOTFOUND)
		return RC_NONE;
	return r == 0 ? RC_OK : failed(r, e);
}

enum rc
map_db_file_put(struct map_db_file *f, struct str key, struct str value, struct err *e)
{
	char *k = with_nul(key), *v = with_nul(value);
	DBT kd = to_dbt(str_n(k, key.n + 1)), vd = to_dbt(str_n(v, value.n + 1));
	int r = f->db->put(f->db, NULL, &kd, &vd, 0);
	enum rc rc = r == 0 ? RC_OK : failed(r, e);

	free(k);
	free(v);
	/* One of the other form would be a second entry of this key. */
	if (rc == RC_OK && remove_one(f->db, key, e) == RC_TEMP)
		rc = RC_TEMP;
	return rc;
}

enum rc
map_db_file_delete(struct map_db_file *f, struct str key, struct err *e)
{
	char *k = with_nul(key);
	enum rc longer = remove_one(f->db, str_n(k, key.n + 1), e);
	enum rc plain = longer == RC_TEMP ? RC_TEMP : remove_one(f->db, key, e);

	free(k);
	if (longer == RC_TEMP || plain == RC_TEMP)
		return RC_TEMP;
	return longer == RC_OK || plain == RC_OK ? RC_OK : RC_NONE;
}
