#ifndef AGENT_DECIDE_INT_H
#define AGENT_DECIDE_INT_H
#include "base/arena.h"
#include "base/base.h"

struct ask;
struct decide;
struct decide_sources;

/* enum ask_flag to enum map_flag. */
unsigned decide_map_flags(unsigned flags);
/* What decide_use() gave. */
const struct decide_sources *decide_sources(const struct decide *d);

/* The text of a match list with each `/file` (or `!/file`) replaced by the items in that
 * file;
 * `#` begins a comment there. Files may name files, to a depth of 10.
 * Memory:  *out in `mem`, a copy in any case.
 * Returns: RC_PERM a file does not exist, or names itself; RC_TEMP it cannot be read.
 * Blocks:  on the disk. */
MUST_USE enum rc decide_list_text(
    struct str text, struct arena *mem, struct str *out, struct err *e);
#endif
