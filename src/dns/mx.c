/* Owns the order in which a destination's hosts are tried. */
#include "addr/domain.h"
#include "dns/mx.h"
#include <string.h>

/* Sorts by `key`, keeping the order of equals: at most a few hundred, so insertion will
 * do. */
static void
sort_hosts(struct dns_host *v, size_t n,
    uint64_t (*key)(const struct dns_host *, const void *), const void *arg)
{
	for (size_t i = 1; i < n; i++) {
		struct dns_host h = v[i];
		size_t j = i;

		for (; j > 0 && key(&v[j - 1], arg) > key(&h, arg); j--)
			v[j] = v[j - 1];
		v[j] = h;
	}
}

static uint64_t
by_preference(const struct dns_host *h, const void *arg)
{
	(void)arg;
	return h->preference;
}

/* Preference first, then the protocol we like better. */
static uint64_t
by_preference_and_family(const struct dns_host *h, const void *arg)
{
	const enum dns_prefer *prefer = arg;
	uint64_t key = (uint64_t)h->preference << 1;

	switch (*prefer) {
	case DNS_PREFER_ANY:
		break;
	case DNS_PREFER_IPV4:
		key |= h->addr.family != 4;
		break;
	case DNS_PREFER_IPV6:
		key |= h->addr.family != 6;
		break;
	}
	return key;
}

enum dns_mx_kind
dns_mx_read(
    const struct dns_answer *a, struct dns_host out[DNS_ANSWER_MAX], size_t *out_n)
{
	size_t n = 0, n_mx = 0, n_root = 0;

	for (size_t i = 0; i < a->n && n < DNS_ANSWER_MAX; i++) {
		const struct dns_record *r = &a->records[i];

		if (r->type != DNS_MX)
			continue;
		n_mx++;
		if (str_is(r->name, ".")) {
			n_root++;
			continue;
		}
		if (!addr_hostname_valid(r->name))
			continue;
		out[n++] =
		    (struct dns_host){ .name = r->name, .preference = r->preference };
	}
	*out_n = n;
	if (n_mx == 0)
		return DNS_MX_IMPLICIT;
	if (n_mx == 1 && n_root == 1)
		return DNS_MX_NULL;
	sort_hosts(out, n, by_preference, NULL);
	return DNS_MX_LIST;
}

static void
shuffle(const struct dns_mx_policy *policy, struct dns_host *v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)(policy->random(policy->random_arg) % i);
		struct dns_host h = v[i - 1];

		v[i - 1] = v[j];
		v[j] = h;
	}
}

static size_t
count_family(const struct dns_host *v, size_t n, uint8_t family)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += v[i].addr.family == family;
	return count;
}

/* Moves v[from] to position `to`, which is before it; what lies between moves up by one.
 */
static void
pull_forward(struct dns_host *v, size_t from, size_t to)
{
	struct dns_host h = v[from];

	memmove(v + to + 1, v + to, (from - to) * sizeof(*v));
	v[to] = h;
}

/* When the first `limit` addresses lack a protocol that the rest has, up to half of them
 * make room for it; otherwise one broken protocol could use up every try. */
static void
balance(struct dns_host *v, size_t n, size_t limit)
{
	size_t n4, n6, want;
	uint8_t rare;

	if (n <= limit || limit < 2)
		return;
	n4 = count_family(v, n, 4);
	n6 = count_family(v, n, 6);
	if (n4 == 0 || n6 == 0)
		return;
	rare = count_family(v, limit, 4) < count_family(v, limit, 6) ? 4 : 6;
	want = rare == 4 ? n4 : n6;
	if (want > limit / 2)
		want = limit / 2;
	for (size_t at = limit; at < n; at++) {
		size_t have = count_family(v, limit, rare);

		if (have >= want)
			break;
		/* Behind the last place that is to be kept for the other protocol. */
		if (v[at].addr.family == rare)
			pull_forward(v, at, limit - (want - have));
	}
}

void
dns_mx_order(const struct dns_mx_policy *policy, struct dns_host *hosts, size_t *n)
{
	size_t limit = policy->address_limit;

	if (policy->randomize && policy->random != NULL)
		shuffle(policy, hosts, *n);
	sort_hosts(hosts, *n, by_preference_and_family, &policy->prefer);
	if (limit == 0 || *n <= limit)
		return;
	if (policy->balance)
		balance(hosts, *n, limit);
	*n = limit;
}

bool
dns_mx_drop_self(
    struct dns_host *hosts, size_t *n, const struct addr_ip *own, size_t n_own)
{
	uint32_t self = UINT32_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		for (size_t k = 0; k < n_own; k++) {
			if (addr_ip_eq(&hosts[i].addr, &own[k]) &&
			    hosts[i].preference < self)
				self = hosts[i].preference;
		}
	}
	for (size_t i = 0; i < *n; i++) {
		if (hosts[i].preference < self)
			hosts[kept++] = hosts[i];
	}
	*n = kept;
	return self != UINT32_MAX;
}
