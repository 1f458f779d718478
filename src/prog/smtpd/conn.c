/* One connection: bytes in, effects, time. Nothing here knows SMTP. */
#include "agent/submit.h"
#include "base/arena.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "prog/smtpd/smtpd.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX   ((size_t)256 * 1024) /* a client that reads nothing gets no more */
#define IN_MAX    ((size_t)128 * 1024) /* what the session has not used yet */
#define AHEAD_MAX ((size_t)16 * 1024)  /* ... while a question is open */
#define LINGER_US (10 * US_PER_SEC)    /* for the last words to get through */
#define LEAVE_US  US_PER_SEC /* a check that a client does not wait for may still end */

static void on_io(void *arg, unsigned events);

/* ---- what few have ---- */

struct conn_more *
conn_more(struct conn *c)
{
	if (c->more == NULL) {
		c->more = mem_get(sizeof(*c->more));
		buf_init(&c->more->held, OUT_MAX);
	}
	return c->more;
}

static void
free_more(struct conn *c)
{
	if (c->more == NULL)
		return;
	checks_free(c->more);
	buf_fini(&c->more->held);
	free((char *)(uintptr_t)c->more->login.p);
	free(c->more);
	c->more = NULL;
}

/* ---- the end ---- */

void
conn_free(struct conn *c)
{
	struct service *s = c->service;
	struct smtpd *d = s->smtpd;

	client_cancel(c);
	limits_forget(c);
	if (c->flushing != 0)
		submit_forget(d->submit, c->flushing);
	decide_run_cancel(&c->decision);
	conn_question_close(c);
	message_drop(c);
	history_free(c);
	smtp_server_free(&c->session);
	loop_timer_cancel(d->loop, &c->timer);
	loop_io_close(d->loop, &c->io);
	buf_fini(&c->in);
	buf_fini(&c->out);
	list_remove(&c->node);
	list_remove(&c->waiting);
	free_more(c);
	free(c->reverse_name);
	free(c);
	s->n_sessions--;
	d->n_conns--;
	if (s->max_sessions > 0 && s->n_sessions == s->max_sessions - 1)
		service_listen(s);
	smtpd_conn_ended(d);
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

/* ---- questions ---- */

void
conn_question_open(struct conn *c, const struct smtp_fx *fx)
{
	c->question = c->service->smtpd->question;
	*c->question = (struct question){ .fx = *fx };
}

void
conn_question_close(struct conn *c)
{
	if (c->question != c->service->smtpd->question)
		free(c->question);
	c->question = NULL;
}

/* We are being stopped, and the answer would have to be waited for: a name server that is
 * silent must not keep us. The client comes back. */
static void
refuse_to_wait(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_TEMP, .log_quiet = true };
	char reply[400];

	if (!smtp_server_is_asking(c->session) || c->question == NULL ||
	    !decide_run_is_waiting(&c->decision))
		return;
	decide_run_cancel(&c->decision);
	(void)snprintf(reply, sizeof(reply),
	    "421 4.3.2 %.*s Error: service is shutting down",
	    STR_ARG(str_head(c->service->conf.myhostname, 255)));
	a.reply = str_c(reply);
	conn_answer(c, &a);
}

static void
ask(struct conn *c, const struct smtp_fx *fx)
{
	conn_question_open(c, fx);
	answer_question(c, fx);
	if (c->service->smtpd->is_stopping)
		refuse_to_wait(c);
	if (c->question == c->service->smtpd->question) {
		/* It waits: the next connection needs the room. */
		c->question = mem_get(sizeof(*c->question));
		*c->question = *c->service->smtpd->question;
	}
}

void
conn_answer(struct conn *c, const struct smtp_answer *a)
{
	smtp_server_answer(c->session, loop_now_us(c->service->smtpd->loop), a);
	conn_question_close(c);
}

static void
on_decided(void *arg, enum rc rc)
{
	struct conn *c = arg;
	/* Who only now is known goes on by himself. */
	bool is_known = c->session != NULL;

	c->decided(c, rc);
	if (is_known)
		conn_run(c);
}

void
conn_decide(struct conn *c, decide_fn *run, void (*done)(struct conn *c, enum rc rc))
{
	struct smtpd *d = c->service->smtpd;
	enum rc rc;

	c->decided = done;
	c->decision = (struct decide_run){ .d = c->service->decide,
		.run = run,
		.done = on_decided,
		.arg = c,
		.is_stressed = c->is_stressed };
	arena_reset(d->scratch);
	rc = decide_run_start(&c->decision, d->scratch);
	if (rc != RC_MORE)
		done(c, rc);
}

void
conn_stop(struct conn *c)
{
	refuse_to_wait(c);
	if (!smtp_server_is_asking(c->session))
		conn_run(c);
}

void
conn_hang_up(struct conn *c)
{
	struct smtp_answer a = { .rc = RC_PERM, .hangs_up = true };

	c->is_eof = c->is_gone = true;
	(void)shutdown(c->io.fd, SHUT_RDWR);
	conn_answer(c, &a);
}

static void
carry_out(struct conn *c, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_SEND:
		reply_send(c, fx->data);
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
	case SMTP_FX_HEARD:
		history_heard(c, fx->data);
		break;
	case SMTP_FX_CHAPTER:
		history_chapter(
		    c, (size_t)c->service->conf.smtpd_history_flush_threshold);
		break;
	case SMTP_FX_CLOSE:
		history_chapter(c, 0);
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
		ask(c, fx);
		break;
	}
}

static bool
drain(struct conn *c)
{
	struct smtp_fx fx;
	bool moved = false;

	while (!c->is_held && smtp_server_next(c->session, &fx)) {
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
		n = c->is_full || c->is_held || c->is_closing || c->is_gone
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

/* ---- clients that do not wait for an answer ---- */

/* Something is being waited for that is of no use without the client. A message that is
 * there as a whole is taken in all the same: the client may not have seen our answer. */
static bool
waits_for_client(const struct conn *c)
{
	bool is_asking = smtp_server_is_asking(c->session);

	if (is_asking && (c->question == NULL || c->question->fx.type == SMTP_FX_COMMIT))
		return false;
	return is_asking || c->is_held || c->is_full;
}

/* Its question is dropped, and with it what was asked on its behalf. */
static void
leave(struct conn *c)
{
	struct smtp_fx fx;

	if (waits_for_client(c)) {
		c->is_held = c->is_full = false;
		decide_run_cancel(&c->decision);
		smtp_server_lost(c->session, loop_now_us(c->service->smtpd->loop));
		while (smtp_server_next(c->session, &fx))
			carry_out(c, &fx);
		c->is_gone = true;
	}
	conn_run(c);
}

/* True: it is gone, and so is the connection. Who closed only his side may still read: a
 * check that is over soon is answered, and logged as ever. */
static bool
notice_leaving(struct conn *c)
{
	struct loop *l = c->service->smtpd->loop;

	if (!c->is_eof || c->is_closing || !waits_for_client(c))
		return false;
	if (c->is_gone) {
		leave(c);
		return true;
	}
	if (c->in.n == 0 && !c->is_leaving) {
		c->is_leaving = true;
		loop_timer_set(l, &c->timer, loop_now_us(l) + LEAVE_US);
	}
	return false;
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;
	int64_t now = loop_now_us(c->service->smtpd->loop);

	if (c->is_greeting_proxy) {
		client_proxy_late(c);
		return;
	}
	if (c->is_closing) {
		conn_free(c);
		return;
	}
	if (c->is_leaving) {
		leave(c);
		return;
	}
	if (c->session == NULL || c->is_held)
		return;
	if (now >= smtp_server_deadline(c->session))
		smtp_server_tick(c->session, now);
	conn_run(c);
}

/* ---- running ---- */

/* Who floods us while he has to wait does so at his own expense. */
static size_t
in_max(const struct conn *c)
{
	return c->session != NULL && smtp_server_is_asking(c->session) ? AHEAD_MAX
								       : IN_MAX;
}

/* What to wait for. Of a client that has said everything only its end is news. */
static void
watch(struct conn *c)
{
	struct loop *l = c->service->smtpd->loop;
	unsigned want = 0;

	if (c->is_gone) {
		loop_io_remove(l, &c->io);
		return;
	}
	if (c->out.n > 0)
		want |= LOOP_WRITE;
	if (!c->is_eof && !c->is_full && !c->is_closing && c->in.n < in_max(c) &&
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
	    c->is_full || c->is_held)
		return false;
	smtp_server_lost(c->session, loop_now_us(c->service->smtpd->loop));
	while (smtp_server_next(c->session, &fx))
		carry_out(c, &fx);
	return true;
}

bool
conn_is_ending(const struct conn *c)
{
	return c->is_closing && !c->is_held && !smtp_server_is_asking(c->session);
}

/* After the session had its turn. */
static void
settle(struct conn *c)
{
	output_flush(c);
	(void)end_of_input(c);
	output_flush(c);
	if (conn_is_ending(c) && (c->out.n == 0 || c->is_gone)) {
		conn_free(c);
		return;
	}
	if (notice_leaving(c))
		return;
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

static void
keep_input(struct conn *c, struct str in)
{
	if (buf_put(&c->in, in) != RC_OK)
		abort(); /* watch() stops reading before that */
}

/* New bytes, in the process's block. */
static void
run_block(struct conn *c, size_t n)
{
	char *block = c->service->smtpd->block;
	struct str in = { block, n };

	if (c->in.n > 0) {
		keep_input(c, in);
		conn_run(c);
		return;
	}
	c->is_running = true;
	in = str_from(in, feed(c, in));
	c->is_running = false;
	if (in.n > 0)
		keep_input(c, in);
	settle(c);
}

static void
on_readable(struct conn *c)
{
	struct smtpd *d = c->service->smtpd;
	size_t room = in_max(c) > c->in.n ? in_max(c) - c->in.n : 1;
	size_t most = room < READ_SIZE ? room : READ_SIZE;
	ssize_t n = read(c->io.fd, d->block, most);

	if (n > 0 && c->is_greeting_proxy) {
		keep_input(c, str_n(d->block, (size_t)n));
		client_read_proxy(c, false);
		return;
	}
	if (n > 0) {
		d->drained = (size_t)n < most ? c : NULL;
		run_block(c, (size_t)n);
		d->drained = NULL;
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	c->is_eof = true;
	if (n < 0)
		c->is_gone = true;
	if (c->is_greeting_proxy)
		client_read_proxy(c, true);
	else
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
	if (c->is_greeting_proxy)
		client_read_proxy(c, c->is_eof);
	else
		conn_run(c);
}

/* ---- the beginning ---- */

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
		keep_input(c, in);
	}
}

void
conn_greet(struct conn *c)
{
	if (c->in.n > 0)
		/* It came with the proxy's header. */
		smtp_server_early(c->session, buf_view(&c->in));
	else if (!c->is_eof)
		look_early(c);
	conn_run(c);
}

void
conn_open(struct service *s, int fd, const struct addr_ip *addr, uint16_t port)
{
	struct smtpd *d = s->smtpd;
	struct conn *c = mem_get(sizeof(*c));

	c->service = s;
	c->addr = *addr;
	c->port = port;
	loop_io_init(&c->io, fd, on_io, c);
	loop_timer_init(&c->timer, on_timer, c);
	buf_init(&c->in, IN_MAX + READ_SIZE);
	buf_init(&c->out, OUT_MAX);
	list_init(&c->waiting);
	list_add_tail(&d->conns, &c->node);
	s->n_sessions++;
	d->n_conns++;
	if (!s->is_proxied) {
		client_find(c);
		return;
	}
	c->is_greeting_proxy = true;
	loop_timer_set(d->loop, &c->timer,
	    loop_now_us(d->loop) + s->conf.smtpd_upstream_proxy_timeout_us);
	loop_io_want(d->loop, &c->io, LOOP_READ);
}
