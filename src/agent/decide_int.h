#ifndef AGENT_DECIDE_INT_H
#define AGENT_DECIDE_INT_H
#include "base/arena.h"
#include "base/base.h"

struct access_classes;
struct access_conf;
struct ask;
struct conf_snapshot;
struct decide;
struct decide_request;
struct decide_sources;
struct master_service;

/* enum ask_flag to enum map_flag. */
unsigned decide_map_flags(unsigned flags);
/* What decide_use() gave. */
const struct decide_sources *decide_sources(const struct decide *d);

/* Reads the parameters of restrictions, compiles their lists (with_access) and opens what
 * they name. out->route is set before. Memory, Returns: as decide_new(). */
MUST_USE enum rc decide_access_fill(struct decide *d, const struct decide_request *req,
    struct arena *mem, struct access_conf *out, struct err *e);
/* The names of smtpd_restriction_classes, without their lists. Memory: in `mem`. */
MUST_USE enum rc decide_access_classes(const struct conf_snapshot *s,
    const struct master_service *service, struct arena *mem, struct access_classes *out,
    struct err *e);

/* The text of a match list with each `/file` (or `!/file`) replaced by the items in that
 * file;
 * `#` begins a comment there. Files may name files, to a depth of 10.
 * Memory:  *out in `mem`, a copy in any case.
 * Returns: RC_PERM a file does not exist, or names itself; RC_TEMP it cannot be read.
 * Blocks:  on the disk. */
MUST_USE enum rc decide_list_text(
    struct str text, struct arena *mem, struct str *out, struct err *e);
#endif
