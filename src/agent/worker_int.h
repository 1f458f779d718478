#ifndef AGENT_WORKER_INT_H
#define AGENT_WORKER_INT_H
#include "agent/boot.h"
#include "agent/worker.h"
#include "loop/loop.h"

enum { WORKER_ARENA_MAX = 64 << 20 };

struct worker_int {
	const struct worker_ops *ops;
	void *arg;
	struct ipc_channel *control;
	struct lookup_client *lookup; /* NULL: nobody asked for it */
	struct boot boot;
	struct loop_task log_hook;
	struct loop_signal sigterm, sighup, sigint;
	struct loop_timer deadline; /* of stopping */
	struct arena *conf_mem;     /* of a later snapshot (queue only); NULL: w->mem */
	bool is_ending;             /* drain or stop was asked for */
	bool has_stopped;
};

/* Fills w->services from w->snapshot: the lines whose command is our role's. */
MUST_USE enum rc worker_services_make(struct worker *w, struct arena *mem, struct err *e);
/* Value of a parameter as seen by a service (NULL: of nobody). */
MUST_USE enum rc worker_param(struct worker *w, const struct master_service *s,
    const char *name, struct arena *mem, struct str *out, struct err *e);
#endif
