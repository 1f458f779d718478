/* Splitting a table list: blanks and commas separate, braces keep together. */
#include "ask/ask.h"

static bool
is_separator(char c)
{
	return c == ',' || ascii_isspace(c);
}

enum rc
ask_token(struct str *rest, struct str *out)
{
	size_t i = 0, start;
	int depth = 0;

	while (i < rest->n && is_separator(rest->p[i]))
		i++;
	start = i;
	for (; i < rest->n && (depth > 0 || !is_separator(rest->p[i])); i++) {
		if (rest->p[i] == '{')
			depth++;
		else if (rest->p[i] == '}' && --depth < 0)
			return RC_PERM;
	}
	if (depth != 0)
		return RC_PERM;
	*out = str_n(rest->p + start, i - start);
	*rest = str_from(*rest, i);
	return out->n == 0 ? RC_NONE : RC_OK;
}

enum rc
ask_tables_parse(
    struct str text, struct arena *mem, struct ask_tables *out, struct err *e)
{
	struct str rest = text, name, *v;
	unsigned n = 0;
	enum rc rc;

	while ((rc = ask_token(&rest, &name)) == RC_OK)
		n++;
	if (rc == RC_PERM)
		return err_set(
		    e, RC_PERM, "unbalanced braces in \"%.*s\"", STR_ARG(text));
	v = arena_array(mem, n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rest = text;
	for (unsigned i = 0; i < n; i++)
		if (ask_token(&rest, &v[i]) != RC_OK)
			break;
	*out = (struct ask_tables){ .v = v, .n = n };
	return RC_OK;
}
