#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H
/* Asks the DNS, by libunbound, and the hosts file, without ever blocking the loop. One
 * per process. libunbound is started (its thread, its cache) by the first question that
 * needs it; a process that never asks pays nothing.
 *
 * Answers are called back from the loop, never from inside the call that asked. */
#include "base/base.h"
#include "dns/mx.h"
#include "dns/record.h"

struct loop;
struct log;
struct net_resolver;
struct net_query;

struct net_resolver_conf {
	/* hikyaku_dns_servers: "127.0.0.1@5353, ::1"; empty: the nameserver lines of
	 * resolv_conf, and 127.0.0.1 when that has none. */
	struct str servers;
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	const char *hosts_file;  /* NULL: /etc/hosts; "": none */
	/* For one question in all; 0: 10 s. At most 2 s while the servers, which left
	 * several questions in a row unanswered, go on with that. */
	int64_t timeout_us;
	bool ipv4, ipv6; /* inet_protocols: which addresses net_resolve_host() wants */
};

/* Reads resolv_conf at once; the hosts file at its first use, and again when it changed
 * (looked at most once a second). Both must be readable after confinement, but never
 * opened for writing. Returns: RC_PERM `servers` cannot be read. A missing resolv_conf is
 * not an error. */
MUST_USE enum rc net_resolver_new(struct loop *loop, struct log *log,
    const struct net_resolver_conf *conf, struct net_resolver **out, struct err *e);
/* Whether `servers` can be read. RC_PERM: "bad DNS server address: …". */
MUST_USE enum rc net_resolver_check(struct str servers, struct err *e);
/* Open questions are dropped without a call. */
void net_resolver_free(struct net_resolver **r);

/* `a` and all it points to is valid during the call only. */
typedef void net_answer_fn(void *arg, const struct dns_answer *a);

/* Asks the DNS for exactly `name` (a last dot is ignored; no search list). CNAMEs are
 * followed. A name that cannot be encoded answers DNS_INVALID. Returns a handle for
 * net_query_cancel(); it is gone once `done` was called. Limits: 10,000 questions open,
 * more answer DNS_FAIL. */
struct net_query *net_resolve(struct net_resolver *r, struct str name, enum dns_type type,
    net_answer_fn *done, void *arg);
/* `done` will not be called. *q may be NULL; it becomes NULL. */
void net_query_cancel(struct net_query **q);

/* All addresses of a host, both families as configured. */
struct net_host_answer {
	enum dns_status status;
	enum dns_type
	    type; /* the question that `status` is about, for the log: A or AAAA */
	struct str name;
	const struct addr_ip *addrs; /* IPv6 and IPv4 as found, at most DNS_ANSWER_MAX */
	size_t n;
};
typedef void net_host_fn(void *arg, const struct net_host_answer *a);

enum net_host_lookup { /* smtp_host_lookup; the order of words there does not matter */
	NET_HOST_DNS = 1,
	NET_HOST_NATIVE = 2, /* the hosts file, first */
};

/* `name` may also be a numeric address, which answers itself. Handle as above. */
struct net_query *net_resolve_host(struct net_resolver *r, struct str name,
    unsigned lookup, net_host_fn *done, void *arg);
#endif
