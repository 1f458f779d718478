#ifndef AGENT_DECIDE_H
#define AGENT_DECIDE_H
#include "access/access.h"
#include "ask/ask.h"
#include "base/base.h"
#include "loop/loop.h"
#include "map/map.h"
#include "route/list.h"
#include "route/route.h"

/* What a process needs to make decisions about addresses: the routing configuration, the
 * open tables, and the answers to questions. smtpd, queue and the commands use the same
 * one, so that what is accepted at RCPT TO is what can be delivered. */
struct conf_snapshot;
struct master_service;
struct log;
struct decide;

/* Reads the address parameters for `service` (NULL: main.cf alone) and opens every table
 * they name. Call before the process is confined. Memory:  owned by *out; `snapshot` must
 * outlive it. Returns: RC_PERM: a parameter is wrong, or nothing protects against
 * relaying (e has the fatal text, only with `with_access`). Blocks:  on the disk. */
struct decide_request {
	const struct conf_snapshot *snapshot;
	const struct master_service *service;
	struct log *log;
	bool with_access; /* compile the smtpd restriction lists, too */
	/* Only what searching a table for an address needs: the routing tables stay
	 * closed, and decide_open_tables() opens the program's own. For delivery agents.
	 */
	bool only_search;
	/* Tables of files that could not be opened are asked of `lookup`, too: for who
	 * gets a new configuration after confinement. */
	bool asks_closed;
	/* Commands: remote tables are asked here, and waited for. */
	bool asks_remote;
	/* Tables shared with another struct decide of this process, which must outlive
	 * this one; NULL: its own. */
	struct decide *share;
};
MUST_USE enum rc decide_new(
    const struct decide_request *req, struct decide **out, struct err *e);
void decide_free(struct decide **d);

const struct route_conf *decide_route(const struct decide *d);
const struct access_conf *decide_access(const struct decide *d);
/* Whether a restriction asks a policy service at a unix: endpoint: for the sandbox. */
bool decide_asks_unix_policy(const struct decide *d);
/* Opens one more list of tables (a program's own: virtual_mailbox_maps of the agent …).
 * `flags` (enum ask_flag) go with every question to them. */
MUST_USE enum rc decide_open_tables(struct decide *d, struct str text, unsigned flags,
    struct ask_tables *out, struct err *e);
/* The same for a match list of a program's own (smtpd_authorized_xclient_hosts …): names,
 * networks and tables; `/file` items are read now. */
MUST_USE enum rc decide_open_list(struct decide *d, struct str text,
    enum route_list_kind kind, struct route_list *out, struct err *e);
/* Folders for a sandbox, each once; NULL behind the last. Start: .mem. */
#define DECIDE_FOLDERS_MAX 200
struct decide_folders {
	struct arena *mem;
	const char *v[DECIDE_FOLDERS_MAX + 1];
	size_t n;
};
void decide_folders_add(struct decide_folders *f, struct str folder);
/* Those of its tables' files, which are looked at again after confinement. */
void decide_folders_of(const struct decide *d, struct decide_folders *f);

/* Makes `a` answer questions to local tables at once, and looks for changed tables (at
 * most once a second). Questions to others make the decision return RC_MORE: who may
 * meet those uses struct decide_run. */
void decide_begin(struct decide *d, struct ask *a, struct arena *mem, int64_t now_us);

/* ---- decisions that may have to wait ---- */

/* Where answers come from that are not at hand. All but the loop may be NULL: such
 * questions are trouble (RC_TEMP) then. All must outlive `d`. */
struct lookup_client;
struct net_resolver;
struct policy_client;
struct submit;
struct decide_sources {
	struct loop *loop;
	struct lookup_client *lookup;  /* ASK_MAP: tables that may keep one waiting */
	struct net_resolver *resolver; /* ASK_DNS */
	struct policy_client *policy;  /* ASK_POLICY */
	struct submit *submit;         /* ASK_VERIFY */
	int64_t verify_wait_us[2];     /* ... how long, and how long under stress */
};
void decide_use(struct decide *d, const struct decide_sources *s);

/* The decision: runs from the top each time, without side effects while it returns
 * RC_MORE. What it makes lives in a->mem. */
typedef enum rc decide_fn(void *arg, struct ask *a);

struct decide_wait;
/* One decision in progress, in the caller's storage; zero it, and set the first four. */
struct decide_run {
	struct decide *d;
	decide_fn *run;
	/* A decision that had to wait is over; `rc` as run() returned it. What lives in
	 * a->mem goes after the call. */
	void (*done)(void *arg, enum rc rc);
	void *arg;
	struct arena *mem; /* its own, while it waits */
	struct ask ask;
	struct decide_wait *wait; /* what is being fetched; in `mem` */
	enum rc rc;
	bool is_stressed; /* it waits less for probes */
};
/* Runs it with the answers that are at hand, in `scratch`. When others are needed it
 * begins anew in memory of its own, and fetches them.
 * Memory:  run() may be called several times; what it returned before is void then.
 * Returns: what run() returned, done is not called; or RC_MORE: it will be, from the
 * loop. */
MUST_USE enum rc decide_run_start(struct decide_run *r, struct arena *scratch);
/* done will not be called. Harmless when nothing waits. */
void decide_run_cancel(struct decide_run *r);
bool decide_run_is_waiting(const struct decide_run *r);
#endif
