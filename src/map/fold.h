#ifndef MAP_FOLD_H
#define MAP_FOLD_H
#include "base/arena.h"
#include "base/base.h"

/* How keys are made alike when tables are built and looked up: one rule for both. Pure.
 *
 * ASCII is folded to lower case. With smtputf8_enable all of Unicode is, by full case
 * folding ("Straße" becomes "strasse"), and what is no UTF-8 is no key. */

/* Memory:  *out in `mem`, or `key` itself when nothing is to be changed.
 * Returns: RC_NONE not UTF-8, with is_utf8 only; RC_TEMP memory limit. */
MUST_USE enum rc map_fold_key(
    struct str key, bool is_utf8, struct arena *mem, struct str *out);
/* Whether it is well-formed UTF-8. */
bool map_is_utf8(struct str s);
#endif
