#ifndef AGENT_DECIDE_H
#define AGENT_DECIDE_H
#include "access/access.h"
#include "ask/ask.h"
#include "base/base.h"
#include "map/map.h"
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
	/* Tables shared with another struct decide of this process, which must outlive
	 * this one; NULL: its own. */
	struct decide *share;
};
MUST_USE enum rc decide_new(
    const struct decide_request *req, struct decide **out, struct err *e);
void decide_free(struct decide **d);

const struct route_conf *decide_route(const struct decide *d);
const struct access_conf *decide_access(const struct decide *d);
/* Opens one more table by name (a program's own: virtual_mailbox_maps of the agent …). */
MUST_USE enum rc decide_open_tables(
    struct decide *d, struct str text, struct ask_tables *out, struct err *e);
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

/* Makes `a` answer table questions from memory at once, and looks for changed tables (at
 * most once a second). With today's tables a decision then never returns RC_MORE for
 * ASK_MAP. */
void decide_begin(struct decide *d, struct ask *a, struct arena *mem, int64_t now_us);
#endif
