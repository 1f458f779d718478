#ifndef MAP_TESTING_H
#define MAP_TESTING_H
/* What the tests of tables share: a folder of their own, and short words for files and
 * look-ups. Included behind cmocka's headers, once for each test program. */
#include "map/map_int.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/hk-map-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	struct dirent *de;
	DIR *d = opendir(dir);

	(void)state;
	while ((de = readdir(d)) != NULL) {
		char path[600];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		if (de->d_name[0] != '.')
			(void)unlink(path);
	}
	(void)closedir(d);
	return rmdir(dir);
}

static const char *
path(const char *name)
{
	static char p[300];

	(void)snprintf(p, sizeof(p), "%s/%s", dir, name);
	return p;
}

static void
write_file(const char *name, const char *text)
{
	char tmp[320];
	FILE *f;

	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", path(name));
	f = fopen(tmp, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, path(name)), 0);
}

static struct map *
open_in(struct map_set *s, const char *type, const char *name)
{
	char spec[400];
	struct map *m = NULL;

	(void)snprintf(
	    spec, sizeof(spec), "%s:%s", type, name[0] == '/' ? path(name + 1) : name);
	assert_int_equal(map_set_open(s, str_c(spec), 0, &m, NULL), RC_OK);
	return m;
}

/* The value, or the result's name and why. */
static const char *
find(struct map *m, const char *key, unsigned flags)
{
	static char line[600];
	struct arena *mem = arena_new(1 << 16);
	struct err e = { 0 };
	struct str out;
	enum rc rc = map_find(m, str_c(key), flags, mem, &out, &e);

	if (rc == RC_OK)
		(void)snprintf(line, sizeof(line), "%.*s", STR_ARG(out));
	else
		(void)snprintf(line, sizeof(line), "%s%s%s", rc_name(rc),
		    e.text[0] != '\0' ? " " : "", e.text);
	arena_free(&mem);
	return line;
}
#endif
