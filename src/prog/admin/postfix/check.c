/* postfix check: the configuration, and the owners and permissions of what is there.
 * Silence means that all is well. */
#include "conf/advice.h"
#include "prog/admin/postfix/postfix.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/worker.h"
#include "base/arena.h"
#include "log/log.h"
#include "os/users.h"

static const struct {
	const char *name;
	bool is_owners, is_groups;
} folders[] = {
	{ "pid", false, false },
	{ "private", true, false },
	{ "public", true, true },
	{ "maildrop", true, true },
	{ "journal", true, false },
};

/* Nobody but root decides what root's processes do. */
static void
check_config_file(struct postfix *p, const char *name)
{
	const char *path = arena_printf(
	    p->mem, "%s%s%s", p->config_dir, name[0] != '\0' ? "/" : "", name)
			       .p;
	struct stat st;

	if (path == NULL || stat(path, &st) != 0)
		return;
	if (os_users_is_root() && st.st_uid != 0)
		log_warn(p->log, "not owned by root: %s", path); /* compat */
	if ((st.st_mode & 022) != 0)
		log_warn(p->log, "group or other writable: %s", path); /* compat */
}

static int
check_users(struct postfix *p, struct os_user *owner, gid_t *group)
{
	const char *user = arena_cstr(p->mem, p->master.mail_owner);
	struct err e = { 0 };
	enum rc rc;

	*owner = (struct os_user){ 0 };
	*group = 0;
	if (!os_users_is_root())
		return 0;
	rc = os_users_find(user, owner, &e);
	if (rc == RC_OK)
		rc = os_users_find_group(
		    arena_cstr(p->mem, p->master.setgid_group), group, &e);
	if (rc == RC_OK)
		return 0;
	log_fatal(p->log, "%s", e.text);
	return 1;
}

static void
check_folders(struct postfix *p, struct os_user owner, gid_t group)
{
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		const char *path = arena_printf(p->mem, "%.*s/%s",
		    STR_ARG(p->master.queue_directory), folders[i].name)
				       .p;
		struct stat st;

		/* What is missing is made at the next start. */
		if (path == NULL || stat(path, &st) != 0 || !os_users_is_root())
			continue;
		if (st.st_uid != (folders[i].is_owners ? owner.uid : 0))
			log_warn(p->log, "not owned by %.*s: %s",
			    folders[i].is_owners ? (int)p->master.mail_owner.n : 4,
			    folders[i].is_owners ? p->master.mail_owner.p : "root",
			    path); /* compat */
		if (folders[i].is_groups && st.st_gid != group)
			log_warn(p->log, "not owned by group %.*s: %s",
			    STR_ARG(p->master.setgid_group), path); /* compat */
		if ((st.st_mode & 002) != 0)
			log_warn(
			    p->log, "group or other writable: %s", path); /* compat */
	}
}

static int
check_directory(struct postfix *p, struct str dir)
{
	const char *path = arena_cstr(p->mem, dir);
	struct stat st;

	if (path == NULL || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		log_fatal(p->log, "no Postfix queue directory %s!", path); /* compat */
		return 1;
	}
	return 0;
}

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

int
verb_check(struct postfix *p)
{
	struct err e = { 0 };
	struct os_user owner;
	gid_t group;

	if (conf_check(p->snapshot, &e) != RC_OK) {
		log_fatal(p->log, "%s", e.text);
		return 1;
	}
	if (check_directory(p, p->master.queue_directory) != 0 ||
	    check_users(p, &owner, &group) != 0)
		return 1;
	conf_advise(p->snapshot, say_advice, p->log);
	check_config_file(p, "");
	check_config_file(p, "main.cf");
	check_config_file(p, "master.cf");
	check_folders(p, owner, group);
	check_programs(p);
	return 0;
}
