/* Any bytes as the source of a lookup table, a list of tables, a match list,
 * restrictions, a transport entry and an address to route. The first byte chooses. */
#include "access/access.h"
#include "ask/ask.h"
#include "map/map.h"
#include "map/source.h"
#include "route/testing.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the table is asked for, it says the input: routes then lead anywhere. */
static enum rc
answer(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	struct str *value = ctx;

	(void)mem;
	if (value->n == 0 || (q->flags & ASK_PARTIAL) != 0)
		return RC_NONE;
	*out = *value;
	return RC_OK;
}

static void
source(struct str in, struct arena *mem)
{
	struct arena *lines = arena_new(1 << 20);
	struct map_source s = map_source_start(in, lines);
	struct map_source_entry en;

	(void)mem;
	while (map_source_next(&s, &en) == RC_OK) {
		assert(en.is_skipped || (en.key.n > 0 && en.value.n > 0));
		assert(!en.is_skipped || en.warning.n > 0);
		assert(en.is_skipped || str_find(en.key, '\n') == en.key.n);
		arena_reset(lines);
	}
	arena_free(&lines);
}

static void
tables(struct str in, struct arena *mem)
{
	struct str spec = arena_printf(mem, "inline:%.*s", STR_ARG(in));
	struct ask_tables t;
	struct map *m;
	struct str out;

	if (ask_tables_parse(in, mem, &t, NULL) == RC_OK)
		for (unsigned i = 0; i < t.n; i++)
			assert(t.v[i].n > 0);
	if (spec.p != NULL &&
	    map_open(&(struct map_open_request){ .spec = spec }, &m, NULL) == RC_OK) {
		enum rc rc = map_find(m, STR("a"), 0, mem, &out, NULL);

		assert(rc != RC_OK || out.n > 0);
		map_close(&m);
	}
}

static void
list(struct str in, struct arena *mem)
{
	struct route_list l;
	struct ask a;

	ask_init(&a, mem, 50);
	a.now = answer;
	a.now_ctx = &(struct str){ NULL, 0 };
	if (route_list_parse(in, ROUTE_LIST_PARENTS, mem, &l, NULL) != RC_OK)
		return;
	(void)!route_list_domain(&a, &l, STR("a.example.test"));
	(void)!route_list_client(&a, &l, STR("a.example.test"), STR("2001:db8::1"));
}

static void
restrictions(struct str in, struct arena *mem)
{
	struct route_conf route;
	struct access_conf c = { .route = &route, .reject_code = 554, .defer_code = 450 };
	const struct access_request q = { .client_name = STR("c.test"),
		.client_addr = STR("192.0.2.9"),
		.recipient = in };
	struct access_state state = { 0 };
	struct access_verdict v;
	struct ask a;

	testing_conf(&route, mem);
	ask_init(&a, mem, 0);
	a.now = answer;
	a.now_ctx = &(struct str){ NULL, 0 };
	if (access_compile(in, NULL, mem, &c.list[ACCESS_RELAY], NULL) != RC_OK)
		return;
	(void)!access_check_relay(&c, NULL);
	if (access_run(&a, &c, ACCESS_RECIPIENT, &q, &state, &v) == RC_OK)
		assert(v.what != ACCESS_REJECT || v.reply.n >= 4);
}

static void
address(struct str in, struct arena *mem)
{
	struct str value = { NULL, 0 }, out;
	struct route_conf c;
	struct route r;
	struct ask a;

	testing_conf(&c, mem);
	ask_init(&a, mem, 0);
	a.now = answer;
	(void)str_cut(in, '\n', &in, &value);
	a.now_ctx = &value;
	if (route_resolve(&a, &c, in, in, &r, NULL) == RC_OK)
		assert(r.transport.n > 0);
	/* At most @$myorigin or .$mydomain is added. */
	if (route_rewrite(&c, in, mem, &out) == RC_OK)
		assert(out.n <= in.n + 1 + c.myorigin.n + 1 + c.mydomain.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[])(
	    struct str, struct arena *) = { source, tables, list, restrictions, address };
	struct arena *mem;

	if (size == 0 || size > 65536)
		return 0;
	mem = arena_new(16 << 20);
	what[data[0] % ARRAY_LEN(what)](str_n(data + 1, size - 1), mem);
	arena_free(&mem);
	return 0;
}
