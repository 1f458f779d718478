#ifndef MIME_FILTER_INT_H
#define MIME_FILTER_INT_H
/* What filter.c and filter_header.c share. */
#include "mime/filter.h"

enum state { ST_FIRST_LINE, ST_HEADER, ST_BODY };

enum {
	LINE_MAX_CLEAN = 998, /* RFC 5322 2.1.1 */
	ID_MAX = 1000,
	PIECE_MAX = 32768, /* of header output handed over at once */
};

struct mime_filter {
	const struct mime_conf *conf;
	const struct mime_start *start;
	enum state state;
	unsigned facts;
	uint32_t seen; /* 1 << enum mime_header */
	unsigned n_received;
	struct buf line;  /* header: the physical line so far, without its end */
	struct buf field; /* header: the logical field so far */
	struct buf out;   /* header: what is done */
	size_t given;     /* bytes of `out` that the caller has seen */
	struct buf id, resent_id;
	struct arena *scratch;
	bool skip_line; /* the rest of this header line is beyond the limit */
	bool is_failed, is_ended;
	/* body */
	size_t line_n; /* bytes of the current line already passed */
	size_t cr_run; /* CRs at the end of the last piece of input */
	size_t stray;  /* CRs found to be stray: to be given as blanks */
	bool owes_crlf;
};

#define MIME_SEEN(h) (UINT32_C(1) << (h))
_Static_assert(MIME_HDR_COUNT <= 32, "seen is a set of 32");

/* Takes lines off the front of *in until the headers are over or enough has gathered. */
MUST_USE enum rc mime_filter_take_header(
    struct mime_filter *f, struct str *in, struct err *e);
/* The input ended inside the headers. */
MUST_USE enum rc mime_filter_close_header(struct mime_filter *f, struct err *e);
void mime_filter_note_bytes(struct mime_filter *f, struct str s, unsigned fact_8bit);

/* `n` bytes of a line that began `f->line_n` bytes ago are passed; `is_end`: it ends
 * there. */
static inline void
mime_filter_note_line(struct mime_filter *f, const char *p, size_t n, bool is_end)
{
	if (f->line_n == 0 && n > 0 && *p == '.')
		f->facts |= MIME_DOT_LINE;
	f->line_n += n;
	if (f->line_n > LINE_MAX_CLEAN)
		f->facts |= MIME_LONG_LINE;
	if (is_end)
		f->line_n = 0;
}
#endif
