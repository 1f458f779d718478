#ifndef PROG_SMTP_AGENT_H
#define PROG_SMTP_AGENT_H
/* What the files of this program share.
 *
 *	agent   the services of master.cf that we are, and all that lives once
 *	target  one next hop to an ordered list of addresses, by DNS
 *	job     one delivery: next hops, hosts, recipients that are left
 *	conn    one connection: socket, SMTP session, bytes in and out
 *	convert 8-bit content for servers that want 7 bits
 *	history what was said, for notices to the postmaster
 *	pool    connections that wait for another message
 */
#include "agent/delivery.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/hmap.h"
#include "base/list.h"
#include "conf/generated.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "dns/mx.h"
#include "loop/loop.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "route/list.h"
#include "smtp/client.h"

struct decide;
struct notice_conf;
struct notices;
struct submit;
struct transcript;
struct worker;
struct worker_service;

#define SMTP_PORT        25
#define TARGET_HOSTS_MAX 200 /* addresses of one next hop */
#define TARGET_SITES_MAX 50  /* next hops in one list, fallback relays included */

/* ---- agent ---- */

/* Why a host, a next hop or a whole delivery failed. */
struct failure {
	struct str dsn, text;
	struct str mta, diag; /* when a server said so */
};

/* One master.cf line: its own parameters. */
struct service {
	struct agent *agent;
	struct worker_service *entry;
	struct conf_smtp conf;
	struct smtp_client_conf client;
	struct smtp_client_conf client25; /* on the standard port, where loops are */
	struct dns_mx_policy mx;
	struct match_list cached; /* smtp_connection_cache_destinations */
	unsigned host_lookup;     /* enum net_host_lookup */
	bool has_dns;             /* MX records are asked for */
	uint16_t port;
	struct net_ports ports;      /* what names of ports mean */
	struct addr_ip bind4, bind6; /* family 0: none */
	struct conf_addresses own;   /* addresses that mean a loop */
	struct notice_conf *notices; /* notify_classes */
	struct route_list debugged;  /* debug_peer_list */
	struct decide *decide;  /* for notices on their way in, and debug_peer_list; NULL:
				 * there are none */
	struct failure missing; /* why all its mail waits; text empty: it does not */
};

struct pool {
	struct hmap by_site, by_endpoint;
	struct list idle; /* the one idle for the longest first */
	size_t n, max;
};

struct agent {
	struct worker *worker;
	struct loop *loop;
	struct log *log;
	struct delivery *delivery;
	struct net_resolver *resolver;
	struct service *services;
	struct str services_text; /* of /etc/services */
	size_t n_services;
	struct pool pool;
	struct list conns;  /* all of them */
	struct list asking; /* jobs that wait for the DNS */
	size_t n_conns;
	uint64_t random; /* state of agent_random() */
	bool is_draining;
	bool is_stopping; /* no server is looked for any more */
	bool is_idle;     /* draining: no job is open any more */
	/* When a service tells the postmaster of errors in the protocol, else NULL. */
	struct submit *submit;
	struct notices *notices;
};

/* Reads the parameters of every service. RC_PERM: a bad value. Before confinement. */
MUST_USE enum rc agent_init(struct agent *a, struct worker *w, struct err *e);
/* Ready for jobs. */
MUST_USE enum rc agent_begin(struct agent *a, struct err *e);
/* No new jobs; the loop stops when the open ones are done. */
void agent_drain(struct agent *a);
/* The same, and deliveries that still look for their server, or wait for it to answer the
 * call, are left to the queue. */
void agent_stop(struct agent *a);
/* The service of that name; NULL: none. */
struct service *agent_service(struct agent *a, struct str name);
uint64_t agent_random(void *agent);

/* ---- missing ---- */

/* Fills s->missing when the configuration asks for what this version cannot do; says so.
 */
void missing_find(struct service *s);

/* ---- history ---- */

struct conn;
struct job;
/* notify_classes, debug_peer_list; before confinement. */
MUST_USE enum rc history_load(struct service *s, struct err *e);
/* A new connection: whether what is said there goes to the log. */
void history_open(struct conn *c);
/* The connection begins a message; what both sides say; the message's end. */
void history_begin(struct conn *c, const struct job *j);
void history_heard(struct conn *c, struct str bytes);
void history_said(struct conn *c, const struct smtp_cx *fx);
void history_end(struct conn *c);

/* ---- target ---- */

struct target {
	struct dns_host *hosts; /* in the order of trying */
	size_t n;
	struct failure why; /* n is 0 */
	bool is_final; /* we are among its mail exchangers: no other next hop is tried */
};

struct target_query;
typedef void target_fn(void *arg, const struct target *t);

/* Finds the hosts of a next hop. `done` is called once, from the loop; the handle is gone
 * then. What it is given lives in `mem`. A numeric address is answered at once: true, and
 * *out is set instead. */
bool target_at_once(struct service *s, const struct net_dest *dest, struct arena *mem,
    struct target *out);
struct target_query *target_find(struct service *s, const struct net_dest *dest,
    struct arena *mem, target_fn *done, void *arg);
void target_cancel(struct target_query **q);

/* ---- convert ---- */

struct convert; /* one message on its way out */

/* `c` is used during the call only. */
struct convert *convert_new(const struct conf_smtp *c);
void convert_free(struct convert **v);
/* The next piece of the content, converted: *out is valid until the next call.
 * Returns: RC_PERM it cannot be; RC_TEMP our trouble. Limits: 128 KiB at a time. */
MUST_USE enum rc convert_piece(
    struct convert *v, struct str in, bool is_last, struct str *out, struct err *e);

/* ---- conn ---- */

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_IDLE, CONN_CLOSING };

struct conn {
	struct service *service;
	struct job *job; /* NULL: idle or closing */
	enum conn_state state;
	struct smtp_client *session; /* NULL while connecting */
	struct loop_io io;
	struct loop_timer timer;
	struct list node; /* agent.conns */
	struct buf in, out;

	struct net_endpoint to;
	struct str site, name, addr, relay; /* "mx.example[192.0.2.1]:25" */
	int64_t born_us, idle_since_us;
	unsigned uses;  /* messages begun on it */
	bool is_set_up; /* this message's MAIL was sent */
	bool is_broken; /* writing failed; what the server said before is still read */
	bool is_best;   /* the server has the site's best preference */
	bool was_only_host; /* the site had no other address when this was opened */

	/* Content of the message that is being sent. */
	bool wants_content, is_reading;
	bool as_7bit; /* … through `convert` */
	struct convert *convert;
	uint64_t content_at;
	char *piece; /* of a large message; PIECE_MAX bytes */
	size_t piece_n;
	enum rc piece_rc;

	struct transcript *history; /* of this message; NULL: nobody asks for it */
	bool is_debugged;           /* what is said goes to the log */

	/* pool.c */
	struct hmap_node by_site, by_endpoint;
	struct list idle;

	char text[]; /* what the views above look at */
};

/* Connects to `host` for `j`, or takes an idle connection there. Failure that shows at
 * once is RC_TEMP and *out_why (in the job's memory); later failure is
 * job_connect_failed(). */
MUST_USE enum rc conn_open(
    struct job *j, const struct dns_host *host, struct failure *out_why);
/* An idle connection gets the next message. */
void conn_deliver(struct conn *c, struct job *j);
/* Says QUIT and closes an idle one. */
void conn_quit(struct conn *c);
/* Closes without a word; a job that is on it must have been told already. */
void conn_free(struct conn *c);

/* ---- pool ---- */

void pool_init(struct pool *p);
/* Whether this connection, which is done with its message, is to be kept. */
bool pool_wants(const struct conn *c);
void pool_put(struct pool *p, struct conn *c);
void pool_take(struct pool *p, struct conn *c);
/* An idle connection that may be used once more; NULL: none. It is taken out. */
struct conn *pool_find_site(
    struct pool *p, const struct service *s, struct str site, int64_t now_us);
struct conn *pool_find_endpoint(struct pool *p, const struct service *s,
    const struct net_endpoint *to, int64_t now_us);

/* ---- job ---- */

struct job {
	struct service *service;
	struct delivery_job *dj;

	struct str *sites; /* next hops: the request's own, then fallback relays */
	size_t n_sites, n_primary, next_site;
	struct target_query *asking;
	struct list in_asking; /* agent.asking, meanwhile */
	uint16_t port;         /* of the present site */
	bool is_final_site;    /* no other next hop is tried */

	struct dns_host *hosts; /* of the present site */
	size_t n_hosts, host_at;
	int64_t n_sessions;        /* that got past the greeting, at this site */
	struct net_endpoint tried; /* a reused connection led there: not again */
	bool has_tried;
	bool is_reused;      /* the present connection was kept from before */
	bool is_host_reused; /* ... and it was chosen by its host, not by the site */

	uint32_t *left; /* positions of recipients without an outcome; DONE: it has one */
	uint32_t n_left;
	struct smtp_client_rcpt *rcpts;
	struct smtp_client_job session; /* the present attempt */
	bool is_last_host;              /* a temporary failure there is final */

	struct failure why; /* the latest failure */
	struct str relay;   /* where it came from; empty: no session */
	bool is_of_mail;    /* it is about this message, not about the server */
};

#define JOB_RCPT_DONE UINT32_MAX

void job_start(void *ctx, struct delivery_job *dj);
/* We are being stopped before it found a server; it is gone after the call. */
void job_stop(struct job *j);
/* What to deliver on the connection that stands: all that is left. */
const struct smtp_client_job *job_attempt(struct job *j);
/* MAIL was sent: the session counts. */
void job_set_up(struct job *j);
/* Making the connection failed; *why is in the job's memory. */
void job_connect_failed(struct job *j, const struct failure *why);
void job_outcome(struct job *j, const struct conn *c, uint32_t index,
    const struct smtp_client_outcome *o);
/* The session is done with this job, which may be gone after the call. `failed`: it broke
 * before all recipients had their outcome; else NULL. */
void job_session_done(
    struct job *j, const struct conn *c, const struct smtp_client_outcome *failed);
#endif
