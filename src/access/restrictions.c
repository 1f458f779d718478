/* The table of restrictions, and those that are built. A new one is a row and a function.
 */
#include "access/access_int.h"
#include <stdio.h>

static enum rc
permit(struct access_eval *ev)
{
	return access_permit(ev);
}

static enum rc
reject(struct access_eval *ev)
{
	const struct access_reply r = { ev->c->reject_code, ".7.1",
		access_rejected(ev, "Access denied"), { NULL, 0 }, NULL, false };

	return access_reject(ev, &r);
}

static enum rc
defer(struct access_eval *ev)
{
	const struct access_reply r = { ev->c->defer_code, ".3.2",
		access_rejected(ev, "Try again later"), { NULL, 0 }, NULL, false };

	return access_reject(ev, &r);
}

/* The reply that waits until the lists permit (or reject). The first reason is kept. */
static enum rc
keep_deferral(struct access_eval *ev, const char *words, struct str *to)
{
	struct str subject = access_subject(ev), text = access_rejected(ev, words);

	if (ev->warning_depth > 0 || to->n > 0)
		return RC_OK;
	*to = arena_printf(
	    ev->a->mem, "450 4.7.0 <%.*s>: %.*s", STR_ARG(subject), STR_ARG(text));
	return RC_OK;
}

static enum rc
defer_if_permit(struct access_eval *ev)
{
	return keep_deferral(ev, "defer_if_permit requested", &ev->state.defer_if_permit);
}

static enum rc
defer_if_reject(struct access_eval *ev)
{
	return keep_deferral(ev, "defer_if_reject requested", &ev->defer_if_reject);
}

static enum rc
permit_mynetworks(struct access_eval *ev)
{
	enum rc rc = route_list_client(
	    ev->a, &ev->c->mynetworks, ev->q->client_name, ev->q->client_addr);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_TEMP || rc == RC_PERM)
		access_lookup_trouble(ev);
	else if (rc == RC_OK)
		ev->v.what = ACCESS_OK;
	return RC_OK;
}

static enum rc
permit_inet_interfaces(struct access_eval *ev)
{
	const struct route_conf *c = ev->c->route;
	struct addr_ip client;

	if (addr_ip_parse(ev->q->client_addr, &client) != RC_OK)
		return RC_OK;
	for (unsigned i = 0; i < c->n_own_addrs; i++)
		if (addr_ip_eq(&c->own_addrs[i], &client))
			return access_permit(ev);
	return RC_OK;
}

static enum rc
permit_sasl_authenticated(struct access_eval *ev)
{
	return ev->q->is_authenticated ? access_permit(ev) : RC_OK;
}

/* Where the recipient goes. RC_TEMP: the verdict is set. */
static enum rc
resolve_recipient(struct access_eval *ev, struct route *out)
{
	struct err e = { 0 };
	enum rc rc =
	    route_resolve(ev->a, ev->c->route, ev->q->sender, ev->q->recipient, out, &e);

	if (rc == RC_OK && out->warning.n > 0)
		access_warn(ev, out->warning);
	if (rc == RC_OK || rc == RC_MORE)
		return rc;
	access_lookup_trouble(ev);
	return RC_TEMP;
}

/* Whether we are the right place for this recipient. A routed address (user%x@here) may
 * go on to somewhere else, so it does not count unless the administrator trusts such
 * things. */
static bool
is_auth_destination(const struct access_eval *ev, const struct route *r)
{
	if (r->is_routed && !ev->c->allow_untrusted_routing)
		return false;
	return r->cls != ROUTE_DEFAULT;
}

static enum rc
permit_auth_destination(struct access_eval *ev)
{
	struct route r;
	enum rc rc = resolve_recipient(ev, &r);

	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	return is_auth_destination(ev, &r) ? access_permit(ev) : RC_OK;
}

static enum rc
deny_relay(struct access_eval *ev, unsigned code)
{
	const struct access_reply reply = { code, ".7.1", STR_INIT("Relay access denied"),
		ev->q->recipient, NULL, false };
	struct route r;
	enum rc rc = resolve_recipient(ev, &r);

	if (rc != RC_OK)
		return rc == RC_MORE ? rc : RC_OK;
	return is_auth_destination(ev, &r) ? RC_OK : access_reject(ev, &reply);
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

static unsigned
class_code(const struct access_conf *c, enum route_class cls)
{
	switch (cls) {
	case ROUTE_LOCAL:
		return c->unknown_local_recipient_reject_code;
	case ROUTE_VIRTUAL_ALIAS:
		return c->unknown_virtual_alias_reject_code;
	case ROUTE_VIRTUAL_MAILBOX:
		return c->unknown_virtual_mailbox_reject_code;
	case ROUTE_RELAY:
		return c->unknown_relay_recipient_reject_code;
	case ROUTE_DEFAULT:
		break;
	}
	return 550;
}

static enum rc
reject_unlisted(struct access_eval *ev, bool is_sender, struct str address)
{
	const char *cls = is_sender ? "Sender address" : "Recipient address";
	struct route_unlisted why;
	struct access_reply r = { 0 };
	char dsn[20];
	const struct route_candidate who = { .address = address,
		.other = is_sender ? ev->q->recipient : ev->q->sender,
		.is_sender = is_sender };
	enum rc rc = route_listed(ev->a, ev->c->route, &who, &why);

	if (rc == RC_OK || rc == RC_MORE)
		return rc;
	if (rc != RC_NONE) {
		access_lookup_trouble(ev);
		return RC_OK;
	}
	(void)snprintf(dsn, sizeof(dsn), "%.*s", STR_ARG(str_from(why.dsn, 1)));
	r.code = why.code_fixed ? why.code : class_code(ev->c, why.cls);
	r.dsn = dsn;
	r.subject = access_shown(ev, address);
	r.words = arena_printf(
	    ev->a->mem, "%s rejected: %.*s", cls, STR_ARG(why.text)); /* compat */
	return access_reject(ev, &r);
}

enum rc
access_unlisted_recipient(struct access_eval *ev)
{
	enum rc rc;

	if (ev->state.unlisted_done)
		return RC_OK;
	rc = reject_unlisted(ev, false, ev->q->recipient);
	if (rc == RC_OK && ev->warning_depth == 0)
		ev->state.unlisted_done = true;
	return rc;
}

enum rc
access_unlisted_sender(struct access_eval *ev)
{
	if (!ev->q->has_sender || ev->q->sender.n == 0)
		return RC_OK;
	return reject_unlisted(ev, true, ev->q->sender);
}

/* compat: all names. Those without a function are answered with 451 4.3.5. */
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

	{ "check_ccert_access", NULL, ACCESS_TAKES_ARG },
	{ "check_client_a_access", NULL, ACCESS_TAKES_ARG },
	{ "check_client_access", NULL, ACCESS_TAKES_ARG },
	{ "check_client_mx_access", NULL, ACCESS_TAKES_ARG },
	{ "check_client_ns_access", NULL, ACCESS_TAKES_ARG },
	{ "check_etrn_access", NULL, ACCESS_TAKES_ARG },
	{ "check_helo_a_access", NULL, ACCESS_TAKES_ARG },
	{ "check_helo_access", NULL, ACCESS_TAKES_ARG },
	{ "check_helo_mx_access", NULL, ACCESS_TAKES_ARG },
	{ "check_helo_ns_access", NULL, ACCESS_TAKES_ARG },
	{ "check_policy_service", NULL, ACCESS_TAKES_ARG },
	{ "check_recipient_a_access", NULL, ACCESS_TAKES_ARG },
	{ "check_recipient_access", NULL, ACCESS_TAKES_ARG },
	{ "check_recipient_mx_access", NULL, ACCESS_TAKES_ARG },
	{ "check_recipient_ns_access", NULL, ACCESS_TAKES_ARG },
	{ "check_relay_domains", NULL, 0 },
	{ "check_reverse_client_hostname_a_access", NULL, ACCESS_TAKES_ARG },
	{ "check_reverse_client_hostname_access", NULL, ACCESS_TAKES_ARG },
	{ "check_reverse_client_hostname_mx_access", NULL, ACCESS_TAKES_ARG },
	{ "check_reverse_client_hostname_ns_access", NULL, ACCESS_TAKES_ARG },
	{ "check_sasl_access", NULL, ACCESS_TAKES_ARG },
	{ "check_sender_a_access", NULL, ACCESS_TAKES_ARG },
	{ "check_sender_access", NULL, ACCESS_TAKES_ARG },
	{ "check_sender_mx_access", NULL, ACCESS_TAKES_ARG },
	{ "check_sender_ns_access", NULL, ACCESS_TAKES_ARG },
	{ "permit_dnswl_client", NULL, ACCESS_TAKES_ARG },
	{ "permit_mx_backup", NULL, 0 },
	{ "permit_naked_ip_address", NULL, 0 },
	{ "permit_rhswl_client", NULL, ACCESS_TAKES_ARG },
	{ "permit_tls_all_clientcerts", NULL, 0 },
	{ "permit_tls_clientcerts", NULL, 0 },
	{ "reject_authenticated_sender_login_mismatch", NULL, 0 },
	{ "reject_invalid_helo_hostname", NULL, 0 },
	{ "reject_invalid_hostname", NULL, 0 },
	{ "reject_known_sender_login_mismatch", NULL, 0 },
	{ "reject_maps_rbl", NULL, 0 },
	{ "reject_multi_recipient_bounce", NULL, 0 },
	{ "reject_non_fqdn_helo_hostname", NULL, 0 },
	{ "reject_non_fqdn_hostname", NULL, 0 },
	{ "reject_non_fqdn_recipient", NULL, 0 },
	{ "reject_non_fqdn_sender", NULL, 0 },
	{ "reject_plaintext_session", NULL, 0 },
	{ "reject_rbl", NULL, ACCESS_TAKES_ARG },
	{ "reject_rbl_client", NULL, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_client", NULL, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_helo", NULL, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_recipient", NULL, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_reverse_client", NULL, ACCESS_TAKES_ARG },
	{ "reject_rhsbl_sender", NULL, ACCESS_TAKES_ARG },
	{ "reject_sender_login_mismatch", NULL, 0 },
	{ "reject_unauth_pipelining", NULL, 0 },
	{ "reject_unauthenticated_sender_login_mismatch", NULL, 0 },
	{ "reject_unknown_address", NULL, 0 },
	{ "reject_unknown_client", NULL, 0 },
	{ "reject_unknown_client_hostname", NULL, 0 },
	{ "reject_unknown_helo_hostname", NULL, 0 },
	{ "reject_unknown_hostname", NULL, 0 },
	{ "reject_unknown_recipient_domain", NULL, 0 },
	{ "reject_unknown_reverse_client_hostname", NULL, 0 },
	{ "reject_unknown_sender_domain", NULL, 0 },
	{ "reject_unverified_recipient", NULL, 0 },
	{ "reject_unverified_sender", NULL, 0 },
	{ "sleep", NULL, ACCESS_TAKES_ARG },
};

const struct access_restriction *
access_restriction_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_iis(name, table[i].name))
			return &table[i];
	return NULL;
}
