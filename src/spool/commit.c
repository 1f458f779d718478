/* Group commit: begin lays the pending batch out over segments, the job writes and syncs,
 * end applies what came of it. What fails is written again elsewhere; puts are the only
 * thing that a failure gives up, because their senders still have them. */
#include "spool/spool_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum spool_waiting
spool_waiting(const struct spool *sp)
{
	if (sp->pending->n_puts > 0 || (sp->n_owed > 0 && sp->pending->n > 0))
		return SPOOL_WAITING_PUTS;
	return sp->pending->n > 0 ? SPOOL_WAITING_CHANGES : SPOOL_WAITING_NONE;
}

/* ---- begin ---- */

/* The entry of the index that points to this record of the pending batch, if any. */
static struct loc *
pointer_to(struct spool *sp, const struct batch_entry *be, uint32_t slot, uint32_t at8)
{
	uint32_t id;
	struct entry *e;
	struct loc *l;

	if (be->type != RECORD_MESSAGE && be->type != RECORD_MOVE &&
	    be->type != RECORD_UPDATE)
		return NULL;
	id = index_find(&sp->index, be->number);
	if (id == INDEX_NONE)
		return NULL;
	e = index_at(&sp->index, id);
	l = be->type == RECORD_UPDATE ? &e->state : &e->record;
	return l->length != 0 && l->slot == slot && l->at8 == at8 ? l : NULL;
}

static struct extent *
extent_for(struct spool *sp, struct spool_job *j, const struct batch_entry *be, size_t i)
{
	const struct segment *s = &sp->segments[sp->active];
	struct extent *x = j->n_extents == 0 ? NULL : &j->extents[j->n_extents - 1];

	if (x != NULL && x->slot == sp->active)
		return x;
	j->extents = mem_grow(j->extents, j->n_extents + 1, sizeof(*j->extents));
	x = &j->extents[j->n_extents++];
	*x = (struct extent){ .slot = sp->active,
		.fd = s->fd,
		.epoch = s->epoch,
		.seq = s->seq,
		.at = s->used,
		.from = (size_t)be->off8 * RECORD_ALIGN,
		.first = i };
	return x;
}

/* False: there is no segment for it. */
static bool
lay_out(struct spool *sp, struct spool_job *j, size_t i)
{
	struct batch_entry *be = &j->batch->v[i];
	uint64_t room = RECORD_ROOM(be->length);
	struct segment *s;
	struct extent *x;
	struct loc *l;

	if (sp->active == SLOT_NONE ||
	    sp->segments[sp->active].used + room > sp->segments[sp->active].bytes) {
		if (segment_activate(sp) != RC_OK)
			return false;
	}
	s = &sp->segments[sp->active];
	assert(s->used + room <= s->bytes);
	x = extent_for(sp, j, be, i);
	l = pointer_to(sp, be, SLOT_PENDING, be->off8);
	be->slot = sp->active;
	be->at8 = (uint32_t)(s->used / RECORD_ALIGN);
	s->used += room;
	x->length += room;
	x->n++;
	segment_bury(sp, sp->active, be->buries);
	if (l != NULL) {
		l->slot = be->slot;
		l->at8 = be->at8;
		loc_take(sp, l);
	}
	return true;
}

/* Appends entries first .. of `from` to `to`; the index follows. */
static void
carry_over(struct spool *sp, struct batch *to, const struct batch *from, size_t first)
{
	for (size_t i = first; i < from->n; i++) {
		struct loc *l =
		    pointer_to(sp, &from->v[i], SLOT_PENDING, from->v[i].off8);
		enum rc rc;

		if (from->v[i].type == RECORD_VOID)
			continue;
		rc = batch_copy(to, from, i);
		assert(rc == RC_OK); /* buffers hold several times what may wait */
		if (l != NULL)
			l->at8 = to->v[to->n - 1].off8;
	}
}

static struct batch *
spare_batch(struct spool *sp)
{
	for (size_t i = 0; i < ARRAY_LEN(sp->batches); i++) {
		struct batch *b = &sp->batches[i];

		if (b != sp->pending && (sp->commit == NULL || sp->commit->batch != b))
			return b;
	}
	abort(); /* three buffers: one fills, one is in flight */
}

/* Zeros to the end of the page: the next commit then finds a page that was written as a
 * whole, and nobody has to read it from the disk first. */
static void
pad_page(struct spool *sp, struct spool_job *j)
{
	struct extent *x = &j->extents[j->n_extents - 1];
	uint64_t end = x->at + x->length,
		 pad = (HEADER_PAGE - end % HEADER_PAGE) % HEADER_PAGE;
	char *room;

	if (end + pad > sp->segments[x->slot].bytes ||
	    x->from + x->length != j->batch->data.n)
		return;
	room = buf_room(&j->batch->data, (size_t)pad);
	if (room == NULL)
		return;
	memset(room, 0, (size_t)pad);
	buf_added(&j->batch->data, (size_t)pad);
	x->length += pad;
}

/* Both copies of a header of use are written, one by each of the first two commits into
 * the segment: at no moment can a crash damage both. */
static void
add_headers(struct spool *sp, struct spool_job *j)
{
	for (size_t i = 0; i < j->n_extents; i++) {
		struct segment *s = &sp->segments[j->extents[i].slot];

		if (s->header_copies == 0)
			continue;
		s->header_copies--;
		job_add_page(sp, j, j->extents[i].slot, HEADER_USED);
		j->mark = sp->mark;
	}
}

static void
start(struct spool *sp, struct spool_job *j, size_t taken)
{
	struct batch *next;

	sp->commit = j;
	next = spare_batch(sp);
	for (size_t i = 0; i < j->n_extents; i++)
		sp->segments[j->extents[i].slot].touched = sp->commit_no;
	if (taken < j->batch->n) {
		/* The rest stays: this number is not durable before that is. */
		carry_over(sp, next, j->batch, taken);
		j->batch->data.n = (size_t)j->batch->v[taken].off8 * RECORD_ALIGN;
		j->batch->n = taken;
		j->batch->n_puts -= next->n_puts;
		j->commit = 0;
	} else {
		j->commit = sp->commit_no++;
	}
	sp->pending = next;
	for (size_t i = 0; i < taken; i++)
		if (j->batch->v[i].type == RECORD_MARK)
			j->mark = sp->mark;
	add_headers(sp, j);
	pad_page(sp, j);
	j->must_sync_stage_dir = sp->stages.has_new;
	sp->stages.has_new = false;
}

enum rc
spool_commit_begin(struct spool *sp, struct spool_job **out, struct err *e)
{
	struct spool_job *j;
	size_t taken = 0;

	if (sp->commit != NULL || sp->pending->n == 0)
		return RC_NONE;
	if (sp->failures >= FAILURES_MAX)
		return err_set(
		    e, RC_TEMP, "spool: the disk has failed: %s", sp->trouble.text);
	j = job_new(sp, JOB_COMMIT);
	j->batch = sp->pending;
	j->mark = sp->durable_mark;
	while (taken < j->batch->n && lay_out(sp, j, taken))
		taken++;
	sp->wants_segment = taken < j->batch->n;
	if (taken == 0) {
		job_free(&j);
		return err_set(e, RC_MORE, "spool: no free segment");
	}
	start(sp, j, taken);
	*out = j;
	return RC_OK;
}

/* ---- end ---- */

static void
put_is_durable(struct spool *sp, const struct batch_entry *be)
{
	uint32_t id = index_find(&sp->index, be->number);
	struct entry *e;

	assert(id != INDEX_NONE);
	e = index_at(&sp->index, id);
	assert(e->is_new);
	e->is_new = 0;
	entry_account(sp, e, 1);
	entry_due(sp, id);
	outcome_tell(sp, be, RC_OK);
}

static void
put_has_failed(struct spool *sp, const struct batch_entry *be)
{
	uint32_t id = index_find(&sp->index, be->number);

	assert(id != INDEX_NONE && index_at(&sp->index, id)->is_new);
	entry_remove(sp, id);
	stage_kill(sp, be->stage);
}

static void
succeed(struct spool *sp, struct spool_job *j)
{
	outcome_tell_owed(sp);
	for (size_t i = 0; i < j->batch->n; i++) {
		const struct batch_entry *be = &j->batch->v[i];

		if (be->is_put && be->has_failed) {
			put_has_failed(sp, be);
			outcome_tell(sp, be, RC_TEMP);
		} else if (be->is_put) {
			put_is_durable(sp, be);
		} else if (be->type == RECORD_DELETE) {
			stage_kill(sp, be->stage);
		}
	}
	sp->failures = 0;
	if (j->commit > sp->durable_no)
		sp->durable_no = j->commit;
	sp->durable_mark = j->mark;
	if (sp->durable_mark == sp->mark)
		sp->is_marking = false;
	sp->n_commits++;
	sp->n_committed += j->batch->n;
}

static void
poison(struct spool *sp, const struct spool_job *j)
{
	for (size_t i = 0; i < j->n_extents; i++) {
		struct segment *s = &sp->segments[j->extents[i].slot];

		/* When more than one commit failed here, the first one cuts. */
		s->state = SEGMENT_POISONED;
		if (!s->is_cut || j->extents[i].at < s->cut_at)
			s->cut_at = j->extents[i].at;
		s->is_cut = true;
		s->header_copies = 0;
		if (sp->active == j->extents[i].slot)
			sp->active = SLOT_NONE;
	}
}

/* Written once more, into the batch that comes next and before all that is in it. */
static void
redo(struct spool *sp, struct batch *to, const struct batch *from, size_t i)
{
	const struct batch_entry *be = &from->v[i];
	struct loc *l = pointer_to(sp, be, be->slot, be->at8);
	uint32_t length = be->length;
	enum rc rc;

	if (be->type == RECORD_VOID ||
	    (l == NULL && (be->type == RECORD_MOVE || be->type == RECORD_UPDATE)))
		return; /* superseded since */
	rc = batch_copy(to, from, i);
	assert(rc == RC_OK);
	if (l == NULL)
		return;
	loc_drop(sp, l);
	*l = (struct loc){
		.slot = SLOT_PENDING, .at8 = to->v[to->n - 1].off8, .length = length
	};
}

/* A record that says nothing new, so that there is something to commit. */
static void
append_mark(struct spool *sp)
{
	struct batch_entry be = {
		.number = sp->mark, .type = RECORD_MARK, .buries = SLOT_NONE
	};

	if (batch_begin(sp->pending, &be) != RC_OK ||
	    batch_end(sp->pending, &be) != RC_OK)
		batch_undo(sp->pending, &be);
}

void
spool_append_mark(struct spool *sp, uint64_t mark)
{
	sp->mark = mark;
	sp->is_marking = true;
	append_mark(sp);
}

static void
fail(struct spool *sp, struct spool_job *j)
{
	struct batch *again = spare_batch(sp), *old = sp->pending;

	(void)err_set(
	    &sp->trouble, RC_TEMP, "spool: %s: %s", j->failed, strerror(j->error));
	sp->failures++;
	sp->stages.has_new = sp->stages.has_new || j->must_sync_stage_dir;
	poison(sp, j);
	for (size_t i = 0; i < j->batch->n; i++) {
		const struct batch_entry *be = &j->batch->v[i];

		if (be->is_put) {
			outcome_owe(sp, be);
			put_has_failed(sp, be);
		} else {
			redo(sp, again, j->batch, i);
		}
	}
	carry_over(sp, again, old, 0);
	sp->pending = again;
	batch_reset(old);
	/* The cut must become durable even if nobody writes anything more. */
	if (sp->pending->n == 0)
		append_mark(sp);
}

void
batch_give_up_puts(struct spool *sp)
{
	struct batch *kept, *old = sp->pending;

	for (size_t i = 0; i < old->n; i++) {
		struct batch_entry *be = &old->v[i];

		if (!be->is_put)
			continue;
		outcome_tell(sp, be, RC_TEMP);
		put_has_failed(sp, be);
		be->type = RECORD_VOID;
	}
	kept = spare_batch(sp);
	carry_over(sp, kept, old, 0);
	sp->pending = kept;
	batch_reset(old);
	sp->wants_segment = kept->n > 0;
}

void
spool_commit_end(struct spool *sp, struct spool_job **job, struct spool_outcomes *out)
{
	struct spool_job *j = *job;

	assert(j == sp->commit);
	sp->n_told = 0;
	*out = (struct spool_outcomes){ 0 };
	if (j->error == 0) {
		succeed(sp, j);
		out->n_records = j->batch->n;
	} else {
		fail(sp, j);
		out->trouble = sp->trouble;
	}
	batch_reset(j->batch);
	sp->commit = NULL;
	job_free(job);
	out->v = sp->told;
	out->n = sp->n_told;
}
