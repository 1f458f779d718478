/* Addresses mapped and expanded with tables that answer anything: the first line is the
 * address, each further line is what a table says next (empty: not found, "!": trouble).
 * Answers are fetched one by one, so that every decision is run again after each. */
#include "addr/address.h"
#include "route/mapping.h"
#include "route/testing.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EXPANSION = 20, DEPTH = 7, LENGTH = 200 };

struct script {
	struct str rest;
	unsigned n_answers;
};

static enum rc
next_answer(struct script *s, struct str *out)
{
	struct str line;

	if (s->rest.n == 0 || s->n_answers++ > 200)
		return RC_NONE;
	if (!str_cut(s->rest, '\n', &line, &s->rest)) {
		line = s->rest;
		s->rest.n = 0;
	}
	if (line.n == 0)
		return RC_NONE;
	*out = line;
	return str_is(line, "!") ? RC_TEMP : RC_OK;
}

static void
fetch(struct ask *a, struct script *s)
{
	struct str value = STR("");
	enum rc rc = next_answer(s, &value);

	ask_answer(a, rc, value);
}

static void
begin(struct mapping_conf *c, struct route_conf *route, struct arena *mem)
{
	enum rc rc;

	testing_conf(route, mem);
	*c = (struct mapping_conf){ .route = route,
		.canonical = testing_names("hash:can re:can", mem),
		.sender_canonical = testing_names("hash:scan", mem),
		.canonical_classes = 15,
		.sender_canonical_classes = 15,
		.masquerade_classes = 15,
		.virtual_alias = testing_names("hash:va", mem),
		.virtual_expansion_limit = EXPANSION,
		.virtual_recursion_limit = DEPTH,
		.virtual_length_limit = LENGTH,
		.propagate = MAPPING_EXT_CANONICAL | MAPPING_EXT_VIRTUAL,
		.sender_bcc = testing_names("hash:bcc", mem) };
	rc = mapping_masquerade_parse(STR("!a.b b"), mem, c, NULL);
	assert(rc == RC_OK);
}

static void
map(const struct mapping_conf *c, enum mapping_class cls, struct str address,
    struct script *s, struct arena *mem)
{
	struct str out = STR(""), copy = STR("");
	struct err e = { 0 };
	struct ask a;
	enum rc rc;

	ask_init(&a, mem, 100);
	while ((rc = mapping_address(&a, c, cls, address, &out, &e)) == RC_MORE)
		fetch(&a, s);
	assert(rc == RC_OK || (rc == RC_TEMP && e.text[0] != '\0'));
	while (
	    (rc = mapping_bcc(&a, c, MAPPING_ENVELOPE_SENDER, out, &copy, &e)) == RC_MORE)
		fetch(&a, s);
	assert(rc == RC_OK || rc == RC_NONE || rc == RC_TEMP);
}

static void
expand(
    const struct mapping_conf *c, struct str address, struct script *s, struct arena *mem)
{
	struct mapping_expansion x;
	struct err e = { 0 };
	struct ask a;
	size_t before = 0;
	enum rc rc = mapping_expansion_init(&x, mem, address);

	ask_init(&a, mem, 100);
	while (rc == RC_OK || rc == RC_MORE) {
		if (rc == RC_OK)
			ask_reset(&a, mem);
		before = x.n;
		rc = mapping_expansion_step(&a, c, &x, &e);
		if (rc == RC_MORE) {
			assert(x.n == before); /* nothing has happened */
			fetch(&a, s);
		}
	}
	if (rc == RC_NONE) {
		assert(x.n >= 1 && x.at == x.n);
		for (size_t i = 1; i < x.n; i++)
			assert(x.v[i].n <= LENGTH);
	} else {
		assert(rc == RC_TEMP && e.text[0] != '\0');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { .rest = str_n(data, size) };
	struct mapping_found found;
	struct route_conf route;
	struct mapping_conf c;
	struct arena *mem;
	struct str address;

	if (size > 65536)
		return 0;
	mem = arena_new(16 << 20);
	begin(&c, &route, mem);
	if (mapping_list_parse(s.rest, mem, &found) == RC_OK)
		for (size_t i = 0; i < found.n; i++)
			assert(found.v[i].n <= ADDR_MAX);
	if (!str_cut(s.rest, '\n', &address, &s.rest)) {
		address = s.rest;
		s.rest = STR("");
	}
	map(&c, (enum mapping_class)(size % 4), address, &s, mem);
	expand(&c, address, &s, mem);
	arena_free(&mem);
	return 0;
}
