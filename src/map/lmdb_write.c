#include "map/lmdb_write.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Addresses, not memory: the file grows as it is filled. */
#define MAP_SIZE ((size_t)1 << (sizeof(size_t) > 4 ? 38 : 30))

struct map_lmdb_file {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	int lock_fd; /* -1: is_temporary */
};

static enum rc
failed(int r, struct err *e)
{
	return err_set(e, RC_TEMP, "%s", mdb_strerror(r));
}

enum rc
map_lmdb_file_open(
    const char *path, bool is_temporary, struct map_lmdb_file **out, struct err *e)
{
	struct map_lmdb_file *f = mem_get(sizeof(*f));
	unsigned flags =
	    MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | (is_temporary ? MDB_NOSYNC : 0);
	int r;

	f->lock_fd = -1;
	if (!is_temporary) {
		f->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (f->lock_fd < 0) {
			(void)err_set(e, RC_TEMP, "%s", strerror(errno));
			map_lmdb_file_close(&f);
			return RC_TEMP;
		}
	}
	r = mdb_env_create(&f->env);
	if (r == 0)
		r = mdb_env_set_mapsize(f->env, MAP_SIZE);
	if (r == 0)
		r = mdb_env_open(f->env, path, flags, 0644);
	if (r != 0) {
		(void)failed(r, e);
		map_lmdb_file_close(&f);
		return RC_TEMP;
	}
	*out = f;
	return RC_OK;
}

void
map_lmdb_file_close(struct map_lmdb_file **fp)
{
	struct map_lmdb_file *f = *fp;

	if (f == NULL)
		return;
	map_lmdb_file_abort(f);
	if (f->env != NULL)
		mdb_env_close(f->env);
	if (f->lock_fd >= 0)
		(void)close(f->lock_fd);
	free(f);
	*fp = NULL;
}

/* A lock of the open file, so that closing another descriptor does not let it go. */
static int
lock(int fd, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET };
	int r;

	do
		r = fd < 0 ? 0 : fcntl(fd, F_OFD_SETLKW, &l);
	while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : errno;
}

enum rc
map_lmdb_file_begin(struct map_lmdb_file *f, struct err *e)
{
	int r = lock(f->lock_fd, F_WRLCK);

	if (r == 0)
		r = mdb_txn_begin(f->env, NULL, 0, &f->txn);
	if (r != 0) {
		f->txn = NULL;
		(void)lock(f->lock_fd, F_UNLCK);
		return failed(r, e);
	}
	r = mdb_dbi_open(f->txn, NULL, 0, &f->dbi);
	if (r != 0) {
		map_lmdb_file_abort(f);
		return failed(r, e);
	}
	return RC_OK;
}

enum rc
map_lmdb_file_commit(struct map_lmdb_file *f, struct err *e)
{
	int r = mdb_txn_commit(f->txn);

	f->txn = NULL;
	(void)lock(f->lock_fd, F_UNLCK);
	return r == 0 ? RC_OK : failed(r, e);
}

void
map_lmdb_file_abort(struct map_lmdb_file *f)
{
	if (f->txn == NULL)
		return;
	mdb_txn_abort(f->txn);
	f->txn = NULL;
	(void)lock(f->lock_fd, F_UNLCK);
}

static MDB_val
to_val(struct str s)
{
	return (MDB_val){ .mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p };
}

enum rc
map_lmdb_file_put(struct map_lmdb_file *f, struct str key, struct str value,
    enum map_lmdb_how how, struct err *e)
{
	static const unsigned flags[] = { [MAP_LMDB_NEW] = MDB_NOOVERWRITE,
		[MAP_LMDB_REPLACE] = 0,
		[MAP_LMDB_LAST] = MDB_APPEND };
	MDB_val k = to_val(key), v = to_val(value);
	int r = mdb_put(f->txn, f->dbi, &k, &v, flags[how]);

	if (r == MDB_KEYEXIST && how == MAP_LMDB_NEW)
		return RC_NONE;
	return r == 0 ? RC_OK : failed(r, e);
}

enum rc
map_lmdb_file_delete(struct map_lmdb_file *f, struct str key, struct err *e)
{
	MDB_val k = to_val(key);
	int r = mdb_del(f->txn, f->dbi, &k, NULL);

	if (r == MDB_NOTFOUND)
		return RC_NONE;
	return r == 0 ? RC_OK : failed(r, e);
}
