/* Owns what lives once in this process: the services of master.cf with their parameters,
 * the resolver, and the way in and out of the delivery frame. */
#include "prog/smtp/agent.h"
#include "agent/notice.h"
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/random.h"
#include <string.h>

#define ETC_SERVICES_MAX ((size_t)1 << 20)

/* splitmix64: which of two equal hosts comes first needs no secret. */
uint64_t
agent_random(void *arg)
{
	struct agent *a = arg;
	uint64_t z = a->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

struct service *
agent_service(struct agent *a, struct str name)
{
	for (size_t i = 0; i < a->n_services; i++) {
		if (str_eq(a->services[i].entry->name, name))
			return &a->services[i];
	}
	return NULL;
}

/* ---- parameters ---- */

static void
fill_session(struct service *s)
{
	const struct conf_smtp *c = &s->conf;

	s->client = (struct smtp_client_conf){
		.helo_name = c->smtp_helo_name,
		.always_send_ehlo = c->smtp_always_send_ehlo,
		.never_send_ehlo = c->smtp_never_send_ehlo,
		.skip_5xx_greeting = c->smtp_skip_5xx_greeting,
		.skip_quit_response = c->smtp_skip_quit_response,
		.hide = smtp_cap_bits(c->smtp_discard_ehlo_keywords),
		.greeting_us = c->smtp_helo_timeout_us,
		.helo_us = c->smtp_helo_timeout_us,
		.mail_us = c->smtp_mail_timeout_us,
		.rcpt_us = c->smtp_rcpt_timeout_us,
		.data_init_us = c->smtp_data_init_timeout_us,
		.data_xfer_us = c->smtp_data_xfer_timeout_us,
		.data_done_us = c->smtp_data_done_timeout_us,
		.rset_us = c->smtp_rset_timeout_us,
		.quit_us = c->smtp_quit_timeout_us,
		.line_limit = (size_t)c->smtp_line_length_limit_bytes,
		.keeps_8bit = c->disable_mime_output_conversion,
	};
	s->client25 = s->client;
	s->client25.remember_own_name = true;
}

static enum rc
fill_choices(struct service *s, struct err *e)
{
	const struct conf_smtp *c = &s->conf;
	struct str rest = c->smtp_host_lookup, word;

	s->has_dns =
	    !c->disable_dns_lookups && !str_is(c->smtp_dns_support_level, "disabled");
	while (str_token(&rest, ", \t", &word)) {
		if (str_iis(word, "dns"))
			s->host_lookup |= NET_HOST_DNS;
		else if (str_iis(word, "native"))
			s->host_lookup |= NET_HOST_NATIVE;
		else
			return err_set(
			    e, RC_PERM, "bad smtp_host_lookup: %.*s", STR_ARG(word));
	}
	if (!s->has_dns) /* compat: without DNS names come from the system's own files */
		s->host_lookup = NET_HOST_NATIVE;
	s->mx = (struct dns_mx_policy){
		.randomize = c->smtp_randomize_addresses,
		.balance = c->smtp_balance_inet_protocols,
		.address_limit = (unsigned)c->smtp_mx_address_limit,
		.random = agent_random,
		.random_arg = s->agent,
	};
	if (str_iis(c->smtp_address_preference, "ipv4"))
		s->mx.prefer = DNS_PREFER_IPV4;
	else if (str_iis(c->smtp_address_preference, "ipv6"))
		s->mx.prefer = DNS_PREFER_IPV6;
	else if (!str_iis(c->smtp_address_preference, "any"))
		return err_set(e, RC_PERM, "bad smtp_address_preference: %.*s",
		    STR_ARG(c->smtp_address_preference));
	return RC_OK;
}

/* The address a parameter names; empty: none. */
static enum rc
fill_bind(struct str value, uint8_t family, const char *name, struct addr_ip *out,
    struct err *e)
{
	value = str_trim(value);
	if (value.n > 1 && value.p[0] == '[')
		value = (struct str){ value.p + 1, value.n - 2 };
	if (value.n == 0)
		return RC_OK;
	if (addr_ip_parse(value, out) != RC_OK || out->family != family)
		return err_set(e, RC_PERM, "bad %s address: %.*s", name, STR_ARG(value));
	return RC_OK;
}

/* A system that listens on one address only also sends from it (compat): otherwise a
 * virtual host would send with its host's name and another one's address. */
static void
bind_like_listening(const struct service *s, uint8_t family, struct addr_ip *out)
{
	const struct addr_ip *only = NULL;

	if (out->family != 0 || str_iis(s->conf.inet_interfaces, "all") ||
	    str_iis(s->conf.inet_interfaces, "loopback-only"))
		return;
	for (size_t i = 0; i < s->own.n; i++) {
		if (s->own.v[i].family != family)
			continue;
		if (only != NULL)
			return;
		only = &s->own.v[i];
	}
	if (only != NULL && !addr_ip_is_loopback(only))
		*out = *only;
}

static enum rc
fill_addresses(struct service *s, struct worker *w, struct err *e)
{
	const struct conf_smtp *c = &s->conf;
	enum rc rc;

	rc = fill_bind(c->smtp_bind_address, 4, "smtp_bind_address", &s->bind4, e);
	if (rc == RC_OK)
		rc = fill_bind(
		    c->smtp_bind_address6, 6, "smtp_bind_address6", &s->bind6, e);
	if (rc == RC_OK)
		rc = conf_own_addresses(
		    w->snapshot, s->entry->entry, false, w->mem, &s->own, e);
	if (rc != RC_OK)
		return rc;
	bind_like_listening(s, 4, &s->bind4);
	bind_like_listening(s, 6, &s->bind6);
	/* Behind a translator its outside addresses are ours, too. */
	return conf_own_addresses(w->snapshot, s->entry->entry, true, w->mem, &s->own, e);
}

static enum rc
fill_service(struct service *s, struct worker *w, struct err *e)
{
	enum rc rc;

	rc = conf_fill_smtp(w->snapshot, s->entry->entry, w->mem, &s->conf, e);
	if (rc != RC_OK)
		return rc;
	fill_session(s);
	missing_find(s);
	s->ports = (struct net_ports){ s->conf.known_tcp_ports, s->agent->services_text };
	if (net_port_find(s->conf.smtp_tcp_port, &s->ports, &s->port) != RC_OK)
		return err_set(e, RC_PERM, "unknown service: %.*s/tcp",
		    STR_ARG(s->conf.smtp_tcp_port));
	rc = fill_choices(s, e);
	if (rc == RC_OK)
		rc = match_list_parse(s->conf.smtp_connection_cache_destinations,
		    &match_files_os, w->mem, &s->cached, e);
	if (rc == RC_OK)
		rc = history_load(s, e);
	return rc == RC_OK ? fill_addresses(s, w, e) : rc;
}

static enum rc
make_resolver(struct agent *a, struct worker *w, struct err *e)
{
	struct net_resolver_conf conf = { 0 };
	struct conf_protocols p;

	if (a->n_services > 0)
		conf.servers = a->services[0].conf.hikyaku_dns_servers;
	if (conf_protocols(w->snapshot, NULL, &p, e) != RC_OK)
		return RC_PERM;
	conf.ipv4 = p.has_ipv4;
	conf.ipv6 = p.has_ipv6;
	return net_resolver_new(w->loop, w->log, &conf, &a->resolver, e);
}

enum rc
agent_init(struct agent *a, struct worker *w, struct err *e)
{
	enum rc rc = RC_OK;

	a->worker = w;
	a->loop = w->loop;
	a->log = w->log;
	a->random = os_random_u64();
	list_init(&a->conns);
	list_init(&a->asking);
	pool_init(&a->pool);
	/* Without it ports have numbers and the names that are built in. */
	(void)!os_fd_load(
	    "/etc/services", ETC_SERVICES_MAX, w->mem, &a->services_text, NULL);
	a->services = mem_array(w->n_services + 1, sizeof(*a->services));
	for (size_t i = 0; rc == RC_OK && i < w->n_services; i++) {
		a->services[i].agent = a;
		a->services[i].entry = &w->services[i];
		rc = fill_service(&a->services[i], w, e);
		a->n_services++;
	}
	return rc == RC_OK ? make_resolver(a, w, e) : rc;
}

/* ---- the delivery frame ---- */

/* No job is open any more. Connections that still wait for an answer to QUIT are not
 * worth waiting for. */
static void
on_delivery_idle(void *ctx)
{
	struct agent *a = ctx;

	a->is_idle = true;
	if (a->notices == NULL || notices_open(a->notices) == 0)
		loop_stop(a->loop);
}

static const struct delivery_ops delivery_ops = {
	.start = job_start,
	.idle = on_delivery_idle,
};

enum rc
agent_begin(struct agent *a, struct err *e)
{
	const struct worker *w = a->worker;
	struct conf_delivery conf;
	struct delivery_request req = { .worker = a->worker,
		.loop = a->loop,
		.log = a->log,
		.ops = &delivery_ops,
		.ctx = a };
	enum rc rc;

	rc = conf_fill_delivery(w->snapshot, NULL, w->mem, &conf, e);
	if (rc != RC_OK)
		return rc;
	req.soft_bounce = conf.soft_bounce;
	req.delay_resolution = (int)conf.delay_logging_resolution_limit;
	a->delivery = delivery_new(&req);
	return RC_OK;
}

static void
stop_connecting(struct agent *a)
{
	LIST_EACH_SAFE (it, next, &a->conns) {
		struct conn *c = CONTAINER_OF(it, struct conn, node);
		struct job *j = c->job;

		if (c->state != CONN_CONNECTING || j == NULL)
			continue;
		c->job = NULL;
		conn_free(c);
		job_stop(j);
	}
}

void
agent_stop(struct agent *a)
{
	a->is_stopping = true;
	agent_drain(a);
	while (!list_is_empty(&a->asking))
		job_stop(CONTAINER_OF(list_first(&a->asking), struct job, in_asking));
	stop_connecting(a);
}

void
agent_drain(struct agent *a)
{
	struct list *it;

	a->is_draining = true;
	while ((it = list_first(&a->pool.idle)) != NULL)
		conn_quit(CONTAINER_OF(it, struct conn, idle));
	delivery_drain(a->delivery);
}
