#ifndef PROG_PICKUP_PICKUP_H
#define PROG_PICKUP_PICKUP_H
/* What the files of this program share. The working directory is queue_directory. */
#include <dirent.h>
#include "agent/decide.h"
#include "agent/ingest.h"
#include "agent/worker.h"
#include "base/list.h"
#include "conf/generated.h"
#include "loop/loop.h"

enum { NAME_SIZE = 64 };

struct pickup {
	struct worker *w;
	struct log *log;
	struct submit *submit;
	struct conf_pickup conf;
	struct decide *decide;
	struct ingest_conf ingest;
	struct list items; /* files being submitted, or submitted and not removed */
	size_t n_open;     /* of these, the former */
	DIR *dir;          /* a scan under way */
	bool wants_scan, is_draining;
	struct loop_task scan_task;
	struct door *doors; /* public/pickup */
	size_t n_doors;
};

/* ---- scan.c ---- */
void scan_init(struct pickup *p);
/* Looks into the maildrop, soon; any number of calls is one look. */
void scan_wake(struct pickup *p);
/* A file is finished: there is room for another. */
void scan_item_ended(struct pickup *p);

/* ---- item.c ---- */
/* Submits maildrop/NAME; files that are not complete are left alone. */
void item_start(struct pickup *p, const char *name);
bool item_is_known(const struct pickup *p, const char *name);
/* Tries again to remove files that were submitted. */
void items_remove_done(struct pickup *p);
#endif
