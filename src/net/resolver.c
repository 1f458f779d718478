/* Owns questions to the DNS. libunbound runs its event loop on a thread of its own and
 * hands finished answers over through a pipe that our loop watches: one thread, started
 * by the first question, after confinement, so that the filters hold for it too. */
#include "net/resolver.h"
#include "log/log.h"
#include "net/resolver_int.h"
#include "os/fd.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#define TIMEOUT_DEFAULT_US (10 * US_PER_SEC) /* as the C library: two tries of 5 s */
#define SILENT_MAX         3                 /* then they are taken for dead */
#define TIMEOUT_SILENT_US  (2 * US_PER_SEC)
#define ANSWER_MEM_MAX     ((size_t)1024 * 1024)
#define SEPARATORS         ", \t\r\n"
#define RESOLV_CONF_MAX    ((size_t)65536)

/* ---- configuration ---- */

/* "192.0.2.1", "::1@5353" */
static bool
is_server(struct str word)
{
	struct str addr = word, port;
	struct addr_ip a;
	uint64_t v;

	if (str_cut(word, '@', &addr, &port) &&
	    (str_u64(port, 65535, &v) != RC_OK || v == 0))
		return false;
	/* A scope ("fe80::1%eth0") is libunbound's to understand. */
	return addr_ip_parse(str_head(addr, str_find(addr, '%')), &a) == RC_OK;
}

static void
add_server(struct net_resolver *r, struct str word)
{
	if (r->n_servers == SERVERS_MAX)
		return;
	r->servers[r->n_servers] = mem_get(word.n + 1);
	memcpy(r->servers[r->n_servers++], word.p, word.n);
}

static void
read_resolv_conf(struct net_resolver *r, const char *path)
{
	struct arena *mem = arena_new(2 * RESOLV_CONF_MAX);
	struct str text, line, word;

	if (os_fd_load(path, RESOLV_CONF_MAX, mem, &text, NULL) != RC_OK)
		text = STR("");
	while (str_token(&text, "\n", &line)) {
		/* as libc: what it cannot read it skips */
		if (str_token(&line, " \t\r", &word) && str_is(word, "nameserver") &&
		    str_token(&line, " \t\r", &word) && is_server(word))
			add_server(r, word);
	}
	arena_free(&mem);
}

enum rc
net_resolver_check(struct str servers, struct err *e)
{
	struct str word;

	while (str_token(&servers, SEPARATORS, &word))
		if (!is_server(word))
			return err_set(
			    e, RC_PERM, "bad DNS server address: %.*s", STR_ARG(word));
	return RC_OK;
}

static enum rc
choose_servers(
    struct net_resolver *r, const struct net_resolver_conf *conf, struct err *e)
{
	struct str rest = conf->servers, word;

	if (net_resolver_check(rest, e) != RC_OK)
		return RC_PERM;
	while (str_token(&rest, SEPARATORS, &word))
		add_server(r, word);
	if (r->n_servers == 0)
		read_resolv_conf(r,
		    conf->resolv_conf != NULL ? conf->resolv_conf : "/etc/resolv.conf");
	if (r->n_servers == 0)
		add_server(r, STR("127.0.0.1"));
	return RC_OK;
}

static void on_readable(void *arg, unsigned events);

enum rc
net_resolver_new(struct loop *loop, struct log *log, const struct net_resolver_conf *conf,
    struct net_resolver **out, struct err *e)
{
	struct net_resolver *r = mem_get(sizeof(*r));

	r->loop = loop;
	r->log = log;
	r->ipv4 = conf->ipv4;
	r->ipv6 = conf->ipv6;
	r->timeout_us = conf->timeout_us > 0 ? conf->timeout_us : TIMEOUT_DEFAULT_US;
	r->hosts_file =
	    mem_strdup(conf->hosts_file != NULL ? conf->hosts_file : "/etc/hosts");
	r->scratch = arena_new(ANSWER_MEM_MAX);
	list_init(&r->open);
	if (choose_servers(r, conf, e) != RC_OK) {
		net_resolver_free(&r);
		return RC_PERM;
	}
	*out = r;
	return RC_OK;
}

void
net_resolver_free(struct net_resolver **r_p)
{
	struct net_resolver *r = *r_p;

	if (r == NULL)
		return;
	while (!list_is_empty(&r->open))
		net_query_free(
		    CONTAINER_OF(list_first(&r->open), struct net_query, node));
	if (r->ub != NULL) {
		loop_io_remove(r->loop, &r->io);
		ub_ctx_delete(r->ub);
	}
	for (size_t i = 0; i < r->n_servers; i++)
		free(r->servers[i]);
	net_hosts_free(&r->hosts);
	arena_free(&r->scratch);
	free(r->hosts_file);
	free(r);
	*r_p = NULL;
}

/* ---- libunbound ---- */

/* Settings before the context is final. A name that this libunbound does not know changes
 * nothing that we depend on. */
static void
set_options(struct ub_ctx *ub)
{
	static const struct {
		const char *name, *value;
	} options[] = {
		{ "module-config:", "iterator" },    /* validation comes with DANE */
		{ "do-not-query-localhost:", "no" }, /* the forwarder may be there */
		{ "unblock-lan-zones:",
		    "yes" }, /* private reverse zones: the forwarder knows */
		{ "outgoing-range:", "512" }, /* questions in flight */
		{ "num-queries-per-thread:", "2048" },
		{ "msg-cache-size:", "2m" },
		{ "rrset-cache-size:", "4m" },
		{ "cache-max-ttl:", "3600" },
		{ "cache-max-negative-ttl:",
		    "60" }, /* a domain that was set up just now */
		{ "infra-host-ttl:",
		    "30" }, /* a forwarder that was down is tried again */
		{ "qname-minimisation:", "no" }, /* one forwarder sees all of it anyway */
		/* The forwarder is asked again after seconds, because it may take its
		 * time for a name; by itself libunbound asks a quick one again after 50
		 * ms. It waits twice as long after each try, whatever the question: 12 s
		 * for the first one, 24 s for the next. So how long we wait is up to us.
		 */
		{ "infra-cache-min-rtt:", "2000" },
		{ "unknown-server-time-limit:", "2000" },
		{ "outbound-msg-retry:", "2" },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		(void)ub_ctx_set_option(ub, options[i].name, options[i].value);
}

/* Names that libunbound would answer by itself but that a site's DNS server may serve. */
static void
remove_local_zones(struct ub_ctx *ub)
{
	static const char *const zones[] = {
		"localhost.",
		"test.",
		"invalid.",
		"home.arpa.",
		"127.in-addr.arpa.",
		("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."),
	};

	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		(void)ub_ctx_zone_remove(ub, zones[i]);
}

static bool
start_unbound(struct net_resolver *r)
{
	struct ub_ctx *ub = ub_ctx_create();
	int error = UB_NOMEM;

	if (ub == NULL)
		goto fail;
	(void)ub_ctx_debugout(ub, NULL);
	set_options(ub);
	for (size_t i = 0; i < r->n_servers; i++) {
		error = ub_ctx_set_fwd(ub, r->servers[i]);
		if (error != 0)
			goto fail;
	}
	error = ub_ctx_async(ub, 1);
	if (error != 0)
		goto fail;
	remove_local_zones(ub);
	loop_io_init(&r->io, ub_fd(ub), on_readable, r);
	loop_io_want(r->loop, &r->io, LOOP_READ);
	r->ub = ub;
	return true;
fail:
	log_warn(r->log, "cannot start the DNS resolver: %s", ub_strerror(error));
	if (ub != NULL)
		ub_ctx_delete(ub);
	return false;
}

static void
on_readable(void *arg, unsigned events)
{
	struct net_resolver *r = arg;
	int error;

	(void)events;
	error = ub_process(r->ub);
	if (error != 0)
		log_warn(r->log, "DNS resolver: %s", ub_strerror(error));
}

static enum dns_status
status_of(int error, const struct ub_result *result)
{
	if (error != 0 || result == NULL)
		return DNS_FAIL;
	if (result->nxdomain || result->rcode == 3)
		return DNS_NXDOMAIN;
	if (result->rcode != 0)
		return DNS_FAIL;
	return result->havedata ? DNS_OK : DNS_NODATA;
}

static void
read_records(const struct net_query *q, const struct ub_result *result,
    struct dns_answer *a, struct arena *mem)
{
	struct dns_record *v = arena_array(mem, DNS_ANSWER_MAX, sizeof(*v));

	for (size_t i = 0; v != NULL && result->data[i] != NULL; i++) {
		struct str rdata = str_n(result->data[i], (size_t)result->len[i]);

		if (a->n == DNS_ANSWER_MAX)
			break;
		/* One bad record does not spoil the others. */
		if (dns_record_decode(q->type, rdata, mem, &v[a->n], NULL) == RC_OK)
			a->n++;
	}
	a->records = v;
	if (a->n == 0)
		a->status = DNS_INVALID;
}

static void
on_answer(void *arg, int error, struct ub_result *result)
{
	struct net_query *q = arg;
	struct net_resolver *r = q->r;
	struct dns_answer a = {
		.status = status_of(error, result),
		.type = q->type,
		.qname = q->name,
		.canonical = q->name,
	};

	q->is_asked = false;
	if (a.status != DNS_FAIL) /* which libunbound says for silent servers, too */
		r->n_silent = 0;
	if (a.status == DNS_OK)
		read_records(q, result, &a, r->scratch);
	if (result != NULL && result->canonname != NULL) {
		a.canonical = str_c(result->canonname);
		if (a.canonical.n > 1 && str_ends(a.canonical, STR(".")))
			a.canonical.n--;
	}
	if (result != NULL && result->ttl > 0)
		a.ttl_s = (uint32_t)result->ttl;
	q->done(q->arg, &a);
	net_query_free(q);
	arena_reset(r->scratch);
	ub_resolve_free(result);
}

/* ---- questions ---- */

struct net_query *
net_query_new(struct net_resolver *r, struct str name)
{
	struct net_query *q = mem_get(sizeof(*q) + name.n + 1);

	q->r = r;
	memcpy(q->name_text, name.p, name.n);
	q->name = (struct str){ q->name_text, name.n };
	list_add_tail(&r->open, &q->node);
	r->n_open++;
	return q;
}

void
net_query_free(struct net_query *q)
{
	struct net_resolver *r = q->r;

	for (size_t i = 0; i < ARRAY_LEN(q->part); i++)
		net_query_cancel(&q->part[i]);
	if (q->is_asked)
		(void)ub_cancel(r->ub, q->async_id);
	loop_timer_cancel(r->loop, &q->deadline);
	loop_soon_cancel(r->loop, &q->later);
	list_remove(&q->node);
	r->n_open--;
	free(q->addrs);
	free(q);
}

void
net_query_cancel(struct net_query **q)
{
	if (*q != NULL)
		net_query_free(*q);
	*q = NULL;
}

static void
say_later(void *arg)
{
	struct net_query *q = arg;
	struct dns_answer a = { .status = q->status,
		.type = q->type,
		.qname = q->name,
		.canonical = q->name };

	q->done(q->arg, &a);
	net_query_free(q);
}

static void
on_deadline(void *arg)
{
	struct net_query *q = arg;

	q->status = DNS_TIMEOUT;
	q->r->n_silent++;
	say_later(q);
}

int64_t
net_resolver_patience_us(const struct net_resolver *r)
{
	return r->n_silent < SILENT_MAX || r->timeout_us < TIMEOUT_SILENT_US
		   ? r->timeout_us
		   : TIMEOUT_SILENT_US;
}

struct net_query *
net_resolve(struct net_resolver *r, struct str name, enum dns_type type,
    net_answer_fn *done, void *arg)
{
	unsigned char wire[DNS_NAME_WIRE_MAX];
	struct net_query *q;
	size_t n;

	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n > DNS_NAME_TEXT_MAX)
		name.n = DNS_NAME_TEXT_MAX; /* still too long to be encoded */
	q = net_query_new(r, name);
	q->type = type;
	q->done = done;
	q->arg = arg;
	loop_timer_init(&q->deadline, on_deadline, q);
	loop_task_init(&q->later, say_later, q);
	if (dns_name_encode(name, wire, &n) != RC_OK ||
	    memchr(name.p, '\0', name.n) != NULL ||
	    memchr(name.p, '\\', name.n) != NULL) {
		q->status = DNS_INVALID;
		loop_soon(r->loop, &q->later);
		return q;
	}
	q->status = DNS_FAIL;
	if (r->n_open > OPEN_MAX_QUERIES || (r->ub == NULL && !start_unbound(r)) ||
	    ub_resolve_async(
		r->ub, q->name_text, (int)type, 1, q, on_answer, &q->async_id) != 0) {
		loop_soon(r->loop, &q->later);
		return q;
	}
	q->is_asked = true;
	loop_timer_set(
	    r->loop, &q->deadline, loop_now_us(r->loop) + net_resolver_patience_us(r));
	return q;
}
