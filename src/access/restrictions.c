/* The table of restrictions, and those that are about the list itself. A new one is a row
 * and a function. */
#include "access/access_int.h"
#include "access/dns_int.h"
#include "base/near.h"

static enum rc
permit(struct access_eval *ev)
{
	return access_permit_for(ev, ev->cls, ev->subject);
}

static enum rc
reject(struct access_eval *ev)
{
	const struct access_reply r = { .code = ev->c->reject_code,
		.dsn = ".7.1",
		.words = STR_INIT("Access denied"),
		.cls = ev->cls };

	return access_reject(ev, &r);
}

static enum rc
defer(struct access_eval *ev)
{
	const struct access_reply r = { .code = ev->c->defer_code,
		.dsn = ".3.2",
		.words = STR_INIT("Try again later"),
		.cls = ev->cls };

	return access_reject(ev, &r);
}

static enum rc
defer_if_permit(struct access_eval *ev)
{
	const struct access_reply r = { .code =
					    450, /* compat: whatever defer_code says */
		.dsn = ".7.0",
		.words = STR_INIT("defer_if_permit requested"),
		.cls = ev->cls };

	return access_defer_if_permit(ev, &r);
}

static enum rc
defer_if_reject(struct access_eval *ev)
{
	const struct access_reply r = { .code = 450,
		.dsn = ".7.0",
		.words = STR_INIT("defer_if_reject requested"),
		.cls = ev->cls };

	return access_defer_if_reject(ev, &r);
}

static enum rc
permit_mynetworks(struct access_eval *ev)
{
	enum rc rc = route_list_client(
	    ev->a, &ev->c->mynetworks, ev->q->client_name, ev->q->client_addr);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_OK)
		return access_permit(ev);
	if (rc != RC_NONE)
		access_lookup_trouble(ev, ev->subject);
	return RC_OK;
}

static enum rc
permit_inet_interfaces(struct access_eval *ev)
{
	const struct route_conf *c = ev->c->route;
	struct addr_ip client;

	/* compat: XCLIENT does not change whose socket it is. */
	if (addr_ip_parse(ev->q->peer_addr.n > 0 ? ev->q->peer_addr : ev->q->client_addr,
		&client) != RC_OK)
		return RC_OK;
	for (unsigned i = 0; i < c->n_own_addrs; i++)
		if (addr_ip_eq(&c->own_addrs[i], &client))
			return access_permit(ev);
	return RC_OK;
}

static enum rc
permit_sasl_authenticated(struct access_eval *ev)
{
	/* compat: without SASL a proxy's word (XCLIENT LOGIN) lets nobody in. */
	return ev->q->is_authenticated && ev->c->sasl_auth_enable ? access_permit(ev)
								  : RC_OK;
}

/* No client has a certificate that was looked at: there is no TLS in this version. */
static enum rc
permit_clientcerts(struct access_eval *ev)
{
	(void)ev;
	return RC_OK;
}

static enum rc
permit_auth_destination(struct access_eval *ev)
{
	struct route r;
	enum rc rc = access_resolve_recipient(ev, &r);

	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	if (!access_is_auth_destination(ev, &r))
		return RC_OK;
	return access_permit_for(
	    ev, ACCESS_CLS_RECIPIENT, access_shown(ev, ev->q->recipient));
}

static enum rc
deny_relay(struct access_eval *ev, unsigned code)
{
	const struct access_reply reply = { .code = code,
		.dsn = ".7.1",
		.words = STR_INIT("Relay access denied"),
		.subject = access_shown(ev, ev->q->recipient) };
	struct route r;
	enum rc rc = access_resolve_recipient(ev, &r);

	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	return access_is_auth_destination(ev, &r) ? RC_OK : access_reject(ev, &reply);
}

static enum rc
reject_unauth_destination(struct access_eval *ev)
{
	return deny_relay(ev, ev->c->relay_domains_reject_code);
}

static enum rc
defer_unauth_destination(struct access_eval *ev)
{
	return deny_relay(ev, ev->c->relay_domains_reject_code - 100);
}

/* compat: at RCPT one accepted recipient is enough, because this is the second. */
static enum rc
reject_multi_recipient_bounce(struct access_eval *ev)
{
	const struct access_request *q = ev->q;
	bool is_rcpt = ev->stage <= ACCESS_RECIPIENT && q->recipient.n > 0;
	const struct access_reply r = { .code = ev->c->multi_recipient_bounce_reject_code,
		.dsn = ".5.3",
		.words = STR_INIT("Multi-recipient bounce"),
		.cls = ev->cls };

	if (!q->has_sender || q->sender.n > 0 || q->n_rcpt + (is_rcpt ? 1 : 0) < 2)
		return RC_OK;
	return access_reject(ev, &r);
}

static enum rc
reject_unauth_pipelining(struct access_eval *ev)
{
	const struct access_reply r = { .code = 503,
		.dsn = ".5.0",
		.words = STR_INIT("Improper use of SMTP command pipelining"),
		.cls = ev->cls };

	return ev->q->is_pipelining ? access_reject(ev, &r) : RC_OK;
}

static enum rc
reject_plaintext_session(struct access_eval *ev)
{
	const struct access_reply r = { .code = ev->c->plaintext_reject_code,
		.dsn = ".7.1",
		.words = STR_INIT("Session encryption is required"),
		.is_bare = true };

	return ev->q->has_tls ? RC_OK : access_reject(ev, &r);
}

static enum rc
pause(struct access_eval *ev)
{
	struct str seconds = ev->item->arg, unused;
	const struct ask_question q = { .kind = ASK_DELAY,
		.flags = ASK_AGAIN(ev->n_sleeps++),
		.source = STR_INIT("sleep"),
		.key = seconds };
	size_t digits = 0;

	while (digits < seconds.n && ascii_isdigit(seconds.p[digits]))
		digits++;
	if (digits == 0 || digits < seconds.n) {
		access_warn(ev, STR("restriction sleep must be followed by number"));
		access_config_trouble(ev); /* compat */
		return RC_OK;
	}
	/* Who cannot wait does not: it is a nuisance, not a decision. */
	return ask_get(ev->a, &q, &unused) == RC_MORE ? RC_MORE : RC_OK;
}

/* ---- names of the past; compat: 3.9 took them away ---- */

static enum rc
removed(struct access_eval *ev, const char *name, const char *instead)
{
	access_warn(ev, arena_printf(ev->a->mem,
			    "support for restriction \"%s\" has been removed in "
			    "Postfix 3.9; instead, specify \"%s\"",
			    name, instead));
	access_config_trouble(ev);
	return RC_OK;
}

static enum rc
check_relay_domains(struct access_eval *ev)
{
	return removed(ev, "check_relay_domains", "reject_unauth_destination");
}

static enum rc
permit_naked_ip_address(struct access_eval *ev)
{
	return removed(ev, "permit_naked_ip_address",
	    "permit_mynetworks\" or \"permit_sasl_authenticated");
}

static enum rc
reject_maps_rbl(struct access_eval *ev)
{
	return removed(ev, "reject_maps_rbl", "reject_rbl_client domain-name");
}

/* compat: all names. */
static const struct access_restriction table[] = {
	{ "permit", permit, ACCESS_ENDS_LIST },
	{ "reject", reject, ACCESS_ENDS_LIST | ACCESS_PROTECTS },
	{ "defer", defer, ACCESS_ENDS_LIST | ACCESS_PROTECTS },
	{ "defer_if_permit", defer_if_permit, ACCESS_PROTECTS },
	{ "defer_if_reject", defer_if_reject, 0 },
	{ "warn_if_reject", NULL, ACCESS_PREFIX },
	{ "permit_mynetworks", permit_mynetworks, 0 },
	{ "permit_inet_interfaces", permit_inet_interfaces, 0 },
	{ "permit_sasl_authenticated", permit_sasl_authenticated, 0 },
	{ "permit_auth_destination", permit_auth_destination, ACCESS_FOR_RECIPIENT },
	{ "reject_unauth_destination", reject_unauth_destination,
	    ACCESS_FOR_RECIPIENT | ACCESS_PROTECTS },
	{ "defer_unauth_destination", defer_unauth_destination,
	    ACCESS_FOR_RECIPIENT | ACCESS_PROTECTS },
	{ "reject_unlisted_recipient", access_unlisted_recipient, ACCESS_FOR_RECIPIENT },
	{ "check_recipient_maps", access_unlisted_recipient, ACCESS_FOR_RECIPIENT },
	{ "reject_unlisted_sender", access_unlisted_sender, 0 },
	{ "check_client_access", access_check_client,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_reverse_client_hostname_access", access_check_reverse_client,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_helo_access", access_check_helo,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_HELO },
	{ "check_sender_access", access_check_sender,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_recipient_access", access_check_recipient,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_RECIPIENT },
	{ "check_etrn_access", access_check_etrn, ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_sasl_access", access_check_sasl, ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_ccert_access", access_check_ccert, ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "permit_tls_all_clientcerts", permit_clientcerts, 0 },
	{ "permit_tls_clientcerts", permit_clientcerts, 0 },
	{ "reject_unknown_client_hostname", access_unknown_client, 0 },
	{ "reject_unknown_client", access_unknown_client, 0 },
	{ "reject_unknown_reverse_client_hostname", access_unknown_reverse_client, 0 },
	{ "reject_invalid_helo_hostname", access_invalid_helo, ACCESS_FOR_HELO },
	{ "reject_invalid_hostname", access_invalid_helo, ACCESS_FOR_HELO },
	{ "reject_non_fqdn_helo_hostname", access_non_fqdn_helo, ACCESS_FOR_HELO },
	{ "reject_non_fqdn_hostname", access_non_fqdn_helo, ACCESS_FOR_HELO },
	{ "reject_non_fqdn_sender", access_non_fqdn_sender, ACCESS_FOR_SENDER },
	{ "reject_non_fqdn_recipient", access_non_fqdn_recipient, ACCESS_FOR_RECIPIENT },
	{ "reject_sender_login_mismatch", access_login_mismatch, ACCESS_FOR_SENDER },
	{ "reject_authenticated_sender_login_mismatch", access_login_mismatch_auth,
	    ACCESS_FOR_SENDER },
	{ "reject_known_sender_login_mismatch", access_login_mismatch_known,
	    ACCESS_FOR_SENDER },
	{ "reject_unauthenticated_sender_login_mismatch", access_login_mismatch_unauth,
	    ACCESS_FOR_SENDER },
	{ "reject_multi_recipient_bounce", reject_multi_recipient_bounce, 0 },
	{ "reject_unauth_pipelining", reject_unauth_pipelining, 0 },
	{ "reject_plaintext_session", reject_plaintext_session, 0 },
	{ "sleep", pause, ACCESS_TAKES_ARG },
	{ "check_relay_domains", check_relay_domains, ACCESS_PROTECTS },
	{ "permit_naked_ip_address", permit_naked_ip_address, 0 },
	{ "reject_maps_rbl", reject_maps_rbl, 0 },

	{ "check_client_a_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_client_mx_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_client_ns_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_helo_a_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_HELO },
	{ "check_helo_mx_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_HELO },
	{ "check_helo_ns_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_HELO },
	{ "check_recipient_a_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_RECIPIENT },
	{ "check_recipient_mx_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_RECIPIENT },
	{ "check_recipient_ns_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_RECIPIENT },
	{ "check_reverse_client_hostname_a_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_reverse_client_hostname_mx_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_reverse_client_hostname_ns_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG },
	{ "check_sender_a_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_SENDER },
	{ "check_sender_mx_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_SENDER },
	{ "check_sender_ns_access", access_check_servers,
	    ACCESS_TAKES_ARG | ACCESS_TABLE_ARG | ACCESS_FOR_SENDER },
	{ "check_policy_service", access_policy_service, ACCESS_TAKES_ARG },
	{ "permit_dnswl_client", access_dnswl_client, ACCESS_TAKES_ARG },
	{ "permit_mx_backup", access_mx_backup, ACCESS_FOR_RECIPIENT },
	{ "permit_rhswl_client", access_rhswl_client, ACCESS_TAKES_ARG },
	{ "reject_rbl", access_rbl_client, ACCESS_TAKES_ARG },
	{ "reject_rbl_client", access_rbl_client, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_client", access_rhsbl_client, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_helo", access_rhsbl_helo, ACCESS_TAKES_ARG | ACCESS_FOR_HELO },
	{ "reject_rhsbl_recipient", access_rhsbl_recipient,
	    ACCESS_TAKES_ARG | ACCESS_FOR_RECIPIENT },
	{ "reject_rhsbl_reverse_client", access_rhsbl_reverse_client, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_sender", access_rhsbl_sender,
	    ACCESS_TAKES_ARG | ACCESS_FOR_SENDER },
	{ "reject_unknown_address", access_unknown_sender_domain, ACCESS_FOR_SENDER },
	{ "reject_unknown_helo_hostname", access_unknown_helo, ACCESS_FOR_HELO },
	{ "reject_unknown_hostname", access_unknown_helo, ACCESS_FOR_HELO },
	{ "reject_unknown_recipient_domain", access_unknown_recipient_domain,
	    ACCESS_FOR_RECIPIENT },
	{ "reject_unknown_sender_domain", access_unknown_sender_domain,
	    ACCESS_FOR_SENDER },
	{ "reject_unverified_recipient", access_unverified_recipient,
	    ACCESS_FOR_RECIPIENT },
	{ "reject_unverified_sender", access_unverified_sender, ACCESS_FOR_SENDER },
};

const struct access_restriction *
access_restriction_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_iis(name, table[i].name))
			return &table[i];
	return NULL;
}

struct str
access_nearest(struct str name)
{
	struct near n = near_to(name);

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		near_try(&n, str_c(table[i].name));
	return n.best;
}

const struct access_restriction *
access_bare_table(enum access_stage stage)
{
	switch (stage) {
	case ACCESS_CLIENT:
		return access_restriction_find(STR("check_client_access"));
	case ACCESS_HELO:
		return access_restriction_find(STR("check_helo_access"));
	case ACCESS_SENDER:
		return access_restriction_find(STR("check_sender_access"));
	case ACCESS_RELAY:
	case ACCESS_RECIPIENT:
		return access_restriction_find(STR("check_recipient_access"));
	case ACCESS_ETRN:
		return access_restriction_find(STR("check_etrn_access"));
	case ACCESS_DATA:
	case ACCESS_END_OF_DATA:
		break;
	}
	return NULL;
}

const struct access_restriction *
access_rewrite_item(struct str name)
{
	static const char *const names[] = { "permit_inet_interfaces",
		"permit_mynetworks", "permit_sasl_authenticated",
		"permit_tls_clientcerts", "permit_tls_all_clientcerts" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_iis(name, names[i]))
			return access_restriction_find(name);
	return NULL;
}
