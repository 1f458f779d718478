#include "map/plugin.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* The build folder's lib/hikyaku. */
static const char *
folder(char out[PATH_MAX])
{
	char exe[PATH_MAX - 20];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_true(n > 0);
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	(void)snprintf(out, PATH_MAX, "%s/lib/hikyaku", exe);
	return out;
}

static void
loads(void **state)
{
	const struct map_env env = { .asks_remote = true };
	const struct map_how how = { .name = STR("n"), .env = &env };
	const struct map_how unnamed = { .name = STR(""), .env = &env };
	struct arena *mem = arena_new(1 << 16);
	const struct map_type *t, *again;
	char where[PATH_MAX];
	struct err e = { 0 };
	struct str out;
	void *table;

	(void)state;
	assert_true(map_plugin_is_here("fixture", folder(where)));
	assert_int_equal(map_plugin_load("fixture", where, &t, &e), RC_OK);
	assert_int_equal(map_plugin_load("fixture", where, &again, &e), RC_OK);
	assert_ptr_equal(t, again);
	assert_int_equal(t->open(&how, &table, &e), RC_OK);
	assert_int_equal(t->find(table, STR("k"), 0, mem, &out, &e), RC_OK);
	assert_true(str_is(out, "n k"));
	t->close(table);
	/* Its copy of err_set writes into ours. */
	assert_int_equal(t->open(&unnamed, &table, &e), RC_PERM);
	assert_string_equal(e.text, "no name");
	arena_free(&mem);
}

static void
refuses(void **state)
{
	const struct map_env asks = { .asks_remote = true,
		.plugin_folder = "/nonexistent" };
	const struct map_env asks_not = { .plugin_folder = "/nonexistent" };
	struct map_open_request req = { .spec = STR("mysql:/x"), .env = &asks };
	struct arena *mem = arena_new(1 << 16);
	const struct map_type *t;
	struct err e = { 0 };
	struct str out;
	struct map *m;

	(void)state;
	assert_false(map_plugin_is_here("nosuch", "/nonexistent"));
	assert_int_equal(map_plugin_load("nosuch", "/nonexistent", &t, &e), RC_PERM);
	assert_int_equal(map_open(&req, &m, &e), RC_PERM);
	assert_string_equal(e.text,
	    "unsupported dictionary type: mysql. Is the hikyaku-mysql package "
	    "installed?");
	/* Who does not ask remote tables does not need the module either. */
	req.env = &asks_not;
	assert_int_equal(map_open(&req, &m, &e), RC_OK);
	assert_true(map_is_remote(m));
	assert_int_equal(map_find(m, STR("k"), 0, mem, &out, &e), RC_MORE);
	map_close(&m);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
