/* pcre:/file — rules with Perl's patterns, by PCRE2.
 *
 * A key cannot make a match last: PCRE2's limits on steps and memory end it, which is
 * trouble (RC_TEMP), not "no match". A pattern that is tried often is translated to
 * machine code. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "map/pattern_table.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* PCRE2's own default is 10 million steps and 20 GB. */
#define MATCH_LIMIT    2000000
#define HEAP_LIMIT_KIB 32768
/* Translation costs as much as some dozens of matches. */
#define USES_BEFORE_JIT 32
/* Machine code takes a page or so for each pattern. */
#define JIT_MAX 5000

struct code {
	pcre2_code *re;
	uint32_t uses;
};

struct context {
	pcre2_match_context *limits;
	pcre2_match_data *data;
	uint32_t n_data; /* pairs */
	uint32_t n_jit;
};

static enum rc
option(char c, unsigned *out)
{
	static const struct {
		char c;
		unsigned bit;
	} options[] = {
		{ 'i', PCRE2_CASELESS },
		{ 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },
		{ 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED },
		{ 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY },
	};

	if (c == 'X')
		return RC_NONE;
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].c == c) {
			*out = options[i].bit;
			return RC_OK;
		}
	return RC_PERM;
}

unsigned
pattern_pcre_as_posix(bool ignores_case)
{
	return PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | (ignores_case ? PCRE2_CASELESS : 0);
}

static enum rc
syntax(unsigned options, enum pattern_syntax *out)
{
	*out = PATTERN_PERL;
	return (options & PCRE2_EXTENDED) == 0 ? RC_OK : RC_NONE;
}

static enum rc
compile(
    const struct pattern_compile *req, void **out, uint32_t *out_groups, struct err *e)
{
	struct code *c;
	PCRE2_SIZE where;
	pcre2_code *re;
	int failure;

	re = pcre2_compile(
	    (PCRE2_SPTR)req->regex.p, req->regex.n, req->options, &failure, &where, NULL);
	if (re == NULL) {
		PCRE2_UCHAR why[200];

		(void)pcre2_get_error_message(failure, why, sizeof(why));
		return err_set(e, RC_PERM, "error in regex at offset %lu: %s",
		    (unsigned long)where, (const char *)why); /* compat */
	}
	c = mem_get(sizeof(*c));
	c->re = re;
	*out = c;
	(void)pcre2_pattern_info(re, PCRE2_INFO_CAPTURECOUNT, out_groups);
	return RC_OK;
}

static void
free_code(void *code)
{
	struct code *c = code;

	pcre2_code_free(c->re);
	free(c);
}

static void *
new_context(void)
{
	struct context *x = mem_get(sizeof(*x));

	x->limits = pcre2_match_context_create(NULL);
	if (x->limits == NULL)
		abort(); /* out of memory */
	(void)pcre2_set_match_limit(x->limits, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(x->limits, HEAP_LIMIT_KIB);
	return x;
}

static void
free_context(void *context)
{
	struct context *x = context;

	pcre2_match_data_free(x->data);
	pcre2_match_context_free(x->limits);
	free(x);
}

static void
prepare(struct context *x, struct code *c, size_t want)
{
	if (x->data == NULL || want > x->n_data) {
		pcre2_match_data_free(x->data);
		x->n_data = want < 10 ? 10 : (uint32_t)want;
		x->data = pcre2_match_data_create(x->n_data, NULL);
		if (x->data == NULL)
			abort(); /* out of memory */
	}
	/* Where machine code is not allowed, or not to be had for this pattern, the
	 * interpreter goes on. */
	if (c->uses < USES_BEFORE_JIT && ++c->uses == USES_BEFORE_JIT &&
	    x->n_jit < JIT_MAX && pcre2_jit_compile(c->re, PCRE2_JIT_COMPLETE) == 0)
		x->n_jit++;
}

static enum rc
match(void *context, void *code, const struct pattern_match *m, struct err *e)
{
	struct context *x = context;
	struct code *c = code;
	const PCRE2_SIZE *pair;
	int n;

	prepare(x, c, m->want);
	n = pcre2_match(c->re, (PCRE2_SPTR)m->key.p, m->key.n, 0, 0, x->data, x->limits);
	if (n == PCRE2_ERROR_JIT_STACKLIMIT)
		n = pcre2_match(c->re, (PCRE2_SPTR)m->key.p, m->key.n, 0, PCRE2_NO_JIT,
		    x->data, x->limits);
	if (n == PCRE2_ERROR_NOMATCH)
		return RC_NONE;
	if (n < 0) {
		PCRE2_UCHAR why[200];

		(void)pcre2_get_error_message(n, why, sizeof(why));
		return err_set(e, RC_TEMP, "%s", (const char *)why); /* compat */
	}
	/* 0: more groups than pairs; those that are there are right. */
	pair = pcre2_get_ovector_pointer(x->data);
	for (size_t i = 0; i < m->want; i++) {
		bool is_set = n == 0 || i < (size_t)n;

		m->group[2 * i] = is_set ? pair[2 * i] : SIZE_MAX;
		m->group[2 * i + 1] = is_set ? pair[2 * i + 1] : SIZE_MAX;
	}
	return RC_OK;
}

const struct pattern_engine pattern_engine_pcre = {
	.type = "pcre",
	.words = { .unclosed = "ignoring this rule", .zero_index = "out of range" },
	.options = PCRE2_CASELESS | PCRE2_DOTALL,
	.option = option,
	.syntax = syntax,
	.compile = compile,
	.free_code = free_code,
	.new_context = new_context,
	.free_context = free_context,
	.match = match,
};

static enum rc
pcre_open(const struct map_how *how, void **out, struct err *e)
{
	return pattern_table_open(&pattern_engine_pcre, how, out, e);
}

const struct map_type map_type_pcre = {
	.name = "pcre",
	.watch = pattern_watch,
	.open = pcre_open,
	.close = pattern_table_close,
	.find = pattern_table_find,
};
