/* Sets of open tables, and the change to a new version on disk. */
#include "log/log.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REFRESH_US US_PER_SEC

struct map_set {
	struct map_env env;
	struct map *maps;
	int64_t refreshed_us;
};

struct map_set *
map_set_new(const struct map_env *env)
{
	struct map_set *s = mem_get(sizeof(*s));

	if (env != NULL)
		s->env = *env;
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
map_set_open(
    struct map_set *s, struct str spec, unsigned flags, struct map **out, struct err *e)
{
	const struct map_open_request req = {
		.spec = spec, .env = &s->env, .flags = flags
	};
	struct map *m = map_set_get(s, spec);

	if (m == NULL) {
		if (str_find(spec, ':') == spec.n)
			return err_set(e, RC_PERM,
			    "open dictionary: expecting \"type:name\" "
			    "form instead of \"%.*s\"",
			    STR_ARG(spec)); /* compat */
		m = map_new(&req);
		if (map_open_version(m, &m->why) != RC_OK && s->env.log != NULL)
			log_error(s->env.log, "%s", m->why.text);
		m->next = s->maps;
		s->maps = m;
	}
	*out = m;
	return RC_OK;
}

void
map_set_refresh(struct map_set *s, int64_t now_us)
{
	if (s->refreshed_us != INT64_MIN && now_us - s->refreshed_us < REFRESH_US)
		return;
	s->refreshed_us = now_us;
	for (struct map *m = s->maps; m != NULL; m = m->next) {
		struct err e = { 0 };

		if (m->type == NULL || !map_is_changed(m))
			continue;
		if (map_open_version(m, &e) == RC_OK) {
			if (s->env.log != NULL)
				log_info(s->env.log, "table %.*s has changed",
				    STR_ARG(m->spec));
			continue;
		}
		if (!m->is_open)
			m->why = e;
		if (s->env.log != NULL)
			log_warn(s->env.log, "%.*s: %s%s", STR_ARG(m->spec), e.text,
			    m->is_open ? "; the version before goes on serving" : "");
	}
}

void
map_set_each(const struct map_set *s, map_table_fn *fn, void *ctx)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		fn(ctx, m);
}

void
map_set_paths(const struct map_set *s, map_path_fn *fn, void *ctx)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		if (m->path != NULL)
			fn(ctx, str_c(m->path));
}
