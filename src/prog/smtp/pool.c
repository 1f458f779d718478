/* Owns the connections that wait for another message, found by next hop and by server.
 * The latest to become idle is used first, so that the others can end. */
#include "prog/smtp/agent.h"
#include "os/random.h"
#include <string.h>
#include <sys/resource.h>

#define IDLE_MAX 1000 /* connections kept for reuse, in all */

/* Connections that only may be of use must not keep work from getting descriptors. */
static size_t
idle_max(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur / 2 >= IDLE_MAX)
		return IDLE_MAX;
	return (size_t)r.rlim_cur / 2;
}

void
pool_init(struct pool *p)
{
	uint64_t seed[2];

	os_random_seed(seed);
	hmap_init(&p->by_site, seed);
	hmap_init(&p->by_endpoint, seed);
	list_init(&p->idle);
	p->n = 0;
	p->max = idle_max();
}

/* The service takes part in the key, because its parameters made the session what it is.
 */
static uint64_t
site_hash(const struct pool *p, const struct service *s, struct str site)
{
	return hmap_hash_ci(&p->by_site, site) ^ hmap_hash_u64(&p->by_site, (uintptr_t)s);
}

static uint64_t
endpoint_hash(
    const struct pool *p, const struct service *s, const struct net_endpoint *to)
{
	return hmap_hash(&p->by_endpoint, str_n(&to->u, to->len)) ^
	       hmap_hash_u64(&p->by_endpoint, (uintptr_t)s);
}

static bool
is_same_endpoint(const struct net_endpoint *a, const struct net_endpoint *b)
{
	return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

/* smtp_connection_cache_destinations: by the next hop as it stands, or its host. */
static bool
is_cached_destination(const struct conn *c)
{
	const struct match_list *list = &c->service->cached;
	struct net_dest dest;

	/* A table there ("static:all") means that there is no short answer: keep it. */
	if (list->has_tables || match_list_has(list, c->site, NULL))
		return true;
	return net_dest_parse(c->site, SMTP_PORT, &c->service->ports, &dest, NULL) ==
		   RC_OK &&
	       match_list_has(list, dest.host, NULL);
}

bool
pool_wants(const struct conn *c)
{
	const struct conf_smtp *conf = &c->service->conf;
	const struct agent *a = c->service->agent;

	if (a->is_draining || a->pool.n >= a->pool.max || c->out.n > 0 || c->in.n > 0 ||
	    conf->smtp_connection_cache_time_limit_us <= 0)
		return false;
	return conf->smtp_connection_cache_on_demand || is_cached_destination(c);
}

void
pool_put(struct pool *p, struct conn *c)
{
	if (c->is_best)
		hmap_put(&p->by_site, site_hash(p, c->service, c->site), &c->by_site);
	hmap_put(&p->by_endpoint, endpoint_hash(p, c->service, &c->to), &c->by_endpoint);
	list_add_tail(&p->idle, &c->idle);
	p->n++;
}

void
pool_take(struct pool *p, struct conn *c)
{
	if (c->is_best)
		hmap_remove(&p->by_site, &c->by_site);
	hmap_remove(&p->by_endpoint, &c->by_endpoint);
	list_remove(&c->idle);
	p->n--;
}

static bool
may_reuse(const struct conn *c, int64_t now_us)
{
	const struct conf_smtp *conf = &c->service->conf;

	if (conf->smtp_connection_reuse_count_limit > 0 &&
	    c->uses > conf->smtp_connection_reuse_count_limit)
		return false;
	return now_us - c->born_us < conf->smtp_connection_reuse_time_limit_us;
}

static struct conn *
better(struct conn *found, struct conn *c, int64_t now_us)
{
	if (!may_reuse(c, now_us))
		return found;
	return found == NULL || c->idle_since_us >= found->idle_since_us ? c : found;
}

struct conn *
pool_find_site(struct pool *p, const struct service *s, struct str site, int64_t now_us)
{
	struct hmap_node *node = hmap_first(&p->by_site, site_hash(p, s, site));
	struct conn *found = NULL;

	for (; node != NULL; node = hmap_more(node)) {
		struct conn *c = CONTAINER_OF(node, struct conn, by_site);

		if (c->service == s && str_ieq(c->site, site))
			found = better(found, c, now_us);
	}
	if (found != NULL)
		pool_take(p, found);
	return found;
}

struct conn *
pool_find_endpoint(struct pool *p, const struct service *s, const struct net_endpoint *to,
    int64_t now_us)
{
	struct hmap_node *node = hmap_first(&p->by_endpoint, endpoint_hash(p, s, to));
	struct conn *found = NULL;

	for (; node != NULL; node = hmap_more(node)) {
		struct conn *c = CONTAINER_OF(node, struct conn, by_endpoint);

		if (c->service == s && is_same_endpoint(&c->to, to))
			found = better(found, c, now_us);
	}
	if (found != NULL)
		pool_take(p, found);
	return found;
}
