#ifndef BASE_HEAP_H
#define BASE_HEAP_H
#include "base/base.h"

/* Intrusive binary heap, smallest key first: timers, retry times. */
struct heap_node {
	int64_t key;
	size_t at; /* 1 + index in the heap; 0: not in it */
};

struct heap {
	struct heap_node **v;
	size_t n, cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);
void heap_put(
    struct heap *h, struct heap_node *node, int64_t key); /* moves it if inside */
void heap_remove(struct heap *h, struct heap_node *node); /* harmless if not inside */
struct heap_node *heap_min(const struct heap *h);         /* NULL: empty */
#endif
