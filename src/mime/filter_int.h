#ifndef MIME_FILTER_INT_H
#define MIME_FILTER_INT_H
/* What filter.c (memory, the plain body), filter_header.c (headers) and filter_scan.c
 * (checks, and the body line by line) share. */
#include "mime/filter.h"
#include "mime/quoted.h"

enum state { ST_FIRST_LINE, ST_HEADER, ST_BODY };

enum {
	LINE_MAX_CLEAN = 998, /* RFC 5322 2.1.1 */
	PIECE_MAX = 32768,    /* of header output handed over at once */
	RECORD_MAX = 2048,    /* line_limit when nobody says otherwise */
	CR_RUN_MAX = 1024,    /* CRs behind a line that may be part of its end */
};

/* What a message needs that is looked at line by line; without hooks and strictness there
 * is none. */
struct mime_scan {
	struct mime_structure structure;
	enum mime_part part; /* whose headers are read */
	struct buf text;     /* what a check is shown */
	uint64_t segment_n;  /* bytes of body that were checked in this part */
	unsigned errors;     /* enum mime_strict */
	/* What refuses the message first is the reason, however it was cut (compat). */
	enum mime_strict first_error; /* 0: none */
	bool disallowed_first;
	bool unseparated_first; /* headers ended with text */
	bool reads_ours;        /* mime_start.received is checked, too */
	bool wants_parts;       /* boundaries matter */
	bool is_checked;        /* f->field is what a check made of it */
	bool is_waiting;        /* a hook said RC_MORE */
	bool is_line;           /* f->line is a header line that waits */
	bool is_gathered;       /* … a line of body that does */
	bool is_whole;          /* … and ends there */
	bool in_line;           /* a part of this line was passed already */
	bool has_put;           /* … and some of it was not dropped */
	bool is_disallowed;
	bool converts;  /* mime_conf.converts */
	bool is_quoted; /* … and this body is 8-bit */
	struct mime_quoted quoted;
};

struct mime_filter {
	const struct mime_conf *conf;
	const struct mime_start *start;
	struct mime_scan *scan; /* or NULL */
	enum state state;
	unsigned facts;
	uint32_t seen; /* 1 << enum mime_header */
	unsigned n_received;
	struct buf line;   /* header: the physical line so far, without its end */
	struct buf field;  /* header: the logical field so far */
	struct buf out;    /* header: what is done */
	size_t given;      /* bytes of `out` that the caller has seen */
	struct str before; /* mime_start.received, when it is read as the input is */
	bool in_before;
	struct arena *scratch;
	bool has_too_many_hops;
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

#define MIME_TOO_MANY_HOPS "5.4.0 Error: too many hops" /* compat */

/* ---- filter_header.c ---- */
/* Takes lines off the front of *in until the headers are over or enough has gathered.
 * RC_MORE: a hook waits. */
MUST_USE enum rc mime_filter_take_header(
    struct mime_filter *f, struct str *in, struct err *e);
/* The input ended inside the headers. RC_MORE: a hook waits. */
MUST_USE enum rc mime_filter_close_header(struct mime_filter *f, struct err *e);
void mime_filter_note_bytes(struct mime_filter *f, struct str s, unsigned fact_8bit);
void mime_filter_emit(struct mime_filter *f, struct str s);
/* Strays in p[0..n) become blanks where they stand. */
void mime_filter_clean(struct mime_filter *f, char *p, size_t n);

/* ---- filter_convert.c ---- */
/* A field that says how its part is encoded, and will be wrong: not passed on. */
bool mime_convert_drops(const struct mime_filter *f, struct str name);
/* The headers are over, before the structure is told so: the encoding that the part has
 * from here on is said. `has_text`: they ended with a line of the body. */
void mime_convert_end_headers(struct mime_filter *f, bool has_text);
/* A line of body, or a piece of one, to f->out; with its end, but for the CRLF. */
MUST_USE enum rc mime_convert_put(struct mime_filter *f, struct str line, bool is_whole);

/* ---- filter_scan.c ---- */
/* NULL: nothing to look at. */
struct mime_scan *mime_scan_new(const struct mime_conf *c, const struct mime_hooks *h);
void mime_scan_free(struct mime_scan **s);
/* f->line before it is read as a header: bytes that go, bytes that must not be there. */
void mime_scan_bytes(struct mime_filter *f);
/* f->field is complete: checked; what becomes of it stands in f->field (empty: nothing).
 * RC_MORE: a hook waits. */
MUST_USE enum rc mime_scan_field(struct mime_filter *f, struct err *e);
/* The headers are over: the part that follows. */
enum mime_part mime_scan_end_headers(struct mime_filter *f);
/* Whether the body goes line by line from here on. */
bool mime_scan_wants_lines(const struct mime_filter *f);
/* One line of body in f->line goes to f->out. RC_MORE: a hook waits. */
MUST_USE enum rc mime_scan_gathered(struct mime_filter *f, struct err *e);
/* Takes lines off *in: RC_OK with a piece or with f->out filled, RC_MORE in used up or a
 * hook waits. Ends early when headers begin. */
MUST_USE enum rc mime_scan_body(
    struct mime_filter *f, struct str *in, struct str *out, struct err *e);
/* The input is over: a line that waits for its end is passed. RC_MORE: a hook waits. */
MUST_USE enum rc mime_scan_close(struct mime_filter *f, struct err *e);
/* The message is over: what strictness has to say. */
MUST_USE enum rc mime_scan_verdict(const struct mime_filter *f, struct err *e);
/* Something refuses the message already. */
bool mime_scan_is_refused(const struct mime_scan *s);

/* A byte that must not be there ends the message at once. */
static inline bool
mime_filter_stops(const struct mime_filter *f)
{
	return f->scan != NULL && f->scan->is_disallowed && !f->start->carries_on;
}

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
