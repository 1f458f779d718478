#include "map/source.h"
#include "base/utf8.h"
#include <string.h>

enum { SHOWN = 30 }; /* bytes of a line, in a warning */

struct map_source
map_source_start(struct str text, struct arena *mem)
{
	return (struct map_source){ .rest = text, .line = 1, .mem = mem };
}

static struct str
take_line(struct map_source *s)
{
	size_t n = str_find(s->rest, '\n');
	struct str line = str_head(s->rest, n);

	s->rest = str_from(s->rest, n + 1);
	s->line++;
	return line;
}

/* Form feeds and vertical tabs are blanks here. Compat. */
static struct str
trim(struct str s)
{
	while (s.n > 0 && ascii_isspace(s.p[0]))
		s = str_from(s, 1);
	while (s.n > 0 && ascii_isspace(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool
is_comment(struct str line)
{
	line = trim(line);
	return line.n == 0 || line.p[0] == '#';
}

static bool
is_continued(struct str line)
{
	return line.n > 0 && ascii_isspace(line.p[0]);
}

/* The next line that goes on from the one before, comments skipped; false: none. */
static bool
take_more(struct map_source *s, struct str *out)
{
	struct map_source ahead = *s;

	while (ahead.rest.n > 0) {
		*out = take_line(&ahead);
		if (is_comment(*out)) {
			*s = ahead;
			continue;
		}
		if (!is_continued(*out))
			return false;
		*s = ahead;
		return true;
	}
	return false;
}

/* The first line of an entry and those that continue it, comments between them left out.
 * Blanks at the beginning of a continuation stay. */
static enum rc
take_logical(struct map_source *s, struct str *out, unsigned *number)
{
	struct map_source ahead;
	struct str line, more;
	size_t n;
	char *p;

	do {
		if (s->rest.n == 0)
			return RC_NONE;
		*number = s->line;
		line = take_line(s);
	} while (is_comment(line));
	/* First how long it gets, then the copy: lists go on for thousands of lines. */
	n = line.n;
	ahead = *s;
	while (take_more(&ahead, &more))
		n += more.n;
	if (n > line.n) {
		p = arena_get(s->mem, n);
		if (p == NULL)
			return RC_TEMP;
		memcpy(p, line.p, line.n);
		n = line.n;
		while (take_more(s, &more)) {
			memcpy(p + n, more.p, more.n);
			n += more.n;
		}
		line = str_n(p, n);
	}
	*s = ahead;
	*out = line;
	return RC_OK;
}

/* Where the key ends: at the first blank outside of quotes. SIZE_MAX: a quote is open. */
static size_t
key_end(struct str line)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < line.n; i++) {
		if (line.p[i] == '\\' && i + 1 < line.n)
			i++;
		else if (line.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && ascii_isspace(line.p[i]))
			break;
	}
	return quoted ? SIZE_MAX : i;
}

enum rc
map_source_line(struct map_source *s, struct str *line, struct map_source_entry *out)
{
	struct map_source_entry en = { .has_line = true };
	enum rc rc = take_logical(s, line, &en.line);

	if (rc != RC_OK)
		return rc;
	/* The rest of a line with a NUL is not there. Compat. */
	*line = str_head(*line, str_find(*line, '\0'));
	if (is_continued(*line)) {
		en.has_line = false;
		en.is_skipped = true;
		en.warning = arena_printf(s->mem, /* compat */
		    "logical line must not start with whitespace: \"%.*s%s\"",
		    STR_ARG(str_head(*line, SHOWN)), line->n > SHOWN ? "..." : "");
	} else if (s->wants_utf8 && !utf8_is_valid(*line)) {
		en.is_skipped = true;
		en.warning = arena_printf(s->mem, /* compat */
		    "non-UTF-8 input \"%.*s\" -- ignoring this line", STR_ARG(*line));
	}
	*out = en;
	return RC_OK;
}

enum rc
map_source_next(struct map_source *s, struct map_source_entry *out)
{
	struct str line;
	enum rc rc = map_source_line(s, &line, out);
	size_t end;

	if (rc != RC_OK || out->is_skipped)
		return rc;
	end = key_end(line);
	if (end == SIZE_MAX) {
		out->is_skipped = true;
		out->warning = arena_printf(s->mem, /* compat */
		    "unbalanced '\"' in '%.*s' -- ignoring this line", STR_ARG(line));
		return RC_OK;
	}
	out->key = str_head(line, end);
	out->value = trim(str_from(line, end));
	if (out->value.n == 0) {
		out->is_skipped = true;
		out->warning = STR("expected format: key whitespace value"); /* compat */
	} else if (out->key.n > 0 && out->key.p[out->key.n - 1] == ':') {
		out->warning = /* compat */
		    STR("record is in \"key: value\" format; is this an alias file?");
	}
	return RC_OK;
}
