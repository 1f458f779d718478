/* Housekeeping beside commits: recycling empty segments, making new ones, removing files
 * that nobody needs. None of it is needed for what was acknowledged; all of it is needed
 * for going on. */
#include "spool/spool_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CLEAN_MAX ((size_t)256) /* stage files per job */

static uint32_t
first_in(const struct spool *sp, enum segment_state state)
{
	for (uint32_t i = 0; i < sp->n_segments; i++)
		if (sp->segments[i].state == state)
			return i;
	return SLOT_NONE;
}

static uint32_t
first_empty(const struct spool *sp)
{
	for (uint32_t i = 0; i < sp->n_segments; i++)
		if (segment_is_empty(sp, &sp->segments[i]))
			return i;
	return SLOT_NONE;
}

static struct spool_job *
recycle(struct spool *sp, uint32_t slot)
{
	struct segment *s = &sp->segments[slot];
	struct spool_job *j;

	if (sp->victim == slot)
		sp->victim = SLOT_NONE;
	/* A segment that failed once is not trusted with anything again. */
	if (s->is_cut || sp->n_free >= sp->conf.spare_max ||
	    s->bytes != sp->conf.segment_bytes) {
		s->state = SEGMENT_UNLINKING;
		j = job_new(sp, JOB_UNLINK);
	} else {
		s->state = SEGMENT_FREEING;
		j = job_new(sp, JOB_FREE);
		job_add_page(sp, j, slot, HEADER_FREE);
		job_add_page(sp, j, slot, HEADER_FREE);
	}
	j->slot = slot;
	j->fd = s->fd;
	return j;
}

/* A spare is made when a quarter of the active segment is used, so that it is there when
 * needed, and a server that takes little mail does not write zeros for nothing: they cost
 * as much as some thousand messages. */
static bool
should_make(const struct spool *sp)
{
	const struct segment *active;

	if (sp->no_space || sp->n_free > 0)
		return false;
	if (sp->wants_segment)
		return true;
	if (sp->conf.is_command)
		return false;
	if (sp->active == SLOT_NONE)
		return true;
	active = &sp->segments[sp->active];
	return active->used > active->bytes / 4;
}

static struct spool_job *
make(struct spool *sp)
{
	uint32_t slot = first_in(sp, SEGMENT_ABSENT);
	struct spool_job *j = job_new(sp, JOB_MAKE);
	struct segment *s;

	if (slot == SLOT_NONE)
		slot = sp->n_segments;
	s = segment_add(sp, slot);
	*s = (struct segment){
		.state = SEGMENT_MAKING, .fd = -1, .bytes = sp->conf.segment_bytes
	};
	job_add_page(sp, j, slot, HEADER_FREE);
	job_add_page(sp, j, slot, HEADER_FREE);
	j->slot = slot;
	j->bytes = s->bytes;
	return j;
}

static struct spool_job *
clean(struct spool *sp)
{
	struct stages *st = &sp->stages;
	struct spool_job *j = job_new(sp, JOB_CLEAN);

	j->n_stages = st->n_dead < CLEAN_MAX ? st->n_dead : CLEAN_MAX;
	j->stages = mem_array(j->n_stages, sizeof(*j->stages));
	st->n_dead -= j->n_stages;
	memcpy(j->stages, st->dead + st->n_dead, j->n_stages * sizeof(*j->stages));
	return j;
}

bool
spool_prepare_begin(struct spool *sp, struct spool_job **out)
{
	uint32_t slot;

	if (sp->housekeeping != NULL || sp->is_read_only)
		return false;
	slot = first_empty(sp);
	if (slot != SLOT_NONE)
		sp->housekeeping = recycle(sp, slot);
	else if (should_make(sp))
		sp->housekeeping = make(sp);
	else if (sp->stages.n_dead > 0)
		sp->housekeeping = clean(sp);
	else
		return false;
	*out = sp->housekeeping;
	return true;
}

/* ---- end ---- */

static void
made(struct spool *sp, const struct spool_job *j)
{
	struct segment *s = &sp->segments[j->slot];

	if (j->error != 0) {
		segment_forget(sp, j->slot);
		sp->no_space = true;
		return;
	}
	s->fd = j->fd;
	s->state = SEGMENT_FREE;
	sp->n_free++;
}

static void
freed(struct spool *sp, const struct spool_job *j)
{
	struct segment *s = &sp->segments[j->slot];

	if (j->error != 0) {
		/* Nothing in it counts, but what its header says is unknown. */
		s->state = SEGMENT_POISONED;
		s->is_cut = true;
		s->cut_at = SEGMENT_DATA;
		return;
	}
	s->state = SEGMENT_FREE;
	sp->n_free++;
	sp->no_space = false;
	segment_unbury(sp, j->slot);
}

static void
unlinked(struct spool *sp, const struct spool_job *j)
{
	if (j->error != 0) {
		sp->segments[j->slot].state = SEGMENT_STUCK;
		return;
	}
	segment_forget(sp, j->slot);
	segment_unbury(sp, j->slot);
	sp->no_space = false;
}

void
spool_prepare_end(struct spool *sp, struct spool_job **job, struct spool_outcomes *out)
{
	struct spool_job *j = *job;

	assert(j == sp->housekeeping);
	sp->n_told = 0;
	*out = (struct spool_outcomes){ 0 };
	if (j->error != 0) {
		(void)err_set(&out->trouble, RC_TEMP, "spool: %s: %s", j->failed,
		    strerror(j->error));
		out->trouble.sys = j->error;
	}
	switch (j->kind) {
	case JOB_MAKE:
		made(sp, j);
		break;
	case JOB_FREE:
		freed(sp, j);
		break;
	case JOB_UNLINK:
		unlinked(sp, j);
		break;
	case JOB_CLEAN:
		for (size_t i = 0; i < j->n_stages; i++)
			stage_gone(sp, j->stages[i]);
		break;
	case JOB_COMMIT:
		abort(); /* a commit ends in spool_commit_end() */
	}
	if (sp->no_space && sp->wants_segment && sp->n_free == 0)
		batch_give_up_puts(sp);
	sp->housekeeping = NULL;
	job_free(job);
	out->v = sp->told;
	out->n = sp->n_told;
}

void
spool_retry(struct spool *sp)
{
	sp->no_space = false;
	for (uint32_t i = 0; i < sp->n_segments; i++) {
		sp->segments[i].is_unreadable = false;
		if (sp->segments[i].state == SEGMENT_STUCK)
			sp->segments[i].state = SEGMENT_POISONED;
	}
}
