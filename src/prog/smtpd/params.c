/* What a service's parameters say: read once; a session keeps what it began with. */
#include "agent/session_conf.h"
#include "base/arena.h"
#include "conf/list.h"
#include "log/log.h"
#include "prog/smtpd/smtpd.h"

static struct str
value_of(const struct service *s, const char *name)
{
	struct worker *w = s->smtpd->w;
	struct str v = STR("");

	/* A name that nobody defines leaves the empty value. */
	if (conf_get(w->snapshot, s->entry->entry, str_c(name), w->mem, &v, NULL) !=
	    RC_OK)
		return STR("");
	return str_trim(v);
}

static bool
says_yes(const struct service *s, const char *name)
{
	return str_iis(value_of(s, name), "yes");
}

/* A policy that asks for TLS is kept by refusing: mail and passwords never go in the
 * clear because we lack it. What is left out otherwise master has said (conf/advice.h).
 */
static void
fill_missing(struct service *s)
{
	struct log *log = s->entry->log;

	s->is_wrapped = says_yes(s, "smtpd_tls_wrappermode");
	s->needs_tls = says_yes(s, "smtpd_enforce_tls") ||
		       str_iis(value_of(s, "smtpd_tls_security_level"), "encrypt");
	if (s->smtpd->w->worker_at > 0)
		return; /* the first worker says it */
	if (s->is_wrapped)
		log_warn(log,
		    "service %.*s: smtpd_tls_wrappermode needs TLS, which is not "
		    "built yet: clients are disconnected",
		    STR_ARG(s->entry->name));
	else if (s->needs_tls)
		log_warn(log,
		    "service %.*s: TLS is required and not built yet: mail is refused",
		    STR_ARG(s->entry->name));
	if (says_yes(s, "smtpd_sasl_auth_enable"))
		log_warn(log,
		    "service %.*s: smtpd_sasl_auth_enable: AUTH is not built yet and not "
		    "offered",
		    STR_ARG(s->entry->name));
}

/* ---- lists and tables ---- */

static enum rc
open_lists(struct service *s, struct err *e)
{
	const struct conf_smtpd *c = &s->conf;
	struct service_lists *l = &s->lists;
	const struct {
		const char *name;
		struct str text;
		struct route_list *out;
		enum route_list_kind kind;
	} lists[] = {
		{ "smtpd_authorized_xclient_hosts", c->smtpd_authorized_xclient_hosts,
		    &l->xclient, ROUTE_LIST_DOMAIN },
		{ "smtpd_authorized_xforward_hosts", c->smtpd_authorized_xforward_hosts,
		    &l->xforward, ROUTE_LIST_DOMAIN },
		{ "smtpd_authorized_verp_clients", c->smtpd_authorized_verp_clients,
		    &l->verp, ROUTE_LIST_DOMAIN },
		{ "smtpd_forbid_bare_newline_exclusions",
		    c->smtpd_forbid_bare_newline_exclusions, &l->bare_lf,
		    ROUTE_LIST_DOMAIN },
		{ "smtpd_client_event_limit_exceptions",
		    c->smtpd_client_event_limit_exceptions, &l->unlimited,
		    ROUTE_LIST_DOMAIN },
		{ "debug_peer_list", c->debug_peer_list, &l->debugged,
		    route_parent_matches(
			c->parent_domain_matches_subdomains, "debug_peer_list")
			? ROUTE_LIST_PARENTS
			: ROUTE_LIST_DOMAIN },
		{ "smtpd_forbidden_commands", c->smtpd_forbidden_commands, &l->forbidden,
		    ROUTE_LIST_STRING },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		enum rc rc = decide_open_list(
		    s->decide, lists[i].text, lists[i].kind, lists[i].out, e);

		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", lists[i].name);
	}
	return RC_OK;
}

static enum rc
open_tables(struct service *s, struct err *e)
{
	const struct conf_smtpd *c = &s->conf;
	struct service_lists *l = &s->lists;
	const struct {
		const char *name;
		struct str text;
		struct ask_tables *out;
		unsigned flags;
	} tables[] = {
		{ "smtpd_discard_ehlo_keyword_address_maps",
		    c->smtpd_discard_ehlo_keyword_address_maps, &l->ehlo, ASK_NOFOLD },
		{ "smtpd_command_filter", c->smtpd_command_filter, &l->command_filter,
		    ASK_NOFOLD },
		{ "smtpd_reject_filter_maps", c->smtpd_reject_filter_maps,
		    &l->reject_filter, ASK_NOFOLD },
		{ "smtpd_reject_footer_maps", c->smtpd_reject_footer_maps,
		    &l->reject_footer, ASK_NOFOLD },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc = decide_open_tables(
		    s->decide, tables[i].text, tables[i].flags, tables[i].out, e);

		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", tables[i].name);
	}
	s->has_reject_texts = l->reject_filter.n > 0 || l->reject_footer.n > 0 ||
			      c->smtpd_reject_footer.n > 0;
	return RC_OK;
}

static enum rc
note_service(void *arg, struct str text, struct err *e)
{
	(void)text;
	(void)e;
	*(bool *)arg = true;
	return RC_OK;
}

/* Policy services are told things that cost a system call. */
static bool
asks_policy(const struct service *s)
{
	const struct access_conf *a = decide_access(s->decide);
	bool found = false;

	for (size_t i = 0; i < ACCESS_N_STAGE && !found; i++)
		if (access_each_service(&a->list[i], note_service, &found, NULL) != RC_OK)
			found = true;
	for (unsigned i = 0; i < a->classes.n && !found; i++)
		if (access_each_service(
			&a->classes.v[i].list, note_service, &found, NULL) != RC_OK)
			found = true;
	return found;
}

/* ---- all of it ---- */

static enum rc
fill_proxied(struct service *s, struct err *e)
{
	struct str v = str_trim(s->conf.smtpd_upstream_proxy_protocol);

	s->is_proxied = str_iis(v, "haproxy");
	if (v.n > 0 && !s->is_proxied)
		return err_set(e, RC_PERM,
		    "unsupported smtpd_upstream_proxy_protocol value: %.*s",
		    STR_ARG(str_head(v, 60)));
	return RC_OK;
}

static void
fill_hidden(struct service *s)
{
	struct str unknown = STR("");

	s->hide = smtp_ehlo_bits(s->conf.smtpd_discard_ehlo_keywords, &unknown);
	if (unknown.n > 0 && s->smtpd->w->worker_at == 0)
		log_warn(s->entry->log, "unknown EHLO keyword: %.*s",
		    STR_ARG(str_head(unknown, 100)));
}

/* compat: before every look but the first one there is a pause. */
static int64_t
verify_wait_us(const struct conf_smtpd *c)
{
	return (c->address_verify_poll_count - 1) * c->address_verify_poll_delay_us;
}

static enum rc
fill_stressed(struct service *s, struct err *e)
{
	struct worker *w = s->smtpd->w;
	struct master_service stressed = *s->entry->entry;
	struct conf_smtpd *conf = arena_get(w->mem, sizeof(*conf));
	enum rc rc;

	if (conf == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	stressed.stress = STR("yes"); /* compat: ${stress?{10}:{300}} */
	rc = conf_fill_smtpd(w->snapshot, &stressed, w->mem, conf, e);
	if (rc == RC_OK)
		rc = session_conf_fill(conf, w->mem, &s->server[1], e);
	s->verify_wait_us[1] = verify_wait_us(conf);
	return rc;
}

/* How mail enters the queue: clients', and notices about them. */
static enum rc
load_mail(struct service *s, struct err *e)
{
	struct worker *w = s->smtpd->w;
	const struct ingest_conf_request req = { .snapshot = w->snapshot,
		.service = s->entry->entry,
		.log = s->entry->log,
		.decide = s->decide };
	enum rc rc = ingest_conf_load(&req, w->mem, &s->ingest, e);

	return rc == RC_OK ? history_load(s, &req, e) : rc;
}

enum rc
service_load(struct service *s, struct err *e)
{
	struct worker *w = s->smtpd->w;
	const struct conf_smtpd *c = &s->conf;
	enum rc rc = conf_fill_smtpd(w->snapshot, s->entry->entry, w->mem, &s->conf, e);

	fill_missing(s);
	if (rc == RC_OK)
		rc = session_conf_fill(c, w->mem, &s->server[0], e);
	if (rc == RC_OK)
		rc = fill_stressed(s, e);
	if (rc == RC_OK)
		rc = fill_proxied(s, e);
	if (rc == RC_OK)
		rc = filter_parse(s, e);
	if (rc == RC_OK)
		rc = open_lists(s, e);
	if (rc == RC_OK)
		rc = open_tables(s, e);
	if (rc == RC_OK)
		rc = load_mail(s, e);
	if (rc != RC_OK)
		return rc;
	fill_hidden(s);
	s->verify_wait_us[0] = verify_wait_us(c);
	s->server[0].needs_tls = s->server[1].needs_tls = s->needs_tls;
	s->has_limits = c->smtpd_client_connection_count_limit > 0 ||
			c->smtpd_client_connection_rate_limit > 0 ||
			c->smtpd_client_message_rate_limit > 0 ||
			c->smtpd_client_recipient_rate_limit > 0;
	s->has_policy = asks_policy(s);
	return RC_OK;
}
