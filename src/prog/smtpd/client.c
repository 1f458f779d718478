/* Who a client is: the address that a proxy names, its name, and what it may do; and who
 * it is after XCLIENT. The lists that say what it may do can have tables, and those can
 * keep one waiting. */
#include "base/arena.h"
#include "log/log.h"
#include "net/proxy_protocol.h"
#include "prog/smtpd/smtpd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
client_cancel(struct conn *c)
{
	net_client_name_cancel(&c->naming);
	free(c->identity);
	c->identity = NULL;
}

/* ---- what it may do ---- */

/* compat: a list that cannot be asked has nobody in it. RC_MORE: ask again. */
static enum rc
is_in(struct conn *c, struct ask *a, const struct route_list *l, bool *out)
{
	struct identity *id = c->identity;
	enum rc rc = route_list_client(a, l, str_c(id->name), str_c(id->addr));

	if (rc == RC_MORE)
		return rc;
	if (rc != RC_OK && rc != RC_NONE)
		id->has_trouble = true;
	*out = rc == RC_OK;
	return RC_OK;
}

static enum rc
hidden_keywords(struct conn *c, struct ask *a, unsigned *out)
{
	struct service *s = c->service;
	struct str words;
	enum rc rc;

	*out = s->hide;
	if (s->lists.ehlo.n == 0)
		return RC_OK;
	rc = ask_tables(a, &s->lists.ehlo, str_c(c->identity->addr), 0, &words);
	if (rc == RC_OK) {
		*out = smtp_ehlo_bits(words, NULL);
	} else if (rc == RC_TEMP) {
		/* compat: nothing is offered. */
		c->identity->has_trouble = true;
		*out = ~0U & ~(unsigned)SMTP_EHLO_SILENT;
	}
	return rc == RC_MORE ? rc : RC_OK;
}

/* Every list once, in one run; those that are empty cost nothing. */
static enum rc
run_rights(void *arg, struct ask *a)
{
	struct conn *c = arg;
	struct service_lists *l = &c->service->lists;
	struct identity *id = c->identity;
	const struct {
		const struct route_list *list;
		bool *out;
	} lists[] = {
		{ &l->xclient, &id->rights.may_xclient },
		{ &l->xforward, &id->rights.may_xforward },
		{ &l->verp, &id->rights.may_verp },
		{ &l->bare_lf, &id->rights.may_bare_lf },
		{ &l->unlimited, &id->is_unlimited },
		{ &l->debugged, &id->is_debugged },
	};

	id->has_trouble = false;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		/* Who becomes another client keeps XFORWARD, but not XCLIENT (compat):
		 * behind a proxy that passes on what the client says it would let
		 * anybody be one of our own. */
		if (c->session != NULL && lists[i].list == &l->xforward)
			continue;
		if (is_in(c, a, lists[i].list, lists[i].out) == RC_MORE)
			return RC_MORE;
	}
	return hidden_keywords(c, a, &id->rights.hide);
}

/* ---- the session begins ---- */

static void
take_identity(struct conn *c)
{
	struct identity *id = c->identity;

	c->addr = id->ip;
	c->name_rc = (uint8_t)id->name_rc;
	c->reverse_rc = (uint8_t)id->reverse_rc;
	free(c->reverse_name);
	c->reverse_name =
	    strcmp(id->reverse_name, id->name) == 0 ? NULL : mem_strdup(id->reverse_name);
	if (id->has_trouble)
		log_warn(c->service->entry->log,
		    "%s[%s]: a list or table of clients cannot be asked", id->name,
		    id->addr);
}

static struct smtp_client_id
id_of(const struct identity *id)
{
	return (struct smtp_client_id){
		.name = str_c(id->name), .addr = str_c(id->addr), .port = str_c(id->port)
	};
}

static void
begin(struct conn *c, enum rc rc)
{
	struct service *s = c->service;
	struct identity *id = c->identity;
	struct smtp_client_id client = id_of(id);

	(void)rc; /* trouble is in the identity */
	take_identity(c);
	c->is_unlimited = id->is_unlimited || id->rights.may_xclient;
	c->may_xforward = id->rights.may_xforward;
	/* compat: XCLIENT changes nothing of it. */
	c->is_debugged = id->is_debugged || log_verbose(s->entry->log) > 0;
	c->is_stressed = s->max_sessions > 0 && s->n_sessions >= s->max_sessions;
	c->session = smtp_server_new(&s->server[c->is_stressed], &client, &id->rights,
	    loop_now_us(s->smtpd->loop));
	client_cancel(c);
	conn_greet(c);
}

static void
set_name(struct identity *id, const struct net_client_name *name)
{
	static const enum rc rcs[] = { [NET_NAME_OK] = RC_OK,
		[NET_NAME_TEMP] = RC_TEMP,
		[NET_NAME_PERM] = RC_NONE,
		[NET_NAME_FORGED] = RC_NONE };

	(void)snprintf(id->name, sizeof(id->name), "%.*s", STR_ARG(name->name));
	(void)snprintf(id->reverse_name, sizeof(id->reverse_name), "%.*s",
	    STR_ARG(name->reverse_name));
	id->name_rc = rcs[name->status];
	id->reverse_rc = rcs[name->reverse_status];
}

static void
on_name(void *arg, const struct net_client_name *name)
{
	struct conn *c = arg;
	struct identity *id = mem_get(sizeof(*id));

	c->naming = NULL;
	c->identity = id;
	if (name->warning.n > 0)
		log_warn(c->service->entry->log, "%.*s", STR_ARG(name->warning));
	id->ip = c->addr;
	set_name(id, name);
	(void)addr_ip_format(&c->addr, id->addr);
	(void)snprintf(id->port, sizeof(id->port), "%u", c->port);
	conn_decide(c, run_rights, begin);
}

static const struct net_client_name nobody = {
	.status = NET_NAME_PERM,
	.reverse_status = NET_NAME_PERM,
	.name = STR_INIT("unknown"),
	.reverse_name = STR_INIT("unknown"),
};

void
client_find(struct conn *c)
{
	struct service *s = c->service;
	struct smtpd *d = s->smtpd;
	struct net_client_name name;

	if (!s->conf.smtpd_peername_lookup || c->addr.family == ADDR_NONE ||
	    c->is_refused)
		on_name(c, &nobody);
	else if (net_client_name_cached(d->names, &c->addr, loop_now_us(d->loop), &name))
		on_name(c, &name);
	else
		c->naming = net_client_name_find(d->names, &c->addr, on_name, c);
}

/* ---- the proxy's header ---- */

static void
end_proxy(struct conn *c)
{
	struct loop *l = c->service->smtpd->loop;

	c->is_greeting_proxy = false;
	loop_timer_cancel(l, &c->timer);
	/* Until there is a session nothing can be told that the client hung up. */
	loop_io_remove(l, &c->io);
	client_find(c);
}

/* compat: the session begins as the proxy's own, and ends with 421. */
static void
refuse_proxy(struct conn *c, const char *why)
{
	struct log *log = c->service->entry->log;
	char text[300];
	struct str in = proxy_header_escape(buf_view(&c->in), text, sizeof(text));

	if (in.n > 0)
		log_warn(log, "haproxy read: %s: %.*s", why, STR_ARG(in));
	else
		log_warn(log, "haproxy read: %s", why);
	buf_reset(&c->in);
	c->is_refused = true;
	end_proxy(c);
}

void
client_read_proxy(struct conn *c, bool is_eof)
{
	struct proxy_header h;
	struct err e = { 0 };
	size_t used = 0;
	enum rc rc = proxy_header_decode(buf_view(&c->in), &h, &used, &e);

	if (rc == RC_MORE && !is_eof)
		return;
	if (rc != RC_OK) {
		refuse_proxy(
		    c, rc == RC_MORE ? proxy_header_cut(buf_view(&c->in)) : e.text);
		return;
	}
	buf_consume(&c->in, used);
	if (!h.is_local) {
		c->addr = h.client;
		c->port = h.client_port;
		conn_more(c)->server = h.server;
		c->more->server_port = h.server_port;
	}
	end_proxy(c);
}

void
client_proxy_late(struct conn *c)
{
	buf_reset(&c->in);
	refuse_proxy(c, "timeout error");
}

/* ---- XCLIENT ---- */

static void
set_text(char *to, size_t size, struct str from)
{
	(void)snprintf(to, size, "%.*s", STR_ARG(from));
}

/* An attribute that was not given stays what it is. */
static void
set_attributes(struct conn *c, struct identity *id, const struct smtp_client_attrs *x,
    const struct smtp_client_id *now)
{
	id->name_rc = (enum rc)c->name_rc;
	id->reverse_rc = (enum rc)c->reverse_rc;
	set_text(id->name, sizeof(id->name), x->name.p != NULL ? x->name : now->name);
	if (x->name.p != NULL)
		id->name_rc = !str_is(x->name, "unknown") ? RC_OK
			      : x->name_is_temp           ? RC_TEMP
							  : RC_NONE;
	if (x->reverse_name.p != NULL)
		set_text(id->reverse_name, sizeof(id->reverse_name), x->reverse_name);
	else
		set_text(id->reverse_name, sizeof(id->reverse_name),
		    c->reverse_name != NULL ? str_c(c->reverse_name) : now->name);
	if (x->reverse_name.p != NULL)
		id->reverse_rc = !str_is(x->reverse_name, "unknown") ? RC_OK
				 : x->reverse_name_is_temp           ? RC_TEMP
								     : RC_NONE;
	set_text(id->addr, sizeof(id->addr), x->addr.p != NULL ? x->addr : now->addr);
	set_text(id->port, sizeof(id->port), x->port.p != NULL ? x->port : now->port);
	if (addr_ip_parse(str_c(id->addr), &id->ip) != RC_OK)
		id->ip = (struct addr_ip){ 0 };
}

static void
set_more(struct conn *c, const struct smtp_client_attrs *x)
{
	uint64_t port;

	struct conn_more *m = conn_more(c);

	/* Another client has not logged in because the one before had. */
	free((char *)(uintptr_t)m->login.p);
	m->login = (struct str){ NULL, x->login.n };
	if (x->login.n > 0) {
		char *copy = mem_get(x->login.n);

		memcpy(copy, x->login.p, x->login.n);
		m->login.p = copy;
	}
	if (x->dest_addr.p != NULL && addr_ip_parse(x->dest_addr, &m->server) != RC_OK)
		m->server = (struct addr_ip){ 0 };
	if (x->dest_port.p != NULL && str_u64(x->dest_port, UINT16_MAX, &port) == RC_OK)
		m->server_port = (uint16_t)port;
}

static void
changed(struct conn *c, enum rc rc)
{
	struct identity *id = c->identity;
	struct smtp_client_id client = id_of(id);
	struct smtp_server_view v = smtp_server_view(c->session);
	struct smtp_answer a = { .client = &client, .rights = &id->rights };

	(void)rc;
	if (conn_more(c)->peer[0] == '\0')
		(void)addr_ip_format(&c->addr, c->more->peer);
	take_identity(c);
	set_more(c, v.xclient);
	c->is_known_local = false;
	conn_answer(c, &a);
	history_chapter(c, 0); /* compat: under the name of the one who comes */
	client_cancel(c);
}

void
client_change(struct conn *c)
{
	struct smtp_server_view v = smtp_server_view(c->session);
	struct identity *id = mem_get(sizeof(*id));

	c->identity = id;
	set_attributes(c, id, v.xclient, v.client);
	id->rights.may_xforward = c->may_xforward;
	conn_decide(c, run_rights, changed);
}
