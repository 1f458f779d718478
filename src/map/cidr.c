/* cidr:/file — networks in the order in which they are written. */
#include "map/pattern_cidr.h"
#include "map/pattern_table.h"
#include <stdlib.h>

#define TABLE_MAX ((size_t)4 << 30)

struct cidr {
	struct arena *mem; /* text, values */
	struct cidr_rules *rules;
};

static void
cidr_close(void *state)
{
	struct cidr *c = state;

	cidr_rules_free(&c->rules);
	arena_free(&c->mem);
	free(c);
}

static enum rc
read_rules(struct cidr *c, struct pattern_place *place, struct err *e)
{
	const struct pattern_warner w = { .fn = pattern_place_warn, .ctx = place };
	struct pattern_lines lines;
	struct pattern_line line;
	struct cidr_line l;
	struct str text;
	enum rc rc = pattern_load(place->type, place->name, c->mem, &text, e);

	if (rc != RC_OK)
		return rc;
	lines = pattern_lines_start(text, c->mem);
	while ((rc = pattern_next(&lines, place, &line, e)) == RC_OK)
		if (cidr_line_parse(&line, &w, &l) == RC_OK)
			cidr_rules_add(c->rules, &l, line.line, &w);
	cidr_rules_done(c->rules, &w);
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc
cidr_open(const struct map_how *how, void **out, struct err *e)
{
	struct pattern_place place = {
		.type = "cidr", .name = how->name, .log = how->env->log
	};
	struct cidr *c = mem_get(sizeof(*c));
	enum rc rc;

	c->mem = arena_new(TABLE_MAX);
	c->rules = cidr_rules_new();
	rc = read_rules(c, &place, e);
	if (rc == RC_OK)
		*out = c;
	else
		cidr_close(c);
	return rc;
}

static enum rc
cidr_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct cidr *c = state;
	struct cidr_net addr;
	struct str value;
	enum rc rc;

	(void)flags;
	if (cidr_addr_parse(key, &addr) != RC_OK)
		return RC_NONE;
	rc = cidr_rules_find(c->rules, &addr, &value);
	return rc != RC_OK ? rc : map_copy(value, mem, out, e);
}

const struct map_type map_type_cidr = {
	.name = "cidr",
	.watch = pattern_watch,
	.open = cidr_open,
	.close = cidr_close,
	.find = cidr_find,
};
