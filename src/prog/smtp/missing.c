/* What a service of this agent should do and this version cannot. Mail that a policy
 * wants encrypted, or that a relay takes from known senders only, waits: it goes neither
 * in the clear nor back to its sender. */
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "prog/smtp/agent.h"

static struct str
value_of(const struct service *s, const char *name)
{
	const struct worker *w = s->agent->worker;
	struct str v = STR("");

	/* A name that nobody defines leaves the empty value. */
	if (conf_get(w->snapshot, s->entry->entry, str_c(name), w->mem, &v, NULL) !=
	    RC_OK)
		return STR("");
	return str_trim(v);
}

/* The name of the parameter that asks for more than opportunistic TLS; NULL: none. A
 * policy table may ask for it, so it does. */
static const char *
asks_for_tls(const struct service *s)
{
	struct str level = value_of(s, "smtp_tls_security_level");

	if (level.n > 0 && !str_iis(level, "none") && !str_iis(level, "may"))
		return "smtp_tls_security_level";
	if (str_iis(value_of(s, "smtp_enforce_tls"), "yes"))
		return "smtp_enforce_tls";
	if (str_iis(value_of(s, "smtp_tls_wrappermode"), "yes"))
		return "smtp_tls_wrappermode";
	return value_of(s, "smtp_tls_policy_maps").n > 0 ? "smtp_tls_policy_maps" : NULL;
}

void
missing_find(struct service *s)
{
	const char *name = asks_for_tls(s);

	if (name != NULL) {
		s->missing = (struct failure){ .dsn = STR("4.7.5"),
			.text = STR("TLS is required, but our TLS engine is "
				    "unavailable") }; /* compat */
	} else if (str_iis(value_of(s, "smtp_sasl_auth_enable"), "yes") &&
		   value_of(s, "smtp_sasl_password_maps").n > 0) {
		name = "smtp_sasl_password_maps";
		s->missing = (struct failure){ .dsn = STR("4.7.0"),
			.text = STR("SASL authentication is required, but not "
				    "available in this version") };
	}
	if (name != NULL && s->agent->worker->worker_at == 0)
		log_warn(s->entry->log,
		    "service %.*s: %s is not supported yet: mail for this service waits",
		    STR_ARG(s->entry->name), name);
}
