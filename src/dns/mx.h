#ifndef DNS_MX_H
#define DNS_MX_H
/* Policies over answers: in which order the hosts of a mail destination are tried. Pure;
 * randomness comes in as a function. */
#include "base/base.h"
#include "base/arena.h"
#include "dns/record.h"

enum dns_prefer { DNS_PREFER_ANY, DNS_PREFER_IPV4, DNS_PREFER_IPV6 };

/* What of main.cf matters here. */
struct dns_mx_policy {
	enum dns_prefer prefer;        /* smtp_address_preference */
	bool randomize;                /* smtp_randomize_addresses */
	bool balance;                  /* smtp_balance_inet_protocols */
	unsigned address_limit;        /* smtp_mx_address_limit; 0: none */
	uint64_t (*random)(void *arg); /* uniform 64 bits */
	void *random_arg;
};

/* One address of one host of a destination. */
struct dns_host {
	struct str name;
	struct addr_ip addr;
	uint16_t preference;
};

/* An MX answer, read. */
enum dns_mx_kind {
	DNS_MX_LIST,     /* hosts follow, sorted by preference */
	DNS_MX_IMPLICIT, /* no MX record: the domain itself is the host (RFC 5321 5.1) */
	DNS_MX_NULL,     /* RFC 7505: the domain takes no mail */
};

/* Reads an answer to an MX query whose status is DNS_OK, DNS_NODATA or DNS_NXDOMAIN:
 * `out` receives the hosts (names are views into the answer) sorted by preference, order
 * kept among equals, at most DNS_ANSWER_MAX. Hosts whose names are not host names, and
 * the root name beside others, are left out; when nothing is left of a list, that is
 * DNS_MX_NULL only if the one record was RFC 7505's, else an empty DNS_MX_LIST. */
enum dns_mx_kind dns_mx_read(
    const struct dns_answer *a, struct dns_host out[DNS_ANSWER_MAX], size_t *out_n);

/* Puts addresses in the order in which they are tried: by preference; among equals the
 * preferred protocol first, else at random; then, with `balance`, so that both protocols
 * occur within the first address_limit; then cut to address_limit. Works in place. */
void dns_mx_order(const struct dns_mx_policy *policy, struct dns_host *hosts, size_t *n);

/* Drops our own preference and everything worse, so that mail never goes round in a
 * circle (RFC 5321 5.1). `hosts` in any order. Returns: true when one of them is us.
 * `own` are this system's addresses. */
bool dns_mx_drop_self(
    struct dns_host *hosts, size_t *n, const struct addr_ip *own, size_t n_own);
#endif
