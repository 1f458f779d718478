/* Owns the addresses of a host: numeric, from the hosts file, or by an A and an AAAA
 * question asked together. */
#include "net/resolver_int.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/random.h"
#include <stdlib.h>

/* ---- the hosts file ---- */

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void
load_hosts(struct net_resolver *r)
{
	struct arena *mem = arena_new(2 * NET_HOSTS_FILE_MAX);
	struct net_hosts *hosts = NULL;
	struct err e = { 0 };
	uint64_t seed[2];
	struct str text;
	enum rc rc;

	rc = os_fd_load(r->hosts_file, NET_HOSTS_FILE_MAX, mem, &text, &e);
	if (rc == RC_OK) {
		os_random_seed(seed);
		rc = net_hosts_parse(text, seed, &hosts, &e);
	}
	arena_free(&mem);
	if (rc != RC_OK) {
		/* The last good one stays: half a file is worse than an old one. */
		if (rc != RC_NONE)
			log_warn(r->log, "%s: %s", r->hosts_file, e.text);
		return;
	}
	net_hosts_free(&r->hosts);
	r->hosts = hosts;
}

const struct net_hosts *
net_resolver_hosts(struct net_resolver *r)
{
	int64_t now_us = loop_now_us(r->loop);
	struct stat st;

	if (r->hosts_file[0] == '\0')
		return NULL;
	if (r->hosts_looked_us != 0 && now_us - r->hosts_looked_us < US_PER_SEC)
		return r->hosts;
	r->hosts_looked_us = now_us;
	if (stat(r->hosts_file, &st) < 0 || is_same_file(&st, &r->hosts_stat))
		return r->hosts;
	r->hosts_stat = st;
	load_hosts(r);
	return r->hosts;
}

/* ---- a host's addresses ---- */

static bool
is_wanted(const struct net_resolver *r, const struct addr_ip *a)
{
	return a->family == 4 ? r->ipv4 : r->ipv6;
}

static void
finish(void *arg)
{
	struct net_query *q = arg;
	struct net_host_answer a = { .status = q->n_addrs > 0 ? DNS_OK : q->status,
		.type = q->type,
		.name = q->name,
		.addrs = q->addrs,
		.n = q->n_addrs };

	q->host_done(q->arg, &a);
	net_query_free(q);
}

/* Of two failures the one that may pass decides, because a later try may find an address.
 */
static void
note_failure(struct net_query *q, enum dns_status status, enum dns_type type)
{
	bool had_temp = q->type != 0 && dns_status_rc(q->status) == RC_TEMP;

	if (had_temp && dns_status_rc(status) != RC_TEMP)
		return;
	/* The words are those of the AAAA question when both ended alike (compat). */
	if (q->type == DNS_AAAA && dns_status_rc(status) != RC_TEMP)
		return;
	q->status = status;
	q->type = type;
}

static void
on_part(void *arg, const struct dns_answer *a)
{
	struct net_query *q = arg;

	q->part[a->type == DNS_AAAA] = NULL;
	if (a->status != DNS_OK)
		note_failure(q, a->status, a->type);
	for (size_t i = 0; i < a->n && q->n_addrs < DNS_ANSWER_MAX; i++) {
		if (a->records[i].type == a->type)
			q->addrs[q->n_addrs++] = a->records[i].addr;
	}
	if (q->part[0] == NULL && q->part[1] == NULL)
		finish(q);
}

/* Answers from memory: numeric addresses and, if wanted, the hosts file. */
static bool
find_here(struct net_query *q, unsigned lookup)
{
	struct addr_ip found[NET_HOSTS_ADDRS_MAX];
	const struct net_hosts *hosts;
	bool is_known = false;
	size_t n = 0;

	if (addr_ip_parse(q->name, &found[0]) == RC_OK)
		n = 1;
	else if ((lookup & NET_HOST_NATIVE) != 0 &&
		 (hosts = net_resolver_hosts(q->r)) != NULL)
		n = net_hosts_addrs(hosts, q->name, found, ARRAY_LEN(found));
	for (size_t i = 0; i < n && q->n_addrs < DNS_ANSWER_MAX; i++) {
		is_known = true;
		if (is_wanted(q->r, &found[i]))
			q->addrs[q->n_addrs++] = found[i];
	}
	/* A numeric address of a protocol that is off has no answer elsewhere. */
	return q->n_addrs > 0 ||
	       (is_known && n == 1 && addr_ip_parse(q->name, &found[0]) == RC_OK);
}

struct net_query *
net_resolve_host(struct net_resolver *r, struct str name, unsigned lookup,
    net_host_fn *done, void *arg)
{
	struct net_query *q;

	if (name.n > DNS_NAME_TEXT_MAX)
		name.n = DNS_NAME_TEXT_MAX;
	q = net_query_new(r, name);
	q->host_done = done;
	q->arg = arg;
	q->addrs = mem_array(DNS_ANSWER_MAX, sizeof(*q->addrs));
	loop_task_init(&q->later, finish, q);
	if (find_here(q, lookup) || (!r->ipv4 && !r->ipv6)) {
		q->status = DNS_NODATA;
		q->type = r->ipv6 ? DNS_AAAA : DNS_A;
		loop_soon(r->loop, &q->later);
		return q;
	}
	if (r->ipv4)
		q->part[0] = net_resolve(r, q->name, DNS_A, on_part, q);
	if (r->ipv6)
		q->part[1] = net_resolve(r, q->name, DNS_AAAA, on_part, q);
	return q;
}
