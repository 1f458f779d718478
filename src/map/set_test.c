/* What a set makes of its tables: their members, who may ask them, their new versions;
 * and tables that are changed in place. */
#include "map/build.h"
#include "map/map_int.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "map/testing.h"

/* A member's new version is noticed, and its file is one of the set's. */
static void
note_path(void *ctx, struct str file)
{
	if (str_eq(file, str_c(path("member"))))
		++*(int *)ctx;
}

static void
members(void **state)
{
	struct map_set *s = map_set_new(NULL);
	char spec[800];
	struct map *m;
	int n = 0;

	(void)state;
	(void)snprintf(spec, sizeof(spec),
	    "pipemap:{unionmap:{static:a texthash:%s} texthash:%s}", path("member"),
	    path("member"));
	assert_int_equal(map_set_open(s, str_c(spec), 0, &m, NULL), RC_OK);
	assert_non_null(strstr(find(m, "k", 0), "No such file or directory"));
	write_file("member", "k v\na,v w\n");
	map_set_refresh(s, 0);
	assert_string_equal(find(m, "k", 0), "w");
	assert_string_equal(find(m, "l", 0), "none");
	map_set_paths(s, note_path, &n);
	assert_int_equal(n, 2);
	map_set_free(&s);
}

/* However deep the names go, the stack does not. */
static void
nesting(void **state)
{
	struct map_set *s = map_set_new(NULL);
	char *deep = mem_get(600001), *p = deep;
	struct map *m;

	(void)state;
	for (int i = 0; i < 100000; i++)
		p = stpcpy(p, "debug:");
	assert_int_equal(map_set_open(s, str_c(deep), 0, &m, NULL), RC_OK);
	assert_memory_equal(find(m, "k", 0), "temp", 4);
	p = deep;
	for (int i = 0; i < 50000; i++)
		p = stpcpy(p, "pipemap:{");
	assert_int_equal(map_set_open(s, str_c(deep), 0, &m, NULL), RC_OK);
	assert_memory_equal(find(m, "k", 0), "temp", 4);
	free(deep);
	map_set_free(&s);
}

/* In the settings of a table that has some. */
static void
a_table_that_names_itself(void **state)
{
	static const struct {
		const char *before, *behind;
	} settings[] = { { "backup = ", "\n" }, { "domain = ", "\n" },
		{ "backup = unionmap:{static:x,", "}\n" } };
	const struct map_env env = { .asks_remote = true };
	char spec[320], text[512];

	(void)state;
	(void)snprintf(spec, sizeof(spec), "memcache:%s", path("itself.cf"));
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct map_open_request req = { .spec = str_c(spec), .env = &env };
		struct err e = { 0 };
		struct map *m;

		(void)snprintf(text, sizeof(text), "%s%s%s", settings[i].before, spec,
		    settings[i].behind);
		write_file("itself.cf", text);
		assert_int_not_equal(map_open(&req, &m, &e), RC_OK);
		assert_non_null(strstr(e.text, "tables inside each other: "));
	}
	write_file("itself.cf", "backup = static:x\n");
	{
		struct map_open_request req = { .spec = str_c(spec), .env = &env };
		struct map *m;

		assert_int_equal(map_open(&req, &m, NULL), RC_OK);
		map_close(&m);
	}
}

/* What decides whose files are written must not be asked of anybody on the way: not when
 * others opened the same table before, and not by way of `lookup` either. */
static void
forged_answers_decide_whose_files_are_written(void **state)
{
	static const char *const specs[] = { "tcp:localhost:1", "socketmap:inet:x:1:y",
		"memcache:/x", "proxy:mysql:/x", "unionmap:{static:x,tcp:localhost:1}",
		"pipemap:{static:x,proxy:ldap:/x}", "debug:proxy:sqlite:/x" };
	const struct map_env worker = { .asks_remote = false };
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct map_set *s = map_set_new(&worker);
		struct map *others, *m;
		struct err e = { 0 };
		struct str value;

		assert_int_equal(map_set_open(s, str_c(specs[i]), 0, &others, &e), RC_OK);
		assert_int_equal(
		    map_find(others, STR("joe"), 0, mem, &value, &e), RC_MORE);
		assert_int_equal(
		    map_find(others, STR("joe"), MAP_PARANOID, mem, &value, &e), RC_TEMP);
		assert_non_null(strstr(e.text, "is not allowed for security sensitive"));
		map_set_free(&s);
		s = map_set_new(&worker);
		assert_int_equal(
		    map_set_open(s, str_c(specs[i]), MAP_PARANOID, &m, &e), RC_OK);
		assert_int_equal(map_find(m, STR("joe"), 0, mem, &value, &e), RC_TEMP);
		map_set_free(&s);
	}
	arena_free(&mem);
}

static void
text_changes(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct map *m;

	(void)state;
	m = open_in(s, "texthash", "/t");
	assert_non_null(strstr(find(m, "a", 0), "No such file or directory"));
	write_file("t", "A  one\nb two\n");
	map_set_refresh(s, 0);
	assert_string_equal(find(m, "a", 0), "one");
	assert_string_equal(find(m, "B", 0), "two");
	assert_string_equal(find(m, "", 0), "none");
	write_file("t", "a  changed\n");
	map_set_refresh(s, US_PER_SEC - 1);
	assert_string_equal(find(m, "a", 0), "one"); /* looked less than a second ago */
	map_set_refresh(s, US_PER_SEC);
	assert_string_equal(find(m, "a", 0), "changed");
	assert_string_equal(find(m, "b", 0), "none");
	assert_int_equal(unlink(path("t")), 0);
	map_set_refresh(s, 3 * US_PER_SEC);
	assert_string_equal(find(m, "a", 0), "changed"); /* the old version serves */
	map_set_free(&s);
}

static enum rc
count(void *ctx, struct str key, struct str value)
{
	(void)key;
	(void)value;
	++*(size_t *)ctx;
	return RC_OK;
}

static size_t
count_of(struct map *m)
{
	size_t n = 0;

	assert_int_equal(map_each(m, count, &n, NULL), RC_OK);
	return n;
}

static struct map *
open_writer(const char *type, const char *name)
{
	struct map_open_request req = { .for_writing = true };
	struct map *w = NULL;
	char spec[400];

	(void)snprintf(spec, sizeof(spec), "%s:%s", type, path(name));
	req.spec = str_c(spec);
	assert_int_equal(map_open(&req, &w, NULL), RC_OK);
	return w;
}

/* What somebody finds who opens the table now. */
static const char *
find_anew(const char *type, const char *name, const char *key)
{
	struct map_set *s = map_set_new(NULL);
	const char *got = find(open_in(s, type, name), key, 0);

	map_set_free(&s);
	return got;
}

/* Is changed in place, and whoever asks then sees it. */
static void
in_place_of(const char *type)
{
	enum { KEYS = 20 };
	struct map *w = open_writer(type, "cache");

	assert_string_equal(find(w, "k1", 0), "none");
	assert_string_equal(find_anew(type, "/cache", "k1"), "none");
	assert_int_equal(map_delete(w, STR("k1"), NULL), RC_NONE);
	for (int i = 0; i < 3 * KEYS; i++) {
		char key[20], value[20];

		(void)snprintf(key, sizeof(key), "k%d", i % KEYS);
		(void)snprintf(value, sizeof(value), "v%d", i);
		assert_int_equal(map_put(w, str_c(key), str_c(value), NULL), RC_OK);
		assert_string_equal(find(w, key, 0), value);
		assert_string_equal(find_anew(type, "/cache", key), value);
	}
	assert_int_equal(count_of(w), KEYS);
	assert_int_equal(map_delete(w, STR("k1"), NULL), RC_OK);
	assert_int_equal(map_delete(w, STR("k1"), NULL), RC_NONE);
	assert_string_equal(find(w, "k1", 0), "none");
	assert_string_equal(find_anew(type, "/cache", "k1"), "none");
	assert_int_equal(count_of(w), KEYS - 1);
	map_close(&w);
	assert_string_equal(find_anew(type, "/cache", "k2"), "v42");
	w = open_writer(type, "cache"); /* what is there stays */
	assert_string_equal(find(w, "k2", 0), "v42");
	map_close(&w);
	(void)unlink(path("cache.db"));
	(void)unlink(path("cache.lmdb"));
}

static void
in_place(void **state)
{
	static const char *const fixed[] = { "static:x", "cdb:x", "texthash:x" };
	struct map *w;

	(void)state;
	in_place_of("hash");
	in_place_of("btree");
	in_place_of("lmdb");
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		struct map_open_request req = { .spec = str_c(fixed[i]),
			.for_writing = true };

		assert_int_equal(map_open(&req, &w, NULL), RC_PERM);
	}
}

/* Those who opened it before the change see it, too: lmdb: at once. */
static void
in_place_for_readers(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct map *w = open_writer("lmdb", "seen");
	struct map *r = open_in(s, "lmdb", "/seen");

	(void)state;
	for (int i = 0; i < 10; i++) {
		char value[20];

		(void)snprintf(value, sizeof(value), "v%d", i);
		assert_int_equal(map_put(w, STR("k"), str_c(value), NULL), RC_OK);
		assert_string_equal(find(r, "k", 0), value);
	}
	assert_int_equal(map_delete(w, STR("k"), NULL), RC_OK);
	assert_string_equal(find(r, "k", 0), "none");
	map_close(&w);
	map_set_free(&s);
}

/* Files of postmap have keys with a NUL, or without: never two entries of one key. */
static void
in_place_of_either_form(void **state)
{
	static const char *const types[] = { "hash", "btree", "lmdb" };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(types); i++) {
		const char *type = types[i / 2];
		char name[20];
		struct map_build_request req = {
			.type = str_c(type), .without_nul = i % 2 == 0, .mode = 0600
		};
		struct map_build *b;
		struct map *w;

		(void)snprintf(name, sizeof(name), "form%zu", i);
		req.path = str_c(path(name));
		assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
		assert_int_equal(
		    map_build_put(b, STR("a"), STR("1"), false, NULL), RC_OK);
		assert_int_equal(
		    map_build_put(b, STR("b"), STR("2"), false, NULL), RC_OK);
		assert_int_equal(map_build_commit(&b, NULL), RC_OK);
		w = open_writer(type, name);
		assert_int_equal(map_put(w, STR("a"), STR("new"), NULL), RC_OK);
		assert_string_equal(find(w, "a", 0), "new");
		assert_string_equal(find(w, "b", 0), "2");
		assert_int_equal(count_of(w), 2);
		assert_int_equal(map_delete(w, STR("a"), NULL), RC_OK);
		assert_int_equal(map_delete(w, STR("b"), NULL), RC_OK);
		assert_int_equal(map_delete(w, STR("a"), NULL), RC_NONE);
		assert_int_equal(count_of(w), 0);
		map_close(&w);
	}
}

#ifdef HAVE_BERKELEY_DB
/* Each entry of both processes is there: neither writes a page back that the other
 * changed. */
static void
in_place_by_two(void **state)
{
	static const char *const types[] = { "hash", "btree" };
	enum { EACH = 150 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct map *w = open_writer(types[i], types[i]);
		pid_t child = fork();
		int status, failed = 0;

		assert_true(child >= 0);
		for (int k = 0; k < EACH; k++) {
			char key[20];

			(void)snprintf(
			    key, sizeof(key), "%s%d", child == 0 ? "c" : "p", k);
			if (map_put(w, str_c(key), str_c(key), NULL) != RC_OK)
				failed = 1;
		}
		if (child == 0)
			_exit(failed);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_int_equal(failed, 0);
		assert_int_equal(count_of(w), 2 * EACH);
		assert_string_equal(find(w, "c7", 0), "c7");
		map_close(&w);
	}
}

static void
in_place_of_what_is_no_table(void **state)
{
	struct map_open_request req = { .for_writing = true };
	struct err e = { 0 };
	char spec[400];
	struct map *w;

	(void)state;
	assert_int_equal(mkfifo(path("fifo.db"), 0600), 0);
	write_file("text.db", "this is no table, and it stays as it is\n");
	(void)snprintf(spec, sizeof(spec), "hash:%s", path("fifo"));
	req.spec = str_c(spec);
	(void)alarm(20);
	assert_int_equal(map_open(&req, &w, &e), RC_TEMP);
	(void)alarm(0);
	assert_non_null(strstr(e.text, "not a file"));
	(void)snprintf(spec, sizeof(spec), "btree:%s", path("text"));
	req.spec = str_c(spec);
	assert_int_equal(map_open(&req, &w, &e), RC_TEMP);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(nesting),
		cmocka_unit_test(a_table_that_names_itself),
		cmocka_unit_test(forged_answers_decide_whose_files_are_written),
		cmocka_unit_test(text_changes),
		cmocka_unit_test(in_place),
		cmocka_unit_test(in_place_for_readers),
		cmocka_unit_test(in_place_of_either_form),
#ifdef HAVE_BERKELEY_DB
		cmocka_unit_test(in_place_by_two),
		cmocka_unit_test(in_place_of_what_is_no_table),
#endif
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
