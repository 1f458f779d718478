/* Which master.cf lines are whose work, and the services of this process. */
#include "agent/worker_int.h"
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "os/fd.h"

static const struct {
	const char *command, *role;
} roles[] = {
	{ "smtpd", "smtpd" },
	{ "qmgr", "queue" },
	{ "oqmgr", "queue" },
	{ "showq", "queue" },
	{ "pickup", "pickup" },
	{ "smtp", "smtp" },
	{ "virtual", "virtual" },
	{ "bounce", "bounce" },
	{ "error", "bounce" },
	{ "discard", "bounce" },
	/* Their work is done inside other processes. */
	{ "cleanup", "" },
	{ "trivial-rewrite", "" },
	{ "rewrite", "" },
	{ "anvil", "" },
	{ "scache", "" },
	{ "tlsmgr", "" },
	{ "tlsproxy", "" },
	{ "flush", "queue" },
	{ "verify", "" },
	{ "proxymap", "lookup" },
	{ "postlogd", "" },
	{ "dnsblog", "" },
};

const char *
worker_role_of(struct str command)
{
	size_t slash = str_rfind(command, '/');

	if (slash < command.n)
		command = str_from(command, slash + 1);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (str_is(command, roles[i].command))
			return roles[i].role;
	return NULL;
}

bool
worker_role_delivers(const char *role)
{
	return strcmp(role, "smtp") == 0 || strcmp(role, "virtual") == 0 ||
	       strcmp(role, "bounce") == 0;
}

enum rc
worker_param(struct worker *w, const struct master_service *s, const char *name,
    struct arena *mem, struct str *out, struct err *e)
{
	enum rc rc = conf_get(w->snapshot, s, str_c(name), mem, out, e);

	if (rc == RC_NONE)
		return err_set(e, RC_PERM, "parameter %s is not known", name);
	return rc;
}

/* compat: a log shows other characters than ASCII's only with smtputf8_enable. */
static enum rc
set_characters(struct worker *w, const struct master_service *entry, struct log *log,
    struct arena *mem, struct err *e)
{
	struct str how;
	enum rc rc = worker_param(w, entry, "smtputf8_enable", mem, &how, e);

	if (rc == RC_OK)
		log_set_ascii(log, !str_iis(how, "yes"));
	return rc;
}

/* A service logs as syslog_name/command; syslog_name may name the service. */
static enum rc
make_log(struct worker *w, struct worker_service *s, struct arena *mem, struct err *e)
{
	const char *tag;
	struct str name;
	enum rc rc = worker_param(w, s->entry, "syslog_name", mem, &name, e);

	if (rc != RC_OK)
		return rc;
	tag = arena_printf(mem, "%.*s/%.*s", STR_ARG(name), STR_ARG(s->command)).p;
	if (tag == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	s->log = log_with_tag(w->log, tag);
	log_set_verbose(s->log, s->entry != NULL ? (int)s->entry->verbose : 0);
	return set_characters(w, s->entry, s->log, mem, e);
}

static enum rc
set_listen(struct worker *w, struct worker_service *s, uint32_t at, struct arena *mem)
{
	const struct boot *b = &w->in->boot;
	int *fds = arena_array(mem, b->n_listen + 1, sizeof(*fds));

	if (fds == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < b->n_listen; i++)
		if (b->listen[i].service == at)
			fds[s->n_listen++] = b->listen[i].fd;
	s->listen = fds;
	return RC_OK;
}

static enum rc
make_one(struct worker *w, uint32_t at, struct arena *mem, struct err *e)
{
	const struct master_service *entry = &w->snapshot->master.v[at];
	struct worker_service *s = &w->services[w->n_services];
	uint64_t limit;
	struct str text;
	enum rc rc;

	*s = (struct worker_service){ .entry = entry,
		.name = entry->name,
		.service_name = conf_service_name(entry),
		.command = entry->command,
		.type = str_c(master_type_name(entry->type)),
		.maxproc = (uint32_t)entry->maxproc };
	if (entry->maxproc < 0) {
		rc = worker_param(w, NULL, "default_process_limit", mem, &text, e);
		if (rc != RC_OK)
			return rc;
		s->maxproc =
		    str_u64(text, UINT32_MAX, &limit) == RC_OK ? (uint32_t)limit : 100;
	}
	rc = set_listen(w, s, at, mem);
	if (rc == RC_OK)
		rc = make_log(w, s, mem, e);
	if (rc == RC_OK)
		w->n_services++;
	return rc;
}

/* private/queue is the queue's own and stands in no master.cf. */
static enum rc
make_admin(struct worker *w, struct arena *mem)
{
	struct worker_service *s = &w->services[w->n_services];

	*s = (struct worker_service){ .name = STR("queue"),
		.service_name = STR("queue"),
		.command = STR("queue"),
		.type = STR("unix"),
		.log = w->log };
	if (set_listen(w, s, BOOT_ADMIN, mem) != RC_OK)
		return RC_TEMP;
	w->n_services++;
	return RC_OK;
}

static enum rc
set_address_format(struct worker *w, struct arena *mem, struct err *e)
{
	struct str how;
	enum rc rc = worker_param(w, NULL, "info_log_address_format", mem, &how, e);

	if (rc != RC_OK)
		return rc;
	if (!str_is(how, "internal") && !str_is(how, "external"))
		return err_set(e, RC_PERM, /* compat */
		    "invalid parameter setting \"info_log_address_format = %.*s\"",
		    STR_ARG(str_head(how, 100)));
	log_set_internal(w->log, str_is(how, "internal"));
	return RC_OK;
}

enum rc
worker_services_make(struct worker *w, struct arena *mem, struct err *e)
{
	const struct master_cf *m = &w->snapshot->master;
	enum rc rc = RC_OK;

	rc = set_address_format(w, mem, e);
	if (rc == RC_OK)
		rc = set_characters(w, NULL, w->log, mem, e);
	if (rc != RC_OK)
		return rc;
	w->n_services = 0;
	w->services = arena_array(mem, m->n + 1, sizeof(*w->services));
	if (w->services == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < m->n && rc == RC_OK; i++) {
		const char *role = worker_role_of(m->v[i].command);

		if (role != NULL && strcmp(role, w->role) == 0)
			rc = make_one(w, (uint32_t)i, mem, e);
	}
	if (rc == RC_OK && strcmp(w->role, "queue") == 0)
		rc = make_admin(w, mem);
	return rc;
}

struct worker_service *
worker_service(struct worker *w, struct str name)
{
	for (size_t i = 0; i < w->n_services; i++)
		if (str_eq(w->services[i].name, name))
			return &w->services[i];
	return NULL;
}

void
worker_close_listeners(struct worker *w)
{
	for (size_t i = 0; i < w->in->boot.n_listen; i++) {
		int fd = w->in->boot.listen[i].fd;

		os_fd_close(&fd);
	}
	w->in->boot.n_listen = 0;
	for (size_t i = 0; i < w->n_services; i++)
		w->services[i].n_listen = 0;
}
