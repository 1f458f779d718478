/* Stage files: the content of messages too large for a record. A file is made for one
 * message and removed after it: whoever was lent it may keep the descriptor for ever, and
 * must not see through it what comes later. */
#include "base/crc32c.h"
#include "spool/spool_int.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_NUMBER_MAX UINT32_C(99999999) /* what fits the name */
#define CHECK_CHUNK      ((size_t)256 * 1024)

void
stage_name(uint32_t number, char name[NAME_MAX_LEN])
{
	(void)snprintf(name, NAME_MAX_LEN, "%08u", (unsigned)number);
}

static uint8_t *
state_of(struct stages *st, uint32_t number)
{
	static const uint32_t step = 256;

	if (number > st->n) {
		uint32_t n = (number + step) / step * step;

		st->state = mem_grow(st->state, n, sizeof(*st->state));
		memset(st->state + st->n, STAGE_NONE, n - st->n);
		st->n = n;
	}
	return &st->state[number - 1];
}

static bool
is_in(const struct stages *st, uint32_t number, enum stage_state state)
{
	return number >= 1 && number <= st->n && st->state[number - 1] == state;
}

bool
stage_take(struct spool *sp, uint32_t number)
{
	if (!is_in(&sp->stages, number, STAGE_LENT))
		return false;
	*state_of(&sp->stages, number) = STAGE_USED;
	return true;
}

void
stage_give_back(struct spool *sp, uint32_t number)
{
	if (is_in(&sp->stages, number, STAGE_USED))
		*state_of(&sp->stages, number) = STAGE_LENT;
}

void
stage_use(struct spool *sp, uint32_t number)
{
	if (number == 0 || number > STAGE_NUMBER_MAX)
		return;
	/* A deletion whose record is damaged brings back a message whose file has another
	 * one's content by now. The checksum tells which of them it belongs to; the end
	 * of the wrong one must not take it away. The next opening removes it. */
	if (is_in(&sp->stages, number, STAGE_USED)) {
		*state_of(&sp->stages, number) = STAGE_DISPUTED;
		return;
	}
	if (is_in(&sp->stages, number, STAGE_DISPUTED))
		return;
	*state_of(&sp->stages, number) = STAGE_USED;
	sp->stages.n_files++;
}

void
stage_save(struct spool *sp, uint32_t number, const char *name)
{
	char from[NAME_MAX_LEN + 8], to[NAME_MAX_LEN + 16], file[NAME_MAX_LEN];

	if (!is_in(&sp->stages, number, STAGE_USED))
		return;
	stage_name(number, file);
	(void)snprintf(from, sizeof(from), "stage/%s", file);
	(void)snprintf(to, sizeof(to), "corrupt/%.80s.content", name);
	/* There before the record that makes it superfluous in stage/. */
	if (sp->fs->rename(sp->fs->ctx, sp->dir, from, to) >= 0)
		(void)sp->fs->sync_dir(sp->fs->ctx, sp->corrupt_dir);
}

void
stage_kill(struct spool *sp, uint32_t number)
{
	struct stages *st = &sp->stages;

	if (!is_in(st, number, STAGE_LENT) && !is_in(st, number, STAGE_USED))
		return;
	*state_of(st, number) = STAGE_DEAD;
	if (st->n_dead == st->dead_cap) {
		st->dead_cap = st->dead_cap == 0 ? 64 : st->dead_cap * 2;
		st->dead = mem_grow(st->dead, st->dead_cap, sizeof(*st->dead));
	}
	st->dead[st->n_dead++] = number;
}

void
stage_gone(struct spool *sp, uint32_t number)
{
	assert(is_in(&sp->stages, number, STAGE_DEAD));
	*state_of(&sp->stages, number) = STAGE_NONE;
	sp->stages.n_files--;
}

static uint32_t
free_number(struct stages *st)
{
	for (uint32_t i = 0; i < st->n; i++) {
		uint32_t number = (st->next + i) % st->n + 1;

		if (is_in(st, number, STAGE_NONE))
			return number;
	}
	return st->n + 1;
}

enum rc
spool_stage_open(struct spool *sp, uint32_t *out_number, int *out_fd, struct err *e)
{
	struct stages *st = &sp->stages;
	char name[NAME_MAX_LEN];
	uint32_t number;
	int fd = -EEXIST;

	if (sp->is_read_only)
		return err_set(e, RC_TEMP, "spool is read-only");
	/* A number whose old file could not be removed is passed over. */
	for (int tries = 0; fd == -EEXIST && tries < 100; tries++) {
		if (st->n_files >= sp->conf.stage_max)
			return err_set(e, RC_TEMP, "too many large messages at once");
		number = free_number(st);
		if (number > STAGE_NUMBER_MAX)
			return err_set(e, RC_TEMP, "too many stage files");
		st->next = number;
		stage_name(number, name);
		fd = sp->fs->open(
		    sp->fs->ctx, sp->stage_dir, name, OS_OPEN_WRITE | OS_OPEN_NEW);
		if (fd == -EEXIST)
			stage_use(sp, number);
	}
	if (fd < 0) {
		if (e != NULL)
			e->sys = -fd;
		return err_set(e, RC_TEMP, "create stage file: %s", strerror(-fd));
	}
	*state_of(st, number) = STAGE_LENT;
	st->n_files++;
	st->has_new = true;
	*out_number = number;
	*out_fd = fd;
	return RC_OK;
}

void
spool_stage_drop(struct spool *sp, uint32_t number)
{
	if (is_in(&sp->stages, number, STAGE_LENT))
		stage_kill(sp, number);
}

enum rc
spool_stage_read(struct spool *sp, uint64_t number, int *out_fd, struct err *e)
{
	uint32_t id = index_find(&sp->index, number);
	const struct entry *en = id == INDEX_NONE ? NULL : index_at(&sp->index, id);
	char name[NAME_MAX_LEN];
	int fd;

	if (en == NULL || en->is_new || en->stage == 0)
		return RC_NONE;
	stage_name(en->stage, name);
	fd = sp->fs->open(sp->fs->ctx, sp->stage_dir, name, OS_OPEN_READ);
	if (fd < 0 && fd != -ENOENT)
		return err_set(e, RC_TEMP, "open stage/%s: %s", name, strerror(-fd));
	if (fd >= 0 && sp->fs->size(sp->fs->ctx, fd) >= (int64_t)en->size_bytes) {
		*out_fd = fd;
		return RC_OK;
	}
	if (fd >= 0)
		(void)sp->fs->close(sp->fs->ctx, fd);
	spool_set_aside(sp, number);
	return err_set(
	    e, RC_PERM, "stage/%s is %s", name, fd < 0 ? "missing" : "too short");
}

enum rc
spool_stage_check(const struct os_files *fs, int fd, uint64_t size_bytes, uint32_t crc)
{
	char *chunk = mem_get(CHECK_CHUNK);
	enum rc rc = RC_OK;
	uint32_t got = 0;
	uint64_t at = 0;

	while (rc == RC_OK && at < size_bytes) {
		size_t n = size_bytes - at < CHECK_CHUNK ? (size_t)(size_bytes - at)
							 : CHECK_CHUNK;
		int64_t r = fs->pread(fs->ctx, fd, chunk, n, (int64_t)at);

		if (r < 0)
			rc = RC_TEMP;
		else if ((size_t)r < n)
			rc = RC_PERM;
		got = crc32c(got, str_n(chunk, n));
		at += n;
	}
	if (rc == RC_OK && got != crc)
		rc = RC_PERM;
	free(chunk);
	return rc;
}

/* ---- recovery ---- */

static void
remove_unused(void *arg, const char *name)
{
	struct spool *sp = arg;
	uint64_t number;

	if (str_u64(str_c(name), STAGE_NUMBER_MAX, &number) == RC_OK &&
	    (is_in(&sp->stages, (uint32_t)number, STAGE_USED) ||
		is_in(&sp->stages, (uint32_t)number, STAGE_DISPUTED)))
		return;
	(void)sp->fs->unlink(sp->fs->ctx, sp->stage_dir, name);
}

enum rc
stage_open_all(struct spool *sp, struct err *e)
{
	int r = 0;

	if (!sp->is_read_only)
		r = sp->fs->list(sp->fs->ctx, sp->stage_dir, remove_unused, sp);
	if (r < 0)
		return err_set(e, RC_TEMP, "list stage files: %s", strerror(-r));
	return RC_OK;
}

void
stage_fini(struct spool *sp)
{
	free(sp->stages.state);
	free(sp->stages.dead);
}
