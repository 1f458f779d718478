/* The content between DATA and the lone dot: dots unstuffed, the end recognised, sizes
 * counted. Bytes go on as views of the input; whole blocks pass with one search.
 *
 * Line ends. The content goes on with the line ends it came with (what becomes of a bare
 * LF or a stray CR is the message filter's), but what ends the *data* is decided here.
 * With SMTP_NEWLINE_NORMALIZE (the default), REJECT and NOTE only CRLF "." CRLF does; a
 * lone dot that has a bare LF before or behind it is neither the end nor content: it is
 * dropped, as Postfix does, so that no server behind us can see an end where we saw none.
 * With SMTP_NEWLINE_NO any mixture of CR* LF "." CR* LF ends the data (compat). */
#include "smtp/server_int.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

const char srv_where_end[] = "END-OF-MESSAGE"; /* compat */

void
srv_data_start(struct smtp_server *s)
{
	s->state = SRV_DATA;
	s->tx.first = FIRST_CHECK;
	s->tx.bol = BOL_CRLF;
	s->tx.last = '\n';
	srv_reply(s, STR("354 End data with <CR><LF>.<CR><LF>")); /* compat */
}

/* ---- passing content on ---- */

/* Looks for a bare LF, for those who refuse or log them. BDAT counts them all, because
 * its sizes are those of the message with CRLF (compat). */
static void
look_for_bare_lf(struct smtp_server *s, struct str piece)
{
	char before = s->tx.last;

	for (size_t at = 0; at < piece.n;) {
		size_t nl = at + str_find(str_from(piece, at), '\n');

		if (nl == piece.n)
			return;
		if (nl > 0)
			before = piece.p[nl - 1];
		if (before != '\r') {
			s->tx.has_bare_lf = true;
			s->tx.n_bare++;
			if (s->bdat != BDAT_OK)
				return;
		}
		before = '\n';
		at = nl + 1;
	}
}

/* compat: BDAT reads a long line in parts, and counts an end for each. */
static void
count_parts(struct smtp_server *s, struct str piece)
{
	size_t limit = s->conf->line_limit, line = (size_t)s->tx.size_tail;

	while (limit > 0 && piece.n > 0) {
		size_t n = str_find(piece, '\n');

		if (n == piece.n)
			break;
		s->tx.n_bare += 2 * (int64_t)((line + n) / limit);
		piece = str_from(piece, n + 1);
		line = 0;
	}
}

/* `piece` is content. Notes what a later line end or size check needs. */
void
srv_store(struct smtp_server *s, struct str piece)
{
	const struct smtp_server_conf *c = s->conf;
	const char *nl = memrchr(piece.p, '\n', piece.n);

	assert(piece.n > 0);
	if (s->bdat == BDAT_OK ||
	    (srv_newline(s) >= SMTP_NEWLINE_REJECT && !s->tx.has_bare_lf))
		look_for_bare_lf(s, piece);
	if (s->bdat == BDAT_OK)
		count_parts(s, piece);
	s->tx.size += (int64_t)piece.n;
	s->tx.size_tail =
	    nl == NULL ? s->tx.size_tail + (int64_t)piece.n : piece.p + piece.n - nl - 1;
	if (nl != NULL && nl == piece.p + piece.n - 1) {
		char before = piece.n > 1 ? nl[-1] : s->tx.last;

		s->tx.bol = before == '\r' ? BOL_CRLF : BOL_LF;
	} else
		s->tx.bol = BOL_NO;
	s->tx.last = piece.p[piece.n - 1];
	if (s->tx.too_big)
		return;
	if (c->size_limit > 0 && s->tx.size + s->tx.n_bare > c->size_limit) {
		s->tx.too_big = true;
		srv_logf(s, SMTP_LOG_WARN,
		    "%.*s: queue file size limit exceeded", /* compat */
		    STR_ARG(s->tx.queue_id));
		return;
	}
	srv_emit_view(s, SMTP_FX_STORE, piece);
}

/* ---- the first line ---- */

/* Not behind what was too much: "From " lines without end must not be stored. */
void
srv_mailbox_name(struct smtp_server *s)
{
	if (!s->tx.too_big)
		srv_emit_view(s, SMTP_FX_STORE, STR("X-Mailbox-Line: ")); /* compat */
}

/* A line "From ..." at the very start would be taken for a mailbox separator later on.
 * Returns: RC_OK decided; RC_MORE more of the line is needed. */
static enum rc
check_first(struct smtp_server *s, struct str in, bool is_all)
{
	const struct str from = STR("From ");
	size_t quotes = 0;
	struct str rest;

	while (quotes < in.n && in.p[quotes] == '>')
		quotes++;
	rest = str_from(in, quotes);
	if (!is_all && rest.n < from.n && memcmp(rest.p, from.p, rest.n) == 0)
		return RC_MORE;
	if (str_starts(rest, from)) {
		s->tx.first = FIRST_MAILBOX;
		srv_mailbox_name(s);
		return RC_OK;
	}
	s->tx.first = FIRST_OVER;
	/* No header can begin with a blank: this is the body already (compat). */
	if (in.n > 0 && (in.p[0] == ' ' || in.p[0] == '\t'))
		srv_emit_view(s, SMTP_FX_STORE, STR("\r\n"));
	return RC_OK;
}

size_t
srv_mailbox_line(struct smtp_server *s, struct str in)
{
	size_t nl = str_find(in, '\n');

	if (nl == in.n) {
		srv_store(s, in);
		return in.n;
	}
	srv_store(s, str_head(in, nl + 1));
	s->tx.first = FIRST_CHECK;
	return nl + 1;
}

/* ---- dots ---- */

enum dot {
	DOT_MORE,   /* cannot tell yet */
	DOT_END,    /* the end of the data, *used bytes with it */
	DOT_DROP,   /* a lone dot that ends nothing */
	DOT_STUFFED /* it stands before content, and goes */
};

static enum dot
look_at_dot(const struct smtp_server *s, struct str in, bool is_all, size_t *used)
{
	bool strict = srv_newline(s) != SMTP_NEWLINE_NO;
	size_t n = 1;

	while (n < in.n && in.p[n] == '\r')
		n++;
	if (n == in.n && !is_all)
		return DOT_MORE;
	if (n == in.n || in.p[n] != '\n')
		return DOT_STUFFED;
	*used = n + 1;
	if (!strict || (n == 2 && s->tx.bol == BOL_CRLF))
		return DOT_END;
	return DOT_DROP;
}

static void
refuse_message(struct smtp_server *s, const char *reply)
{
	srv_reply(s, str_c(reply));
	srv_done(s, false);
	srv_chapter(s);
	srv_reset(s, true);
}

void
srv_end_of_data(struct smtp_server *s)
{
	const struct smtp_server_conf *c = s->conf;

	s->state = SRV_COMMAND;
	s->where = srv_where_end;
	if (s->tx.has_bare_lf && srv_newline(s) == SMTP_NEWLINE_NOTE)
		s->had_bare_lf = true;
	if (s->tx.has_bare_lf && srv_newline(s) == SMTP_NEWLINE_REJECT) {
		s->trouble |= SMTP_TROUBLE_PROTOCOL;
		srv_log_bare_lf(s);
		srv_replyf(s, "%.*s 5.5.2 %.*s Error: bare <LF> received",
		    STR_ARG(c->newline_code), STR_ARG(c->hostname));
		srv_done(s, false);
		srv_chapter(s);
		srv_reset(s, true);
	} else if (s->tx.too_big) {
		s->trouble |= SMTP_TROUBLE_BOUNCE;
		refuse_message(s, "552 5.3.4 Error: message file too big"); /* compat */
	} else
		srv_ask(s, SMTP_FX_COMMIT, STR(""));
}

/* At the start of a line that begins with a dot. */
static size_t
dot_recv(struct smtp_server *s, struct str in, bool is_all)
{
	size_t used = 0;

	switch (look_at_dot(s, in, is_all, &used)) {
	case DOT_MORE:
		return 0;
	case DOT_END:
		srv_end_of_data(s);
		return used;
	case DOT_DROP:
		s->tx.has_bare_lf = true;
		s->tx.bol = in.p[used - 2] == '\r' ? BOL_CRLF : BOL_LF;
		return used;
	case DOT_STUFFED:
		s->tx.bol = BOL_NO;
		s->tx.last = '.';
		return 1;
	}
	return 0;
}

size_t
srv_data_recv(struct smtp_server *s, struct str in)
{
	bool is_all = in.n >= smtp_server_need(s);

	if (s->tx.first == FIRST_CHECK) {
		if (check_first(s, in, is_all) == RC_MORE)
			return 0;
		if (s->fx_put > 0)
			return 0; /* what it stored comes first */
	}
	if (s->tx.first == FIRST_MAILBOX)
		return srv_mailbox_line(s, in);
	if (s->tx.bol != BOL_NO && in.p[0] == '.')
		return dot_recv(s, in, is_all);
	/* Everything up to the next line that begins with a dot. */
	in = str_head(in, str_find_pair(in, '\n', '.') + 1);
	srv_store(s, in);
	return in.n;
}

/* ---- the answer ---- */

void
srv_answer_commit(struct smtp_server *s, const struct smtp_answer *a)
{
	/* Whatever the answer is, the transaction is over: nothing of it may leak into
	 * the next. */
	if (a->rc == RC_OK) {
		if (a->reply.n > 0)
			srv_reply(s, a->reply);
		else if (s->bdat == BDAT_OK)
			srv_replyf(s, "250 2.0.0 Ok: %" PRId64 " bytes queued as %.*s",
			    s->tx.size + s->tx.n_bare,
			    STR_ARG(s->tx.queue_id)); /* compat */
		else
			srv_replyf(s, "250 2.0.0 Ok: queued as %.*s",
			    STR_ARG(s->tx.queue_id)); /* compat */
		s->tx.queue_id = STR("");
		srv_done(s, true);
		s->error_count = s->junk_count = 0;
		s->trouble = 0; /* compat */
		s->n_dropped = 0;
		srv_chapter(s);
		srv_reset(s, false);
	} else {
		struct str no = a->reply;

		if (no.n == 0 && a->rc == RC_TEMP)
			no = STR("451 4.3.0 Error: queue file write error"); /* compat */
		else if (no.n == 0)
			no =
			    STR("550 5.7.1 Error: message content rejected"); /* compat */
		s->trouble |= smtp_trouble_of(SMTP_FX_COMMIT, no);
		srv_reply(s, no);
		srv_done(s, false);
		srv_chapter(s);
		srv_reset(s, true);
	}
}
