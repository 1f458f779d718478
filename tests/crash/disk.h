#ifndef CRASH_DISK_H
#define CRASH_DISK_H
#include "os/file.h"

/* A simulated disk behind the table of file calls. It remembers everything that was
 * written and synced, in order, so that for any moment of its history the states can be
 * built in which a crash at that moment may leave a real disk:
 *
 *   - what was synced is there;
 *   - of what was not, every sector (512 bytes) of every write may be there or not;
 *   - names made or removed are certain only after the directory was synced;
 *   - what was pending when a sync failed may be there or not for ever: the kernel
 *     forgets about it. */
struct disk;

struct disk *disk_new(void);
void disk_free(struct disk **d);
const struct os_files *disk_files(struct disk *d);

/* How many events there have been. A crash at n means: the first n have happened. */
size_t disk_now(const struct disk *d);

/* What of the unsynced survives. */
enum crash_mode {
	CRASH_ALL, /* everything: only the process died */
	CRASH_NOTHING,
	CRASH_SOME, /* every sector by itself, even odds */
	CRASH_FEW,
	CRASH_MOST,
	CRASH_WHOLE_WRITES, /* whole writes, in any combination */
	N_CRASH_MODES,
};

/* Walks through the history once, from the first event on. */
struct crash_walk;
struct crash_walk *crash_walk_new(const struct disk *d);
void crash_walk_free(struct crash_walk **w);
/* The same disk without history. */
struct disk *disk_copy(const struct disk *d);
/* The disk after a crash at `at`, which must not go backwards. Its history is empty. */
struct disk *crash_walk_image(
    struct crash_walk *w, size_t at, enum crash_mode mode, uint64_t seed);
/* Nothing is unsynced at this moment: the image is certain. */
bool crash_walk_is_clean(struct crash_walk *w, size_t at);

/* Flips one bit of some segment file; `seed` chooses. False: there is no file. */
bool disk_flip(struct disk *d, uint64_t seed);
bool disk_flip_at(struct disk *d, const char *name, int64_t byte);

/* Faults: the n-th call from now of this kind fails with this errno; 0 disarms. */
enum disk_fault { FAULT_SYNC, FAULT_WRITE, FAULT_CREATE, N_FAULTS };
void disk_fail(struct disk *d, enum disk_fault what, unsigned after, int error);
/* Every call that would change something fails with EROFS. */
void disk_read_only(struct disk *d);

uint64_t crash_random(uint64_t *state); /* splitmix64 */
#endif
