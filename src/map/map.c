/* Tables by name, their versions on disk, and stand-ins for those that cannot be opened.
 */
#include "map/map.h"
#include "log/log.h"
#include "map/map_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define KEY_MAX    1024 /* longer keys are folded in the arena */
#define REFRESH_US US_PER_SEC
#define SETTLED_SEC                                                                      \
	100 /* a source younger than this may be in the middle of a rebuild              \
	     */

struct map {
	struct map *next;
	struct str spec;             /* "hash:/etc/x" */
	struct str name;             /* "/etc/x", a view of spec */
	const struct map_type *type; /* NULL: unknown */
	void *state;
	bool is_open;
	char *path;       /* the file that is watched, or NULL */
	struct stat seen; /* its version that was tried last */
	bool has_seen;
	struct err why; /* not open: the reason */
};

struct map_set {
	struct log *log;
	struct map *maps;
	int64_t refreshed_us;
};

static const struct map_type *const types[] = { &map_type_btree, &map_type_fail,
	&map_type_hash, &map_type_inline, &map_type_static, &map_type_texthash,
	&map_type_unix };

static const char *const type_names[] = { "btree", "fail", "hash", "inline", "static",
	"texthash", "unix", NULL };

const char *const *
map_types(void)
{
	return type_names;
}

const struct map_type *
map_type_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_is(name, types[i]->name))
			return types[i];
	return NULL;
}

static struct map *
map_new(struct str spec)
{
	struct map *m = mem_get(sizeof(*m));
	char *copy = mem_get(spec.n + 1);
	struct str type;

	memcpy(copy, spec.p, spec.n);
	m->spec = str_n(copy, spec.n);
	/* proxy:type:name: another process opened it for those who may not; here every
	 * process opens its tables before it is confined. */
	spec = m->spec;
	if (str_starts(spec, STR("proxy:")))
		spec = str_from(spec, 6);
	if (!str_cut(spec, ':', &type, &m->name))
		type = spec;
	m->type = map_type_find(type);
	if (m->type != NULL && m->type->watch != NULL) {
		const char *file = m->type->watch(m->name);

		m->path = file == NULL ? NULL : mem_strdup(file);
	} else if (m->type != NULL && m->type->suffix != NULL) {
		size_t n = m->name.n + strlen(m->type->suffix) + 1;

		m->path = mem_get(n);
		memcpy(m->path, m->name.p, m->name.n);
		strcpy(m->path + m->name.n, m->type->suffix);
	}
	return m;
}

void
map_close(struct map **m)
{
	if (*m == NULL)
		return;
	if ((*m)->is_open)
		(*m)->type->close((*m)->state);
	free((*m)->path);
	free((void *)(uintptr_t)(*m)->spec.p);
	free(*m);
	*m = NULL;
}

static void
warn_if_old(const struct map *m, struct log *log)
{
	struct stat source;
	char *path;

	if (log == NULL || m->path == NULL || m->type->suffix == NULL ||
	    m->type->suffix[0] == '\0')
		return;
	path = mem_strdup(m->path);
	path[m->name.n] = '\0';
	if (stat(path, &source) == 0 && m->has_seen &&
	    source.st_mtime > m->seen.st_mtime &&
	    source.st_mtime < time(NULL) - SETTLED_SEC)
		log_warn(log, "database %s is older than source file %s", m->path,
		    path); /* compat */
	free(path);
}

/* Opens the version that is there now beside the one that serves. */
static enum rc
open_version(struct map *m, struct log *log, struct err *e)
{
	void *state;
	enum rc rc;

	if (m->type == NULL) {
		struct str type, rest;

		if (!str_cut(m->spec, ':', &type, &rest))
			type = m->spec;
		return err_set(e, RC_PERM,
		    "unsupported dictionary type: %.*s", /* compat */
		    STR_ARG(type));
	}
	m->has_seen = m->path != NULL && stat(m->path, &m->seen) == 0;
	rc = m->type->open(m->name, log, &state, e);
	if (rc != RC_OK)
		return rc;
	if (m->is_open)
		m->type->close(m->state);
	m->state = state;
	m->is_open = true;
	warn_if_old(m, log);
	return RC_OK;
}

enum rc
map_open(struct str spec, struct log *log, struct map **out, struct err *e)
{
	struct map *m = map_new(spec);
	enum rc rc = open_version(m, log, e);

	if (rc != RC_OK) {
		map_close(&m);
		return rc;
	}
	*out = m;
	return RC_OK;
}

struct map_set *
map_set_new(struct log *log)
{
	struct map_set *s = mem_get(sizeof(*s));

	s->log = log;
	s->refreshed_us = INT64_MIN;
	return s;
}

void
map_set_free(struct map_set **s)
{
	if (*s == NULL)
		return;
	while ((*s)->maps != NULL) {
		struct map *m = (*s)->maps;

		(*s)->maps = m->next;
		map_close(&m);
	}
	free(*s);
	*s = NULL;
}

struct map *
map_set_get(const struct map_set *s, struct str spec)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		if (m->spec.n == spec.n && str_eq(m->spec, spec))
			return m;
	return NULL;
}

enum rc
map_set_open(struct map_set *s, struct str spec, struct map **out, struct err *e)
{
	struct map *m = map_set_get(s, spec);

	if (m == NULL) {
		if (str_find(spec, ':') == spec.n)
			return err_set(e, RC_PERM,
			    "open dictionary: expecting \"type:name\" "
			    "form instead of \"%.*s\"",
			    STR_ARG(spec)); /* compat */
		m = map_new(spec);
		if (open_version(m, s->log, &m->why) != RC_OK && s->log != NULL)
			log_error(s->log, "%s", m->why.text);
		m->next = s->maps;
		s->maps = m;
	}
	*out = m;
	return RC_OK;
}

static bool
is_changed(const struct map *m)
{
	struct stat now;

	if (m->path == NULL || stat(m->path, &now) != 0)
		return false; /* gone: the old version goes on serving */
	return !m->has_seen || now.st_ino != m->seen.st_ino ||
	       now.st_dev != m->seen.st_dev || now.st_size != m->seen.st_size ||
	       now.st_mtim.tv_sec != m->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != m->seen.st_mtim.tv_nsec;
}

void
map_set_refresh(struct map_set *s, int64_t now_us)
{
	if (s->refreshed_us != INT64_MIN && now_us - s->refreshed_us < REFRESH_US)
		return;
	s->refreshed_us = now_us;
	for (struct map *m = s->maps; m != NULL; m = m->next) {
		struct err e = { 0 };

		if (m->type == NULL || !is_changed(m))
			continue;
		if (open_version(m, s->log, &e) == RC_OK) {
			if (s->log != NULL)
				log_info(
				    s->log, "table %.*s has changed", STR_ARG(m->spec));
			continue;
		}
		if (!m->is_open)
			m->why = e;
		if (s->log != NULL)
			log_warn(s->log, "%.*s: %s%s", STR_ARG(m->spec), e.text,
			    m->is_open ? "; the version before goes on serving" : "");
	}
}

void
map_set_paths(const struct map_set *s, map_path_fn *fn, void *ctx)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		if (m->path != NULL)
			fn(ctx, str_c(m->path));
}

static enum rc
find_folded(const struct map *m, struct str key, struct arena *mem, struct str *out,
    struct err *e)
{
	char buf[KEY_MAX];

	if (key.n > sizeof(buf)) {
		key = map_fold(key, mem);
		if (key.p == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		return m->type->find(m->state, key, mem, out, e);
	}
	for (size_t i = 0; i < key.n; i++)
		buf[i] = ascii_lower(key.p[i]);
	return m->type->find(m->state, str_n(buf, key.n), mem, out, e);
}

enum rc
map_find(const struct map *m, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct str value;
	enum rc rc;

	if (!m->is_open)
		return err_set(e, RC_TEMP, "%.*s is unavailable. %s", /* compat */
		    STR_ARG(m->spec), m->why.text);
	if (key.n == 0 || ((flags & MAP_PARTIAL) != 0 && !m->type->is_fixed))
		return RC_NONE;
	if (m->type->is_fixed && (flags & MAP_NOFOLD) == 0)
		rc = find_folded(m, key, mem, &value, e);
	else
		rc = m->type->find(m->state, key, mem, &value, e);
	if (rc != RC_OK)
		return rc;
	if (value.n == 0)
		return err_set(e, RC_TEMP,
		    "table %.*s: lookup of \"%.*s\" returns an empty "
		    "string result",
		    STR_ARG(m->spec), STR_ARG(key));
	*out = value;
	return RC_OK;
}

struct str
map_spec(const struct map *m)
{
	return m->spec;
}

enum rc
map_each(const struct map *m, map_each_fn *fn, void *ctx, struct err *e)
{
	assert(m->is_open);
	if (m->type->each == NULL)
		return err_set(
		    e, RC_PERM, "sequence operation is not supported"); /* compat */
	return m->type->each(m->state, fn, ctx, e);
}
