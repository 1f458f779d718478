#ifndef AGENT_DECIDE_MAPPING_H
#define AGENT_DECIDE_MAPPING_H
#include "agent/decide.h"
#include "route/mapping.h"

/* How addresses are rewritten on their way in, from the configuration. */
struct decide_mapping {
	struct mapping_conf local; /* envelopes, and headers from local clients */
	/* Headers from other clients: to be rewritten only if rewrites_remote
	 * (remote_header_rewrite_domain is set). */
	struct mapping_conf remote;
	bool rewrites_remote;
	struct route_conf remote_route;
};

/* Reads what cleanup reads, as the service `cleanup` has it (NULL: main.cf alone), and
 * opens the tables with `d`, whose routing configuration is used. Memory:  *out in `mem`;
 * `d` must outlive it. Returns: RC_PERM a parameter is wrong. Blocks:  on the disk; call
 * before the process is confined. */
MUST_USE enum rc decide_mapping_load(struct decide *d,
    const struct conf_snapshot *snapshot, const struct master_service *cleanup,
    struct arena *mem, const struct decide_mapping **out, struct err *e);

/* Logs what mapping_address() and its kind left in *e about the message `qid`; a table
 * that failed gets a line of its own. Call it while the answers in `a` live. */
void decide_mapping_log(
    struct log *to, struct str qid, const struct ask *a, const struct err *e);
#endif
