/* What callers write: puts, updates, deletions, into the pending batch. The index follows
 * at once; segments follow when a commit lays the batch out. */
#include "spool/spool_int.h"
#include "wire/bytes.h"
#include <assert.h>
#include <string.h>

/* ---- entries ---- */

void
entry_account(struct spool *sp, const struct entry *e, int sign)
{
	uint64_t one = (uint64_t)(int64_t)sign;

	sp->n_held += (e->flags & SPOOL_HELD) != 0 ? one : 0;
	sp->n_deferred += (e->flags & SPOOL_DEFERRED) != 0 ? one : 0;
	sp->n_claimed += (e->flags & SPOOL_CLAIMED) != 0 ? one : 0;
	sp->content_bytes += e->size_bytes * one;
}

void
entry_set_flags(struct spool *sp, struct entry *e, uint8_t flags)
{
	if (!e->is_new)
		entry_account(sp, e, -1);
	e->flags = flags & 0x7fu;
	if (!e->is_new)
		entry_account(sp, e, 1);
}

void
entry_due(struct spool *sp, uint32_t id)
{
	const struct entry *e = index_at(&sp->index, id);

	if (e->is_new || (e->flags & (SPOOL_HELD | SPOOL_CLAIMED)) != 0)
		index_due_remove(&sp->index, id);
	else
		index_due_set(&sp->index, id);
}

void
entry_remove(struct spool *sp, uint32_t id)
{
	struct entry *e = index_at(&sp->index, id);

	loc_drop(sp, &e->record);
	loc_drop(sp, &e->state);
	if (!e->is_new)
		entry_account(sp, e, -1);
	index_remove(&sp->index, id);
}

/* ---- limits ---- */

static uint64_t
record_max(const struct spool *sp)
{
	/* Half a segment: compaction writes a message and its state as one record. */
	uint64_t half = (sp->conf.segment_bytes - SEGMENT_DATA) / 2;

	return half < sp->conf.batch_max_bytes / 4 ? half : sp->conf.batch_max_bytes / 4;
}

static uint64_t
room_left(const struct spool *sp)
{
	const struct segment *s;
	uint64_t left = 0;

	if (sp->active != SLOT_NONE) {
		s = &sp->segments[sp->active];
		left = s->bytes - s->used;
	}
	return left > sp->pending->data.n ? left - sp->pending->data.n : 0;
}

/* Changes may fill the batch; puts leave a quarter of it to them. */
static enum rc
may_change(const struct spool *sp, struct err *e)
{
	if (sp->is_read_only)
		return err_set(e, RC_TEMP, "spool is read-only");
	if (sp->pending->data.n >= sp->conf.batch_max_bytes)
		return err_set(e, RC_TEMP, "too much waits for the disk");
	return RC_OK;
}

static struct str
why_no_put(const struct spool *sp, uint64_t length)
{
	if (sp->is_read_only)
		return STR("spool is read-only");
	if (sp->failures >= FAILURES_MAX)
		return STR("disk has failed");
	if (sp->pending->data.n + length > sp->conf.batch_max_bytes / 4 * 3)
		return STR("too much waits for the disk");
	/* The last eighth of the last segment is for changes: they make space. */
	if (sp->no_space && sp->n_free == 0 &&
	    room_left(sp) < length + sp->conf.segment_bytes / 8)
		return STR("no space on device");
	return STR("");
}

struct str
spool_why_no_put(const struct spool *sp)
{
	return why_no_put(sp, 0);
}

/* ---- put ---- */

static enum rc
encode_message(struct spool *sp, const struct spool_message *m, struct batch_entry *be)
{
	struct buf *data = &sp->pending->data;
	size_t lengths, begin;
	struct wire_wr w = wire_wr(data);
	uint32_t n;
	enum rc rc;

	rc = batch_begin(sp->pending, be);
	if (rc != RC_OK)
		return rc;
	lengths = data->n;
	wire_wr_uint(&w, 8, 0);
	begin = data->n;
	rc = spool_envelope_encode(m, data);
	if (rc != RC_OK)
		return rc;
	if (w.bad)
		return RC_TEMP;
	n = __builtin_bswap32((uint32_t)(data->n - begin));
	memcpy(data->p + lengths, &n, 4);
	if (m->stage == 0)
		wire_wr_raw(&w, m->content);
	if (w.bad)
		return RC_TEMP;
	if (data->n - (size_t)be->off8 * RECORD_ALIGN > record_max(sp))
		return RC_PERM;
	return batch_end(sp->pending, be);
}

static void
add_entry(struct spool *sp, const struct spool_message *m, const struct batch_entry *be)
{
	uint32_t id = index_put(&sp->index, m->number);
	struct entry *e = index_at(&sp->index, id);

	e->arrival_us = e->next_try_us = m->arrival_us;
	e->size_bytes = m->size_bytes;
	e->n_rcpts = (uint32_t)m->n_rcpts & 0xffffff;
	e->flags = (m->is_held ? SPOOL_HELD : 0) | (m->is_long ? SPOOL_LONG_ID : 0) |
		   (m->stage != 0 ? SPOOL_STAGED : 0);
	e->stage = m->stage;
	e->is_new = 1;
	e->record =
	    (struct loc){ .slot = SLOT_PENDING, .at8 = be->off8, .length = be->length };
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return true;
	return false;
}

/* Envelopes become commands, headers, log lines and mailbox separators: one place where a
 * line end cannot pass, whoever handed the message in and however it was parsed. */
static bool
has_control_anywhere(const struct spool_message *m)
{
	const struct str all[] = { m->sender, m->envid, m->origin, m->client_name,
		m->client_addr, m->client_port, m->client_proto, m->client_helo,
		m->filter, m->verp };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (has_control(all[i]))
			return true;
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (has_control(m->rcpts[i].address) || has_control(m->rcpts[i].orig) ||
		    has_control(m->rcpts[i].orcpt))
			return true;
	return false;
}

static enum rc
check_put(struct spool *sp, const struct spool_message *m, struct err *e)
{
	struct str why = why_no_put(sp, m->content.n + RECORD_HEAD);

	if (why.n > 0)
		return err_set(e, RC_TEMP, "%s", why.p);
	if (m->number < FIRST_NUMBER || m->number >= sp->next_number)
		return err_set(e, RC_PERM, "message number was not granted");
	if (index_find(&sp->index, m->number) != INDEX_NONE)
		return err_set(e, RC_PERM, "message number is in use");
	if (m->stage == 0 &&
	    (m->content.n != m->size_bytes || m->content.n > SPOOL_INLINE_MAX))
		return err_set(e, RC_PERM, "content is not as long as it should be");
	if (has_control_anywhere(m))
		return err_set(e, RC_PERM, "control character in the envelope");
	if (m->stage != 0 && m->size_bytes > INT64_MAX)
		return err_set(e, RC_PERM, "content is too long");
	return RC_OK;
}

enum rc
spool_put(struct spool *sp, const struct spool_message *m, uint64_t cookie, struct err *e)
{
	struct batch_entry be = { .number = m->number,
		.cookie = cookie,
		.type = RECORD_MESSAGE,
		.is_put = true,
		.buries = SLOT_NONE,
		.stage = m->stage,
		.stage_bytes = m->size_bytes };
	enum rc rc = check_put(sp, m, e);

	if (rc != RC_OK)
		return rc;
	if (m->stage != 0 && !stage_take(sp, m->stage))
		return err_set(e, RC_PERM, "stage file was not lent");
	rc = encode_message(sp, m, &be);
	if (rc != RC_OK) {
		batch_undo(sp->pending, &be);
		stage_give_back(sp, m->stage);
		return err_set(e, rc, "%s",
		    rc == RC_TEMP ? "too much waits for the disk"
				  : "message exceeds a limit");
	}
	add_entry(sp, m, &be);
	return RC_OK;
}

/* ---- update ---- */

static uint32_t
find_visible(const struct spool *sp, uint64_t number)
{
	uint32_t id = index_find(&sp->index, number);

	return id == INDEX_NONE || index_at(&sp->index, id)->is_new ? INDEX_NONE : id;
}

/* The state's record is in the batch; the index takes it over. */
static void
adopt_update(struct spool *sp, struct entry *e, const struct batch_entry *be)
{
	loc_drop(sp, &e->state);
	e->state =
	    (struct loc){ .slot = SLOT_PENDING, .at8 = be->off8, .length = be->length };
}

enum rc
append_update(struct spool *sp, uint32_t id, struct str state)
{
	struct entry *e = index_at(&sp->index, id);
	struct batch_entry be = {
		.number = e->number, .type = RECORD_UPDATE, .buries = SLOT_NONE
	};

	if (batch_begin(sp->pending, &be) != RC_OK)
		return RC_TEMP;
	if (buf_put(&sp->pending->data, state) != RC_OK ||
	    batch_end(sp->pending, &be) != RC_OK) {
		batch_undo(sp->pending, &be);
		return RC_TEMP;
	}
	adopt_update(sp, e, &be);
	return RC_OK;
}

static enum rc
encode_update(struct spool *sp, const struct spool_state *st, struct batch_entry *be)
{
	enum rc rc = batch_begin(sp->pending, be);

	if (rc == RC_OK)
		rc = spool_state_encode(st, &sp->pending->data);
	if (rc == RC_OK &&
	    sp->pending->data.n - (size_t)be->off8 * RECORD_ALIGN > record_max(sp))
		rc = RC_PERM;
	if (rc == RC_OK)
		rc = batch_end(sp->pending, be);
	if (rc != RC_OK)
		batch_undo(sp->pending, be);
	return rc;
}

enum rc
spool_update(
    struct spool *sp, uint64_t number, const struct spool_state *st, struct err *e)
{
	struct batch_entry be = {
		.number = number, .type = RECORD_UPDATE, .buries = SLOT_NONE
	};
	uint32_t id = find_visible(sp, number);
	struct entry *en;
	enum rc rc;

	if (id == INDEX_NONE)
		return RC_NONE;
	rc = may_change(sp, e);
	if (rc != RC_OK)
		return rc;
	en = index_at(&sp->index, id);
	if (st->n_rcpts != 0 && st->n_rcpts != en->n_rcpts)
		return err_set(e, RC_PERM, "state of %zu recipients for a message of %u",
		    st->n_rcpts, (unsigned)en->n_rcpts);
	rc = encode_update(sp, st, &be);
	if (rc != RC_OK)
		return err_set(e, rc, "%s",
		    rc == RC_TEMP ? "too much waits for the disk"
				  : "state exceeds a limit");
	adopt_update(sp, en, &be);
	en->next_try_us = st->next_try_us;
	entry_set_flags(sp, en, (en->flags & ~SPOOL_STORED_FLAGS & 0x7f) | st->flags);
	entry_due(sp, id);
	return RC_OK;
}

/* ---- delete ---- */

enum rc
spool_delete(struct spool *sp, uint64_t number, struct err *e)
{
	uint32_t id = find_visible(sp, number);
	struct batch_entry be = { .number = number, .type = RECORD_DELETE };
	struct entry *en;
	bool was_moved;
	enum rc rc;

	if (id == INDEX_NONE)
		return RC_NONE;
	rc = may_change(sp, e);
	if (rc != RC_OK)
		return rc;
	en = index_at(&sp->index, id);
	be.stage = en->stage;
	/* When compaction moved it and no commit has taken that yet, what must be buried
	 * is where it was. */
	was_moved = en->record.slot == SLOT_PENDING;
	be.buries =
	    was_moved ? batch_at(sp->pending, en->record.at8)->buries : en->record.slot;
	if (batch_begin(sp->pending, &be) != RC_OK ||
	    batch_end(sp->pending, &be) != RC_OK) {
		batch_undo(sp->pending, &be);
		return err_set(e, RC_TEMP, "too much waits for the disk");
	}
	if (was_moved)
		batch_at(sp->pending, en->record.at8)->type = RECORD_VOID;
	entry_remove(sp, id);
	return RC_OK;
}
