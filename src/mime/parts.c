/* A message line by line, see parts.h. Compat: a line that is no header ends the headers.
 */
#include "mime/parts.h"
#include "base/buf.h"
#include "mime/header.h"
#include <stdlib.h>
#include <string.h>

struct mime_parts {
	struct mime_parts_conf conf;
	enum mime_part state; /* MIME_PART_BODY, or which headers these are */
	struct mime_structure structure;
	struct buf header;
};

struct mime_parts *
mime_parts_new(const struct mime_parts_conf *conf)
{
	struct mime_parts *p = mem_get(sizeof(*p));

	p->conf = *conf;
	p->structure.nesting_limit = conf->nesting_limit;
	p->structure.boundary_limit = conf->boundary_limit;
	p->structure.is_flat = conf->is_flat;
	mime_structure_init(&p->structure);
	buf_init(&p->header, conf->header_size_limit);
	return p;
}

void
mime_parts_free(struct mime_parts **p)
{
	if (*p == NULL)
		return;
	mime_structure_fini(&(*p)->structure);
	buf_fini(&(*p)->header);
	free(*p);
	*p = NULL;
}

/* ---- headers ---- */

static void
flush_header(struct mime_parts *p)
{
	struct str text = buf_view(&p->header);
	size_t name_n, value_at;

	if (text.n == 0)
		return;
	p->conf.each(p->conf.ctx, p->state, text);
	if (mime_header_split(text, &name_n, &value_at))
		mime_structure_header(
		    &p->structure, str_head(text, name_n), str_from(text, value_at));
	buf_reset(&p->header);
}

/* What does not fit is cut. */
static void
add_to_header(struct mime_parts *p, struct str s)
{
	if (buf_put(&p->header, str_head(s, buf_left(&p->header))) != RC_OK)
		buf_reset(&p->header); /* not with a length that fits */
}

static void
end_headers(struct mime_parts *p)
{
	flush_header(p);
	p->state = mime_structure_end_headers(&p->structure);
}

/* False: the line is no header, and the headers are over. */
static bool
header_line(struct mime_parts *p, struct str line)
{
	size_t name_n, value_at;

	if (line.n == 0) {
		end_headers(p);
		return true;
	}
	if (ascii_isspace(line.p[0]) && p->header.n > 0) {
		add_to_header(p, STR("\n"));
		add_to_header(p, line);
		return true;
	}
	if (mime_header_split(line, &name_n, &value_at)) {
		flush_header(p);
		add_to_header(p, str_head(line, name_n));
		add_to_header(p, str_from(line, str_find(line, ':')));
		return true;
	}
	end_headers(p);
	p->state = MIME_PART_BODY;
	return false;
}

/* ---- body ---- */

static void
body_line(struct mime_parts *p, struct str line)
{
	p->conf.each(p->conf.ctx, MIME_PART_BODY, line);
	if (mime_structure_line(&p->structure, line))
		p->state = MIME_PART_MIME_HEADER;
}

void
mime_parts_line(struct mime_parts *p, struct str line)
{
	if (p->state == MIME_PART_BODY || !header_line(p, line))
		body_line(p, line);
}

void
mime_parts_end(struct mime_parts *p)
{
	if (p->state != MIME_PART_BODY)
		flush_header(p);
}
