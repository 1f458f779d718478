/* Owns finding tables that are older than their sources, and having them made again. */
#include "agent/table_rebuild.h"
#include "agent/lookup_tables.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "map/alias_source.h"
#include "map/build.h"
#include "os/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SETTLED_SEC 2    /* a source younger than this may be half written */
#define PATIENCE_MS 4000 /* of who starts, with sources that are being written */
#define COMMAND_SEC 120
#define SOURCE_MAX  ((size_t)1 << 30)
#define ENTRY_ARENA ((size_t)64 << 20)
#define WORDS_MAX   2000
#define TABLES_MAX  LOOKUP_TABLES_MAX

struct table {
	char *spec, *source;
	const char *index; /* "hash:/x", "/x", "/x.db" */
	bool is_alias;
	bool has_tried, has_worked;
	bool is_again;     /* the source was changed while it was read */
	struct stat tried; /* the version of the source */
};

struct table_rebuild {
	const struct conf_snapshot *s;
	struct log *log;
	struct arena *mem;
	char *commands, *config;
	struct table *v;
	size_t n;
};

bool
table_rebuild_is_wanted(const struct conf_snapshot *s)
{
	struct arena *mem = arena_new(1 << 20);
	struct str value;
	bool is =
	    conf_get(s, NULL, STR("map_auto_rebuild"), mem, &value, NULL) == RC_OK &&
	    str_iis(value, "yes");

	arena_free(&mem);
	return is;
}

static const char *
command_of(const struct table *t)
{
	return t->is_alias ? "postalias" : "postmap";
}

/* ---- which tables ---- */

static enum rc
add(struct table_rebuild *r, struct str spec, bool is_alias, struct err *e)
{
	struct str type, name;
	struct table *t = &r->v[r->n];

	spec = lookup_tables_strip(spec);
	if (!str_cut(spec, ':', &type, &name) || name.n == 0 || name.p[0] != '/' ||
	    !map_build_can(type))
		return RC_OK;
	for (size_t i = 0; i < r->n; i++)
		if (str_is(spec, r->v[i].spec))
			return RC_OK;
	if (r->n == TABLES_MAX)
		return err_set(e, RC_PERM, "too many lookup tables");
	t->is_alias = is_alias;
	t->spec = arena_cstr(r->mem, spec);
	t->source = arena_cstr(r->mem, name);
	t->index =
	    arena_printf(r->mem, "%.*s%s", STR_ARG(name), map_build_suffix(type)).p;
	if (t->spec == NULL || t->source == NULL || t->index == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	r->n++;
	return RC_OK;
}

/* The aliases(5) among them; their defaults count, too. */
static enum rc
add_aliases(struct table_rebuild *r, const struct master_service *service,
    struct str name, struct err *e)
{
	struct arena *scratch = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct str text, item;
	enum rc rc = RC_OK;

	if (conf_get(r->s, service, name, scratch, &text, NULL) == RC_OK)
		while (rc == RC_OK && conf_list_next(&text, &item) == RC_OK)
			rc = add(r, item, true, e);
	arena_free(&scratch);
	return rc;
}

static enum rc
find_tables(struct table_rebuild *r, struct err *e)
{
	const struct master_cf *cf = &r->s->master;
	const struct lookup_tables *all;
	enum rc rc = add_aliases(r, NULL, STR("alias_maps"), e);

	if (rc == RC_OK)
		rc = add_aliases(r, NULL, STR("alias_database"), e);
	for (size_t i = 0; rc == RC_OK && i < cf->n; i++)
		if (cf->v[i].n_overrides > 0)
			rc = add_aliases(r, &cf->v[i], STR("alias_maps"), e);
	if (rc == RC_OK)
		rc = lookup_tables_make(r->s, r->mem, &all, e);
	for (size_t i = 0; rc == RC_OK && i < lookup_tables_count(all); i++)
		rc = add(r, lookup_tables_at(all, i)->spec, false, e);
	return rc;
}

enum rc
table_rebuild_new(const struct conf_snapshot *s, struct log *log,
    struct table_rebuild **out, struct err *e)
{
	struct table_rebuild *r = mem_get(sizeof(*r));
	struct str folder = STR("");
	enum rc rc;

	r->s = s;
	r->log = log;
	r->mem = arena_new((size_t)16 << 20);
	r->v = mem_array(TABLES_MAX, sizeof(*r->v));
	rc = conf_get(s, NULL, STR("command_directory"), r->mem, &folder, e);
	if (rc == RC_OK)
		rc = find_tables(r, e);
	r->commands = arena_cstr(r->mem, folder);
	r->config = arena_cstr(r->mem, s->config_directory);
	if (rc == RC_OK && (r->commands == NULL || r->config == NULL))
		rc = err_set(e, RC_TEMP, "memory limit");
	if (rc != RC_OK)
		table_rebuild_free(&r);
	else
		*out = r;
	return rc;
}

void
table_rebuild_free(struct table_rebuild **rp)
{
	struct table_rebuild *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	arena_free(&r->mem);
	free(r->v);
	free(r);
}

/* ---- whether ---- */

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Who writes cannot set the time of the change. One in the future says nothing. */
static bool
is_settled(const struct stat *source)
{
	time_t now = time(NULL);

	return source->st_ctim.tv_sec > now || now - source->st_ctim.tv_sec > SETTLED_SEC;
}

/* By time it may look old for ever, so a version that was tried is not tried again; only
 * the index of one that worked, when it has gone since. */
static bool
is_due(const struct table *t, const struct stat *source, bool has_index)
{
	struct stat index;

	if (t->has_tried && is_same(&t->tried, source))
		return t->has_worked && !has_index;
	if (t->is_again)
		return true;
	return !has_index || stat(t->index, &index) != 0 ||
	       is_later(&source->st_mtim, &index.st_mtim);
}

/* What the text says is the business of who owns it, and is not logged. 0: no bad line.
 */
static unsigned
find_bad_line(const struct table *t, struct str text)
{
	struct arena *mem = arena_new(ENTRY_ARENA);
	struct map_source s = map_source_start(text, mem);
	struct map_source_entry en;
	unsigned bad = 0;
	enum rc rc = RC_OK;

	while (bad == 0 && rc == RC_OK) {
		rc = t->is_alias ? alias_source_next(&s, &en) : map_source_next(&s, &en);
		if (rc == RC_TEMP || (rc == RC_OK && en.is_skipped))
			bad = rc == RC_OK && en.line > 0 ? en.line : s.line;
		arena_reset(mem);
	}
	arena_free(&mem);
	return bad;
}

/* postmap leaves bad lines out; here nobody sees that, so they do not cost entries that
 * are served. */
static bool
is_whole(struct table_rebuild *r, const struct table *t)
{
	struct arena *mem = arena_new(SOURCE_MAX + 65536);
	int fd = open(t->source, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct err e = { .text = "" };
	struct stat st;
	struct str text;
	unsigned bad = 0;
	enum rc rc;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		rc = err_set(&e, RC_TEMP, "cannot be read");
	else
		rc = os_fd_read_all(fd, SOURCE_MAX, mem, &text, &e);
	if (rc == RC_OK)
		bad = find_bad_line(t, text);
	if (rc != RC_OK)
		log_warn(
		    r->log, "%s: %s; %s stays as it is", t->source, e.text, t->index);
	else if (bad > 0)
		log_warn(r->log,
		    "%s, line %u: not an entry; %s stays as it is. To take it "
		    "without that line, run: %s %s",
		    t->source, bad, t->index, command_of(t), t->spec);
	os_fd_close(&fd);
	arena_free(&mem);
	return rc == RC_OK && bad == 0;
}

/* ---- doing it ---- */

static void
run_command(const struct table_rebuild *r, const struct table *t, int words)
{
	char name[16], flag[] = "-c", path[4096];
	char *argv[] = { name, flag, r->config, t->spec, NULL };
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	(void)snprintf(name, sizeof(name), "%s", command_of(t));
	(void)snprintf(path, sizeof(path), "%s/%s", r->commands, name);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(words, STDERR_FILENO) < 0)
		_exit(1);
	if (close_range(STDERR_FILENO + 1, ~0U, 0) != 0)
		_exit(1);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGALRM, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)alarm(COMMAND_SEC); /* somebody may hold the table's lock for ever */
	(void)execv(path, argv);
	(void)dprintf(STDERR_FILENO, "cannot execute %s: %s\n", path, strerror(errno));
	_exit(1);
}

/* What it says is already in the mail log when it could write there; the first line of it
 * goes into ours. */
static bool
make(struct table_rebuild *r, const struct table *t)
{
	char words[WORDS_MAX];
	size_t n = 0;
	int pipe_fd[2], status = -1;
	ssize_t got;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
		log_warn(r->log, "%s: pipe: %m", t->spec);
		return false;
	}
	log_flush(r->log);
	pid = fork();
	if (pid == 0)
		run_command(r, t, pipe_fd[1]);
	os_fd_close(&pipe_fd[1]);
	while (pid > 0 && ((got = read(pipe_fd[0], words + n, sizeof(words) - n)) > 0 ||
			      (got < 0 && errno == EINTR)))
		if (got > 0 && n < sizeof(words) / 2)
			n += (size_t)got; /* the rest is read, and forgotten */
	os_fd_close(&pipe_fd[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	n = str_find(str_n(words, n), '\n');
	log_warn(r->log, "%s: cannot be made again: %.*s", t->spec, (int)n, words);
	return false;
}

/* False: the source is being written. */
static bool
look_at(struct table_rebuild *r, struct table *t)
{
	struct stat source, after;
	bool has_index;

	if (stat(t->source, &source) != 0 || !S_ISREG(source.st_mode))
		return true;
	has_index = access(t->index, F_OK) == 0;
	if (!is_due(t, &source, has_index))
		return true;
	if (!is_settled(&source))
		return false;
	t->tried = source;
	t->has_tried = true;
	t->has_worked = (!has_index || is_whole(r, t)) && make(r, t);
	if (t->has_worked)
		log_info(r->log, "%s: made again from %s", t->spec, t->source);
	/* Changed meanwhile: the index is younger, and may be of the text before. */
	t->is_again = stat(t->source, &after) == 0 && !is_same(&source, &after);
	return true;
}

size_t
table_rebuild_look(struct table_rebuild *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += !look_at(r, &r->v[i]);
	log_flush(r->log);
	return n;
}

void
table_rebuild_all(const struct conf_snapshot *s, struct log *log)
{
	const struct timespec nap = { .tv_nsec = 100 * 1000 * 1000 };
	struct table_rebuild *r;
	struct err e = { .text = "" };

	if (!table_rebuild_is_wanted(s))
		return;
	if (table_rebuild_new(s, log, &r, &e) != RC_OK) {
		log_warn(log, "map_auto_rebuild: %s", e.text);
		return;
	}
	for (unsigned i = 0; table_rebuild_look(r) > 0 && i < PATIENCE_MS / 100; i++)
		(void)nanosleep(&nap, NULL);
	table_rebuild_free(&r);
}
