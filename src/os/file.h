#ifndef OS_FILE_H
#define OS_FILE_H
#include "base/base.h"

/* File system calls behind a table, so that tests can put a simulated disk there.
 *
 * Every call returns a value >= 0, or the negated errno. `ctx` is the table's own first
 * argument. Directories and files are small integers that open() made; a dir of
 * OS_FILES_CWD means the name stands alone. Calls restart by themselves on EINTR, and
 * pread/pwrite go on until everything is done or the file ends.
 * Threads: the real table may be used from any thread. */
#define OS_FILES_CWD (-100)

enum os_open {
	OS_OPEN_READ = 0,   /* for reading only */
	OS_OPEN_WRITE = 1,  /* for reading and writing */
	OS_OPEN_CREATE = 2, /* made if it is not there, mode 0600 */
	OS_OPEN_NEW = 4,    /* must not be there */
	OS_OPEN_DIR = 8,    /* a directory */
};

struct os_space {
	uint64_t free_bytes; /* for us, who may be unprivileged */
	uint64_t total_bytes;
};

/* Called once per name but "." and ".."; the name is valid during the call. */
typedef void os_list_fn(void *arg, const char *name);

struct os_files {
	void *ctx;
	int (*open)(void *ctx, int dir, const char *name, unsigned how);
	int (*close)(void *ctx, int fd);
	int64_t (*pread)(
	    void *ctx, int fd, void *to, size_t n, int64_t at); /* bytes read */
	int64_t (*pwrite)(
	    void *ctx, int fd, struct str from, int64_t at);   /* all, or error */
	int (*zero)(void *ctx, int fd, int64_t at, int64_t n); /* writes real zeros */
	int64_t (*size)(void *ctx, int fd);
	int (*truncate)(void *ctx, int fd, int64_t size);
	int (*sync_data)(void *ctx, int fd); /* fdatasync; size included */
	/* Begins to write what was written to the file, so that several files are on
	 * their way before the first is waited for. Promises nothing: sync_data() must
	 * follow. An error is one of the file's content; a disk that cannot do this
	 * returns 0. */
	int (*sync_start)(void *ctx, int fd);
	int (*sync_dir)(
	    void *ctx, int dir);        /* names made, renamed, unlinked become durable */
	int (*lock)(void *ctx, int fd); /* exclusive until close; -EWOULDBLOCK: taken */
	int (*make_dir)(
	    void *ctx, int dir, const char *name); /* -EEXIST is for the caller */
	int (*rename)(void *ctx, int dir, const char *from, const char *to);
	int (*unlink)(void *ctx, int dir, const char *name);
	int (*list)(void *ctx, int dir, os_list_fn *fn, void *arg);
	int (*space)(void *ctx, int dir, struct os_space *out);
};

/* The operating system itself. Blocks: on disk. */
const struct os_files *os_files_real(void);
#endif
