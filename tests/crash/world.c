/* The user of the simulated spool, and what he was promised. */
#include "world.h"
#include "base/arena.h"
#include "base/crc32c.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT     ((uint64_t)32768)
#define CONTENT_MAX ((size_t)6000)
#define LIVE_GOAL   25u

static struct spool_conf
conf_of(struct world *w)
{
	struct spool_conf c = {
		.segment_bytes = SEGMENT, .spare_max = 3, .batch_max_bytes = 128 * 1024
	};

	c.seed[0] = crash_random(&w->random);
	c.seed[1] = crash_random(&w->random);
	return c;
}

static unsigned
chance(struct world *w, unsigned n)
{
	return (unsigned)(crash_random(&w->random) % n);
}

static void
open_spool(struct world *w)
{
	struct spool_conf conf = conf_of(w);
	struct spool_report report = { 0 };
	struct err e = { 0 };

	if (spool_open(disk_files(w->disk), "spool", &conf, &report, &w->sp, &e) !=
	    RC_OK) {
		(void)fprintf(stderr, "open: %s\n", e.text);
		abort();
	}
	w->n_damages = report.n_damages;
}

struct world *
world_new(uint64_t seed, bool has_faults)
{
	struct world *w = mem_get(sizeof(*w));

	w->random = seed;
	w->has_faults = has_faults;
	w->disk = disk_new();
	w->mem = arena_new((size_t)4 << 20);
	w->all = mem_array(WORLD_MESSAGES, sizeof(*w->all));
	open_spool(w);
	return w;
}

static void
drop_spool(struct world *w)
{
	struct spool_outcomes out;

	/* The process dies; only its memory has to go. */
	if (w->commit != NULL)
		spool_commit_end(w->sp, &w->commit, &out);
	if (w->prepare != NULL)
		spool_prepare_end(w->sp, &w->prepare, &out);
	spool_close(&w->sp);
}

void
world_free(struct world **wp)
{
	struct world *w = *wp;

	drop_spool(w);
	disk_free(&w->disk);
	arena_free(&w->mem);
	free(w->all);
	free(w);
	*wp = NULL;
}

/* ---- what a message looks like ---- */

static void
fill(char *to, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)('a' + (crash_random(&seed) & 15));
}

#define N_RCPTS 3
static const struct spool_rcpt rcpts[N_RCPTS] = {
	{ .address = STR_INIT("one@example.com") },
	{ .address = STR_INIT("two@example.com"), .notify = 1 },
	{ .address = STR_INIT("three@example.com"), .orcpt = STR_INIT("rfc822;3") },
};

static void
state_of(unsigned version, struct spool_rcpt_state rs[N_RCPTS], struct spool_reason *why,
    struct spool_state *out)
{
	static const char *const texts[] = { "first", "second text",
		"a third, longer text" };

	for (unsigned i = 0; i < N_RCPTS; i++)
		rs[i] = (struct spool_rcpt_state){ .what = (uint8_t)((version + i) % 5),
			.reason = (uint16_t)((version + i) % 2) };
	*why = (struct spool_reason){ .dsn = STR("4.0.0"),
		.text = str_c(texts[version % ARRAY_LEN(texts)]) };
	*out = (struct spool_state){ .next_try_us = 1000 + version,
		.n_attempts = version,
		.flags = SPOOL_DEFERRED,
		.rcpts = rs,
		.n_rcpts = N_RCPTS,
		.reasons = why,
		.n_reasons = 1 };
}

/* ---- promises ---- */

static struct promise *
promise_of(const struct world *w, uint64_t number)
{
	for (size_t i = w->n; i-- > 0;)
		if (w->all[i].number == number)
			return &w->all[i];
	return NULL;
}

static void
take_outcomes(struct world *w, const struct spool_outcomes *out)
{
	for (size_t i = 0; i < out->n; i++) {
		struct promise *p = promise_of(w, out->v[i].number);

		assert(p != NULL && p->acked_at == NEVER && p->refused_at == NEVER);
		assert(out->v[i].cookie == p->number * 2);
		if (out->v[i].rc == RC_OK)
			p->acked_at = disk_now(w->disk);
		else
			p->refused_at = disk_now(w->disk);
	}
}

/* Nothing waits any more: what was asked for before is durable now. */
static void
mark_durable(struct world *w)
{
	size_t now = disk_now(w->disk);

	if (spool_waiting(w->sp) != SPOOL_WAITING_NONE || w->commit != NULL)
		return;
	for (size_t i = 0; i < w->n; i++) {
		struct promise *p = &w->all[i];

		if (p->delete_asked_at != NEVER && p->deleted_at == NEVER)
			p->deleted_at = now;
		for (unsigned v = 0; v < p->n_versions; v++)
			if (p->version_durable_at[v] == NEVER)
				p->version_durable_at[v] = now;
	}
}

/* ---- steps ---- */

static uint64_t
last_granted(const struct world *w, size_t at)
{
	uint64_t last = 0;

	for (size_t i = 0; i < w->n_grants; i++)
		if (w->grants[i].at <= at && w->grants[i].last > last)
			last = w->grants[i].last;
	return last;
}

static uint64_t
next_number(struct world *w)
{
	uint64_t first;

	if (w->fresh == w->fresh_end) {
		uint32_t n = 1 + chance(w, 20);

		if (spool_grant_ids(w->sp, n, &first, NULL) != RC_OK)
			return 0;
		assert(first > last_granted(w, NEVER) && w->n_grants < WORLD_GRANTS);
		w->fresh = first;
		w->fresh_end = first + n;
		w->grants[w->n_grants++] =
		    (struct grant){ .at = disk_now(w->disk), .last = first + n - 1 };
	}
	return w->fresh++;
}

static bool
stage_content(struct world *w, struct spool_message *m, struct str content)
{
	const struct os_files *fs = disk_files(w->disk);
	struct err e;
	int fd;
	bool good;

	if (spool_stage_open(w->sp, &m->stage, &fd, &e) != RC_OK)
		return false;
	good = fs->pwrite(fs->ctx, fd, str_head(content, content.n / 2), 0) >= 0 &&
	       fs->pwrite(fs->ctx, fd, str_from(content, content.n / 2),
		   (int64_t)(content.n / 2)) >= 0;
	(void)fs->close(fs->ctx, fd);
	m->stage_crc = crc32c(0, content);
	if (!good)
		spool_stage_drop(w->sp, m->stage);
	return good;
}

static void
do_put(struct world *w)
{
	char content[CONTENT_MAX] = "";
	struct spool_message m = { .arrival_us = 1000, .sender = STR("s@example.org") };
	struct promise p = { .acked_at = NEVER,
		.refused_at = NEVER,
		.delete_asked_at = NEVER,
		.deleted_at = NEVER };

	m.number = next_number(w);
	if (m.number == 0 || w->n == WORLD_MESSAGES)
		return;
	p.number = m.number;
	p.content_seed = crash_random(&w->random);
	p.content_size = chance(w, 10) == 0 ? chance(w, CONTENT_MAX) : chance(w, 900);
	p.is_staged = chance(w, 8) == 0;
	fill(content, p.content_size, p.content_seed);
	m.rcpts = rcpts;
	m.n_rcpts = N_RCPTS;
	m.is_long = p.number % 2 != 0;
	m.size_bytes = p.content_size;
	if (!p.is_staged)
		m.content = str_n(content, p.content_size);
	else if (!stage_content(w, &m, str_n(content, p.content_size)))
		return;
	p.asked_at = disk_now(w->disk);
	if (spool_put(w->sp, &m, m.number * 2, NULL) == RC_OK)
		w->all[w->n++] = p;
	else
		spool_stage_drop(w->sp, m.stage);
}

static struct promise *
any_live(struct world *w)
{
	for (int tries = 0; tries < 40 && w->n > 0; tries++) {
		/* Young ones are touched more often than old ones. */
		size_t back = chance(w, 3) == 0 ? w->n : w->n < 30 ? w->n : 30;
		struct promise *p = &w->all[w->n - 1 - chance(w, (unsigned)back)];

		if (p->acked_at != NEVER && p->delete_asked_at == NEVER)
			return p;
	}
	return NULL;
}

static void
do_update(struct world *w)
{
	struct promise *p = any_live(w);
	struct spool_rcpt_state rs[N_RCPTS];
	struct spool_reason why;
	struct spool_state st;
	size_t now = disk_now(w->disk);

	if (p == NULL || p->n_versions == WORLD_UPDATES)
		return;
	state_of(p->n_versions + 1, rs, &why, &st);
	if (spool_update(w->sp, p->number, &st, NULL) != RC_OK)
		return;
	p->version_asked_at[p->n_versions] = now;
	p->version_durable_at[p->n_versions++] = NEVER;
}

static void
do_delete(struct world *w)
{
	struct promise *p = any_live(w);
	size_t now = disk_now(w->disk);

	if (p != NULL && spool_delete(w->sp, p->number, NULL) == RC_OK)
		p->delete_asked_at = now;
}

static void
do_commit(struct world *w)
{
	struct spool_outcomes out;
	struct err e = { 0 };
	enum rc rc;

	if (w->commit == NULL) {
		rc = spool_commit_begin(w->sp, &w->commit, &e);
		if (rc == RC_TEMP)
			w->is_dead = true;
		if (rc == RC_OK)
			spool_job_run(w->commit);
		return;
	}
	spool_commit_end(w->sp, &w->commit, &out);
	take_outcomes(w, &out);
	mark_durable(w);
}

static void
do_prepare(struct world *w)
{
	struct spool_outcomes out;

	if (w->prepare == NULL) {
		if (spool_prepare_begin(w->sp, &w->prepare))
			spool_job_run(w->prepare);
		return;
	}
	spool_prepare_end(w->sp, &w->prepare, &out);
	take_outcomes(w, &out);
	if (chance(w, 4) == 0)
		spool_retry(w->sp);
}

static void
do_fault(struct world *w)
{
	static const int errors[N_FAULTS] = { EIO, EIO, ENOSPC };
	enum disk_fault what = (enum disk_fault)chance(w, N_FAULTS);

	disk_fail(w->disk, what, chance(w, 6), errors[what]);
}

/* What is served while all goes well is right, too. */
static unsigned examine(
    const struct world *w, const struct promise *p, unsigned *version);

static void
do_look(struct world *w)
{
	const struct promise *p = any_live(w);
	unsigned version, wrong;

	if (p == NULL)
		return;
	wrong = examine(w, p, &version);
	assert(wrong == 0);
	assert(version == p->n_versions);
}

void
world_step(struct world *w)
{
	struct spool_totals t;
	unsigned dice = chance(w, 100);
	enum rc rc;

	spool_get_totals(w->sp, &t);
	if (dice < 30 && t.n_messages < LIVE_GOAL * 2)
		do_put(w);
	else if (dice < 42)
		do_update(w);
	else if (dice < (t.n_messages > LIVE_GOAL ? 70u : 52u))
		do_delete(w);
	else if (dice < 82)
		do_commit(w);
	else if (dice < 92)
		do_prepare(w);
	else if (dice < 96) {
		rc = spool_compact_step(w->sp, 1 + chance(w, 20000));
		assert(rc == RC_OK || rc == RC_NONE);
	} else if (dice < 98)
		do_look(w);
	else if (w->has_faults && chance(w, 3) == 0)
		do_fault(w);
}

void
world_settle(struct world *w)
{
	for (int i = 0; i < 1000 && !w->is_dead; i++) {
		do_commit(w);
		if (w->prepare != NULL || spool_waiting(w->sp) != SPOOL_WAITING_NONE)
			do_prepare(w);
		if (w->commit == NULL && w->prepare == NULL &&
		    spool_waiting(w->sp) == SPOOL_WAITING_NONE)
			break;
	}
}

/* ---- checking ---- */

static bool
right_content(struct disk *disk, struct spool *sp, const struct promise *p,
    const struct spool_loaded *got)
{
	char content[CONTENT_MAX] = "";
	struct str want = str_n(content, p->content_size);
	const struct os_files *fs = disk_files(disk);
	enum rc rc;
	int fd;

	fill(content, p->content_size, p->content_seed);
	if (got->m.size_bytes != p->content_size)
		return false;
	if (!p->is_staged)
		return str_eq(want, got->m.content);
	if (spool_stage_read(sp, p->number, &fd, NULL) != RC_OK)
		return false;
	rc = spool_stage_check(fs, fd, p->content_size, got->m.stage_crc);
	(void)fs->close(fs->ctx, fd);
	return rc == RC_OK && got->m.stage_crc == crc32c(0, want);
}

static bool
right_state(const struct spool_state *st)
{
	struct spool_rcpt_state rs[N_RCPTS];
	struct spool_reason why;
	struct spool_state want;

	if (st->n_attempts == 0)
		return st->n_rcpts == N_RCPTS && st->rcpts[0].what == SPOOL_RCPT_PENDING;
	state_of(st->n_attempts, rs, &why, &want);
	for (unsigned i = 0; i < N_RCPTS && st->n_rcpts == N_RCPTS; i++)
		if (st->rcpts[i].what != rs[i].what ||
		    st->rcpts[i].reason != rs[i].reason)
			return false;
	return st->n_rcpts == N_RCPTS && st->n_reasons == 1 && st->flags == want.flags &&
	       str_eq(st->reasons[0].text, why.text) &&
	       st->next_try_us == want.next_try_us;
}

/* How many things are wrong with a message that is there. */
static unsigned
examine(const struct world *w, const struct promise *p, unsigned *version)
{
	struct spool_loaded got;

	arena_reset(w->mem);
	*version = 0;
	if (spool_load(w->sp, p->number, SPOOL_ENVELOPE | SPOOL_STATE | SPOOL_CONTENT,
		w->mem, &got) != RC_OK)
		return 1;
	*version = got.st.n_attempts;
	return !right_content(w->disk, w->sp, p, &got) + !right_state(&got.st) +
	       !(got.m.n_rcpts == N_RCPTS &&
		   str_eq(got.m.rcpts[2].address, rcpts[2].address));
}

static void
wrong(struct check *c, unsigned *count, const struct promise *p, const char *what)
{
	(*count)++;
	if (c->tell != NULL)
		(void)fprintf(stderr, "%s: message %llu %s\n", c->tell,
		    (unsigned long long)p->number, what);
}

static void
check_present(struct check *c, const struct promise *p, size_t at, unsigned version)
{
	unsigned least = 0, most = 0;

	for (unsigned v = 0; v < p->n_versions; v++) {
		if (p->version_durable_at[v] <= at)
			least = v + 1;
		if (p->version_asked_at[v] <= at)
			most = v + 1;
	}
	if (version < least || version > most)
		wrong(c, &c->n_old_state, p, "has a state of another time");
}

/* `w` is the world after the crash. */
static void
check_one(const struct world *w, struct check *c, const struct promise *p, size_t at)
{
	struct spool_info info;
	unsigned version;
	bool is_there;

	if (p->asked_at > at)
		return;
	is_there = spool_find(w->sp, p->number, &info) == RC_OK;
	if (!is_there && p->acked_at <= at && p->delete_asked_at > at)
		wrong(c, &c->n_lost, p, "was acknowledged and is lost");
	if (is_there && p->deleted_at <= at)
		wrong(c, &c->n_risen, p, "was deleted and is back");
	if (is_there && p->refused_at <= at)
		wrong(c, &c->n_risen, p, "was refused and is back");
	if (!is_there || p->deleted_at <= at || p->refused_at <= at)
		return;
	if (examine(w, p, &version) == 0)
		check_present(c, p, at, version);
	else if (p->acked_at <= at)
		wrong(c, &c->n_wrong_content, p, "is not what was put");
	else if (!p->is_staged)
		wrong(
		    c, &c->n_wrong_content, p, "was never acknowledged, and is garbage");
}

static void
check_list(const struct world *w, struct check *c, struct spool *sp)
{
	struct spool_totals t;
	struct spool_info info;
	uint64_t cursor = 0, n = 0;

	for (; spool_list(sp, &cursor, &info) == RC_OK; n++) {
		const struct promise *p = promise_of(w, info.number);

		if (p == NULL ||
		    (info.flags & SPOOL_LONG_ID) / SPOOL_LONG_ID != p->number % 2)
			c->n_other++;
	}
	spool_get_totals(sp, &t);
	if (n != t.n_messages)
		c->n_other++;
}

void
world_check(const struct world *w, struct disk *image, size_t at, struct check *out)
{
	struct world copy = { .random = at, .disk = image, .mem = w->mem };
	uint64_t first;

	open_spool(&copy);
	out->n_damages += copy.n_damages;
	for (size_t i = 0; i < w->n; i++)
		check_one(&copy, out, &w->all[i], at);
	check_list(w, out, copy.sp);
	if (spool_grant_ids(copy.sp, 1, &first, NULL) != RC_OK ||
	    first <= last_granted(w, at)) {
		if (out->tell != NULL)
			(void)fprintf(stderr, "%s: number granted twice\n", out->tell);
		out->n_other++;
	}
	spool_close(&copy.sp);
}

/* ---- restarting ---- */

/* What the crash left open is decided by what was found. */
static void
resettle(struct world *w, struct promise *p, size_t at)
{
	struct spool_info info;
	bool is_there = spool_find(w->sp, p->number, &info) == RC_OK;
	size_t now = disk_now(w->disk);
	unsigned version = 0;
	bool was_sure = p->acked_at <= at && p->delete_asked_at > at;

	p->asked_at = 0;
	if (!is_there) {
		p->acked_at = p->delete_asked_at = 0;
		p->refused_at = NEVER;
		p->deleted_at = now;
		return;
	}
	(void)examine(w, p, &version);
	p->acked_at = was_sure ? 0 : now;
	p->refused_at = p->delete_asked_at = p->deleted_at = NEVER;
	for (unsigned v = 0; v < p->n_versions; v++) {
		p->version_durable_at[v] = v >= version                     ? NEVER
					   : p->version_durable_at[v] <= at ? 0
									    : now;
		p->version_asked_at[v] = 0;
	}
	p->n_versions = version;
}

void
world_restart(struct world *w, struct disk *image, size_t at)
{
	size_t kept = 0;

	drop_spool(w);
	disk_free(&w->disk);
	w->disk = image;
	w->is_dead = false;
	w->fresh = w->fresh_end = 0;
	open_spool(w);
	for (size_t i = 0; i < w->n; i++)
		if (w->all[i].asked_at <= at)
			w->all[kept++] = w->all[i];
	w->n = kept;
	for (size_t i = 0; i < w->n; i++)
		resettle(w, &w->all[i], at);
	w->grants[0] = (struct grant){ .at = 0, .last = last_granted(w, at) };
	w->n_grants = 1;
}
