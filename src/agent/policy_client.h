#ifndef AGENT_POLICY_CLIENT_H
#define AGENT_POLICY_CLIENT_H
/* Connections to policy services (check_policy_service), inet: and unix:, kept open
 * between requests, each with one request at a time. Requests that find none free open
 * one more, up to a limit, and then wait for their turn. A connection that fails is
 * replaced and the request tried again, as often as configured; after that the service's
 * default action is the answer. One per smtpd service (its -o overrides count); it costs
 * nothing before the first request. */
#include "base/base.h"
#include "net/endpoint.h"

struct log;
struct loop;
struct net_resolver;
struct policy_client;
struct policy_query;

/* smtpd_policy_service_*; a `{ … }` service may replace each of them. Views that outlive
 * the client. */
struct policy_settings {
	int64_t timeout_us, max_idle_us, max_ttl_us, retry_delay_us;
	unsigned request_limit; /* over one connection; 0: none */
	unsigned try_limit;
	struct str default_action;
	struct str queue_directory;    /* where unix: paths begin */
	struct net_resolver *resolver; /* for hosts by name; NULL: numeric ones only */
	struct net_ports ports;
	bool is_smtputf8;         /* actions that are not UTF-8 are failures */
	unsigned connections_max; /* to one service; 0: 100 */
};

/* Reads them for `service` (NULL: main.cf alone), but for the resolver. Memory: texts in
 * `mem`. Blocks: on the disk (/etc/services). */
struct arena;
struct conf_snapshot;
struct master_service;
MUST_USE enum rc policy_settings_load(const struct conf_snapshot *snapshot,
    const struct master_service *service, struct arena *mem, struct policy_settings *out,
    struct err *e);

struct policy_client *policy_client_new(
    struct loop *loop, struct log *log, const struct policy_settings *s);
/* Open requests are dropped without a call. */
void policy_client_free(struct policy_client **c);

/* The action, never empty; valid during the call. `rc` is RC_OK, or RC_TEMP: the service
 * cannot be asked (its text makes no sense; it was logged), action is the default one. */
typedef void policy_done_fn(void *arg, enum rc rc, struct str action);
/* `service` as it stands in check_policy_service; `request` whole, with its empty last
 * line; both are copied. The answer never comes inside this call. Returns a handle for
 * policy_client_cancel(), gone once `done` is called. */
struct policy_query *policy_client_ask(struct policy_client *c, struct str service,
    struct str request, policy_done_fn *done, void *arg);
/* `done` will not be called. *q may be NULL; it becomes NULL. */
void policy_client_cancel(struct policy_query **q);
size_t policy_client_connections(const struct policy_client *c); /* open now */
#endif
