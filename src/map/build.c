/* The frame of building a table: one writer at a time, a new file beside the old one, on
 * disk and then in its place. What is in the file is the kind's business (build_int.h).
 */
#include "map/build_int.h"
#include "map/map_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct map_build {
	const struct map_build_kind *kind;
	void *writer;
	char *target, *temp;
	int lock_fd;     /* the old table or its folder, locked against other writers */
	struct stat old; /* of the table that is locked */
	bool has_old;
	bool with_nul;
	bool only_nul, only_plain; /* of the keys that are deleted */
	bool has_temp;
};

static const struct map_build_kind *
kind_of(struct str type)
{
	static const struct {
		const char *name;
		const struct map_build_kind *kind;
	} kinds[] = {
#ifdef HAVE_BERKELEY_DB
		{ "hash", &map_build_hash },
		{ "btree", &map_build_btree },
#else
		{ "hash", &map_build_lmdb },
		{ "btree", &map_build_lmdb },
#endif
		{ "lmdb", &map_build_lmdb },
		{ "cdb", &map_build_cdb },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_is(type, kinds[i].name))
			return kinds[i].kind;
	return NULL;
}

bool
map_build_can(struct str type)
{
	return kind_of(type) != NULL;
}

const char *
map_build_suffix(struct str type)
{
	const struct map_build_kind *kind = kind_of(type);

	return kind == NULL ? "" : kind->suffix;
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
	if (b->writer != NULL)
		b->kind->close(b->writer);
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
		/* Who may put a FIFO there must not stop us. */
		int fd = open(b->target, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			return RC_NONE;
		if (fd < 0)
			return err_sys(e, RC_TEMP, "open database %s", b->target);
		if (flock(fd, LOCK_EX) != 0 || fstat(fd, &mine) != 0) {
			(void)close(fd);
			return err_sys(e, RC_TEMP, "lock database %s", b->target);
		}
		if (!S_ISREG(mine.st_mode)) {
			(void)close(fd);
			return err_set(
			    e, RC_TEMP, "open database %s: not a file", b->target);
		}
		if (stat(b->target, &there) == 0 && there.st_ino == mine.st_ino &&
		    there.st_dev == mine.st_dev) {
			b->lock_fd = fd;
			b->old = mine;
			b->has_old = true;
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
	/* Of the very file whose entries are copied: another may stand there by now, for
	 * somebody who may not read them. */
	const struct stat *old = &b->old;
	mode_t mode = b->has_old ? old->st_mode & 0777 : req->mode;
	enum rc rc = RC_OK;
	int fd;

	fd = open(b->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open database %s", b->target); /* compat */
	b->has_temp = true;
	/* Giving it to the old owner works for root only, and need not for others. */
	if (b->has_old && (old->st_uid != geteuid() || old->st_gid != getegid()) &&
	    fchown(fd, old->st_uid, old->st_gid) != 0 && geteuid() == 0)
		rc = err_sys(e, RC_TEMP, "chown %s", b->temp);
	if (rc == RC_OK && fchmod(fd, mode) != 0)
		rc = err_sys(e, RC_TEMP, "chmod %s", b->temp);
	if (rc == RC_OK && copies)
		rc = copy_present(b, fd, e);
	(void)close(fd);
	return rc;
}

static enum rc
start(struct map_build *b, const struct map_build_request *req, struct err *e)
{
	enum rc rc = lock_table(b, e);
	bool is_copy = rc == RC_OK && req->keep_entries;

	if (rc == RC_NONE && !req->must_exist)
		rc = RC_OK;
	if (rc != RC_OK)
		return rc;
	(void)unlink(b->temp); /* of a run that was killed */
	rc = make_temp(b, req, is_copy, e);
	if (rc != RC_OK)
		return rc;
	rc = b->kind->open(b->temp, req, is_copy, &b->writer, e);
	return rc == RC_OK ? rc : err_in(e, rc, "open database %s", b->target);
}

enum rc
map_build_new(const struct map_build_request *req, struct map_build **out, struct err *e)
{
	const struct map_build_kind *kind = kind_of(req->type);
	struct map_build *b;
	enum rc rc;

	if (kind == NULL && map_type_find(req->type) == NULL)
		return err_set(e, RC_PERM, /* compat */
		    "unsupported dictionary type: %.*s. Is the postfix-%.*s package "
		    "installed?",
		    STR_ARG(req->type), STR_ARG(req->type));
	if (kind == NULL)
		return err_set(e, RC_PERM, /* compat */
		    "unsupported dictionary type: %.*s does not support bulk-mode "
		    "creation.",
		    STR_ARG(req->type));
	if (req->keep_entries && !kind->can_keep)
		return err_set(e, RC_PERM, /* compat */
		    "dict_cdb_open: inappropriate open flags for cdb database - specify "
		    "O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC");
	b = mem_get(sizeof(*b));
	b->kind = kind;
	b->lock_fd = -1;
	b->with_nul = req->with_nul || (kind->has_nul && !req->without_nul);
	b->only_nul = req->with_nul;
	b->only_plain = req->without_nul;
	b->target = join(req->path, kind->suffix);
	b->temp = join(str_c(b->target), ".new");
	rc = start(b, req, e);
	if (rc != RC_OK) {
		map_build_abort(&b);
		return rc;
	}
	*out = b;
	return RC_OK;
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

enum rc
map_build_put(
    struct map_build *b, struct str key, struct str value, bool replace, struct err *e)
{
	char *k = NULL, *v = NULL;
	enum rc rc;

	if (b->with_nul) {
		key.p = k = with_nul(key);
		value.p = v = with_nul(value);
		key.n++;
		value.n++;
	}
	rc = b->kind->put(b->writer, key, value, replace, e);
	free(k);
	free(v);
	if (rc != RC_OK && rc != RC_NONE)
		return err_in(e, rc, "error writing %s", b->target);
	return rc;
}

enum rc
map_build_delete(struct map_build *b, struct str key, struct err *e)
{
	/* Entries may have been written either way; one of them is deleted. Compat. */
	char *k = with_nul(key);
	enum rc rc = RC_NONE;

	if (!b->only_plain)
		rc = b->kind->del(b->writer, str_n(k, key.n + 1), e);
	if (rc == RC_NONE && !b->only_nul)
		rc = b->kind->del(b->writer, key, e);
	free(k);
	if (rc != RC_OK && rc != RC_NONE)
		return err_in(e, rc, "error writing %s", b->target);
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
	enum rc rc = b->kind->finish(b->writer, e);

	if (rc != RC_OK)
		rc = err_in(e, rc, "close database %s", b->target);
	b->kind->close(b->writer);
	b->writer = NULL;
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
