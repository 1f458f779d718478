#ifndef PROG_VIRTUAL_H
#define PROG_VIRTUAL_H
#include "agent/decide.h"
#include "agent/delivery.h"
#include "agent/worker.h"
#include "base/hmap.h"
#include "base/list.h"
#include "conf/snapshot.h"
#include "loop/loop.h"
#include <sys/types.h>

/* virtual: delivers into mailboxes of people who need no UNIX account. The loop thread
 * looks mailboxes up and talks to the queue; pool threads write files, each under the
 * recipient's file system ids, so that many syncs share one journal commit. */

enum {
	THREADS = 16,   /* as many files are synced at a time */
	BATCH_MAX = 32, /* messages that come into one Maildir with one sync of new/ */
};

/* What one master.cf service of ours is told. Immutable while the process lives. */
struct service {
	struct str name; /* in master.cf: "virtual" */
	struct conf_virtual conf;
	struct ask_tables mailboxes, uids, gids;
	int base_fd;      /* virtual_mailbox_base, O_PATH; -1: it does not exist */
	const char *base; /* its name, for texts */
	bool use_dotlock, use_fcntl, use_flock;
	bool has_small_limit; /* a mailbox holds less than a message: no mail is taken */
};

/* What the threads have to do; the loop thread's. */
struct lanes {
	struct hmap map;    /* a lane for each mailbox that has tasks */
	struct list writes; /* tasks that wait for a thread */
	struct list moves;  /* lanes that wait for a thread: they go first */
	struct loop_task pump;
	unsigned n_running;
};

struct virtual
{
	struct worker w;
	struct delivery *delivery;
	struct decide *decide;
	struct service *services;
	size_t n_services;
	struct lanes lanes;
	long pid;         /* of this process, and */
	const char *host; /* in names of Maildir files */
	bool change_ids;  /* false when we run as an ordinary user */
};

/* Where one recipient's mail goes. */
struct box {
	const char *path; /* relative to the base, without / at the front */
	bool is_maildir;
	uid_t uid;
	gid_t gid;
};

/* What is looked up for one recipient. */
struct found {
	struct str path, uid, gid; /* as the tables say; views of the decision's memory */
	enum rc path_rc, uid_rc, gid_rc;
};

/* Why a delivery failed; an empty dsn: it did not. */
struct failure {
	char dsn[8];
	char text[400];
	char warning[400]; /* for the log, when there is more to say */
	const char *hint;  /* one more line for the log, or NULL */
};

/* The tasks for one mailbox, which share what can be shared. */
struct lane {
	struct hmap_node node;
	struct list link;    /* in moves */
	struct list written; /* Maildir: tasks whose file is whole in tmp/ */
	struct list held;    /* mbox: tasks that wait for the one that appends */
	const struct service *s;
	struct box box;
	char *path; /* box.path, the lane's own */
	size_t n_tasks;
	bool is_busy; /* a thread moves or appends */
	struct task *batch[BATCH_MAX];
	size_t n_batch; /* what that thread moves */
};

/* One recipient of one job on its way through the pool. */
struct task {
	struct list node; /* in writes, or in a list of its lane */
	struct lane *lane;
	struct virtual *v;
	const struct service *s;
	struct delivery_job *job;
	uint32_t rcpt;
	struct str recipient;     /* folded: the key of its look-ups */
	struct decide_run search; /* of its mailbox */
	struct found found;
	struct box box;
	struct failure why;
	int64_t wall_us; /* when it was given in: names and dates */
	/* Maildir */
	bool is_alone;   /* no other task for the mailbox: nothing to wait for */
	unsigned number; /* in the name under tmp/ */
	dev_t dev;       /* of the file, for its name under new/ */
	ino_t ino;
};

/* ---- lookup.c: the loop thread ---- */
/* Finds t->box, now or later, then calls task_found(). */
void lookup_box(struct task *t);

/* ---- task.c ---- */
void task_start(struct task *t);
/* RC_OK: t->box is set; else t->why. */
void task_found(struct task *t, enum rc rc);
/* Tells what became of it; the job may end with it. */
void task_report(struct task *t);

/* ---- lane.c: the loop thread ---- */
void lanes_init(struct virtual *v);
/* Writes when it may and reports; the mailbox is known. */
void lanes_add(struct task *t);

/* ---- the pool's threads; false: t->why says it ---- */
/* A whole and durable file under tmp/. */
bool maildir_write(struct task *t);
/* The files of 1 .. BATCH_MAX tasks for the same mailbox from tmp/ to new/, durably. Each
 * task's `why` says what became of it. */
void maildir_move(struct task *const *tasks, size_t n);
bool mbox_deliver(struct task *t);

/* ---- open.c ---- */
/* Opens below the base; symbolic links may not lead out of it. -1 and errno. */
int open_beneath(int base_fd, const char *path, int flags, mode_t mode);
/* Makes each folder of `path` that is missing, with mode 0700, durably. */
bool make_folders(int base_fd, const char *path);
/* Names in the folder are on the disk. A folder that may not be read by us cannot be
 * synced on its own: the file system's journal has to do then. */
bool sync_folder(int folder_fd);

/* ---- text.c: what goes into the file ---- */
struct writer {
	int fd;
	uint64_t size, limit; /* written so far; 0: no limit */
	char *p;              /* what waits to be written */
	size_t n, cap;
	bool is_mbox;    /* quote "From " lines */
	bool at_line;    /* the next byte begins a line */
	bool pending_cr; /* a CR was the last byte of the piece before */
};
/* The header lines that deliveries begin with, then the message with LF line ends. False:
 * errno (EFBIG: the limit). */
bool text_write(struct writer *w, const struct task *t);

void fail_errno(struct failure *f, int error);
#endif
