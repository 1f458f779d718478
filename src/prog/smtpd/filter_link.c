/* The socket of a filter before the queue: where it is, connecting, bytes, time. */
#include "base/arena.h"
#include "conf/list.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "os/fd.h"
#include "prog/smtpd/filter_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_MAX  ((size_t)64 << 20)
#define READ_MAX ((size_t)4096)

static void connect_next(struct filter *f);

/* ---- parameters ---- */

struct str
filter_name(const struct filter *f)
{
	struct str s = str_trim(f->c->service->conf.smtpd_proxy_filter);

	return str_starts(s, STR("inet:")) ? str_from(s, 5) : s;
}

static enum rc
parse_path(struct service *s, struct str path, struct err *e)
{
	struct worker *w = s->smtpd->w;
	struct str folder = STR("");
	enum rc rc = conf_get(
	    w->snapshot, s->entry->entry, STR("queue_directory"), w->mem, &folder, e);

	if (rc != RC_OK)
		return rc;
	path = path.n > 0 && path.p[0] == '/'
		   ? arena_str(w->mem, path)
		   : arena_printf(w->mem, "%.*s/%.*s", STR_ARG(folder), STR_ARG(path));
	s->filter_path = path.p;
	if (path.p == NULL || path.n >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, RC_PERM, "bad smtpd_proxy_filter path: %.*s",
		    STR_ARG(str_head(path, 150)));
	return RC_OK;
}

/* compat: in small letters only. */
static enum rc
parse_options(struct service *s, struct err *e)
{
	struct str rest = s->conf.smtpd_proxy_options, word;

	while (str_token(&rest, CONF_LIST_SEPARATORS, &word)) {
		if (!str_is(word, "speed_adjust"))
			return err_set(e, RC_PERM,
			    "unknown smtpd_proxy_options value \"%.*s\"",
			    STR_ARG(str_head(word, 100)));
		s->adjusts_speed = s->has_filter;
	}
	return RC_OK;
}

/* compat: "host:port", "inet:host:port", "unix:path" below queue_directory; no host: this
 * one. */
enum rc
filter_parse(struct service *s, struct err *e)
{
	struct str text = str_trim(s->conf.smtpd_proxy_filter);
	const struct net_ports ports = { .known = s->conf.known_tcp_ports };
	struct net_dest dest = { 0 };

	s->has_filter = text.n > 0;
	if (parse_options(s, e) != RC_OK)
		return RC_PERM;
	if (text.n == 0)
		return RC_OK;
	if (str_starts(text, STR("unix:")))
		return parse_path(s, str_from(text, 5), e);
	if (str_starts(text, STR("inet:")))
		text = str_from(text, 5);
	if (net_helper_parse(text, &ports, &dest, e) != RC_OK)
		return err_set(e, RC_PERM, "bad smtpd_proxy_filter: %.*s",
		    STR_ARG(str_head(text, 150)));
	s->filter_host = dest.host;
	s->filter_port = dest.port;
	return RC_OK;
}

/* ---- the end ---- */

static void
drop_socket(struct filter *f)
{
	int fd = f->io.fd;

	if (fd < 0)
		return;
	loop_io_remove(f->c->service->smtpd->loop, &f->io);
	os_fd_close(&fd);
	f->io.fd = -1;
}

void
filter_free(struct filter **fp)
{
	struct filter *f = *fp;
	struct loop *l;

	if (f == NULL)
		return;
	l = f->c->service->smtpd->loop;
	/* A filter that is in the middle of a message must not take this for its end. */
	if (f->io.fd >= 0 && !f->is_connecting && !f->is_broken && f->out.n == 0 &&
	    !f->c->message->is_begun && !smtp_filter_is_asking(f->session) &&
	    write(f->io.fd, "QUIT\r\n", 6) != 6)
		log_debug(f->c->service->entry->log, "the filter did not take QUIT");
	net_query_cancel(&f->naming);
	loop_timer_cancel(l, &f->timer);
	loop_soon_cancel(l, &f->soon);
	drop_socket(f);
	replay_free(f);
	smtp_filter_free(&f->session);
	buf_fini(&f->out);
	arena_free(&f->mem);
	free(f);
	*fp = NULL;
}

static void
set_timer(struct filter *f)
{
	struct service *s = f->c->service;

	loop_timer_set(s->smtpd->loop, &f->timer,
	    loop_now_us(s->smtpd->loop) + s->conf.smtpd_proxy_timeout_us);
}

/* Whoever waits hears it; who is sending hears it at the end. May be called when it is
 * broken already. */
static void
fail(struct filter *f)
{
	f->is_broken = true;
	net_query_cancel(&f->naming);
	drop_socket(f);
	loop_timer_cancel(f->c->service->smtpd->loop, &f->timer);
	loop_soon(f->c->service->smtpd->loop, &f->soon);
}

static void
on_failed(void *arg)
{
	struct filter *f = arg;
	struct conn *c = f->c;
	void (*replied)(struct filter *, int, struct str) = f->replied;

	c->is_full = false;
	f->replied = NULL;
	if (replied != NULL)
		replied(f, 0, STR(FILTER_TROUBLE));
	if (!c->is_running)
		conn_run(c);
}

static void
complain(struct filter *f, const char *what)
{
	log_warn(
	    f->c->service->entry->log, "%s proxy %.*s", what, STR_ARG(filter_name(f)));
	fail(f);
}

/* ---- bytes ---- */

static void
on_timer(void *arg)
{
	struct filter *f = arg;

	if (f->is_connecting) {
		drop_socket(f);
		errno = ETIMEDOUT;
		connect_next(f);
	} else {
		complain(f, "timeout talking to");
	}
}

static void
watch(struct filter *f)
{
	loop_io_want(f->c->service->smtpd->loop, &f->io,
	    f->out.n > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void
flush(struct filter *f)
{
	struct loop *l = f->c->service->smtpd->loop;
	bool moved = false;

	while (f->out.n > 0) {
		struct str s = buf_view(&f->out);
		ssize_t n = send(f->io.fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			complain(f, "lost connection with");
			return;
		}
		moved = true;
		buf_consume(&f->out, (size_t)n);
	}
	if (f->out.n == 0)
		buf_release(&f->out);
	if (f->out.n > 0 && (moved || !loop_timer_is_set(&f->timer)))
		set_timer(f);
	else if (f->out.n == 0 && !smtp_filter_is_asking(f->session))
		loop_timer_cancel(l, &f->timer); /* it is the client's turn */
	watch(f);
	if (f->out.n < FILTER_OUT_SLOW / 2)
		f->c->is_full = false;
}

/* Carries out what the session wants. May free the connection, and `f` with it, when it
 * answers: that comes last. */
void
filter_pump(struct filter *f)
{
	void (*replied)(struct filter *, int, struct str) = NULL;
	struct smtp_filter_fx fx, reply = { 0 };
	struct conn *c = f->c;

	while (!f->is_broken && smtp_filter_next(f->session, &fx)) {
		switch (fx.type) {
		case SMTP_FILTER_SEND:
			if (buf_put(&f->out, fx.data) != RC_OK)
				complain(f, "too much waits for");
			break;
		case SMTP_FILTER_REPLY:
			replied = f->replied;
			f->replied = NULL;
			reply = fx;
			break;
		case SMTP_FILTER_BROKEN:
			if (fx.command.n > 0)
				log_warn(c->service->entry->log,
				    "proxy %.*s rejected \"%.*s\": \"%.*s\"",
				    STR_ARG(filter_name(f)), STR_ARG(fx.command),
				    STR_ARG(str_head(fx.data, 500)));
			else
				log_warn(c->service->entry->log, "proxy %.*s: %.*s",
				    STR_ARG(filter_name(f)), STR_ARG(fx.data));
			fail(f);
			break;
		}
	}
	if (!f->is_broken && f->io.fd >= 0 && !f->is_connecting)
		flush(f);
	if (replied != NULL)
		replied(f, reply.code, reply.data);
}

static void
on_connected(struct filter *f)
{
	f->is_connecting = false;
	set_timer(f);
	watch(f);
}

static void
on_readable(struct filter *f)
{
	struct conn *c = f->c;
	char text[READ_MAX];
	ssize_t n = read(f->io.fd, text, sizeof(text));

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		complain(f, "lost connection with");
		return;
	}
	set_timer(f);
	smtp_filter_recv(f->session, str_n(text, (size_t)n));
	filter_pump(f);
	if (!c->is_running)
		conn_run(c);
}

static void
on_io(void *arg, unsigned events)
{
	struct filter *f = arg;
	struct conn *c = f->c;
	struct err e = { 0 };

	if (f->is_connecting) {
		if (net_connect_result(f->io.fd, &e) == RC_OK) {
			on_connected(f);
			return;
		}
		drop_socket(f);
		errno = e.sys;
		connect_next(f);
		return;
	}
	if ((events & LOOP_READ) != 0) {
		on_readable(f);
		return;
	}
	flush(f);
	if (!f->is_broken && f->more != NULL && f->out.n < FILTER_OUT_SLOW / 2)
		f->more(f); /* may free `f` */
	if (!c->is_running)
		conn_run(c);
}

/* ---- connecting ---- */

static enum rc
connect_unix(const char *path, int *out_fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int why;

	if (fd < 0)
		return RC_TEMP;
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		why = errno;
		os_fd_close(&fd);
		errno = why;
		return RC_TEMP;
	}
	*out_fd = fd;
	return RC_OK;
}

/* errno says why the one before failed. */
static void
connect_next(struct filter *f)
{
	struct service *s = f->c->service;
	enum rc rc = RC_TEMP;
	int fd = -1;

	while (rc != RC_OK && rc != RC_MORE && f->at_addr < f->n_addrs) {
		struct net_endpoint to;
		struct err e = { 0 };

		net_endpoint_set(&to, &f->addrs[f->at_addr++], s->filter_port);
		rc = net_connect(&to, NULL, &fd, &e);
		if (rc != RC_OK && rc != RC_MORE)
			errno = e.sys;
	}
	if (s->filter_path != NULL && f->at_addr++ == 0)
		rc = connect_unix(s->filter_path, &fd);
	if (rc != RC_OK && rc != RC_MORE) {
		log_warn(s->entry->log, "connect to proxy filter %.*s: %s",
		    STR_ARG(filter_name(f)), strerror(errno));
		fail(f);
		return;
	}
	loop_io_init(&f->io, fd, on_io, f);
	f->is_connecting = rc == RC_MORE;
	set_timer(f);
	if (f->is_connecting)
		loop_io_want(s->smtpd->loop, &f->io, LOOP_WRITE);
	else
		on_connected(f);
}

static void
on_host(void *arg, const struct net_host_answer *a)
{
	struct filter *f = arg;

	f->naming = NULL;
	f->n_addrs = a->n < ARRAY_LEN(f->addrs) ? a->n : ARRAY_LEN(f->addrs);
	if (f->n_addrs > 0)
		memcpy(f->addrs, a->addrs, f->n_addrs * sizeof(f->addrs[0]));
	errno = EHOSTUNREACH;
	connect_next(f);
}

/* ---- the session ---- */

static struct smtp_client_attrs
attrs_of(struct conn *c, const struct smtp_server_view *v, struct arena *mem)
{
	const struct smtp_client_attrs *x = v->xforward;
	struct smtp_client_attrs a = { .name = v->client->name,
		.addr = v->client->addr,
		.port = v->client->port,
		.helo = v->helo,
		.proto = v->proto };

	if (x != NULL) {
		a = *x;
		a.source = x->source;
	}
	if (a.source.n == 0)
		a.source = c->is_local ? STR("LOCAL") : STR("REMOTE");
	a.name = arena_str(mem, a.name);
	a.addr = arena_str(mem, a.addr);
	a.port = arena_str(mem, a.port);
	a.helo = arena_str(mem, a.helo);
	a.proto = arena_str(mem, a.proto);
	a.ident = arena_str(mem, a.ident);
	a.source = arena_str(mem, a.source);
	return a;
}

struct filter *
filter_new(struct conn *c)
{
	struct service *s = c->service;
	struct smtp_server_view v = smtp_server_view(c->session);
	struct filter *f = mem_get(sizeof(*f));

	message_get(c)->proxy = f;
	f->c = c;
	f->io.fd = -1;
	f->mem = arena_new((size_t)64 * 1024);
	buf_init(&f->out, OUT_MAX);
	loop_timer_init(&f->timer, on_timer, f);
	loop_task_init(&f->soon, on_failed, f);
	f->conf.ehlo = s->conf.smtpd_proxy_ehlo;
	f->conf.client = attrs_of(c, &v, f->mem);
	f->session = smtp_filter_new(&f->conf);
	return f;
}

void
filter_connect(struct filter *f)
{
	struct service *s = f->c->service;

	if (s->filter_path != NULL)
		connect_next(f);
	else
		f->naming = net_resolve_host(s->smtpd->resolver, s->filter_host,
		    NET_HOST_NATIVE | NET_HOST_DNS, on_host, f);
}

void
filter_ask(struct filter *f, struct str line,
    void (*replied)(struct filter *f, int code, struct str reply))
{
	f->replied = replied;
	if (f->is_broken) {
		loop_soon(f->c->service->smtpd->loop, &f->soon);
		return;
	}
	set_timer(f);
	smtp_filter_command(f->session, line);
	filter_pump(f);
}

void
filter_ask_end(
    struct filter *f, void (*replied)(struct filter *f, int code, struct str reply))
{
	f->replied = replied;
	if (f->is_broken) {
		loop_soon(f->c->service->smtpd->loop, &f->soon);
		return;
	}
	set_timer(f);
	smtp_filter_end(f->session);
	filter_pump(f);
}
