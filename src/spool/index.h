#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H
#include "base/base.h"

/* What is kept in memory about each message: where its record and its last update are,
 * and when it is due. 72 bytes, plus 8 to 16 in the hash table and 4 in the heap. */

#define INDEX_NONE   UINT32_MAX
#define SLOT_NONE    UINT32_MAX       /* no segment */
#define SLOT_PENDING (UINT32_MAX - 1) /* in the batch that no commit has taken yet */

/* Where a record is: at 8 * at8 of the segment in this slot, or of the pending batch. */
struct loc {
	uint32_t slot, at8;
	uint32_t length; /* bytes with the record's head; 0: there is none */
};

struct entry {
	uint64_t number; /* 0: this place is free */
	int64_t arrival_us, next_try_us;
	uint64_t size_bytes;
	struct loc record, state; /* state.length 0: what the record itself says */
	uint32_t n_rcpts : 24;
	uint32_t flags : 7;  /* enum spool_flag */
	uint32_t is_new : 1; /* its put is not durable yet: nobody may see it */
	uint32_t stage;
	uint32_t
	    heap_at; /* 1 + position; 0: not in the heap. Free: the next free place */
	uint32_t unused;
};

struct index {
	struct entry **chunks;
	uint32_t n_chunks, n_places; /* places ever used */
	uint32_t first_free;         /* INDEX_NONE: none */
	uint32_t n;                  /* entries */
	uint32_t *table;             /* 1 + id; 0: empty. Linear probing */
	uint32_t n_table;            /* a power of two */
	uint32_t *heap;              /* ids, smallest next_try_us first */
	uint32_t n_heap, heap_cap;
};

void index_init(struct index *ix);
void index_fini(struct index *ix);
/* Entries do not move; ids are small integers that are reused. */
struct entry *index_at(const struct index *ix, uint32_t id);
uint32_t index_find(const struct index *ix, uint64_t number); /* INDEX_NONE: not there */
/* `number` must not be there. All else is zero. */
uint32_t index_put(struct index *ix, uint64_t number);
void index_remove(struct index *ix, uint32_t id);
/* The due heap. index_due_set() moves it if it is inside. */
void index_due_set(struct index *ix, uint32_t id);
void index_due_remove(struct index *ix, uint32_t id);
uint32_t index_due_first(const struct index *ix); /* INDEX_NONE: empty */
uint64_t index_memory(const struct index *ix);
#endif
