/* Owns one connection: the socket, the SMTP session inside, bytes in and out. Everything
 * that the session wants said before it needs an answer leaves in one write. */
#include "prog/smtp/agent.h"
#include "agent/worker.h"
#include "log/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_MAX  ((size_t)128 * 1024)  /* of a large message, read at a time */
#define OUT_MAX    ((size_t)1024 * 1024) /* a piece with every dot doubled, and commands */
#define OUT_ENOUGH ((size_t)64 * 1024)   /* no more content is asked for above this */
#define IN_MAX     ((size_t)4 * SMTP_CLIENT_NEED)
#define READ_MAX   ((size_t)4096)

static void pump(struct conn *c);
static void on_readable(struct conn *c);
static void on_io(void *arg, unsigned events);
static void on_timer(void *arg);

static struct loop *
loop_of(const struct conn *c)
{
	return c->service->agent->loop;
}

static int64_t
now_of(const struct conn *c)
{
	return loop_now_us(loop_of(c));
}

/* ---- life ---- */

static struct str
put_text(char **at, struct str s)
{
	struct str copy = { *at, s.n };

	memcpy(*at, s.p, s.n);
	*at += s.n + 1;
	return copy;
}

static struct conn *
conn_new(const struct job *j, const struct dns_host *host)
{
	char addr[ADDR_IP_TEXT_MAX], relay[ADDR_IP_TEXT_MAX + 300];
	struct str name = host->name, addr_text = addr_ip_format(&host->addr, addr);
	struct str site = j->sites[j->next_site - 1];
	struct agent *a = j->service->agent;
	struct conn *c;
	char *at;
	int n;

	n = snprintf(relay, sizeof(relay), "%.*s[%s]:%u", STR_ARG(str_head(name, 255)),
	    addr, j->port); /* compat: relay= */
	c = mem_get(sizeof(*c) + name.n + addr_text.n + (size_t)n + site.n + 4);
	at = c->text;
	c->service = j->service;
	c->name = put_text(&at, name);
	c->addr = put_text(&at, addr_text);
	c->relay = put_text(&at, str_n(relay, (size_t)n));
	c->site = put_text(&at, site);
	net_endpoint_set(&c->to, &host->addr, j->port);
	/* compat: mail that finds this connection by its next hop must not end at a
	 * backup. */
	c->is_best = host->preference == j->hosts[0].preference;
	c->was_only_host = j->n_hosts == 1 && j->n_sites == 1;
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	list_init(&c->idle);
	list_add_tail(&a->conns, &c->node);
	a->n_conns++;
	loop_timer_init(&c->timer, on_timer, c);
	loop_io_init(&c->io, -1, on_io, c);
	return c;
}

static void
forget_content(struct conn *c)
{
	free(c->piece);
	c->piece = NULL;
	convert_free(&c->convert);
}

void
conn_free(struct conn *c)
{
	struct agent *a = c->service->agent;

	/* A thread that reads content uses the job: events are left alone until it is
	 * done. */
	assert(!c->is_reading && c->job == NULL);
	if (c->state == CONN_IDLE)
		pool_take(&a->pool, c);
	loop_timer_cancel(a->loop, &c->timer);
	loop_io_close(a->loop, &c->io);
	history_end(c);
	smtp_client_free(&c->session);
	buf_fini(&c->in);
	buf_fini(&c->out);
	list_remove(&c->node);
	a->n_conns--;
	forget_content(c);
	free(c);
}

/* ---- connecting ---- */

static struct failure
connect_failure(const struct conn *c, struct arena *mem, const char *what)
{
	/* compat: the line and the reason of a deferral are the same words. */
	struct failure f = { .dsn = STR("4.4.1"),
		.text =
		    arena_printf(mem, "connect to %.*s: %s", STR_ARG(c->relay), what) };

	log_info(c->service->entry->log, "%.*s", STR_ARG(f.text));
	return f;
}

static void
connect_ended(struct conn *c, const char *error)
{
	struct job *j = c->job;
	struct failure why = connect_failure(c, j->dj->mem, error);

	c->job = NULL;
	conn_free(c);
	job_connect_failed(j, &why);
}

static void
begin_session(struct conn *c)
{
	char port[8];
	struct smtp_client_peer peer = { .name = c->name, .addr = c->addr };

	(void)snprintf(port, sizeof(port), "%u", net_endpoint_port(&c->to));
	peer.port = str_c(port);
	history_open(c);
	c->born_us = now_of(c);
	c->session =
	    smtp_client_new(net_endpoint_port(&c->to) == SMTP_PORT ? &c->service->client25
								   : &c->service->client,
		&peer, c->born_us);
	loop_io_want(loop_of(c), &c->io, LOOP_READ);
	conn_deliver(c, c->job);
}

static void
connect_result(struct conn *c)
{
	struct err e = { 0 };

	if (net_connect_result(c->io.fd, &e) != RC_OK)
		connect_ended(c, strerror(e.sys));
	else
		begin_session(c);
}

static enum rc
make_socket(struct conn *c, struct err *e)
{
	const struct service *s = c->service;
	bool is_ipv6 = c->to.u.sa.sa_family == AF_INET6;
	const struct addr_ip *from = is_ipv6 ? &s->bind6 : &s->bind4;
	struct net_socket how = { from, (int)s->conf.tcp_windowsize };
	int fd = -1;
	enum rc rc;

	rc = net_connect(&c->to, &how, &fd, e);
	if (rc == RC_TEMP && from->family != 0 &&
	    str_starts(str_c(e->text), STR("bind")) &&
	    !s->conf.smtp_bind_address_enforce) {
		log_warn(s->entry->log, "smtp_connect_addr: %s", e->text);
		how.bind_to = NULL;
		rc = net_connect(&c->to, &how, &fd, e);
	}
	if (rc != RC_TEMP)
		c->io.fd = fd;
	return rc;
}

enum rc
conn_open(struct job *j, const struct dns_host *host, struct failure *out_why)
{
	struct agent *a = j->service->agent;
	struct net_endpoint to;
	struct err e = { 0 };
	struct conn *c;
	enum rc rc;

	net_endpoint_set(&to, &host->addr, j->port);
	c = pool_find_endpoint(&a->pool, j->service, &to, loop_now_us(a->loop));
	if (c != NULL) {
		j->is_reused = j->is_host_reused = true;
		j->dj->setup_us = loop_wall_us(a->loop);
		conn_deliver(c, j);
		return RC_OK;
	}
	c = conn_new(j, host);
	c->job = j;
	rc = make_socket(c, &e);
	if (rc == RC_TEMP) {
		*out_why = connect_failure(c, j->dj->mem, strerror(e.sys));
		c->job = NULL;
		conn_free(c);
		return RC_TEMP;
	}
	loop_io_want(a->loop, &c->io, LOOP_WRITE);
	if (j->service->conf.smtp_connect_timeout_us > 0)
		loop_timer_set(a->loop, &c->timer,
		    now_of(c) + j->service->conf.smtp_connect_timeout_us);
	return RC_OK;
}

/* ---- content ---- */

static void
content_failed(struct conn *c, enum rc rc, const char *text)
{
	struct smtp_client_outcome why = { .rc = rc,
		.dsn = rc == RC_PERM ? STR("5.6.0") : STR("4.3.0"),
		.text = str_c(text) };

	smtp_client_content_failed(c->session, now_of(c), &why);
}

/* A piece of the message as it is in the queue. */
static void
hand_over(struct conn *c, struct str piece, bool is_last)
{
	struct err e = { 0 };
	enum rc rc = RC_OK;

	if (c->as_7bit && c->convert == NULL)
		c->convert = convert_new(&c->service->conf);
	if (c->as_7bit)
		rc = convert_piece(c->convert, piece, is_last, &piece, &e);
	if (rc == RC_OK)
		smtp_client_content(c->session, now_of(c), piece, is_last);
	else
		content_failed(c, rc, e.text);
}

static void
read_piece(void *arg)
{
	struct conn *c = arg;
	size_t n;

	c->piece_n = 0;
	c->piece_rc = RC_OK;
	while (c->piece_rc == RC_OK && c->piece_n < PIECE_MAX) {
		c->piece_rc = delivery_read(c->job->dj, c->content_at + c->piece_n,
		    c->piece + c->piece_n, PIECE_MAX - c->piece_n, &n);
		if (c->piece_rc == RC_OK)
			c->piece_n += n;
	}
}

static void
piece_read(void *arg)
{
	struct conn *c = arg;

	c->is_reading = false;
	if (c->piece_rc == RC_TEMP) {
		content_failed(c, RC_TEMP, "error reading mail content");
	} else {
		c->content_at += c->piece_n;
		hand_over(c, str_n(c->piece, c->piece_n), c->piece_rc == RC_NONE);
	}
	pump(c);
}

/* A small message is at hand; of a large one the next piece is read on another thread,
 * since the disk may make us wait. */
static void
give_content(struct conn *c)
{
	size_t n = 0;
	const char *all = delivery_inline(c->job->dj, &n);

	c->wants_content = false;
	if (all != NULL) {
		hand_over(c, str_n(all, n), true);
		return;
	}
	if (c->piece == NULL)
		c->piece = mem_get(PIECE_MAX);
	c->is_reading = true;
	loop_offload(loop_of(c), read_piece, piece_read, c);
}

/* ---- effects ---- */

static void
note_set_up(struct conn *c, struct str data)
{
	if (c->is_set_up || c->job == NULL || !str_starts(data, STR("MAIL FROM:")))
		return;
	c->is_set_up = true;
	job_set_up(c->job);
}

static void
become_idle(struct conn *c)
{
	struct agent *a = c->service->agent;
	const struct conf_smtp *conf = &c->service->conf;

	c->state = CONN_IDLE;
	c->idle_since_us = now_of(c);
	history_end(c);
	forget_content(c);
	buf_release(&c->in);
	buf_release(&c->out);
	pool_put(&a->pool, c);
	loop_timer_set(a->loop, &c->timer,
	    c->idle_since_us + conf->smtp_connection_cache_time_limit_us);
}

/* The session is done with the message. The job is told last, because it may open further
 * connections or end. */
static void
message_done(struct conn *c, const struct smtp_cx *fx)
{
	struct job *j = c->job;
	struct smtp_client_outcome failed = { 0 };
	bool has_failed = fx->is_try_next && fx->outcome != NULL;

	if (has_failed)
		failed = *fx->outcome;
	c->job = NULL;
	c->wants_content = false;
	if (fx->is_closing)
		c->state = CONN_CLOSING;
	/* The outcome's texts belong to the session, which no further call touches before
	 * the job has copied them. */
	job_session_done(j, c, has_failed ? &failed : NULL);
	if (fx->is_closing)
		return;
	if (pool_wants(c)) {
		become_idle(c);
	} else {
		c->state = CONN_CLOSING;
		smtp_client_quit(c->session, now_of(c));
	}
}

/* False: the connection is gone. */
static bool
carry_out(struct conn *c)
{
	struct smtp_cx fx;

	while (smtp_client_next(c->session, &fx)) {
		switch (fx.type) {
		case SMTP_CX_SEND:
			note_set_up(c, fx.data);
			history_said(c, &fx);
			if (buf_put(&c->out, fx.data) != RC_OK)
				smtp_client_lost(c->session, now_of(c));
			break;
		case SMTP_CX_LOG:
			log_info(
			    c->job != NULL ? c->job->dj->log : c->service->entry->log,
			    "%.*s", STR_ARG(fx.data));
			break;
		case SMTP_CX_OUTCOME:
			job_outcome(c->job, c, fx.index, fx.outcome);
			break;
		case SMTP_CX_CONTENT:
			c->wants_content = true;
			c->as_7bit = fx.as_7bit;
			if (c->out.n < OUT_ENOUGH)
				give_content(c);
			break;
		case SMTP_CX_DONE:
			message_done(c, &fx);
			break;
		case SMTP_CX_CLOSE:
			(void)!write(c->io.fd, c->out.p + c->out.start, c->out.n);
			conn_free(c);
			return false;
		}
	}
	return true;
}

/* ---- bytes ---- */

static void
lost(struct conn *c)
{
	if (c->state == CONN_IDLE) {
		conn_free(c);
		return;
	}
	smtp_client_lost(c->session, now_of(c));
	pump(c);
}

/* False: the connection broke now, while writing. */
static bool
flush(struct conn *c)
{
	unsigned want = LOOP_READ;

	if (c->is_broken)
		buf_reset(&c->out);
	while (c->out.n > 0) {
		struct str v = buf_view(&c->out);
		ssize_t n = send(c->io.fd, v.p, v.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			c->is_broken = true;
			buf_reset(&c->out);
			return false;
		}
		if (n < 0) {
			want |= LOOP_WRITE;
			break;
		}
		buf_consume(&c->out, (size_t)n);
		if (c->out.n == 0)
			smtp_client_sent(c->session, now_of(c));
	}
	loop_io_want(loop_of(c), &c->io, want);
	return true;
}

/* The session changes its deadline with every step; the timer is moved only when it would
 * come too late, and looks again when it is early. */
static void
set_timer(struct conn *c)
{
	int64_t at_us = smtp_client_deadline(c->session);

	if (at_us == INT64_MAX)
		return;
	if (!loop_timer_is_set(&c->timer) || c->timer.node.key > at_us)
		loop_timer_set(loop_of(c), &c->timer, at_us);
}

/* Carries out what the session wants and feeds it what came, until it needs something
 * from outside. The connection may be gone afterwards. */
static void
pump(struct conn *c)
{
	size_t used;

	do {
		if (!carry_out(c))
			return;
		used = 0;
		if (c->in.n > 0 && c->state != CONN_IDLE && !c->is_reading)
			used = smtp_client_recv(c->session, now_of(c), buf_view(&c->in));
		history_heard(c, str_head(buf_view(&c->in), used));
		buf_consume(&c->in, used);
	} while (used > 0);
	if (c->state == CONN_IDLE)
		return;
	if (!flush(c)) {
		/* What the server said before it went may explain it; then the end. */
		if (!c->is_reading)
			on_readable(c);
		return;
	}
	if (c->wants_content && c->out.n < OUT_ENOUGH) {
		give_content(c);
		if (!c->is_reading)
			pump(c);
		return;
	}
	set_timer(c);
}

static void
on_readable(struct conn *c)
{
	char *room = buf_room(&c->in, READ_MAX);
	ssize_t n;

	if (room ==
	    NULL) { /* more than any reply needs, and the session takes none of it */
		lost(c);
		return;
	}
	n = recv(c->io.fd, room, READ_MAX, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !c->is_broken)
		return;
	/* An idle server has nothing to say but goodbye. */
	if (n <= 0 || c->state == CONN_IDLE) {
		lost(c);
		return;
	}
	buf_added(&c->in, (size_t)n);
	pump(c);
}

static void
on_io(void *arg, unsigned events)
{
	struct conn *c = arg;

	if (c->state == CONN_CONNECTING) {
		connect_result(c);
		return;
	}
	/* piece_read() will look at the socket again. A server that hung up would be told
	 * of all the time, however long the disk takes. */
	if (c->is_reading)
		loop_io_remove(loop_of(c), &c->io);
	else if ((events & (LOOP_READ | LOOP_HANGUP)) != 0)
		on_readable(c);
	else
		pump(c);
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;
	int64_t now_us = now_of(c);

	if (c->is_reading)
		return;
	if (c->state == CONN_CONNECTING) {
		connect_ended(
		    c, "Connection timed out"); /* compat: strerror(ETIMEDOUT) */
	} else if (c->state == CONN_IDLE) {
		conn_quit(c);
	} else {
		if (now_us >= smtp_client_deadline(c->session))
			smtp_client_tick(c->session, now_us);
		pump(c);
	}
}

/* ---- messages ---- */

void
conn_deliver(struct conn *c, struct job *j)
{
	loop_timer_cancel(loop_of(c), &c->timer);
	c->state = CONN_BUSY;
	c->job = j;
	history_begin(c, j);
	c->uses++;
	c->is_set_up = false;
	c->wants_content = false;
	convert_free(&c->convert);
	c->content_at = 0;
	smtp_client_deliver(c->session, now_of(c), job_attempt(j));
	pump(c);
}

void
conn_quit(struct conn *c)
{
	assert(c->state == CONN_IDLE);
	pool_take(&c->service->agent->pool, c);
	loop_timer_cancel(loop_of(c), &c->timer);
	c->state = CONN_CLOSING;
	smtp_client_quit(c->session, now_of(c));
	pump(c);
}
