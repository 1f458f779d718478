/* Opening, closing, numbers, condition. */
#include "spool/spool.h"
#include "spool/spool_int.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_DEFAULT 8u
#define STAGE_DEFAULT 10000u

static void
set_defaults(struct spool_conf *c)
{
	if (c->segment_bytes == 0)
		c->segment_bytes = SEGMENT_DEFAULT;
	if (c->spare_max == 0)
		c->spare_max = SPARE_DEFAULT;
	if (c->stage_max == 0)
		c->stage_max = STAGE_DEFAULT;
	if (c->batch_max_bytes == 0)
		c->batch_max_bytes = BATCH_DEFAULT;
	assert(c->segment_bytes % HEADER_PAGE == 0 && c->segment_bytes > SEGMENT_DATA);
	assert(c->segment_bytes <= UINT32_MAX && c->batch_max_bytes <= (uint64_t)1 << 30);
}

static struct spool *
new_spool(const struct os_files *fs, const struct spool_conf *conf)
{
	struct spool *sp = mem_get(sizeof(*sp));

	*sp = (struct spool){ .fs = fs,
		.conf = *conf,
		.dir = -1,
		.stage_dir = -1,
		.corrupt_dir = -1,
		.active = SLOT_NONE,
		.victim = SLOT_NONE,
		.next_seq = 1,
		.commit_no = 1,
		.mark = FIRST_NUMBER };
	set_defaults(&sp->conf);
	index_init(&sp->index);
	/* Several times what may wait, because a failed commit is written once more. */
	for (size_t i = 0; i < ARRAY_LEN(sp->batches); i++)
		batch_init(&sp->batches[i], sp->conf.batch_max_bytes * 4);
	sp->pending = &sp->batches[0];
	buf_init(&sp->scratch, (size_t)sp->conf.segment_bytes * 4);
	buf_init(&sp->scratch2, (size_t)sp->conf.segment_bytes * 4);
	return sp;
}

static int
open_dir(struct spool *sp, int parent, const char *name)
{
	const struct os_files *fs = sp->fs;
	int r = fs->make_dir(fs->ctx, parent, name);

	if (r == -EROFS)
		sp->is_read_only = true;
	return fs->open(fs->ctx, parent, name, OS_OPEN_DIR);
}

/* Whether files can be made here; only trying tells. */
static void
probe_writing(struct spool *sp)
{
	const struct os_files *fs = sp->fs;
	int fd = fs->open(fs->ctx, sp->dir, "probe", OS_OPEN_WRITE | OS_OPEN_CREATE);

	if (fd >= 0) {
		(void)fs->close(fs->ctx, fd);
		(void)fs->unlink(fs->ctx, sp->dir, "probe");
	} else if (fd == -EROFS || fd == -EACCES || fd == -EPERM) {
		sp->is_read_only = true;
	}
}

static enum rc
open_dirs(struct spool *sp, const char *dir, struct err *e)
{
	int r;

	sp->dir = open_dir(sp, OS_FILES_CWD, dir);
	if (sp->dir < 0)
		return err_set(e, RC_TEMP, "open %s: %s", dir, strerror(-sp->dir));
	r = sp->fs->lock(sp->fs->ctx, sp->dir);
	if (r < 0) {
		if (e != NULL)
			e->sys = -r;
		(void)err_set(e, RC_TEMP, "%s: %s", dir,
		    r == -EWOULDBLOCK ? "in use by another process" : strerror(-r));
		if (e != NULL)
			e->sys = -r;
		return RC_TEMP;
	}
	probe_writing(sp);
	sp->stage_dir = open_dir(sp, sp->dir, "stage");
	sp->corrupt_dir = open_dir(sp, sp->dir, "corrupt");
	if ((sp->stage_dir < 0 || sp->corrupt_dir < 0) && !sp->is_read_only)
		return err_set(e, RC_TEMP, "%s: cannot make stage and corrupt", dir);
	if (!sp->is_read_only)
		(void)sp->fs->sync_dir(sp->fs->ctx, sp->dir);
	return RC_OK;
}

enum rc
spool_open(const struct os_files *fs, const char *dir, const struct spool_conf *conf,
    struct spool_report *report, struct spool **out, struct err *e)
{
	struct spool *sp = new_spool(fs, conf);
	enum rc rc;

	rc = open_dirs(sp, dir, e);
	if (rc == RC_OK)
		rc = recover(sp, report, e);
	if (rc == RC_OK)
		rc = stage_open_all(sp, e);
	if (rc != RC_OK) {
		spool_close(&sp);
		return rc;
	}
	report->is_read_only = sp->is_read_only;
	sp->next_number = sp->mark;
	if (!sp->is_read_only && !conf->is_command) {
		spool_append_mark(sp, sp->mark + MARK_BLOCK);
		rc = spool_sync(sp, NULL);
		/* Without space it stays in the batch, and no numbers are granted. */
		assert(rc == RC_OK || sp->pending->n > 0);
	}
	*out = sp;
	return RC_OK;
}

void
spool_close(struct spool **spp)
{
	struct spool *sp = *spp;
	const int dirs[] = { sp->dir, sp->stage_dir, sp->corrupt_dir };

	assert(sp->commit == NULL && sp->housekeeping == NULL);
	for (uint32_t i = 0; i < sp->n_segments; i++)
		segment_forget(sp, i);
	free(sp->segments);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (dirs[i] >= 0)
			(void)sp->fs->close(sp->fs->ctx, dirs[i]);
	for (size_t i = 0; i < ARRAY_LEN(sp->batches); i++)
		batch_fini(&sp->batches[i]);
	index_fini(&sp->index);
	stage_fini(sp);
	buf_fini(&sp->scratch);
	buf_fini(&sp->scratch2);
	free(sp->owed);
	free(sp->told);
	free(sp);
	*spp = NULL;
}

enum rc
spool_grant_ids(struct spool *sp, uint32_t count, uint64_t *out_first, struct err *e)
{
	if (sp->is_read_only || sp->conf.is_command)
		return err_set(e, RC_TEMP, "spool is read-only");
	if (!sp->is_marking && sp->mark - sp->next_number < MARK_BLOCK / 2 + count)
		spool_append_mark(sp, sp->mark + MARK_BLOCK + count);
	/* A number must be known to be taken before anybody may use it: a process that
	 * was given some may live longer than we do. */
	if (sp->durable_mark < sp->next_number + count)
		return err_set(
		    e, RC_TEMP, "no numbers can be granted before the next commit");
	*out_first = sp->next_number;
	sp->next_number += count;
	return RC_OK;
}

/* ---- everything at once ---- */

static bool
housekeep(struct spool *sp)
{
	struct spool_outcomes out;
	struct spool_job *j;

	if (!spool_prepare_begin(sp, &j))
		return false;
	spool_job_run(j);
	spool_prepare_end(sp, &j, &out);
	return true;
}

enum rc
spool_sync(struct spool *sp, struct err *e)
{
	struct spool_outcomes out;
	struct spool_job *j;
	enum rc rc;

	assert(sp->commit == NULL && sp->housekeeping == NULL);
	while ((rc = spool_commit_begin(sp, &j, e)) != RC_NONE) {
		if (rc == RC_MORE && housekeep(sp) && !sp->no_space)
			continue;
		if (rc != RC_OK)
			return RC_TEMP;
		spool_job_run(j);
		spool_commit_end(sp, &j, &out);
	}
	return RC_OK;
}

/* ---- marks ---- */

static void
put_be64(char *to, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(to, &v, 8);
}

/* Where flags and time stand in an encoded state. */
#define STATE_FLAGS_AT 1
#define STATE_TIME_AT  8

static enum rc
mark_bytes(struct spool *sp, const struct entry *en, struct str *out)
{
	struct message_parts mp;
	struct spool_state st = { .next_try_us = en->next_try_us };
	enum rc rc;

	if (en->state.length != 0) {
		rc = read_record(sp, &en->state, en->number, &sp->scratch);
		if (rc == RC_OK)
			*out = record_payload(buf_view(&sp->scratch));
		if (rc != RC_PERM)
			return rc;
		read_forget_state(sp, en->number);
	}
	rc = read_record(sp, &en->record, en->number, &sp->scratch);
	if (rc != RC_OK)
		return rc;
	if (!record_parts(record_payload(buf_view(&sp->scratch)), &mp))
		return RC_PERM;
	if (mp.state.n == 0) {
		buf_reset(&sp->scratch);
		rc = spool_state_encode(&st, &sp->scratch);
		mp.state = buf_view(&sp->scratch);
	}
	*out = mp.state;
	return rc;
}

enum rc
spool_mark(struct spool *sp, uint64_t number, const struct spool_mark *m, struct err *e)
{
	uint32_t id = index_find(&sp->index, number);
	struct entry *en;
	struct str bytes;
	char *p;
	enum rc rc;

	if (id == INDEX_NONE || index_at(&sp->index, id)->is_new)
		return RC_NONE;
	if (sp->is_read_only)
		return err_set(e, RC_TEMP, "spool is read-only");
	en = index_at(&sp->index, id);
	rc = mark_bytes(sp, en, &bytes);
	if (rc != RC_OK)
		return err_set(e, rc, "state cannot be read");
	if (m->next_try_us >= 0)
		en->next_try_us = m->next_try_us;
	entry_set_flags(sp, en,
	    (uint8_t)((en->flags & ~(m->clear & SPOOL_STORED_FLAGS)) |
		      (m->set & SPOOL_STORED_FLAGS)));
	entry_due(sp, id);
	p = sp->scratch.p + (bytes.p - sp->scratch.p);
	p[STATE_FLAGS_AT] = (char)(en->flags & SPOOL_STORED_FLAGS);
	put_be64(p + STATE_TIME_AT, (uint64_t)en->next_try_us);
	rc = append_update(sp, id, bytes);
	return rc == RC_OK ? RC_OK : err_set(e, rc, "too much waits for the disk");
}

/* ---- condition ---- */

void
spool_get_totals(const struct spool *sp, struct spool_totals *out)
{
	*out = (struct spool_totals){ .n_messages = sp->index.n,
		.n_held = sp->n_held,
		.n_deferred = sp->n_deferred,
		.n_claimed = sp->n_claimed,
		.content_bytes = sp->content_bytes,
		.n_free_segments = sp->n_free,
		.memory_bytes = index_memory(&sp->index),
		.n_commits = sp->n_commits,
		.n_committed_records = sp->n_committed,
		.why_not = spool_why_no_put(sp) };
	out->can_put = out->why_not.n == 0;
	for (uint32_t i = 0; i < sp->n_segments; i++) {
		out->n_segments += sp->segments[i].state != SEGMENT_ABSENT;
		out->live_bytes += sp->segments[i].live_bytes;
	}
}

uint64_t
spool_free_bytes(const struct spool *sp)
{
	struct os_space space = { 0 };

	(void)sp->fs->space(sp->fs->ctx, sp->dir, &space);
	return space.free_bytes + (uint64_t)sp->n_free * sp->conf.segment_bytes;
}
