/* Acknowledged means present, once: the store is used at random on a simulated disk and
 * crashed at every moment of its history, in several ways at each.
 *
 * CRASH_SEED=n starts with another seed, CRASH_ROUNDS=n runs longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "world.h"

#define STEPS 160
#define LIVES 4

static uint64_t n_points;

static uint64_t
env(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v == NULL ? otherwise : strtoull(v, NULL, 0);
}

static unsigned
bad(const struct check *c)
{
	return c->n_lost + c->n_risen + c->n_wrong_content + c->n_old_state + c->n_other;
}

static void
crash_everywhere(const struct world *w, uint64_t seed, int life)
{
	struct crash_walk *walk = crash_walk_new(w->disk);

	for (size_t at = 0; at <= disk_now(w->disk); at++) {
		enum crash_mode mode = (enum crash_mode)((at + seed) % N_CRASH_MODES);
		struct disk *image = crash_walk_image(walk, at, mode, seed + at);
		char where[80];
		struct check c = { .tell = where };

		(void)snprintf(where, sizeof(where), "seed %llu life %d at %zu mode %d",
		    (unsigned long long)seed, life, at, (int)mode);
		world_check(w, image, at, &c);
		disk_free(&image);
		n_points++;
		if (bad(&c) > 0)
			fail_msg("%s: promises broken", where);
	}
	crash_walk_free(&walk);
}

/* Lives one after another, each crashed at every moment; one of the crashes is real. */
static void
run_history(uint64_t seed, bool has_faults)
{
	struct world *w = world_new(seed, has_faults);
	uint64_t random = seed * 31;

	for (int life = 0; life < LIVES; life++) {
		struct crash_walk *walk;
		struct disk *image;
		size_t at;

		for (int i = 0; i < STEPS && !w->is_dead; i++)
			world_step(w);
		crash_everywhere(w, seed, life);
		walk = crash_walk_new(w->disk);
		at = disk_now(w->disk) / 2 +
		     (size_t)(crash_random(&random) % (disk_now(w->disk) / 2 + 1));
		image = crash_walk_image(walk, at,
		    (enum crash_mode)(crash_random(&random) % N_CRASH_MODES), random);
		crash_walk_free(&walk);
		world_restart(w, image, at);
	}
	world_free(&w);
}

static void
test_crash_at_every_moment(void **state)
{
	uint64_t seed = env("CRASH_SEED", 1), rounds = env("CRASH_ROUNDS", 8);

	(void)state;
	for (uint64_t i = 0; i < rounds; i++)
		run_history(seed + i, false);
	(void)fprintf(stderr, "seeds %llu..%llu: %llu crash points\n",
	    (unsigned long long)seed, (unsigned long long)(seed + rounds - 1),
	    (unsigned long long)n_points);
	if (rounds >= 8)
		assert_true(n_points >= 2000);
}

static void
test_crash_at_every_moment_of_a_failing_disk(void **state)
{
	uint64_t seed = env("CRASH_SEED", 1) + 1000, rounds = env("CRASH_ROUNDS", 8);

	(void)state;
	for (uint64_t i = 0; i < rounds; i++)
		run_history(seed + i, true);
}

/* A flipped bit costs at most the one record that it is in. */
static void
test_flipped_bits(void **state)
{
	uint64_t seed = env("CRASH_SEED", 1) + 2000, rounds = env("CRASH_ROUNDS", 8);
	unsigned n = 0;

	(void)state;
	for (uint64_t i = 0; i < rounds; i++) {
		struct world *w = world_new(seed + i, false);
		struct crash_walk *walk;

		for (int k = 0; k < 3 * STEPS; k++)
			world_step(w);
		world_settle(w);
		walk = crash_walk_new(w->disk);
		for (uint64_t flip = 0; flip < 150; flip++) {
			struct disk *image =
			    crash_walk_image(walk, disk_now(w->disk), CRASH_ALL, seed);
			struct check c = { .tell = getenv("CRASH_TELL") };

			(void)disk_flip(image, (seed + i) * 1000 + flip);
			world_check(w, image, disk_now(w->disk), &c);
			disk_free(&image);
			n++;
			if (bad(&c) > 1)
				fail_msg("seed %llu flip %llu: %u damages by one bit",
				    (unsigned long long)(seed + i),
				    (unsigned long long)flip, bad(&c));
		}
		crash_walk_free(&walk);
		world_free(&w);
	}
	assert_true(n > 0);
}

/* ---- stories ---- */

static struct spool *
open_on(struct disk *d)
{
	struct spool_conf conf = { .segment_bytes = 32768,
		.seed = { 4, disk_now(d) + 1 } };
	struct spool_report report = { 0 };
	struct spool *sp = NULL;
	struct err e = { 0 };

	if (spool_open(disk_files(d), "spool", &conf, &report, &sp, &e) != RC_OK)
		fail_msg("open: %s", e.text);
	return sp;
}

static uint64_t
put_one(struct spool *sp, enum rc want)
{
	static const struct spool_rcpt to = { .address = STR_INIT("a@b") };
	struct spool_message m = {
		.rcpts = &to, .n_rcpts = 1, .content = STR("hello"), .size_bytes = 5
	};

	if (spool_grant_ids(sp, 1, &m.number, NULL) != RC_OK)
		return 0;
	assert_int_equal(spool_put(sp, &m, 7, NULL), want);
	return m.number;
}

static void
test_failed_sync_is_never_acknowledged(void **state)
{
	struct disk *d = disk_new();
	struct spool *sp = open_on(d);
	struct spool_outcomes out;
	struct spool_job *j;
	struct spool_info info;
	uint64_t first, refused;

	(void)state;
	first = put_one(sp, RC_OK);
	assert_int_equal(spool_sync(sp, NULL), RC_OK);
	refused = put_one(sp, RC_OK);
	disk_fail(d, FAULT_SYNC, 0, EIO);
	assert_int_equal(spool_commit_begin(sp, &j, NULL), RC_OK);
	spool_job_run(j);
	spool_commit_end(sp, &j, &out);
	assert_int_equal(out.n, 0); /* not before it is sure not to come back */
	assert_true(out.trouble.text[0] != '\0');
	assert_int_equal(spool_waiting(sp), SPOOL_WAITING_PUTS);
	while (spool_prepare_begin(sp, &j)) {
		spool_job_run(j);
		spool_prepare_end(sp, &j, &out);
	}
	assert_int_equal(spool_commit_begin(sp, &j, NULL), RC_OK);
	spool_job_run(j);
	spool_commit_end(sp, &j, &out);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.v[0].rc, RC_TEMP);
	assert_int_equal(out.v[0].cookie, 7);
	for (int life = 0; life < 3; life++) {
		assert_int_equal(spool_find(sp, first, &info), RC_OK);
		assert_int_equal(spool_find(sp, refused, &info), RC_NONE);
		spool_close(&sp);
		sp = open_on(d);
	}
	/* The poisoned segment is emptied and goes. */
	while (spool_compact_step(sp, 65536) == RC_OK) {
		assert_int_equal(spool_sync(sp, NULL), RC_OK);
		while (spool_prepare_begin(sp, &j)) {
			spool_job_run(j);
			spool_prepare_end(sp, &j, &out);
		}
	}
	assert_int_equal(spool_find(sp, first, &info), RC_OK);
	spool_close(&sp);
	disk_free(&d);
}

static void
housekeep(struct spool *sp)
{
	struct spool_outcomes out;
	struct spool_job *j;

	while (spool_prepare_begin(sp, &j)) {
		spool_job_run(j);
		spool_prepare_end(sp, &j, &out);
	}
}

#define LAG 400u

/* Both copies of a free header say "free": by then what buried its messages is gone. */
static void
test_losing_a_free_header_raises_nobody(void **state)
{
	struct disk *d = disk_new();
	struct spool *sp = open_on(d);
	uint64_t numbers[LAG];
	struct spool_totals t;
	char name[32];

	(void)state;
	/* Deletions stand segments away from what they delete. */
	for (unsigned i = 0; i < 3000 + LAG; i++) {
		uint64_t *number = &numbers[i % LAG];

		if (i >= LAG)
			assert_int_equal(spool_delete(sp, *number, NULL), RC_OK);
		if (i < 3000)
			*number = put_one(sp, RC_OK);
		assert_int_equal(spool_sync(sp, NULL), RC_OK);
		housekeep(sp);
	}
	assert_int_equal(spool_sync(sp, NULL), RC_OK);
	housekeep(sp);
	spool_close(&sp);
	for (int file = 1; file < 10; file++) {
		for (int page = 0; page < 2; page++) {
			struct disk *copy = disk_copy(d);

			(void)snprintf(name, sizeof(name), "seg-%08d", file);
			(void)disk_flip_at(copy, name, page * 4096 + 20);
			sp = open_on(copy);
			spool_get_totals(sp, &t);
			assert_int_equal(t.n_messages, 0);
			spool_close(&sp);
			disk_free(&copy);
		}
	}
	disk_free(&d);
}

static void
test_full_disk_refuses_puts_and_takes_deletions(void **state)
{
	struct disk *d = disk_new();
	struct spool *sp = open_on(d);
	struct spool_totals t;
	struct spool_info info;
	uint64_t cursor = 0;
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		struct spool_outcomes out;
		struct spool_job *j;

		disk_fail(d, FAULT_CREATE, 0, ENOSPC);
		spool_get_totals(sp, &t);
		if (!t.can_put)
			break;
		if (put_one(sp, RC_OK) == 0)
			break;
		if (spool_commit_begin(sp, &j, NULL) == RC_OK) {
			spool_job_run(j);
			spool_commit_end(sp, &j, &out);
			n += out.n > 0 && out.v[0].rc == RC_OK;
		}
		if (spool_prepare_begin(sp, &j)) {
			spool_job_run(j);
			spool_prepare_end(sp, &j, &out);
		}
	}
	assert_false(t.can_put);
	assert_true(n > 50);
	for (int i = 0; spool_list(sp, &cursor, &info) == RC_OK; i++) {
		assert_int_equal(spool_delete(sp, info.number, NULL), RC_OK);
		if (i < 40)
			assert_int_equal(spool_sync(sp, NULL), RC_OK);
	}
	disk_fail(d, FAULT_CREATE, 0, 0);
	spool_retry(sp);
	assert_int_equal(spool_sync(sp, NULL), RC_OK);
	spool_get_totals(sp, &t);
	assert_true(t.can_put);
	assert_int_equal(t.n_messages, 0);
	(void)put_one(sp, RC_OK);
	assert_int_equal(spool_sync(sp, NULL), RC_OK);
	spool_close(&sp);
	disk_free(&d);
}

static void
test_read_only_disk_is_served_and_not_written(void **state)
{
	struct disk *d = disk_new();
	struct spool *sp = open_on(d);
	uint64_t number = put_one(sp, RC_OK), first;
	struct spool_totals t;
	struct spool_info info;
	size_t before;

	(void)state;
	assert_int_equal(spool_sync(sp, NULL), RC_OK);
	spool_close(&sp);
	disk_read_only(d);
	before = disk_now(d);
	sp = open_on(d);
	assert_int_equal(spool_find(sp, number, &info), RC_OK);
	assert_int_equal(spool_grant_ids(sp, 1, &first, NULL), RC_TEMP);
	assert_int_equal(spool_delete(sp, number, NULL), RC_TEMP);
	spool_get_totals(sp, &t);
	assert_false(t.can_put);
	assert_int_equal(disk_now(d), before);
	spool_close(&sp);
	disk_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash_at_every_moment),
		cmocka_unit_test(test_crash_at_every_moment_of_a_failing_disk),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_failed_sync_is_never_acknowledged),
		cmocka_unit_test(test_losing_a_free_header_raises_nobody),
		cmocka_unit_test(test_full_disk_refuses_puts_and_takes_deletions),
		cmocka_unit_test(test_read_only_disk_is_served_and_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
