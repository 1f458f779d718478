#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/base.h"

/* Memory that is freed together. A connection has three: session, transaction, scratch.
 * An arena costs nothing until its first allocation and never exceeds its limit. */
struct arena;

struct arena *arena_new(size_t limit_bytes);
void arena_free(struct arena **a);
/* Forgets everything allocated; keeps at most one small chunk for the next round. */
void arena_reset(struct arena *a);

/* Zeroed, aligned for anything. NULL: the limit is reached, an ordinary result. */
void *arena_get(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size); /* overflow-checked */
/* Copies; the copy has a NUL behind its last byte that .n does not count. .p is NULL when
 * the limit is reached. */
struct str arena_str(struct arena *a, struct str s);
char *arena_cstr(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
size_t arena_used(const struct arena *a);
#endif
