/* Owns main.cf as text: which names are set to what, where. What values mean is
 * elsewhere. */
#include "conf/main_cf.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

static int
by_name_then_line(const void *a, const void *b)
{
	const struct conf_entry *x = a, *y = b;
	int c = str_cmp(x->name, y->name);

	return c != 0 ? c : (x->line > y->line) - (x->line < y->line);
}

/* An upper bound of the number of settings. */
static size_t
count_lines(struct str text)
{
	size_t n = 1;

	for (const char *p = text.p, *end = text.p + text.n; p < end; p++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p == NULL)
			break;
		n++;
	}
	return n;
}

/* Keeps the last setting of each name; the others become duplicates. */
static enum rc
drop_duplicates(struct main_cf *m, struct arena *mem)
{
	size_t kept = 0;

	qsort(m->v, m->n, sizeof(*m->v), by_name_then_line);
	for (size_t i = 0; i + 1 < m->n; i++)
		m->n_duplicates += str_eq(m->v[i].name, m->v[i + 1].name);
	if (m->n_duplicates == 0)
		return RC_OK;
	m->duplicates = arena_array(mem, m->n_duplicates, sizeof(*m->duplicates));
	if (m->duplicates == NULL)
		return RC_TEMP;
	m->n_duplicates = 0;
	for (size_t i = 0; i < m->n; i++)
		if (i + 1 < m->n && str_eq(m->v[i].name, m->v[i + 1].name)) {
			m->duplicates[m->n_duplicates] = m->v[i];
			m->duplicates[m->n_duplicates++].by_line = m->v[i + 1].line;
		} else {
			m->v[kept++] = m->v[i];
		}
	m->n = kept;
	return RC_OK;
}

static enum rc
parse_lines(
    struct str path, struct str text, struct arena *mem, struct main_cf *m, struct err *e)
{
	struct conf_lines l = conf_lines(text);
	struct conf_entry *at;
	struct str line;
	enum rc rc;

	while ((rc = conf_lines_next(&l, mem, &line)) == RC_OK) {
		/* Only a first line can: others would have continued the one before. */
		if (ascii_isspace(line.p[0]))
			continue;
		if (m->n == CONF_LINES_MAX)
			return err_set(e, RC_PERM, "%.*s, line %u: too many settings",
			    STR_ARG(path), l.line);
		at = &m->v[m->n++];
		at->line = l.line;
		/* compat: a NUL ends the setting. */
		line = str_head(line, str_find(line, '\0'));
		rc = conf_assignment(line, &at->name, &at->value, e);
		if (rc != RC_OK)
			return err_in(e, rc, "%.*s, line %u", STR_ARG(path), l.line);
	}
	return rc == RC_NONE ? RC_OK
			     : err_set(e, rc, "%.*s: memory limit", STR_ARG(path));
}

enum rc
main_cf_parse(struct str path, struct str text, struct arena *mem, struct main_cf *out,
    struct err *e)
{
	struct main_cf m = { 0 };
	size_t max = count_lines(text);
	enum rc rc;

	if (text.n > CONF_FILE_MAX)
		return err_set(e, RC_PERM, "%.*s: file is too large", STR_ARG(path));
	if (max > CONF_LINES_MAX)
		max = CONF_LINES_MAX;
	m.v = arena_array(mem, max, sizeof(*m.v));
	if (m.v == NULL)
		return err_set(e, RC_TEMP, "%.*s: memory limit", STR_ARG(path));
	rc = parse_lines(path, text, mem, &m, e);
	if (rc != RC_OK)
		return rc;
	if (drop_duplicates(&m, mem) != RC_OK)
		return err_set(e, RC_TEMP, "%.*s: memory limit", STR_ARG(path));
	*out = m;
	return RC_OK;
}

const struct conf_entry *
main_cf_find(const struct main_cf *m, struct str name)
{
	size_t low = 0, high = m->n, mid;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		c = str_cmp(name, m->v[mid].name);
		if (c == 0)
			return &m->v[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
