/* postfix check: what the files say, and that what they name is there. Silence means that
 * all is well; warnings alone end with 0, errors with 1. Where the files and folders are
 * looked at: check_files.c; tables: check_tables.c. */
#include "conf/advice.h"
#include "prog/admin/postfix/postfix.h"
#include <stdio.h>
#include <unistd.h>
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

static void
say_advice(void *arg, const struct conf_advice *advice)
{
	struct log *log = arg;
	char text[CONF_ADVICE_TEXT_MAX];

	conf_advice_format(advice, text);
	log_warn(log, "%s", text);
}

/* What was set twice; the last counts. */
static void
check_duplicates(struct postfix *p)
{
	const struct conf_snapshot *s = p->snapshot;

	for (size_t i = 0; i < s->main.n_duplicates; i++) {
		const struct conf_entry *d = &s->main.duplicates[i];

		log_warn(p->log, "%.*s, line %u: overriding earlier entry: %.*s=%.*s",
		    STR_ARG(s->main_path), d->by_line, STR_ARG(d->name),
		    STR_ARG(str_head(d->value, 200))); /* compat */
	}
	for (size_t i = 0; i < s->master.n_duplicates; i++) {
		const struct master_service *d = &s->master.duplicates[i];

		log_warn(p->log,
		    "%.*s: line %u: duplicate master.cf entry for service "
		    "\"%.*s\" (%s) -- using the last entry",
		    STR_ARG(s->master_path), d->line, STR_ARG(d->name),
		    master_type_name(d->type)); /* compat */
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
	check_duplicates(p);
	conf_advise(p->snapshot, say_advice, p->log);
	check_programs(p);
	is_good = check_files(p);
	is_good &= check_tables(p);
	return is_good ? 0 : 1;
}
