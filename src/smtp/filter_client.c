/* The session with a filter before the queue. Invariants: at most one command of the
 * caller is open; what is not answered by a well-formed reply is BROKEN, and nothing
 * follows that; content leaves only between a 354 and its lone dot. */
#include "smtp/filter_client.h"
#include "addr/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "smtp/reply.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)4000)
#define REPLY_MAX      ((size_t)16 * 1024) /* all lines of one reply */
#define XFORWARD_MAX   ((size_t)510)       /* of one command (compat) */
#define OUT_MAX        ((size_t)64 << 20)
#define MEM_MAX        ((size_t)64 * 1024)

enum step {
	STEP_GREETING,
	STEP_EHLO,
	STEP_XFORWARD,
	STEP_IDLE,
	STEP_COMMAND,
	STEP_BROKEN
};
enum line_end { END_NONE, END_CR, END_LINE };

struct smtp_filter {
	struct smtp_filter_conf conf;
	enum step step;
	struct arena *mem;     /* of the session */
	struct arena *scratch; /* of a command and its reply */
	struct str command;    /* of the caller, while it is open; in `scratch` */
	bool has_command;
	struct str offered; /* attributes that the filter takes, in `mem` */
	unsigned next_attr; /* the first one that was not sent */
	struct buf in, reply, out;
	int code;
	struct str sent; /* the last command that went out, in `scratch` */
	bool has_reply, has_failed;
	const char *why;
	enum line_end bol; /* of the content */
};

/* ---- the end ---- */

static void
break_off(struct smtp_filter *f, const char *why)
{
	if (f->step == STEP_BROKEN)
		return;
	f->step = STEP_BROKEN;
	f->why = why;
	f->has_failed = true;
	buf_reset(&f->out);
}

/* ---- output ---- */

static void
put(struct smtp_filter *f, struct str s)
{
	if (buf_put(&f->out, s) != RC_OK)
		break_off(f, "too much content waits");
}

static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.n <= LINE_MAX_BYTES;
}

static void
send_line(struct smtp_filter *f, struct str line)
{
	if (!is_clean(line)) {
		break_off(f, "a command that cannot be sent");
		return;
	}
	f->sent = arena_str(f->scratch, line);
	put(f, line);
	put(f, STR("\r\n"));
}

/* ---- XFORWARD ---- */

/* In Postfix's order (compat). */
static const char *const attr_names[] = { "NAME", "ADDR", "PORT", "HELO", "IDENT",
	"PROTO", "SOURCE" };

static struct str
attr_value(const struct smtp_filter *f, unsigned at)
{
	const struct smtp_client_attrs *c = &f->conf.client;
	const struct str values[ARRAY_LEN(attr_names)] = { c->name, c->addr, c->port,
		c->helo, c->ident, c->proto, c->source };
	struct str v = values[at];

	if (v.n == 0 || str_is(v, "unknown"))
		return STR("[UNAVAILABLE]");
	if (at == 1 && str_find(v, ':') < v.n)
		v = arena_printf(f->scratch, "IPV6:%.*s", STR_ARG(v));
	return addr_xtext_encode(v, f->scratch);
}

static bool
is_offered(const struct smtp_filter *f, const char *name)
{
	struct str rest = f->offered, word;

	while (str_token(&rest, " ", &word))
		if (str_iis(word, name))
			return true;
	return false;
}

/* Sends as many attributes as go into one line. False: none is left. */
static bool
send_xforward(struct smtp_filter *f)
{
	struct buf line;
	bool any = false;

	buf_init(&line, XFORWARD_MAX);
	if (buf_put(&line, STR("XFORWARD")) != RC_OK)
		return false;
	for (; f->next_attr < ARRAY_LEN(attr_names); f->next_attr++) {
		const char *name = attr_names[f->next_attr];
		struct str value;

		if (!is_offered(f, name))
			continue;
		value = attr_value(f, f->next_attr);
		if (value.p == NULL)
			continue;
		if (buf_printf(&line, " %s=%.*s", name, STR_ARG(value)) != RC_OK) {
			if (any)
				break; /* in the next line */
			continue;      /* longer than any line */
		}
		any = true;
	}
	if (any)
		send_line(f, buf_view(&line));
	buf_fini(&line);
	return any;
}

/* ---- replies ---- */

static void
send_command(struct smtp_filter *f)
{
	f->step = STEP_IDLE;
	if (!f->has_command)
		return;
	f->step = STEP_COMMAND;
	send_line(f, f->command);
}

static void
go_on_forwarding(struct smtp_filter *f)
{
	f->step = STEP_XFORWARD;
	if (!send_xforward(f))
		send_command(f);
}

static void
note_offers(struct smtp_filter *f)
{
	struct str rest = buf_view(&f->reply), line;

	while (str_token(&rest, "\r\n", &line)) {
		struct str words = str_from(line, 4);

		if (str_istarts(words, STR("XFORWARD ")))
			f->offered = arena_str(f->mem, str_from(words, 9));
	}
}

/* A whole reply is there. */
static void
take_reply(struct smtp_filter *f)
{
	bool ok = f->code / 100 == 2;

	switch (f->step) {
	case STEP_GREETING:
	case STEP_EHLO:
		if (!ok) {
			break_off(f, "");
			return;
		}
		if (f->step == STEP_EHLO) {
			note_offers(f);
			go_on_forwarding(f);
		} else {
			f->step = STEP_EHLO;
			send_line(f,
			    arena_printf(f->scratch, "EHLO %.*s", STR_ARG(f->conf.ehlo)));
		}
		buf_reset(&f->reply);
		break;
	case STEP_XFORWARD: /* compat: a filter that refuses it gets the mail all the same
			     */
		buf_reset(&f->reply);
		go_on_forwarding(f);
		break;
	case STEP_COMMAND:
		f->step = STEP_IDLE;
		f->has_command = false;
		f->has_reply = true;
		break;
	case STEP_IDLE:
		/* 421 of one that goes away. */
		break_off(f, "a reply that nobody asked for");
		break;
	case STEP_BROKEN:
		break;
	}
}

static void
take_line(struct smtp_filter *f, struct str line)
{
	bool is_last = false;
	int code = 0;

	if (!smtp_reply_line(line, &code, &is_last) ||
	    (f->reply.n > 0 && code != f->code)) {
		break_off(f, "a reply that is none");
		return;
	}
	f->code = code;
	if ((f->reply.n > 0 && buf_put(&f->reply, STR("\r\n")) != RC_OK) ||
	    buf_put(&f->reply, line) != RC_OK) {
		break_off(f, "a reply that is too long");
		return;
	}
	if (is_last)
		take_reply(f);
}

void
smtp_filter_recv(struct smtp_filter *f, struct str in)
{
	if (f->step != STEP_BROKEN && buf_put(&f->in, in) != RC_OK)
		break_off(f, "a reply that is too long");
	/* The reply that the caller has not taken yet stands in the way of the next one.
	 */
	while (f->step != STEP_BROKEN && !f->has_reply) {
		struct str s = buf_view(&f->in), line = s;
		size_t end = str_find(s, '\n');

		if (end == s.n)
			break;
		line.n = end > 0 && s.p[end - 1] == '\r' ? end - 1 : end;
		line = arena_str(f->scratch, line);
		buf_consume(&f->in, end + 1);
		if (line.p == NULL)
			break_off(f, "too many replies");
		else
			take_line(f, line);
	}
}

/* ---- commands and content ---- */

/* What came before the question is no answer to it. */
static void
begin_command(struct smtp_filter *f)
{
	buf_reset(&f->reply);
	arena_reset(f->scratch);
	if (f->in.n > 0)
		break_off(f, "a reply that nobody asked for");
}

void
smtp_filter_command(struct smtp_filter *f, struct str line)
{
	assert(!f->has_command && !f->has_reply);
	if (f->step == STEP_BROKEN)
		return;
	if (f->step == STEP_IDLE)
		begin_command(f);
	f->command = arena_str(f->scratch, line);
	f->has_command = true;
	f->bol = END_LINE;
	if (f->command.p == NULL)
		break_off(f, "too many commands");
	else if (f->step == STEP_IDLE)
		send_command(f);
}

/* The bytes up to the next line end or CR go out as they are. */
static size_t
put_run(struct smtp_filter *f, struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r')
		n++;
	if (n == 0)
		return 0;
	if (f->bol == END_LINE && s.p[0] == '.')
		put(f, STR("."));
	f->bol = END_NONE;
	put(f, str_head(s, n));
	return n;
}

void
smtp_filter_content(struct smtp_filter *f, struct str piece)
{
	while (piece.n > 0 && f->step != STEP_BROKEN) {
		size_t n;

		if (f->bol == END_CR && piece.p[0] != '\n') {
			/* It was a CR inside of a line. */
			put(f, STR(" "));
			f->bol = END_NONE;
		}
		n = put_run(f, piece);
		piece = str_from(piece, n);
		if (piece.n == 0)
			return;
		if (piece.p[0] == '\r') {
			f->bol = END_CR;
		} else {
			put(f, STR("\r\n"));
			f->bol = END_LINE;
		}
		piece = str_from(piece, 1);
	}
}

void
smtp_filter_end(struct smtp_filter *f)
{
	assert(!f->has_command && !f->has_reply);
	if (f->step == STEP_BROKEN)
		return;
	if (f->bol != END_LINE)
		put(f, STR("\r\n"));
	put(f, STR(".\r\n"));
	begin_command(f);
	f->sent = STR("end of data");
	f->has_command = true;
	if (f->step == STEP_IDLE)
		f->step = STEP_COMMAND;
}

bool
smtp_filter_is_asking(const struct smtp_filter *f)
{
	return f->has_command || f->step < STEP_IDLE;
}

bool
smtp_filter_next(struct smtp_filter *f, struct smtp_filter_fx *out)
{
	*out = (struct smtp_filter_fx){ 0 };
	if (f->out.n > 0) {
		/* Its bytes stay until the next put, which is a push. */
		out->type = SMTP_FILTER_SEND;
		out->data = buf_view(&f->out);
		buf_consume(&f->out, f->out.n);
		return true;
	}
	if (f->has_reply) {
		f->has_reply = false;
		out->type = SMTP_FILTER_REPLY;
		out->code = f->code;
		out->data = buf_view(&f->reply);
		return true;
	}
	if (f->has_failed) {
		f->has_failed = false;
		out->type = SMTP_FILTER_BROKEN;
		out->data = f->why[0] != '\0' ? str_c(f->why) : buf_view(&f->reply);
		if (f->why[0] == '\0')
			out->command =
			    f->sent.n > 0 ? f->sent : STR("connection request");
		return true;
	}
	return false;
}

/* ---- life ---- */

struct smtp_filter *
smtp_filter_new(const struct smtp_filter_conf *conf)
{
	struct smtp_filter *f = mem_get(sizeof(*f));

	f->conf = *conf;
	f->mem = arena_new(MEM_MAX);
	f->scratch = arena_new(MEM_MAX);
	f->bol = END_LINE;
	buf_init(&f->in, REPLY_MAX);
	buf_init(&f->reply, REPLY_MAX);
	buf_init(&f->out, OUT_MAX);
	return f;
}

void
smtp_filter_free(struct smtp_filter **fp)
{
	struct smtp_filter *f = *fp;

	if (f == NULL)
		return;
	arena_free(&f->mem);
	arena_free(&f->scratch);
	buf_fini(&f->in);
	buf_fini(&f->reply);
	buf_fini(&f->out);
	free(f);
	*fp = NULL;
}
