#ifndef MIME_PARTS_H
#define MIME_PARTS_H
/* The structure of a message, line by line: which lines are headers of the message, which
 * of its MIME parts, which of messages inside it, and which are body. Pure; memory is
 * bounded by the limits given. Nothing is changed and nothing is decoded. */
#include "base/base.h"
#include "mime/structure.h"

/* A complete header, its lines joined by LF, without the blanks before ":"; or one line
 * of body, which may be empty. Valid during the call. */
typedef void mime_parts_fn(void *ctx, enum mime_part part, struct str text);

struct mime_parts_conf {
	bool is_flat;             /* no MIME: after the first headers all is body */
	size_t header_size_limit; /* bytes of one header; the rest is cut */
	size_t nesting_limit;     /* boundaries at once; deeper ones are body */
	size_t boundary_limit;    /* bytes of a boundary; the rest is cut */
	mime_parts_fn *each;
	void *ctx;
};

struct mime_parts;
struct mime_parts *mime_parts_new(const struct mime_parts_conf *conf); /* copied */
void mime_parts_free(struct mime_parts **p);
/* One line, without its end. */
void mime_parts_line(struct mime_parts *p, struct str line);
/* No more lines: hands over a header that is still open. */
void mime_parts_end(struct mime_parts *p);
#endif
