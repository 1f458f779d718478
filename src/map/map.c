/* One open table: its type, the version that serves, and stand-ins for tables that cannot
 * be opened. Sets of tables are in set.c. */
#include "conf/snapshot.h"
#include "log/log.h"
#include "map/fold.h"
#include "map/map_int.h"
#include "map/plugin.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define KEY_MAX 1024 /* longer keys are folded in the arena */
/* A source younger than this may be in the middle of a rebuild. */
#define SETTLED_SEC 100
/* Tables inside each other. A table made of others counts, too. */
#define DEPTH_MAX 40

/* smtputf8_enable: keys and their folding are Unicode's. */
static bool
has_utf8(const struct map_env *env)
{
	struct arena *mem;
	struct str value;
	bool is_on;

	if (env->snapshot == NULL || env->no_utf8)
		return false;
	mem = arena_new(1 << 20);
	is_on = conf_get(env->snapshot, env->service, STR("smtputf8_enable"), mem, &value,
		    NULL) == RC_OK &&
		str_iis(value, "yes");
	arena_free(&mem);
	return is_on;
}

struct map *
map_new(const struct map_open_request *req)
{
	static const struct map_env none;
	struct str spec = req->spec;
	struct map *m = mem_get(sizeof(*m));
	char *copy = mem_get(spec.n + 1);
	struct str type;

	m->env = req->env != NULL ? *req->env : none;
	m->env.depth++; /* of the tables that this one opens */
	m->is_utf8 = has_utf8(&m->env);
	m->flags = req->flags;
	m->for_writing = req->for_writing;
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
	m->traits = map_traits_of(m->spec);
	if (m->env.asks_service && spec.n != m->spec.n) {
		m->type = &map_type_proxy;
		m->name = spec;
	}
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
	    (m->env.warns_of_any_age || source.st_mtime < time(NULL) - SETTLED_SEC))
		log_warn(log, "database %s is older than source file %s", m->path,
		    path); /* compat */
	free(path);
}

static enum rc
refuse_forgery(const struct map *m, struct err *e)
{
	return err_set(e, RC_TEMP, "%.*s map is not allowed for security sensitive data",
	    STR_ARG(m->spec)); /* compat */
}

enum rc
map_open_version(struct map *m, struct err *e)
{
	const struct map_how how = { .name = m->name,
		.env = &m->env,
		.flags = m->flags,
		.for_writing = m->for_writing,
		.is_utf8 = m->is_utf8,
		.is_of_set = m->is_of_set };
	void *state;
	enum rc rc;

	if (m->env.depth > DEPTH_MAX)
		return err_set(e, RC_PERM, "more than %d tables inside each other: %.*s",
		    DEPTH_MAX, STR_ARG(m->spec));
	if (m->type == NULL) {
		struct str type, rest;

		if (!str_cut(m->spec, ':', &type, &rest))
			type = m->spec;
		return err_set(e, RC_PERM,
		    "unsupported dictionary type: %.*s", /* compat */
		    STR_ARG(type));
	}
	m->has_seen = m->path != NULL && stat(m->path, &m->seen) == 0;
	if (m->type->open == NULL && m->env.asks_remote) {
		enum rc loaded =
		    map_plugin_load(m->type->name, m->env.plugin_folder, &m->type, e);

		if (loaded != RC_OK)
			return loaded;
	}
	if ((m->flags & MAP_PARANOID) != 0 && m->traits.is_open_to_forgery) {
		(void)refuse_forgery(m, e);
		return RC_PERM;
	}
	if (m->for_writing && m->type->put == NULL)
		return err_set(e, RC_PERM, "%.*s map requires O_RDONLY access mode",
		    STR_ARG(m->spec)); /* compat */
	if (m->traits.is_remote && !m->env.asks_remote)
		return RC_OK; /* `lookup` opens it */
	rc = m->type->open(&how, &state, e);
	if (rc != RC_OK)
		return rc;
	if (m->is_open)
		m->type->close(m->state);
	m->state = state;
	m->is_open = true;
	warn_if_old(m, m->env.log);
	return RC_OK;
}

enum rc
map_open(const struct map_open_request *req, struct map **out, struct err *e)
{
	struct map *m = map_new(req);
	enum rc rc = map_open_version(m, e);

	if (rc != RC_OK) {
		map_close(&m);
		return rc;
	}
	*out = m;
	return RC_OK;
}

/* RC_NONE: said why in the log; compat: what is no UTF-8 is not looked up. */
static enum rc
warn_no_utf8(const struct map *m, struct str key)
{
	if (m->env.log != NULL)
		log_warn(m->env.log,
		    "%.*s%s: non-UTF-8 key \"%.*s\": malformed UTF-8 or invalid "
		    "codepoint", /* compat */
		    STR_ARG(m->spec),
		    m->type->watch == NULL && m->type->suffix != NULL ? m->type->suffix
								      : "",
		    STR_ARG(key));
	return RC_NONE;
}

/* Types made of others get the key as it is, because those fold it if they do. */
static enum rc
ask_type(struct map *m, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	bool folds = m->traits.is_fixed && m->type->members == NULL;
	char buf[KEY_MAX];
	bool is_ascii = true;
	enum rc rc;

	if ((flags & MAP_NOFOLD) != 0)
		return m->type->find(m->state, key, flags, mem, out, e);
	if (!folds && !m->is_utf8)
		return m->type->find(m->state, key, flags, mem, out, e);
	for (size_t i = 0; i < key.n && key.n <= sizeof(buf); i++) {
		is_ascii = is_ascii && (key.p[i] & 0x80) == 0;
		buf[i] = ascii_lower(key.p[i]);
	}
	if (key.n <= sizeof(buf) && (is_ascii || !m->is_utf8))
		return m->type->find(
		    m->state, folds ? str_n(buf, key.n) : key, flags, mem, out, e);
	if (!folds)
		return map_is_utf8(key) ? m->type->find(m->state, key, flags, mem, out, e)
					: warn_no_utf8(m, key);
	rc = map_fold_key(key, m->is_utf8, mem, &key);
	if (rc == RC_NONE)
		return warn_no_utf8(m, key);
	if (rc != RC_OK)
		return err_set(e, RC_TEMP, "memory limit");
	return m->type->find(m->state, key, flags, mem, out, e);
}

enum rc
map_find(struct map *m, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct str value;
	enum rc rc;

	/* The same table may serve others, who are less careful; and `lookup`, which asks
	 * the remote ones, opened it for all. */
	if (((flags | m->flags) & MAP_PARANOID) != 0 && m->traits.is_open_to_forgery)
		return refuse_forgery(m, e);
	if (!m->is_open && m->type != NULL && m->traits.is_remote && !m->env.asks_remote)
		return RC_MORE;
	if (!m->is_open)
		return err_set(e, RC_TEMP, "%.*s is unavailable. %s", /* compat */
		    STR_ARG(m->spec), m->why.text);
	if (key.n == 0 || ((flags & MAP_PARTIAL) != 0 && !m->traits.is_fixed))
		return RC_NONE;
	rc = ask_type(m, key, flags, mem, &value, e);
	if (rc != RC_OK)
		return rc;
	if (value.n == 0 && (flags & MAP_EMPTY_OK) == 0)
		return err_set(e, RC_TEMP,
		    "table %.*s: lookup of \"%.*s\" returns an empty "
		    "string result",
		    STR_ARG(m->spec), STR_ARG(key));
	*out = value;
	return RC_OK;
}

bool
map_is_changed(const struct map *m)
{
	struct stat now;

	if (m->path == NULL || stat(m->path, &now) != 0)
		return false; /* gone: the old version goes on serving */
	if (m->is_open && m->type->is_live && m->has_seen && now.st_size > 0)
		return now.st_ino != m->seen.st_ino || now.st_dev != m->seen.st_dev;
	return !m->has_seen || now.st_ino != m->seen.st_ino ||
	       now.st_dev != m->seen.st_dev || now.st_size != m->seen.st_size ||
	       now.st_mtim.tv_sec != m->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != m->seen.st_mtim.tv_nsec ||
	       /* Who copies with the time of the original cannot set this one; and it
		* tells that a file may be read now. */
	       now.st_ctim.tv_sec != m->seen.st_ctim.tv_sec ||
	       now.st_ctim.tv_nsec != m->seen.st_ctim.tv_nsec;
}

bool
map_is_remote(const struct map *m)
{
	return m->traits.is_remote;
}

struct str
map_spec(const struct map *m)
{
	return m->spec;
}

enum rc
map_each(struct map *m, map_each_fn *fn, void *ctx, struct err *e)
{
	assert(m->is_open);
	if (m->type->each == NULL)
		return err_set(
		    e, RC_PERM, "sequence operation is not supported"); /* compat */
	return m->type->each(m->state, fn, ctx, e);
}

enum rc
map_put(struct map *m, struct str key, struct str value, struct err *e)
{
	assert(m->is_open && m->for_writing);
	return m->type->put(m->state, key, value, e);
}

enum rc
map_delete(struct map *m, struct str key, struct err *e)
{
	assert(m->is_open && m->for_writing);
	if (m->type->del == NULL)
		return err_set(e, RC_PERM, "delete operation is not supported");
	return m->type->del(m->state, key, e);
}
