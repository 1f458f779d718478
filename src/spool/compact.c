/* Compaction: what still counts in the emptiest segment is written again, so that the
 * segment can be recycled. It runs when more than half of what segments hold is garbage,
 * and first of all for a segment whose disk failed. */
#include "spool/spool_int.h"
#include <assert.h>
#include <string.h>

#define SLACK    4u     /* segments of garbage that are always allowed */
#define LOOK_MAX 20000u /* entries of the index looked at per step */

static uint32_t
emptiest(const struct spool *sp)
{
	uint32_t best = SLOT_NONE;

	for (uint32_t i = 0; i < sp->n_segments; i++) {
		const struct segment *s = &sp->segments[i];

		if (s->is_unreadable)
			continue;
		if (s->state == SEGMENT_POISONED && s->live_bytes > 0)
			return i;
		if (s->state == SEGMENT_SEALED && s->live_bytes > 0 &&
		    (best == SLOT_NONE || s->live_bytes < sp->segments[best].live_bytes))
			best = i;
	}
	return best;
}

static bool
has_too_much_garbage(const struct spool *sp)
{
	uint64_t held = 0, live = 0, slack = SLACK;

	for (uint32_t i = 0; i < sp->n_segments; i++) {
		const struct segment *s = &sp->segments[i];

		if (s->state != SEGMENT_SEALED || segment_is_empty(sp, s))
			continue;
		held += s->bytes - SEGMENT_DATA;
		live += s->live_bytes;
	}
	if (sp->no_space)
		slack = 1;
	return held > 2 * live + slack * sp->conf.segment_bytes;
}

static bool
choose(struct spool *sp)
{
	uint32_t slot = emptiest(sp);

	if (slot == SLOT_NONE ||
	    (sp->segments[slot].state == SEGMENT_SEALED && !has_too_much_garbage(sp)))
		return false;
	sp->victim = slot;
	sp->victim_id = 0;
	return true;
}

/* The message's record with its present state inside. RC_PERM: damaged. */
static enum rc
append_move(struct spool *sp, uint32_t id)
{
	struct entry *e = index_at(&sp->index, id);
	struct batch_entry be = {
		.number = e->number, .type = RECORD_MOVE, .buries = e->record.slot
	};
	struct buf *data = &sp->pending->data;
	struct message_parts mp;
	uint32_t lengths[2];
	enum rc rc;

	rc = read_record(sp, &e->record, e->number, &sp->scratch);
	if (rc != RC_OK)
		return rc;
	if (!record_parts(record_payload(buf_view(&sp->scratch)), &mp))
		return RC_PERM;
	if (e->state.length != 0) {
		rc = read_record(sp, &e->state, e->number, &sp->scratch2);
		if (rc == RC_OK)
			mp.state = record_payload(buf_view(&sp->scratch2));
		else if (rc == RC_PERM)
			read_forget_state(sp, e->number);
		else
			return rc;
	}
	lengths[0] = __builtin_bswap32((uint32_t)mp.envelope.n);
	lengths[1] = __builtin_bswap32((uint32_t)mp.state.n);
	if (batch_begin(sp->pending, &be) != RC_OK ||
	    buf_put(data, str_n(lengths, sizeof(lengths))) != RC_OK ||
	    buf_put(data, mp.envelope) != RC_OK || buf_put(data, mp.state) != RC_OK ||
	    buf_put(data, mp.content) != RC_OK || batch_end(sp->pending, &be) != RC_OK) {
		batch_undo(sp->pending, &be);
		return RC_TEMP;
	}
	loc_drop(sp, &e->record);
	loc_drop(sp, &e->state);
	e->record =
	    (struct loc){ .slot = SLOT_PENDING, .at8 = be.off8, .length = be.length };
	return RC_OK;
}

static enum rc
append_state(struct spool *sp, uint32_t id)
{
	struct entry *e = index_at(&sp->index, id);
	enum rc rc = read_record(sp, &e->state, e->number, &sp->scratch);

	if (rc == RC_OK)
		rc = append_update(sp, id, record_payload(buf_view(&sp->scratch)));
	return rc;
}

static enum rc
move_one(struct spool *sp, uint32_t id)
{
	struct entry *e = index_at(&sp->index, id);
	enum rc rc;

	if (e->record.slot == sp->victim) {
		rc = append_move(sp, id);
		if (rc == RC_PERM)
			spool_set_aside(sp, e->number);
	} else {
		rc = append_state(sp, id);
		if (rc == RC_PERM)
			read_forget_state(sp, e->number);
	}
	return rc == RC_TEMP ? RC_TEMP : RC_OK;
}

static bool
is_in_victim(const struct spool *sp, const struct entry *e)
{
	return e->number != 0 && !e->is_new &&
	       ((e->record.slot == sp->victim) ||
		   (e->state.length != 0 && e->state.slot == sp->victim));
}

enum rc
spool_compact_step(struct spool *sp, size_t budget_bytes)
{
	size_t before = sp->pending->data.n;
	uint32_t looked = 0;

	if (sp->is_read_only || sp->failures >= FAILURES_MAX)
		return RC_NONE;
	if (sp->victim == SLOT_NONE && !choose(sp))
		return RC_NONE;
	while (sp->victim_id < sp->index.n_places && looked++ < LOOK_MAX &&
	       sp->pending->data.n - before < budget_bytes) {
		/* Moves use no more of the batch than puts may. */
		if (sp->pending->data.n >= sp->conf.batch_max_bytes / 2)
			return RC_NONE;
		if (is_in_victim(sp, index_at(&sp->index, sp->victim_id)) &&
		    move_one(sp, sp->victim_id) == RC_TEMP)
			sp->segments[sp->victim].is_unreadable = true;
		sp->victim_id++;
	}
	if (sp->victim_id >= sp->index.n_places)
		sp->victim = SLOT_NONE;
	return RC_OK;
}
