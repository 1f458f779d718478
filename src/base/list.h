#ifndef BASE_LIST_H
#define BASE_LIST_H
#include "base/base.h"

/* Intrusive doubly linked list. The head is a node of its own; a node that is in no list
 * points to itself, so that removing it twice is harmless. */
struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool
list_is_empty(const struct list *l)
{
	return l->next == l;
}
static inline void
list_insert_before(struct list *at, struct list *node)
{
	node->next = at;
	node->prev = at->prev;
	at->prev->next = node;
	at->prev = node;
}
static inline void
list_add_tail(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}
static inline void
list_add_head(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}
static inline struct list *
list_first(const struct list *head) /* NULL: empty */
{
	return head->next == head ? NULL : head->next;
}

/* `it` is a struct list *; the _SAFE form allows removing `it`. */
#define LIST_EACH(it, head)                                                              \
	for (struct list *it = (head)->next; it != (head); it = it->next)
#define LIST_EACH_SAFE(it, tmp, head)                                                    \
	for (struct list *it = (head)->next, *tmp = it->next; it != (head);              \
	     it = tmp, tmp = it->next)
#endif
