/* Owns defaults that depend on the host: its name, its domain, its networks.
 *
 * The facts are gathered once, by who loads the files, and travel in the snapshot: a
 * confined worker computes the same values without asking the kernel or a resolver.
 * Commands, of which few want to know, ask the resolver when they do. */
#include "conf/host_int.h"
#include "addr/net.h"
#include "base/arena.h"
#include "base/buf.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FACTS_MAX (1 << 20)

/* ---- gathering ---- */

static unsigned
mask_bits(const struct sockaddr *mask)
{
	const unsigned char *p;
	unsigned bits = 0;
	size_t n;

	if (mask == NULL)
		return 0;
	if (mask->sa_family == AF_INET) {
		p = (const void *)&((const struct sockaddr_in *)(const void *)mask)
			->sin_addr;
		n = 4;
	} else {
		p = (const void *)&((const struct sockaddr_in6 *)(const void *)mask)
			->sin6_addr;
		n = 16;
	}
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0x80; bit != 0 && (p[i] & bit) != 0; bit >>= 1)
			bits++;
	return bits;
}

static bool
put_address(struct buf *b, const struct sockaddr *sa, unsigned bits)
{
	char text[INET6_ADDRSTRLEN];
	const void *ip;

	if (sa->sa_family == AF_INET)
		ip = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	else
		ip = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (inet_ntop(sa->sa_family, ip, text, sizeof(text)) == NULL)
		return true;
	return buf_printf(b, "%s/%u ", text, bits) == RC_OK;
}

/* IPv4 before IPv6, each in the kernel's order, as Postfix lists them. */
static enum rc
put_interfaces(struct buf *b, struct err *e)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct ifaddrs *all, *i;
	bool ok = true;

	if (getifaddrs(&all) != 0)
		return err_sys(e, RC_TEMP, "getifaddrs");
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (i = all; i != NULL && ok; i = i->ifa_next)
			if (i->ifa_addr != NULL && (i->ifa_flags & IFF_UP) != 0 &&
			    i->ifa_addr->sa_family == families[f])
				ok = put_address(
				    b, i->ifa_addr, mask_bits(i->ifa_netmask));
	freeifaddrs(all);
	return ok ? RC_OK : err_set(e, RC_TEMP, "too many network interfaces");
}

enum rc
conf_host_load(struct arena *mem, struct conf_host *out, struct err *e)
{
	char name[256];
	struct conf_host h = { 0 };
	struct buf b;
	enum rc rc;

	if (gethostname(name, sizeof(name)) != 0)
		return err_sys(e, RC_TEMP, "gethostname");
	name[sizeof(name) - 1] = '\0';
	h.name = arena_str(mem, str_c(name[0] != '\0' ? name : "localhost"));
	buf_init(&b, FACTS_MAX);
	rc = put_interfaces(&b, e);
	if (rc == RC_OK) {
		h.addresses = arena_str(mem, buf_view(&b));
		if (h.name.p == NULL || h.addresses.p == NULL)
			rc = err_set(e, RC_TEMP, "memory limit");
	}
	buf_fini(&b);
	if (rc == RC_OK)
		*out = h;
	return rc;
}

static bool
is_keyword(struct str item)
{
	return str_is(item, "all") || str_is(item, "loopback-only");
}

/* "[::1]" and "::1" alike. */
static struct str
without_brackets(struct str s)
{
	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return str_n(s.p + 1, s.n - 2);
	return s;
}

static enum rc
resolve_name(struct str name, struct arena *mem, struct buf *b)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *i;
	const char *cname = arena_cstr(mem, name);
	enum rc rc = RC_OK;

	if (cname == NULL)
		return RC_TEMP;
	/* A name that does not resolve is reported when it is used. */
	if (getaddrinfo(cname, NULL, &hints, &all) != 0)
		return RC_OK;
	for (i = all; i != NULL && rc == RC_OK; i = i->ai_next) {
		rc = buf_printf(b, "%s=", cname);
		if (rc == RC_OK &&
		    !put_address(b, i->ai_addr, i->ai_family == AF_INET ? 32 : 128))
			rc = RC_TEMP;
	}
	freeaddrinfo(all);
	return rc;
}

static bool
is_address(struct str item)
{
	struct addr_ip ip;

	return addr_ip_parse(without_brackets(item), &ip) == RC_OK;
}

static enum rc
resolve_names(struct str list, struct arena *mem, struct buf *b, struct err *e)
{
	struct str item;
	enum rc rc = RC_OK;

	while (rc == RC_OK && conf_list_next(&list, &item) == RC_OK)
		if (!is_keyword(item) && !is_address(item) &&
		    resolve_name(item, mem, b) != RC_OK)
			rc = err_set(e, RC_TEMP, "memory limit");
	return rc;
}

/* The names in `parameter`; those of a service only where its -o says something else. */
static enum rc
resolve_parameter(
    const struct conf_lookup *l, struct str parameter, struct buf *b, struct err *e)
{
	struct str list, global;
	enum rc rc = conf_get(l->snapshot, l->service, parameter, l->mem, &list, e);

	if (rc == RC_OK && l->service != NULL) {
		rc = conf_get(l->snapshot, NULL, parameter, l->mem, &global, e);
		if (rc == RC_OK && str_eq(list, global))
			return RC_OK;
	}
	return rc == RC_OK ? resolve_names(list, l->mem, b, e) : rc;
}

static enum rc
keep_names(const struct buf *b, struct arena *mem, struct str *out, struct err *e)
{
	if (b->n > 0)
		*out = arena_str(mem, buf_view(b));
	return b->n > 0 && out->p == NULL ? err_set(e, RC_TEMP, "memory limit") : RC_OK;
}

enum rc
conf_host_resolve(
    const struct conf_snapshot *s, struct arena *mem, struct str *out, struct err *e)
{
	static const struct str parameters[] = { STR_INIT("inet_interfaces"),
		STR_INIT("proxy_interfaces") };
	struct buf b;
	enum rc rc = RC_OK;

	buf_init(&b, FACTS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(parameters) && rc == RC_OK; i++) {
		struct conf_lookup l = { s, NULL, mem, 0 };

		rc = resolve_parameter(&l, parameters[i], &b, e);
		for (size_t k = 0; k < s->master.n && rc == RC_OK; k++) {
			l.service = &s->master.v[k];
			if (l.service->n_overrides > 0)
				rc = resolve_parameter(&l, parameters[i], &b, e);
		}
	}
	if (rc == RC_OK)
		rc = keep_names(&b, mem, out, e);
	buf_fini(&b);
	return rc;
}

/* The names that addresses have: from the snapshot, or found out now. */
static enum rc
names_of(const struct conf_lookup *l, struct str list, struct str *out, struct err *e)
{
	struct buf b;
	enum rc rc;

	*out = l->snapshot->host.names;
	if (!l->snapshot->host.resolves_late)
		return RC_OK;
	buf_init(&b, FACTS_MAX);
	rc = resolve_names(list, l->mem, &b, e);
	if (rc == RC_OK)
		rc = keep_names(&b, l->mem, out, e);
	buf_fini(&b);
	return rc;
}

/* ---- names ---- */

static enum rc
default_hostname(const struct conf_lookup *l, struct str *out, struct err *e)
{
	const struct conf_snapshot *s = l->snapshot;
	struct str domain = STR("localdomain");
	enum rc rc;

	if (memchr(s->host.name.p, '.', s->host.name.n) != NULL) {
		*out = s->host.name;
		return RC_OK;
	}
	/* Only a mydomain that somebody set: its own default comes from myhostname. */
	if (main_cf_find(&s->main, STR("mydomain")) != NULL) {
		rc = conf_lookup_get(l, STR("mydomain"), &domain, e);
		if (rc != RC_OK)
			return rc;
	}
	*out = arena_printf(l->mem, "%.*s.%.*s", STR_ARG(s->host.name), STR_ARG(domain));
	return out->p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}

/* ---- addresses ---- */

struct addresses {
	struct addr_net *v;
	size_t n, max;
	struct conf_protocols p; /* of others none is taken */
	struct str names;        /* what names mean: "name=1.2.3.4 …" */
};

static bool
parse_prefixed(struct str text, struct addr_net *out)
{
	struct str ip, bits;
	uint64_t n;

	if (!str_cut(text, '/', &ip, &bits) || addr_ip_parse(ip, &out->ip) != RC_OK ||
	    str_u64(bits, out->ip.family == ADDR_IPV4 ? 32 : 128, &n) != RC_OK)
		return false;
	out->bits = (uint8_t)n;
	return true;
}

static size_t
count_words(struct str text)
{
	struct str word;
	size_t n = 0;

	while (str_token(&text, " ", &word))
		n++;
	return n;
}

static void
add_address(struct addresses *a, const struct addr_net *ip)
{
	if (a->n == a->max ||
	    (ip->ip.family == ADDR_IPV4 ? !a->p.has_ipv4 : !a->p.has_ipv6))
		return;
	for (size_t i = 0; i < a->n; i++)
		if (addr_ip_eq(&a->v[i].ip, &ip->ip))
			return;
	a->v[a->n++] = *ip;
}

/* The length of the interface's network for an address of this host. */
static bool
find_interface(const struct conf_snapshot *s, struct addr_net *ip)
{
	struct str rest = s->host.addresses, text;
	struct addr_net of;

	while (str_token(&rest, " ", &text))
		if (parse_prefixed(text, &of) && addr_ip_eq(&of.ip, &ip->ip)) {
			ip->bits = of.bits;
			return true;
		}
	return false;
}

static void
add_interfaces(const struct conf_snapshot *s, bool loopback_only, struct addresses *a)
{
	struct str rest = s->host.addresses, text;
	struct addr_net ip;

	while (str_token(&rest, " ", &text))
		if (parse_prefixed(text, &ip) &&
		    (!loopback_only || addr_ip_is_loopback(&ip.ip)))
			add_address(a, &ip);
}

/* Adds what `item` was resolved to: how many addresses. Of a name for this host's own
 * addresses those count that an interface has; localhost is ::1, too, where there is no
 * IPv6. */
static size_t
add_name(
    const struct conf_snapshot *s, struct str item, bool is_inet, struct addresses *a)
{
	struct str rest = a->names, text, name, address;
	struct addr_net ip;
	size_t n = 0;

	while (str_token(&rest, " ", &text))
		if (str_cut(text, '=', &name, &address) && str_ieq(name, item) &&
		    parse_prefixed(address, &ip) &&
		    (!is_inet || find_interface(s, &ip))) {
			add_address(a, &ip);
			n++;
		}
	return n;
}

static bool
is_resolved(const struct addresses *a, struct str item)
{
	struct str rest = a->names, text, name, address;

	while (str_token(&rest, " ", &text))
		if (str_cut(text, '=', &name, &address) && str_ieq(name, item))
			return true;
	return false;
}

static enum rc
add_item(const struct conf_snapshot *s, struct str parameter, struct str item,
    struct addresses *a, struct err *e)
{
	bool is_inet = str_is(parameter, "inet_interfaces");
	struct addr_net ip = { .bits = 0 };

	if (addr_ip_parse(without_brackets(item), &ip.ip) != RC_OK) {
		/* compat: a name outside may come to have an address later. */
		if (add_name(s, item, is_inet, a) > 0 || !is_inet)
			return RC_OK;
		return is_resolved(a, item)
			   ? err_set(e, RC_PERM,
				 "parameter %.*s: no local interface found for %.*s",
				 STR_ARG(parameter), STR_ARG(item))
			   : err_set(e, RC_PERM,
				 "config variable %.*s: host not found: %.*s",
				 STR_ARG(parameter), STR_ARG(item)); /* compat */
	}
	if (is_inet && !find_interface(s, &ip))
		return err_set(e, RC_PERM,
		    "parameter %.*s: no local interface found for %.*s",
		    STR_ARG(parameter), STR_ARG(item)); /* compat */
	add_address(a, &ip);
	return RC_OK;
}

static enum rc
protocols(const struct conf_lookup *l, struct conf_protocols *out, struct err *e)
{
	struct conf_protocols p = { false, false };
	struct str list, item, rest;
	enum rc rc;

	rc = conf_lookup_get(l, STR("inet_protocols"), &list, e);
	rest = list;
	while (rc == RC_OK && conf_list_next(&rest, &item) == RC_OK) {
		if (str_is(item, "all"))
			p.has_ipv4 = p.has_ipv6 = true;
		else if (str_is(item, "ipv4"))
			p.has_ipv4 = true;
		else if (str_is(item, "ipv6"))
			p.has_ipv6 = true;
		else
			rc = err_set(e, RC_PERM,
			    "unknown inet_protocols value \"%.*s\" in \"%.*s\"",
			    STR_ARG(item), STR_ARG(list)); /* compat */
	}
	if (rc == RC_OK)
		*out = p;
	return rc;
}

enum rc
conf_protocols(const struct conf_snapshot *s, const struct master_service *service,
    struct conf_protocols *out, struct err *e)
{
	struct conf_lookup l = { s, service, arena_new((size_t)CONF_VALUE_MAX * 2), 0 };
	enum rc rc = protocols(&l, out, e);

	arena_free(&l.mem);
	return rc;
}

static enum rc
own_addresses(const struct conf_lookup *l, struct str parameter, struct addresses *out,
    struct err *e)
{
	const struct conf_snapshot *s = l->snapshot;
	struct addresses a = { 0 };
	struct str list, item;
	enum rc rc;

	rc = protocols(l, &a.p, e);
	if (rc == RC_OK)
		rc = conf_lookup_get(l, parameter, &list, e);
	if (rc == RC_OK)
		rc = names_of(l, list, &a.names, e);
	if (rc != RC_OK)
		return rc;
	/* Each address comes from one word of one of these. */
	a.max = count_words(s->host.addresses) + count_words(a.names) + list.n / 2 + 1;
	a.v = arena_array(l->mem, a.max, sizeof(*a.v));
	if (a.v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if (str_is(list, "all") || str_is(list, "loopback-only")) {
		add_interfaces(s, !str_is(list, "all"), &a);
		list = STR("");
	}
	while (rc == RC_OK && conf_list_next(&list, &item) == RC_OK)
		rc = add_item(s, parameter, item, &a, e);
	if (rc == RC_OK)
		*out = a;
	return rc;
}

enum rc
conf_own_addresses(const struct conf_snapshot *s, const struct master_service *service,
    bool with_proxies, struct arena *mem, struct conf_addresses *out, struct err *e)
{
	struct conf_lookup l = { s, service, mem, 0 };
	struct addresses own = { 0 }, outside = { 0 };
	struct conf_addresses all = { 0 };
	enum rc rc = own_addresses(&l, STR("inet_interfaces"), &own, e);

	if (rc == RC_OK && with_proxies)
		rc = own_addresses(&l, STR("proxy_interfaces"), &outside, e);
	if (rc != RC_OK)
		return rc;
	all.v = arena_array(mem, own.n + outside.n + 1, sizeof(*all.v));
	if (all.v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < own.n; i++)
		all.v[all.n++] = own.v[i].ip;
	for (size_t i = 0; i < outside.n; i++)
		all.v[all.n++] = outside.v[i].ip;
	*out = all;
	return RC_OK;
}

/* ---- mynetworks ---- */

static uint8_t
class_bits(const struct addr_ip *ip)
{
	if (ip->b[0] < 128)
		return 8;
	return ip->b[0] < 192 ? 16 : 24;
}

static enum rc
put_network(struct buf *b, const struct addr_net *net)
{
	bool is_v4 = net->ip.family == ADDR_IPV4;
	char text[ADDR_IP_TEXT_MAX];

	return buf_printf(b, is_v4 ? "%s%s/%u" : "%s[%s]/%u", b->n > 0 ? " " : "",
	    addr_ip_format(&net->ip, text).p, net->bits);
}

static bool
seen_before(const struct addr_net *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].bits == v[n].bits && addr_ip_eq(&v[i].ip, &v[n].ip))
			return true;
	return false;
}

static enum rc
put_networks(struct addresses *a, struct str style, struct buf *b)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < a->n && rc == RC_OK; i++) {
		struct addr_net *net = &a->v[i];
		bool is_v4 = net->ip.family == ADDR_IPV4;

		if (str_is(style, "host"))
			net->bits = is_v4 ? 32 : 128;
		else if (str_is(style, "class") && is_v4)
			net->bits = class_bits(&net->ip);
		addr_ip_mask(&net->ip, net->bits);
		if (!seen_before(a->v, i))
			rc = put_network(b, &a->v[i]);
	}
	return rc;
}

static enum rc
default_networks(const struct conf_lookup *l, struct str *out, struct err *e)
{
	struct addresses a;
	struct str style, value = { NULL, 0 };
	struct buf b;
	enum rc rc;

	rc = conf_lookup_get(l, STR("mynetworks_style"), &style, e);
	if (rc == RC_OK)
		rc = own_addresses(l, STR("inet_interfaces"), &a, e);
	if (rc != RC_OK)
		return rc;
	if (!str_is(style, "host") && !str_is(style, "subnet") && !str_is(style, "class"))
		return err_set(e, RC_PERM,
		    "unknown mynetworks mask style value \"%.*s\" in \"%.*s\"",
		    STR_ARG(style), STR_ARG(style)); /* compat */
	buf_init(&b, CONF_VALUE_MAX);
	if (put_networks(&a, style, &b) == RC_OK)
		value = arena_str(l->mem, buf_view(&b));
	buf_fini(&b);
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

enum rc
conf_host_default(
    const struct conf_lookup *l, struct str name, struct str *out, struct err *e)
{
	struct str host, head, domain;
	enum rc rc;

	if (str_is(name, "myhostname"))
		return default_hostname(l, out, e);
	if (str_is(name, "mynetworks"))
		return default_networks(l, out, e);
	if (!str_is(name, "mydomain"))
		return RC_NONE;
	rc = conf_lookup_get(l, STR("myhostname"), &host, e);
	if (rc == RC_OK)
		*out = str_cut(host, '.', &head, &domain) && domain.n > 0
			   ? domain
			   : STR("localdomain");
	return rc;
}
