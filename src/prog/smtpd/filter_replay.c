/* smtpd_proxy_options = speed_adjust: the message is received as a whole before the
 * filter is connected to, so that slow clients do not occupy it. We accept the
 * recipients; what the filter says of them the client hears at the end of the message
 * (compat).
 *
 * A small message stays in memory. A larger one goes into a stage file that queue lends,
 * as one that is to be stored does: smtpd itself may make no file, and the space counts
 * where queue_minfree looks. While that file is on its way the client is slowed down. */
#include "agent/submit.h"
#include "base/arena.h"
#include "log/log.h"
#include "os/fd.h"
#include "prog/smtpd/filter_int.h"
#include "spool/message.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX  ((size_t)8 << 20)    /* waiting for the file */
#define HELD_SLOW ((size_t)256 * 1024) /* the client must wait, too */
#define WRITE_AT  ((size_t)128 * 1024)
#define READ_AT   ((size_t)64 * 1024)
#define LINE_MEM  ((size_t)64 * 1024)
enum { TURN_PIECES = 16 }; /* then the other connections have their turn */

#define TEXT_NO_SPACE "452 4.3.1 Insufficient system storage"

struct replay {
	struct buf held; /* the content, or what of it is not in the file */
	int fd;          /* the file; < 0: none so far */
	uint32_t number, epoch, request;
	bool is_staged; /* the file was asked for */
	bool is_due;    /* the message is over and waits for the file */
	struct str trouble;
	uint64_t size_bytes, sent_bytes; /* in the file, to the filter */
	size_t at_rcpt;
	struct loop_task again; /* the next turn */
	char *block;            /* of reading */
};

/* ---- keeping ---- */

static void
drop_file(struct filter *f)
{
	struct replay *r = f->replay;
	struct submit *s = f->c->service->smtpd->submit;

	if (r->request != 0)
		submit_forget(s, r->request);
	r->request = 0;
	os_fd_close(&r->fd);
	if (r->number != 0)
		submit_stage_drop(s, r->number, r->epoch);
	r->number = 0;
}

/* It is told at the end of the message; what still comes is thrown away. */
static void
fail(struct filter *f, struct str reply)
{
	f->replay->trouble = reply;
	buf_reset(&f->replay->held);
	drop_file(f);
}

static void
write_held(struct filter *f)
{
	struct replay *r = f->replay;
	struct str s = buf_view(&r->held);
	struct err e = { 0 };

	if (s.n == 0)
		return;
	if (os_fd_write_all(r->fd, s, &e) != RC_OK) {
		log_warn(f->c->service->entry->log,
		    "write the message for proxy %.*s: %s", STR_ARG(filter_name(f)),
		    e.text);
		fail(f, e.sys == ENOSPC || e.sys == EDQUOT ? STR(TEXT_NO_SPACE)
							   : STR(FILTER_TROUBLE));
		return;
	}
	r->size_bytes += s.n;
	buf_reset(&r->held);
}

static void begin(struct filter *f);

static void
on_stage(void *arg, enum rc rc, int fd, uint32_t number, struct str text)
{
	struct filter *f = arg;
	struct replay *r = f->replay;
	struct conn *c = f->c;

	r->request = 0;
	if (rc != RC_OK) {
		log_warn(c->service->entry->log, "no file for proxy %.*s: %.*s",
		    STR_ARG(filter_name(f)), STR_ARG(str_head(text, 200)));
		fail(f, STR(FILTER_TROUBLE));
	} else {
		r->fd = fd;
		r->number = number;
		write_held(f);
	}
	c->is_full = false;
	if (r->is_due)
		begin(f);
	if (!c->is_running)
		conn_run(c);
}

static void
ask_file(struct filter *f)
{
	struct replay *r = f->replay;
	struct submit *s = f->c->service->smtpd->submit;

	r->is_staged = true;
	r->epoch = submit_epoch(s);
	r->request = submit_stage_open(s, on_stage, f);
	if (r->request == 0)
		fail(f, STR(FILTER_TROUBLE));
}

void
replay_store(struct filter *f, struct str piece)
{
	struct replay *r = f->replay;

	if (r->trouble.n > 0)
		return;
	if (buf_put(&r->held, piece) != RC_OK)
		fail(f, STR(FILTER_TROUBLE));
	else if (r->fd >= 0 && r->held.n >= WRITE_AT)
		write_held(f);
	else if (!r->is_staged && r->held.n > SPOOL_INLINE_MAX)
		ask_file(f);
	if (r->request != 0 && r->held.n > HELD_SLOW)
		f->c->is_full = true;
}

/* ---- saying it ---- */

/* What may end a message is the client's answer; anything else is our own trouble. */
static void
refused(struct filter *f, int code, struct str reply)
{
	if (code / 100 == 4 || code / 100 == 5)
		filter_end(f, code, reply);
	else
		filter_end(f, 0, STR(FILTER_TROUBLE));
}

/* A piece of the content. RC_NONE: that was all. RC_TEMP: it cannot be read. */
static enum rc
next_piece(struct filter *f, struct str *out)
{
	struct replay *r = f->replay;
	struct str held = buf_view(&r->held);
	ssize_t n;

	if (r->fd < 0) {
		*out = str_head(str_from(held, r->sent_bytes), READ_AT);
		r->sent_bytes += out->n;
		return out->n > 0 ? RC_OK : RC_NONE;
	}
	if (r->sent_bytes == r->size_bytes)
		return RC_NONE;
	do
		n = pread(r->fd, r->block, READ_AT, (off_t)r->sent_bytes);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		log_warn(f->c->service->entry->log, "read the message for proxy %.*s: %s",
		    STR_ARG(filter_name(f)),
		    n < 0 ? strerror(errno) : "the file is shorter than it was");
		return RC_TEMP;
	}
	r->sent_bytes += (uint64_t)n;
	*out = str_n(r->block, (size_t)n);
	return RC_OK;
}

/* As much as the filter takes, but not more than others can wait for. When it breaks,
 * filter_link.c tells filter_end(). */
static void
send_more(struct filter *f)
{
	struct replay *r = f->replay;
	enum rc rc = RC_OK;

	for (int i = 0; i < TURN_PIECES && rc == RC_OK; i++) {
		struct str piece = STR("");

		if (f->is_broken || f->out.n >= FILTER_OUT_SLOW)
			return;
		rc = next_piece(f, &piece);
		if (rc == RC_OK) {
			smtp_filter_content(f->session, piece);
			filter_pump(f);
		}
	}
	if (rc == RC_OK) {
		loop_soon(f->c->service->smtpd->loop, &r->again);
		return;
	}
	f->more = NULL;
	if (rc == RC_NONE) {
		filter_ask_end(f, filter_end);
	} else {
		f->is_broken = true; /* no QUIT in the middle of a message */
		refused(f, 0, STR(""));
	}
}

static void
on_again(void *arg)
{
	struct filter *f = arg;
	struct conn *c = f->c;

	if (f->more != NULL && !f->is_broken)
		send_more(f);
	if (!c->is_running)
		conn_run(c);
}

static void
data_replied(struct filter *f, int code, struct str reply)
{
	if (code != 354) {
		if (code != 0)
			filter_log_refusal(f, "DATA", STR(""), reply);
		refused(f, code, reply);
		return;
	}
	f->replied = filter_end; /* should it break */
	f->more = send_more;
	send_more(f);
}

static void rcpt_replied(struct filter *f, int code, struct str reply);

static struct str
rcpt_line(const struct filter *f, struct arena *mem)
{
	const struct ingest_rcpt *r = &f->c->message->rcpts[f->replay->at_rcpt];
	struct smtp_rcpt_args args = {
		.address = r->address, .orcpt = r->orcpt, .notify = r->notify
	};

	return filter_rcpt_line(&args, mem);
}

static void
next_rcpt(struct filter *f)
{
	struct arena *mem;

	if (f->replay->at_rcpt == f->c->message->n_rcpts) {
		filter_ask(f, STR("DATA"), data_replied);
		return;
	}
	mem = arena_new(LINE_MEM);
	filter_ask(f, rcpt_line(f, mem), rcpt_replied);
	arena_free(&mem);
}

static void
rcpt_replied(struct filter *f, int code, struct str reply)
{
	struct arena *mem;

	if (code / 100 == 2) {
		f->replay->at_rcpt++;
		next_rcpt(f);
		return;
	}
	mem = arena_new(LINE_MEM);
	if (code != 0)
		filter_log_refusal(f, "", rcpt_line(f, mem), reply);
	arena_free(&mem);
	refused(f, code, reply);
}

static void
mail_replied(struct filter *f, int code, struct str reply)
{
	if (code / 100 == 2) {
		next_rcpt(f);
		return;
	}
	if (code != 0)
		filter_log_refusal(f, "", filter_mail_line(f->c, f->mem), reply);
	refused(f, code, reply);
}

static void
begin(struct filter *f)
{
	struct replay *r = f->replay;

	r->is_due = false;
	if (r->fd >= 0)
		write_held(f);
	if (r->trouble.n > 0) {
		filter_end(f, 451, r->trouble);
		return;
	}
	if (r->fd >= 0)
		r->block = mem_get(READ_AT);
	filter_connect(f);
	filter_ask(f, filter_mail_line(f->c, f->mem), mail_replied);
}

void
replay_start(struct filter *f)
{
	if (f->replay->request != 0)
		f->replay->is_due = true;
	else
		begin(f);
}

/* ---- life ---- */

void
replay_open(struct filter *f)
{
	struct replay *r = mem_get(sizeof(*r));

	r->fd = -1;
	buf_init(&r->held, HELD_MAX);
	loop_task_init(&r->again, on_again, f);
	f->replay = r;
}

void
replay_free(struct filter *f)
{
	struct replay *r = f->replay;

	if (r == NULL)
		return;
	drop_file(f);
	loop_soon_cancel(f->c->service->smtpd->loop, &r->again);
	buf_fini(&r->held);
	free(r->block);
	free(r);
	f->replay = NULL;
}
