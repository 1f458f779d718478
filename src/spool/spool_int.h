#ifndef SPOOL_SPOOL_INT_H
#define SPOOL_SPOOL_INT_H
/* What the files of this folder share: the spool, its segments, its batches, its jobs. */
#include "base/buf.h"
#include "os/file.h"
#include "spool/header.h"
#include "spool/index.h"
#include "spool/record.h"
#include "spool/spool.h"

#define SEGMENT_DEFAULT ((uint64_t)16 << 20)
#define BATCH_DEFAULT   ((uint64_t)64 << 20)
#define MARK_BLOCK      UINT64_C(65536) /* numbers made grantable at a time */
#define FIRST_NUMBER    UINT64_C(65536) /* so that short ids look as people expect */
#define FAILURES_MAX    4u /* commits that fail in a row before we give the disk up */
#define NAME_MAX_LEN    96

/* ---- segments ---- */

enum segment_state {
	SEGMENT_ABSENT,   /* there is no such file */
	SEGMENT_MAKING,   /* a job is zeroing it */
	SEGMENT_FREE,     /* its free header is durable, twice */
	SEGMENT_ACTIVE,   /* records go here */
	SEGMENT_SEALED,   /* in use, complete */
	SEGMENT_FREEING,  /* empty; a job is writing its free headers */
	SEGMENT_POISONED, /* a write failed: everything from `cut_at` on does not count */
	SEGMENT_UNLINKING, /* a job is removing it */
	SEGMENT_STUCK,     /* removing it failed: left alone until spool_retry() */
};

struct segment {
	enum segment_state state;
	int fd;
	uint32_t seq;
	uint64_t epoch, generation, bytes;
	uint64_t used;       /* end of the last record */
	uint64_t live_bytes; /* of records that an entry of the index points to */
	bool is_cut;         /* was poisoned; until the file is gone */
	uint64_t cut_at;
	uint64_t touched;   /* the commit that must be durable before it may be emptied */
	bool is_unreadable; /* compaction could not read it; until spool_retry() */
	unsigned header_copies; /* of the header of use, still to be written */
	/* Slots whose free header must be durable before this one may be recycled: it has
	 * records that bury or replace something there. One bit each. */
	uint64_t *buries;
	uint32_t n_words;
};

/* ---- batches ---- */

struct batch_entry {
	uint64_t number, cookie;
	uint32_t off8, length; /* in the batch's data */
	uint8_t type;          /* enum record_type */
	bool is_put;
	bool has_failed; /* set by the job: its stage file is not as was said */
	uint32_t buries; /* slot of what it buries or replaces; SLOT_NONE */
	uint32_t stage;  /* put: its stage file; delete: the one to free afterwards */
	uint64_t stage_bytes;
	uint32_t slot, at8; /* set by the layout */
};

struct batch {
	struct buf data; /* records, each at a multiple of 8, heads not sealed */
	struct batch_entry *v;
	size_t n, cap;
	size_t n_puts;
};

/* ---- jobs ---- */

/* A run of a batch's records that are neighbours in one segment. */
struct extent {
	uint32_t slot;
	int fd;
	uint64_t epoch;
	uint32_t seq;
	uint64_t at, length; /* in the segment */
	size_t from;         /* in the batch's data */
	size_t first, n;     /* entries */
};

struct page_write {
	int fd;
	int64_t at;
	char *page; /* HEADER_PAGE bytes */
};

enum job_kind {
	JOB_COMMIT,
	JOB_MAKE,   /* zero a new segment */
	JOB_FREE,   /* write the free header of an empty one */
	JOB_UNLINK, /* remove a segment's file */
	JOB_CLEAN,  /* remove stage files nobody needs */
};

struct spool_job {
	enum job_kind kind;
	const struct os_files *fs;
	int dir, stage_dir;
	int error;          /* errno of what failed; 0: all well */
	const char *failed; /* "write", "fdatasync" … */
	/* JOB_COMMIT */
	struct batch *batch;
	struct extent *extents;
	size_t n_extents;
	struct page_write *pages; /* JOB_FREE: two */
	size_t n_pages;
	bool must_sync_stage_dir;
	uint64_t commit; /* its number */
	uint64_t mark;   /* what is grantable once it is durable */
	/* the others */
	uint32_t slot;
	int fd;
	uint64_t bytes;
	uint32_t *stages;
	size_t n_stages;
};

/* ---- stage files ---- */

enum stage_state {
	STAGE_NONE, /* no such file */
	STAGE_LENT,
	STAGE_USED,     /* a put or a message names it */
	STAGE_DISPUTED, /* recovery found two messages that name it: stays */
	STAGE_DEAD,     /* to be removed by a job */
};

struct stages {
	uint8_t *state; /* by number - 1; enum stage_state */
	uint32_t n;
	uint32_t n_files;
	uint32_t next; /* where to look for a free number */
	uint32_t *dead;
	size_t n_dead, dead_cap;
	bool has_new; /* names made since the directory was synced */
};

/* ---- the spool ---- */

struct spool {
	const struct os_files *fs;
	struct spool_conf conf;
	int dir, stage_dir, corrupt_dir;
	bool is_read_only;
	struct index index;
	struct stages stages;

	struct segment *segments; /* the file of slot s is number s + 1 */
	uint32_t n_segments;
	uint32_t active; /* slot; SLOT_NONE: none */
	uint32_t next_seq;
	uint32_t n_free;
	uint64_t n_epochs; /* made so far by this run */

	struct batch *pending; /* no commit has taken it yet */
	struct batch batches[3];
	struct spool_job *commit;       /* in flight */
	struct spool_job *housekeeping; /* in flight */
	uint64_t commit_no;             /* of the pending batch */
	uint64_t durable_no;            /* all commits up to here are durable */
	unsigned failures;              /* commits that failed in a row */
	bool wants_segment;             /* pending records do not fit in what there is */
	bool no_space; /* making a segment failed; until spool_retry() or a recycling */
	struct err trouble; /* of the last failure */

	/* Outcomes: `owed` are of puts whose commit failed and that must not be answered
	 * before they are sure not to come back. `told` belongs to the last _end(). */
	struct spool_outcome *owed, *told;
	size_t n_owed, owed_cap, n_told, told_cap;

	uint64_t next_number, mark, durable_mark;
	bool is_marking; /* a MARK record is on its way */

	uint32_t victim;              /* slot being compacted; SLOT_NONE */
	uint32_t victim_id;           /* next index place to look at */
	struct buf scratch, scratch2; /* for compaction */

	uint64_t n_held, n_deferred, n_claimed, content_bytes;
	uint64_t n_commits, n_committed;
};

/* segment.c */
void segment_name(uint32_t slot, char name[NAME_MAX_LEN]);
struct segment *segment_add(struct spool *sp, uint32_t slot); /* grows the table */
void segment_forget(struct spool *sp, uint32_t slot); /* ABSENT; closes the file */
void segment_bury(struct spool *sp, uint32_t slot, uint32_t buried);
bool segment_buries_any(const struct segment *s);
/* Slot `freed` has nothing left that could come back. */
void segment_unbury(struct spool *sp, uint32_t freed);
bool segment_is_empty(const struct spool *sp, const struct segment *s); /* recyclable */
/* Takes a free segment into use and makes it the active one; RC_NONE: there is none. */
enum rc segment_activate(struct spool *sp);
/* The header page of its present state, with its next generation. */
void segment_header(struct spool *sp, uint32_t slot, uint8_t state, char *page);
void loc_take(struct spool *sp, const struct loc *l);
void loc_drop(struct spool *sp, struct loc *l); /* sets it to none */

/* batch.c */
void batch_init(struct batch *b, uint64_t max_bytes);
void batch_fini(struct batch *b);
void batch_reset(struct batch *b);
/* Begins a record: room for its head. RC_TEMP: full. End it with batch_end(), or undo. */
MUST_USE enum rc batch_begin(struct batch *b, struct batch_entry *e);
MUST_USE enum rc batch_end(struct batch *b, struct batch_entry *e);
void batch_undo(struct batch *b, const struct batch_entry *e);
/* Copies entry `from->v[i]` with its bytes. RC_TEMP: full. */
MUST_USE enum rc batch_copy(struct batch *b, const struct batch *from, size_t i);
/* The entry whose record begins at off8; NULL: none. */
struct batch_entry *batch_at(struct batch *b, uint32_t off8);

/* outcome.c */
void outcome_tell(struct spool *sp, const struct batch_entry *e, enum rc rc);
void outcome_owe(struct spool *sp, const struct batch_entry *e);
void outcome_tell_owed(struct spool *sp);

/* put.c */
MUST_USE enum rc append_update(struct spool *sp, uint32_t id, struct str state);
void entry_account(struct spool *sp, const struct entry *e, int sign);
void entry_set_flags(struct spool *sp, struct entry *e, uint8_t flags);
void entry_due(
    struct spool *sp, uint32_t id); /* in the due heap or not, as it should be */
void entry_remove(struct spool *sp, uint32_t id);
struct str spool_why_no_put(const struct spool *sp); /* empty: it may */

/* read.c */
/* The whole record at `l`, checksum verified, in `to` (reset first).
 * RC_TEMP I/O trouble; RC_PERM damaged. */
MUST_USE enum rc read_record(
    struct spool *sp, const struct loc *l, uint64_t number, struct buf *to);

/* The update is damaged: go on with what is older, which is better than no message. */
void read_forget_state(struct spool *sp, uint64_t number);

/* stage.c */
void stage_name(uint32_t number, char name[NAME_MAX_LEN]);
bool stage_take(struct spool *sp, uint32_t number);      /* LENT to USED */
void stage_give_back(struct spool *sp, uint32_t number); /* and back; 0: nothing */
void stage_use(struct spool *sp, uint32_t number); /* recovery: a message names it */
void stage_save(struct spool *sp, uint32_t number, const char *name); /* to corrupt/ */
void stage_kill(struct spool *sp, uint32_t number); /* to be removed; 0: nothing */
void stage_gone(struct spool *sp, uint32_t number); /* was removed */
MUST_USE enum rc stage_open_all(
    struct spool *sp, struct err *e); /* recovery: the rest go */
void stage_fini(struct spool *sp);

/* recover.c */
MUST_USE enum rc recover(struct spool *sp, struct spool_report *report, struct err *e);

/* job.c */
struct spool_job *job_new(const struct spool *sp, enum job_kind kind);
void job_free(struct spool_job **job);
/* Adds writing the header of this slot, with its next generation. */
void job_add_page(
    struct spool *sp, struct spool_job *j, uint32_t slot, enum header_state state);

/* commit.c */
/* Appends a record that raises the mark; durable_mark follows when it is durable. */
void spool_append_mark(struct spool *sp, uint64_t mark);
/* Puts that wait for a segment which cannot be made are given back; changes keep waiting,
 * because they are what makes space. */
void batch_give_up_puts(struct spool *sp);
#endif
