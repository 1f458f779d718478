#ifndef MAP_DB_WRITE_H
#define MAP_DB_WRITE_H
#include "base/base.h"
#include <db.h>

/* Changes of one entry of a Berkeley DB file in place. Each opens the file by itself
 * under the locks that Postfix's programs and postmap take, so that no page of before is
 * kept while others write: tables of several threads and processes may write to one file.
 *
 * The fcntl lock is one of the open file: closing another descriptor leaves it. */
struct map_db_file {
	DB *db;
	int lock_fd;
};

/* Makes the file when it is not there. Blocks: until nobody else writes. */
MUST_USE enum rc map_db_file_open(
    const char *path, DBTYPE type, struct map_db_file *f, struct err *e);
/* RC_NONE of delete: no such key, with or without a NUL behind it. */
MUST_USE enum rc map_db_file_put(
    struct map_db_file *f, struct str key, struct str value, struct err *e);
MUST_USE enum rc map_db_file_delete(struct map_db_file *f, struct str key, struct err *e);
/* On disk before others have their turn. */
MUST_USE enum rc map_db_file_close(struct map_db_file *f, struct err *e);
#endif
