#ifndef MAP_SOURCE_H
#define MAP_SOURCE_H
#include "base/arena.h"
#include "base/base.h"

/* The text that tables are made from, postmap(1) format: `key whitespace value`, `#`
 * comments, lines that begin with blanks go on from the line before. Pure; feed it the
 * file in one piece. */
struct map_source {
	struct str rest;
	unsigned line; /* of the physical line that comes next */
	/* Lines that are no UTF-8 are warnings and nothing else (smtputf8_enable); the
	 * caller sets it behind map_source_start(). */
	bool wants_utf8;
	/* For lines put together; reset by the caller between entries. */
	struct arena *mem;
};

struct map_source_entry {
	/* The key is not folded. Views of the text, or in mem. */
	struct str key, value;
	unsigned line;      /* first physical line of it */
	struct str warning; /* without file and line; empty: none */
	/* The warning is about a line, "FILE, line N: ..."; else "FILE: ...". */
	bool has_line;
	bool is_skipped; /* only the warning is of use */
};

struct map_source map_source_start(struct str text, struct arena *mem);
/* Total: every text is an entry, a warning, or nothing.
 * Returns: RC_OK; RC_NONE at the end; RC_TEMP memory limit (a line is too long). */
MUST_USE enum rc map_source_next(struct map_source *s, struct map_source_entry *out);
/* For other formats made of the same lines (alias_source.h): the next logical line. When
 * nothing may be made of it, out->is_skipped is set and out->warning says why. Results as
 * above. */
MUST_USE enum rc map_source_line(
    struct map_source *s, struct str *line, struct map_source_entry *out);
#endif
