/* The access configuration of a process: parameters, compiled lists, their open tables.
 */
#include "agent/decide.h"
#include "agent/decide_int.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include <string.h>

struct filling {
	struct decide *d;
	const struct decide_request *req;
	struct arena *mem;
	const struct conf_access *c;
	struct access_conf *out;
};

/* ---- values ---- */

static bool
has_word(struct str list, const char *word)
{
	struct str item;

	while (str_token(&list, CONF_LIST_SEPARATORS, &item))
		if (str_iis(item, word))
			return true;
	return false;
}

static void
copy_codes(const struct conf_access *c, struct access_conf *out)
{
	out->reject_code = (unsigned)c->reject_code;
	out->defer_code = (unsigned)c->defer_code;
	out->relay_domains_reject_code = (unsigned)c->relay_domains_reject_code;
	out->unknown_local_recipient_reject_code =
	    (unsigned)c->unknown_local_recipient_reject_code;
	out->unknown_virtual_mailbox_reject_code =
	    (unsigned)c->unknown_virtual_mailbox_reject_code;
	out->unknown_virtual_alias_reject_code =
	    (unsigned)c->unknown_virtual_alias_reject_code;
	out->unknown_relay_recipient_reject_code =
	    (unsigned)c->unknown_relay_recipient_reject_code;
	out->access_map_reject_code = (unsigned)c->access_map_reject_code;
	out->access_map_defer_code = (unsigned)c->access_map_defer_code;
	out->invalid_hostname_reject_code = (unsigned)c->invalid_hostname_reject_code;
	out->non_fqdn_reject_code = (unsigned)c->non_fqdn_reject_code;
	out->unknown_client_reject_code = (unsigned)c->unknown_client_reject_code;
	out->multi_recipient_bounce_reject_code =
	    (unsigned)c->multi_recipient_bounce_reject_code;
	out->plaintext_reject_code = (unsigned)c->plaintext_reject_code;
	out->maps_rbl_reject_code = (unsigned)c->maps_rbl_reject_code;
	out->unknown_address_reject_code = (unsigned)c->unknown_address_reject_code;
	out->unknown_hostname_reject_code = (unsigned)c->unknown_hostname_reject_code;
	out->unverified_sender_reject_code = (unsigned)c->unverified_sender_reject_code;
	out->unverified_sender_defer_code = (unsigned)c->unverified_sender_defer_code;
	out->unverified_recipient_reject_code =
	    (unsigned)c->unverified_recipient_reject_code;
	out->unverified_recipient_defer_code =
	    (unsigned)c->unverified_recipient_defer_code;
}

static void
copy_values(const struct conf_access *c, struct access_conf *out)
{
	out->relay_before_recipient = c->smtpd_relay_before_recipient_restrictions;
	out->reject_unlisted_recipient = c->smtpd_reject_unlisted_recipient;
	out->reject_unlisted_sender = c->smtpd_reject_unlisted_sender;
	out->delay_reject = c->smtpd_delay_reject;
	out->has_proxy_filter = c->smtpd_proxy_filter.n > 0;
	out->no_unknown_recipient_checks =
	    has_word(c->receive_override_options, "no_unknown_recipient_checks");
	out->sasl_auth_enable = c->smtpd_sasl_auth_enable;
	out->tls_ask_ccert = c->smtpd_tls_ask_ccert;
	out->soft_bounce = c->soft_bounce;
	out->utf8_ok = c->smtputf8_enable;
	out->shows_internal = str_is(c->info_log_address_format, "internal");
	out->allow_untrusted_routing = c->allow_untrusted_routing;
	out->parents = route_parent_matches(
	    c->parent_domain_matches_subdomains, "smtpd_access_maps");
	out->null_access_lookup_key = c->smtpd_null_access_lookup_key;
	out->default_rbl_reply = c->default_rbl_reply;
	out->expansion_filter = c->smtpd_expansion_filter;
	out->unverified_sender_reject_reason = c->unverified_sender_reject_reason;
	out->unverified_recipient_reject_reason = c->unverified_recipient_reject_reason;
	out->policy_service_default_action = c->smtpd_policy_service_default_action;
	out->policy_service_policy_context = c->smtpd_policy_service_policy_context;
	out->compatibility_level = c->compatibility_level;
	out->mail_version = c->mail_version;
	copy_codes(c, out);
}

/* *_tempfail_action: only two words mean something. */
static enum rc
copy_actions(const struct conf_access *c, struct access_conf *out, struct err *e)
{
	const struct {
		const char *name;
		struct str value;
		bool *out;
	} actions[] = {
		{ "unknown_address_tempfail_action", c->unknown_address_tempfail_action,
		    &out->unknown_address_waits },
		{ "unknown_helo_hostname_tempfail_action",
		    c->unknown_helo_hostname_tempfail_action,
		    &out->unknown_helo_hostname_waits },
		{ "unverified_sender_tempfail_action",
		    c->unverified_sender_tempfail_action, &out->unverified_sender_waits },
		{ "unverified_recipient_tempfail_action",
		    c->unverified_recipient_tempfail_action,
		    &out->unverified_recipient_waits },
	};

	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (str_iis(actions[i].value, "defer_if_permit"))
			*actions[i].out = true;
		else if (!str_iis(actions[i].value, "defer"))
			return err_set(e, RC_PERM,
			    "parameter %s: bad value \"%.*s\"; need defer_if_permit or "
			    "defer",
			    actions[i].name, STR_ARG(actions[i].value));
	}
	return RC_OK;
}

/* ---- tables and match lists ---- */

static enum rc
open_table(void *arg, struct str table, struct err *e)
{
	struct filling *f = arg;
	struct ask_tables unused;

	return decide_open_tables(f->d, table, 0, &unused, e);
}

static enum rc
open_lists(struct filling *f, struct err *e)
{
	struct str parents = f->c->parent_domain_matches_subdomains;
	const struct {
		const char *name;
		struct str text;
		struct route_list *out;
	} lists[] = {
		{ "mynetworks", f->c->mynetworks, &f->out->mynetworks },
		{ "permit_mx_backup_networks", f->c->permit_mx_backup_networks,
		    &f->out->permit_mx_backup_networks },
		{ "smtpd_log_access_permit_actions",
		    f->c->smtpd_log_access_permit_actions, &f->out->log_permit_actions },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		bool has_parents = route_parent_matches(parents, lists[i].name);
		enum route_list_kind kind =
		    has_parents ? ROUTE_LIST_PARENTS : ROUTE_LIST_DOMAIN;
		enum rc rc;

		if (lists[i].out == &f->out->log_permit_actions)
			kind = ROUTE_LIST_STRING;
		rc = decide_open_list(f->d, lists[i].text, kind, lists[i].out, e);
		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", lists[i].name);
		if (!f->req->with_access)
			break; /* mynetworks is enough */
	}
	return RC_OK;
}

static enum rc
open_tables(struct filling *f, struct err *e)
{
	enum rc rc = decide_open_tables(
	    f->d, f->c->smtpd_sender_login_maps, 0, &f->out->sender_login_maps, e);

	if (rc != RC_OK)
		return err_in(e, rc, "parameter smtpd_sender_login_maps");
	rc = decide_open_tables(
	    f->d, f->c->smtpd_dns_reply_filter, 0, &f->out->dns_reply_filter, e);
	if (rc != RC_OK)
		return err_in(e, rc, "parameter smtpd_dns_reply_filter");
	rc =
	    decide_open_tables(f->d, f->c->rbl_reply_maps, 0, &f->out->rbl_reply_maps, e);
	if (rc != RC_OK)
		return err_in(e, rc, "parameter rbl_reply_maps");
	return RC_OK;
}

/* ---- restriction lists ---- */

enum rc
decide_access_classes(const struct conf_snapshot *s, const struct master_service *service,
    struct arena *mem, struct access_classes *out, struct err *e)
{
	struct str text = STR(""), rest, name;
	struct access_classes c = { 0 };
	enum rc rc =
	    conf_get(s, service, STR("smtpd_restriction_classes"), mem, &text, e);

	if (rc != RC_OK && rc != RC_NONE)
		return rc;
	rest = text;
	while (str_token(&rest, CONF_LIST_SEPARATORS, &name))
		c.n++;
	c.v = arena_array(mem, c.n + 1, sizeof(*c.v));
	if (c.v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	c.n = 0;
	while (str_token(&text, CONF_LIST_SEPARATORS, &name))
		c.v[c.n++].name = name;
	*out = c;
	return RC_OK;
}

static enum rc
compile(struct filling *f, struct str text, struct access_list *out, struct err *e)
{
	enum rc rc = access_compile(text, &f->out->classes, f->mem, out, e);

	return rc == RC_OK ? access_each_table(out, open_table, f, e) : rc;
}

static enum rc
compile_classes(struct filling *f, struct err *e)
{
	struct access_classes *c = &f->out->classes;
	enum rc rc =
	    decide_access_classes(f->req->snapshot, f->req->service, f->mem, c, e);

	for (unsigned i = 0; rc == RC_OK && i < c->n; i++) {
		struct str text = STR("");

		rc = conf_get(
		    f->req->snapshot, f->req->service, c->v[i].name, f->mem, &text, e);
		if (rc == RC_NONE)
			return err_set(e, RC_PERM, /* compat */
			    "restriction class `%.*s' needs a definition",
			    STR_ARG(c->v[i].name));
		if (rc == RC_OK)
			rc = compile(f, text, &c->v[i].list, e);
		if (rc != RC_OK)
			return err_in(
			    e, rc, "restriction class %.*s", STR_ARG(c->v[i].name));
	}
	return rc;
}

static enum rc
compile_lists(struct filling *f, struct err *e)
{
	const struct conf_access *c = f->c;
	const struct {
		const char *name;
		struct str text;
		enum access_stage stage;
	} lists[] = {
		{ "smtpd_client_restrictions", c->smtpd_client_restrictions,
		    ACCESS_CLIENT },
		{ "smtpd_helo_restrictions", c->smtpd_helo_restrictions, ACCESS_HELO },
		{ "smtpd_sender_restrictions", c->smtpd_sender_restrictions,
		    ACCESS_SENDER },
		{ "smtpd_relay_restrictions", c->smtpd_relay_restrictions, ACCESS_RELAY },
		{ "smtpd_recipient_restrictions", c->smtpd_recipient_restrictions,
		    ACCESS_RECIPIENT },
		{ "smtpd_data_restrictions", c->smtpd_data_restrictions, ACCESS_DATA },
		{ "smtpd_end_of_data_restrictions", c->smtpd_end_of_data_restrictions,
		    ACCESS_END_OF_DATA },
		{ "smtpd_etrn_restrictions", c->smtpd_etrn_restrictions, ACCESS_ETRN },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		enum rc rc = compile(f, lists[i].text, &f->out->list[lists[i].stage], e);

		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", lists[i].name);
	}
	return RC_OK;
}

static enum rc
compile_rewrite(struct filling *f, struct err *e)
{
	struct access_list *l = &f->out->header_rewrite;
	enum rc rc =
	    access_compile_rewrite(f->c->local_header_rewrite_clients, f->mem, l, e);

	if (rc == RC_OK)
		rc = access_each_table(l, open_table, f, e);
	if (rc != RC_OK)
		return err_in(e, rc, "parameter local_header_rewrite_clients");
	return RC_OK;
}

enum rc
decide_access_fill(struct decide *d, const struct decide_request *req, struct arena *mem,
    struct access_conf *out, struct err *e)
{
	struct conf_access c;
	struct filling f = { .d = d, .req = req, .mem = mem, .c = &c, .out = out };
	enum rc rc = conf_fill_access(req->snapshot, req->service, mem, &c, e);

	if (rc == RC_OK)
		rc = copy_actions(&c, out, e);
	if (rc != RC_OK)
		return rc;
	copy_values(&c, out);
	rc = open_lists(&f, e);
	if (rc != RC_OK || !req->with_access)
		return rc;
	rc = open_tables(&f, e);
	if (rc == RC_OK)
		rc = compile_classes(&f, e);
	if (rc == RC_OK)
		rc = compile_lists(&f, e);
	if (rc == RC_OK)
		rc = compile_rewrite(&f, e);
	return rc == RC_OK ? access_check_relay(out, e) : rc;
}
