#ifndef MAP_LMDB_WRITE_H
#define MAP_LMDB_WRITE_H
#include "base/base.h"

/* Writing into LMDB files, with the library. Errors are the reason alone. */
struct map_lmdb_file;

/* RC_TEMP: cannot be opened. `is_temporary`: nobody else knows the file and it is synced
 * by the caller; else each commit is on disk when it returns. */
MUST_USE enum rc map_lmdb_file_open(
    const char *path, bool is_temporary, struct map_lmdb_file **out, struct err *e);
void map_lmdb_file_close(struct map_lmdb_file **f);
/* One transaction at a time; other writers of the file wait, Postfix's too (fcntl lock on
 * the file itself, compat). Blocks:  on other writers and the disk. */
MUST_USE enum rc map_lmdb_file_begin(struct map_lmdb_file *f, struct err *e);
MUST_USE enum rc map_lmdb_file_commit(struct map_lmdb_file *f, struct err *e);
void map_lmdb_file_abort(struct map_lmdb_file *f);
/* RC_NONE: the key is there already, and stays. `is_last`: it sorts behind all others. */
enum map_lmdb_how { MAP_LMDB_NEW, MAP_LMDB_REPLACE, MAP_LMDB_LAST };
MUST_USE enum rc map_lmdb_file_put(struct map_lmdb_file *f, struct str key,
    struct str value, enum map_lmdb_how how, struct err *e);
/* RC_NONE: not there. */
MUST_USE enum rc map_lmdb_file_delete(
    struct map_lmdb_file *f, struct str key, struct err *e);
#endif
