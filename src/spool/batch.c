/* A batch: records that wait for the next commit, encoded where they will be written
 * from. Only heads are left open: place and epoch are known when a commit lays it out. */
#include "spool/spool_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES ((size_t)4 << 20) /* memory that an empty batch may keep */
#define KEEP_N     ((size_t)8192)

void
batch_init(struct batch *b, uint64_t max_bytes)
{
	*b = (struct batch){ 0 };
	buf_init(&b->data, (size_t)max_bytes);
}

void
batch_fini(struct batch *b)
{
	buf_fini(&b->data);
	free(b->v);
}

void
batch_reset(struct batch *b)
{
	if (b->data.cap > KEEP_BYTES)
		buf_release(&b->data);
	else
		buf_reset(&b->data);
	if (b->cap > KEEP_N) {
		free(b->v);
		b->v = NULL;
		b->cap = 0;
	}
	b->n = b->n_puts = 0;
}

static void
add(struct batch *b, const struct batch_entry *e)
{
	if (b->n == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		b->v = mem_grow(b->v, b->cap, sizeof(*b->v));
	}
	b->v[b->n++] = *e;
	b->n_puts += e->is_put;
}

enum rc
batch_begin(struct batch *b, struct batch_entry *e)
{
	char *head = buf_room(&b->data, RECORD_HEAD);

	assert(b->data.n % RECORD_ALIGN == 0);
	e->off8 = (uint32_t)(b->data.n / RECORD_ALIGN); /* so that undoing is harmless */
	e->slot = SLOT_PENDING;
	if (head == NULL)
		return RC_TEMP;
	memset(head, 0, RECORD_HEAD);
	buf_added(&b->data, RECORD_HEAD);
	return RC_OK;
}

enum rc
batch_end(struct batch *b, struct batch_entry *e)
{
	static const char zeros[RECORD_ALIGN];
	size_t from = (size_t)e->off8 * RECORD_ALIGN, length = b->data.n - from;
	size_t pad = (size_t)RECORD_ROOM(length) - length;

	assert(b->data.start == 0 && length <= UINT32_MAX);
	e->length = (uint32_t)length;
	if (buf_put(&b->data, str_n(zeros, pad)) != RC_OK)
		return RC_TEMP;
	add(b, e);
	return RC_OK;
}

void
batch_undo(struct batch *b, const struct batch_entry *e)
{
	b->data.n = (size_t)e->off8 * RECORD_ALIGN;
}

enum rc
batch_copy(struct batch *b, const struct batch *from, size_t i)
{
	struct batch_entry e = from->v[i];
	const char *bytes = from->data.p + (size_t)e.off8 * RECORD_ALIGN;

	e.off8 = (uint32_t)(b->data.n / RECORD_ALIGN);
	e.slot = SLOT_PENDING;
	if (buf_put(&b->data, str_n(bytes, (size_t)RECORD_ROOM(e.length))) != RC_OK)
		return RC_TEMP;
	add(b, &e);
	return RC_OK;
}

struct batch_entry *
batch_at(struct batch *b, uint32_t off8)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->v[mid].off8 < off8)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->n && b->v[lo].off8 == off8 ? &b->v[lo] : NULL;
}
