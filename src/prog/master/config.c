/* Loading and judging a configuration. Nothing here changes the running system. */
#include "prog/master/master.h"
#include <stdlib.h>
#include <string.h>
#include "agent/restrictions.h"
#include "agent/values.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "conf/advice.h"
#include "conf/list.h"
#include "log/log.h"
#include "os/users.h"

void
config_free(struct config **pc)
{
	struct config *c = *pc;

	*pc = NULL;
	if (c == NULL)
		return;
	arena_free(&c->mem);
	free(c);
}

/* Whether one item of master_service_disable means the service: "name/type", "type", and
 * the old "name.type". Source: postconf(5) master_service_disable. */
static bool
item_means(struct str item, const struct master_service *s)
{
	const char *type = master_type_name(s->type);
	size_t at = str_rfind(item, '/');

	if (at == item.n)
		at = str_rfind(item, '.');
	if (at == item.n)
		return str_is(item, type);
	return str_is(str_from(item, at + 1), type) &&
	       str_eq(str_head(item, at), s->name);
}

static enum rc
is_disabled(struct str list, const struct master_service *s, bool *out, struct err *e)
{
	struct str item;
	enum rc rc;

	*out = false;
	while ((rc = conf_list_next(&list, &item)) == RC_OK) {
		bool is_negated = item.n > 0 && item.p[0] == '!';

		if (item_means(is_negated ? str_from(item, 1) : item, s)) {
			*out = !is_negated;
			return RC_OK;
		}
	}
	return rc == RC_NONE
		   ? RC_OK
		   : err_set(e, RC_PERM, "master_service_disable: missing brace");
}

static enum rc
offer(struct config *c, struct err *e)
{
	const struct master_cf *m = &c->snapshot->master;
	enum rc rc = RC_OK;

	c->is_offered = arena_array(c->mem, m->n + 1, sizeof(*c->is_offered));
	if (c->is_offered == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < m->n && rc == RC_OK; i++) {
		bool disabled = false;

		rc = is_disabled(c->conf.master_service_disable, &m->v[i], &disabled, e);
		c->is_offered[i] = !disabled;
	}
	return rc;
}

enum rc
config_load(const char *dir, struct config **out, struct err *e)
{
	const struct conf_load what = { .config_directory = str_c(dir),
		.process_name = STR("master") };
	struct config *c = mem_get(sizeof(*c));
	enum rc rc;

	c->mem = arena_new(MASTER_ARENA_MAX);
	rc = conf_load(&what, c->mem, &c->snapshot, e);
	if (rc == RC_OK)
		rc = conf_check(c->snapshot, e);
	if (rc == RC_OK && os_users_is_root())
		rc = conf_check_owners(c->snapshot, e);
	if (rc == RC_OK)
		rc = conf_fill_master(c->snapshot, NULL, c->mem, &c->conf, e);
	if (rc == RC_OK)
		rc = conf_fill_common(c->snapshot, NULL, c->mem, &c->common, e);
	if (rc == RC_OK)
		rc = offer(c, e);
	if (rc != RC_OK)
		config_free(&c);
	else
		*out = c;
	return rc;
}

const char *
config_role(const struct config *c, size_t at)
{
	const struct master_service *s = &c->snapshot->master.v[at];
	const char *role = worker_role_of(s->command);

	if (!c->is_offered[at] || role == NULL || role[0] == '\0')
		return NULL;
	return role;
}

void
config_warn(const struct config *c, struct log *log)
{
	const struct master_cf *m = &c->snapshot->master;

	conf_warn(c->snapshot, log);
	restrictions_warn(c->snapshot, log);
	(void)values_check(c->snapshot, LOG_LEVEL_WARN, log);
	for (size_t i = 0; i < m->n; i++) {
		const struct master_service *s = &m->v[i];

		if (s->is_chroot && !s->has_chroot)
			log_info(log,
			    "%.*s: line %u: using backwards-compatible default setting "
			    "chroot=y",
			    STR_ARG(c->snapshot->master_path), s->line); /* compat */
		if (!c->is_offered[i] || worker_role_of(s->command) != NULL)
			continue;
		if (s->type == MASTER_INET || s->type == MASTER_PASS)
			log_warn(log,
			    "%.*s: line %u: service %.*s: the program \"%.*s\" is not "
			    "available"
			    " here; the service is not offered",
			    STR_ARG(c->snapshot->master_path), s->line, STR_ARG(s->name),
			    STR_ARG(s->command));
		else
			log_warn(log,
			    "%.*s: line %u: service %.*s: the program \"%.*s\" is not "
			    "available"
			    " here; mail for it waits in the queue",
			    STR_ARG(c->snapshot->master_path), s->line, STR_ARG(s->name),
			    STR_ARG(s->command));
	}
}
