/* MIME structure, see parts.h. Source: RFC 2045 section 5.1, RFC 2046 section 5.1.
 *
 * Compat: a boundary is recognised by its beginning ("--b" also ends with "--bc"), a
 * line that is no header ends the headers, and transfer encodings are not looked at. */
#include "mime/parts.h"
#include "base/buf.h"
#include "mime/header.h"
#include <stdlib.h>
#include <string.h>

enum content { CONTENT_OTHER, CONTENT_MULTIPART, CONTENT_DIGEST, CONTENT_MESSAGE };

/* One open multipart. */
struct level {
	char *boundary;
	size_t n;
	bool is_digest; /* its parts are messages unless they say otherwise */
};

struct mime_parts {
	struct mime_parts_conf conf;
	enum mime_part state; /* MIME_PART_BODY, or which headers these are */
	enum content content; /* of the part whose headers are being read */
	struct buf header;
	struct level *levels;
	size_t n_levels;
};

struct mime_parts *
mime_parts_new(const struct mime_parts_conf *conf)
{
	struct mime_parts *p = mem_get(sizeof(*p));

	p->conf = *conf;
	p->levels = mem_array(conf->nesting_limit + 1, sizeof(struct level));
	buf_init(&p->header, conf->header_size_limit);
	return p;
}

static void
drop_levels(struct mime_parts *p, size_t keep)
{
	while (p->n_levels > keep)
		free(p->levels[--p->n_levels].boundary);
}

void
mime_parts_free(struct mime_parts **p)
{
	if (*p == NULL)
		return;
	drop_levels(*p, 0);
	free((*p)->levels);
	buf_fini(&(*p)->header);
	free(*p);
	*p = NULL;
}

/* ---- Content-Type ---- */

/* Blanks and comments off the front. */
static void
skip_blanks(struct str *s)
{
	size_t depth = 0, i;

	for (i = 0; i < s->n; i++) {
		char c = s->p[i];

		if (c == '\\' && depth > 0)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !ascii_isspace(c))
			break;
	}
	*s = str_from(*s, i);
}

/* The next token or quoted string; in `room`, which has place for all of it. */
static struct str
take_token(struct str *s, char *room)
{
	size_t n = 0, i = 0;

	skip_blanks(s);
	if (s->n > 0 && s->p[0] == '"') {
		for (i = 1; i < s->n && s->p[i] != '"'; i++) {
			if (s->p[i] == '\\' && i + 1 < s->n)
				i++;
			room[n++] = s->p[i];
		}
		*s = str_from(*s, i + 1);
		return str_n(room, n);
	}
	while (i < s->n && !ascii_isspace(s->p[i]) &&
	       (s->p[i] == '\0' || strchr("()<>@,;:\\\"/[]?=", s->p[i]) == NULL))
		room[n++] = s->p[i++];
	*s = str_from(*s, i);
	return str_n(room, n);
}

static bool
take_char(struct str *s, char c)
{
	skip_blanks(s);
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

static void
push_level(struct mime_parts *p, struct str boundary)
{
	struct level *l;

	if (p->n_levels >= p->conf.nesting_limit || boundary.n == 0)
		return;
	l = &p->levels[p->n_levels++];
	l->n = boundary.n < p->conf.boundary_limit ? boundary.n : p->conf.boundary_limit;
	l->boundary = mem_get(l->n + 1);
	memcpy(l->boundary, boundary.p, l->n);
	l->is_digest = p->content == CONTENT_DIGEST;
}

/* "; name=value ..." behind a multipart's type: the boundary. */
static void
read_parameters(struct mime_parts *p, struct str s, char *room)
{
	while (s.n > 0) {
		struct str name, value;

		if (!take_char(&s, ';')) {
			s = str_from(s, 1);
			continue;
		}
		name = take_token(&s, room);
		if (!take_char(&s, '='))
			continue;
		/* The value may follow the name in `room`: together they are no longer
		 * than the text. */
		value = take_token(&s, room + name.n);
		if (str_iis(name, "boundary"))
			push_level(p, value);
	}
}

static void
read_content_type(struct mime_parts *p, struct str s)
{
	char *room = mem_get(s.n + 1);
	struct str type = take_token(&s, room), sub = STR("");

	if (take_char(&s, '/'))
		sub = take_token(&s, room + type.n);
	if (str_iis(type, "multipart"))
		p->content = str_iis(sub, "digest") ? CONTENT_DIGEST : CONTENT_MULTIPART;
	else if (str_iis(type, "message") &&
		 (str_iis(sub, "rfc822") || str_iis(sub, "global")))
		p->content = CONTENT_MESSAGE;
	else
		p->content = CONTENT_OTHER;
	if (p->content == CONTENT_MULTIPART || p->content == CONTENT_DIGEST)
		read_parameters(p, s, room);
	free(room);
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
	if (!p->conf.is_flat && mime_header_split(text, &name_n, &value_at) &&
	    str_iis(str_head(text, name_n), "Content-Type"))
		read_content_type(p, str_from(text, value_at));
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
	p->state = !p->conf.is_flat && p->content == CONTENT_MESSAGE
		       ? MIME_PART_NESTED_HEADER
		       : MIME_PART_BODY;
	p->content = CONTENT_OTHER;
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
	struct str rest = str_from(line, 2);

	p->conf.each(p->conf.ctx, MIME_PART_BODY, line);
	if (!str_starts(line, STR("--")))
		return;
	for (size_t i = p->n_levels; i-- > 0;) {
		const struct level *l = &p->levels[i];

		if (!str_starts(rest, str_n(l->boundary, l->n)))
			continue;
		if (str_starts(str_from(rest, l->n), STR("--"))) {
			drop_levels(p, i);
			return;
		}
		p->content = l->is_digest ? CONTENT_MESSAGE : CONTENT_OTHER;
		p->state = MIME_PART_MIME_HEADER;
		drop_levels(p, i + 1);
		return;
	}
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
