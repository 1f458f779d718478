/* regexp:/file — rules with POSIX patterns.
 *
 * libc compiles and matches them, slowly: some simple patterns take time that grows with
 * the square of the key. PCRE2 finds a match exactly where POSIX does (only which of
 * several it finds differs, and so the groups), for all patterns that mean the same in
 * both syntaxes. So these are asked of PCRE2 first, and of libc only for the groups. */
#include "map/pattern_table.h"
#include <regex.h>
#include <stdlib.h>

/* libc needs memory in proportion to the key, and time that grows faster. */
#define KEY_MAX ((size_t)256 << 10)

enum { GROUPS_ON_STACK = 16 };

/* Keys up to this are tried by libc when they meet PCRE2's limits. */
#define SECOND_MAX ((size_t)4 << 10)

struct code {
	void *first;   /* PCRE2's, or NULL */
	char *pattern; /* for libc's, */
	int options;
	regex_t re; /* which is made when it is needed */
	bool has_re;
};

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
compile_posix(struct code *c, struct err *e)
{
	int failure = regcomp(&c->re, c->pattern, c->options);
	char why[200];

	if (failure != 0) {
		(void)regerror(failure, &c->re, why, sizeof(why));
		return err_set(e, RC_PERM, "%s", why); /* compat */
	}
	c->has_re = true;
	return RC_OK;
}

static void
free_code(void *code)
{
	struct code *c = code;

	if (c->first != NULL)
		pattern_engine_pcre.free_code(c->first);
	if (c->has_re)
		regfree(&c->re);
	free(c->pattern);
	free(c);
}

static enum rc
compile(
    const struct pattern_compile *req, void **out, uint32_t *out_groups, struct err *e)
{
	struct code *c = mem_get(sizeof(*c));
	enum rc rc;

	c->options = (int)req->options | (req->wants_groups ? 0 : REG_NOSUB);
	c->pattern = mem_get(req->regex.n + 1);
	for (size_t i = 0; i < req->regex.n; i++)
		c->pattern[i] = req->regex.p[i];
	if (req->is_plain && (req->options & REG_NEWLINE) == 0) {
		struct pattern_compile first = *req;

		first.options = pattern_pcre_as_posix((req->options & REG_ICASE) != 0);
		rc = pattern_engine_pcre.compile(&first, &c->first, out_groups, e);
	} else {
		rc = compile_posix(c, e);
		if (rc == RC_OK)
			*out_groups = (uint32_t)c->re.re_nsub;
	}
	if (rc == RC_OK)
		*out = c;
	else
		free_code(c);
	return rc;
}

static enum rc
match_posix(const struct code *c, const struct pattern_match *m, struct err *e)
{
	regmatch_t on_stack[GROUPS_ON_STACK], *v = on_stack;
	size_t n = m->want == 0 ? 1 : m->want;
	char why[200];
	int failure;

	if (m->key.n > KEY_MAX)
		return err_set(e, RC_TEMP, "key of more than %zu bytes", KEY_MAX);
	if (n > GROUPS_ON_STACK)
		v = mem_array(n, sizeof(*v));
	v[0].rm_so = 0; /* REG_STARTEND: a NUL does not end the key */
	v[0].rm_eo = (regoff_t)m->key.n;
	failure = regexec(&c->re, m->key.p, n, v, REG_STARTEND);
	for (size_t i = 0; failure == 0 && i < m->want; i++) {
		m->group[2 * i] = v[i].rm_so < 0 ? SIZE_MAX : (size_t)v[i].rm_so;
		m->group[2 * i + 1] = v[i].rm_so < 0 ? SIZE_MAX : (size_t)v[i].rm_eo;
	}
	if (v != on_stack)
		free(v);
	if (failure == 0 || failure == REG_NOMATCH)
		return failure == 0 ? RC_OK : RC_NONE;
	(void)regerror(failure, &c->re, why, sizeof(why));
	return err_set(e, RC_TEMP, "%s", why);
}

static enum rc
match(void *context, void *code, const struct pattern_match *m, struct err *e)
{
	const struct pattern_match whether = { .key = m->key };
	struct code *c = code;
	enum rc rc = RC_OK;

	if (c->first != NULL) {
		rc = pattern_engine_pcre.match(context, c->first, &whether, e);
		if (rc == RC_NONE || (rc == RC_OK && m->want == 0) ||
		    (rc == RC_TEMP && m->key.n > SECOND_MAX))
			return rc;
	}
	if (!c->has_re && compile_posix(c, e) != RC_OK)
		return RC_TEMP;
	return match_posix(c, m, e);
}

static void *
new_context(void)
{
	return pattern_engine_pcre.new_context();
}

static void
free_context(void *context)
{
	pattern_engine_pcre.free_context(context);
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
	return pattern_table_open(&engine, how, out, e);
}

const struct map_type map_type_regexp = {
	.name = "regexp",
	.watch = pattern_watch,
	.open = regexp_open,
	.close = pattern_table_close,
	.find = pattern_table_find,
};
