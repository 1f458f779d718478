#ifndef AGENT_POLICY_INT_H
#define AGENT_POLICY_INT_H
/* What policy_client.c (requests, tries), policy_conn.c (connections) and
 * policy_service.c (the text of a service) share. */
#include "addr/net.h"
#include "agent/policy_client.h"
#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"

#define POLICY_CONNECTIONS_MAX 100
#define POLICY_ADDRS_MAX       8

struct policy_client {
	struct loop *loop;
	struct log *log;
	struct policy_settings s;
	/* Of struct policy_service. No more than the configuration names. */
	struct list services;
	struct list queries; /* of struct policy_query, all of them */
	size_t n_conns;
};

/* One service, by its text. Made by its first request. */
struct policy_service {
	struct list node;
	struct policy_client *client;
	struct arena *mem; /* all texts */
	struct str text;
	struct policy_settings s; /* with the service's own values */
	bool is_bad;              /* its text makes no sense: it is never asked */
	struct str name;          /* for the log: "127.0.0.1:10031", "private/policy" */
	const char *path;         /* unix: with directory; NULL: inet */
	struct str host;          /* inet: a name or an address */
	uint16_t port;
	struct list conns;   /* all of them */
	struct list idle;    /* those without a request, last used first */
	struct list waiting; /* requests for which there is no connection */
	size_t n_conns;
	bool is_turning; /* policy_service_turn() is at work */
};

enum policy_phase {
	POLICY_RESOLVING,
	POLICY_CONNECTING,
	POLICY_BUSY,
	POLICY_IDLE,
};

struct policy_conn {
	struct list node, idle_node;
	struct policy_service *service;
	enum policy_phase phase;
	struct policy_query *query; /* NULL: idle, or nobody waits for it any more */
	struct net_query *dns;
	struct addr_ip addrs[POLICY_ADDRS_MAX]; /* to be tried, the last one first */
	size_t n_addrs;
	int fd; /* -1: none yet */
	struct loop_io io;
	struct loop_timer timer; /* patience while busy, idle time otherwise */
	struct buf in;
	size_t n_sent;
	int64_t opened_us;
	unsigned n_requests;
};

struct policy_query {
	struct list node; /* of service->waiting, or alone */
	struct list open; /* of client->queries */
	struct policy_service *service;
	struct policy_conn *conn; /* that is at it; NULL: waits */
	policy_done_fn *done;
	void *arg;
	unsigned tries;
	struct loop_timer timer; /* the next try; the end of waiting for a connection */
	struct loop_task soon;   /* says the default action */
	enum rc rc;
	struct str request; /* behind this struct */
};

/* ---- policy_service.c ---- */
/* The service of that text, made when it is new.
 */
struct policy_service *policy_service_of(struct policy_client *c, struct str text);

/* ---- policy_conn.c ---- */
/* Opens a connection for `q`, which is told of its failure by policy_query_failed(). */
void policy_conn_open(struct policy_service *s, struct policy_query *q);
/* Sends the request on a connection that is idle. */
void policy_conn_use(struct policy_conn *n, struct policy_query *q);
void policy_conn_free(struct policy_conn *n);
/* Nobody waits for this connection's answer any more. */
void policy_conn_abandon(struct policy_conn *n);

/* ---- policy_client.c ---- */
/* One try failed: errno, 0: the server closed the connection or talks nonsense. The
 * connection is gone. */
void policy_query_failed(struct policy_query *q, int sys);
/* An answer. The connection is free again, or gone. */
void policy_query_answered(struct policy_query *q, struct str action);
/* A connection is idle, or one less is open: somebody may go on. */
void policy_service_turn(struct policy_service *s);
#endif
