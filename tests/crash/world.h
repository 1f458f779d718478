#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H
#include "disk.h"
#include "spool/spool.h"

/* A spool on a simulated disk, somebody who uses it at random, and the ledger of all that
 * was promised to him and when. Moments are numbers of the disk's events. */

#define NEVER          SIZE_MAX
#define WORLD_MESSAGES 4000
#define WORLD_UPDATES  40
#define WORLD_GRANTS   4000

struct promise {
	uint64_t number;
	uint64_t content_seed;
	size_t content_size;
	bool is_staged;
	size_t asked_at;   /* spool_put() */
	size_t acked_at;   /* outcome RC_OK */
	size_t refused_at; /* outcome RC_TEMP */
	size_t delete_asked_at, deleted_at;
	/* Version v of the state: n_attempts is v. Version 0: none. */
	unsigned n_versions; /* asked for */
	size_t version_asked_at[WORLD_UPDATES], version_durable_at[WORLD_UPDATES];
};

struct world {
	struct disk *disk;
	struct spool *sp;
	struct arena *mem;
	uint64_t random;
	struct promise *all;
	size_t n;
	uint64_t fresh, fresh_end;
	struct grant {
		size_t at;
		uint64_t last;
	} grants[WORLD_GRANTS];
	size_t n_grants;
	struct spool_job *commit, *prepare;
	bool has_faults;
	bool is_dead;       /* the spool gave the disk up */
	uint64_t n_damages; /* reported by the last recovery */
};

struct world *world_new(uint64_t seed, bool has_faults);
void world_free(struct world **w);
/* One random thing happens. */
void world_step(struct world *w);
/* Everything that waits is committed, everything open ended. */
void world_settle(struct world *w);

/* Recovers `image` and counts what contradicts the ledger as it was at `at`; prints each
 * contradiction to stderr when `tell` is not NULL, with `tell` before it. */
struct check {
	const char *tell;
	unsigned n_lost, n_risen, n_wrong_content, n_old_state, n_other;
	uint64_t n_damages;
};
void world_check(const struct world *w, struct disk *image, size_t at, struct check *out);
/* Goes on with `image` as the disk, as after a restart, from a crash at `at`. */
void world_restart(struct world *w, struct disk *image, size_t at);
#endif
