/* The blocking middle of a commit and of housekeeping: runs on any thread and touches
 * nothing but the job and the file table. */
#include "spool/spool_int.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_GROUP 32 /* large messages whose syncs share what they can */

static bool
went_wrong(struct spool_job *j, int64_t result, const char *what)
{
	if (result >= 0)
		return false;
	if (j->error == 0) {
		j->error = (int)-result;
		j->failed = what;
	}
	return true;
}

/* ---- commit ---- */

static int
open_stage(struct spool_job *j, struct batch_entry *e)
{
	const struct os_files *fs = j->fs;
	char name[NAME_MAX_LEN];
	int fd;

	stage_name(e->stage, name);
	fd = fs->open(fs->ctx, j->stage_dir, name, OS_OPEN_WRITE);
	if (fd >= 0 && fs->size(fs->ctx, fd) >= (int64_t)e->stage_bytes &&
	    fs->sync_start(fs->ctx, fd) >= 0)
		return fd;
	if (fd >= 0)
		(void)fs->close(fs->ctx, fd);
	return -1;
}

static void
sync_stage(struct spool_job *j, struct batch_entry *e, int fd)
{
	const struct os_files *fs = j->fs;

	if (fd < 0 || fs->sync_data(fs->ctx, fd) < 0) {
		e->has_failed = true;
		e->type = RECORD_VOID;
	}
	if (fd >= 0)
		(void)fs->close(fs->ctx, fd);
}

/* The content must be durable before the record that names it can be. A file that is
 * missing or short fails its own message only. All are on their way to the disk before
 * the first is waited for, so that they share what the file system writes for them. */
static void
sync_stages(struct spool_job *j)
{
	struct batch_entry *entries[STAGE_GROUP];
	int fds[STAGE_GROUP];
	size_t i = 0, n;

	do {
		for (n = 0; n < STAGE_GROUP && i < j->batch->n; i++) {
			struct batch_entry *e = &j->batch->v[i];

			if (!e->is_put || e->stage == 0)
				continue;
			fds[n] = open_stage(j, e);
			entries[n++] = e;
		}
		for (size_t k = 0; k < n; k++)
			sync_stage(j, entries[k], fds[k]);
	} while (i < j->batch->n);
}

static void
seal(struct spool_job *j, const struct extent *x)
{
	for (size_t i = x->first; i < x->first + x->n; i++) {
		const struct batch_entry *e = &j->batch->v[i];
		struct record r = { .length = e->length,
			.epoch = x->epoch,
			.at8 = e->at8,
			.batch8 = (uint32_t)(x->at / RECORD_ALIGN),
			.number = e->number,
			.type = e->type,
			.seq = x->seq };

		record_seal(j->batch->data.p + (size_t)e->off8 * RECORD_ALIGN, &r);
	}
}

static void
run_commit(struct spool_job *j)
{
	const struct os_files *fs = j->fs;

	sync_stages(j);
	if (j->must_sync_stage_dir &&
	    went_wrong(j, fs->sync_dir(fs->ctx, j->stage_dir), "fsync of stage"))
		return;
	for (size_t i = 0; i < j->n_pages; i++)
		if (went_wrong(j,
			fs->pwrite(fs->ctx, j->pages[i].fd,
			    str_n(j->pages[i].page, HEADER_PAGE), j->pages[i].at),
			"write of header"))
			return;
	for (size_t i = 0; i < j->n_extents; i++) {
		const struct extent *x = &j->extents[i];

		seal(j, x);
		if (went_wrong(j,
			fs->pwrite(fs->ctx, x->fd,
			    str_n(j->batch->data.p + x->from, (size_t)x->length),
			    (int64_t)x->at),
			"write"))
			return;
	}
	for (size_t i = 0; i < j->n_extents; i++)
		if (went_wrong(j, fs->sync_data(fs->ctx, j->extents[i].fd), "fdatasync"))
			return;
}

/* ---- housekeeping ---- */

/* Zeros first and durably so, then the header: a segment with a valid header is whole. */
static bool
make_segment(struct spool_job *j, const char *name)
{
	const struct os_files *fs = j->fs;

	j->fd = fs->open(fs->ctx, j->dir, name, OS_OPEN_WRITE | OS_OPEN_NEW);
	if (j->fd == -EEXIST && fs->unlink(fs->ctx, j->dir, name) >= 0)
		j->fd = fs->open(fs->ctx, j->dir, name, OS_OPEN_WRITE | OS_OPEN_NEW);
	if (went_wrong(j, j->fd, "create"))
		return false;
	if (went_wrong(j, fs->zero(fs->ctx, j->fd, 0, (int64_t)j->bytes), "write") ||
	    went_wrong(j, fs->sync_data(fs->ctx, j->fd), "fdatasync"))
		return false;
	for (size_t i = 0; i < j->n_pages; i++)
		if (went_wrong(j,
			fs->pwrite(fs->ctx, j->fd, str_n(j->pages[i].page, HEADER_PAGE),
			    j->pages[i].at),
			"write"))
			return false;
	return !went_wrong(j, fs->sync_data(fs->ctx, j->fd), "fdatasync") &&
	       !went_wrong(j, fs->sync_dir(fs->ctx, j->dir), "fsync of the directory");
}

static void
run_make(struct spool_job *j)
{
	char name[NAME_MAX_LEN];

	segment_name(j->slot, name);
	if (make_segment(j, name))
		return;
	if (j->fd >= 0) {
		(void)j->fs->close(j->fs->ctx, j->fd);
		(void)j->fs->unlink(j->fs->ctx, j->dir, name);
	}
	j->fd = -1;
}

/* Each copy is durable before the other is touched, so that one is always valid; and both
 * say "free" in the end, so that losing one cannot bring back what was here. */
static void
run_free(struct spool_job *j)
{
	for (size_t i = 0; i < j->n_pages; i++)
		if (went_wrong(j,
			j->fs->pwrite(j->fs->ctx, j->fd,
			    str_n(j->pages[i].page, HEADER_PAGE), j->pages[i].at),
			"write of header") ||
		    went_wrong(j, j->fs->sync_data(j->fs->ctx, j->fd), "fdatasync"))
			return;
}

static void
run_unlink(struct spool_job *j)
{
	char name[NAME_MAX_LEN];
	int r;

	segment_name(j->slot, name);
	r = j->fs->unlink(j->fs->ctx, j->dir, name);
	if (r == -ENOENT || !went_wrong(j, r, "unlink"))
		(void)went_wrong(
		    j, j->fs->sync_dir(j->fs->ctx, j->dir), "fsync of the directory");
}

static void
run_clean(struct spool_job *j)
{
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < j->n_stages; i++) {
		stage_name(j->stages[i], name);
		(void)j->fs->unlink(j->fs->ctx, j->stage_dir, name);
	}
}

void
spool_job_run(struct spool_job *j)
{
	switch (j->kind) {
	case JOB_COMMIT:
		run_commit(j);
		break;
	case JOB_MAKE:
		run_make(j);
		break;
	case JOB_FREE:
		run_free(j);
		break;
	case JOB_UNLINK:
		run_unlink(j);
		break;
	case JOB_CLEAN:
		run_clean(j);
		break;
	}
}

struct spool_job *
job_new(const struct spool *sp, enum job_kind kind)
{
	struct spool_job *j = mem_get(sizeof(*j));

	*j = (struct spool_job){ .kind = kind,
		.fs = sp->fs,
		.dir = sp->dir,
		.stage_dir = sp->stage_dir,
		.slot = SLOT_NONE,
		.fd = -1 };
	return j;
}

void
job_add_page(
    struct spool *sp, struct spool_job *j, uint32_t slot, enum header_state state)
{
	struct segment *s = &sp->segments[slot];
	struct page_write *p;

	j->pages = mem_grow(j->pages, j->n_pages + 1, sizeof(*j->pages));
	p = &j->pages[j->n_pages++];
	p->page = mem_get(HEADER_PAGE);
	p->fd = s->fd;
	segment_header(sp, slot, (uint8_t)state, p->page);
	p->at = header_place(s->generation);
}

void
job_free(struct spool_job **job)
{
	struct spool_job *j = *job;

	for (size_t i = 0; i < j->n_pages; i++)
		free(j->pages[i].page);
	free(j->pages);
	free(j->extents);
	free(j->stages);
	free(j);
	*job = NULL;
}
