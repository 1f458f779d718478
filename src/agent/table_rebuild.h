#ifndef AGENT_TABLE_REBUILD_H
#define AGENT_TABLE_REBUILD_H
#include "base/base.h"

/* map_auto_rebuild: tables of hash, btree, lmdb and cdb whose source was changed after
 * their index was made, or that have no index, are made again. For master and the postfix
 * command, never for a process that is confined.
 *
 * The postmap or postalias of command_directory does it, so that owners, locks and the
 * replacement are those of any other run of it. Each version of a source is tried once;
 * one with bad lines does not replace an index that is there. */
struct conf_snapshot;
struct log;
struct table_rebuild;

/* Whether the configuration wants it. */
bool table_rebuild_is_wanted(const struct conf_snapshot *s);
/* Both outlive it. RC_TEMP, RC_PERM: too many tables, or memory. */
MUST_USE enum rc table_rebuild_new(const struct conf_snapshot *s, struct log *log,
    struct table_rebuild **out, struct err *e);
void table_rebuild_free(struct table_rebuild **r);
/* Looks at all tables once. Returns how many have a source that was written within the
 * last two seconds, and is left until it is complete. Blocks:  on the disk, and until
 * each command has ended (two minutes at most). */
size_t table_rebuild_look(struct table_rebuild *r);
/* For who starts: all that is wanted, waiting a little for sources that are being
 * written. */
void table_rebuild_all(const struct conf_snapshot *s, struct log *log);
#endif
