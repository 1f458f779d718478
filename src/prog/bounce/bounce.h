#ifndef PROG_BOUNCE_BOUNCE_H
#define PROG_BOUNCE_BOUNCE_H
/* What the files of this program share. */
#include "agent/decide.h"
#include "agent/delivery.h"
#include "agent/ingest.h"
#include "agent/worker.h"
#include "base/list.h"
#include "conf/generated.h"

struct bounce {
	struct worker *w;
	struct log *log; /* of the bounce service */
	struct delivery *delivery;
	struct submit *submit;
	struct conf_bounce conf;
	struct decide *decide;
	struct ingest_conf ingest;
	struct list notices;                           /* being written */
	struct list waiting;                           /* for a queue that can store */
	bool tells_bounce, tells_2bounce, tells_delay; /* notify_classes */
};

/* error, retry, discard: everything is known at once. */
void simple_start(struct bounce *b, struct delivery_job *job, bool is_discard);
/* A job with outcomes: who is to be told is told; then the job is done. */
void notice_start(struct bounce *b, struct delivery_job *job);
/* queue can store again. */
void notices_go_on(struct bounce *b);
#endif
