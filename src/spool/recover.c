/* Recovery: reads every segment in use in the order of use and rebuilds the index.
 *
 * The last word about a message counts. What is invalid is passed over: bytes before a
 * valid record are damage and copied to corrupt/; bytes after the last one are the torn
 * end of a commit that nobody was told of. Segments found in use are never written again
 * but by being recycled: a torn end stays as it is and cannot confuse a later run. */
#include "spool/envelope.h"
#include "spool/spool_int.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 1000000u /* 32 TiB of default segments */

struct recovery {
	struct spool *sp;
	struct spool_report *report;
	struct header *headers; /* by slot */
	uint32_t *slots;        /* in use, in order of use */
	uint32_t n_slots;
	char *bytes; /* of the segment being read */
	uint64_t max_number;
};

/* ---- reporting ---- */

static bool
save(struct recovery *r, const char *name, struct str bytes)
{
	const struct os_files *fs = r->sp->fs;
	int fd;

	if (r->sp->is_read_only)
		return false;
	fd = fs->open(fs->ctx, r->sp->corrupt_dir, name, OS_OPEN_WRITE | OS_OPEN_NEW);
	if (fd < 0)
		return false;
	if (fs->pwrite(fs->ctx, fd, bytes, 0) >= 0)
		(void)fs->sync_data(fs->ctx, fd);
	(void)fs->close(fs->ctx, fd);
	return true;
}

static void
damaged(struct recovery *r, uint32_t slot, uint64_t at, uint64_t end)
{
	char file[NAME_MAX_LEN], name[NAME_MAX_LEN + 48];
	struct spool_damage d = { .file = file,
		.offset = at,
		.length = end - at,
		.what = "unreadable records" };

	segment_name(slot, file);
	(void)snprintf(name, sizeof(name), "%s-%016llx-%08llx", file,
	    (unsigned long long)r->sp->segments[slot].epoch, (unsigned long long)at);
	d.is_new = save(r, name, str_n(r->bytes + at, (size_t)(end - at)));
	r->report->n_damages++;
	if (r->report->on_damage != NULL)
		r->report->on_damage(r->report->arg, &d);
}

/* ---- files and headers ---- */

static void
find_segment(void *arg, const char *name)
{
	struct recovery *r = arg;
	struct str s = str_c(name);
	uint64_t no;

	if (!str_starts(s, STR("seg-")) ||
	    str_u64(str_from(s, 4), SLOTS_MAX, &no) != RC_OK || no == 0)
		return;
	(void)segment_add(r->sp, (uint32_t)no - 1);
	r->sp->segments[no - 1].state = SEGMENT_STUCK; /* until its header is read */
}

static bool
read_headers(struct recovery *r, uint32_t slot, struct header *out)
{
	const struct os_files *fs = r->sp->fs;
	struct header h;
	char page[HEADER_PAGE];
	bool found = false;

	for (size_t i = 0; i < 2; i++) {
		if (fs->pread(fs->ctx, r->sp->segments[slot].fd, page, HEADER_PAGE,
			(int64_t)(i * HEADER_PAGE)) != (int64_t)HEADER_PAGE ||
		    !header_decode(page, &h) || h.no != slot + 1)
			continue;
		if (!found || h.generation > out->generation)
			*out = h;
		found = true;
	}
	return found;
}

/* The file says "free" but its first record belongs to a later life: the header of use
 * was lost, the records were not. */
static void
check_first_record(struct recovery *r, uint32_t slot, struct header *h)
{
	const struct os_files *fs = r->sp->fs;
	size_t room = (size_t)(h->bytes - SEGMENT_DATA);
	char head[RECORD_HEAD], *bytes = NULL;
	struct record first;
	int64_t n;

	n = fs->pread(
	    fs->ctx, r->sp->segments[slot].fd, head, sizeof(head), (int64_t)SEGMENT_DATA);
	if (n != (int64_t)sizeof(head) ||
	    record_may_begin(head, h->epoch, SEGMENT_DATA) ||
	    record_may_begin(head, 0, 0))
		return;
	bytes = mem_get(room);
	n = fs->pread(
	    fs->ctx, r->sp->segments[slot].fd, bytes, room, (int64_t)SEGMENT_DATA);
	if (n > 0 && record_read(str_n(bytes, (size_t)n), &first) &&
	    first.at8 == SEGMENT_DATA / RECORD_ALIGN && first.epoch != h->epoch &&
	    first.seq > h->seq) {
		h->state = HEADER_USED;
		h->epoch = first.epoch;
		h->seq = first.seq;
	}
	free(bytes);
}

static bool
is_all_zero(struct recovery *r, uint32_t slot)
{
	const struct os_files *fs = r->sp->fs;
	char page[HEADER_PAGE];
	int64_t at = (int64_t)SEGMENT_DATA, n;

	for (; (n = fs->pread(
		    fs->ctx, r->sp->segments[slot].fd, page, sizeof(page), at)) > 0;
	     at += n)
		for (int64_t i = 0; i < n; i++)
			if (page[i] != 0)
				return false;
	return true;
}

/* No valid header: either it was being made when the machine stopped, or both copies are
 * damaged. The latter is kept for whoever can make sense of it. */
static void
no_header(struct recovery *r, uint32_t slot)
{
	struct spool *sp = r->sp;
	char name[NAME_MAX_LEN], kept[NAME_MAX_LEN + 16];
	struct spool_damage d = { .file = name,
		.what = "no valid header; renamed to broken-...",
		.is_new = true };

	segment_name(slot, name);
	if (is_all_zero(r, slot)) {
		if (!sp->is_read_only)
			(void)sp->fs->unlink(sp->fs->ctx, sp->dir, name);
	} else {
		(void)snprintf(kept, sizeof(kept), "broken-%s", name);
		if (!sp->is_read_only)
			(void)sp->fs->rename(sp->fs->ctx, sp->dir, name, kept);
		r->report->n_damages++;
		if (r->report->on_damage != NULL)
			r->report->on_damage(r->report->arg, &d);
	}
	segment_forget(sp, slot);
	if (sp->is_read_only)
		sp->segments[slot].state = SEGMENT_STUCK;
}

static enum rc
open_segment(struct recovery *r, uint32_t slot, struct err *e)
{
	struct spool *sp = r->sp;
	struct segment *s = &sp->segments[slot];
	struct header *h = &r->headers[slot];
	char name[NAME_MAX_LEN];

	segment_name(slot, name);
	s->fd = sp->fs->open(
	    sp->fs->ctx, sp->dir, name, sp->is_read_only ? OS_OPEN_READ : OS_OPEN_WRITE);
	if (s->fd < 0)
		return err_set(e, RC_TEMP, "open %s: %s", name, strerror(-s->fd));
	if (!read_headers(r, slot, h)) {
		no_header(r, slot);
		return RC_OK;
	}
	if (h->state == HEADER_FREE)
		check_first_record(r, slot, h);
	s->state = h->state == HEADER_FREE ? SEGMENT_FREE : SEGMENT_SEALED;
	s->epoch = h->epoch;
	s->seq = h->seq;
	s->generation = h->generation;
	s->bytes = h->bytes;
	s->used = SEGMENT_DATA;
	if (s->state == SEGMENT_FREE)
		sp->n_free++;
	if (h->seq >= sp->next_seq)
		sp->next_seq = h->seq + 1;
	if (h->mark > sp->mark)
		sp->mark = h->mark;
	return RC_OK;
}

static void
apply_cuts(struct recovery *r)
{
	for (uint32_t slot = 0; slot < r->sp->n_segments; slot++) {
		const struct header *h = &r->headers[slot];

		if (r->sp->segments[slot].state != SEGMENT_SEALED)
			continue;
		for (uint32_t i = 0; i < h->n_cuts; i++) {
			uint32_t no = h->cuts[i].no;
			struct segment *s;

			if (no == 0 || no > r->sp->n_segments)
				continue;
			s = &r->sp->segments[no - 1];
			if (s->state != SEGMENT_SEALED && s->state != SEGMENT_POISONED)
				continue;
			if (s->epoch != h->cuts[i].epoch)
				continue;
			if (!s->is_cut || h->cuts[i].at < s->cut_at)
				s->cut_at = h->cuts[i].at;
			s->is_cut = true;
			segment_bury(r->sp, slot, no - 1);
		}
	}
	for (uint32_t slot = 0; slot < r->sp->n_segments; slot++)
		if (r->sp->segments[slot].is_cut)
			r->sp->segments[slot].state = SEGMENT_POISONED;
}

/* ---- records ---- */

static void
set_state(struct spool *sp, struct entry *e, const struct spool_state *st)
{
	(void)sp;
	e->next_try_us = st->next_try_us;
	e->flags = ((e->flags & ~SPOOL_STORED_FLAGS) | st->flags) & 0x7f;
}

static bool
apply_message(
    struct recovery *r, uint32_t slot, const struct record *rec, struct str payload)
{
	struct spool *sp = r->sp;
	struct spool_state st = { 0 };
	struct spool_message m;
	struct message_parts mp;
	struct entry *e;
	uint32_t id;

	if (rec->number == 0 || !record_parts(payload, &mp) ||
	    envelope_peek(mp.envelope, &m) != RC_OK ||
	    (mp.state.n > 0 && state_peek(mp.state, &st) != RC_OK))
		return false;
	id = index_find(&sp->index, rec->number);
	if (id == INDEX_NONE)
		id = index_put(&sp->index, rec->number);
	e = index_at(&sp->index, id);
	if (e->record.length != 0)
		segment_bury(sp, slot, e->record.slot);
	loc_drop(sp, &e->record);
	loc_drop(sp, &e->state);
	e->arrival_us = e->next_try_us = m.arrival_us;
	e->size_bytes = m.size_bytes;
	e->n_rcpts = (uint32_t)m.n_rcpts & 0xffffff;
	e->flags = (m.is_held ? SPOOL_HELD : 0) | (m.is_long ? SPOOL_LONG_ID : 0) |
		   (m.stage != 0 ? SPOOL_STAGED : 0);
	e->stage = m.stage;
	if (mp.state.n > 0)
		set_state(sp, e, &st);
	e->record = (struct loc){ .slot = slot, .at8 = rec->at8, .length = rec->length };
	loc_take(sp, &e->record);
	return true;
}

static bool
apply_update(
    struct recovery *r, uint32_t slot, const struct record *rec, struct str payload)
{
	uint32_t id = index_find(&r->sp->index, rec->number);
	struct spool_state st;
	struct entry *e;

	if (state_peek(payload, &st) != RC_OK)
		return false;
	if (id == INDEX_NONE)
		return true;
	e = index_at(&r->sp->index, id);
	loc_drop(r->sp, &e->state);
	e->state = (struct loc){ .slot = slot, .at8 = rec->at8, .length = rec->length };
	loc_take(r->sp, &e->state);
	set_state(r->sp, e, &st);
	return true;
}

static void
apply_delete(struct recovery *r, uint32_t slot, const struct record *rec)
{
	uint32_t id = index_find(&r->sp->index, rec->number);
	struct entry *e;

	if (id == INDEX_NONE)
		return;
	e = index_at(&r->sp->index, id);
	segment_bury(r->sp, slot, e->record.slot);
	loc_drop(r->sp, &e->record);
	loc_drop(r->sp, &e->state);
	index_remove(&r->sp->index, id);
}

/* False: the frame is right but what it holds makes no sense. */
static bool
apply(struct recovery *r, uint32_t slot, const struct record *rec, struct str payload)
{
	r->report->n_records++;
	if (rec->type != RECORD_MARK && rec->number > r->max_number)
		r->max_number = rec->number;
	switch ((enum record_type)rec->type) {
	case RECORD_MESSAGE:
	case RECORD_MOVE:
		return apply_message(r, slot, rec, payload);
	case RECORD_UPDATE:
		return apply_update(r, slot, rec, payload);
	case RECORD_DELETE:
		apply_delete(r, slot, rec);
		return true;
	case RECORD_MARK:
		if (rec->number > r->sp->mark)
			r->sp->mark = rec->number;
		return true;
	case RECORD_VOID:
		return true;
	}
	return false;
}

/* ---- scanning ---- */

static bool
record_at(
    const struct recovery *r, const struct segment *s, uint64_t at, struct record *out)
{
	struct str in = str_n(r->bytes + at, (size_t)(s->bytes - at));

	return in.n >= RECORD_HEAD && record_may_begin(in.p, s->epoch, at) &&
	       record_read(in, out) && out->seq == s->seq;
}

static void
scan(struct recovery *r, uint32_t slot)
{
	struct segment *s = &r->sp->segments[slot];
	uint64_t at = SEGMENT_DATA, hole = 0, end = s->is_cut ? s->cut_at : s->bytes;
	struct record rec;

	for (; at + RECORD_HEAD <= end; at += RECORD_ALIGN) {
		while (at < end && record_at(r, s, at, &rec)) {
			uint64_t next = at + RECORD_ROOM(rec.length);

			if (hole != 0)
				damaged(r, slot, hole, at);
			hole = 0;
			if (!apply(r, slot, &rec,
				record_payload(str_n(r->bytes + at, rec.length))))
				damaged(r, slot, at, next);
			s->used = at = next;
		}
		if (hole == 0)
			hole = at;
	}
	if (hole != 0 && hole + RECORD_HEAD <= end &&
	    record_may_begin(r->bytes + hole, s->epoch, hole))
		r->report->torn_bytes +=
		    (end - hole) < HEADER_PAGE ? end - hole : HEADER_PAGE;
}

/* What cannot be read counts as zeros, page by page, so that the rest is served. */
static void
load_segment(struct recovery *r, uint32_t slot)
{
	const struct segment *s = &r->sp->segments[slot];
	const struct os_files *fs = r->sp->fs;
	int64_t n = fs->pread(fs->ctx, s->fd, r->bytes, (size_t)s->bytes, 0);

	if (n == (int64_t)s->bytes)
		return;
	for (uint64_t at = 0; at < s->bytes; at += HEADER_PAGE) {
		n = fs->pread(fs->ctx, s->fd, r->bytes + at, HEADER_PAGE, (int64_t)at);
		if (n < (int64_t)HEADER_PAGE)
			memset(r->bytes + at + (n < 0 ? 0 : n), 0,
			    HEADER_PAGE - (size_t)(n < 0 ? 0 : n));
	}
}

static int
by_seq(const void *a, const void *b, void *arg)
{
	const struct spool *sp = arg;
	uint32_t x = sp->segments[*(const uint32_t *)a].seq;
	uint32_t y = sp->segments[*(const uint32_t *)b].seq;

	return x < y ? -1 : x > y;
}

static void
scan_all(struct recovery *r)
{
	struct spool *sp = r->sp;
	uint64_t most = 0;

	r->slots = mem_array(sp->n_segments + 1, sizeof(*r->slots));
	for (uint32_t i = 0; i < sp->n_segments; i++) {
		const struct segment *s = &sp->segments[i];

		if (s->state != SEGMENT_SEALED && s->state != SEGMENT_POISONED)
			continue;
		r->slots[r->n_slots++] = i;
		most = s->bytes > most ? s->bytes : most;
	}
	qsort_r(r->slots, r->n_slots, sizeof(*r->slots), by_seq, sp);
	r->bytes = mem_get((size_t)most + 1);
	for (uint32_t i = 0; i < r->n_slots; i++) {
		load_segment(r, r->slots[i]);
		scan(r, r->slots[i]);
	}
	free(r->bytes);
	free(r->slots);
}

/* ---- afterwards ---- */

/* What we read may be in the page cache only, left by a process that was killed before
 * it could sync: from here on we rely on it. */
static void
sync_all(struct recovery *r)
{
	struct spool *sp = r->sp;

	for (uint32_t i = 0; i < sp->n_segments && !sp->is_read_only; i++) {
		struct segment *s = &sp->segments[i];

		if (s->state != SEGMENT_SEALED && s->state != SEGMENT_POISONED)
			continue;
		s->touched = 0;
		if (sp->fs->sync_data(sp->fs->ctx, s->fd) >= 0)
			continue;
		s->state = SEGMENT_POISONED;
		if (!s->is_cut)
			s->cut_at = s->bytes;
		s->is_cut = true;
	}
	if (!sp->is_read_only)
		(void)sp->fs->sync_dir(sp->fs->ctx, sp->dir);
}

static void
count(struct recovery *r)
{
	struct spool *sp = r->sp;

	for (uint32_t id = 0; id < sp->index.n_places; id++) {
		const struct entry *e = index_at(&sp->index, id);

		if (e->number == 0)
			continue;
		entry_account(sp, e, 1);
		entry_due(sp, id);
		stage_use(sp, e->stage);
	}
	r->report->n_messages = sp->index.n;
	r->report->n_held = sp->n_held;
	for (uint32_t i = 0; i < sp->n_segments; i++)
		r->report->n_segments += sp->segments[i].state != SEGMENT_ABSENT;
}

enum rc
recover(struct spool *sp, struct spool_report *report, struct err *e)
{
	struct recovery r = { .sp = sp, .report = report };
	enum rc rc = RC_OK;
	int n;

	n = sp->fs->list(sp->fs->ctx, sp->dir, find_segment, &r);
	if (n < 0)
		return err_set(e, RC_TEMP, "list segments: %s", strerror(-n));
	r.headers = mem_array(sp->n_segments + 1, sizeof(*r.headers));
	for (uint32_t i = 0; rc == RC_OK && i < sp->n_segments; i++)
		if (sp->segments[i].state == SEGMENT_STUCK)
			rc = open_segment(&r, i, e);
	if (rc == RC_OK) {
		apply_cuts(&r);
		scan_all(&r);
		sync_all(&r);
		count(&r);
		if (r.max_number >= sp->mark)
			sp->mark = r.max_number + 1;
	}
	free(r.headers);
	return rc;
}
