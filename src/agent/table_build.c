/* postmap and postalias: tables that are written. */
#include "agent/table_int.h"
#include "base/base64.h"
#include "log/log.h"
#include "map/alias_source.h"
#include "map/build.h"
#include "map/fold.h"
#include "os/clock.h"
#include "os/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_MAX  ((size_t)1 << 30)
#define ENTRY_ARENA ((size_t)64 << 20)
#define FILES_MAX   ((size_t)16 << 20) /* -F: of one entry */

/* For a source that is replaced while we wait for its table. */
#define SOURCE_TRIES 100

/* One table that is being written: anew or as a copy of itself, or in place when its type
 * has no files of ours. */
struct job {
	struct table_command *t;
	struct str type, name;
	struct map_build *b;
	struct map *m;
	bool is_for_keys; /* -d */
};

static void
split(struct job *j, const char *table)
{
	struct str spec = table_spec(j->t, table);

	if (!str_cut(spec, ':', &j->type, &j->name))
		command_fatal(&j->t->c, 1, "out of memory");
	if (str_is(j->type, "proxy") && !j->is_for_keys)
		command_fatal(
		    &j->t->c, 1, "can't create maps via the proxy service"); /* compat */
}

static void
fail(struct job *j, const struct err *e)
{
	map_build_abort(&j->b);
	map_close(&j->m);
	command_fatal(&j->t->c, 1, "%s", e->text);
}

/* ---- who writes ---- */

/* The folder of a table. */
static struct str
folder_of(struct table_command *t, struct str name)
{
	size_t slash = str_rfind(name, '/');

	if (slash >= name.n)
		return STR(".");
	return arena_str(t->c.mem, slash == 0 ? STR("/") : str_head(name, slash));
}

/* Root's own table in somebody else's folder: whoever owns the folder chooses what
 * root's next run writes to. */
static void
warn_of_folder(struct table_command *t, struct str name)
{
	struct str folder = folder_of(t, name);
	struct stat st;

	if (geteuid() == 0 && stat(folder.p, &st) == 0 && st.st_uid != 0)
		command_warn(&t->c,
		    "creating root-owned table %.*s in a directory that is not owned by "
		    "root: %.*s",
		    STR_ARG(name), STR_ARG(folder));
}

/* Root stays root only where the owner may change the table that is there, but not put
 * another in its place, and where nobody but root can: the new version is given to the
 * owner of the old one. */
static bool
must_replace_as_root(struct table_command *t, struct str name)
{
	static const char *const suffixes[] = { ".db", ".lmdb", ".cdb" };
	struct str folder = folder_of(t, name);
	struct stat st;

	if (stat(folder.p, &st) != 0 || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct str path =
		    arena_printf(t->c.mem, "%.*s%s", STR_ARG(name), suffixes[i]);

		if (lstat(path.p, &st) == 0 && S_ISREG(st.st_mode) &&
		    faccessat(AT_FDCWD, path.p, W_OK, AT_EACCESS) == 0)
			return true;
	}
	return false;
}

static void
become(struct command *c, uid_t uid, gid_t gid)
{
	/* All groups: what those of root may read is not for everybody. */
	if (seteuid(0) != 0 || setgroups(1, &gid) != 0 || setegid(gid) != 0 ||
	    seteuid(uid) != 0)
		command_fatal(c, 1, "cannot become uid %lu: %s", (unsigned long)uid,
		    strerror(errno));
}

/* Behind a table that was somebody else's. */
static void
become_oneself(struct command *c)
{
	if (getuid() == 0 && (geteuid() != 0 || getegid() != getgid()))
		become(c, 0, getgid());
}

/* Root does not write on behalf of others: who owns the source must be able to write the
 * table. Source, table and folder should have one owner. */
static void
become_owner(struct job *j, const struct stat *st)
{
	struct command *c = &j->t->c;

	if (getuid() != 0)
		return;
	if (j->t->keep_root || st->st_uid == 0) {
		warn_of_folder(j->t, j->name);
		return;
	}
	become(c, st->st_uid, st->st_gid);
	/* Not with -F: the source names files, which root would read for its owner. */
	if (!j->t->files && must_replace_as_root(j->t, j->name) && seteuid(0) != 0)
		command_fatal(c, 1, "cannot become root: %s", strerror(errno));
}

/* ---- opening ---- */

/* Of a table that is not there. */
static void
fail_missing(struct job *j)
{
	bool is_db = str_is(j->type, "hash") || str_is(j->type, "btree");

	command_fatal(&j->t->c, 1, "open database %.*s.%.*s: %s", STR_ARG(j->name),
	    STR_ARG(is_db ? STR("db") : j->type), strerror(ENOENT)); /* compat */
}

/* Types that are not files of ours: caches, other processes. */
static enum rc
open_in_place(struct job *j, struct str spec, struct err *e)
{
	const struct map_env env = { .log = j->t->words,
		.snapshot = j->t->c.snapshot,
		.asks_remote = true,
		.asks_service = true };
	const struct map_open_request req = {
		.spec = spec, .env = &env, .for_writing = true
	};

	return map_open(&req, &j->m, e);
}

static void
open_table(struct job *j, struct str spec, mode_t mode, size_t n_bytes)
{
	const struct map_build_request req = { .type = j->type,
		.path = j->name,
		.keep_entries = j->t->incremental || j->is_for_keys,
		.must_exist = j->is_for_keys,
		.without_nul = j->t->without_nul && !j->t->with_nul,
		.with_nul = j->t->with_nul,
		.mode = mode,
		.n_bytes = n_bytes };
	struct err e = { 0 };
	enum rc rc;

	if (req.keep_entries && !map_build_can(j->type) &&
	    (j->is_for_keys || str_is(j->type, "memcache")))
		rc = open_in_place(j, spec, &e);
	else
		rc = map_build_new(&req, &j->b, &e);
	log_flush(j->t->words);
	if (rc == RC_NONE)
		fail_missing(j);
	if (rc != RC_OK)
		fail(j, &e);
}

/* ---- entries ---- */

static struct str
fold(struct job *j, struct str key, struct arena *mem)
{
	struct str folded = key;

	if (!j->t->keep_case &&
	    map_fold_key(key, j->t->wants_utf8, mem, &folded) == RC_TEMP) {
		map_build_abort(&j->b);
		command_fatal(&j->t->c, 1, "a key is too long");
	}
	return folded;
}

static enum rc
write_entry(struct job *j, struct str key, struct str value, bool replace)
{
	struct err e = { 0 };
	enum rc rc = j->m != NULL ? map_put(j->m, key, value, &e)
				  : map_build_put(j->b, key, value, replace, &e);

	if (rc != RC_OK && rc != RC_NONE)
		fail(j, &e);
	return rc;
}

static void
put_entry(struct job *j, struct str key, struct str value, struct arena *mem)
{
	bool is_db = str_is(j->type, "hash") || str_is(j->type, "btree");
	bool is_cdb = str_is(j->type, "cdb");

	key = fold(j, key, mem);
	if (write_entry(j, key, value, j->t->replace) != RC_NONE ||
	    j->t->ignore_duplicates)
		return;
	if (is_db)
		command_warn(&j->t->c, "%.*s.db: duplicate entry: \"%.*s\"",
		    STR_ARG(j->name), STR_ARG(key)); /* compat */
	else if (is_cdb)
		command_warn(&j->t->c, "%.*s: duplicate entry: \"%.*s\"",
		    STR_ARG(j->name), STR_ARG(key)); /* compat */
	else
		command_warn(&j->t->c, "%.*s:%.*s: duplicate entry: \"%.*s\"",
		    STR_ARG(j->type), STR_ARG(j->name), STR_ARG(key)); /* compat */
}

/* -F: one file, behind an LF when it is not the first. *text gets the trouble. */
static bool
read_file(
    struct str name, bool is_first, struct buf *to, struct arena *mem, struct str *text)
{
	const char *path = arena_cstr(mem, name), *verb = "open";
	struct err e = { 0 };
	struct str content;
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	enum rc rc = fd < 0 ? err_sys(&e, RC_TEMP, "open") : RC_OK;

	if (rc == RC_OK) {
		verb = "read";
		rc = os_fd_read_all(fd, FILES_MAX, mem, &content, &e);
		(void)close(fd);
	}
	if (rc == RC_OK && !is_first)
		rc = buf_put(to, STR("\n"));
	if (rc == RC_OK)
		rc = buf_put(to, content);
	if (rc != RC_OK)
		*text = arena_printf(mem, "%s %.*s: %s: skipping this entry", verb,
		    STR_ARG(name), e.sys != 0 ? strerror(e.sys) : "too large");
	return rc == RC_OK;
}

/* -F: the value becomes what the files that it names contain. False: en->warning. */
static bool
load_files(struct map_source_entry *en, struct arena *mem)
{
	struct str rest = en->value, name;
	struct buf all;
	size_t n = 0;
	bool is_good = true;

	buf_init(&all, FILES_MAX);
	while (is_good && str_token(&rest, ", \t\r\n", &name)) {
		is_good = read_file(name, n++ == 0, &all, mem, &en->warning);
	}
	if (n == 0) {
		en->warning = arena_printf(mem,
		    "empty pathname list: >>%.*s<<': skipping this entry",
		    STR_ARG(en->value)); /* compat */
		is_good = false;
	}
	if (is_good)
		en->value = base64_encode(buf_view(&all), mem);
	if (is_good && en->value.p == NULL) {
		en->warning = STR("too large: skipping this entry");
		is_good = false;
	}
	buf_fini(&all);
	return is_good;
}

static void
warn_entry(struct job *j, const char *file, const struct map_source_entry *en)
{
	if (en->warning.n > 0 && en->has_line)
		command_warn(&j->t->c, "%s, line %u: %.*s", file, en->line,
		    STR_ARG(en->warning)); /* compat */
	else if (en->warning.n > 0)
		command_warn(&j->t->c, "%s: %.*s", file, STR_ARG(en->warning));
}

static void
put_all(struct job *j, const char *file, struct str text)
{
	struct arena *mem = arena_new(ENTRY_ARENA);
	struct map_source s = map_source_start(text, mem);
	bool is_alias = j->t->dialect->is_alias;
	struct map_source_entry en;
	enum rc rc;

	s.wants_utf8 = j->t->wants_utf8;
	while ((rc = is_alias ? alias_source_next(&s, &en) : map_source_next(&s, &en)) ==
	       RC_OK) {
		if (!en.is_skipped && j->t->files && !load_files(&en, mem))
			en.is_skipped = true;
		warn_entry(j, file, &en);
		if (!en.is_skipped)
			put_entry(j, en.key, en.value, mem);
		arena_reset(mem);
	}
	arena_free(&mem);
	if (rc != RC_NONE) {
		map_build_abort(&j->b);
		command_fatal(&j->t->c, 1, "%s: an entry is too long", file);
	}
}

/* What sendmail's own alias files had, and scripts look for. */
static void
put_marks(struct job *j)
{
	struct str now = arena_printf(
	    j->t->c.mem, "%010lld", (long long)(os_clock_wall_us() / US_PER_SEC));
	struct str host = STR("localhost");
	struct err e = { 0 };

	if (conf_get(j->t->c.snapshot, NULL, STR("myhostname"), j->t->c.mem, &host, &e) !=
	    RC_OK)
		fail(j, &e);
	(void)write_entry(j, STR("@"), STR("@"), true);
	(void)write_entry(j, STR("YP_LAST_MODIFIED"), now, true);
	(void)write_entry(j, STR("YP_MASTER_NAME"), host, true);
}

static void
commit(struct job *j)
{
	struct err e = { 0 };

	map_close(&j->m);
	if (j->b != NULL && map_build_commit(&j->b, &e) != RC_OK)
		command_fatal(&j->t->c, 1, "%s", e.text);
}

/* ---- the source ---- */

struct source {
	const char *file;
	int fd;
	struct stat st;
};

static void
open_source(struct job *j, struct source *s)
{
	struct table_command *t = j->t;

	*s = (struct source){ .file = "stdin", .fd = STDIN_FILENO };
	if (!t->incremental) {
		s->file = arena_cstr(t->c.mem, j->name);
		s->fd = open(s->file, O_RDONLY | O_CLOEXEC);
	}
	if (s->fd < 0 || fstat(s->fd, &s->st) != 0)
		command_fatal(
		    &t->c, 1, "open %s: %s", s->file, strerror(errno)); /* compat */
}

static void
read_source(struct job *j, const struct source *s, struct arena *mem, struct str *out)
{
	struct err e = { 0 };

	if (os_fd_read_all(s->fd, SOURCE_MAX, mem, out, &e) == RC_OK)
		return;
	map_build_abort(&j->b);
	map_close(&j->m);
	command_fatal(&j->t->c, 1, "read %s: %s", s->file, e.text);
}

/* Another file has its name by now. */
static bool
is_replaced(const struct source *s)
{
	struct stat now;

	return s->fd != STDIN_FILENO && stat(s->file, &now) == 0 &&
	       (now.st_ino != s->st.st_ino || now.st_dev != s->st.st_dev);
}

/* Who waited for another writer reads what the source says now: or the older text would
 * come last, and stay. What stdin says is added, and is no older than that. */
static void
open_both(struct job *j, struct source *s, struct str spec)
{
	struct table_command *t = j->t;

	for (unsigned i = 0; i < SOURCE_TRIES; i++) {
		bool is_file;

		become_oneself(&t->c);
		open_source(j, s);
		is_file = S_ISREG(s->st.st_mode);
		if (is_file)
			become_owner(j, &s->st);
		/* Who may read the source may read the table. Compat. */
		open_table(j, spec,
		    t->own_mode || !is_file ? 0644 : 0600 | (s->st.st_mode & 044),
		    is_file ? (size_t)s->st.st_size : 0);
		if (!is_replaced(s))
			return;
		map_build_abort(&j->b);
		map_close(&j->m);
		(void)close(s->fd);
	}
	command_fatal(&t->c, 1, "open %s: somebody replaces it all the time", s->file);
}

void
table_build(struct table_command *t, const char *table)
{
	struct job j = { .t = t };
	struct arena *mem = arena_new(SOURCE_MAX + 65536);
	struct err e = { 0 };
	struct source s;
	struct str text;

	split(&j, table);
	/* Others do not wait for who types. */
	if (t->incremental &&
	    os_fd_read_all(STDIN_FILENO, SOURCE_MAX, mem, &text, &e) != RC_OK)
		command_fatal(&t->c, 1, "read stdin: %s", e.text);
	open_both(&j, &s, table_spec(t, table));
	if (!t->incremental) {
		read_source(&j, &s, mem, &text);
		(void)close(s.fd);
	}
	put_all(&j, s.file, text);
	if (t->dialect->is_alias)
		put_marks(&j);
	commit(&j);
	arena_free(&mem);
}

/* ---- -d ---- */

static bool
remove_key(struct job *j, struct str key)
{
	struct arena *mem;
	struct err e = { 0 };
	enum rc rc;

	if (key.n == 0)
		return false;
	mem = arena_new(ENTRY_ARENA);
	key = fold(j, key, mem);
	rc = j->m != NULL ? map_delete(j->m, key, &e) : map_build_delete(j->b, key, &e);
	arena_free(&mem);
	if (rc == RC_PERM)
		command_fatal(&j->t->c, 1, "table %.*s:%.*s: %s", STR_ARG(j->type),
		    STR_ARG(j->name), e.text); /* compat */
	if (rc != RC_OK && rc != RC_NONE)
		fail(j, &e);
	return rc == RC_OK;
}

static bool
remove_from(struct job *j, struct str *stdin_keys)
{
	struct str rest = *stdin_keys, key;
	bool found = false;

	if (strcmp(j->t->remove, "-") != 0)
		return remove_key(j, str_c(j->t->remove));
	while (rest.n > 0) {
		key = str_head(rest, str_find(rest, '\n'));
		rest = str_from(rest, key.n + 1);
		found = remove_key(j, key) || found;
	}
	return found;
}

int
table_remove(struct table_command *t, char **tables, size_t n)
{
	struct arena *mem = arena_new(SOURCE_MAX + 65536);
	struct str keys = STR("");
	struct err e = { 0 };
	bool has_found = false;

	if (strcmp(t->remove, "-") == 0 &&
	    os_fd_read_all(STDIN_FILENO, SOURCE_MAX, mem, &keys, &e) != RC_OK)
		command_fatal(&t->c, 1, "read stdin: %s", e.text);
	for (size_t i = 0; i < n; i++) {
		struct job j = { .t = t, .is_for_keys = true };
		struct stat st;

		split(&j, tables[i]);
		become_oneself(&t->c);
		if (stat(arena_cstr(t->c.mem, j.name), &st) == 0 && S_ISREG(st.st_mode))
			become_owner(&j, &st);
		open_table(&j, table_spec(t, tables[i]), 0644, 0);
		if (remove_from(&j, &keys)) {
			commit(&j);
			has_found = true;
		} else {
			map_build_abort(&j.b);
			map_close(&j.m);
		}
	}
	arena_free(&mem);
	return has_found ? 0 : 1;
}
