#ifndef NET_RESOLVER_INT_H
#define NET_RESOLVER_INT_H
/* What resolver.c (the DNS) and host.c (hosts file, addresses of a name) share. */
#include "base/arena.h"
#include "base/list.h"
#include "loop/loop.h"
#include "net/hosts.h"
#include "net/resolver.h"
#include <sys/stat.h>

#define OPEN_MAX_QUERIES 10000
#define SERVERS_MAX      8

struct ub_ctx;

struct net_resolver {
	struct loop *loop;
	struct log *log;
	bool ipv4, ipv6;
	int64_t timeout_us;
	char *servers[SERVERS_MAX]; /* "192.0.2.1@53" */
	size_t n_servers;
	struct ub_ctx *ub; /* NULL until the first question */
	struct loop_io io;
	struct arena *scratch; /* of the answer being called back */
	struct list open;      /* of struct net_query */
	size_t n_open;
	unsigned n_silent; /* questions that timed out since the last answer to any */

	char *hosts_file;        /* "" none */
	struct net_hosts *hosts; /* NULL: not read, or not readable */
	struct stat hosts_stat;
	int64_t hosts_looked_us; /* 0: never */
};

struct net_query {
	struct net_resolver *r;
	struct list node;
	struct loop_timer deadline;
	struct loop_task later; /* calls back what is known already */
	struct str name;

	/* A question to the DNS. */
	net_answer_fn *done;
	enum dns_type type;
	int async_id; /* of libunbound, while is_asked */
	bool is_asked;
	enum dns_status status; /* for `later` */

	/* A question for a host: has up to two of the above. */
	net_host_fn *host_done;
	struct net_query *part[2]; /* A, AAAA */
	struct addr_ip *addrs;     /* DNS_ANSWER_MAX of them */
	size_t n_addrs;

	void *arg;
	char name_text[]; /* with NUL */
};

/* A query that is in r->open; NULL: too many are open, or the name is impossibly long. */
struct net_query *net_query_new(struct net_resolver *r, struct str name);
void net_query_free(struct net_query *q);
/* How long a question may take that is asked now. */
int64_t net_resolver_patience_us(const struct net_resolver *r);
/* The hosts file as it is now; NULL: none. */
const struct net_hosts *net_resolver_hosts(struct net_resolver *r);
#endif
