/* regexp:/file — rules with POSIX patterns, compiled and matched by libc. */
#include "map/pattern_table.h"
#include <regex.h>
#include <stdlib.h>

/* libc needs memory in proportion to the key, and time that grows faster. */
#define KEY_MAX ((size_t)256 << 10)

enum { GROUPS_ON_STACK = 16 };

static enum rc
option(char c, unsigned *out)
{
	switch (c) {
	case 'i':
		*out = REG_ICASE;
		return RC_OK;
	case 'm':
		*out = REG_NEWLINE;
		return RC_OK;
	case 'x':
		*out = REG_EXTENDED;
		return RC_OK;
	default:
		return RC_PERM;
	}
}

static enum rc
syntax(unsigned options, enum pattern_syntax *out)
{
	*out = PATTERN_ERE;
	return (options & REG_EXTENDED) != 0 ? RC_OK : RC_NONE;
}

static enum rc
compile(
    const struct pattern_compile *req, void **out, uint32_t *out_groups, struct err *e)
{
	regex_t *re = mem_get(sizeof(*re));
	char *pattern = mem_get(req->regex.n + 1);
	int failure;

	for (size_t i = 0; i < req->regex.n; i++)
		pattern[i] = req->regex.p[i];
	failure =
	    regcomp(re, pattern, (int)req->options | (req->wants_groups ? 0 : REG_NOSUB));
	free(pattern);
	if (failure != 0) {
		char why[200];

		(void)regerror(failure, re, why, sizeof(why));
		free(re);
		return err_set(e, RC_PERM, "%s", why); /* compat */
	}
	*out = re;
	*out_groups = (uint32_t)re->re_nsub;
	return RC_OK;
}

static void
free_code(void *code)
{
	regfree(code);
	free(code);
}

static void *
new_context(void)
{
	return NULL;
}

static void
free_context(void *context)
{
	(void)context;
}

static enum rc
match(void *context, void *code, const struct pattern_match *m, struct err *e)
{
	regmatch_t on_stack[GROUPS_ON_STACK], *v = on_stack;
	size_t n = m->want == 0 ? 1 : m->want;
	int failure;

	(void)context;
	if (m->key.n > KEY_MAX)
		return err_set(e, RC_TEMP, "key of more than %zu bytes", KEY_MAX);
	if (n > GROUPS_ON_STACK)
		v = mem_array(n, sizeof(*v));
	v[0].rm_so = 0; /* REG_STARTEND: the key needs no NUL behind it */
	v[0].rm_eo = (regoff_t)m->key.n;
	failure = regexec(code, m->key.p, n, v, REG_STARTEND);
	for (size_t i = 0; failure == 0 && i < m->want; i++) {
		m->group[2 * i] = v[i].rm_so < 0 ? SIZE_MAX : (size_t)v[i].rm_so;
		m->group[2 * i + 1] = v[i].rm_so < 0 ? SIZE_MAX : (size_t)v[i].rm_eo;
	}
	if (v != on_stack)
		free(v);
	if (failure == 0 || failure == REG_NOMATCH)
		return failure == 0 ? RC_OK : RC_NONE;
	{
		char why[200];

		(void)regerror(failure, code, why, sizeof(why));
		return err_set(e, RC_TEMP, "%s", why);
	}
}

static const struct pattern_engine engine = {
	.type = "regexp",
	.words = { .unclosed = "skipping this rule", .zero_index = "out-of-range" },
	.options = REG_EXTENDED | REG_ICASE,
	.option = option,
	.syntax = syntax,
	.compile = compile,
	.free_code = free_code,
	.new_context = new_context,
	.free_context = free_context,
	.match = match,
};

static enum rc
regexp_open(const struct map_how *how, void **out, struct err *e)
{
	struct pattern_table *t;
	enum rc rc = pattern_table_open(&engine, how, &t, e);

	if (rc == RC_OK)
		*out = t;
	return rc;
}

static void
regexp_close(void *state)
{
	pattern_table_close(state);
}

static enum rc
regexp_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	return pattern_table_find(state, key, flags, mem, out, e);
}

const struct map_type map_type_regexp = {
	.name = "regexp",
	.watch = pattern_watch,
	.open = regexp_open,
	.close = regexp_close,
	.find = regexp_find,
};
