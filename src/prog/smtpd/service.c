/* Services: master.cf lines whose command is smtpd. Their parameters become plain structs
 * once; a session keeps what it began with. */
#include "addr/net.h"
#include "base/arena.h"
#include "conf/list.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "os/fd.h"
#include "prog/smtpd/smtpd.h"
#include <string.h>

#define ACCEPT_BATCH 16 /* a round; the other workers shall get some, too */
#define PAUSE_US     US_PER_SEC

/* ---- parameters ---- */

static enum rc
newline_mode(struct str v, enum smtp_newline *out, struct err *e)
{
	if (str_iis(v, "no"))
		*out = SMTP_NEWLINE_NO;
	else if (str_iis(v, "normalize") || str_iis(v, "yes"))
		*out = SMTP_NEWLINE_NORMALIZE;
	else if (str_iis(v, "reject"))
		*out = SMTP_NEWLINE_REJECT;
	else if (str_iis(v, "note"))
		*out = SMTP_NEWLINE_NOTE;
	else
		return err_set(e, RC_PERM,
		    "bad parameter value: 'smtpd_forbid_bare_newline = %.*s'", /* compat
										*/
		    STR_ARG(v));
	return RC_OK;
}

static enum rc
fill_server(struct service *s, const struct conf_smtpd *c, struct smtp_server_conf *out,
    struct err *e)
{
	enum smtp_newline newline;
	enum rc rc = newline_mode(c->smtpd_forbid_bare_newline, &newline, e);

	if (rc != RC_OK)
		return rc;
	*out = (struct smtp_server_conf){
		.hostname = c->myhostname,
		.banner = c->smtpd_banner,
		.size_limit = c->message_size_limit_bytes,
		.soft_error_limit = (uint32_t)c->smtpd_soft_error_limit,
		.hard_error_limit = (uint32_t)c->smtpd_hard_error_limit,
		.junk_command_limit = (uint32_t)c->smtpd_junk_command_limit,
		.error_sleep_us = c->smtpd_error_sleep_time_us,
		.recipient_limit = (uint32_t)c->smtpd_recipient_limit,
		.recipient_overshoot = (uint32_t)c->smtpd_recipient_overshoot_limit,
		.line_limit = (size_t)c->line_length_limit_bytes,
		.timeout_us = c->smtpd_timeout_us,
		.per_request_deadline = c->smtpd_per_request_deadline,
		.min_data_rate = c->smtpd_min_data_rate,
		.helo_required = c->smtpd_helo_required,
		.disable_vrfy = c->disable_vrfy_command,
		.strict_envelopes = c->strict_rfc821_envelopes,
		.forbid_unauth_pipelining = c->smtpd_forbid_unauth_pipelining,
		.utf8_ok = c->smtputf8_enable,
		.log_port = c->smtpd_client_port_logging,
		.needs_tls = s->needs_tls,
		.newline = newline,
		.forbidden_commands = c->smtpd_forbidden_commands,
		.noop_commands = c->smtpd_noop_commands,
	};
	out->newline_code = arena_printf(s->smtpd->w->mem, "%lld",
	    (long long)c->smtpd_forbid_bare_newline_reject_code);
	s->rights.hide = smtp_ehlo_bits(c->smtpd_discard_ehlo_keywords, NULL);
	return RC_OK;
}

/* ---- what is not built yet ---- */

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

/* Lists that are compared with words and networks only: a table there never matches. The
 * one that smtpd_forbidden_commands has by default is understood without being asked. */
static void
warn_unasked(const struct service *s, const char *name, struct str list)
{
	struct str rest = list, item;

	if (s->smtpd->w->worker_at > 0)
		return; /* the first worker says it */
	while (conf_list_next(&rest, &item) == RC_OK)
		if (item.p[0] != '[' && item.p[0] != '/' &&
		    str_find(item, ':') < item.n &&
		    !str_is(item, "regexp:{{/^[^A-Z]/ Bogus}}"))
			log_warn(s->entry->log,
			    "service %.*s: %s: tables are not asked here yet: %.*s",
			    STR_ARG(s->entry->name), name, STR_ARG(str_head(item, 200)));
}

/* ---- headers ---- */

/* Which clients' headers are completed as if they were our own programs. */
static void
fill_rewrite(struct service *s)
{
	struct str rest = s->conf.local_header_rewrite_clients, word;

	while (str_token(&rest, CONF_LIST_SEPARATORS, &word)) {
		if (str_iis(word, "permit_inet_interfaces"))
			s->rewrite_own = true;
		else if (str_iis(word, "permit_mynetworks"))
			s->rewrite_mynetworks = true;
		else if (!str_istarts(word, STR("permit_")))
			log_warn(s->entry->log,
			    "local_header_rewrite_clients: %.*s is not supported yet",
			    STR_ARG(word));
	}
}

bool
service_completes_headers(const struct service *s, const struct addr_ip *addr)
{
	if (addr->family == ADDR_NONE)
		return false;
	for (size_t i = 0; s->rewrite_own && i < s->own.n; i++)
		if (addr_ip_eq(&s->own.v[i], addr))
			return true;
	return s->rewrite_mynetworks && match_list_has(&s->mynetworks, STR(""), addr);
}

static enum rc
fill(struct service *s, struct err *e)
{
	struct worker *w = s->smtpd->w;
	const struct master_service *line = s->entry->entry;
	struct master_service stressed = *line;
	struct conf_smtpd conf;
	enum rc rc;

	rc = conf_fill_smtpd(w->snapshot, line, w->mem, &s->conf, e);
	fill_missing(s);
	if (rc == RC_OK) {
		warn_unasked(
		    s, "smtpd_forbidden_commands", s->conf.smtpd_forbidden_commands);
		warn_unasked(s, "smtpd_forbid_bare_newline_exclusions",
		    s->conf.smtpd_forbid_bare_newline_exclusions);
	}
	if (rc == RC_OK)
		rc = fill_server(s, &s->conf, &s->server[0], e);
	stressed.stress = STR("yes"); /* compat: ${stress?{10}:{300}} */
	if (rc == RC_OK)
		rc = conf_fill_smtpd(w->snapshot, &stressed, w->mem, &conf, e);
	if (rc == RC_OK)
		rc = fill_server(s, &conf, &s->server[1], e);
	if (rc == RC_OK)
		rc = match_list_parse(s->conf.smtpd_forbid_bare_newline_exclusions,
		    &match_files_os, w->mem, &s->bare_lf_ok, e);
	if (rc == RC_OK)
		rc = match_list_parse(
		    s->conf.mynetworks, &match_files_os, w->mem, &s->mynetworks, e);
	if (rc == RC_OK)
		rc = conf_own_addresses(w->snapshot, line, false, w->mem, &s->own, e);
	fill_rewrite(s);
	return rc;
}

/* ---- accepting ---- */

static bool
is_full(const struct service *s)
{
	return s->max_sessions > 0 && s->n_sessions >= s->max_sessions;
}

void
service_listen(struct service *s)
{
	bool on = !is_full(s) && !s->is_paused && !s->smtpd->is_draining;

	for (size_t i = 0; i < s->n_listeners; i++)
		loop_io_want(s->smtpd->loop, &s->listeners[i].io, on ? LOOP_READ : 0);
}

static void
on_retry(void *arg)
{
	struct service *s = arg;

	s->is_paused = false;
	service_listen(s);
}

static void
on_client(void *arg, unsigned events)
{
	struct listener *l = arg;
	struct service *s = l->service;
	struct smtpd *d = s->smtpd;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && !is_full(s) && !d->is_draining; i++) {
		struct net_endpoint peer;
		struct addr_ip addr;
		struct err e = { 0 };
		int fd;
		enum rc rc = net_accept(l->io.fd, &fd, &peer, &e);

		if (rc == RC_TEMP) {
			/* Out of descriptors: who waits in the queue of the socket is not
			 * lost, and asking again at once would only burn time. */
			log_warn(s->entry->log, "accept connection: %s", e.text);
			s->is_paused = true;
			loop_timer_set(
			    d->loop, &s->retry, loop_now_us(d->loop) + PAUSE_US);
			break;
		}
		if (rc != RC_OK)
			break;
		if (s->is_wrapped) {
			os_fd_close(&fd);
			continue;
		}
		addr = net_endpoint_addr(&peer);
		conn_open(s, fd, &addr, net_endpoint_port(&peer));
	}
	if (is_full(s) || s->is_paused)
		service_listen(s);
}

/* The limit of master.cf is for all workers of the service together. */
static uint32_t
share_of(const struct worker *w, uint32_t maxproc)
{
	uint32_t n = w->n_workers > 0 ? w->n_workers : 1;

	return maxproc == 0 ? 0 : (maxproc + n - 1) / n;
}

enum rc
service_open(
    struct service *s, struct smtpd *d, const struct worker_service *entry, struct err *e)
{
	struct decide_request req = { .snapshot = d->w->snapshot,
		.service = entry->entry,
		.log = entry->log,
		.with_access = true,
		.share = d->tables };
	enum rc rc;

	*s = (struct service){ .smtpd = d, .entry = entry };
	s->max_sessions = share_of(d->w, entry->maxproc);
	loop_timer_init(&s->retry, on_retry, s);
	rc = fill(s, e);
	if (rc == RC_OK)
		rc = decide_new(&req, &s->decide, e);
	if (rc != RC_OK)
		return rc;
	if (d->tables == NULL)
		d->tables = s->decide;
	rc = ingest_conf_load(&(struct ingest_conf_request){ .snapshot = d->w->snapshot,
				  .service = entry->entry,
				  .log = entry->log,
				  .decide = s->decide },
	    d->w->mem, &s->ingest, e);
	if (rc != RC_OK)
		return rc;
	s->listeners = mem_array(entry->n_listen + 1, sizeof(*s->listeners));
	s->n_listeners = entry->n_listen;
	for (size_t i = 0; i < entry->n_listen; i++) {
		s->listeners[i].service = s;
		loop_io_init(
		    &s->listeners[i].io, entry->listen[i], on_client, &s->listeners[i]);
	}
	return RC_OK;
}
