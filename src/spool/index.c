/* The index: a slab of entries that do not move, a hash table of their ids, a binary heap
 * of those that are due some time. Growing never copies the entries, so that a million
 * messages cost no more at their peak than afterwards. */
#include "spool/index.h"
#include <assert.h>
#include <stdlib.h>

#define CHUNK      4096u /* entries */
#define TABLE_MIN  1024u
#define PLACES_MAX (UINT32_MAX / 4)

_Static_assert(sizeof(struct entry) == 72, "index entry grew");

void
index_init(struct index *ix)
{
	*ix = (struct index){ .first_free = INDEX_NONE };
}

void
index_fini(struct index *ix)
{
	for (uint32_t i = 0; i < ix->n_chunks; i++)
		free(ix->chunks[i]);
	free(ix->chunks);
	free(ix->table);
	free(ix->heap);
	index_init(ix);
}

struct entry *
index_at(const struct index *ix, uint32_t id)
{
	return &ix->chunks[id / CHUNK][id % CHUNK];
}

/* Numbers are granted one after another, so that multiplying spreads them well; a peer
 * cannot choose among others. */
static uint32_t
home(const struct index *ix, uint64_t number)
{
	return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
	       (ix->n_table - 1);
}

static uint32_t
probe(const struct index *ix, uint64_t number)
{
	uint32_t i = home(ix, number);

	while (ix->table[i] != 0 && index_at(ix, ix->table[i] - 1)->number != number)
		i = (i + 1) & (ix->n_table - 1);
	return i;
}

uint32_t
index_find(const struct index *ix, uint64_t number)
{
	uint32_t i;

	if (ix->n_table == 0 || number == 0)
		return INDEX_NONE;
	i = probe(ix, number);
	return ix->table[i] == 0 ? INDEX_NONE : ix->table[i] - 1;
}

static void
grow_table(struct index *ix)
{
	uint32_t n = ix->n_table == 0 ? TABLE_MIN : ix->n_table * 2;

	free(ix->table);
	ix->table = mem_array(n, sizeof(*ix->table));
	ix->n_table = n;
	for (uint32_t id = 0; id < ix->n_places; id++) {
		uint64_t number = index_at(ix, id)->number;

		if (number != 0)
			ix->table[probe(ix, number)] = id + 1;
	}
}

static uint32_t
take_place(struct index *ix)
{
	uint32_t id = ix->first_free;

	if (id != INDEX_NONE) {
		ix->first_free = index_at(ix, id)->heap_at;
		return id;
	}
	assert(ix->n_places < PLACES_MAX);
	if (ix->n_places == ix->n_chunks * CHUNK) {
		ix->chunks = mem_grow(ix->chunks, ix->n_chunks + 1, sizeof(*ix->chunks));
		ix->chunks[ix->n_chunks++] = mem_array(CHUNK, sizeof(struct entry));
	}
	return ix->n_places++;
}

uint32_t
index_put(struct index *ix, uint64_t number)
{
	uint32_t id, at;

	assert(number != 0);
	if ((uint64_t)(ix->n + 1) * 3 > (uint64_t)ix->n_table * 2)
		grow_table(ix);
	at = probe(ix, number);
	assert(ix->table[at] == 0);
	id = take_place(ix);
	*index_at(ix, id) = (struct entry){ .number = number };
	ix->table[at] = id + 1;
	ix->n++;
	return id;
}

/* Closes the gap, so that probing never meets a tombstone. */
static void
close_gap(struct index *ix, uint32_t gap)
{
	uint32_t mask = ix->n_table - 1;

	for (uint32_t i = (gap + 1) & mask; ix->table[i] != 0; i = (i + 1) & mask) {
		uint32_t h = home(ix, index_at(ix, ix->table[i] - 1)->number);

		if (((i - h) & mask) >= ((i - gap) & mask)) {
			ix->table[gap] = ix->table[i];
			gap = i;
		}
	}
	ix->table[gap] = 0;
}

void
index_remove(struct index *ix, uint32_t id)
{
	struct entry *e = index_at(ix, id);

	assert(e->number != 0);
	index_due_remove(ix, id);
	close_gap(ix, probe(ix, e->number));
	*e = (struct entry){ .heap_at = ix->first_free };
	ix->first_free = id;
	ix->n--;
}

/* ---- heap ---- */

static int64_t
key(const struct index *ix, uint32_t at)
{
	return index_at(ix, ix->heap[at])->next_try_us;
}

static void
place(struct index *ix, uint32_t at, uint32_t id)
{
	ix->heap[at] = id;
	index_at(ix, id)->heap_at = at + 1;
}

static void
sift(struct index *ix, uint32_t at)
{
	uint32_t id = ix->heap[at], child;
	int64_t k = key(ix, at);

	while (at > 0 && key(ix, (at - 1) / 2) > k) {
		place(ix, at, ix->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (; (child = 2 * at + 1) < ix->n_heap; at = child) {
		if (child + 1 < ix->n_heap && key(ix, child + 1) < key(ix, child))
			child++;
		if (key(ix, child) >= k)
			break;
		place(ix, at, ix->heap[child]);
	}
	place(ix, at, id);
}

void
index_due_set(struct index *ix, uint32_t id)
{
	struct entry *e = index_at(ix, id);

	if (e->heap_at == 0) {
		if (ix->n_heap == ix->heap_cap) {
			ix->heap_cap = ix->heap_cap == 0 ? 256 : ix->heap_cap * 2;
			ix->heap = mem_grow(ix->heap, ix->heap_cap, sizeof(*ix->heap));
		}
		place(ix, ix->n_heap++, id);
	}
	sift(ix, e->heap_at - 1);
}

void
index_due_remove(struct index *ix, uint32_t id)
{
	struct entry *e = index_at(ix, id);
	uint32_t at = e->heap_at;

	if (at == 0)
		return;
	e->heap_at = 0;
	ix->n_heap--;
	if (at - 1 == ix->n_heap)
		return;
	place(ix, at - 1, ix->heap[ix->n_heap]);
	sift(ix, at - 1);
}

uint32_t
index_due_first(const struct index *ix)
{
	return ix->n_heap == 0 ? INDEX_NONE : ix->heap[0];
}

uint64_t
index_memory(const struct index *ix)
{
	return (uint64_t)ix->n_chunks * CHUNK * sizeof(struct entry) +
	       (uint64_t)ix->n_table * sizeof(*ix->table) +
	       (uint64_t)ix->heap_cap * sizeof(*ix->heap);
}
