/* postfix check: what the files say, and that what they name is there. Silence means that
 * all is well; warnings alone end with 0, errors with 1. Where the files and folders are
 * looked at: check_files.c; tables: check_tables.c; services: check_services.c. */
#include "conf/advice.h"
#include "prog/admin/postfix/postfix.h"
#include <stdio.h>
#include <unistd.h>
#include "agent/restrictions.h"
#include "agent/values.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "log/log.h"

/* Each program that master.cf wants is there, or said to be missing. */
static void
check_programs(struct postfix *p)
{
	const struct master_cf *m = &p->snapshot->master;

	for (size_t i = 0; i < m->n; i++) {
		const char *role = worker_role_of(m->v[i].command);
		char path[sizeof(p->libexec) + 64];

		if (role == NULL) {
			log_warn(p->log,
			    "%.*s: line %u: service %.*s: the program \"%.*s\" is not "
			    "available"
			    " here",
			    STR_ARG(p->snapshot->master_path), m->v[i].line,
			    STR_ARG(m->v[i].name), STR_ARG(m->v[i].command));
			continue;
		}
		(void)snprintf(path, sizeof(path), "%s/%s", p->libexec, role);
		if (role[0] != '\0' && access(path, X_OK) != 0)
			log_warn(p->log, "cannot execute %s: %m", path);
	}
}

int
verb_check(struct postfix *p)
{
	struct err e = { 0 };
	bool is_good;

	if (conf_check(p->snapshot, &e) != RC_OK) {
		log_fatal(p->log, "%s", e.text);
		return 1;
	}
	conf_warn(p->snapshot, p->log);
	restrictions_warn(p->snapshot, p->log);
	is_good = values_check(p->snapshot, LOG_LEVEL_ERROR, p->log) == 0;
	check_programs(p);
	is_good &= check_files(p);
	is_good &= check_tables(p);
	return is_good && check_services(p) ? 0 : 1;
}
