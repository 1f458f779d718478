/* Owns what `postfix check` says of smtpd services as a whole: they are made as smtpd
 * makes them, so that its fatal errors are heard before a client is turned away. */
#include "agent/decide.h"
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "prog/admin/postfix/postfix.h"
#include <string.h>

/* Who writes a main.cf from scratch has no compatibility_level, and does not know what
 * that means. */
static const char *
remedy(const struct postfix *p, const struct err *e)
{
	const struct main_cf *m = &p->snapshot->main;

	if (strstr(e->text, "smtpd_relay_restrictions") == NULL ||
	    main_cf_find(m, STR("smtpd_relay_restrictions")) != NULL ||
	    main_cf_find(m, STR("compatibility_level")) != NULL)
		return "";
	return "; smtpd_relay_restrictions is empty by default without "
	       "compatibility_level = 3.6";
}

static bool
check_service(struct postfix *p, const struct master_service *service)
{
	const struct decide_request req = {
		.snapshot = p->snapshot, .service = service, .with_access = true
	};
	struct decide *d = NULL;
	struct err e = { 0 };
	enum rc rc = decide_new(&req, &d, &e);

	decide_free(&d);
	if (rc == RC_OK)
		return true;
	log_error(p->log, "%.*s: line %u: service %.*s: %s%s",
	    STR_ARG(p->snapshot->master_path), service->line, STR_ARG(service->name),
	    e.text, remedy(p, &e));
	return false;
}

bool
check_services(struct postfix *p)
{
	const struct master_cf *m = &p->snapshot->master;
	bool is_good = true;

	for (size_t i = 0; i < m->n; i++) {
		const char *role = worker_role_of(m->v[i].command);

		if (role != NULL && strcmp(role, "smtpd") == 0)
			is_good &= check_service(p, &m->v[i]);
	}
	return is_good;
}
