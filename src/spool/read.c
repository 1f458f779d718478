/* Reading: the index for what lists and scheduling need, one or two reads for the rest.
 * What no commit has finished is read from the batch that holds it. */
#include "base/arena.h"
#include "spool/envelope.h"
#include "spool/spool_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct entry *
visible(const struct spool *sp, uint64_t number, uint32_t *out_id)
{
	uint32_t id = index_find(&sp->index, number);

	if (id == INDEX_NONE || index_at(&sp->index, id)->is_new)
		return NULL;
	if (out_id != NULL)
		*out_id = id;
	return index_at(&sp->index, id);
}

static struct spool_info
info_of(const struct entry *e)
{
	return (struct spool_info){ .number = e->number,
		.arrival_us = e->arrival_us,
		.next_try_us = e->next_try_us,
		.size_bytes = e->size_bytes,
		.n_rcpts = e->n_rcpts,
		.flags = (uint8_t)e->flags };
}

enum rc
spool_find(const struct spool *sp, uint64_t number, struct spool_info *out)
{
	const struct entry *e = visible(sp, number, NULL);

	if (e == NULL)
		return RC_NONE;
	*out = info_of(e);
	return RC_OK;
}

struct queue_id
spool_info_id(const struct spool_info *info)
{
	return queue_id_format(
	    info->number, info->arrival_us, (info->flags & SPOOL_LONG_ID) != 0);
}

enum rc
spool_find_id(const struct spool *sp, struct str text, struct spool_info *out)
{
	struct queue_id_parts parts;
	struct spool_info info;

	if (queue_id_parse(text, &parts) != RC_OK ||
	    spool_find(sp, parts.number, &info) != RC_OK ||
	    !str_is(text, spool_info_id(&info).text))
		return RC_NONE;
	*out = info;
	return RC_OK;
}

enum rc
spool_list(const struct spool *sp, uint64_t *cursor, struct spool_info *out)
{
	while (*cursor < sp->index.n_places) {
		const struct entry *e = index_at(&sp->index, (uint32_t)(*cursor)++);

		if (e->number == 0 || e->is_new)
			continue;
		*out = info_of(e);
		return RC_OK;
	}
	return RC_NONE;
}

enum rc
spool_first_due(const struct spool *sp, struct spool_info *out)
{
	uint32_t id = index_due_first(&sp->index);

	if (id == INDEX_NONE)
		return RC_NONE;
	*out = info_of(index_at(&sp->index, id));
	return RC_OK;
}

static void
set_claimed(struct spool *sp, uint64_t number, bool is_claimed)
{
	uint32_t id;
	struct entry *e;

	if (visible(sp, number, &id) == NULL)
		return;
	e = index_at(&sp->index, id);
	entry_set_flags(sp, e,
	    (uint8_t)(is_claimed ? e->flags | SPOOL_CLAIMED : e->flags & ~SPOOL_CLAIMED));
	entry_due(sp, id);
}

void
spool_claim(struct spool *sp, uint64_t number)
{
	set_claimed(sp, number, true);
}

void
spool_unclaim(struct spool *sp, uint64_t number)
{
	set_claimed(sp, number, false);
}

void
spool_touch(struct spool *sp, uint64_t number, int64_t next_try_us)
{
	uint32_t id;

	if (visible(sp, number, &id) == NULL)
		return;
	index_at(&sp->index, id)->next_try_us = next_try_us;
	entry_due(sp, id);
}

/* ---- records ---- */

/* Where the record is in memory, when a commit has not finished with it. */
static const char *
in_memory(const struct spool *sp, const struct loc *l)
{
	const struct spool_job *j = sp->commit;

	if (l->slot == SLOT_PENDING)
		return sp->pending->data.p + (size_t)l->at8 * RECORD_ALIGN;
	for (size_t i = 0; j != NULL && i < j->n_extents; i++) {
		const struct extent *x = &j->extents[i];
		uint64_t at = (uint64_t)l->at8 * RECORD_ALIGN;

		if (x->slot == l->slot && at >= x->at && at < x->at + x->length)
			return j->batch->data.p + x->from + (at - x->at);
	}
	return NULL;
}

static enum rc
fetch(struct spool *sp, const struct loc *l, uint64_t number, char *to)
{
	const char *memory = in_memory(sp, l);
	const struct segment *s;
	struct record r;
	int64_t n;

	if (memory != NULL) {
		/* The job may be sealing the head on another thread: leave it alone. */
		memset(to, 0, RECORD_HEAD);
		memcpy(to + RECORD_HEAD, memory + RECORD_HEAD, l->length - RECORD_HEAD);
		return RC_OK;
	}
	s = &sp->segments[l->slot];
	n = sp->fs->pread(
	    sp->fs->ctx, s->fd, to, l->length, (int64_t)l->at8 * (int64_t)RECORD_ALIGN);
	if (n < 0)
		return RC_TEMP;
	if ((uint64_t)n < l->length || !record_read(str_n(to, l->length), &r) ||
	    r.epoch != s->epoch || r.at8 != l->at8 || r.number != number ||
	    r.length != l->length)
		return RC_PERM;
	return RC_OK;
}

enum rc
read_record(struct spool *sp, const struct loc *l, uint64_t number, struct buf *to)
{
	char *room;
	enum rc rc;

	buf_reset(to);
	room = buf_room(to, l->length);
	if (room == NULL)
		return RC_TEMP;
	rc = fetch(sp, l, number, room);
	if (rc == RC_OK)
		buf_added(to, l->length);
	return rc;
}

static enum rc
read_payload(struct spool *sp, const struct loc *l, uint64_t number, struct arena *mem,
    struct str *out)
{
	char *to = arena_get(mem, l->length);
	enum rc rc;

	if (to == NULL)
		return RC_TEMP;
	rc = fetch(sp, l, number, to);
	if (rc == RC_OK)
		*out = record_payload(str_n(to, l->length));
	return rc;
}

/* ---- setting aside ---- */

static void
save_corrupt(struct spool *sp, const char *name, const struct loc *l)
{
	const struct segment *s = &sp->segments[l->slot];
	const struct os_files *fs = sp->fs;
	char *bytes = mem_get(l->length);
	int64_t n = fs->pread(
	    fs->ctx, s->fd, bytes, l->length, (int64_t)l->at8 * (int64_t)RECORD_ALIGN);
	int fd = fs->open(fs->ctx, sp->corrupt_dir, name, OS_OPEN_WRITE | OS_OPEN_CREATE);

	if (n > 0 && fd >= 0 && fs->pwrite(fs->ctx, fd, str_n(bytes, (size_t)n), 0) >= 0)
		(void)fs->sync_data(fs->ctx, fd);
	if (fd >= 0)
		(void)fs->close(fs->ctx, fd);
	free(bytes);
}

void
read_forget_state(struct spool *sp, uint64_t number)
{
	struct entry *e = index_at(&sp->index, index_find(&sp->index, number));
	char name[NAME_MAX_LEN];

	(void)snprintf(
	    name, sizeof(name), "message-%llX.state", (unsigned long long)number);
	if (!sp->is_read_only && in_memory(sp, &e->state) == NULL)
		save_corrupt(sp, name, &e->state);
	loc_drop(sp, &e->state);
}

void
spool_set_aside(struct spool *sp, uint64_t number)
{
	const struct entry *e = visible(sp, number, NULL);
	char name[NAME_MAX_LEN];

	if (e == NULL || sp->is_read_only)
		return;
	(void)snprintf(name, sizeof(name), "message-%llX", (unsigned long long)number);
	if (in_memory(sp, &e->record) == NULL)
		save_corrupt(sp, name, &e->record);
	stage_save(sp, e->stage, name);
	if (spool_delete(sp, number, NULL) != RC_OK)
		return; /* the batch is full: it is found damaged, and deleted, another
			   time */
}

/* ---- load ---- */

struct loading {
	struct spool *sp;
	const struct entry *e;
	struct arena *mem;
	struct spool_loaded *to;
	bool is_state_bad; /* the damage is in the update, not in the message */
};

static enum rc
load_state(struct loading *ld, struct str embedded)
{
	struct spool_state st = { .flags = (uint8_t)ld->e->flags & SPOOL_STORED_FLAGS };
	struct str bytes = embedded;
	enum rc rc = RC_OK;

	if (ld->e->state.length != 0)
		rc = read_payload(ld->sp, &ld->e->state, ld->e->number, ld->mem, &bytes);
	if (rc == RC_OK && bytes.n > 0)
		rc = spool_state_decode(bytes, ld->mem, &st);
	if (rc == RC_OK && st.n_rcpts != 0 && st.n_rcpts != ld->e->n_rcpts)
		rc = RC_PERM;
	ld->is_state_bad = rc == RC_PERM && ld->e->state.length != 0;
	if (rc != RC_OK)
		return rc;
	if (st.n_rcpts == 0) {
		st.n_rcpts = ld->e->n_rcpts;
		st.rcpts = arena_array(ld->mem, st.n_rcpts + 1, sizeof(*st.rcpts));
		if (st.rcpts == NULL)
			return RC_TEMP;
	}
	st.next_try_us = ld->e->next_try_us; /* spool_touch() may have changed it */
	ld->to->st = st;
	return RC_OK;
}

static enum rc
load_parts(struct loading *ld, unsigned parts)
{
	struct message_parts mp = { .state = STR("") };
	bool whole =
	    (parts & (SPOOL_ENVELOPE | SPOOL_CONTENT)) != 0 || ld->e->state.length == 0;
	struct str payload;
	enum rc rc;

	if (whole) {
		rc = read_payload(
		    ld->sp, &ld->e->record, ld->e->number, ld->mem, &payload);
		if (rc != RC_OK)
			return rc;
		if (!record_parts(payload, &mp))
			return RC_PERM;
		if ((parts & SPOOL_ENVELOPE) != 0)
			rc = spool_envelope_decode(mp.envelope, ld->mem, &ld->to->m);
		if (rc != RC_OK)
			return rc;
		if (ld->e->stage == 0 && mp.content.n != ld->e->size_bytes)
			return RC_PERM;
		ld->to->m.number = ld->e->number;
		if ((parts & SPOOL_CONTENT) != 0)
			ld->to->m.content = mp.content;
	}
	return (parts & SPOOL_STATE) != 0 ? load_state(ld, mp.state) : RC_OK;
}

enum rc
spool_load(struct spool *sp, uint64_t number, unsigned parts, struct arena *mem,
    struct spool_loaded *out)
{
	struct spool_loaded got = { 0 };
	struct loading ld = { .sp = sp, .mem = mem, .to = &got };
	enum rc rc;

	ld.e = visible(sp, number, NULL);
	if (ld.e == NULL)
		return RC_NONE;
	rc = load_parts(&ld, parts);
	if (rc == RC_PERM && ld.is_state_bad) {
		read_forget_state(sp, number);
		got = (struct spool_loaded){ 0 };
		rc = load_parts(&ld, parts);
	}
	if (rc == RC_PERM)
		spool_set_aside(sp, number);
	if (rc == RC_OK)
		*out = got;
	return rc;
}
