/* MIME structure, see structure.h. */
#include "mime/structure.h"
#include <stdlib.h>
#include <string.h>

struct mime_level {
	char *boundary;
	size_t n;
	bool is_digest;
};

void
mime_structure_init(struct mime_structure *s)
{
	s->content = MIME_CONTENT_OTHER;
	s->encoding = MIME_ENC_7BIT;
	s->is_message = s->is_global = s->is_too_deep = false;
	s->levels = NULL; /* made with the first multipart: most messages have none */
	s->n_levels = 0;
}

static void
drop_levels(struct mime_structure *s, size_t keep)
{
	while (s->n_levels > keep)
		free(s->levels[--s->n_levels].boundary);
}

void
mime_structure_fini(struct mime_structure *s)
{
	drop_levels(s, 0);
	free(s->levels);
	s->levels = NULL;
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

/* What ends a word. Compat: it is not the same everywhere. */
#define TYPE_SPECIALS     "()<>@,;:\\\"/[]?="
#define ENCODING_SPECIALS "()<>@,;:\\\".[]"

/* A quoted string at the front; in `room`, which has place for all of it. */
static bool
take_quoted(struct str *s, char *room, struct str *out)
{
	size_t n = 0, i;

	skip_blanks(s);
	if (s->n == 0 || s->p[0] != '"')
		return false;
	for (i = 1; i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\' && i + 1 < s->n)
			i++;
		room[n++] = s->p[i];
	}
	*s = str_from(*s, i + 1);
	*out = str_n(room, n);
	return true;
}

/* The next word, empty when there is none. Compat: a quoted string is no word. */
static struct str
take_word(struct str *s, const char *specials)
{
	struct str word;
	size_t i = 0;

	skip_blanks(s);
	while (i < s->n && !ascii_isspace(s->p[i]) &&
	       (s->p[i] == '\0' || strchr(specials, s->p[i]) == NULL))
		i++;
	word = str_head(*s, i);
	*s = str_from(*s, i);
	return word;
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
push_level(struct mime_structure *s, struct str boundary)
{
	struct mime_level *l;

	if (s->n_levels > s->nesting_limit + 1) {
		s->is_too_deep = true;
		return;
	}
	if (s->levels == NULL) /* compat: two more than the limit says */
		s->levels = mem_array(s->nesting_limit + 2, sizeof(*s->levels));
	l = &s->levels[s->n_levels++];
	l->n = boundary.n < s->boundary_limit ? boundary.n : s->boundary_limit;
	l->boundary = mem_get(l->n + 1);
	memcpy(l->boundary, boundary.p, l->n);
	l->is_digest = s->content == MIME_CONTENT_DIGEST;
}

/* "; name=value ..." behind a multipart's type: the boundary. */
static void
read_parameters(struct mime_structure *p, struct str s, char *room)
{
	while (s.n > 0) {
		struct str name, value;
		bool is_there;

		if (!take_char(&s, ';')) {
			s = str_from(s, 1);
			continue;
		}
		name = take_word(&s, TYPE_SPECIALS);
		if (!take_char(&s, '='))
			continue;
		is_there = take_quoted(&s, room, &value);
		if (!is_there) {
			value = take_word(&s, TYPE_SPECIALS);
			is_there = value.n > 0;
		}
		if (is_there && str_iis(name, "boundary"))
			push_level(p, value);
	}
}

static enum mime_content
content_of(struct str type, struct str sub)
{
	if (str_iis(type, "multipart"))
		return str_iis(sub, "digest") ? MIME_CONTENT_DIGEST
					      : MIME_CONTENT_MULTIPART;
	if (!str_iis(type, "message"))
		return MIME_CONTENT_OTHER;
	if (str_iis(sub, "rfc822") || str_iis(sub, "global"))
		return MIME_CONTENT_MESSAGE;
	if (str_iis(sub, "partial") || str_iis(sub, "external-body"))
		return MIME_CONTENT_SEALED;
	return MIME_CONTENT_OTHER;
}

static void
read_content_type(struct mime_structure *p, struct str s)
{
	struct str type = take_word(&s, TYPE_SPECIALS), sub = STR("");
	char *room;

	if (take_char(&s, '/'))
		sub = take_word(&s, TYPE_SPECIALS);
	p->content = content_of(type, sub);
	p->is_message = str_iis(type, "message");
	p->is_global = p->is_message && str_iis(sub, "global");
	if (p->content != MIME_CONTENT_MULTIPART && p->content != MIME_CONTENT_DIGEST)
		return;
	room = mem_get(s.n + 1);
	read_parameters(p, s, room);
	free(room);
}

static const struct {
	const char *name;
	enum mime_encoding encoding;
	bool is_identity;
} encodings[] = {
	{ "7bit", MIME_ENC_7BIT, true },
	{ "8bit", MIME_ENC_8BIT, true },
	{ "binary", MIME_ENC_BINARY, true },
	{ "quoted-printable", MIME_ENC_QP, false },
	{ "base64", MIME_ENC_BASE64, false },
};

/* An unknown name changes nothing. */
static void
read_encoding(struct mime_structure *p, struct str s)
{
	struct str name = take_word(&s, ENCODING_SPECIALS);

	for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
		if (str_iis(name, encodings[i].name))
			p->encoding = encodings[i].encoding;
}

void
mime_structure_header(struct mime_structure *s, struct str name, struct str value)
{
	if (s->is_flat || name.n < 12)
		return;
	if (str_iis(name, "Content-Type"))
		read_content_type(s, value);
	else if (str_iis(name, "Content-Transfer-Encoding"))
		read_encoding(s, value);
}

bool
mime_structure_is_8bit(const struct mime_structure *s)
{
	return s->encoding == MIME_ENC_8BIT || s->encoding == MIME_ENC_BINARY;
}

const char *
mime_structure_bad_encoding(const struct mime_structure *s)
{
	bool is_identity = encodings[s->encoding].is_identity;
	bool is_bad = false;

	switch (s->content) {
	case MIME_CONTENT_OTHER:
		break;
	case MIME_CONTENT_MULTIPART:
	case MIME_CONTENT_DIGEST:
		is_bad = !is_identity;
		break;
	case MIME_CONTENT_MESSAGE:
		is_bad = !is_identity && !s->is_global;
		break;
	case MIME_CONTENT_SEALED: /* compat: what encodings make of 7 bits is 7 bits */
		is_bad = is_identity && s->encoding != MIME_ENC_7BIT;
		break;
	}
	return is_bad ? encodings[s->encoding].name : NULL;
}

enum mime_part
mime_structure_end_headers(struct mime_structure *s)
{
	bool is_nested = !s->is_flat && s->content == MIME_CONTENT_MESSAGE;

	s->content = MIME_CONTENT_OTHER;
	s->is_message = s->is_global = false;
	if (is_nested)
		s->encoding = MIME_ENC_7BIT;
	return is_nested ? MIME_PART_NESTED_HEADER : MIME_PART_BODY;
}

/* The multipart whose boundary the line is; .n_levels: none. */
static size_t
find_level(const struct mime_structure *s, struct str line, bool *closes)
{
	struct str rest = str_from(line, 2);

	if (s->n_levels == 0 || !str_starts(line, STR("--")))
		return s->n_levels;
	for (size_t i = s->n_levels; i-- > 0;) {
		const struct mime_level *l = &s->levels[i];

		if (!str_starts(rest, str_n(l->boundary, l->n)))
			continue;
		*closes = str_starts(str_from(rest, l->n), STR("--"));
		return i;
	}
	return s->n_levels;
}

bool
mime_structure_closes(const struct mime_structure *s, struct str line)
{
	bool closes = false;

	return find_level(s, line, &closes) < s->n_levels && closes;
}

bool
mime_structure_line(struct mime_structure *s, struct str line)
{
	bool closes = false;
	size_t i = find_level(s, line, &closes);

	if (i == s->n_levels)
		return false;
	s->encoding = MIME_ENC_7BIT;
	if (closes) {
		drop_levels(s, i);
		return false;
	}
	s->is_message = s->levels[i].is_digest;
	s->content = s->is_message ? MIME_CONTENT_MESSAGE : MIME_CONTENT_OTHER;
	drop_levels(s, i + 1);
	return true;
}
