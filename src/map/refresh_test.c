/* What a table that is open answers when its file changes under it, or cannot be read. */
#include "map/build.h"
#include "map/map_int.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/hk-refresh-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL || chdir(dir) != 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink("t");
	(void)unlink("large.db");
	return rmdir(dir);
}

static void
write_in_place(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct map *
open_in(struct map_set *s, const char *spec)
{
	struct map *m = NULL;

	assert_int_equal(map_set_open(s, str_c(spec), 0, &m, NULL), RC_OK);
	return m;
}

static const char *
find(struct map *m, const char *key)
{
	static char line[600];
	struct arena *mem = arena_new(1 << 20);
	struct err e = { 0 };
	struct str out = STR("");
	enum rc rc = map_find(m, str_c(key), 0, mem, &out, &e);

	if (rc == RC_OK)
		(void)snprintf(line, sizeof(line), "%.*s", STR_ARG(str_head(out, 500)));
	else
		(void)snprintf(line, sizeof(line), "%s", rc == RC_NONE ? "none" : "temp");
	arena_free(&mem);
	return line;
}

/* cp -p, rsync: as long as before, with the time of before. */
static void
same_size_and_time(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct stat st;
	struct map *m;

	(void)state;
	write_in_place("t", "k one\n");
	assert_int_equal(stat("t", &st), 0);
	m = open_in(s, "texthash:t");
	map_set_refresh(s, US_PER_SEC);
	assert_string_equal(find(m, "k"), "one");
	do { /* the clock of files may stand still for some milliseconds */
		const struct timespec times[2] = { st.st_atim, st.st_mtim };
		struct stat now;

		write_in_place("t", "k two\n");
		assert_int_equal(utimensat(AT_FDCWD, "t", times, 0), 0);
		assert_int_equal(stat("t", &now), 0);
		if (now.st_ctim.tv_sec != st.st_ctim.tv_sec ||
		    now.st_ctim.tv_nsec != st.st_ctim.tv_nsec)
			break;
	} while (true);
	map_set_refresh(s, 3 * US_PER_SEC);
	assert_string_equal(find(m, "k"), "two");
	map_set_free(&s);
}

/* Nothing about the file changes when there are descriptors again. */
static void
closed_for_ever(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct rlimit old, none;
	struct map *m;

	(void)state;
	write_in_place("t", "k one\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	m = open_in(s, "texthash:t");
	assert_string_equal(find(m, "k"), "temp");
	map_set_refresh(s, 100 * US_PER_SEC);
	map_set_refresh(s, 120 * US_PER_SEC);
	assert_string_equal(find(m, "k"), "temp");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	map_set_refresh(s, 122 * US_PER_SEC);
	map_set_refresh(s, 140 * US_PER_SEC);
	assert_string_equal(find(m, "k"), "one");
	map_set_free(&s);
}

#ifdef HAVE_BERKELEY_DB
static void
build(const char *name, unsigned n)
{
	struct map_build_request req = {
		.type = STR("hash"), .path = str_c(name), .mode = 0600
	};
	static char value[60000];
	struct map_build *b;
	char key[30];

	memset(value, 'v', sizeof(value));
	assert_int_equal(map_build_new(&req, &b, NULL), RC_OK);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "key%u", i);
		assert_int_equal(map_build_put(b, str_c(key), str_n(value, sizeof(value)),
				     false, NULL),
		    RC_OK);
	}
	assert_int_equal(map_build_commit(&b, NULL), RC_OK);
}

/* Too large for memory: while somebody writes into the file, a key that is not found may
 * be there in a moment. */
static void
missed_while_written(void **state)
{
	struct map_set *s = map_set_new(NULL);
	struct map *m;
	struct stat st;
	char last;
	int fd;

	(void)state;
	build("large", 300);
	assert_int_equal(stat("large.db", &st), 0);
	assert_true(st.st_size > 16 << 20);
	m = open_in(s, "hash:large");
	map_set_refresh(s, US_PER_SEC);
	assert_string_equal(find(m, "nokey"), "none");
	fd = open("large.db", O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &last, 1, st.st_size - 1), 1);
	for (struct stat now = st; now.st_mtim.tv_sec == st.st_mtim.tv_sec &&
				   now.st_mtim.tv_nsec == st.st_mtim.tv_nsec;) {
		assert_int_equal(pwrite(fd, &last, 1, st.st_size - 1), 1);
		assert_int_equal(fstat(fd, &now), 0);
	}
	assert_string_equal(find(m, "nokey"), "temp");
	map_set_refresh(s, 3 * US_PER_SEC);
	assert_string_equal(find(m, "nokey"), "none");
	assert_int_equal(ftruncate(fd, 65536), 0);
	for (unsigned i = 0; i < 300; i += 10) {
		char key[30];

		(void)snprintf(key, sizeof(key), "key%u", i);
		assert_string_not_equal(find(m, key), "none");
	}
	assert_string_equal(find(m, "nokey"), "temp");
	(void)close(fd);
	map_set_free(&s);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_size_and_time),
		cmocka_unit_test(closed_for_ever),
#ifdef HAVE_BERKELEY_DB
		cmocka_unit_test(missed_while_written),
#endif
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
