#ifndef PROG_MASTER_MASTER_H
#define PROG_MASTER_MASTER_H
/* The master daemon: one struct, and what each file does with it. */
#include "base/base.h"
#include "base/list.h"
#include "conf/snapshot.h"
#include "loop/loop.h"
#include "os/users.h"

struct arena;
struct net_endpoint;
struct ipc_channel;
struct log;
struct master;

enum { MASTER_ARENA_MAX = 64 << 20, ROLE_WORKERS_MAX = 256 };

/* ---- configuration (config.c, services.c) ---- */

/* One loaded configuration; replaced as a whole by a reload. */
struct config {
	struct arena *mem;
	const struct conf_snapshot *snapshot;
	struct conf_master conf;
	struct conf_common common;
	bool *is_offered; /* per line of master.cf: not in master_service_disable */
};

/* Loads and checks main.cf and master.cf. RC_PERM / RC_TEMP: e has file, line, what. */
MUST_USE enum rc config_load(const char *dir, struct config **out, struct err *e);
void config_free(struct config **c);
/* The role ("smtpd") that serves line `at`; NULL: nobody, or it is not offered. */
const char *config_role(const struct config *c, size_t at);
/* One warning for each line whose work nobody does yet. */
void config_warn(const struct config *c, struct log *log);

/* ---- endpoints (endpoints.c, addresses.c) ---- */

/* A listening socket; kept over a reload when the new configuration wants it too. */
struct endpoint {
	struct list node;
	char key[300];    /* "inet 127.0.0.1:25", "unix public/showq" */
	uint32_t service; /* line of master.cf; BOOT_ADMIN: private/queue */
	int fd;
	/* While a configuration is applied: */
	uint32_t next_service;
	bool is_wanted, is_new;
	/* While nobody serves it: who connects has its role started. */
	struct master *m;
	struct loop_io knock;
};

struct address_list {
	struct net_endpoint *v;
	size_t n;
};

/* Where an inet service listens. Blocks: on names in master.cf that are not addresses. */
MUST_USE enum rc address_find(const struct config *c, const struct master_service *s,
    struct arena *mem, struct address_list *out, struct err *e);

/* ---- processes (roles.c, process.c, introduce.c, supervise.c) ---- */

struct role;

/* A place for one process of a role. When its process dies another takes the place. */
struct slot {
	struct master *m;
	struct role *role;
	uint32_t at;
	unsigned n_early; /* deaths in a row within EARLY_US of the start */
	struct loop_timer restart;
	struct process *now; /* the one that fills it; NULL: none */
};

struct role {
	const char *name;
	bool is_doubled; /* a reload starts new processes and drains the old */
	bool is_wanted;
	bool is_needed; /* somebody asked for it: it stays */
	uint32_t n;     /* slots in use */
	struct slot slots[ROLE_WORKERS_MAX];
};

struct process {
	struct list node;
	struct master *m;
	struct role *role;
	struct slot
	    *slot; /* NULL: it is being replaced, drained as soon as the new ones serve */
	uint32_t instance;
	pid_t pid;
	int64_t started_us;
	int64_t introduced_us; /* to the last hub; 0: to none */
	struct loop_child child;
	struct ipc_channel *control;
	bool is_ready, is_told; /* told to drain or stop: its end is no accident */
};

/* ---- all of it ---- */

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_STOPPING, PHASE_STOPPING_QUEUE };

enum {
	ROLE_QUEUE,
	ROLE_SMTPD,
	ROLE_SMTP,
	ROLE_VIRTUAL,
	ROLE_PICKUP,
	ROLE_BOUNCE,
	ROLE_LOOKUP,
	ROLE_ANVIL,
	ROLES
};

struct wakeup {
	struct loop_timer timer;
	struct master *m;
	struct role *role;
	char service[256];
	int64_t every_us;
};

struct master {
	struct loop *loop;
	struct log *log;
	const char *config_dir;
	char config_path[4096]; /* PATH_MAX: what realpath(3) may write */
	char libexec[4000];     /* where the daemons are */
	struct config *config;
	struct list endpoints, processes;
	struct role roles[ROLES];
	struct wakeup *wakeups;
	size_t n_wakeups;
	struct loop_child rebuilder;
	bool has_rebuilder;
	uint32_t next_instance;
	enum phase phase;
	bool is_foreground;
	bool is_root;
	int verbose;
	int log_fd;    /* maillog_file; -1: syslog */
	int report_fd; /* whoever started us waits here for "ready"; -1: nobody */
	int pid_lock_fd, data_lock_fd;
	struct os_user owner; /* mail_owner; only when is_root */
	gid_t setgid;
	struct loop_timer deadline; /* of starting, then of stopping */
	struct loop_signal signals[6];
	struct loop_task log_hook;
	int exit_status;
};

/* directories.c: the queue directory's folders with Postfix's owners and modes; locks. */
MUST_USE enum rc directories_make(struct master *m, struct err *e);
MUST_USE enum rc directories_lock(struct master *m, struct err *e);
/* Whether another master has the lock. */
bool directories_locked(const struct master *m);

/* logfile.c: opens maillog_file (or connects to syslog) and hands it to all. */
MUST_USE enum rc logfile_open(struct master *m, struct err *e);
void logfile_reopen(struct master *m);

/* endpoints.c: makes m->endpoints what `c` wants. On failure the old ones stay. */
MUST_USE enum rc endpoints_apply(struct master *m, const struct config *c, struct err *e);
void endpoints_close(struct master *m, bool remove_names);
/* Listens for whoever connects to a service whose role does not run. After every plan. */
void endpoints_watch(struct master *m);

/* roles.c */
void roles_init(struct master *m);
/* Which roles are wanted, and how many processes of each. */
void roles_plan(struct master *m);
/* Somebody has work for this one, which runs only when it is used. */
void roles_need(struct master *m, struct str name);
bool role_has_program(const struct master *m, const char *name);
struct role *role_find(struct master *m, const char *name);

/* process.c: fork, exec, the control channel. RC_TEMP: it could not be started. */
MUST_USE enum rc process_start(struct slot *s, struct err *e);
void process_free(struct process *p);
const char *process_path(const struct process *p, char *buf, size_t n);

/* introduce.c: gives `p`, which is ready, channels to everybody it may talk to. */
void introduce(struct process *p);
/* Its channel for this purpose ("submit", "delivery", "lookup") is broken: another one,
 * when who is at its other end is there. */
void introduce_again(struct process *p, struct str purpose);

/* supervise.c */
void supervise_start(struct master *m); /* fills the empty slots */
void supervise_ready(struct process *p);
void supervise_exit(struct process *p, int wait_status);
/* Reload: new processes for all roles but queue, which is given the configuration. */
void supervise_replace(struct master *m);
/* When everything that must be said at the start is known: tell who waits. */
void supervise_report(struct master *m);

/* wakeup.c */
void wakeups_make(struct master *m);
void wakeups_free(struct master *m);
void wakeups_now(struct master *m, const struct role *r); /* a process of r is ready */

/* rebuild.c: map_auto_rebuild. */
void rebuild_all(struct master *m); /* Blocks: until it is done */
/* The child that looks after tables while we run, with the present configuration. */
void rebuild_start(struct master *m);
void rebuild_stop(struct master *m);

/* control.c: signals: reload, stop, log reopen. */
void control_init(struct master *m);
void control_progress(struct master *m); /* a process has ended while stopping */
#endif
