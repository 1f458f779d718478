/* The content: standard input as it is, but for the dot that ends it. With -t the header
 * is held until the recipients in it are known. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "agent/maildrop.h"
#include "prog/admin/sendmail/sendmail.h"

enum {
	READ_SIZE = 64 << 10,
	HEADER_MAX = 4 << 20, /* -t: more than that is no header */
	QUOTES_MAX = 16,      /* ">" before a "From " of a mailbox */
};

struct content {
	struct mail *m;
	struct buf held; /* -t: the header so far */
	bool has_envelope;
	/* Where in a line we are: what may still become a dot alone is not given on. */
	enum { AT_START, AFTER_DOT, AFTER_DOT_CR, IN_LINE } at;
	bool is_over;
	/* "From …" in front: being recognised, being skipped, not there (any more). */
	enum { SEP_MAYBE, SEP_LINE, SEP_NONE } separator;
	size_t n_quotes, n_from; /* ">" and bytes of "From " that were held back */
	/* sendmail_fix_line_endings. ENDS_ANY: CR LF ends a line as LF does, which is how
	 * pickup reads the content anyway; ENDS_FIRST: what ends the first line decides.
	 */
	enum { ENDS_ANY, ENDS_FIRST, ENDS_LF } line_ends;
	size_t n_crs; /* ENDS_FIRST, ENDS_LF: CRs that were held back */
};

static void give(struct content *c, struct str s);

static void
put_pieces(struct mail *m, struct str s)
{
	for (; s.n > 0; s = str_from(s, MAILDROP_PIECE_MAX))
		mail_put(m, 'L', str_head(s, MAILDROP_PIECE_MAX));
}

/* Where the first empty line begins; s.n: not there yet. */
static size_t
header_end(struct str s)
{
	size_t at = 0;

	while (at < s.n) {
		struct str rest = str_from(s, at);

		if (str_starts(rest, STR("\n")) || str_starts(rest, STR("\r\n")))
			return at;
		at += str_find(rest, '\n') + 1;
	}
	return s.n;
}

/* What was held back begins the message. */
static void
give_no_separator(struct content *c)
{
	static const char quotes[QUOTES_MAX + 1] = ">>>>>>>>>>>>>>>>";

	c->separator = SEP_NONE;
	give(c, str_n(quotes, c->n_quotes));
	give(c, str_n("From ", c->n_from));
}

/* Mailbox separators in front, with ">" or without, are no part of the message. Compat:
 * sendmail of Postfix. Returns what of `s` is neither skipped nor undecided. */
static struct str
skip_separator(struct content *c, struct str s)
{
	static const char from[] = "From ";

	while (s.n > 0 && c->separator != SEP_NONE) {
		if (c->separator == SEP_LINE) {
			size_t n = str_find(s, '\n');

			if (n < s.n) { /* another one may follow */
				c->separator = SEP_MAYBE;
				c->n_quotes = c->n_from = 0;
			}
			s = str_from(s, n + 1);
		} else if (*s.p == '>' && c->n_from == 0 && c->n_quotes < QUOTES_MAX) {
			s = str_from(s, 1);
			c->n_quotes++;
		} else if (*s.p == from[c->n_from]) {
			s = str_from(s, 1);
			if (++c->n_from == sizeof(from) - 1)
				c->separator = SEP_LINE;
		} else {
			give_no_separator(c);
		}
	}
	return s;
}

static void
give(struct content *c, struct str s)
{
	struct str all;

	s = skip_separator(c, s);
	if (s.n == 0)
		return;
	if (c->has_envelope) {
		put_pieces(c->m, s);
		return;
	}
	if (buf_put(&c->held, s) != RC_OK)
		mail_fatal(c->m, "message header too large");
	all = buf_view(&c->held);
	if (header_end(all) == all.n)
		return;
	c->has_envelope = true;
	envelope_write(c->m, str_head(all, header_end(all)));
	put_pieces(c->m, all);
	buf_release(&c->held);
}

/* What was held back at the start of a line turned out to be ordinary. */
static void
give_held_back(struct content *c)
{
	if (c->at == AFTER_DOT)
		give(c, STR("."));
	else if (c->at == AFTER_DOT_CR)
		give(c, STR(".\r"));
}

/* Finds the line with a dot alone. */
static void
take(struct content *c, struct str s)
{
	while (s.n > 0 && !c->is_over) {
		size_t n;

		switch (c->at) {
		case AT_START:
			if (*s.p == '.') {
				c->at = AFTER_DOT;
				s = str_from(s, 1);
				continue;
			}
			break;
		case AFTER_DOT:
		case AFTER_DOT_CR:
			if (*s.p == '\n') {
				c->is_over = true;
				return;
			}
			if (*s.p == '\r' && c->at == AFTER_DOT) {
				c->at = AFTER_DOT_CR;
				s = str_from(s, 1);
				continue;
			}
			give_held_back(c);
			break;
		case IN_LINE:
			break;
		}
		/* Up to the next line that begins with a dot: one piece. */
		for (n = 0; n < s.n;) {
			n += str_find(str_from(s, n), '\n') + 1;
			if (n < s.n && s.p[n] == '.')
				break;
		}
		c->at = n <= s.n ? AT_START : IN_LINE;
		give(c, str_head(s, n));
		s = str_from(s, n);
	}
}

/* What comes from standard input, its lines ended as they are to be. */
static void
pass(struct content *c, struct str s)
{
	if (c->m->o->dot_is_data)
		give(c, s);
	else
		take(c, s);
}

/* CRs turned out to be text. Those before the end of a line become what cleanup makes of
 * a CR that ends no line, because a reader of the maildrop would take them for its end.
 */
static void
pass_crs(struct content *c, bool at_line_end)
{
	for (; c->n_crs > 0; c->n_crs--)
		pass(c, at_line_end ? STR(" ") : STR("\r"));
}

/* Lines that end in LF alone, where it matters. */
static void
pass_lines(struct content *c, struct str s)
{
	while (s.n > 0 && c->line_ends != ENDS_ANY) {
		size_t lf = str_find(s, '\n'), n = str_find(str_head(s, lf), '\r');

		if (n > 0) {
			pass_crs(c, false);
			pass(c, str_head(s, n));
		} else if (*s.p == '\r') {
			n = 1;
			c->n_crs++;
		} else {
			if (c->line_ends == ENDS_FIRST)
				c->line_ends = c->n_crs > 0 ? ENDS_ANY : ENDS_LF;
			pass_crs(c, c->line_ends == ENDS_LF);
			pass(c, STR("\n"));
			n = 1;
		}
		s = str_from(s, n);
	}
	if (s.n > 0)
		pass(c, s);
}

static void
set_line_ends(struct content *c)
{
	struct str how = c->m->c->conf.sendmail_fix_line_endings;

	if (str_is(how, "strict"))
		c->line_ends = ENDS_FIRST;
	else if (str_is(how, "never"))
		c->line_ends = ENDS_LF;
	else if (!str_is(how, "always"))
		command_fatal(c->m->c, EX_TEMPFAIL,
		    "invalid sendmail_fix_line_endings value: %.*s", /* compat */
		    STR_ARG(how));
}

/* -bv: nothing is read; the report shows these headers. compat */
static void
put_probe(struct mail *m)
{
	struct arena *mem = m->c->mem;

	put_pieces(m, arena_printf(mem, "From: %s\nSubject: probe\nTo:", mail_sender(m)));
	for (size_t i = 0; i < m->o->n_rcpts; i++)
		put_pieces(m, arena_printf(mem, "\t%s%s\n", m->o->rcpts[i],
				  i + 1 < m->o->n_rcpts ? "," : ""));
}

void
content_copy(struct mail *m)
{
	struct content c = { .m = m };
	char chunk[READ_SIZE];
	ssize_t n;

	set_line_ends(&c);
	buf_init(&c.held, HEADER_MAX);
	if (!m->o->wants_extraction) {
		c.has_envelope = true;
		envelope_write(m, STR(""));
	}
	if (m->o->only_verifies) {
		put_probe(m);
		c.is_over = true;
	}
	while (!c.is_over && !m->is_lost) {
		n = read(STDIN_FILENO, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			mail_fatal(m, "read error on standard input");
		if (n == 0)
			break;
		pass_lines(&c, str_n(chunk, (size_t)n));
	}
	pass_crs(&c, false);
	if (c.separator == SEP_MAYBE)
		give_no_separator(&c);
	/* A dot at the very end, without its line end, ends the message, too. */
	if (!c.has_envelope) {
		struct str all = buf_view(&c.held);

		envelope_write(m, all);
		put_pieces(m, all);
	}
	buf_fini(&c.held);
	mail_put(m, 'X', STR(""));
	mail_flush(m);
}
