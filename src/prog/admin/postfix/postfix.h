#ifndef PROG_ADMIN_POSTFIX_H
#define PROG_ADMIN_POSTFIX_H
/* The postfix command: one struct, and the verbs. */
#include "base/base.h"
#include "conf/snapshot.h"
#include <sys/types.h>

struct arena;
struct log;

struct postfix {
	const char *config_dir; /* absolute */
	char libexec[4000];
	bool has_debug;
	int verbose;
	struct arena *mem;
	const struct conf_snapshot *snapshot;
	struct conf_master master;
	struct conf_cmd cmd;
	struct conf_common common;
	struct log
	    *log; /* tag "postfix/postfix-script" (compat); terminal and mail log */
};

/* The number of the running master; 0: none runs (its lock is free). */
pid_t running_pid(const struct postfix *p);

/* Parts of `check`. False: an error was said, not only warnings.
 * Owners and permissions of files and folders; makes the folders that are missing. */
bool check_files(struct postfix *p);
/* Whether each table that the files name can be opened, and is not older than its source.
 * Tables that answer over a network are not asked. Blocks: on the disk. */
bool check_tables(struct postfix *p);
/* Whether each smtpd service can make sense of its lists and restrictions, all together:
 * what one alone cannot show. For who has found nothing wrong so far. Blocks: on the
 * disk. */
bool check_services(struct postfix *p);

/* The verbs: exit status. */
int verb_start(struct postfix *p);
int verb_start_fg(struct postfix *p);
int verb_stop(struct postfix *p);
int verb_abort(struct postfix *p);
int verb_reload(struct postfix *p);
int verb_status(struct postfix *p);
int verb_check(struct postfix *p);
int verb_flush(struct postfix *p);
int verb_logrotate(struct postfix *p);
#endif
