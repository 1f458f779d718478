/* postmap and postalias -q, -s, -j, and -b -h -m: asking tables. */
#include "agent/table_int.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "log/log.h"
#include "mime/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_ARENA  ((size_t)64 << 20)
#define HEADER_MAX  ((size_t)16 << 20)
#define BOUNDARIES  100  /* mime_nesting_limit's default */
#define BOUNDARY_N  2048 /* mime_boundary_length_limit's default */
#define OUTPUT_SIZE 65536

/* ---- one answer ---- */

static void
put(struct str s)
{
	(void)fwrite(s.p, 1, s.n, stdout);
}

static void
put_json(struct str s)
{
	(void)putchar('"');
	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = utf8_char_size(s);

		if (c == '"' || c == '\\')
			(void)printf("\\%c", c);
		else if (c < ' ' || c == 0x7f)
			(void)printf("\\u%04X", c);
		else if (n == 0)
			(void)putchar('?');
		else
			put(str_head(s, n));
		s = str_from(s, n == 0 ? 1 : n);
	}
	(void)putchar('"');
}

static void
put_pair(const struct table_command *t, struct str key, struct str value)
{
	if (t->json) {
		(void)putchar('{');
		put_json(key);
		(void)fputs(": ", stdout);
		put_json(value);
		(void)fputs("}\n", stdout);
		return;
	}
	put(key);
	if (t->dialect->is_alias)
		(void)putchar(':');
	(void)putchar('\t');
	put(value);
	(void)putchar('\n');
}

/* -F: the value is what a file contained. False: it is not. */
static bool
decode(struct table_command *t, struct map *m, struct str key, struct arena *mem,
    struct str *value)
{
	struct str name = table_file_name(t, map_spec(m));

	switch (base64_decode(*value, mem, value)) {
	case RC_OK:
		return true;
	case RC_TEMP:
		command_fatal(&t->c, 1, "table %.*s: key %.*s: memory limit",
		    STR_ARG(name), STR_ARG(key));
	case RC_PERM:
	case RC_NONE:
	case RC_MORE:
		break;
	}
	command_warn(&t->c, "table %.*s: key %.*s: malformed BASE64 value: %.*s",
	    STR_ARG(name), STR_ARG(key), STR_ARG(str_head(*value, 100))); /* compat */
	return false;
}

static void
warn_empty(struct table_command *t, struct map *m, struct str key)
{
	(void)fflush(stdout);
	command_warn(&t->c, "table %.*s: key %.*s: empty string result is not allowed",
	    STR_ARG(map_spec(m)), STR_ARG(key)); /* compat */
	command_warn(&t->c, "table %.*s should return NO RESULT in case of NOT FOUND",
	    STR_ARG(map_spec(m))); /* compat */
}

static bool
find(struct table_command *t, struct map *m, struct str key, struct arena *mem,
    struct str *out)
{
	unsigned flags = MAP_EMPTY_OK | (t->keep_case ? MAP_NOFOLD : 0);
	struct err e = { 0 };
	enum rc rc;

	rc = map_find(m, key, flags, mem, out, &e);
	log_flush(t->words);
	if (rc == RC_NONE)
		return false;
	if (rc != RC_OK)
		command_fatal(&t->c, 1, "table %.*s: query error: %s",
		    STR_ARG(map_spec(m)), e.text); /* compat */
	if (out->n == 0)
		warn_empty(t, m, key);
	else if (t->files && !decode(t, m, key, mem, out))
		command_fatal(&t->c, 1, "table %.*s: query error",
		    STR_ARG(table_file_name(t, map_spec(m)))); /* compat */
	return true;
}

/* ---- keys from standard input ---- */

struct asking {
	struct table_command *t;
	struct map **maps;
	size_t n;
	struct arena *mem;
	bool has_found;
};

/* The first table that knows the key answers. */
static void
ask(struct asking *a, struct str key)
{
	struct str value;

	/* Lines end at a NUL, as C strings do. Compat. */
	key = str_head(key, str_find(key, '\0'));
	for (size_t i = 0; i < a->n && key.n > 0; i++)
		if (find(a->t, a->maps[i], key, a->mem, &value)) {
			put_pair(a->t, key, value);
			a->has_found = true;
			break;
		}
	arena_reset(a->mem);
}

static void
ask_part(void *ctx, enum mime_part part, struct str text)
{
	struct asking *a = ctx;
	bool is_body = part == MIME_PART_BODY;

	if (is_body ? a->t->asks_body : a->t->asks_header)
		ask(a, text);
}

/* Flat: headers of parts are body lines; that is how -b alone sees them too. */
static struct mime_parts *
content_parts(struct asking *a)
{
	struct mime_parts_conf conf = { .is_flat = !a->t->mime,
		.header_size_limit = HEADER_MAX,
		.nesting_limit = BOUNDARIES,
		.boundary_limit = BOUNDARY_N,
		.each = ask_part,
		.ctx = a };

	return mime_parts_new(&conf);
}

static void
ask_lines(struct asking *a)
{
	bool is_content = a->t->asks_body || a->t->asks_header;
	struct mime_parts *parts = is_content ? content_parts(a) : NULL;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, stdin)) >= 0) {
		struct str s = str_n(line, (size_t)len);

		if (s.n > 0 && s.p[s.n - 1] == '\n')
			s.n--;
		if (parts != NULL)
			mime_parts_line(parts, s);
		else
			ask(a, s);
	}
	if (parts != NULL)
		mime_parts_end(parts);
	mime_parts_free(&parts);
	free(line);
}

/* ---- -q ---- */

static int
query_lines(struct table_command *t, char **tables, size_t n)
{
	struct asking a = { .t = t, .n = n, .mem = arena_new(LINE_ARENA) };

	a.maps = mem_array(n, sizeof(struct map *));
	for (size_t i = 0; i < n; i++)
		a.maps[i] = table_open(t, tables[i]);
	(void)setvbuf(stdout, NULL, _IOFBF, OUTPUT_SIZE);
	ask_lines(&a);
	for (size_t i = 0; i < n; i++)
		map_close(&a.maps[i]);
	free(a.maps);
	arena_free(&a.mem);
	return a.has_found ? 0 : 1;
}

int
table_query(struct table_command *t, char **tables, size_t n)
{
	struct str key = str_c(t->query), value;
	bool has_found = false;

	if (str_is(key, "-"))
		return query_lines(t, tables, n);
	/* One after the other: the next is opened only when it is needed. */
	for (size_t i = 0; i < n && !has_found; i++) {
		struct map *m = table_open(t, tables[i]);

		has_found = key.n > 0 && find(t, m, key, t->c.mem, &value);
		if (has_found && t->json) {
			put_pair(t, key, value);
		} else if (has_found) {
			put(value);
			(void)putchar('\n');
		}
		map_close(&m);
	}
	return has_found ? 0 : 1;
}

/* ---- -s ---- */

struct listing {
	struct table_command *t;
	struct map *m;
	struct arena *mem;
};

static enum rc
print_entry(void *ctx, struct str key, struct str value)
{
	struct listing *l = ctx;

	if (value.n == 0)
		warn_empty(l->t, l->m, key);
	if (!l->t->files || decode(l->t, l->m, key, l->mem, &value))
		put_pair(l->t, key, value);
	arena_reset(l->mem);
	return RC_OK;
}

int
table_sequence(struct table_command *t, const char *table)
{
	struct listing l = {
		.t = t, .m = table_open(t, table), .mem = arena_new(LINE_ARENA)
	};
	struct err e = { 0 };
	enum rc rc;

	(void)setvbuf(stdout, NULL, _IOFBF, OUTPUT_SIZE);
	rc = map_each(l.m, print_entry, &l, &e);
	log_flush(t->words);
	if (rc == RC_PERM)
		command_fatal(&t->c, 1, "table %.*s: %s", STR_ARG(map_spec(l.m)), e.text);
	if (rc != RC_OK)
		command_fatal(&t->c, 1, "table %.*s: sequence error: %s",
		    STR_ARG(map_spec(l.m)), e.text); /* compat */
	map_close(&l.m);
	arena_free(&l.mem);
	return 0;
}
