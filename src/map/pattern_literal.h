#ifndef MAP_PATTERN_LITERAL_H
#define MAP_PATTERN_LITERAL_H
#include "base/arena.h"
#include "base/base.h"

/* What can be said of a regular expression without compiling it: that it certainly
 * compiles, how many groups it has, and a text that every match contains. Pure. Whatever
 * is not understood is left alone: then nothing is said, and nothing is wrong. */
enum pattern_syntax { PATTERN_ERE, PATTERN_PERL };

struct pattern_literal {
	/* Every key that matches contains this, ASCII case folded; .n 0: nothing known.
	 */
	struct str text;
	bool is_plain;     /* it certainly compiles, */
	uint32_t n_groups; /* and then has this many groups */
};
/* Memory:  out->text in `mem`. Returns: RC_TEMP: memory limit. */
MUST_USE enum rc pattern_literal_scan(struct str regex, enum pattern_syntax syntax,
    struct arena *mem, struct pattern_literal *out);
#endif
