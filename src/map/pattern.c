/* Lines of tables of patterns, and the list of rules they become. */
#include "map/pattern.h"
#include "map/map_int.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARNING_MAX 2048

void
pattern_warn(const struct pattern_warner *w, unsigned line, const char *fmt, ...)
{
	char text[WARNING_MAX];
	va_list ap;

	if (w->fn == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->fn(w->ctx, line, text);
}

struct str
pattern_skip_blanks(struct str s)
{
	while (s.n > 0 && ascii_isspace(s.p[0]))
		s = str_from(s, 1);
	return s;
}

bool
pattern_takes_word(struct str *s, struct str word)
{
	if (!str_istarts(*s, word) || (s->n > word.n && ascii_isalnum(s->p[word.n])))
		return false;
	*s = str_from(*s, word.n);
	return true;
}

/* ---- lines ---- */

/* What stands between the braces that `text` begins and ends with. */
static enum rc
strip_braces(struct str text, struct str *out, struct err *e)
{
	enum rc rc;

	if (text.n == 0 || text.p[0] != '{')
		return err_set(e, RC_PERM, "no '{' at start of text in \"%.*s\"",
		    STR_ARG(text)); /* compat */
	rc = map_unbrace(text, out);
	if (rc == RC_OK)
		return RC_OK;
	return err_set(e, RC_PERM,
	    rc == RC_NONE ? "missing '}' in \"%.*s\""
			  : "syntax error after '}' in \"%.*s\"",
	    STR_ARG(text));
}

enum rc
pattern_inline(struct str name, struct arena *mem, struct str *out, struct err *e)
{
	struct str rest, item, rule;
	size_t n = 0;
	char *text;
	enum rc rc = strip_braces(name, &rest, e);

	if (rc != RC_OK)
		return rc;
	/* Each rule loses two braces and gets one line end. */
	text = arena_get(mem, name.n + 1);
	if (text == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	while (map_word_next(&rest, &item) == RC_OK) {
		rc = strip_braces(item, &rule, e);
		if (rc != RC_OK)
			return rc;
		memcpy(text + n, rule.p, rule.n);
		n += rule.n;
		text[n++] = '\n';
	}
	*out = str_n(text, n);
	return RC_OK;
}

struct pattern_lines
pattern_lines_start(struct str text, struct arena *mem)
{
	return (struct pattern_lines){ .rest = text, .line = 1, .mem = mem };
}

static struct str
take_line(struct pattern_lines *l)
{
	size_t n = str_find(l->rest, '\n');
	struct str line = str_head(l->rest, n);

	l->rest = str_from(l->rest, n + 1);
	l->line++;
	return line;
}

static bool
is_comment(struct str line)
{
	size_t i = 0;

	while (i < line.n && ascii_isspace(line.p[i]))
		i++;
	return i == line.n || line.p[i] == '#';
}

/* How many bytes the lines have that continue the one before `l`; *end: behind them. */
static size_t
continuation(struct pattern_lines l, struct pattern_lines *end)
{
	size_t n = 0;

	*end = l;
	while (l.rest.n > 0) {
		struct str line = take_line(&l);

		if (is_comment(line))
			continue;
		if (!ascii_isspace(line.p[0]))
			break;
		n += line.n;
		*end = l;
	}
	return n;
}

static struct str
trim_end(struct str s)
{
	while (s.n > 0 && ascii_isspace(s.p[s.n - 1]))
		s.n--;
	return s;
}

enum rc
pattern_lines_next(struct pattern_lines *l, struct pattern_line *out)
{
	struct pattern_lines end;
	struct str line;
	unsigned first;
	size_t more;

	do {
		if (l->rest.n == 0)
			return RC_NONE;
		first = l->line;
		line = take_line(l);
	} while (is_comment(line));
	more = continuation(*l, &end);
	if (more > 0) {
		char *joined = arena_get(l->mem, line.n + more);
		size_t n = line.n;

		if (joined == NULL)
			return RC_TEMP;
		memcpy(joined, line.p, line.n);
		while (l->line < end.line) {
			line = take_line(l);
			if (is_comment(line))
				continue;
			memcpy(joined + n, line.p, line.n);
			n += line.n;
		}
		line = str_n(joined, n);
	}
	*out = (struct pattern_line){
		.text = trim_end(line), .line = first, .is_bad = ascii_isspace(line.p[0])
	};
	return RC_OK;
}

/* ---- rules ---- */

void
pattern_rules_fini(struct pattern_rules *r)
{
	free(r->v);
	free(r->open);
	free(r->always);
	*r = (struct pattern_rules){ 0 };
}

uint32_t
pattern_rules_add(struct pattern_rules *r, const struct pattern_rule *rule)
{
	if (r->n == r->cap) {
		assert(r->cap < UINT32_MAX / 2);
		r->cap = r->cap == 0 ? 16 : r->cap * 2;
		r->v = mem_grow(r->v, r->cap, sizeof(*r->v));
	}
	if (rule->is_if) {
		if (r->n_open == r->cap_open) {
			r->cap_open = r->cap_open == 0 ? 8 : r->cap_open * 2;
			r->open = mem_grow(r->open, r->cap_open, sizeof(*r->open));
		}
		r->open[r->n_open++] = r->n;
	}
	r->v[r->n] = *rule;
	return r->n++;
}

enum rc
pattern_rules_endif(struct pattern_rules *r)
{
	if (r->n_open == 0)
		return RC_PERM;
	r->v[r->open[--r->n_open]].jump = r->n;
	return RC_OK;
}

void
pattern_rules_done(struct pattern_rules *r, const struct pattern_warner *w)
{
	while (r->n_open > 0) {
		pattern_warn(w, r->v[r->open[r->n_open - 1]].line,
		    "IF has no matching ENDIF"); /* compat */
		(void)!pattern_rules_endif(r);
	}
	free(r->open);
	r->open = NULL;
	r->cap_open = 0;
	if (r->n > 0) {
		r->v = mem_grow(r->v, r->n, sizeof(*r->v));
		r->cap = r->n;
	}
	for (uint32_t i = 0; i < r->n; i++)
		r->n_always += !r->v[i].is_hinted;
	r->always = r->n_always == 0 ? NULL : mem_array(r->n_always, sizeof(*r->always));
	r->n_always = 0;
	for (uint32_t i = 0; i < r->n; i++)
		if (!r->v[i].is_hinted)
			r->always[r->n_always++] = i;
}

enum rc
pattern_rules_find(const struct pattern_rules *r, const struct pattern_walk *w,
    uint32_t *out, struct err *e)
{
	uint32_t skip_until = 0, i;
	size_t a = 0, h = 0;

	for (;;) {
		const struct pattern_rule *rule;
		enum rc rc;

		if (a < r->n_always && (h == w->n_hits || r->always[a] < w->hits[h]))
			i = r->always[a++];
		else if (h < w->n_hits)
			i = w->hits[h++];
		else
			return RC_NONE;
		rule = &r->v[i];
		if (i < skip_until || (rule->has_subst && w->no_subst))
			continue;
		rc = w->match(w->ctx, i, e);
		if (rc != RC_OK && rc != RC_NONE)
			return rc;
		if (rule->is_if && rc == RC_NONE)
			skip_until = rule->jump;
		if (!rule->is_if && rc == RC_OK) {
			*out = i;
			return RC_OK;
		}
	}
}
