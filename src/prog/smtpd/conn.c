/* One connection: read, push, carry out effects, write. Nothing here knows SMTP. */
#include "log/log.h"
#include "net/endpoint.h"
#include "os/fd.h"
#include "prog/smtpd/smtpd.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_MAX   ((size_t)256 * 1024) /* a client that reads nothing gets no more */
#define IN_MAX    ((size_t)128 * 1024) /* what arrives while a question is open */
#define LINGER_US (10 * US_PER_SEC)    /* for the last words to get through */

static void on_io(void *arg, unsigned events);

/* ---- the end ---- */

void
conn_free(struct conn *c)
{
	struct service *s = c->service;
	struct smtpd *d = s->smtpd;
	int fd = c->io.fd;

	net_client_name_cancel(&c->naming);
	decide_run_cancel(&c->decision);
	message_drop(c);
	smtp_server_free(&c->session);
	loop_timer_cancel(d->loop, &c->timer);
	loop_io_remove(d->loop, &c->io);
	os_fd_close(&fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	list_remove(&c->node);
	list_remove(&c->waiting);
	free(c->reverse_name);
	free(c);
	s->n_sessions--;
	d->n_conns--;
	if (s->max_sessions > 0 && s->n_sessions == s->max_sessions - 1)
		service_listen(s);
	smtpd_conn_ended(d);
}

/* ---- output ---- */

/* Nobody reads any more. */
static void
lose_output(struct conn *c)
{
	c->is_eof = c->is_gone = true;
	buf_reset(&c->out);
	buf_reset(&c->service->smtpd->out);
}

static void
write_bytes(struct conn *c, struct buf *b)
{
	while (b->n > 0) {
		struct str s = buf_view(b);
		ssize_t n = write(c->io.fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			lose_output(c);
			return;
		}
		buf_consume(b, (size_t)n);
	}
}

/* What was said in this run goes out; the rest is kept. */
static void
flush(struct conn *c)
{
	struct buf *now = &c->service->smtpd->out;

	if (c->out.n > 0)
		write_bytes(c, &c->out);
	if (c->out.n == 0) {
		buf_release(&c->out);
		write_bytes(c, now);
	}
	if (now->n > 0 && buf_put(&c->out, buf_view(now)) != RC_OK)
		lose_output(c);
	buf_reset(now);
}

/* ---- effects ---- */

static void
log_line(struct conn *c, const struct smtp_fx *fx)
{
	struct log *log = c->service->entry->log;

	log_begin(log, fx->level == SMTP_LOG_WARN ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
	log_put(log, fx->data);
	log_end(log);
}

static void
carry_out(struct conn *c, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_SEND:
		if (buf_put(&c->service->smtpd->out, fx->data) != RC_OK)
			lose_output(c);
		break;
	case SMTP_FX_LOG:
		log_line(c, fx);
		break;
	case SMTP_FX_STORE:
		message_store(c, fx->data);
		break;
	case SMTP_FX_ABORT:
		message_drop(c);
		break;
	case SMTP_FX_CLOSE:
		c->is_closing = true;
		break;
	case SMTP_FX_COMMIT:
	case SMTP_FX_CHECK_CLIENT:
	case SMTP_FX_CHECK_HELO:
	case SMTP_FX_CHECK_MAIL:
	case SMTP_FX_CHECK_RCPT:
	case SMTP_FX_CHECK_DATA:
	case SMTP_FX_CHECK_VRFY:
	case SMTP_FX_CHECK_ETRN:
	case SMTP_FX_XCLIENT:
	case SMTP_FX_FILTER_COMMAND:
	case SMTP_FX_CHECK_COMMAND:
		answer_question(c, fx);
		break;
	}
}

void
conn_answer(struct conn *c, const struct smtp_answer *a)
{
	smtp_server_answer(c->session, loop_now_us(c->service->smtpd->loop), a);
}

static bool
drain(struct conn *c)
{
	struct smtp_fx fx;
	bool moved = false;

	while (smtp_server_next(c->session, &fx)) {
		moved = true;
		carry_out(c, &fx);
	}
	return moved;
}

/* Lets the session take bytes until it wants something else. Returns how many it took. */
static size_t
feed(struct conn *c, struct str in)
{
	int64_t now = loop_now_us(c->service->smtpd->loop);
	size_t used = 0, n;
	bool moved;

	do {
		moved = drain(c);
		n = c->is_full || c->is_closing || c->is_gone
			? 0
			: smtp_server_recv(c->session, now, str_from(in, used));
		used += n;
		/* A session may want something done before it takes the first byte. */
		moved = drain(c) || moved;
	} while (n > 0 || moved);
	return used;
}

/* ---- time ---- */

/* The timer is moved only to fire earlier; when it fires too early it is set again. */
static void
set_timer(struct conn *c)
{
	struct loop *l = c->service->smtpd->loop;
	int64_t at =
	    c->is_closing ? loop_now_us(l) + LINGER_US : smtp_server_deadline(c->session);

	if (at != INT64_MAX && (!loop_timer_is_set(&c->timer) || c->timer.node.key > at))
		loop_timer_set(l, &c->timer, at);
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;
	int64_t now = loop_now_us(c->service->smtpd->loop);

	if (c->is_closing) {
		conn_free(c);
		return;
	}
	if (now >= smtp_server_deadline(c->session))
		smtp_server_tick(c->session, now);
	conn_run(c);
}

/* ---- running ---- */

/* What to wait for. A descriptor that has only its end left to tell would tell it for
 * ever, so it is not watched while a question is open. */
static void
watch(struct conn *c)
{
	struct loop *l = c->service->smtpd->loop;
	unsigned want = 0;

	if (c->is_gone || (c->is_eof && c->out.n == 0)) {
		loop_io_remove(l, &c->io);
		return;
	}
	if (c->out.n > 0)
		want |= LOOP_WRITE;
	if (!c->is_eof && !c->is_full && !c->is_closing && c->in.n < IN_MAX &&
	    c->out.n == 0)
		want |= LOOP_READ;
	loop_io_want(l, &c->io, want);
}

/* The connection's end reaches the session when nothing is left to do. */
static bool
end_of_input(struct conn *c)
{
	struct smtp_fx fx;

	if (!c->is_eof || c->is_closing || smtp_server_is_asking(c->session) ||
	    c->is_full)
		return false;
	smtp_server_lost(c->session, loop_now_us(c->service->smtpd->loop));
	while (smtp_server_next(c->session, &fx))
		carry_out(c, &fx);
	return true;
}

/* After the session had its turn. */
static void
settle(struct conn *c)
{
	flush(c);
	(void)end_of_input(c);
	flush(c);
	if (c->is_closing && (c->out.n == 0 || c->is_gone) &&
	    !smtp_server_is_asking(c->session)) {
		conn_free(c);
		return;
	}
	if (c->in.n == 0)
		buf_release(&c->in);
	watch(c);
	set_timer(c);
}

void
conn_run(struct conn *c)
{
	assert(!c->is_running);
	c->is_running = true;
	buf_consume(&c->in, feed(c, buf_view(&c->in)));
	c->is_running = false;
	settle(c);
}

/* ---- input ---- */

/* New bytes, in the process's block. */
static void
run_block(struct conn *c, size_t n)
{
	char *block = c->service->smtpd->block;
	struct str in = { block, n };

	if (c->in.n > 0) {
		if (buf_put(&c->in, in) != RC_OK)
			abort(); /* watch() stops reading before that */
		conn_run(c);
		return;
	}
	c->is_running = true;
	in = str_from(in, feed(c, in));
	c->is_running = false;
	if (in.n > 0 && buf_put(&c->in, in) != RC_OK)
		abort();
	settle(c);
}

static void
on_readable(struct conn *c)
{
	ssize_t n = read(c->io.fd, c->service->smtpd->block, READ_SIZE);

	if (n > 0) {
		run_block(c, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	c->is_eof = true;
	if (n < 0)
		c->is_gone = true;
	conn_run(c);
}

static void
on_io(void *arg, unsigned events)
{
	struct conn *c = arg;

	if ((events & LOOP_READ) != 0 && !c->is_eof) {
		on_readable(c);
		return;
	}
	if ((events & LOOP_HANGUP) != 0)
		c->is_eof = c->is_gone = true;
	conn_run(c);
}

/* ---- the beginning ---- */

/* The client's name is known: the session begins. */
static void
begin(struct conn *c, const struct net_client_name *name, struct str port)
{
	struct service *s = c->service;
	char text[ADDR_IP_TEXT_MAX];
	struct smtp_client_id id = { .name = name->name, .port = port };
	bool stressed = s->max_sessions > 0 && s->n_sessions >= s->max_sessions;
	struct smtp_client_rights rights = s->rights;

	id.addr = addr_ip_format(&c->addr, text);
	rights.may_bare_lf = match_list_has(&s->bare_lf_ok, id.name, &c->addr);
	if (name->warning.n > 0)
		log_warn(s->entry->log, "%.*s", STR_ARG(name->warning));
	if (!str_eq(name->reverse_name, name->name)) {
		c->reverse_name = mem_get(name->reverse_name.n + 1);
		memcpy(c->reverse_name, name->reverse_name.p, name->reverse_name.n);
	}
	c->session = smtp_server_new(
	    &s->server[stressed], &id, &rights, loop_now_us(s->smtpd->loop));
}

/* Whether the client spoke before it was greeted shows only now; one look, because bytes
 * that come while we greet are no fault of the client's. */
static void
look_early(struct conn *c)
{
	ssize_t n = read(c->io.fd, c->service->smtpd->block, READ_SIZE);

	if (n == 0 ||
	    (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		c->is_eof = true;
	if (n > 0) {
		struct str in = { c->service->smtpd->block, (size_t)n };

		smtp_server_early(c->session, in);
		if (buf_put(&c->in, in) != RC_OK)
			abort();
	}
}

static void
on_name(void *arg, const struct net_client_name *name)
{
	struct conn *c = arg;
	char port[8];

	c->naming = NULL;
	(void)snprintf(port, sizeof(port), "%u", c->port);
	begin(c, name, str_c(port));
	look_early(c);
	conn_run(c);
}

static const struct net_client_name nobody = {
	.status = NET_NAME_PERM,
	.reverse_status = NET_NAME_PERM,
	.name = STR_INIT("unknown"),
	.reverse_name = STR_INIT("unknown"),
};

void
conn_open(struct service *s, int fd, const struct addr_ip *addr, uint16_t port)
{
	struct smtpd *d = s->smtpd;
	struct conn *c = mem_get(sizeof(*c));
	struct net_client_name name;

	c->service = s;
	c->addr = *addr;
	c->port = port;
	c->is_local = service_completes_headers(s, addr);
	loop_io_init(&c->io, fd, on_io, c);
	loop_timer_init(&c->timer, on_timer, c);
	buf_init(&c->in, IN_MAX + READ_SIZE);
	buf_init(&c->out, OUT_MAX);
	list_init(&c->waiting);
	list_add_tail(&d->conns, &c->node);
	s->n_sessions++;
	d->n_conns++;
	if (!s->conf.smtpd_peername_lookup || addr->family == 0)
		on_name(c, &nobody);
	else if (net_client_name_cached(d->names, addr, loop_now_us(d->loop), &name))
		on_name(c, &name);
	else
		c->naming = net_client_name_find(d->names, addr, on_name, c);
}
