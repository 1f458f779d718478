/* Owns one connection to a policy service: finding its address, connecting, one request
 * and its reply at a time, idling. */
#include "agent/policy_int.h"
#include "log/log.h"
#include "milter/policy.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "os/fd.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE 4096

static void on_io(void *arg, unsigned events);
static void on_timer(void *arg);
static void try_next(struct policy_conn *n, int sys);

static struct policy_conn *
conn_new(struct policy_service *s)
{
	struct policy_conn *n = mem_get(sizeof(*n));

	n->service = s;
	n->fd = -1;
	loop_timer_init(&n->timer, on_timer, n);
	list_init(&n->idle_node);
	list_add_tail(&s->conns, &n->node);
	s->n_conns++;
	s->client->n_conns++;
	buf_init(&n->in, MILTER_POLICY_REPLY_MAX + READ_SIZE);
	return n;
}

static void
drop_socket(struct policy_conn *n)
{
	if (n->fd < 0)
		return;
	loop_io_remove(n->service->client->loop, &n->io);
	os_fd_close(&n->fd);
}

void
policy_conn_free(struct policy_conn *n)
{
	struct policy_service *s = n->service;

	net_query_cancel(&n->dns);
	drop_socket(n);
	loop_timer_cancel(s->client->loop, &n->timer);
	list_remove(&n->node);
	list_remove(&n->idle_node);
	s->n_conns--;
	s->client->n_conns--;
	buf_fini(&n->in);
	free(n);
}

/* The connection is of no use any more; whoever waits for it hears why. */
static void
fail(struct policy_conn *n, int sys)
{
	struct policy_service *s = n->service;
	struct policy_query *q = n->query;

	policy_conn_free(n);
	if (q != NULL)
		policy_query_failed(q, sys);
	policy_service_turn(s);
}

static void
be_patient(struct policy_conn *n)
{
	struct loop *l = n->service->client->loop;

	loop_timer_set(l, &n->timer, loop_now_us(l) + n->service->s.timeout_us);
}

/* compat: the words of Postfix's log, with the server's name. */
static void
complain(struct policy_conn *n, const char *what)
{
	struct str text = buf_view(&n->in);
	size_t line = str_rfind(text, '\n');
	bool in_value;

	if (line < text.n)
		text = str_from(text, line + 1);
	in_value = str_find(text, '=') < text.n;
	log_warn(n->service->client->log, "%s on %.*s while reading input attribute %s",
	    what, STR_ARG(n->service->name), in_value ? "value" : "name");
}

static void
on_timer(void *arg)
{
	struct policy_conn *n = arg;

	switch (n->phase) {
	case POLICY_RESOLVING:
		fail(n, ETIMEDOUT);
		break;
	case POLICY_CONNECTING:
		try_next(n, ETIMEDOUT);
		break;
	case POLICY_BUSY:
		complain(n, "timeout");
		fail(n, ETIMEDOUT);
		break;
	case POLICY_IDLE:
		policy_conn_free(n);
		break;
	}
}

/* ---- a request and its reply ---- */

static void
idle(struct policy_conn *n)
{
	const struct policy_settings *set = &n->service->s;
	struct loop *l = n->service->client->loop;
	int64_t now = loop_now_us(l), until = now + set->max_idle_us;

	n->phase = POLICY_IDLE;
	n->query = NULL;
	if (n->opened_us + set->max_ttl_us < until)
		until = n->opened_us + set->max_ttl_us;
	if (until <= now ||
	    (set->request_limit > 0 && n->n_requests >= set->request_limit)) {
		policy_conn_free(n);
		return;
	}
	buf_release(&n->in);
	list_add_head(&n->service->idle, &n->idle_node);
	loop_io_want(l, &n->io, LOOP_READ); /* hears when it is closed */
	loop_timer_set(l, &n->timer, until);
}

/* Returns false: the connection is gone. */
static bool
send_more(struct policy_conn *n)
{
	struct loop *l = n->service->client->loop;

	while (n->query != NULL && n->n_sent < n->query->request.n) {
		size_t done = 0;
		enum rc rc = os_fd_send(
		    n->fd, str_from(n->query->request, n->n_sent), NULL, 0, &done);

		if (rc == RC_MORE)
			break;
		if (rc != RC_OK) {
			fail(n, errno);
			return false;
		}
		n->n_sent += done;
	}
	loop_io_want(l, &n->io,
	    n->query != NULL && n->n_sent < n->query->request.n ? LOOP_READ | LOOP_WRITE
								: LOOP_READ);
	return true;
}

static void
start(struct policy_conn *n)
{
	n->phase = POLICY_BUSY;
	n->n_sent = 0;
	n->n_requests++;
	be_patient(n);
	(void)send_more(n);
}

static void
refuse_reply(struct policy_conn *n, const struct err *e)
{
	struct str text = str_c(e->text);
	size_t at = 0;

	/* The words have one %s, for the server. */
	while (at + 1 < text.n && !str_starts(str_from(text, at), STR("%s")))
		at++;
	log_warn(n->service->client->log, "%.*s%.*s%.*s", STR_ARG(str_head(text, at)),
	    STR_ARG(n->service->name), STR_ARG(str_from(text, at + 2)));
	fail(n, 0);
}

static void
take_reply(struct policy_conn *n)
{
	struct policy_service *s = n->service;
	struct policy_query *q = n->query;
	struct err e = { 0 };
	struct str action;
	size_t used;
	char *copy;
	enum rc rc = milter_policy_reply(buf_view(&n->in), &used, &action, &e);

	if (rc == RC_MORE)
		return;
	if (rc == RC_NONE)
		(void)err_set(&e, RC_PERM, "missing attribute action in input from %%s");
	if (rc != RC_OK) {
		refuse_reply(n, &e);
		return;
	}
	copy = mem_get(action.n + 1);
	memcpy(copy, action.p, action.n);
	/* Text behind the reply would be the reply to a request not made yet. */
	if (used != n->in.n)
		policy_conn_free(n);
	else
		idle(n);
	policy_service_turn(s);
	if (q != NULL)
		policy_query_answered(q, str_n(copy, action.n));
	free(copy);
}

static void
receive(struct policy_conn *n)
{
	char *room = buf_room(&n->in, READ_SIZE);
	ssize_t got = read(n->fd, room, READ_SIZE);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		buf_added(&n->in, (size_t)got);
		take_reply(n);
		return;
	}
	if (got == 0 && n->in.n > 0)
		complain(n, "premature end-of-input"); /* compat */
	fail(n, got == 0 ? 0 : errno);
}

/* ---- connecting ---- */

static void
on_connected(struct policy_conn *n)
{
	struct err e = { 0 };

	if (net_connect_result(n->fd, &e) != RC_OK) {
		try_next(n, e.sys);
		return;
	}
	n->opened_us = loop_now_us(n->service->client->loop);
	start(n);
}

static void
on_io(void *arg, unsigned events)
{
	struct policy_conn *n = arg;

	switch (n->phase) {
	case POLICY_RESOLVING:
		break;
	case POLICY_CONNECTING:
		on_connected(n);
		break;
	case POLICY_IDLE: /* closed, or it talks without being asked */
		policy_conn_free(n);
		break;
	case POLICY_BUSY:
		if ((events & LOOP_WRITE) != 0 && !send_more(n))
			break;
		if ((events & (LOOP_READ | LOOP_HANGUP)) != 0)
			receive(n);
		break;
	}
}

static enum rc
connect_unix(const char *path, int *out_fd, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(e, RC_TEMP, "socket");
	(void)memccpy(to.sun_path, path, '\0', sizeof(to.sun_path) - 1);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		(void)err_sys(e, RC_TEMP, "connect");
		os_fd_close(&fd);
		return RC_TEMP;
	}
	*out_fd = fd;
	return RC_OK;
}

/* Connects to the last address of the list, which gets shorter. */
static enum rc
connect_next(struct policy_conn *n, struct err *e)
{
	struct net_endpoint to;

	if (n->service->path != NULL)
		return connect_unix(n->service->path, &n->fd, e);
	n->n_addrs--;
	net_endpoint_set(&to, &n->addrs[n->n_addrs], n->service->port);
	return net_connect(&to, NULL, &n->fd, e);
}

static void
no_way(struct policy_conn *n, int sys)
{
	log_warn(n->service->client->log, "connect to %.*s: %s",
	    STR_ARG(n->service->name), strerror(sys)); /* compat */
	fail(n, sys);
}

/* Tries what is left; `sys` is why the last one failed. */
static void
try_next(struct policy_conn *n, int sys)
{
	struct loop *l = n->service->client->loop;
	bool is_first = n->fd < 0;

	drop_socket(n);
	n->phase = POLICY_CONNECTING;
	while (n->n_addrs > 0 || (n->service->path != NULL && is_first)) {
		struct err e = { 0 };
		enum rc rc = connect_next(n, &e);

		is_first = false;
		sys = e.sys;
		if (rc == RC_TEMP)
			continue;
		loop_io_init(&n->io, n->fd, on_io, n);
		if (rc == RC_MORE) {
			be_patient(n);
			loop_io_want(l, &n->io, LOOP_WRITE);
		} else {
			on_connected(n);
		}
		return;
	}
	no_way(n, sys);
}

static void
on_addrs(void *arg, const struct net_host_answer *a)
{
	struct policy_conn *n = arg;

	n->dns = NULL;
	for (size_t i = 0; i < a->n && i < POLICY_ADDRS_MAX; i++)
		n->addrs[n->n_addrs++] = a->addrs[a->n - 1 - i];
	if (n->n_addrs == 0)
		log_warn(n->service->client->log, "host %.*s not found: %s",
		    STR_ARG(n->service->host), dns_status_text(a->status));
	try_next(n, EADDRNOTAVAIL);
}

void
policy_conn_open(struct policy_service *s, struct policy_query *q)
{
	struct policy_conn *n = conn_new(s);
	struct net_resolver *r = s->client->s.resolver;

	n->query = q;
	q->conn = n;
	if (s->path == NULL && addr_ip_parse(s->host, &n->addrs[0]) == RC_OK) {
		n->n_addrs = 1;
	} else if (s->path == NULL && r != NULL) {
		n->phase = POLICY_RESOLVING;
		be_patient(n);
		n->dns = net_resolve_host(
		    r, s->host, NET_HOST_NATIVE | NET_HOST_DNS, on_addrs, n);
		return;
	}
	try_next(n, EADDRNOTAVAIL);
}

void
policy_conn_use(struct policy_conn *n, struct policy_query *q)
{
	assert(n->phase == POLICY_IDLE);
	list_remove(&n->idle_node);
	n->query = q;
	q->conn = n;
	start(n);
}

void
policy_conn_abandon(struct policy_conn *n)
{
	struct policy_service *s = n->service;
	bool is_sent = n->phase == POLICY_BUSY && n->n_sent == n->query->request.n;

	n->query = NULL;
	/* Its reply is read, and the connection kept, unless somebody needs its place. */
	if (is_sent && list_is_empty(&s->waiting))
		return;
	policy_conn_free(n);
	policy_service_turn(s);
}
