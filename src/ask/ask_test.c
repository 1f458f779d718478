#include "ask/ask.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* A decision: the mailbox behind an alias that may lead through another alias. */
static enum rc
decide(struct ask *a, struct str who, struct str *out)
{
	for (int i = 0; i < 5; i++) {
		enum rc rc = ask_map(a, STR("hash:alias"), who, 0, out);

		if (rc == RC_NONE) {
			*out = who;
			return RC_OK;
		}
		if (rc != RC_OK)
			return rc;
		who = *out;
	}
	return RC_PERM;
}

static void
reruns_until_answered(void **state)
{
	struct arena *mem = arena_new(1 << 16);
	struct buf b;
	struct ask a;
	struct str out;
	int rounds = 0;

	(void)state;
	ask_init(&a, mem, 0);
	while (decide(&a, STR("joe"), &out) == RC_MORE) {
		if (str_is(a.wanted.key, "joe"))
			ask_answer(&a, RC_OK, STR("jim"));
		else
			ask_answer(&a, RC_NONE, STR(""));
		rounds++;
	}
	assert_int_equal(rounds, 2);
	assert_true(str_is(out, "jim"));
	buf_init(&b, 1000);
	assert_int_equal(ask_explain(&a, &b), RC_OK);
	assert_true(str_is(
	    buf_view(&b), "map hash:alias joe = jim\nmap hash:alias jim (not found)\n"));
	buf_fini(&b);
	arena_free(&mem);
}

static enum rc
from_memory(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	unsigned *n = ctx;

	(void)mem;
	(*n)++;
	if (str_is(q->source, "slow:"))
		return RC_MORE;
	if (str_is(q->source, "bad:")) {
		*out = STR("on fire");
		return RC_PERM;
	}
	if (!str_is(q->key, "k"))
		return RC_NONE;
	*out = STR("v");
	return RC_OK;
}

static void
immediate_answers(void **state)
{
	struct arena *mem = arena_new(1 << 16);
	struct ask_tables t;
	unsigned n = 0;
	struct ask a;
	struct str out;

	(void)state;
	ask_init(&a, mem, 3);
	a.now = from_memory;
	a.now_ctx = &n;
	assert_int_equal(ask_map(&a, STR("x:"), STR("k"), 0, &out), RC_OK);
	assert_true(str_is(out, "v"));
	assert_int_equal(ask_map(&a, STR("x:"), STR("k"), 0, &out), RC_OK);
	assert_int_equal(n, 1); /* remembered */
	assert_int_equal(ask_map(&a, STR("x:"), STR("k"), ASK_PARTIAL, &out), RC_OK);
	assert_int_equal(n, 2); /* another question */
	assert_int_equal(ask_map(&a, STR("slow:"), STR("k"), 0, &out), RC_MORE);
	assert_true(a.has_wanted && str_is(a.wanted.source, "slow:"));
	ask_answer(&a, RC_OK, STR("s"));
	assert_int_equal(ask_map(&a, STR("slow:"), STR("k"), 0, &out), RC_OK);
	assert_true(str_is(out, "s"));
	assert_int_equal(ask_map(&a, STR("x:"), STR("fourth"), 0, &out), RC_TEMP);
	assert_int_equal(ask_map(&a, STR("x:"), STR(""), 0, &out), RC_NONE);

	ask_reset(&a, mem);
	assert_int_equal(ask_tables_parse(STR("x:, bad:"), mem, &t, NULL), RC_OK);
	assert_int_equal(ask_tables(&a, &t, STR("k"), 0, &out), RC_OK);
	assert_int_equal(ask_tables(&a, &t, STR("q"), 0, &out), RC_TEMP);
	assert_true(str_is(ask_trouble(&a, mem), "bad:: lookup of \"q\": on fire"));
	arena_free(&mem);
}

static void
table_lists(void **state)
{
	static const struct {
		const char *in;
		enum rc rc;
		unsigned n;
		const char *last;
	} cases[] = {
		{ "", RC_OK, 0, "" },
		{ " , ", RC_OK, 0, "" },
		{ "hash:/a", RC_OK, 1, "hash:/a" },
		{ "hash:/a, texthash:/b\n\tcdb:/c", RC_OK, 3, "cdb:/c" },
		{ "inline:{ a=b, {c = d e} } x:y", RC_OK, 2, "x:y" },
		{ "x:y inline:{ a=b, {c = d e} }", RC_OK, 2,
		    "inline:{ a=b, {c = d e} }" },
		{ "inline:{ a=b", RC_PERM, 0, "" },
		{ "x} y", RC_PERM, 0, "" },
	};
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ask_tables t = { 0 };

		assert_int_equal(
		    ask_tables_parse(str_c(cases[i].in), mem, &t, NULL), cases[i].rc);
		assert_int_equal(t.n, cases[i].n);
		if (t.n > 0)
			assert_true(str_is(t.v[t.n - 1], cases[i].last));
	}
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reruns_until_answered),
		cmocka_unit_test(immediate_answers),
		cmocka_unit_test(table_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
