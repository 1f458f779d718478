/* postmap FILE, -i, -d: tables that are written. */
#include "log/log.h"
#include "map/build.h"
#include "map/source.h"
#include "os/fd.h"
#include "prog/admin/postmap/postmap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_MAX  ((size_t)1 << 30)
#define ENTRY_ARENA ((size_t)64 << 20)

/* One table that is being written. */
struct job {
	struct postmap *p;
	struct str type, name;
	struct map_build *b;
};

static void
split(struct job *j, const char *table)
{
	struct str spec = postmap_spec(j->p, table);

	(void)str_cut(spec, ':', &j->type, &j->name);
}

static void
check_type(struct job *j)
{
	bool is_known = false;

	for (const char *const *t = map_types(); *t != NULL; t++)
		is_known = is_known || str_is(j->type, *t);
	if (!is_known)
		command_fatal(
		    &j->p->c, 1, "unsupported dictionary type: %.*s", STR_ARG(j->type));
}

static void
open_build(struct job *j, bool keep, mode_t mode)
{
	const struct map_build_request req = { .type = j->type,
		.path = j->name,
		.keep_entries = keep,
		.must_exist = j->p->remove != NULL,
		.without_nul = j->p->without_nul,
		.mode = mode };
	struct err e = { 0 };
	enum rc rc = map_build_new(&req, &j->b, &e);

	if (rc == RC_NONE)
		command_fatal(&j->p->c, 1, "open database %.*s.db: %s", STR_ARG(j->name),
		    strerror(ENOENT)); /* compat */
	if (rc != RC_OK)
		command_fatal(&j->p->c, 1, "%s", e.text);
}

static void
fail(struct job *j, const struct err *e)
{
	map_build_abort(&j->b);
	command_fatal(&j->p->c, 1, "%s", e->text);
}

static struct str
fold(struct str s, struct arena *mem)
{
	char *p = arena_cstr(mem, s);

	for (size_t i = 0; p != NULL && i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	return str_n(p, p == NULL ? 0 : s.n);
}

static void
put_entry(struct job *j, const struct map_source_entry *en, struct arena *mem)
{
	struct str key = j->p->keep_case ? en->key : fold(en->key, mem);
	struct err e = { 0 };
	enum rc rc = map_build_put(j->b, key, en->value, j->p->replace, &e);

	if (rc == RC_NONE && !j->p->ignore_duplicates)
		command_warn(&j->p->c, "%.*s.db: duplicate entry: \"%.*s\"", /* compat */
		    STR_ARG(j->name), STR_ARG(key));
	if (rc != RC_OK && rc != RC_NONE)
		fail(j, &e);
}

static void
put_all(struct job *j, const char *file, struct str text)
{
	struct arena *mem = arena_new(ENTRY_ARENA);
	struct map_source s = map_source_start(text, mem);
	struct map_source_entry en;
	enum rc rc;

	while ((rc = map_source_next(&s, &en)) == RC_OK) {
		if (en.warning.n > 0 && en.has_line)
			command_warn(&j->p->c, "%s, line %u: %.*s", file, en.line,
			    STR_ARG(en.warning));
		else if (en.warning.n > 0)
			command_warn(&j->p->c, "%s: %.*s", file, STR_ARG(en.warning));
		if (!en.is_skipped)
			put_entry(j, &en, mem);
		arena_reset(mem);
	}
	arena_free(&mem);
	if (rc != RC_NONE) {
		map_build_abort(&j->b);
		command_fatal(&j->p->c, 1, "%s: an entry is too long", file);
	}
}

static void
commit(struct job *j)
{
	struct err e = { 0 };

	if (map_build_commit(&j->b, &e) != RC_OK)
		command_fatal(&j->p->c, 1, "%s", e.text);
}

/* Root does not write on behalf of others: who owns the source must be able to write the
 * table. Source, table and folder should have one owner. */
static void
become_owner(struct postmap *p, const struct stat *st)
{
	if (getuid() != 0 || p->keep_root)
		return;
	if (seteuid(0) != 0 || setegid(st->st_gid) != 0 || seteuid(st->st_uid) != 0)
		command_fatal(&p->c, 1, "cannot become uid %lu: %s",
		    (unsigned long)st->st_uid, strerror(errno));
}

void
postmap_build(struct postmap *p, const char *table)
{
	struct job j = { .p = p };
	struct arena *mem = arena_new(SOURCE_MAX + 65536);
	struct err e = { 0 };
	struct stat st = { 0 };
	const char *file;
	struct str text;
	enum rc rc;

	split(&j, table);
	check_type(&j);
	file = p->incremental ? "stdin" : arena_cstr(mem, j.name);
	if (p->incremental) {
		rc = os_fd_read_all(STDIN_FILENO, SOURCE_MAX, mem, &text, &e);
	} else {
		if (stat(file, &st) != 0)
			command_fatal(
			    &p->c, 1, "open %s: %s", file, strerror(errno)); /* compat */
		rc = os_fd_load(file, SOURCE_MAX, mem, &text, &e);
		become_owner(p, &st);
	}
	if (rc != RC_OK)
		command_fatal(&p->c, 1, "open %s: %s", file, e.text);
	open_build(&j, p->incremental,
	    p->own_mode || p->incremental || !S_ISREG(st.st_mode) ? 0644
								  : st.st_mode & 0666);
	put_all(&j, file, text);
	commit(&j);
	arena_free(&mem);
}

/* ---- -d ---- */

static bool
remove_key(struct job *j, struct str key)
{
	struct err e = { 0 };
	enum rc rc;

	if (!j->p->keep_case)
		key = fold(key, j->p->c.mem);
	rc = map_build_delete(j->b, key, &e);
	if (rc != RC_OK && rc != RC_NONE)
		fail(j, &e);
	return rc == RC_OK;
}

static bool
remove_from(struct job *j)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	bool found = false;

	if (strcmp(j->p->remove, "-") != 0)
		return remove_key(j, str_c(j->p->remove));
	while ((len = getline(&line, &cap, stdin)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			len--;
		found = remove_key(j, str_n(line, (size_t)len)) || found;
	}
	free(line);
	return found;
}

int
postmap_remove(struct postmap *p, char **tables, size_t n)
{
	int status = 1;

	if (strcmp(p->remove, "-") == 0 && n > 1)
		command_fatal(&p->c, 1, "specify one table with \"-d -\"");
	for (size_t i = 0; i < n; i++) {
		struct job j = { .p = p };
		struct stat st;
		char *path;

		split(&j, tables[i]);
		check_type(&j);
		if (!map_build_can(j.type))
			command_fatal(&p->c, 1,
			    "table %.*s:%.*s: delete operation is not supported",
			    STR_ARG(j.type), STR_ARG(j.name)); /* compat */
		path = arena_cstr(p->c.mem, j.name);
		if (stat(path, &st) == 0)
			become_owner(p, &st);
		open_build(&j, true, 0644);
		if (remove_from(&j)) {
			commit(&j);
			status = 0;
		} else {
			map_build_abort(&j.b);
		}
	}
	return status;
}
