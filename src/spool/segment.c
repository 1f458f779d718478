/* The table of segments: which are free, which is written, what each still holds, and
 * which must outlive which. */
#include "base/hmap.h"
#include "spool/spool_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

void
segment_name(uint32_t slot, char name[NAME_MAX_LEN])
{
	(void)snprintf(name, NAME_MAX_LEN, "seg-%08u", (unsigned)(slot + 1));
}

struct segment *
segment_add(struct spool *sp, uint32_t slot)
{
	while (sp->n_segments <= slot) {
		sp->segments =
		    mem_grow(sp->segments, sp->n_segments + 1, sizeof(*sp->segments));
		sp->segments[sp->n_segments++] = (struct segment){ .fd = -1 };
	}
	return &sp->segments[slot];
}

void
segment_forget(struct spool *sp, uint32_t slot)
{
	struct segment *s = &sp->segments[slot];

	if (s->fd >= 0)
		(void)sp->fs->close(sp->fs->ctx, s->fd);
	free(s->buries);
	*s = (struct segment){ .fd = -1 };
}

void
segment_bury(struct spool *sp, uint32_t slot, uint32_t buried)
{
	struct segment *s = &sp->segments[slot];
	uint32_t word = buried / WORD_BITS;

	/* Its own records go when it goes: no tombstone is needed for them. */
	if (buried == SLOT_NONE || buried == slot)
		return;
	assert(buried < sp->n_segments);
	if (word >= s->n_words) {
		s->buries = mem_grow(s->buries, word + 1, sizeof(*s->buries));
		while (s->n_words <= word)
			s->buries[s->n_words++] = 0;
	}
	s->buries[word] |= UINT64_C(1) << (buried % WORD_BITS);
}

bool
segment_buries_any(const struct segment *s)
{
	for (uint32_t i = 0; i < s->n_words; i++)
		if (s->buries[i] != 0)
			return true;
	return false;
}

void
segment_unbury(struct spool *sp, uint32_t freed)
{
	uint32_t word = freed / WORD_BITS;

	for (uint32_t i = 0; i < sp->n_segments; i++)
		if (word < sp->segments[i].n_words)
			sp->segments[i].buries[word] &=
			    ~(UINT64_C(1) << (freed % WORD_BITS));
}

bool
segment_is_empty(const struct spool *sp, const struct segment *s)
{
	return (s->state == SEGMENT_SEALED || s->state == SEGMENT_POISONED) &&
	       s->live_bytes == 0 && s->touched <= sp->durable_no &&
	       !segment_buries_any(s);
}

void
loc_take(struct spool *sp, const struct loc *l)
{
	if (l->length != 0 && l->slot < sp->n_segments)
		sp->segments[l->slot].live_bytes += RECORD_ROOM(l->length);
}

void
loc_drop(struct spool *sp, struct loc *l)
{
	if (l->length != 0 && l->slot < sp->n_segments) {
		struct segment *s = &sp->segments[l->slot];

		assert(s->live_bytes >= RECORD_ROOM(l->length));
		s->live_bytes -= RECORD_ROOM(l->length);
		/* Whatever makes it superfluous is in the pending batch: until that is
		 * durable, this copy may still be the only one. */
		s->touched = sp->commit_no;
	}
	*l = (struct loc){ 0 };
}

static bool
is_cut(const struct segment *s)
{
	return s->is_cut && s->state != SEGMENT_ABSENT;
}

void
segment_header(struct spool *sp, uint32_t slot, uint8_t state, char *page)
{
	struct segment *s = &sp->segments[slot];
	struct header h = { .no = slot + 1,
		.seq = s->seq,
		.generation = ++s->generation,
		.epoch = s->epoch,
		.bytes = s->bytes,
		.mark = sp->mark,
		.state = state };

	for (uint32_t i = 0; state == HEADER_USED && i < sp->n_segments; i++) {
		const struct segment *c = &sp->segments[i];

		if (!is_cut(c) || h.n_cuts == CUTS_MAX)
			continue;
		h.cuts[h.n_cuts++] =
		    (struct cut){ .no = i + 1, .epoch = c->epoch, .at = c->cut_at };
	}
	header_encode(&h, page);
}

static uint64_t
new_epoch(struct spool *sp, uint32_t slot)
{
	uint64_t what[2] = { ++sp->n_epochs, slot };
	uint64_t epoch = siphash(sp->conf.seed, str_n(what, sizeof(what)));

	return epoch == 0 ? 1 : epoch;
}

enum rc
segment_activate(struct spool *sp)
{
	uint32_t slot = 0, n_cut = 0;
	struct segment *s;

	for (uint32_t i = 0; i < sp->n_segments; i++)
		n_cut += is_cut(&sp->segments[i]);
	if (n_cut > CUTS_MAX)
		return RC_TEMP;
	while (slot < sp->n_segments && sp->segments[slot].state != SEGMENT_FREE)
		slot++;
	if (slot == sp->n_segments)
		return RC_NONE;
	if (sp->active != SLOT_NONE)
		sp->segments[sp->active].state = SEGMENT_SEALED;
	s = &sp->segments[slot];
	s->state = SEGMENT_ACTIVE;
	s->seq = sp->next_seq++;
	s->epoch = new_epoch(sp, slot);
	s->used = SEGMENT_DATA;
	s->header_copies = 2;
	sp->active = slot;
	sp->n_free--;
	/* Its header says which segments are cut: it must stay while they are there. */
	for (uint32_t i = 0; i < sp->n_segments; i++)
		if (is_cut(&sp->segments[i]))
			segment_bury(sp, slot, i);
	return RC_OK;
}
