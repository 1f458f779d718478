/* Any bytes as a value with ${…}, and as a list: evaluation ends soon, the result stays
 * inside its limit, and text without $ is its own value. The first byte splits the input
 * into two parameters. */
#include "base/arena.h"
#include "conf/expand.h"
#include "conf/list.h"
#include <assert.h>
#include <string.h>

#define RESULT_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct two {
	struct str a, b;
};

static enum rc
get(void *arg, struct str name, struct str *out, struct err *e)
{
	const struct two *t = arg;

	(void)e;
	if (!str_is(name, "a") && !str_is(name, "b"))
		return RC_NONE;
	*out = str_is(name, "a") ? t->a : t->b;
	return RC_OK;
}

static void
count(void *arg, struct str name)
{
	*(size_t *)arg += name.n;
}

static enum rc
no_file(void *arg, struct str path, struct arena *mem, struct str *out, struct err *e)
{
	(void)arg;
	(void)mem;
	(void)out;
	return err_set(e, RC_TEMP, "no file %.*s", STR_ARG(path));
}

static void
check_lists(struct str text, struct arena *mem)
{
	static const struct match_files none = { no_file, NULL };
	static const struct addr_ip client = { ADDR_IPV4, { 192, 0, 2, 1 } };
	struct match_list list;
	struct str rest = text, item;
	struct err e;

	while (conf_list_next(&rest, &item) == RC_OK)
		(void)conf_list_unbrace(item);
	if (match_list_parse(text, &none, mem, &list, &e) == RC_OK) {
		(void)match_list_has(&list, STR("a.example.com"), &client);
		(void)match_list_has(&list, STR(""), NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *mem = arena_new((size_t)16 << 20);
	struct expand_source from;
	struct two t = { 0 };
	struct str value;
	struct err e;
	size_t names = 0;

	if (size > 0) {
		t.a = str_head(str_n(data + 1, size - 1), data[0]);
		t.b = str_from(str_n(data + 1, size - 1), data[0]);
	}
	from = (struct expand_source){ get, &t };
	if (expand_text(&from, t.a, RESULT_MAX, mem, &value, &e) == RC_OK) {
		assert(value.n <= RESULT_MAX || str_eq(value, t.a));
		if (str_find(t.a, '$') == t.a.n)
			assert(str_eq(value, t.a));
		check_lists(value, mem);
	}
	expand_names(t.b, count, &names);
	assert(names <= t.b.n);
	check_lists(t.b, mem);
	arena_free(&mem);
	return 0;
}
