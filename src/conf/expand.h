#ifndef CONF_EXPAND_H
#define CONF_EXPAND_H
/* The expression language of parameter values, over any source of names. Pure. */
#include "base/base.h"

struct arena;

#define EXPAND_DEPTH_MAX 30     /* values inside values */
#define EXPAND_STEPS_MAX 100000 /* references evaluated, so that no value takes long */

/* Where names come from. */
struct expand_source {
	/* The unexpanded value. RC_NONE: nobody defines it. */
	enum rc (*get)(void *arg, struct str name, struct str *out, struct err *e);
	void *arg;
};

/* Memory:  *out views `text` when it has no $, else lives in `mem`.
 * Returns: RC_PERM syntax error, loop, or too long (Postfix's words); RC_TEMP memory
 * limit. Limits:  EXPAND_DEPTH_MAX, EXPAND_STEPS_MAX, `max` bytes of result. */
MUST_USE enum rc expand_text(const struct expand_source *from, struct str text,
    size_t max, struct arena *mem, struct str *out, struct err *e);

/* Calls `fn` for every name that `text` refers to, evaluated or not: for "undefined
 * parameter" and "unused parameter" warnings. What cannot be parsed is passed over. */
void expand_names(struct str text, void (*fn)(void *arg, struct str name), void *arg);
#endif
