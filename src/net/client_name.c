/* Owns the verified name of a client: address to name, name to addresses, and only if
 * that comes back to where it began, the name counts. What was found is kept for a short
 * time, because clients come again; what failed for the moment is not kept. */
#include "addr/domain.h"
#include "net/client_name.h"
#include "base/hmap.h"
#include "base/list.h"
#include "net/resolver_int.h"
#include "os/random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 4096
#define WARNING_MAX 400

struct entry {
	struct hmap_node node;
	struct list lru;
	struct addr_ip addr;
	int64_t until_us;
	struct net_client_name result; /* views into text */
	char text[];
};

struct net_client_names {
	struct net_resolver *r;
	int64_t cache_us;
	struct hmap entries;
	struct list lru;  /* oldest first */
	struct list open; /* of struct net_client_query */
};

struct net_client_query {
	struct net_client_names *c;
	struct list node;
	struct loop_task later;
	struct net_query *asking;
	struct addr_ip addr;
	struct net_client_name result;
	char reverse[DNS_NAME_TEXT_MAX];
	char warning[WARNING_MAX];
	net_client_name_fn *done;
	void *arg;
};

struct net_client_names *
net_client_names_new(struct net_resolver *r, int64_t cache_us)
{
	struct net_client_names *c = mem_get(sizeof(*c));
	uint64_t seed[2];

	c->r = r;
	c->cache_us = cache_us;
	os_random_seed(seed);
	hmap_init(&c->entries, seed);
	list_init(&c->lru);
	list_init(&c->open);
	return c;
}

static void
drop_entry(struct net_client_names *c, struct entry *en)
{
	hmap_remove(&c->entries, &en->node);
	list_remove(&en->lru);
	free(en);
}

void
net_client_names_free(struct net_client_names **c_p)
{
	struct net_client_names *c = *c_p;

	if (c == NULL)
		return;
	while (!list_is_empty(&c->open)) {
		struct net_client_query *q =
		    CONTAINER_OF(list_first(&c->open), struct net_client_query, node);

		net_client_name_cancel(&q);
	}
	while (!list_is_empty(&c->lru))
		drop_entry(c, CONTAINER_OF(list_first(&c->lru), struct entry, lru));
	hmap_fini(&c->entries);
	free(c);
	*c_p = NULL;
}

/* ---- what was found lately ---- */

static uint64_t
addr_hash(const struct net_client_names *c, const struct addr_ip *a)
{
	return hmap_hash(&c->entries, str_n(a, sizeof(*a)));
}

static struct entry *
find_entry(struct net_client_names *c, const struct addr_ip *a)
{
	struct hmap_node *node = hmap_first(&c->entries, addr_hash(c, a));

	for (; node != NULL; node = hmap_more(node)) {
		struct entry *en = CONTAINER_OF(node, struct entry, node);

		if (addr_ip_eq(&en->addr, a))
			return en;
	}
	return NULL;
}

bool
net_client_name_cached(struct net_client_names *c, const struct addr_ip *addr,
    int64_t now_us, struct net_client_name *out)
{
	struct entry *en = find_entry(c, addr);

	if (en == NULL)
		return false;
	if (en->until_us <= now_us) {
		drop_entry(c, en);
		return false;
	}
	*out = en->result;
	return true;
}

static struct str
keep(char **to, struct str s)
{
	struct str copy = { *to, s.n };

	memcpy(*to, s.p, s.n);
	*to += s.n + 1; /* zeroed memory: a NUL stays behind it */
	return copy;
}

static void
remember(struct net_client_names *c, const struct net_client_query *q)
{
	const struct net_client_name *r = &q->result;
	size_t n = r->name.n + r->reverse_name.n + r->warning.n + 3;
	struct entry *en = find_entry(c, &q->addr);
	char *to;

	if (r->status == NET_NAME_TEMP || r->reverse_status == NET_NAME_TEMP ||
	    c->cache_us <= 0)
		return;
	if (en != NULL)
		drop_entry(c, en);
	if (c->entries.n >= ENTRIES_MAX)
		drop_entry(c, CONTAINER_OF(list_first(&c->lru), struct entry, lru));
	en = mem_get(sizeof(*en) + n);
	en->addr = q->addr;
	en->until_us = loop_now_us(c->r->loop) + c->cache_us;
	en->result = *r;
	to = en->text;
	en->result.name = keep(&to, r->name);
	en->result.reverse_name = keep(&to, r->reverse_name);
	en->result.warning = keep(&to, r->warning);
	hmap_put(&c->entries, addr_hash(c, &q->addr), &en->node);
	list_add_tail(&c->lru, &en->lru);
}

/* ---- asking ---- */

static void
free_query(struct net_client_query *q)
{
	net_query_cancel(&q->asking);
	loop_soon_cancel(q->c->r->loop, &q->later);
	list_remove(&q->node);
	free(q);
}

void
net_client_name_cancel(struct net_client_query **q)
{
	if (*q != NULL)
		free_query(*q);
	*q = NULL;
}

static void
finish(void *arg)
{
	struct net_client_query *q = arg;

	remember(q->c, q);
	q->done(q->arg, &q->result);
	free_query(q);
}

/* The name has not proven right; `why` is empty when it has other addresses. */
static void
refuse_name(struct net_client_query *q, enum net_name_status status, const char *why)
{
	char text[ADDR_IP_TEXT_MAX];
	int n;

	n = snprintf(q->warning, sizeof(q->warning),
	    "hostname %s does not resolve to address %s%s%s", /* compat */
	    q->reverse, addr_ip_format(&q->addr, text).p, why[0] != '\0' ? ": " : "",
	    why);
	q->result.warning = str_n(q->warning, (size_t)n);
	q->result.name = STR("unknown");
	q->result.status = status;
}

static bool
has_addr(const struct addr_ip *v, size_t n, const struct addr_ip *a)
{
	for (size_t i = 0; i < n; i++) {
		if (addr_ip_eq(&v[i], a))
			return true;
	}
	return false;
}

static void
on_forward(void *arg, const struct dns_answer *a)
{
	struct net_client_query *q = arg;
	bool is_found = false;

	q->asking = NULL;
	for (size_t i = 0; i < a->n; i++)
		is_found = is_found || has_addr(&a->records[i].addr, 1, &q->addr);
	switch (a->status) {
	case DNS_OK:
		if (!is_found)
			refuse_name(q, NET_NAME_FORGED, "");
		break;
	case DNS_NODATA:
		refuse_name(q, NET_NAME_FORGED, "No address associated with hostname");
		break;
	case DNS_NXDOMAIN:
	case DNS_INVALID:
		refuse_name(q, NET_NAME_FORGED, "Name or service not known");
		break;
	case DNS_FAIL:
	case DNS_TIMEOUT:
		refuse_name(q, NET_NAME_TEMP, "Temporary failure in name resolution");
		break;
	}
	finish(q);
}

/* There is a name: does it lead back? Only addresses of the client's own protocol count.
 */
static void
ask_forward(struct net_client_query *q, struct str reverse)
{
	struct addr_ip found[NET_HOSTS_ADDRS_MAX];
	const struct net_hosts *hosts = net_resolver_hosts(q->c->r);
	enum dns_type type = q->addr.family == 6 ? DNS_AAAA : DNS_A;
	size_t n = 0, n_family = 0;

	memcpy(q->reverse, reverse.p, reverse.n);
	q->reverse[reverse.n] = '\0';
	reverse.p = q->reverse;
	q->result = (struct net_client_name){ NET_NAME_OK, NET_NAME_OK, reverse, reverse,
		STR("") };
	if (hosts != NULL)
		n = net_hosts_addrs(hosts, reverse, found, ARRAY_LEN(found));
	for (size_t i = 0; i < n; i++)
		n_family += found[i].family == q->addr.family;
	if (n_family == 0) {
		q->asking = net_resolve(q->c->r, reverse, type, on_forward, q);
		return;
	}
	if (!has_addr(found, n, &q->addr))
		refuse_name(q, NET_NAME_FORGED, "");
	loop_soon(q->c->r->loop, &q->later);
}

static void
on_reverse(void *arg, const struct dns_answer *a)
{
	struct net_client_query *q = arg;

	q->asking = NULL;
	for (size_t i = 0; i < a->n; i++) {
		struct str name = a->records[i].name;

		/* A name that is none ("1.2.3.4", "a b") would deceive every list and
		 * log. */
		if (a->records[i].type == DNS_PTR && addr_hostname_valid(name)) {
			ask_forward(q, name);
			return;
		}
	}
	if (dns_status_rc(a->status) == RC_TEMP)
		q->result.status = q->result.reverse_status = NET_NAME_TEMP;
	finish(q);
}

struct net_client_query *
net_client_name_find(struct net_client_names *c, const struct addr_ip *addr,
    net_client_name_fn *done, void *arg)
{
	const struct net_hosts *hosts = net_resolver_hosts(c->r);
	struct net_client_query *q = mem_get(sizeof(*q));
	char arpa[DNS_NAME_TEXT_MAX];
	struct str name;

	q->c = c;
	q->addr = *addr;
	q->done = done;
	q->arg = arg;
	loop_task_init(&q->later, finish, q);
	list_add_tail(&c->open, &q->node);
	q->result = (struct net_client_name){ NET_NAME_PERM, NET_NAME_PERM,
		STR("unknown"), STR("unknown"), STR("") };
	if (addr->family == 0) {
		loop_soon(c->r->loop, &q->later);
	} else if (hosts != NULL && net_hosts_name(hosts, addr, &name) == RC_OK) {
		ask_forward(q, name);
	} else {
		addr_ip_reverse(addr, arpa);
		q->asking = net_resolve(c->r, str_c(arpa), DNS_PTR, on_reverse, q);
	}
	return q;
}
