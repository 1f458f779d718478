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
	struct arena
	    *mem; /* for lines put together; reset by the caller between entries */
};

struct map_source_entry {
	struct str key,
	    value;          /* key as written, not folded; views of the text or in mem */
	unsigned line;      /* last physical line of it */
	struct str warning; /* without file and line; empty: none */
	bool
	    has_line; /* the warning is about a line, "FILE, line N: …"; else "FILE: …" */
	bool is_skipped; /* only the warning is of use */
};

struct map_source map_source_start(struct str text, struct arena *mem);
/* Total: every text is an entry, a warning, or nothing.
 * Returns: RC_OK; RC_NONE at the end; RC_TEMP memory limit (a line is too long). */
MUST_USE enum rc map_source_next(struct map_source *s, struct map_source_entry *out);
#endif
