#ifndef CONF_MASTER_CF_H
#define CONF_MASTER_CF_H
/* master.cf as it stands: one entry per service. */
#include "base/base.h"

struct arena;

#define MASTER_SERVICES_MAX 2000

enum master_type {
	MASTER_INET,
	MASTER_UNIX,
	MASTER_UNIX_DGRAM,
	MASTER_FIFO,
	MASTER_PASS
};

struct master_override {
	struct str name, value; /* unexpanded */
};

struct master_service {
	struct str
	    name; /* "smtp", "127.0.0.1:2525", "public/showq" without the directory */
	enum master_type type;
	bool is_private, is_unpriv, is_chroot;
	bool has_chroot;     /* false: the field was "-", is_chroot is then y below
				compatibility level 1 */
	bool wakeup_if_used; /* the "?" behind the wake-up time */
	int64_t wakeup_us;   /* 0: never */
	int maxproc;         /* -1: default_process_limit; 0: no limit */
	struct str command;  /* file name in daemon_directory: "smtpd" */
	struct str *args;    /* the others, without -o, -v, -D; braces removed */
	size_t n_args;
	struct master_override *overrides; /* -o, in order; the last of a name wins */
	size_t n_overrides;
	unsigned verbose; /* number of -v */
	bool has_debug;   /* -D */
	unsigned line;
	/* $stress: empty; a worker that is overloaded copies the service and sets "yes".
	 */
	struct str stress;
};

struct master_cf {
	struct master_service *v; /* in file order; of duplicates only the last */
	size_t n;
	/* Replaced by a later line: "duplicate master.cf entry for service …". */
	struct master_service *duplicates;
	size_t n_duplicates;
};

/* "inet", "unix", … */
const char *master_type_name(enum master_type type);
MUST_USE enum rc master_type_parse(struct str text, enum master_type *out);

/* Memory:  *out views `text` and `mem`, both must outlive it.
 * Returns: RC_PERM ("PATH: line N: …", Postfix's words); RC_TEMP memory limit. */
MUST_USE enum rc master_cf_parse(struct str path, struct str text, struct arena *mem,
    struct master_cf *out, struct err *e);
/* NULL: no such service. */
const struct master_service *master_cf_find(
    const struct master_cf *m, struct str name, enum master_type type);
/* The delivery transport called `name`: its unix service. NULL: none. */
const struct master_service *master_cf_transport(
    const struct master_cf *m, struct str name);
/* Value of an override as written; NULL when the service does not override `name`. */
const struct str *master_override_find(const struct master_service *s, struct str name);
#endif
