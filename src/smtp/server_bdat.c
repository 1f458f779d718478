/* Content in chunks: BDAT of RFC 3030. A chunk is counted bytes, so there are no dots and
 * nothing in it ends the data; a chunk that cannot be taken is read and thrown away
 * before its command is answered, because what follows is content, not commands. Replies
 * are Postfix's (compat: all literals here). */
#include "smtp/server_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes of chunks that are thrown away for a client that never sends a message: twice
 * what the largest message has, within these. */
#define DROP_MIN ((int64_t)128 * 1024)
#define DROP_MAX ((int64_t)1 << 30)

/* How many ">" before "From " are recognised. */
#define ARROWS_MAX 64
static const char arrows[ARROWS_MAX + 1] =
    ">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>";
static const char from[] = "From ";

/* ---- the end of a chunk ---- */

/* The chunk is over, and so is the transaction: after LAST for good. */
static void
dropped(struct smtp_server *s)
{
	s->state = SRV_COMMAND;
	srv_reply(s, s->chunk.reply);
	srv_done(s, false);
	if (s->chunk.is_last)
		srv_reset(s, true);
}

static void
drop_chunk(struct smtp_server *s, struct str reply)
{
	enum srv_bdat failed = s->tx.has_mail || s->bdat == BDAT_FAILED_IN_MAIL
				   ? BDAT_FAILED_IN_MAIL
				   : BDAT_FAILED;

	s->chunk.reply = arena_str(s->scratch, reply);
	if (s->chunk.reply.p == NULL)
		s->chunk.reply = STR("451 4.3.0 Error: queue file write error");
	s->chunk.is_dropped = true;
	s->state = SRV_BDAT;
	srv_reset(s, true);
	s->bdat = failed;
	if (s->chunk.left == 0)
		dropped(s);
}

/* The last line ends, whatever its end. */
static void
end_last_line(struct smtp_server *s)
{
	if (s->tx.last == '\n')
		return;
	/* compat: a CR that ends the message is part of its line end */
	srv_store(s, s->tx.last == '\r' ? STR("\n") : STR("\r\n"));
}

static void
let_go(struct smtp_server *s)
{
	if (s->tx.n_arrows > 0)
		srv_store(s, (struct str){ arrows, s->tx.n_arrows });
	if (s->tx.n_from > 0)
		srv_store(s, (struct str){ from, s->tx.n_from });
	s->tx.n_arrows = s->tx.n_from = 0;
}

static void
chunk_ends(struct smtp_server *s)
{
	if (s->chunk.is_dropped) {
		dropped(s);
		return;
	}
	if (s->chunk.is_last) {
		let_go(s);
		end_last_line(s);
		srv_end_of_data(s);
		return;
	}
	s->state = SRV_COMMAND;
	if (s->tx.has_bare_lf && srv_newline(s) == SMTP_NEWLINE_REJECT) {
		s->where = "BDAT content";
		s->trouble |= SMTP_TROUBLE_PROTOCOL;
		srv_log_bare_lf(s);
		s->where = "BDAT";
		srv_replyf(s, "%.*s 5.5.2 %.*s Error: bare <LF> received",
		    STR_ARG(s->conf->newline_code), STR_ARG(s->conf->hostname));
		srv_done(s, false);
		srv_reset(s, true);
		s->bdat = BDAT_FAILED_IN_MAIL;
		return;
	}
	srv_replyf(s, "250 2.0.0 Ok: %" PRId64 " bytes", s->chunk.size);
	srv_done(s, true);
}

/* ---- the bytes of a chunk ---- */

static int64_t
drop_limit(const struct smtp_server_conf *c)
{
	if (c->size_limit <= 0 || c->size_limit > DROP_MAX / 2)
		return DROP_MAX;
	return c->size_limit < DROP_MIN / 2 ? DROP_MIN : c->size_limit * 2;
}

static size_t
drop_bytes(struct smtp_server *s, struct str in)
{
	s->chunk.left -= (int64_t)in.n;
	s->n_dropped += (int64_t)in.n;
	if (s->n_dropped > drop_limit(s->conf)) {
		srv_logf(
		    s, SMTP_LOG_WARN, "%.*s: BDAT without an end", STR_ARG(s->namaddr));
		dropped(s);
		srv_close(s);
	} else if (s->chunk.left == 0)
		dropped(s);
	return in.n;
}

/* At the start of the content: holds ">From " back until it is clear what it is, over the
 * ends of chunks. */
static size_t
first_bytes(struct smtp_server *s, struct str in)
{
	struct srv_tx *t = &s->tx;
	size_t i;

	for (i = 0; i < in.n; i++) {
		if (t->n_from == 0 && in.p[i] == '>' && t->n_arrows < ARROWS_MAX)
			t->n_arrows++;
		else if (in.p[i] != from[t->n_from])
			break;
		else if (++t->n_from == sizeof(from) - 1) {
			t->first = FIRST_MAILBOX;
			srv_mailbox_name(s);
			let_go(s);
			return i + 1;
		}
	}
	if (i == in.n)
		return i;
	t->first = FIRST_OVER;
	/* No header can begin with a blank: this is the body already (compat). */
	if (t->n_arrows + t->n_from == 0 && (in.p[i] == ' ' || in.p[i] == '\t'))
		srv_emit_view(s, SMTP_FX_STORE, STR("\r\n"));
	let_go(s);
	return i;
}

size_t
srv_bdat_recv(struct smtp_server *s, struct str in)
{
	size_t used = 0;

	if (s->chunk.left < (int64_t)in.n)
		in = str_head(in, (size_t)s->chunk.left);
	if (s->chunk.is_dropped)
		return drop_bytes(s, in);
	if (s->tx.first == FIRST_MAILBOX)
		used = srv_mailbox_line(s, in);
	else if (s->tx.first == FIRST_CHECK) {
		used = first_bytes(s, in);
		if (used == 0 && s->fx_put > 0)
			return 0; /* what it stored comes first */
	}
	if (used == 0) {
		srv_store(s, in);
		used = in.n;
	}
	s->chunk.left -= (int64_t)used;
	if (s->chunk.left == 0)
		chunk_ends(s);
	return used;
}

/* ---- the command ---- */

static bool
read_args(struct str args, struct srv_chunk *out)
{
	struct str size, last = STR("");
	uint64_t n;

	if (!str_token(&args, " \t", &size))
		return false;
	(void)str_token(&args, " \t", &last);
	if (str_trim(args).n > 0 || (last.n > 0 && !str_iis(last, "LAST")) ||
	    str_u64(size, INT64_MAX, &n) != RC_OK)
		return false;
	*out = (struct srv_chunk){
		.size = (int64_t)n, .left = (int64_t)n, .is_last = last.n > 0
	};
	return true;
}

static void
warn(struct smtp_server *s, const char *what, const char *how, struct str text)
{
	srv_logf(s, SMTP_LOG_WARN, "%.*s: %s from %.*s%s%.*s",
	    STR_ARG(s->tx.queue_id.n > 0 ? s->tx.queue_id : STR("NOQUEUE")), what,
	    STR_ARG(s->namaddr), how, STR_ARG(str_head(text, 100)));
}

static void
discard_chunk(struct smtp_server *s)
{
	char text[100];

	(void)snprintf(text, sizeof(text),
	    "551 5.0.0 Discarded %" PRId64 " bytes after earlier error", s->chunk.size);
	drop_chunk(s, str_c(text));
}

void
srv_cmd_bdat(struct smtp_server *s, struct str args)
{
	/* compat: of the chunks before only the lines that ended count here */
	int64_t whole = s->tx.size - s->tx.size_tail + s->tx.n_bare;

	if ((s->rights.hide & SMTP_EHLO_CHUNKING) != 0) {
		/* The chunk that follows would be taken for commands. */
		srv_fail(s, "521 5.5.1 Error: command not implemented");
		srv_close(s);
	} else if (!read_args(args, &s->chunk)) {
		warn(s, "malformed BDAT command syntax", ": ", s->line);
		srv_fail(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		srv_close(s);
	} else if (s->chunk.size == 0 && !s->chunk.is_last) {
		warn(s, "null BDAT request", "", STR(""));
		drop_chunk(s, STR("551 5.7.1 Null BDAT request"));
	} else if (s->bdat >= BDAT_FAILED)
		discard_chunk(s);
	else if (s->tx.n_rcpt == 0 && s->tx.has_mail)
		drop_chunk(s, STR("554 5.5.1 Error: no valid recipients"));
	else if (s->tx.n_rcpt == 0) {
		s->trouble |= SMTP_TROUBLE_PROTOCOL;
		drop_chunk(s, STR("503 5.5.1 Error: need RCPT command"));
	} else if (s->conf->size_limit > 0 &&
		   s->chunk.size > s->conf->size_limit - whole) {
		warn(s, "BDAT request", " exceeds message size limit", STR(""));
		s->trouble |= SMTP_TROUBLE_POLICY;
		drop_chunk(s, STR("552 5.3.4 Chunk exceeds message size limit"));
	} else if (s->bdat == BDAT_NONE)
		srv_ask(s, SMTP_FX_CHECK_DATA, STR(""));
	else
		srv_bdat_start(s);
}

void
srv_bdat_start(struct smtp_server *s)
{
	if (s->bdat == BDAT_NONE) {
		s->bdat = BDAT_OK;
		s->tx.first = FIRST_CHECK;
		s->tx.last = '\n';
	}
	s->state = SRV_BDAT;
	if (s->chunk.left == 0)
		chunk_ends(s);
}

void
srv_bdat_refuse(struct smtp_server *s, struct str no)
{
	/* Who is shown the door need not send the chunk first. */
	if (str_starts(no, STR("421")) || str_starts(no, STR("521")))
		s->chunk.left = 0;
	drop_chunk(s, no);
}
