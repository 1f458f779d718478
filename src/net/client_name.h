#ifndef NET_CLIENT_NAME_H
#define NET_CLIENT_NAME_H
/* Who is at the other end: the verified name of a client's address, as Postfix finds it.
 */
#include "base/base.h"
#include "addr/net.h"

struct net_resolver;
struct net_client_names; /* asks and keeps a small cache of answers; one per process */
struct net_client_query;

enum net_name_status { /* compat: the digits of reject replies and access tables */
	NET_NAME_OK = 2,
	NET_NAME_TEMP = 4,   /* could not be looked up now */
	NET_NAME_PERM = 5,   /* the address has no name */
	NET_NAME_FORGED = 6, /* its name does not lead back to it */
};

struct net_client_name {
	enum net_name_status status;
	enum net_name_status
	    reverse_status; /* OK, TEMP or PERM: of the address to name step */
	struct str name;    /* verified, else "unknown" */
	struct str
	    reverse_name;   /* what the address claims to be called, else "unknown" */
	struct str warning; /* for the log, without "warning: "; empty: none */
};

/* Entries are kept for cache_us (60 s is good), at most 4,096 of them. */
struct net_client_names *net_client_names_new(struct net_resolver *r, int64_t cache_us);
void net_client_names_free(struct net_client_names **c);

typedef void net_client_name_fn(void *arg, const struct net_client_name *name);

/* The answer at once, from the cache: true, *out is valid until the next call here. */
bool net_client_name_cached(struct net_client_names *c, const struct addr_ip *addr,
    int64_t now_us, struct net_client_name *out);
/* Asks: hosts file, else PTR; then the name's addresses must contain `addr`. `done` is
 * called from the loop, its argument valid during the call; the handle is gone then. */
struct net_client_query *net_client_name_find(struct net_client_names *c,
    const struct addr_ip *addr, net_client_name_fn *done, void *arg);
void net_client_name_cancel(struct net_client_query **q);
#endif
