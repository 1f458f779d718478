/* Owns the hosts file, read: a table from names to addresses and one from addresses to
 * names, both inside one arena. The text is an administrator's, but it is capped like any
 * other. */
#include "addr/domain.h"
#include "net/hosts.h"
#include "base/hmap.h"
#include <stdlib.h>
#include <string.h>

struct by_name {
	struct hmap_node node;
	struct str name;
	struct addr_ip addr;
	struct by_name *next; /* the same name's next address, in the file's order */
};

struct by_addr {
	struct hmap_node node;
	struct addr_ip addr;
	struct str name;
};

struct net_hosts {
	struct arena *mem;
	struct hmap names, addrs;
};

static struct str
addr_key(const struct addr_ip *a)
{
	return str_n(a, sizeof(*a));
}

static struct by_name *
find_name(const struct net_hosts *h, struct str name)
{
	struct hmap_node *node;

	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	for (node = hmap_first(&h->names, hmap_hash_ci(&h->names, name)); node != NULL;
	     node = hmap_more(node)) {
		struct by_name *b = CONTAINER_OF(node, struct by_name, node);

		if (str_ieq(b->name, name))
			return b;
	}
	return NULL;
}

static struct by_addr *
find_addr(const struct net_hosts *h, const struct addr_ip *a)
{
	struct hmap_node *node = hmap_first(&h->addrs, hmap_hash(&h->addrs, addr_key(a)));

	for (; node != NULL; node = hmap_more(node)) {
		struct by_addr *b = CONTAINER_OF(node, struct by_addr, node);

		if (addr_ip_eq(&b->addr, a))
			return b;
	}
	return NULL;
}

/* False: memory limit. */
static bool
add_name(struct net_hosts *h, struct str name, const struct addr_ip *a)
{
	struct by_name *first = find_name(h, name), *b = arena_get(h->mem, sizeof(*b));

	if (b == NULL)
		return false;
	b->addr = *a;
	if (first == NULL) {
		b->name = arena_str(h->mem, name);
		hmap_put(&h->names, hmap_hash_ci(&h->names, name), &b->node);
		return b->name.p != NULL;
	}
	while (first->next != NULL)
		first = first->next;
	first->next = b;
	return true;
}

static bool
add_addr(struct net_hosts *h, struct str name, const struct addr_ip *a)
{
	struct by_addr *b;

	if (find_addr(h, a) != NULL)
		return true;
	b = arena_get(h->mem, sizeof(*b));
	if (b == NULL)
		return false;
	b->addr = *a;
	b->name = arena_str(h->mem, name);
	hmap_put(&h->addrs, hmap_hash(&h->addrs, addr_key(a)), &b->node);
	return b->name.p != NULL;
}

/* How many addresses a name may collect; a longer chain would make adding quadratic. */
static bool
is_full(const struct net_hosts *h, struct str name)
{
	size_t n = 0;

	for (struct by_name *b = find_name(h, name); b != NULL; b = b->next)
		n++;
	return n >= NET_HOSTS_ADDRS_MAX;
}

static bool
add_line(struct net_hosts *h, struct str line)
{
	struct str word, rest = str_head(line, str_find(line, '#'));
	struct addr_ip a;
	bool is_first = true;

	if (!str_token(&rest, " \t\r\v\f", &word) || addr_ip_parse(word, &a) != RC_OK)
		return true;
	while (str_token(&rest, " \t\r\v\f", &word)) {
		if (!addr_hostname_valid(word))
			continue;
		if (!is_full(h, word) && !add_name(h, word, &a))
			return false;
		if (is_first && !add_addr(h, word, &a))
			return false;
		is_first = false;
	}
	return true;
}

enum rc
net_hosts_parse(
    struct str text, const uint64_t seed[2], struct net_hosts **out, struct err *e)
{
	struct net_hosts *h;
	struct str line;

	if (text.n > NET_HOSTS_FILE_MAX)
		return err_set(
		    e, RC_TEMP, "hosts file over %d bytes", NET_HOSTS_FILE_MAX);
	h = mem_get(sizeof(*h));
	/* The shortest useful line makes two nodes of some 100 bytes out of four bytes.
	 */
	h->mem = arena_new(65536 + 64 * text.n);
	hmap_init(&h->names, seed);
	hmap_init(&h->addrs, seed);
	while (str_token(&text, "\n", &line)) {
		if (!add_line(h, line)) {
			net_hosts_free(&h);
			return err_set(e, RC_TEMP, "hosts file: memory limit");
		}
	}
	*out = h;
	return RC_OK;
}

void
net_hosts_free(struct net_hosts **h)
{
	if (*h == NULL)
		return;
	hmap_fini(&(*h)->names);
	hmap_fini(&(*h)->addrs);
	arena_free(&(*h)->mem);
	free(*h);
	*h = NULL;
}

size_t
net_hosts_addrs(
    const struct net_hosts *h, struct str name, struct addr_ip *out, size_t max)
{
	size_t n = 0;

	for (struct by_name *b = find_name(h, name); b != NULL && n < max; b = b->next) {
		bool is_double = false;

		for (size_t i = 0; i < n; i++)
			is_double = is_double || addr_ip_eq(&out[i], &b->addr);
		if (!is_double)
			out[n++] = b->addr;
	}
	return n;
}

enum rc
net_hosts_name(const struct net_hosts *h, const struct addr_ip *a, struct str *out)
{
	struct by_addr *b = find_addr(h, a);

	if (b == NULL)
		return RC_NONE;
	*out = b->name;
	return RC_OK;
}
