/* Any bytes as tables of patterns: their lines, their results, whole regexp:, pcre: and
 * cidr: tables in braces, and as an alias file. The first byte chooses; what stands
 * behind the first line end is the key. */
#include "map/alias_source.h"
#include "map/map.h"
#include "map/pattern.h"
#include "map/pattern_cidr.h"
#include "map/pattern_literal.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
hear(void *ctx, unsigned line, const char *text)
{
	size_t *heard = ctx;

	(void)line;
	assert(strlen(text) > 0);
	(*heard)++;
}

/* A line that is no rule was warned of; a result that passed can be expanded. */
static void
lines(struct str in, struct arena *mem)
{
	static const struct pattern_words words = { "x", "y" };
	static const size_t group[] = { 0, 1, SIZE_MAX, SIZE_MAX };
	const struct pattern_groups g = { STR("k"), group, 2 };
	struct pattern_lines l = pattern_lines_start(in, mem);
	struct pattern_line line;

	while (pattern_lines_next(&l, &line) == RC_OK) {
		size_t heard = 0;
		const struct pattern_warner w = { hear, &heard };
		struct pattern_regex_line r;
		struct pattern_literal known;
		struct pattern_subst s;
		struct cidr_line c;
		struct str out;

		assert(line.text.n > 0);
		if (cidr_line_parse(&line, &w, &c) != RC_OK)
			assert(heard == 1);
		heard = 0;
		if (pattern_regex_parse(&line, &words, &w, &r) != RC_OK) {
			assert(heard == 1);
			continue;
		}
		if (pattern_literal_scan(r.regex, PATTERN_PERL, mem, &known) == RC_OK)
			assert(known.text.n <= r.regex.n);
		if (pattern_subst_scan(r.value, 1, &words, &w, &s) != RC_OK)
			assert(heard == 1);
		else if (pattern_subst_expand(r.value, &g, mem, &out) == RC_OK)
			assert(s.has_dollars || str_eq(out, r.value));
	}
}

static void
table(const char *type, struct str in, struct arena *mem)
{
	struct str rules = in, key = STR("10.0.0.1"), out;
	struct map_open_request req = { .spec = STR("") };
	struct map *m;

	(void)str_cut(in, '\n', &rules, &key);
	req.spec = arena_printf(mem, "%s:{%.*s", type, STR_ARG(rules));
	if (req.spec.p == NULL || map_open(&req, &m, NULL) != RC_OK)
		return;
	(void)!map_find(m, str_head(key, 1000), 0, mem, &out, NULL);
	map_close(&m);
}

static void
regexp(struct str in, struct arena *mem)
{
	size_t n_plus = 0;

	/* libc copies what repeats: gigabytes for a++++++++ and for a{1,9999}{1,9999}.
	 * Administrators do not write that, and nobody else writes tables. */
	for (size_t i = 0; i < in.n; i++) {
		n_plus += in.p[i] == '+';
		if (in.p[i] == '{' && i + 1 < in.n && ascii_isdigit(in.p[i + 1]))
			return;
	}
	if (n_plus <= 8)
		table("regexp", in, mem);
}

static void
pcre(struct str in, struct arena *mem)
{
	table("pcre", in, mem);
}

static void
cidr(struct str in, struct arena *mem)
{
	table("cidr", in, mem);
}

static void
alias(struct str in, struct arena *mem)
{
	struct map_source s = map_source_start(in, mem);
	struct map_source_entry en;

	while (alias_source_next(&s, &en) == RC_OK)
		assert(en.is_skipped ? en.warning.n > 0 : en.key.n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[])(
	    struct str, struct arena *) = { lines, regexp, pcre, cidr, alias };
	struct arena *mem;

	if (size == 0 || size > 65536)
		return 0;
	mem = arena_new(16 << 20);
	what[data[0] % ARRAY_LEN(what)](str_n(data + 1, size - 1), mem);
	arena_free(&mem);
	return 0;
}
