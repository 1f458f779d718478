/* -bs: the shell around an SMTP session on standard input and output. Who may run us may
 * send, so that nothing is asked but whether the maildrop takes it; each message is a
 * postdrop of its own. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "agent/ingest.h"
#include "agent/maildrop.h"
#include "agent/session_conf.h"
#include "log/log.h"
#include "mime/header.h"
#include "os/clock.h"
#include "os/fd.h"
#include "prog/admin/sendmail/sendmail.h"
#include "smtp/server.h"

enum {
	READ_SIZE = 64 << 10,
	IN_MAX = 256 << 10,
	OUT_MAX = 1 << 20,
	RECEIVED_MAX = 16 << 10,
};

struct rcpt {
	struct str address, orcpt;
	unsigned notify;
};

struct shell {
	struct command *c;
	struct conf_smtpd conf;
	struct log *log;
	struct smtp_server *session;
	struct buf in, out;
	struct mail mail;  /* .postdrop > 0: of the open transaction */
	struct arena *mem; /* of its recipients */
	struct rcpt *rcpts;
	size_t n_rcpts, cap;
	bool is_eof, is_over;
};

static const struct smtp_answer yes = { .rc = RC_OK };

static void
answer(struct shell *s, const struct smtp_answer *a)
{
	smtp_server_answer(s->session, os_clock_mono_us(), a);
}

static void
forget(struct shell *s)
{
	mail_abort(&s->mail);
	arena_reset(s->mem);
	s->n_rcpts = 0;
}

/* ---- recipients ---- */

static enum rc
open_mail(struct shell *s, struct err *e)
{
	const struct options *o = s->mail.o;

	if (s->mail.postdrop > 0)
		return RC_OK;
	s->mail = (struct mail){ .c = s->c, .o = o, .fd = -1, .report = -1 };
	return mail_open(&s->mail, e);
}

static void
add_rcpt(struct shell *s, const struct smtp_rcpt_args *r)
{
	struct smtp_answer a = yes;
	struct err e = { 0 };
	struct rcpt *to;

	if (open_mail(s, &e) != RC_OK || s->n_rcpts >= MAILDROP_RCPTS_MAX) {
		a = (struct smtp_answer){ .rc = RC_TEMP,
			.reply = STR("451 4.3.0 Error: queue file write error") };
		log_warn(s->log, "postdrop: %s", e.text);
		answer(s, &a);
		return;
	}
	if (s->n_rcpts == s->cap) {
		s->cap = s->cap == 0 ? 8 : 2 * s->cap;
		s->rcpts = mem_grow(s->rcpts, s->cap, sizeof(*s->rcpts));
	}
	to = &s->rcpts[s->n_rcpts];
	*to = (struct rcpt){ arena_str(s->mem, r->address), arena_str(s->mem, r->orcpt),
		r->notify };
	if (to->address.p == NULL || to->orcpt.p == NULL)
		mail_fatal(&s->mail, "out of memory");
	s->n_rcpts++;
	a.queue_id = str_c(s->mail.name);
	answer(s, &a);
}

/* ---- the message ---- */

static void
put_content(struct mail *m, struct str s)
{
	for (; s.n > 0; s = str_from(s, MAILDROP_PIECE_MAX))
		mail_put(m, 'L', str_head(s, MAILDROP_PIECE_MAX));
}

static void
put_received(struct shell *s, const struct smtp_server_view *v)
{
	char date[MIME_DATE_MAX];
	struct buf text;
	struct mime_received r = { .via = MIME_VIA_SMTP,
		.helo = v->helo,
		.client_name = v->client->name,
		.client_addr = v->client->addr,
		.proto = v->proto,
		.myhostname = s->conf.myhostname,
		.mail_name = s->conf.mail_name,
		.qid = str_c(s->mail.name),
		.date = ingest_date(os_clock_wall_us(), date) };

	if (s->n_rcpts == 1)
		r.rcpt = s->rcpts[0].address;
	buf_init(&text, RECEIVED_MAX);
	if (mime_received_format(&r, &text) != RC_OK)
		mail_fatal(&s->mail, "out of memory");
	put_content(&s->mail, buf_view(&text));
	buf_fini(&text);
}

static void
put_sender(struct mail *m, const struct smtp_mail_args *args)
{
	mail_put(m, 'V', STR("1"));
	mail_put(m, 'S', args->address);
	if (args->envid.n > 0)
		mail_put(m, 'E', args->envid);
	if (args->ret != SMTP_RET_NONE)
		mail_put(m, 'T', args->ret == SMTP_RET_HDRS ? STR("hdrs") : STR("full"));
	if (args->body != SMTP_BODY_NONE)
		mail_put(
		    m, 'B', args->body == SMTP_BODY_7BIT ? STR("7BIT") : STR("8BITMIME"));
	if (args->smtputf8)
		mail_put(m, 'U', STR(""));
}

static void
begin_content(struct shell *s)
{
	struct smtp_server_view v = smtp_server_view(s->session);
	unsigned notify = 0;

	put_sender(&s->mail, v.mail);
	for (size_t i = 0; i < s->n_rcpts; i++) {
		const struct rcpt *r = &s->rcpts[i];
		char digits[] = "00";

		if (r->notify != notify) {
			notify = r->notify;
			digits[0] = (char)('0' + notify / 10 % 10);
			digits[1] = (char)('0' + notify % 10);
			mail_put(&s->mail, 'N', str_c(digits));
		}
		if (r->orcpt.n > 0)
			mail_put(&s->mail, 'O', r->orcpt);
		mail_put(&s->mail, 'R', r->address);
	}
	put_received(s, &v);
	answer(s, &yes);
}

static void
commit(struct shell *s)
{
	struct smtp_answer a = yes;
	struct err e = { 0 };
	enum rc rc;

	mail_put(&s->mail, 'X', STR(""));
	rc = mail_close(&s->mail, &e);
	if (rc != RC_OK)
		log_warn(s->log, "%s: postdrop: %s", s->mail.name, e.text);
	if (rc != RC_OK && e.sys == EX_UNAVAILABLE) /* compat */
		a = (struct smtp_answer){ .rc = RC_PERM,
			.reply = STR("552 5.3.4 Error: message file too big") };
	else if (rc != RC_OK)
		a = (struct smtp_answer){ .rc = RC_TEMP,
			.reply = STR("451 4.3.0 Error: queue file write error") };
	answer(s, &a);
	forget(s);
}

/* ---- effects ---- */

static void
refuse_etrn(struct shell *s)
{
	static const struct smtp_answer no = { .rc = RC_TEMP,
		.reply = STR_INIT("458 Unable to queue messages"),
		.log_quiet = true };

	log_warn(s->log, "do not use ETRN in \"sendmail -bs\" mode"); /* compat */
	answer(s, &no);
}

static void
carry_out(struct shell *s, const struct smtp_fx *fx)
{
	switch (fx->type) {
	case SMTP_FX_SEND:
		if (buf_put(&s->out, fx->data) != RC_OK)
			s->is_over = true;
		break;
	case SMTP_FX_LOG:
		log_begin(
		    s->log, fx->level == SMTP_LOG_WARN ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
		log_put(s->log, fx->data);
		log_end(s->log);
		break;
	case SMTP_FX_CHECK_CLIENT:
	case SMTP_FX_CHECK_HELO:
	case SMTP_FX_CHECK_MAIL:
	case SMTP_FX_CHECK_VRFY:
	case SMTP_FX_FILTER_COMMAND:
	case SMTP_FX_CHECK_COMMAND:
		answer(s, &yes);
		break;
	case SMTP_FX_XCLIENT:
		answer(s, &(struct smtp_answer){ .rc = RC_PERM });
		break;
	case SMTP_FX_CHECK_ETRN:
		refuse_etrn(s);
		break;
	case SMTP_FX_CHECK_RCPT:
		add_rcpt(s, fx->rcpt);
		break;
	case SMTP_FX_CHECK_DATA:
		begin_content(s);
		break;
	case SMTP_FX_STORE:
		put_content(&s->mail, fx->data);
		break;
	case SMTP_FX_COMMIT:
		commit(s);
		break;
	case SMTP_FX_ABORT:
		forget(s);
		break;
	case SMTP_FX_HEARD:
	case SMTP_FX_CHAPTER:
		break;
	case SMTP_FX_CLOSE:
		s->is_over = true;
		break;
	}
}

static bool
drain(struct shell *s)
{
	struct smtp_fx fx;
	bool moved = false;

	while (smtp_server_next(s->session, &fx)) {
		moved = true;
		carry_out(s, &fx);
	}
	return moved;
}

/* ---- input and output ---- */

/* A program that writes all of its session into a pipe does no harm: the session sees a
 * line at a time, and so never takes it for one that does not wait for answers. */
static struct str
next_line(const struct shell *s)
{
	struct str in = buf_view(&s->in);

	return str_head(in, str_find(in, '\n') + 1);
}

static void
feed(struct shell *s)
{
	size_t n;

	do {
		n = drain(s);
		if (!s->is_over) {
			size_t used = smtp_server_recv(
			    s->session, os_clock_mono_us(), next_line(s));

			buf_consume(&s->in, used);
			n += used + drain(s);
		}
	} while (n > 0 && !s->is_over);
	if (os_fd_write_all(STDOUT_FILENO, buf_view(&s->out), NULL) != RC_OK)
		s->is_eof = true;
	buf_reset(&s->out);
}

static void
fill(struct shell *s)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t now = os_clock_mono_us(), at = smtp_server_deadline(s->session);
	int64_t wait_ms = at == INT64_MAX ? -1 : (at - now + 999) / 1000;
	char *room;
	ssize_t n;

	if (wait_ms > 3600 * 1000)
		wait_ms = 3600 * 1000;
	if (poll(&pfd, 1, wait_ms < 0 && at != INT64_MAX ? 0 : (int)wait_ms) <= 0) {
		smtp_server_tick(s->session, os_clock_mono_us());
		return;
	}
	room = buf_room(&s->in, READ_SIZE);
	n = room != NULL ? read(STDIN_FILENO, room, READ_SIZE) : 0;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		s->is_eof = true;
	else
		buf_added(&s->in, (size_t)n);
}

static void
serve(struct shell *s)
{
	while (!s->is_over) {
		feed(s);
		if (s->is_eof && !s->is_over) {
			smtp_server_lost(s->session, os_clock_mono_us());
			feed(s);
			break;
		}
		if (!s->is_over)
			fill(s);
	}
	forget(s);
}

/* Log lines are those of smtpd. */
static void
open_log(struct shell *s)
{
	struct str tag = STR("postfix");

	(void)!conf_get(s->c->snapshot, NULL, STR("syslog_name"), s->c->mem, &tag, NULL);
	tag = arena_printf(s->c->mem, "%.*s/smtpd", STR_ARG(tag));
	/* Who may not write the log has a session all the same. */
	s->log = s->c->log != NULL ? log_with_tag(s->c->log, tag.p)
				   : log_new(tag.p, "localhost");
}

int
smtp_serve(struct command *c, const struct options *o)
{
	static const struct smtp_client_id id = { .name = STR_INIT("localhost"),
		.addr = STR_INIT("127.0.0.1"),
		.port = STR_INIT("0") };
	struct smtp_client_rights rights = { 0 };
	struct smtp_server_conf conf;
	struct shell s = { .c = c, .mail = { .c = c, .o = o, .fd = -1, .report = -1 } };
	struct err e = { 0 };

	if (conf_fill_smtpd(c->snapshot, NULL, c->mem, &s.conf, &e) != RC_OK ||
	    session_conf_fill(&s.conf, c->mem, &conf, &e) != RC_OK)
		command_fatal(c, EX_TEMPFAIL, "%s", e.text);
	rights.hide = smtp_ehlo_bits(s.conf.smtpd_discard_ehlo_keywords, NULL);
	conf.filters_commands = conf.forbids_by_table = false;
	rights.may_bare_lf = true; /* compat: local programs end lines as they like */
	open_log(&s);
	s.mem = arena_new((size_t)64 << 20);
	buf_init(&s.in, IN_MAX);
	buf_init(&s.out, OUT_MAX);
	s.session = smtp_server_new(&conf, &id, &rights, os_clock_mono_us());
	serve(&s);
	smtp_server_free(&s.session);
	buf_fini(&s.in);
	buf_fini(&s.out);
	arena_free(&s.mem);
	free(s.rcpts);
	log_flush(s.log);
	log_free(&s.log);
	return EX_OK;
}
