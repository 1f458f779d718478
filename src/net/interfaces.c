/* Owns what this system's own addresses are. Asks the kernel (netlink), so before
 * confinement only. */
#include "net/endpoint.h"
#include "net/hosts.h"
#include "os/fd.h"
#include "os/random.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

static unsigned
mask_bits(const struct sockaddr *mask, uint8_t family)
{
	const unsigned char *p;
	unsigned bits = 0, max = family == 4 ? 32 : 128;

	if (mask == NULL)
		return max;
	p = family == 4
		? (const unsigned char *)&((const struct sockaddr_in *)(const void *)mask)
		      ->sin_addr
		: (const unsigned char *)&(
		      (const struct sockaddr_in6 *)(const void *)mask)
		      ->sin6_addr;
	while (bits < max && (p[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	return bits;
}

static bool
read_interface(const struct ifaddrs *ifa, struct net_interface *out)
{
	struct net_endpoint ep = { 0 };

	if (ifa->ifa_addr == NULL || (ifa->ifa_flags & IFF_UP) == 0)
		return false;
	if (ifa->ifa_addr->sa_family == AF_INET)
		memcpy(&ep.u.in4, ifa->ifa_addr, sizeof(ep.u.in4));
	else if (ifa->ifa_addr->sa_family == AF_INET6)
		memcpy(&ep.u.in6, ifa->ifa_addr, sizeof(ep.u.in6));
	else
		return false;
	/* A link-local address means nothing without its scope; mail does not come there.
	 */
	if (ep.u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&ep.u.in6.sin6_addr))
		return false;
	out->addr = net_endpoint_addr(&ep);
	out->prefix_bits = mask_bits(ifa->ifa_netmask, (uint8_t)out->addr.family);
	out->is_loopback = (ifa->ifa_flags & IFF_LOOPBACK) != 0;
	return true;
}

enum rc
net_interfaces_load(
    struct arena *mem, struct net_interface **out, size_t *out_n, struct err *e)
{
	struct ifaddrs *all = NULL;
	struct net_interface *v;
	size_t n = 0, max = 0;

	if (getifaddrs(&all) < 0)
		return err_sys(e, RC_TEMP, "getifaddrs");
	for (struct ifaddrs *i = all; i != NULL && max < NET_INTERFACES_MAX;
	     i = i->ifa_next)
		max++;
	v = arena_array(mem, max + 1, sizeof(*v));
	for (struct ifaddrs *i = all; v != NULL && i != NULL && n < max;
	     i = i->ifa_next) {
		if (read_interface(i, &v[n]))
			n++;
	}
	freeifaddrs(all);
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = v;
	*out_n = n;
	return RC_OK;
}

enum rc
net_protocols_parse(struct str s, struct net_protocols *out, struct err *e)
{
	struct net_protocols p = { 0 };
	struct str word;

	while (str_token(&s, ", \t\r\n", &word)) {
		if (str_iis(word, "all"))
			p = (struct net_protocols){ true, true };
		else if (str_iis(word, "ipv4"))
			p.ipv4 = true;
		else if (str_iis(word, "ipv6"))
			p.ipv6 = true;
		else
			return err_set(e, RC_PERM,
			    "unknown value in inet_protocols: %.*s", STR_ARG(word));
	}
	if (!p.ipv4 && !p.ipv6)
		return err_set(e, RC_PERM, "inet_protocols is empty");
	*out = p;
	return RC_OK;
}

/* The collected addresses. */
struct own {
	struct net_protocols protocols;
	const struct net_hosts *hosts;
	const struct net_interface *interfaces;
	size_t n_interfaces;
	struct addr_ip *v;
	size_t n;
};

static void
add(struct own *o, const struct addr_ip *a)
{
	if (o->n == NET_INTERFACES_MAX ||
	    !(a->family == 4 ? o->protocols.ipv4 : o->protocols.ipv6))
		return;
	for (size_t i = 0; i < o->n; i++) {
		if (addr_ip_eq(&o->v[i], a))
			return;
	}
	o->v[o->n++] = *a;
}

static enum rc
add_word(struct own *o, struct str word, struct err *e)
{
	struct addr_ip found[NET_HOSTS_ADDRS_MAX];
	bool is_all = str_iis(word, "all"), is_loopback = str_iis(word, "loopback-only");
	size_t n = 1;

	if (is_all || is_loopback) {
		for (size_t i = 0; i < o->n_interfaces; i++) {
			if (is_all || o->interfaces[i].is_loopback)
				add(o, &o->interfaces[i].addr);
		}
		return RC_OK;
	}
	if (word.n > 1 && word.p[0] == '[' && word.p[word.n - 1] == ']')
		word = (struct str){ word.p + 1, word.n - 2 };
	if (addr_ip_parse(word, &found[0]) != RC_OK)
		n = o->hosts == NULL
			? 0
			: net_hosts_addrs(o->hosts, word, found, ARRAY_LEN(found));
	if (n == 0)
		return err_set(e, RC_PERM,
		    "config variable inet_interfaces: host not found: %.*s",
		    STR_ARG(word));
	for (size_t i = 0; i < n; i++)
		add(o, &found[i]);
	return RC_OK;
}

static enum rc
load_hosts(struct arena *mem, struct net_hosts **out, struct err *e)
{
	struct str text;
	uint64_t seed[2];
	enum rc rc;

	rc = os_fd_load("/etc/hosts", NET_HOSTS_FILE_MAX, mem, &text, e);
	if (rc != RC_OK)
		return RC_NONE;
	os_random_seed(seed);
	return net_hosts_parse(text, seed, out, e);
}

enum rc
net_own_addrs(struct str inet_interfaces, struct str inet_protocols, struct arena *mem,
    struct addr_ip **out, size_t *out_n, struct err *e)
{
	struct arena *scratch = arena_new(2 * NET_HOSTS_FILE_MAX);
	struct net_hosts *hosts = NULL;
	struct net_interface *interfaces = NULL;
	struct own o = { 0 };
	struct str word;
	enum rc rc;

	o.v = arena_array(mem, NET_INTERFACES_MAX, sizeof(*o.v));
	rc = o.v == NULL ? err_set(e, RC_TEMP, "memory limit")
			 : net_protocols_parse(inet_protocols, &o.protocols, e);
	if (rc == RC_OK)
		rc = net_interfaces_load(scratch, &interfaces, &o.n_interfaces, e);
	/* Without a hosts file only addresses and the two words mean something. */
	if (rc == RC_OK && load_hosts(scratch, &hosts, NULL) == RC_OK)
		o.hosts = hosts;
	o.interfaces = interfaces;
	while (rc == RC_OK && str_token(&inet_interfaces, ", \t\r\n", &word))
		rc = add_word(&o, word, e);
	net_hosts_free(&hosts);
	arena_free(&scratch);
	if (rc != RC_OK)
		return rc;
	*out = o.v;
	*out_n = o.n;
	return RC_OK;
}
