/* Owns the order in which a name is looked for: overrides of the service, facts about the
 * process, -o of the command line, main.cf, computed defaults, the table, transports. */
#include "base/arena.h"
#include "conf/expand.h"
#include "conf/host_int.h"
#include "conf/params.h"
#include "conf/snapshot.h"

struct str
conf_service_name(const struct master_service *service)
{
	return service != NULL ? service->name : STR("");
}

/* What the process knows better than any file. */
static bool
from_process(const struct conf_lookup *l, struct str name, struct str *out)
{
	if (str_is(name, "config_directory"))
		*out = l->snapshot->config_directory;
	else if (str_is(name, "process_name"))
		*out = l->snapshot->process_name;
	else if (str_is(name, "process_id"))
		*out = arena_printf(l->mem, "%lld", (long long)l->snapshot->process_id);
	else if (l->service != NULL && str_is(name, "service_name"))
		*out = conf_service_name(l->service);
	else if (l->service != NULL && str_is(name, "stress") && l->service->stress.n > 0)
		*out = l->service->stress;
	else
		return false;
	return true;
}

static bool
from_files(const struct conf_lookup *l, struct str name, struct str *out)
{
	const struct conf_snapshot *s = l->snapshot;
	const struct conf_entry *entry;
	const struct str *override;

	if (l->service != NULL &&
	    (override = master_override_find(l->service, name)) != NULL) {
		*out = *override;
		return true;
	}
	if (from_process(l, name, out))
		return true;
	for (size_t i = s->n_extra; i-- > 0;)
		if (str_eq(s->extra[i].name, name)) {
			*out = s->extra[i].value;
			return true;
		}
	entry = main_cf_find(&s->main, name);
	if (entry != NULL)
		*out = entry->value;
	return entry != NULL;
}

static enum rc
get_raw(void *arg, struct str name, struct str *out, struct err *e)
{
	const struct conf_lookup *l = arg;
	const struct conf_param *p;
	struct str transport;
	enum rc rc;

	if (from_files(l, name, out))
		return RC_OK;
	rc = conf_host_default(l, name, out, e);
	if (rc != RC_NONE)
		return rc;
	p = conf_param_find(name);
	/* Only services of master.cf have derived parameters. */
	if (p == NULL)
		p = conf_template_in(&l->snapshot->master, name, &transport);
	if (p == NULL)
		return RC_NONE;
	*out = p->def;
	return RC_OK;
}

enum rc
conf_raw(const struct conf_snapshot *s, const struct master_service *service,
    struct str name, struct arena *mem, struct str *out, struct err *e)
{
	struct conf_lookup l = { s, service, mem, 0 };

	return get_raw(&l, name, out, e);
}

static enum rc
expand(struct conf_lookup *l, struct str text, struct str *out, struct err *e)
{
	struct expand_source from = { get_raw, l };

	return expand_text(&from, text, CONF_VALUE_MAX, l->mem, out, e);
}

enum rc
conf_lookup_get(
    const struct conf_lookup *outer, struct str name, struct str *out, struct err *e)
{
	struct conf_lookup l = *outer;
	struct str raw;
	enum rc rc;

	if (l.depth++ == CONF_LOOKUP_DEPTH_MAX)
		return err_set(e, RC_PERM, "unreasonable macro call nesting: \"%.*s\"",
		    STR_ARG(name));
	rc = get_raw(&l, name, &raw, e);
	return rc == RC_OK ? expand(&l, raw, out, e) : rc;
}

enum rc
conf_expand(const struct conf_snapshot *s, const struct master_service *service,
    struct str text, struct arena *mem, struct str *out, struct err *e)
{
	struct conf_lookup l = { s, service, mem, 0 };

	return expand(&l, text, out, e);
}

enum rc
conf_get(const struct conf_snapshot *s, const struct master_service *service,
    struct str name, struct arena *mem, struct str *out, struct err *e)
{
	struct conf_lookup l = { s, service, mem, 0 };

	return conf_lookup_get(&l, name, out, e);
}
