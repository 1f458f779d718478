#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H
#include "base/base.h"
#include "os/sandbox.h"
#include "wire/messages.h"

struct arena;
struct conf_snapshot;
struct ipc_channel;
struct lookup_client;
struct log;
struct loop;
struct master_service; /* conf: one master.cf line */

/* What every daemon that master starts has in common: the descriptors it was given, the
 * configuration snapshot, loop, log, control channel.
 *
 * main.c is:
 *     worker_init(&w, argc, argv, "smtpd", &ops, &me);
 *     ... open what needs files or privileges: tables, directories ...
 *     worker_confine(&w, &sandbox);
 *     return worker_run(&w);
 *
 * The first exits with a message when it fails; the second drops to mail_owner, enters
 * the sandbox and tells master `ready`. Peers and events arrive inside worker_run(). */

/* One master.cf line whose work this process does. */
struct worker_service {
	const struct master_service *entry; /* its fields, arguments, -o overrides */
	struct str name;         /* as written: "smtp", "submission", "127.0.0.1:2525" */
	struct str service_name; /* value of $service_name */
	struct str command;      /* "smtpd", "bounce", "error" … */
	struct str type;         /* "inet", "unix", "pass" */
	struct log *log;   /* tag "postfix/smtpd", or what its syslog_name makes of it */
	const int *listen; /* nonblocking listening sockets; none for transports */
	size_t n_listen;
	uint32_t maxproc; /* simultaneous sessions; 0: no limit */
};

struct worker_ops {
	/* A channel was introduced: make an ipc_channel of it. `purpose` is "submit" or
	 * "delivery" (see messages.ipc). The fd is yours. NULL: it is closed. Those to
	 * `lookup` do not come here once worker_lookup() was called. */
	void (*on_peer)(void *arg, const struct wire_peer *m);
	/* A wake-up of master.cf, or somebody poked the endpoint. NULL: ignored. */
	void (*on_trigger)(void *arg, struct str service);
	/* Accept nothing new, finish what is open, then loop_stop(). The listening
	 * sockets may be closed by worker_close_listeners(). Required. */
	void (*on_drain)(void *arg);
	/* Finish within seconds, then loop_stop(). NULL: as on_drain. */
	void (*on_stop)(void *arg);
	/* queue only: w->snapshot and w->services are the new ones. True: nothing refers
	 * to the old ones, their strings and their logs any more; they are freed. False:
	 * the new ones cannot be used, nothing refers to them; the old ones come back.
	 * NULL: ignored. */
	bool (*on_new_conf)(void *arg);
};

struct worker {
	const char *role; /* "smtpd" */
	struct loop *loop;
	struct log *log;                      /* tag "postfix/<role>" */
	struct arena *mem;                    /* lives as long as the process */
	const struct conf_snapshot *snapshot; /* conf/snapshot.h; both files */
	struct worker_service *services;
	size_t n_services;
	const char *config_dir;
	uint32_t instance;  /* number of this process, unique while master lives */
	uint32_t n_workers; /* processes of this role started together */
	uint32_t worker_at; /* which of them this is */
	bool is_root;       /* false: ordinary user mode, nobody changes uid */
	bool keep_setid; /* virtual sets it before worker_confine(): keeps CAP_SETUID */
	struct worker_int *in; /* private */
};

/* Reads the arguments master gives (it is not a command for people: says so and exits
 * otherwise). Does not return when anything fails: logs "fatal: …" and exits with 1. */
void worker_init(struct worker *w, int argc, char **argv, const char *role,
    const struct worker_ops *ops, void *arg);
/* Drops privileges, enters the sandbox, tells master `ready`. Exits when it fails. */
void worker_confine(struct worker *w, const struct os_sandbox *s);
/* Runs the loop to its end, flushes, frees. Returns the exit status. */
MUST_USE int worker_run(struct worker *w);
void worker_close_listeners(struct worker *w);
/* The service called `name` in master.cf; NULL: this process does not serve it. */
struct worker_service *worker_service(struct worker *w, struct str name);

/* This process's way to tables that may keep one waiting; made by the first call, before
 * worker_run(). Master is asked to start `lookup` when there is a question for it. */
struct lookup_client *worker_lookup(struct worker *w);
/* There is work for a role that master starts only then ("anvil"), or a channel is wanted
 * ("submit", "delivery", "lookup"). Who needs it says so again until it is there: nothing
 * is said while there is no descriptor for it. */
void worker_need(struct worker *w, struct str role);
/* For submit_on_lost(); `arg` is the struct worker. */
void worker_need_queue(void *arg);

/* Which worker process does the work of a master.cf command: "smtpd" -> "smtpd",
 * "error" -> "bounce", "showq" and "qmgr" -> "queue". NULL: nobody yet ("local", "pipe"):
 * mail for such a transport is deferred with "mail transport unavailable".
 * "": accepted, its work is done elsewhere ("cleanup", "rewrite", "anvil" …). */
const char *worker_role_of(struct str command);
/* The services a transport name may name: those whose role receives jobs ("smtp",
 * "virtual", "bounce"). */
bool worker_role_delivers(const char *role);
#endif
