/* Sockets of tables that wait for a server. */
#include "map/client.h"
#include "base/utf8.h"
#include "log/log.h"
#include "os/clock.h"
#include "os/fd.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define READ_SIZE ((size_t)16 << 10)

/* ---- where the server is ---- */

static void
start(struct map_client *c, const struct map_client_where *w, struct str text)
{
	struct str name = w->how->name;
	size_t n = strlen(w->type) + name.n + 2;

	*c = (struct map_client){ .text = mem_str(text),
		.table = mem_get(n),
		.is_utf8 = w->how->is_utf8,
		.log = w->how->env->log,
		.fd = -1 };
	(void)snprintf(c->table, n, "%s:%.*s", w->type, STR_ARG(name));
	buf_init(&c->in, w->reply_max);
}

static enum rc
init_inet(struct map_client *c, const struct map_client_where *w, struct str address,
    struct err *e)
{
	size_t colon = str_rfind(address, ':');
	struct str host = STR(""), port = address;
	size_t digits = 0;

	if (colon < address.n) {
		host = str_head(address, colon);
		port = str_from(address, colon + 1);
	}
	if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_head(str_from(host, 1), host.n - 2);
	else if (str_find(host, ':') < host.n)
		return err_set(e, RC_PERM,
		    "%.*s: valid hostname or network address required", /* compat */
		    STR_ARG(address));
	if (port.n == 0)
		return err_set(e, RC_PERM, "%.*s: missing service information",
		    STR_ARG(address)); /* compat */
	while (digits < port.n && ascii_isdigit(port.p[digits]))
		digits++;
	if (digits > 0 && digits < port.n)
		return err_set(e, RC_PERM, "%.*s: garbage after numerical service",
		    STR_ARG(port)); /* compat */
	start(c, w, address);
	c->host = mem_str(host);
	c->port = mem_str(port);
	return RC_OK;
}

enum rc
map_client_init_inet(
    struct map_client *c, const struct map_client_where *w, struct err *e)
{
	return init_inet(c, w, w->service, e);
}

enum rc
map_client_init(struct map_client *c, const struct map_client_where *w, struct err *e)
{
	struct str service = w->service, transport, address;

	if (!str_cut(service, ':', &transport, &address) || address.n == 0)
		return err_set(e, RC_PERM,
		    "need service transport:endpoint instead of \"%.*s\"", /* compat */
		    STR_ARG(service));
	if (str_is(transport, "inet"))
		return init_inet(c, w, address, e);
	if (!str_is(transport, "unix"))
		return err_set(e, RC_PERM,
		    "invalid transport name: %.*s in service: %.*s", /* compat */
		    STR_ARG(transport), STR_ARG(service));
	if (address.n >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(e, RC_PERM, "unix-domain name too long: %.*s",
		    STR_ARG(address)); /* compat */
	start(c, w, address);
	return RC_OK;
}

void
map_client_fini(struct map_client *c)
{
	os_fd_close(&c->fd);
	buf_fini(&c->in);
	free(c->text);
	free(c->table);
	free(c->host);
	free(c->port);
}

/* ---- waiting ---- */

/* RC_NONE: the deadline is over. */
static enum rc
wait_for(const struct map_client *c, int fd, short events)
{
	for (;;) {
		int64_t left = c->until_us - os_clock_mono_us();
		struct pollfd p = { .fd = fd, .events = events };
		int n;

		if (left <= 0)
			return RC_NONE;
		n = poll(&p, 1, (int)(left / US_PER_MS) + 1);
		if (n > 0)
			return RC_OK;
		if (n < 0 && errno != EINTR)
			return RC_TEMP;
	}
}

/* One address. Errno on failure. */
static enum rc
connect_one(struct map_client *c, const struct sockaddr *sa, socklen_t len)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, error = 0;
	socklen_t size = sizeof(error);

	if (fd < 0)
		return RC_TEMP;
	if (sa->sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* EAGAIN: the queue of a UNIX-domain socket is full. */
	if (connect(fd, sa, len) != 0)
		error = errno;
	if (error == EINPROGRESS) {
		if (wait_for(c, fd, POLLOUT) != RC_OK)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
	}
	if (error != 0) {
		os_fd_close(&fd);
		errno = error;
		return RC_TEMP;
	}
	c->fd = fd;
	return RC_OK;
}

static enum rc
connect_unix(struct map_client *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	/* Its length was looked at in map_client_init. */
	memcpy(sa.sun_path, c->text, strlen(c->text) + 1);
	return connect_one(c, (const struct sockaddr *)&sa, sizeof(sa));
}

static enum rc
connect_inet(struct map_client *c)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *host = c->host[0] != '\0' ? c->host : NULL;
	struct addrinfo *list, *a;
	enum rc rc = RC_TEMP;
	int ret = getaddrinfo(host, c->port, &hints, &list), saved;

	if (ret != 0) {
		if (c->log != NULL)
			log_warn(c->log, "host or service %s not found: %s", c->text,
			    gai_strerror(ret)); /* compat */
		errno = EADDRNOTAVAIL;
		return RC_TEMP;
	}
	for (a = list; a != NULL && rc != RC_OK; a = a->ai_next)
		rc = connect_one(c, a->ai_addr, a->ai_addrlen);
	saved = errno;
	freeaddrinfo(list);
	errno = saved;
	return rc;
}

static enum rc
connect_to(struct map_client *c, struct err *e)
{
	if ((c->host == NULL ? connect_unix(c) : connect_inet(c)) == RC_OK)
		return RC_OK;
	return err_sys(e, RC_TEMP, "connect to %s", c->text);
}

/* A server that hung up meanwhile, or said something nobody asked for, whose bytes would
 * be taken for the answer to the next request. */
static bool
is_stale(const struct map_client *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

static enum rc
send_all(struct map_client *c, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		enum rc rc = RC_OK;

		if (n >= 0)
			s = str_from(s, (size_t)n);
		else if (errno == EAGAIN)
			rc = wait_for(c, c->fd, POLLOUT);
		else if (errno != EINTR)
			return RC_TEMP;
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
receive(struct map_client *c, enum map_client_fault *out_fault, struct err *e)
{
	size_t room = buf_left(&c->in) < READ_SIZE ? buf_left(&c->in) : READ_SIZE;
	ssize_t n;

	if (room == 0) {
		*out_fault = MAP_CLIENT_SIZE;
		return err_set(e, RC_TEMP, "reply of %s is too large", c->text);
	}
	for (;;) {
		n = recv(c->fd, buf_room(&c->in, room), room, 0);
		if (n > 0) {
			buf_added(&c->in, (size_t)n);
			return RC_OK;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			break;
		if (wait_for(c, c->fd, POLLIN) != RC_OK) {
			*out_fault = MAP_CLIENT_TIME;
			errno = ETIMEDOUT;
			return err_sys(e, RC_TEMP, "%s", c->text);
		}
	}
	*out_fault = MAP_CLIENT_DISCONNECT;
	errno = n == 0 ? ECONNRESET : errno;
	return err_sys(e, RC_TEMP, "%s", c->text);
}

static enum rc
exchange(struct map_client *c, const struct map_exchange *x,
    enum map_client_fault *out_fault, struct err *e)
{
	size_t used = 0;
	enum rc rc = send_all(c, x->request);

	if (rc != RC_OK) {
		*out_fault = rc == RC_NONE ? MAP_CLIENT_TIME : MAP_CLIENT_DISCONNECT;
		errno = rc == RC_NONE ? ETIMEDOUT : errno;
		return err_sys(e, RC_TEMP, "%s", c->text);
	}
	do {
		rc = receive(c, out_fault, e);
		if (rc != RC_OK)
			return rc;
		rc = x->reply(x->ctx, buf_view(&c->in), &used, e);
	} while (rc == RC_MORE);
	if (rc != RC_OK) {
		*out_fault = rc == RC_TEMP ? MAP_CLIENT_SIZE : MAP_CLIENT_FORMAT;
		return RC_TEMP;
	}
	/* Whatever it is, it does not answer what will be asked next. */
	if (used < c->in.n)
		os_fd_close(&c->fd);
	return RC_OK;
}

enum rc
map_client_ask(struct map_client *c, const struct map_exchange *x,
    enum map_client_fault *out_fault, struct err *e)
{
	bool is_again = false;
	enum rc rc;

	c->until_us = os_clock_mono_us() + x->timeout_us;
	if (c->fd >= 0 && is_stale(c))
		os_fd_close(&c->fd);
	/* A large reply's memory is not kept for small ones. */
	if (c->in.cap > READ_SIZE * 2)
		buf_release(&c->in);
	for (;;) {
		bool was_connected = c->fd >= 0;

		*out_fault = MAP_CLIENT_CONNECT;
		if (!was_connected && connect_to(c, e) != RC_OK)
			return RC_TEMP;
		*out_fault = MAP_CLIENT_FINE;
		buf_reset(&c->in);
		rc = exchange(c, x, out_fault, e);
		if (rc == RC_OK)
			break;
		os_fd_close(&c->fd);
		if (*out_fault != MAP_CLIENT_DISCONNECT || !was_connected || is_again ||
		    c->in.n > 0)
			break;
		is_again = true;
	}
	return rc;
}

enum rc
map_client_value(const struct map_client *c, struct str key, struct arena *mem,
    struct str *value, struct err *e)
{
	struct str text = str_head(*value, str_find(*value, '\0'));

	if (c->is_utf8 && !utf8_is_valid(text)) {
		if (c->log != NULL) /* compat */
			log_warn(c->log,
			    "%s: key \"%.*s\": non-UTF-8 value \"%.*s\": malformed UTF-8 "
			    "or invalid codepoint",
			    c->table, STR_ARG(key), STR_ARG(text));
		return err_set(e, RC_TEMP, "%s: a value is not UTF-8", c->table);
	}
	text = arena_str(mem, text);
	if (text.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*value = text;
	return RC_OK;
}
