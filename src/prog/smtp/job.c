/* Owns one delivery: which next hop, which host of it, which recipients are left. A host
 * that refuses some of them for the moment is followed by the next one with those. */
#include "agent/worker.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "prog/smtp/agent.h"
#include "spool/message.h"
#include <assert.h>
#include <string.h>

static void next_host(struct job *j);

/* ---- what is to be sent ---- */

static bool
is_last_host(const struct job *j)
{
	int64_t limit = j->service->conf.smtp_mx_session_limit;

	return (j->host_at >= j->n_hosts || (limit > 0 && j->n_sessions + 1 >= limit)) &&
	       (j->is_final_site || j->next_site >= j->n_sites);
}

/* compat: what the client or the content announced; all our own notices. What its parts
 * say nobody has read: that something is 8-bit is taken for it. */
static bool
announces_8bit(uint32_t facts)
{
	const uint32_t parts = MESSAGE_HAS_8BIT | MESSAGE_HAS_PARTS;

	return (facts & (MESSAGE_SAID_8BITMIME | MESSAGE_IS_NOTICE)) != 0 ||
	       (facts & parts) == parts;
}

const struct smtp_client_job *
job_attempt(struct job *j)
{
	const struct wire_job *m = j->dj->m;

	for (uint32_t i = 0; i < j->n_left; i++) {
		const struct wire_rcpt *r = &m->rcpts[j->left[i]];

		j->rcpts[i] = (struct smtp_client_rcpt){ .address = r->address,
			.orcpt = r->orcpt,
			.orig = r->orig,
			.notify = r->notify };
	}
	j->session = (struct smtp_client_job){
		.queue_id = m->qid,
		.nexthop = m->nexthop,
		.sender = m->sender,
		.envid = m->envid,
		.ret = (enum smtp_ret)m->ret,
		.size_bytes = (int64_t)m->size,
		.is_8bit = announces_8bit(m->facts),
		.says_7bit = (m->facts & MESSAGE_SAID_7BIT) != 0,
		.is_utf8 = (m->facts & MESSAGE_SMTPUTF8) != 0 &&
			   j->service->conf.smtputf8_enable,
		.has_utf8_header = (m->facts & MESSAGE_HAS_8BIT_HEADER) != 0,
		.is_probe = delivery_is_probe(j->dj),
		.asks_data = str_iis(j->service->conf.smtp_address_verify_target, "data"),
		.has_dots = (m->facts & MESSAGE_HAS_DOT_LINES) != 0,
		/* The fact is about 998 bytes; a smaller limit needs a look at every
		   line. */
		.has_long_lines = (m->facts & MESSAGE_HAS_LONG_LINES) != 0 ||
				  j->service->conf.smtp_line_length_limit_bytes < 998,
		.rcpts = j->rcpts,
		.n_rcpt = j->n_left,
	};
	return &j->session;
}

void
job_set_up(struct job *j)
{
	j->n_sessions++;
	if (!j->is_reused)
		j->dj->setup_us = loop_wall_us(j->service->agent->loop);
}

/* ---- what became of it ---- */

static struct failure
keep_failure(struct arena *mem, struct str dsn, struct str text)
{
	return (
	    struct failure){ .dsn = arena_str(mem, dsn), .text = arena_str(mem, text) };
}

static void
set_failure(struct job *j, const struct failure *why)
{
	j->why = *why;
	j->relay = STR("");
	j->is_of_mail = false;
}

static void
keep_outcome(struct job *j, const struct conn *c, const struct smtp_client_outcome *o,
    bool is_final)
{
	struct arena *mem = j->dj->mem;

	j->why = keep_failure(mem, o->dsn, o->text);
	j->why.mta = arena_str(mem, o->mta);
	j->why.diag = arena_str(mem, o->diag);
	j->relay = arena_str(mem, c->relay);
	j->is_of_mail = false;
	if (!is_final) /* compat: what is not the last word has a line of its own */
		log_info(
		    j->dj->log, "%.*s: %.*s", STR_ARG(j->dj->m->qid), STR_ARG(o->text));
}

void
job_outcome(struct job *j, const struct conn *c, uint32_t index,
    const struct smtp_client_outcome *o)
{
	struct delivery_outcome out = { .dsn = o->dsn,
		.text = o->text,
		.relay = c->relay,
		.conn_use = c->uses,
		.mta = o->mta,
		.diag = o->diag,
		.diag_type = o->diag.n > 0 ? STR("smtp") : STR(""),
		/* A server with DSN reports by itself (RFC 3461 5.2.2). */
		.action = o->is_relayed    ? STR("relayed")
			  : o->rc == RC_OK ? STR("none")
					   : STR("") };

	assert(index < j->n_left && j->left[index] != JOB_RCPT_DONE);
	if (o->rc == RC_TEMP && !j->is_last_host) {
		keep_outcome(j, c, o, false);
		j->is_of_mail = true;
		return;
	}
	out.rcpt = j->left[index];
	out.what = o->rc == RC_OK     ? DELIVERY_SENT
		   : o->rc == RC_PERM ? DELIVERY_BOUNCED
				      : DELIVERY_DEFERRED;
	j->left[index] = JOB_RCPT_DONE;
	delivery_outcome(j->service->agent->delivery, j->dj, &out);
}

static void
drop_done(struct job *j)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < j->n_left; i++) {
		if (j->left[i] != JOB_RCPT_DONE)
			j->left[kept++] = j->left[i];
	}
	j->n_left = kept;
}

/* A next hop of the administrator's that cannot work is his mistake, not the sender's:
 * mail waits until he has put it right. */
static void
soften(struct job *j)
{
	const struct worker *w = j->service->agent->worker;
	struct str relayhost = STR("");

	if (j->why.dsn.p[0] != '5' || j->relay.n > 0)
		return;
	if (j->next_site > j->n_primary) {
		log_warn(
		    j->dj->log, "smtp_fallback_relay configuration problem"); /* compat */
		j->why.dsn = STR("4.3.5");
		return;
	}
	if (conf_get(w->snapshot, j->service->entry->entry, STR("relayhost"), j->dj->mem,
		&relayhost, NULL) == RC_OK &&
	    relayhost.n > 0 && str_eq(j->sites[0], relayhost)) {
		log_warn(j->dj->log, "relayhost configuration problem"); /* compat */
		j->why.dsn = STR("4.3.5");
	}
}

/* Nothing is left to try. */
static void
finish(struct job *j)
{
	struct delivery *d = j->service->agent->delivery;
	struct delivery_outcome out = { 0 };
	bool is_soft, is_down;

	if (j->n_left == 0) {
		delivery_done(d, j->dj, DELIVERY_SITE_OK, STR(""), STR(""));
		return;
	}
	if (j->why.dsn.n == 0)
		j->why = (struct failure){
			.dsn = STR("4.3.0"),
			.text = STR("server unavailable or unable to receive mail")
		}; /* compat */
	soften(j);
	is_soft = j->why.dsn.p[0] == '4';
	/* compat: looking for a server in vain counts as setting up the connection. */
	if (j->dj->setup_us == 0)
		j->dj->setup_us = loop_wall_us(j->service->agent->loop);
	out.what = is_soft ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
	out.dsn = j->why.dsn;
	out.text = j->why.text;
	out.relay = j->relay;
	out.mta = j->why.mta;
	out.diag = j->why.diag;
	out.diag_type = j->why.diag.n > 0 ? STR("smtp") : STR("");
	delivery_outcome_rest(d, j->dj, &out);
	/* Only what other mail for the next hop would meet as well makes the queue wait
	 * with it: a soft failure, and not of this message alone (compat). */
	is_down = is_soft && !j->is_of_mail;
	delivery_done(d, j->dj, is_down ? DELIVERY_SITE_DOWN : DELIVERY_SITE_OK,
	    j->why.dsn, j->why.text);
}

/* ---- hosts of a next hop ---- */

/* The session broke, or a temporary refusal was not the last word. */
static void
after_session(
    struct job *j, const struct conn *c, const struct smtp_client_outcome *failed)
{
	if (!j->is_reused)
		return;
	/* A server that answered is not asked again. A kept connection that broke says
	 * nothing about its server: the same host gets a fresh one. */
	if (failed == NULL) {
		j->tried = c->to;
		j->has_tried = true;
	} else if (j->is_host_reused) {
		j->host_at--;
	}
	j->is_reused = j->is_host_reused = false;
}

void
job_session_done(
    struct job *j, const struct conn *c, const struct smtp_client_outcome *failed)
{
	bool is_final = j->is_last_host && !j->is_reused;

	drop_done(j);
	if (failed != NULL && j->n_left > 0)
		keep_outcome(j, c, failed, is_final);
	after_session(j, c, failed);
	if (j->n_left == 0 || (failed != NULL && is_final))
		finish(j);
	else
		next_host(j);
}

void
job_connect_failed(struct job *j, const struct failure *why)
{
	set_failure(j, why);
	next_host(j);
}

static bool
was_tried(const struct job *j, const struct dns_host *h)
{
	struct addr_ip a = net_endpoint_addr(&j->tried);

	return j->has_tried && addr_ip_eq(&a, &h->addr) &&
	       net_endpoint_port(&j->tried) == j->port;
}

static void
use_target(struct job *j, const struct target *t)
{
	j->hosts = t->hosts;
	j->n_hosts = t->n;
	j->host_at = 0;
	j->n_sessions = 0;
	j->is_final_site = t->is_final;
	if (t->n == 0)
		set_failure(j, &t->why);
}

static void
on_target(void *arg, const struct target *t)
{
	struct job *j = arg;

	j->asking = NULL;
	list_remove(&j->in_asking);
	use_target(j, t);
	next_host(j);
}

void
job_stop(struct job *j)
{
	target_cancel(&j->asking);
	list_remove(&j->in_asking);
	if (delivery_is_begun(j->dj))
		finish(j); /* what the others got must not be sent again */
	else
		delivery_abandon(j->service->agent->delivery, j->dj);
}

/* False: the hosts are not known yet, on_target() goes on. */
static bool
begin_site(struct job *j)
{
	struct delivery_job *dj = j->dj;
	struct target t = { 0 };
	struct str site = j->sites[j->next_site++];
	struct net_dest dest;
	struct err e = { 0 };

	if (net_dest_parse(site, j->service->port, &j->service->ports, &dest, &e) !=
	    RC_OK) {
		t.why = keep_failure(dj->mem, STR("4.3.5"), str_c(e.text));
		log_warn(dj->log, "%.*s", STR_ARG(t.why.text));
		use_target(j, &t);
		return true;
	}
	j->port = dest.port;
	if (target_at_once(j->service, &dest, dj->mem, &t)) {
		use_target(j, &t);
		return true;
	}
	j->asking = target_find(j->service, &dest, dj->mem, on_target, j);
	list_add_tail(&j->service->agent->asking, &j->in_asking);
	return false;
}

/* Goes on to the next host or next hop until one can be spoken to, or none is left. */
static void
next_host(struct job *j)
{
	int64_t limit = j->service->conf.smtp_mx_session_limit;

	if (j->service->agent->is_stopping) {
		job_stop(j);
		return;
	}
	for (;;) {
		while (j->host_at < j->n_hosts && (limit <= 0 || j->n_sessions < limit)) {
			const struct dns_host *h = &j->hosts[j->host_at++];
			struct failure why = { 0 };

			if (was_tried(j, h))
				continue;
			j->is_last_host = is_last_host(j);
			if (conn_open(j, h, &why) == RC_OK)
				return;
			set_failure(j, &why);
		}
		if (j->is_final_site || j->next_site >= j->n_sites)
			break;
		if (!begin_site(j))
			return;
	}
	finish(j);
}

/* ---- a new job ---- */

static size_t
add_sites(struct job *j, struct str list)
{
	struct str site;

	while (j->n_sites < TARGET_SITES_MAX && str_token(&list, ", \t\r\n", &site))
		j->sites[j->n_sites++] = site;
	return j->n_sites;
}

static struct job *
job_new(struct agent *a, struct delivery_job *dj)
{
	size_t n = dj->m->n_rcpts;
	struct job *j = arena_get(dj->mem, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->dj = dj;
	list_init(&j->in_asking);
	j->service = agent_service(a, dj->m->service);
	j->left = arena_array(dj->mem, n + 1, sizeof(*j->left));
	j->rcpts = arena_array(dj->mem, n + 1, sizeof(*j->rcpts));
	j->sites = arena_array(dj->mem, TARGET_SITES_MAX, sizeof(*j->sites));
	if (j->left == NULL || j->rcpts == NULL || j->sites == NULL || j->service == NULL)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		j->left[i] = i;
	j->n_left = (uint32_t)n;
	j->n_primary = add_sites(j, dj->m->nexthop);
	(void)add_sites(j, j->service->conf.smtp_fallback_relay);
	dj->agent = j;
	return j;
}

static void
refuse_job(struct agent *a, struct delivery_job *dj, const struct failure *why)
{
	struct delivery_outcome out = {
		.what = DELIVERY_DEFERRED, .dsn = why->dsn, .text = why->text
	};

	delivery_outcome_rest(a->delivery, dj, &out);
	delivery_done(a->delivery, dj, DELIVERY_SITE_UNSAID, STR(""), STR(""));
}

void
job_start(void *ctx, struct delivery_job *dj)
{
	static const struct failure unavailable = { .dsn = STR_INIT("4.3.0"),
		.text = STR_INIT("mail transport unavailable") }; /* compat */
	struct agent *a = ctx;
	struct job *j = job_new(a, dj);
	struct conn *c;

	if (j == NULL || j->n_primary == 0 || j->service->missing.text.n > 0) {
		refuse_job(a, dj,
		    j == NULL || j->n_primary == 0 ? &unavailable : &j->service->missing);
		return;
	}
	c = pool_find_site(&a->pool, j->service, j->sites[0], loop_now_us(a->loop));
	if (c != NULL) {
		j->is_reused = true;
		j->is_last_host = c->was_only_host && j->n_sites == 1;
		dj->setup_us = loop_wall_us(a->loop);
		conn_deliver(c, j);
		return;
	}
	next_host(j);
}
