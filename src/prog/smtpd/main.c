/* smtpd: takes mail from the network by SMTP and hands it to queue. It answers 250 only
 * when queue said that the message is on stable storage. */
#include "agent/notice.h"
#include "agent/policy_client.h"
#include "agent/submit.h"
#include "base/arena.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "os/fd.h"
#include "prog/smtpd/smtpd.h"
#include <stdlib.h>
#include <sys/resource.h>

#define SCRATCH_MAX     ((size_t)4 * 1024 * 1024)
#define OUT_MAX         ((size_t)1024 * 1024)
#define NAME_CACHE_US   (60 * US_PER_SEC)
#define DESCRIPTORS_OWN 48 /* log, channels, listeners, resolver */
#define DESCRIPTORS_MAX (1 << 30)
#define DESCRIPTORS_MIN 64
#define DRAIN_US        (300 * US_PER_SEC) /* after this, 421 at the next chance */
#define DRAIN_FORCE_US  (10 * US_PER_SEC)  /* `postfix stop` */

static struct smtpd smtpd;
static struct worker worker;

/* ---- draining ---- */

static void
end_if_drained(struct smtpd *d)
{
	if (d->is_draining && d->n_conns == 0 && notices_open(d->notices) == 0)
		loop_stop(d->loop);
}

void
smtpd_conn_ended(struct smtpd *d)
{
	if (d->n_conns == d->max_conns - 1)
		for (size_t i = 0; i < d->n_services; i++)
			service_listen(&d->services[i]);
	end_if_drained(d);
}

static void
stop_listening(struct smtpd *d)
{
	if (d->is_draining)
		return;
	d->is_draining = true;
	for (size_t i = 0; i < d->n_services; i++)
		service_close(&d->services[i]);
	worker_close_listeners(d->w);
}

/* Tells every session to end as soon as no message is on its way. */
static void
hurry(struct smtpd *d)
{
	LIST_EACH_SAFE (it, tmp, &d->conns) {
		struct conn *c = CONTAINER_OF(it, struct conn, node);

		if (c->session == NULL) {
			conn_free(c);
			continue;
		}
		smtp_server_drain(c->session, loop_now_us(d->loop));
		if (d->is_stopping)
			conn_stop(c);
		else if (!smtp_server_is_asking(c->session))
			conn_run(c);
	}
}

static void
on_impatient(void *arg)
{
	struct smtpd *d = arg;

	hurry(d);
	loop_timer_set(d->loop, &d->impatient, loop_now_us(d->loop) + DRAIN_FORCE_US);
}

static void
on_drain(void *arg)
{
	struct smtpd *d = arg;

	stop_listening(d);
	loop_timer_set(d->loop, &d->impatient, loop_now_us(d->loop) + DRAIN_US);
	smtpd_conn_ended(d);
}

static void
on_give_up(void *arg)
{
	loop_stop(((struct smtpd *)arg)->loop);
}

static void
on_stop(void *arg)
{
	struct smtpd *d = arg;

	d->is_stopping = true;
	stop_listening(d);
	loop_timer_cancel(d->loop, &d->impatient);
	loop_timer_init(&d->impatient, on_give_up, d);
	loop_timer_set(d->loop, &d->impatient, loop_now_us(d->loop) + DRAIN_FORCE_US);
	hurry(d);
	smtpd_conn_ended(d);
}

/* ---- channels ---- */

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct smtpd *d = arg;
	int fd = m->channel;

	if (str_is(m->purpose, "submit"))
		submit_connect(d->submit, fd);
	else if (str_is(m->purpose, "anvil"))
		rates_connect(d->rates, fd);
	else
		os_fd_close(&fd);
}

static const struct worker_ops ops = {
	.on_peer = on_peer,
	.on_drain = on_drain,
	.on_stop = on_stop,
};

static void
on_recheck(void *arg)
{
	answer_waiting(arg);
}

static void
on_queue_ready(void *arg)
{
	struct smtpd *d = arg;

	answer_waiting(d);
	notices_recheck(d->notices);
}

static void
on_notices_idle(void *arg)
{
	end_if_drained(arg);
}

/* ---- start ---- */

static void
need_anvil(void *arg)
{
	worker_need(arg, STR("anvil"));
}

static enum rc
make_resolver(struct smtpd *d, struct err *e)
{
	struct net_resolver_conf conf = { 0 };
	struct conf_protocols p;
	enum rc rc = conf_protocols(d->w->snapshot, NULL, &p, e);

	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < d->n_services; i++)
		if (d->services[i].trouble == NULL) {
			conf.servers = d->services[i].conf.hikyaku_dns_servers;
			break;
		}
	conf.ipv4 = p.has_ipv4;
	conf.ipv6 = p.has_ipv6;
	rc = net_resolver_new(d->loop, d->w->log, &conf, &d->resolver, e);
	if (rc == RC_OK)
		d->names = net_client_names_new(d->resolver, NAME_CACHE_US);
	return rc;
}

/* Like a process of Postfix that ends at its start, and the others work. */
static void
log_trouble(const struct smtpd *d)
{
	for (size_t i = 0; i < d->n_services; i++) {
		const struct service *s = &d->services[i];

		if (s->trouble == NULL)
			continue;
		log_fatal(s->entry->log, "%s", s->trouble);
		log_warn(s->entry->log,
		    "service %.*s: clients are turned away until this is corrected",
		    STR_ARG(s->entry->name));
	}
}

/* RC_PERM: none of them can work. */
static enum rc
open_services(struct smtpd *d, struct err *e)
{
	struct worker *w = d->w;
	size_t n_good = 0;

	d->services = mem_array(w->n_services + 1, sizeof(*d->services));
	for (size_t i = 0; i < w->n_services; i++) {
		enum rc rc = service_open(&d->services[i], d, &w->services[i], e);

		if (rc != RC_OK && rc != RC_PERM)
			return rc;
		n_good += rc == RC_OK;
		d->n_services++;
	}
	if (n_good == 0 && d->n_services > 0)
		return RC_PERM;
	if (w->worker_at == 0) /* the first worker says it */
		log_trouble(d);
	return RC_OK;
}

/* Where the restrictions of a service get their answers. */
static enum rc
connect_decisions(struct smtpd *d, size_t i, struct err *e)
{
	struct decide_sources from = { .loop = d->loop,
		.lookup = worker_lookup(d->w),
		.resolver = d->resolver,
		.submit = d->submit,
		.verify_wait_us = { d->services[i].verify_wait_us[0],
		    d->services[i].verify_wait_us[1] } };
	struct policy_settings set;
	enum rc rc;

	if (d->services[i].trouble != NULL)
		return RC_OK;
	rc = policy_settings_load(
	    d->w->snapshot, d->w->services[i].entry, d->w->mem, &set, e);

	if (rc != RC_OK)
		return rc;
	set.resolver = d->resolver;
	from.policy = policy_client_new(d->loop, d->w->services[i].log, &set);
	decide_use(d->services[i].decide, &from);
	return RC_OK;
}

static enum rc
init(struct smtpd *d, struct worker *w, struct err *e)
{
	enum rc rc;

	d->w = w;
	d->loop = w->loop;
	list_init(&d->conns);
	list_init(&d->waiting);
	loop_timer_init(&d->recheck, on_recheck, d);
	loop_timer_init(&d->impatient, on_impatient, d);
	d->block = mem_get(READ_SIZE);
	buf_init(&d->out, OUT_MAX);
	d->scratch = arena_new(SCRATCH_MAX);
	d->question = mem_get(sizeof(*d->question));
	d->rates = rates_new(&(struct rates_conf){
	    .loop = w->loop, .log = w->log, .need = need_anvil, .arg = w });
	d->submit = submit_new(w->loop, w->log);
	submit_on_ready(d->submit, on_queue_ready, d);
	submit_on_lost(d->submit, worker_need_queue, w);
	d->notices = notices_new(&(struct notices_request){
	    .submit = d->submit, .loop = w->loop, .idle = on_notices_idle, .arg = d });
	rc = open_services(d, e);
	if (rc == RC_OK)
		rc = make_resolver(d, e);
	for (size_t i = 0; rc == RC_OK && i < d->n_services; i++)
		rc = connect_decisions(d, i, e);
	return rc;
}

/* What the restrictions of a service need after confinement. */
static void
allow_decisions(
    const struct decide *tables, struct decide_folders *reads, struct os_sandbox *sandbox)
{
	decide_folders_of(tables, reads);
	if (decide_asks_unix_policy(tables))
		sandbox->may |= OS_MAY_CONNECT_UNIX;
}

/* As many descriptors as the system lets us have, and no more sessions than they last
 * for: each may need one for itself, one for a large message and one for the filter. */
static void
count_descriptors(struct smtpd *d)
{
	struct rlimit r;
	size_t n = DESCRIPTORS_MIN, each = 2;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur > n)
		n = r.rlim_cur < DESCRIPTORS_MAX ? (size_t)r.rlim_cur : DESCRIPTORS_MAX;
	for (size_t i = 0; i < d->n_services; i++)
		if (d->services[i].has_filter)
			each = 3;
	d->max_conns = (n - n / 8 - DESCRIPTORS_OWN) / each;
	/* Clients of one must not keep those of another out: a filter that they wait for
	 * may be among these. */
	for (size_t i = 0; i < d->n_services; i++)
		service_limit(&d->services[i],
		    d->n_services > 1 ? d->max_conns - d->max_conns / 4 : d->max_conns);
}

int
main(int argc, char **argv)
{
	struct decide_folders reads = { .v = { "/etc", "/run/systemd/resolve" }, .n = 2 };
	struct os_sandbox sandbox = { .may = OS_MAY_INET | OS_MAY_READ, .read = reads.v };
	struct smtpd *d = &smtpd;
	struct worker *w = &worker;
	struct err e = { 0 };

	worker_init(w, argc, argv, "smtpd", &ops, d);
	if (init(d, w, &e) != RC_OK) {
		log_fatal(w->log, "%s", e.text);
		return EXIT_FAILURE;
	}
	count_descriptors(d);
	reads.mem = w->mem;
	for (size_t i = 0; i < d->n_services; i++)
		if (d->services[i].decide != NULL)
			allow_decisions(d->services[i].decide, &reads, &sandbox);
	for (size_t i = 0; i < d->n_services; i++)
		if (d->services[i].filter_path != NULL)
			sandbox.may |= OS_MAY_CONNECT_UNIX;
	worker_confine(w, &sandbox);
	for (size_t i = 0; i < d->n_services; i++)
		service_listen(&d->services[i]);
	return worker_run(w);
}
