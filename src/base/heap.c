#include "base/heap.h"
#include <assert.h>
#include <stdlib.h>

void
heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void
heap_fini(struct heap *h)
{
	free(h->v);
	heap_init(h);
}

static void
set(struct heap *h, size_t i, struct heap_node *node)
{
	h->v[i] = node;
	node->at = i + 1;
}

static void
up(struct heap *h, size_t i, struct heap_node *node)
{
	while (i > 0 && h->v[(i - 1) / 2]->key > node->key) {
		set(h, i, h->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	set(h, i, node);
}

static void
down(struct heap *h, size_t i, struct heap_node *node)
{
	size_t child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && h->v[child + 1]->key < h->v[child]->key)
			child++;
		if (h->v[child]->key >= node->key)
			break;
		set(h, i, h->v[child]);
		i = child;
	}
	set(h, i, node);
}

void
heap_put(struct heap *h, struct heap_node *node, int64_t key)
{
	heap_remove(h, node);
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 16 : h->cap * 2;
		h->v = mem_grow(h->v, h->cap, sizeof(struct heap_node *));
	}
	node->key = key;
	up(h, h->n++, node);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	struct heap_node *last;
	size_t i;

	if (node->at == 0)
		return;
	i = node->at - 1;
	assert(i < h->n && h->v[i] == node);
	node->at = 0;
	last = h->v[--h->n];
	if (last == node)
		return;
	if (i > 0 && h->v[(i - 1) / 2]->key > last->key)
		up(h, i, last);
	else
		down(h, i, last);
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->n == 0 ? NULL : h->v[0];
}
