/* inline:{ key = value, { key = value with, separators } }, and the lists in braces that
 * other types have in their names. */
#include "log/log.h"
#include "map/fold.h"
#include "map/map_int.h"
#include <stdlib.h>

#define LIMIT ((size_t)64 << 20)

enum rc
map_unbrace(struct str s, struct str *out)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '{')
			depth++;
		else if (s.p[i] == '}' && --depth == 0 && i + 1 < s.n)
			return RC_PERM;
		if (depth == 0 && i + 1 < s.n)
			return RC_PERM;
	}
	if (depth != 0 || s.n < 2)
		return RC_NONE;
	*out = str_trim(str_n(s.p + 1, s.n - 2));
	return RC_OK;
}

static bool
is_separator(char c)
{
	return c == ',' || ascii_isspace(c);
}

enum rc
map_word_next(struct str *rest, struct str *out)
{
	size_t i = 0, start, depth = 0;

	while (i < rest->n && is_separator(rest->p[i]))
		i++;
	start = i;
	for (; i < rest->n && (depth > 0 || !is_separator(rest->p[i])); i++) {
		if (rest->p[i] == '{')
			depth++;
		else if (rest->p[i] == '}' && depth-- == 0)
			return RC_PERM;
	}
	if (depth != 0)
		return RC_PERM;
	if (i == start)
		return RC_NONE;
	*out = str_n(rest->p + start, i - start);
	*rest = str_from(*rest, i);
	return RC_OK;
}

static enum rc
bad_syntax(const char *what, struct str name, struct err *e)
{
	return err_set(e, RC_PERM, /* compat */
	    "%s: \"inline:%.*s\"; need \"inline:{name=value...}\"", what, STR_ARG(name));
}

/* compat: the name ends at the first blank or "=" outside of quotes; blanks and "="
 * follow. Returns: what is wrong, or NULL. */
static const char *
split(struct str word, struct str *key, struct str *value)
{
	bool is_quoted = false;
	size_t i = 0;

	for (; i < word.n; i++) {
		char c = word.p[i];

		if (c == '\\' && i + 1 < word.n)
			i++;
		else if (c == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && (c == '=' || ascii_isspace(c)))
			break;
	}
	if (is_quoted)
		return "unbalanced '\"'";
	*key = str_head(word, i);
	*value = str_trim(str_from(word, i));
	if (!str_starts(*value, STR("=")))
		return "missing '=' after attribute name";
	*value = str_trim(str_from(*value, 1));
	return NULL;
}

static enum rc
put_word(struct map_mem *m, const struct map_how *how, struct str word, struct arena *mem,
    struct err *e)
{
	struct log *log = how->env->log;
	struct str key, value;
	const char *wrong;
	enum rc rc;

	if (word.p[0] == '{' && map_unbrace(word, &word) != RC_OK)
		return err_set(e, RC_PERM, /* compat */
		    "syntax error after '}' in \"%.*s\": \"inline:%.*s\"; need "
		    "\"inline:{name=value...}\"",
		    STR_ARG(word), STR_ARG(how->name));
	if (word.n == 0)
		return bad_syntax(
		    "no key found; expected format: key = value", how->name, e);
	wrong = split(word, &key, &value);
	if (wrong != NULL)
		return bad_syntax(wrong, how->name, e);
	rc = map_fold_key(key, how->is_utf8, mem, &key);
	if (rc == RC_NONE)
		return RC_OK; /* no look-up ever asks for it */
	if (rc == RC_OK)
		rc = map_mem_put(m, key, value);
	if (rc == RC_NONE && log != NULL)
		log_warn(log, "inline:%.*s: duplicate entry: \"%.*s\"",
		    STR_ARG(how->name), STR_ARG(key));
	if (rc == RC_TEMP)
		return err_set(e, RC_TEMP, "inline:%.*s: too large", STR_ARG(how->name));
	return RC_OK;
}

static enum rc
inline_open(const struct map_how *how, void **out, struct err *e)
{
	struct map_mem *m = map_mem_new();
	struct arena *mem = arena_new(LIMIT);
	struct str rest, word;
	enum rc rc = RC_PERM;
	bool is_empty = false;
	size_t n = 0;

	if (how->name.n > 0 && how->name.p[0] == '{')
		rc = map_unbrace(how->name, &rest);
	if (rc == RC_OK) {
		while (rc == RC_OK && (rc = map_word_next(&rest, &word)) == RC_OK) {
			rc = put_word(m, how, word, mem, e);
			if (rc != RC_OK)
				goto out;
			n++;
		}
		is_empty = rc == RC_NONE && n == 0 && how->name.n > 2; /* compat */
		rc = rc == RC_NONE && n > 0 ? RC_OK : RC_PERM;
	}
	if (rc != RC_OK)
		rc = bad_syntax(is_empty ? "empty table" : "bad syntax", how->name, e);
out:
	arena_free(&mem);
	if (rc != RC_OK) {
		map_mem_free(&m);
		return rc;
	}
	*out = m;
	return RC_OK;
}

const struct map_type map_type_inline = {
	.name = "inline",
	.traits = { .is_fixed = true },
	.open = inline_open,
	.close = map_mem_type_close,
	.find = map_mem_type_find,
	.each = map_mem_type_each,
};

/* ---- internal: a table of this process alone, empty at first ---- */

static enum rc
internal_open(const struct map_how *how, void **out, struct err *e)
{
	(void)how;
	(void)e;
	*out = map_mem_new();
	return RC_OK;
}

const struct map_type map_type_internal = {
	.name = "internal",
	.traits = { .is_fixed = true },
	.open = internal_open,
	.close = map_mem_type_close,
	.find = map_mem_type_find,
	.each = map_mem_type_each,
};
