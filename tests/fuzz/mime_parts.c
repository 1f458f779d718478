/* Any bytes as a message whose parts are looked for, flat and with small limits too. All
 * text comes out that went in: headers without their blanks before ":", body lines as
 * they are. */
#include "mime/parts.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t bytes, limit;
};

static void
note(void *ctx, enum mime_part part, struct str text)
{
	struct seen *s = ctx;

	assert(part <= MIME_PART_BODY);
	assert(part == MIME_PART_BODY || (text.n > 0 && text.n <= s->limit));
	s->bytes += text.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { 0 };
	struct mime_parts_conf conf = { .each = note, .ctx = &seen };
	struct str rest, line;
	struct mime_parts *p;

	if (size == 0)
		return 0;
	conf.is_flat = data[0] & 1;
	conf.header_size_limit = seen.limit = data[0] & 2 ? 10 : 100000;
	conf.nesting_limit = data[0] & 4 ? 1 : 100;
	conf.boundary_limit = data[0] & 8 ? 3 : 2048;
	rest = str_n(data + 1, size - 1);
	p = mime_parts_new(&conf);
	while (rest.n > 0) {
		line = str_head(rest, str_find(rest, '\n'));
		rest = str_from(rest, line.n + 1);
		mime_parts_line(p, line);
	}
	mime_parts_end(p);
	mime_parts_free(&p);
	assert(seen.bytes <= size);
	return 0;
}
