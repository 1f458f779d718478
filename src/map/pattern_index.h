#ifndef MAP_PATTERN_INDEX_H
#define MAP_PATTERN_INDEX_H
#include "base/base.h"

/* Which of many literals stand in a key: the rules of a large table that are worth
 * trying. Pure. Single thread. */
struct pattern_index;

struct pattern_index *pattern_index_new(void);
void pattern_index_free(struct pattern_index **x);
/* A literal of at least this many bytes can be indexed. */
enum { PATTERN_INDEX_MIN = 3 };
/* Copies. `literal` is ASCII case folded. Numbers ascend. */
void pattern_index_add(struct pattern_index *x, uint32_t rule, struct str literal);
/* No more are added. */
void pattern_index_done(struct pattern_index *x);
/* All rules whose literal stands in `key`, whatever its case, in ascending order. A view,
 * valid until the next look-up. */
size_t pattern_index_find(struct pattern_index *x, struct str key, const uint32_t **out);
#endif
