/* Owns the list of settings that Postfix announced to drop, and what to write instead. */
#include "prog/admin/postconf/entry.h"
#include "prog/admin/postconf/postconf.h"

/* Source: Postfix 3.9 and later, DEPRECATION_README. */
static const struct deprecated {
	const char *name, *instead;
} table[] = {
	{ "authorized_verp_clients", "smtpd_authorized_verp_clients" },
	{ "disable_dns_lookups", "smtp_dns_support_level" },
	{ "fallback_relay", "smtp_fallback_relay" },
	{ "lmtp_enforce_tls", "lmtp_tls_security_level" },
	{ "lmtp_per_record_deadline", "lmtp_per_request_deadline" },
	{ "lmtp_tls_enforce_peername", "lmtp_tls_security_level" },
	{ "lmtp_tls_per_site", "lmtp_tls_policy_maps" },
	{ "lmtp_use_tls", "lmtp_tls_security_level" },
	{ "permit_mx_backup_networks", "relay_domains" },
	{ "postscreen_blacklist_action", "postscreen_denylist_action" },
	{ "postscreen_dnsbl_ttl", "postscreen_dnsbl_max_ttl" },
	{ "postscreen_dnsbl_whitelist_threshold",
	    "postscreen_dnsbl_allowlist_threshold" },
	{ "postscreen_enforce_tls", "postscreen_tls_security_level" },
	{ "postscreen_use_tls", "postscreen_tls_security_level" },
	{ "postscreen_whitelist_interfaces", "postscreen_allowlist_interfaces" },
	{ "smtp_enforce_tls", "smtp_tls_security_level" },
	{ "smtp_per_record_deadline", "smtp_per_request_deadline" },
	{ "smtp_tls_enforce_peername", "smtp_tls_security_level" },
	{ "smtp_tls_per_site", "smtp_tls_policy_maps" },
	{ "smtp_use_tls", "smtp_tls_security_level" },
	{ "smtpd_client_connection_limit_exceptions",
	    "smtpd_client_event_limit_exceptions" },
	{ "smtpd_enforce_tls", "smtpd_tls_security_level" },
	{ "smtpd_per_record_deadline", "smtpd_per_request_deadline" },
	{ "smtpd_use_tls", "smtpd_tls_security_level" },
	{ "tlsproxy_client_level", "tlsproxy_client_security_level" },
	{ "tlsproxy_client_policy", "tlsproxy_client_policy_maps" },
	{ "tlsproxy_enforce_tls", "tlsproxy_tls_security_level" },
	{ "tlsproxy_use_tls", "tlsproxy_tls_security_level" },
	{ "virtual_maps", "virtual_alias_maps" },
};

static void
warn_about(struct str path, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_is(name, table[i].name))
			warn("%.*s: support for parameter \"%s\" will be removed; "
			     "instead, specify \"%s\"",
			    STR_ARG(path), table[i].name, table[i].instead); /* compat */
}

void
names_warn_deprecated(const struct conf_snapshot *s, const struct entries *services)
{
	for (size_t i = 0; i < s->main.n; i++)
		warn_about(s->main_path, s->main.v[i].name);
	for (size_t i = 0; i < services->n; i++) {
		const struct master_service *v = &services->v[i].service;

		for (size_t k = 0; k < v->n_overrides; k++)
			warn_about(s->master_path, v->overrides[k].name);
	}
}
