#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H
#include "base/base.h"
#include "spool/message.h"
#include "spool/queue_id.h"

/* The message store: a log of segments with group commit. docs/spool-format.md has the
 * bytes; README.md the ideas.
 *
 * One thread owns a spool and makes all calls but spool_job_run(), which may run on any
 * other. Time and randomness come from outside. Acknowledged means present, once: an
 * outcome of RC_OK says the message is on stable storage. */
struct spool;
struct spool_job;
struct os_files;
struct arena;

struct spool_conf {
	uint64_t segment_bytes;   /* 0: 16 MiB; a multiple of 4096 */
	uint32_t spare_max;       /* free segments kept for reuse; 0: 8 */
	uint32_t stage_max;       /* stage files at most; 0: 10000 */
	uint64_t batch_max_bytes; /* records that may wait for a commit; 0: 64 MiB */
	uint64_t
	    seed[2]; /* secret random bits, new ones at each open: epochs come of them */
	bool
	    is_command; /* opened by a command: grants no ids, makes no segment unasked */
};

/* One thing recovery found wrong, for the log. */
struct spool_damage {
	const char *file; /* name in the spool's directory */
	uint64_t offset, length;
	const char *what;
	bool is_new; /* not seen by an earlier recovery: a copy was put into corrupt/ */
};

struct spool_report {
	void *arg;                                                 /* for on_damage */
	void (*on_damage)(void *arg, const struct spool_damage *); /* may be NULL */
	uint64_t n_messages, n_held, n_segments, n_records, n_damages;
	uint64_t torn_bytes; /* unfinished commits that were cut off */
	bool is_read_only; /* the file system refuses writing: reads are served, puts not
			    */
};

/* Opens the spool in directory `dir` (made if absent), recovers it, and locks it.
 *
 * Memory:  a few dozen bytes per message until spool_close().
 * Returns: RC_TEMP in use by another process (e->sys is EWOULDBLOCK), or I/O trouble.
 * Blocks:  on disk; reads every live segment. */
MUST_USE enum rc spool_open(const struct os_files *fs, const char *dir,
    const struct spool_conf *conf, struct spool_report *report, struct spool **out,
    struct err *e) __attribute__((nonnull(1, 2, 3, 4, 5)));
/* No job may be open. Records that wait for a commit are given up: commit first.
 * Sets *sp to NULL. */
void spool_close(struct spool **sp);

/* ---- writing: into the batch that the next commit makes durable ---- */

/* Numbers *out_first ... + count - 1, never granted before, not even by an earlier run.
 * Returns: RC_TEMP none can be granted now. */
MUST_USE enum rc spool_grant_ids(
    struct spool *sp, uint32_t count, uint64_t *out_first, struct err *e);

/* Appends the message; it becomes visible, and its outcome (with `cookie`) known, in
 * spool_commit_end(). All bytes are copied before the return.
 * Returns: RC_TEMP no space, read-only, failing disk, or too much waits already: call
 *          again later; RC_PERM number not granted or in use, stage file not lent, a
 *          control character in the envelope, or something exceeds its limit. Then a
 *          stage file is still lent. */
MUST_USE enum rc spool_put(
    struct spool *sp, const struct spool_message *m, uint64_t cookie, struct err *e);

/* Replaces the message's state. n_rcpts must be that of the message, or 0: all pending.
 * A claimed message stays claimed. Durable after the next commit; the spool sees to
 * that by itself, whatever the disk does. Visible at once.
 * Returns: RC_NONE no such message; RC_TEMP read-only or too much waits; RC_PERM a limit
 *          is exceeded. */
MUST_USE enum rc spool_update(
    struct spool *sp, uint64_t number, const struct spool_state *st, struct err *e);

/* Changes flags and, when next_try_us >= 0, the time; keeps the rest of the state.
 * Blocks:  on reading the present state. Returns: as spool_update(). */
struct spool_mark {
	uint8_t set, clear; /* of SPOOL_STORED_FLAGS */
	int64_t next_try_us;
};
MUST_USE enum rc spool_mark(
    struct spool *sp, uint64_t number, const struct spool_mark *m, struct err *e);

/* The message is gone at once; durably so after the next commit.
 * Returns: RC_NONE no such message; RC_TEMP read-only or too much waits. */
MUST_USE enum rc spool_delete(struct spool *sp, uint64_t number, struct err *e);

/* ---- commit: begin, run (any thread), end; one at a time ---- */

enum spool_waiting {
	SPOOL_WAITING_NONE,
	SPOOL_WAITING_CHANGES, /* updates, deletions, moves: nobody's answer depends on
				  them */
	SPOOL_WAITING_PUTS,    /* somebody waits for a 250 */
};
enum spool_waiting spool_waiting(const struct spool *sp);

/* Takes the batch.
 * Returns: RC_NONE nothing waits, or a commit is open; RC_MORE a free segment is needed
 *          first: run spool_prepare_begin()'s job, then call again; RC_TEMP the disk has
 *          failed for good: end the process and open again. */
MUST_USE enum rc spool_commit_begin(
    struct spool *sp, struct spool_job **out, struct err *e);

/* Does the job's I/O. Blocks: on disk. Thread: any; touches nothing but the job. */
void spool_job_run(struct spool_job *job);

struct spool_outcome {
	uint64_t cookie, number;
	/* RC_OK: durable. RC_TEMP: not stored, and sure not to come back: after a failed
	 * write that is known only when a later commit is durable, and never told when
	 * the disk has failed for good. */
	enum rc rc;
};
struct spool_outcomes {
	const struct spool_outcome *v;
	size_t n;
	uint64_t n_records; /* that this commit made durable */
	struct err trouble; /* text is empty when all went well */
};
/* Applies what came of the job and frees it.
 * Memory:  out->v is valid until the next spool_commit_end() or spool_prepare_end(). */
void spool_commit_end(
    struct spool *sp, struct spool_job **job, struct spool_outcomes *out);

/* Housekeeping beside commits: zeroing a new segment, recycling empty ones. One at a
 * time, may overlap a commit. Ask after every commit_end and prepare_end.
 * Returns: false: nothing to do. */
bool spool_prepare_begin(struct spool *sp, struct spool_job **out);
/* out: puts that failed because no segment could be made. */
void spool_prepare_end(
    struct spool *sp, struct spool_job **job, struct spool_outcomes *out);
/* Tries again to make segments after "no space". Call when space may be back. */
void spool_retry(struct spool *sp);

/* Moves at most about `budget_bytes` of live records out of the emptiest segment into
 * the batch, when segments hold too much garbage or one is poisoned.
 * Returns: RC_OK worked: commit what waits, and call again; RC_NONE nothing to do now.
 * Blocks:  on reads of `budget_bytes`. */
MUST_USE enum rc spool_compact_step(struct spool *sp, size_t budget_bytes);

/* begin, run and end of everything that waits, for commands and tests. Outcomes of puts
 * are lost. Returns: RC_TEMP something could not be written. Blocks: on disk. */
MUST_USE enum rc spool_sync(struct spool *sp, struct err *e);

/* ---- reading ---- */

struct spool_info {
	uint64_t number;
	int64_t arrival_us, next_try_us;
	uint64_t size_bytes;
	uint32_t n_rcpts;
	uint8_t flags; /* enum spool_flag */
};
MUST_USE enum rc spool_find(
    const struct spool *sp, uint64_t number, struct spool_info *out);
/* By queue id, which must be exactly this message's. RC_NONE: no such message. */
MUST_USE enum rc spool_find_id(
    const struct spool *sp, struct str id, struct spool_info *out);
struct queue_id spool_info_id(const struct spool_info *info);

/* Walks all messages, roughly in order of arrival: start with *cursor = 0. The spool may
 * change between calls; what is there all the time is seen exactly once.
 * Returns: RC_NONE at the end. */
MUST_USE enum rc spool_list(
    const struct spool *sp, uint64_t *cursor, struct spool_info *out);

/* The message with the smallest next_try_us that is neither held nor claimed.
 * Returns: RC_NONE there is none. */
MUST_USE enum rc spool_first_due(const struct spool *sp, struct spool_info *out);
/* A claimed message is not due and its content stays readable. In memory only. Both are
 * harmless for unknown numbers. */
void spool_claim(struct spool *sp, uint64_t number);
void spool_unclaim(struct spool *sp, uint64_t number);
/* Changes the due time in memory only: for flushing a million messages. */
void spool_touch(struct spool *sp, uint64_t number, int64_t next_try_us);

enum spool_part {
	SPOOL_ENVELOPE = 1,
	SPOOL_STATE = 2,
	SPOOL_CONTENT = 4, /* inline content; a staged message's is left empty */
};
struct spool_loaded {
	struct spool_message m; /* SPOOL_ENVELOPE, SPOOL_CONTENT */
	struct spool_state st;  /* SPOOL_STATE; n_rcpts is always m's when ENVELOPE too */
};
/* Reads the parts asked for, checksums verified.
 *
 * Memory:  all of *out lives in `mem`.
 * Returns: RC_NONE no such message; RC_TEMP I/O trouble or `mem` is full; RC_PERM
 *          damaged: it was set aside into corrupt/ and deleted.
 * Blocks:  on one or two reads, from the page cache as a rule. */
MUST_USE enum rc spool_load(struct spool *sp, uint64_t number, unsigned parts,
    struct arena *mem, struct spool_loaded *out) __attribute__((nonnull));

/* ---- stage files: the content of large messages ---- */

/* Lends an empty file. *out_fd is the caller's to close or to pass on.
 * Returns: RC_TEMP none can be had. Blocks: on a directory operation. */
MUST_USE enum rc spool_stage_open(
    struct spool *sp, uint32_t *out_number, int *out_fd, struct err *e);
/* The file is free again; for one that was lent and not put. Harmless otherwise. */
void spool_stage_drop(struct spool *sp, uint32_t number);
/* A read-only descriptor of a staged message's content, the caller's to close.
 * Returns: RC_NONE no such message or not staged; RC_TEMP I/O trouble; RC_PERM the file
 *          is missing or too short: set aside and deleted. */
MUST_USE enum rc spool_stage_read(
    struct spool *sp, uint64_t number, int *out_fd, struct err *e);
/* Whether the file's first `size_bytes` bytes have this CRC; the writer may have lied or
 * changed them since. Blocks: on reading them; any thread.
 * Returns: RC_PERM it has not: call spool_set_aside(); RC_TEMP I/O trouble. */
MUST_USE enum rc spool_stage_check(
    const struct os_files *fs, int fd, uint64_t size_bytes, uint32_t crc);
/* Copies the message's record into corrupt/ and deletes the message. */
void spool_set_aside(struct spool *sp, uint64_t number);

/* ---- condition ---- */

struct spool_totals {
	uint64_t n_messages, n_held, n_deferred, n_claimed;
	uint64_t content_bytes;
	uint64_t n_segments, n_free_segments, live_bytes;
	uint64_t memory_bytes; /* of the index */
	uint64_t n_commits, n_committed_records;
	bool can_put; /* a put now would not be refused for lack of space or a failing
			 disk */
	struct str why_not; /* static text */
};
void spool_get_totals(const struct spool *sp, struct spool_totals *out);
/* Free bytes of the file system, free segments included: for queue_minfree.
 * Blocks: on one system call. */
uint64_t spool_free_bytes(const struct spool *sp);
#endif
