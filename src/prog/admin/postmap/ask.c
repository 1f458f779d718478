/* postmap -q, -s. */
#include "log/log.h"
#include "prog/admin/postmap/postmap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_ARENA ((size_t)64 << 20)

static struct map *
open_table(struct postmap *p, const char *table)
{
	struct str spec = postmap_spec(p, table);
	struct map *m = NULL;
	const struct map_env env = { .log = p->words, .asks_remote = true };
	const struct map_open_request req = { .spec = spec, .env = &env };
	struct err e = { 0 };

	if (map_open(&req, &m, &e) != RC_OK) {
		log_flush(p->words);
		command_fatal(&p->c, 1, "%s", e.text);
	}
	log_flush(p->words);
	return m;
}

static bool
find(struct postmap *p, struct map *m, struct str key, struct arena *mem, struct str *out)
{
	struct err e = { 0 };
	enum rc rc = map_find(m, key, p->keep_case ? MAP_NOFOLD : 0, mem, out, &e);

	if (rc != RC_OK && rc != RC_NONE)
		command_fatal(&p->c, 1, "table %.*s: query error: %s", /* compat */
		    STR_ARG(map_spec(m)), e.text);
	return rc == RC_OK;
}

/* Keys from standard input, one a line. */
static int
query_lines(struct postmap *p, struct map **maps, size_t n)
{
	struct arena *mem = arena_new(LINE_ARENA);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int status = 1;

	while ((len = getline(&line, &cap, stdin)) >= 0) {
		struct str key = str_n(line, (size_t)len), value;

		if (key.n > 0 && key.p[key.n - 1] == '\n')
			key.n--;
		for (size_t i = 0; i < n; i++)
			if (find(p, maps[i], key, mem, &value)) {
				(void)printf(
				    "%.*s\t%.*s\n", STR_ARG(key), STR_ARG(value));
				status = 0;
				break;
			}
		arena_reset(mem);
	}
	free(line);
	arena_free(&mem);
	return status;
}

int
postmap_query(struct postmap *p, char **tables, size_t n)
{
	struct map **maps;
	struct str value;
	int status = 1;

	if (strcmp(p->query, "-") != 0 && p->query[0] == '\0')
		return 1; /* compat: an empty key is nowhere */
	maps = mem_array(n + 1, sizeof(struct map *));
	for (size_t i = 0; i < n; i++) {
		/* One after the other: the next is opened only when it is needed, unless
		 * there are many keys. */
		maps[i] = open_table(p, tables[i]);
		if (strcmp(p->query, "-") == 0)
			continue;
		if (find(p, maps[i], str_c(p->query), p->c.mem, &value)) {
			(void)printf("%.*s\n", STR_ARG(value));
			status = 0;
			break;
		}
	}
	if (strcmp(p->query, "-") == 0)
		status = query_lines(p, maps, n);
	for (size_t i = 0; i < n; i++)
		map_close(&maps[i]);
	free(maps);
	return status;
}

static enum rc
print_entry(void *ctx, struct str key, struct str value)
{
	(void)ctx;
	(void)printf("%.*s\t%.*s\n", STR_ARG(key), STR_ARG(value));
	return RC_OK;
}

int
postmap_sequence(struct postmap *p, char **tables, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct map *m = open_table(p, tables[i]);
		struct err e = { 0 };
		enum rc rc = map_each(m, print_entry, NULL, &e);

		if (rc == RC_PERM)
			command_fatal(
			    &p->c, 1, "table %.*s: %s", STR_ARG(map_spec(m)), e.text);
		if (rc != RC_OK)
			command_fatal(&p->c, 1,
			    "table %.*s: sequence error: %s", /* compat */
			    STR_ARG(map_spec(m)), e.text);
		map_close(&m);
	}
	return 0;
}
