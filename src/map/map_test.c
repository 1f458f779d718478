#include "map/build.h"
#include "map/map_int.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "map/testing.h"

static const struct {
	const char *type, *name, *key, *out;
	unsigned flags;
} simple[] = {
	{ "static", "abc", "x", "abc", 0 },
	{ "static", "{ a b }", "x", "a b", 0 },
	{ "static", "abc", "x", "abc", MAP_PARTIAL },
	{ "fail", "x", "k", "temp Application error", 0 },
	{ "fail", "x", "k", "none", MAP_PARTIAL },
	{ "inline", "{a=b,{c = d e} f=g}", "C", "d e", 0 },
	{ "inline", "{a=b,{c = d e} f=g}", "f", "g", 0 },
	{ "inline", "{A=b}", "a", "b", 0 },
	{ "inline", "{A=b}", "A", "none", MAP_NOFOLD },
	{ "inline", "{a=1,a=2}", "a", "1", 0 },
	{ "inline", "{a=}", "a",
	    "temp table inline:{a=}: lookup of \"a\" returns an empty string "
	    "result",
	    0 },
	{ "inline", "{a=}", "a", "", MAP_EMPTY_OK },
	{ "inline", "{a=1,b}", "a",
	    "temp inline:{a=1,b} is unavailable. missing '=' after attribute "
	    "name: \"inline:{a=1,b}\"; need \"inline:{name=value...}\"",
	    0 },
	{ "inline", "{{\"a b\"@c = \"d e\"}}", "\"a b\"@c", "\"d e\"", 0 },
	{ "inline", "{{\"a = b\"@c = d}}", "\"a = b\"@c", "d", 0 },
	{ "inline", "{{\"a\\\" b\" = d}}", "\"a\\\" b\"", "d", 0 },
	{ "inline", "{{a\\ b = c}}", "a\\ b", "c", 0 },
	{ "inline", "{{a=b=c}}", "a", "b=c", 0 },
	{ "inline", "{{a b = c}}", "a",
	    "temp inline:{{a b = c}} is unavailable. missing '=' after attribute "
	    "name: \"inline:{{a b = c}}\"; need \"inline:{name=value...}\"",
	    0 },
	{ "inline", "{{\"a = b}}", "a",
	    "temp inline:{{\"a = b}} is unavailable. unbalanced '\"': "
	    "\"inline:{{\"a = b}}\"; need \"inline:{name=value...}\"",
	    0 },
	{ "inline", "{}", "a",
	    "temp inline:{} is unavailable. bad syntax: \"inline:{}\"; need "
	    "\"inline:{name=value...}\"",
	    0 },
	{ "inline", "{a=b} c", "a",
	    "temp inline:{a=b} c is unavailable. bad syntax: \"inline:{a=b} c\"; "
	    "need \"inline:{name=value...}\"",
	    0 },
	{ "static", "{a b", "x",
	    "temp static:{a b is unavailable. bad static:name syntax: missing "
	    "'}' in \"{a b\"",
	    0 },
	{ "static", "{a b} c", "x",
	    "temp static:{a b} c is unavailable. bad static:name syntax: syntax "
	    "error after '}' in \"{a b} c\"",
	    0 },
	{ "internal", "x", "x", "none", 0 },
	{ "environ", "x", "PATH", "none", 0 },
	{ "environ", "x", "hk_map_test", "seen", 0 },
	{ "randmap", "{only}", "k", "only", 0 },
	{ "randmap", "{only}", "k", "none", MAP_PARTIAL },
	{ "randmap", "{ {a b} }", "k", "{a b}", 0 },
	{ "randmap", "{}", "k",
	    "temp randmap:{} is unavailable. bad syntax: \"randmap:{}\"; need "
	    "\"randmap:{value...}\"",
	    0 },
	{ "unionmap", "{static:one, inline:{foo=two}}", "foo", "one,two", 0 },
	{ "unionmap", "{static:one, inline:{foo=two}}", "bar", "one", 0 },
	{ "unionmap", "{inline:{foo=two} inline:{bar=}}", "bar", "none", 0 },
	{ "unionmap", "{static:{a b},static:c}", "x", "a b,c", 0 },
	{ "unionmap", "{static:a, fail:x}", "x", "temp Application error", 0 },
	{ "unionmap", "{static:a, nosuch:b}", "x",
	    "temp nosuch:b is unavailable. unsupported dictionary type: nosuch", 0 },
	{ "unionmap", "{static:a, randmap:{b}}", "x", "none", MAP_PARTIAL },
	{ "unionmap", "{static:a", "x",
	    "temp unionmap:{static:a is unavailable. bad syntax: "
	    "\"unionmap:{static:a\"; need \"unionmap:{type:name...}\"",
	    0 },
	{ "unionmap", "{static}", "x",
	    "temp unionmap:{static} is unavailable. bad syntax: "
	    "\"unionmap:{static}\"; need \"unionmap:{type:name...}\"",
	    0 },
	{ "unionmap", "{static:a mysql:/x}", "x", "more", 0 },
	{ "pipemap", "{inline:{foo=Two}, inline:{two=three}}", "Foo", "three", 0 },
	{ "pipemap", "{inline:{foo=two}, inline:{three=x}}", "foo", "none", 0 },
	{ "pipemap", "{inline:{a=b}, fail:x}", "foo", "none", 0 },
	{ "pipemap", "{inline:{a=b}, fail:x}", "a", "temp Application error", 0 },
	{ "pipemap", "{}", "x",
	    "temp pipemap:{} is unavailable. bad syntax: \"pipemap:{}\"; need "
	    "\"pipemap:{type:name...}\"",
	    0 },
	{ "pipemap", "{pipemap:{static:a} unionmap:{static:b,static:c}}", "x", "b,c", 0 },
	{ "debug", "inline:{a=b}", "A", "b", 0 },
	{ "debug", "mysql:/x", "A", "more", 0 },
	{ "debug", "static", "A",
	    "temp debug:static is unavailable. open dictionary: expecting "
	    "\"type:name\" form instead of \"static\"",
	    0 },
	{ "proxy", "static:y", "a", "y", 0 },
	{ "unix", "nosuch.byname", "a",
	    "temp unix:nosuch.byname is unavailable. unknown table: "
	    "unix:nosuch.byname",
	    0 },
};

static void
simple_types(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct map *m;

	(void)state;
	assert_int_equal(setenv("hk_map_test", "seen", 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(simple); i++) {
		m = open_in(s, simple[i].type, simple[i].name);
		assert_string_equal(
		    find(m, simple[i].key, simple[i].flags), simple[i].out);
	}
	m = open_in(s, "nosuch", "/x");
	assert_non_null(strstr(
	    find(m, "a", 0), "/x is unavailable. unsupported dictionary type: nosuch"));
	assert_int_equal(map_set_open(s, STR("plain"), 0, &m, NULL), RC_PERM);
	map_set_free(&s);
}

static void
type_list(void **state)
{
	(void)state;
	for (const char *const *t = map_types(); *t != NULL; t++) {
		assert_true(map_type_find(str_c(*t)) != NULL || strcmp(*t, "proxy") == 0);
		if (t[1] != NULL)
			assert_true(strcmp(t[0], t[1]) < 0);
	}
	assert_true(map_type_is_here("texthash"));
	assert_true(map_type_is_here("proxy"));
	assert_false(map_type_is_here("nosuch"));
}

static void
accounts(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct map *m = open_in(s, "proxy", "unix:passwd.byname");

	(void)state;
	assert_int_equal(strncmp(find(m, "root", 0), "root:", 5), 0);
	map_set_free(&s);
}

static void
name_services(void **state)
{
	static const struct {
		const char *text;
		bool passwd, group;
	} cases[] = {
		{ "", true, true },
		{ "passwd: files systemd\ngroup:\tfiles [SUCCESS=merge] systemd\n", true,
		    true },
		{ "passwd: files sss\ngroup: files\n", false, true },
		{ "#passwd: ldap\n group : compat ldap # x\n", true, false },
		{ "passwd: files # ldap\nhosts: dns\n", true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_c(cases[i].text);

		assert_int_equal(map_unix_is_local(text, STR("passwd")), cases[i].passwd);
		assert_int_equal(map_unix_is_local(text, STR("group")), cases[i].group);
	}
}

static void
build(const char *type, const char *name, bool without_nul, const char *key,
    const char *value)
{
	struct map_build_request req = { .type = str_c(type),
		.path = str_c(path(name)),
		.without_nul = without_nul,
		.mode = 0640 };
	struct map_build *b;

	assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
	assert_int_equal(map_build_put(b, str_c(key), str_c(value), false, NULL), RC_OK);
	assert_int_equal(map_build_put(b, str_c(key), STR("dup"), false, NULL), RC_NONE);
	assert_int_equal(map_build_put(b, STR("other"), STR("o"), false, NULL), RC_OK);
	assert_int_equal(map_build_commit(&b, NULL), RC_OK);
}

/* File of table `name` of this type. */
static const char *
file_of(const char *type, const char *name)
{
	static char file[100];

	(void)snprintf(file, sizeof(file), "%s%s", name, map_build_suffix(str_c(type)));
	return file;
}

static const char *const kinds[] = { "hash", "btree", "lmdb", "cdb" };

static void
indexed(void **state)
{
	struct map_set *s = map_set_new(NULL);
	int64_t now = 0;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		const char *type = kinds[i / 2];
		struct stat st;
		struct map *m;
		char name[20];

		(void)snprintf(name, sizeof(name), "/idx%zu", i);
		build(type, name + 1, i % 2 != 0, "key", "value");
		m = open_in(s, type, name);
		assert_string_equal(find(m, "KEY", 0), "value");
		assert_string_equal(find(m, "nokey", 0), "none");
		assert_int_equal(stat(path(file_of(type, name + 1)), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		build(type, name + 1, false, "key", "second");
		map_set_refresh(s, now += 2 * US_PER_SEC);
		assert_string_equal(find(m, "key", 0), "second");
		/* Something broken in its place never replaces it. */
		write_file(file_of(type, name + 1),
		    "this is not a database at all, not even nearly, far from it");
		map_set_refresh(s, now += 2 * US_PER_SEC);
		assert_string_equal(find(m, "key", 0), "second");
		assert_int_equal(unlink(path(file_of(type, name + 1))), 0);
		map_set_refresh(s, now += 2 * US_PER_SEC);
		assert_string_equal(find(m, "key", 0), "second");
	}
	map_set_free(&s);
}

enum { MANY = 3000 };

static void
build_many(const char *type, const char *name)
{
	struct map_build_request req = {
		.type = str_c(type), .path = str_c(path(name)), .mode = 0640
	};
	static char value[MANY * 8];
	struct map_build *b;
	char key[30];

	memset(value, 'v', sizeof(value));
	assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(key, sizeof(key), "key%u", i * 7919 % MANY);
		assert_int_equal(
		    map_build_put(b, str_c(key), str_n(value, i % 50 + 1), false, NULL),
		    RC_OK);
	}
	assert_int_equal(
	    map_build_put(b, STR("big"), str_n(value, sizeof(value)), false, NULL),
	    RC_OK);
	assert_int_equal(map_build_put(b, STR("key1"), STR("new"), true, NULL), RC_OK);
	assert_int_equal(map_build_commit(&b, NULL), RC_OK);
}

static enum rc
add_entry(void *ctx, struct str key, struct str value)
{
	(void)key;
	*(size_t *)ctx += 1 + (value.n == MANY * 8);
	return RC_OK;
}

/* Trees of several levels, values of many pages, walks. */
static void
large_in(const struct map_env *env)
{
	struct map_set *s = map_set_new(env);
	struct arena *mem = arena_new(1 << 20);
	char key[30];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = 0;
		struct str out;
		struct map *m;

		build_many(kinds[i], "many");
		m = open_in(s, kinds[i], "/many");
		for (unsigned k = 0; k < MANY; k++) {
			(void)snprintf(key, sizeof(key), "KEY%u", k * 7919 % MANY);
			arena_reset(mem);
			assert_int_equal(
			    map_find(m, str_c(key), 0, mem, &out, NULL), RC_OK);
			assert_int_equal(out.n, k * 7919 % MANY == 1 ? 3 : k % 50 + 1);
		}
		assert_int_equal(map_find(m, STR("big"), 0, mem, &out, NULL), RC_OK);
		assert_int_equal(out.n, MANY * 8);
		assert_string_equal(find(m, "key3000", 0), "none");
		assert_string_equal(find(m, "a", 0), "none");
		assert_string_equal(find(m, "z", 0), "none");
		assert_int_equal(map_each(m, add_entry, &n, NULL), RC_OK);
		assert_int_equal(n, MANY + 2);
	}
	arena_free(&mem);
	map_set_free(&s);
}

static void
large(void **state)
{
	const struct map_env command = { .asks_remote = true };

	(void)state;
	large_in(NULL);
	large_in(&command);
}

/* Somebody cuts the file short while it is open: an answer or trouble, never a signal or
 * "no such key" for one that was there. */
static void
cut_short(void **state)
{
	static const off_t sizes[] = { 100000, 50000, 8192, 4096, 100, 0 };
	struct map_set *s = map_set_new(NULL);
	char key[30];

	(void)state;
	for (size_t i = 2; i < ARRAY_LEN(kinds); i++) {
		struct map *m;
		size_t n = 0;

		build_many(kinds[i], "cut");
		m = open_in(s, kinds[i], "/cut");
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			assert_int_equal(
			    truncate(path(file_of(kinds[i], "cut")), sizes[j]), 0);
			for (unsigned k = 0; k < MANY; k += 100) {
				(void)snprintf(key, sizeof(key), "key%u", k);
				assert_string_not_equal(find(m, key, 0), "none");
			}
		}
		assert_memory_equal(find(m, "key7", 0), "temp ", 5);
		assert_int_equal(map_each(m, add_entry, &n, NULL), RC_TEMP);
	}
	map_set_free(&s);
}

static void
not_a_table(void **state)
{
	static const struct {
		const char *type, *out;
	} cases[] = {
		{ "lmdb", "Is a directory" },
		{ "cdb", "Is a directory" },
		{ "texthash", "Is a directory" },
#ifdef HAVE_BERKELEY_DB
		{ "hash", "Is a directory" },
		{ "btree", "Is a directory" },
#endif
	};
	struct map_set *s = map_set_new(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got;
		struct map *m;

		assert_int_equal(mkdir(path(file_of(cases[i].type, "dir")), 0700), 0);
		m = open_in(s, cases[i].type, "/dir");
		got = find(m, "k", 0);
		assert_memory_equal(got, "temp ", 5);
		assert_non_null(strstr(got, cases[i].out));
		assert_int_equal(rmdir(path(file_of(cases[i].type, "dir"))), 0);
	}
	map_set_free(&s);
}

static enum rc
count(void *ctx, struct str key, struct str value)
{
	(void)value;
	*(unsigned *)ctx += (unsigned)key.n;
	return RC_OK;
}

static void
incremental_of(const char *type)
{
	struct map_build_request req = {
		.type = str_c(type), .keep_entries = true, .must_exist = true
	};
	struct map_set *s = map_set_new(NULL);
	struct map_build *b;
	struct map *m, *one;
	unsigned n = 0;
	char spec[400];

	req.path = str_c(path("none"));
	assert_int_equal(map_build_new(&req, &b, NULL), RC_NONE);
	build(type, "inc", true, "first", "1");
	req.path = str_c(path("inc"));
	assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
	assert_int_equal(map_build_put(b, STR("more"), STR("2"), false, NULL), RC_OK);
	assert_int_equal(map_build_delete(b, STR("first"), NULL), RC_OK);
	assert_int_equal(map_build_delete(b, STR("first"), NULL), RC_NONE);
	m = open_in(s, type, "/inc");
	assert_string_equal(find(m, "first", 0), "1"); /* not committed yet */
	assert_int_equal(map_build_commit(&b, NULL), RC_OK);
	map_set_refresh(s, 5);
	assert_string_equal(find(m, "first", 0), "none");
	assert_string_equal(find(m, "more", 0), "2");
	assert_int_equal(map_each(m, count, &n, NULL), RC_OK);
	assert_int_equal(n, strlen("more") + strlen("other"));
	(void)snprintf(spec, sizeof(spec), "%s:%s", type, path("absent"));
	assert_int_equal(
	    map_open(&(struct map_open_request){ .spec = str_c(spec) }, &one, NULL),
	    RC_TEMP);
	assert_int_equal(
	    map_open(&(struct map_open_request){ .spec = STR("nosuch:/x") }, &one, NULL),
	    RC_PERM);
	req.type = STR("texthash");
	assert_int_equal(map_build_new(&req, &b, NULL), RC_PERM);
	map_set_free(&s);
}

static void
incremental(void **state)
{
	struct map_build_request cdb = { .type = STR("cdb"), .keep_entries = true };
	struct map_build *b;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		incremental_of(kinds[i]);
	cdb.path = str_c(path("inc"));
	assert_int_equal(map_build_new(&cdb, &b, NULL), RC_PERM);
}

static void
a_fifo_in_the_place_of_a_table_stops_its_builder(void **state)
{
	struct map_build_request req = { .type = STR("hash"), .mode = 0600 };
	struct map_build *b;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(mkfifo(path("fifo.db"), 0600), 0);
	assert_int_equal(mkfifo(path("fifo.lmdb"), 0600), 0);
	req.path = str_c(path("fifo"));
	(void)alarm(20);
	assert_int_equal(map_build_new(&req, &b, &e), RC_TEMP);
	(void)alarm(0);
	assert_non_null(strstr(e.text, "not a file"));
}

static void
a_table_with_entries_of_anybody_is_set_uid(void **state)
{
	struct map_build_request req = { .type = STR("cdb"), .mode = 0600 };
	struct map_build *b;
	struct stat st;

	(void)state;
	write_file("setuid.cdb", "");
	assert_int_equal(chmod(path("setuid.cdb"), 06755), 0);
	req.path = str_c(path("setuid"));
	assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
	assert_int_equal(map_build_commit(&b, NULL), RC_OK);
	assert_int_equal(stat(path("setuid.cdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(simple_types),
		cmocka_unit_test(a_fifo_in_the_place_of_a_table_stops_its_builder),
		cmocka_unit_test(a_table_with_entries_of_anybody_is_set_uid),
		cmocka_unit_test(type_list),
		cmocka_unit_test(accounts),
		cmocka_unit_test(name_services),
		cmocka_unit_test(indexed),
		cmocka_unit_test(large),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(not_a_table),
		cmocka_unit_test(incremental),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
