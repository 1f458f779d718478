/* Sets of open tables, and the change to a new version on disk. */
#include "log/log.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REFRESH_US US_PER_SEC
#define RETRY_US   (10 * US_PER_SEC)

struct map_set {
	struct map_env env;
	struct map *maps;
	struct hmap by_spec;
	int64_t refreshed_us;
};

struct map_set *
map_set_new(const struct map_env *env)
{
	/* The names are the administrator's, so a fixed seed cannot be exploited. */
	static const uint64_t seed[2] = { 0x6d61, 0x7073 };
	struct map_set *s = mem_get(sizeof(*s));

	hmap_init(&s->by_spec, seed);
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
	hmap_fini(&(*s)->by_spec);
	free(*s);
	*s = NULL;
}

struct map *
map_set_get(const struct map_set *s, struct str spec)
{
	for (struct hmap_node *n = hmap_first(&s->by_spec, hmap_hash(&s->by_spec, spec));
	     n != NULL; n = hmap_more(n)) {
		struct map *m = CONTAINER_OF(n, struct map, by_spec);

		if (str_eq(m->spec, spec))
			return m;
	}
	return NULL;
}

static enum rc
try_version(struct map *m)
{
	struct err e = { 0 };
	enum rc rc = map_open_version(m, &e);

	m->is_to_retry = rc == RC_TEMP;
	m->failed_us = 0;
	m->why = e;
	return rc;
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
		m->is_of_set = true;
		if (try_version(m) != RC_OK && s->env.log != NULL && !s->env.asks_closed)
			log_error(s->env.log, "%s", m->why.text);
		m->next = s->maps;
		s->maps = m;
		hmap_put(&s->by_spec, hmap_hash(&s->by_spec, m->spec), &m->by_spec);
	}
	*out = m;
	return RC_OK;
}

static const struct map_members *
members_of(const struct map *m)
{
	return m->is_open && m->type->members != NULL ? m->type->members(m->state) : NULL;
}

/* Another version is there, or it is time to try the one again that failed. */
static bool
is_due(const struct map_set *s, struct map *m)
{
	if (m->type == NULL)
		return false;
	if (m->is_to_retry && m->failed_us == 0)
		m->failed_us = s->refreshed_us;
	return map_is_changed(m) ||
	       (m->is_to_retry && s->refreshed_us - m->failed_us >= RETRY_US);
}

static void
refresh(struct map_set *s, struct map *m)
{
	const struct map_members *parts = members_of(m);
	struct err before = m->why;

	for (size_t i = 0; parts != NULL && i < parts->n; i++)
		refresh(s, parts->v[i]);
	if (!is_due(s, m))
		return;
	if (try_version(m) == RC_OK) {
		if (s->env.log != NULL)
			log_info(s->env.log, "table %.*s has changed", STR_ARG(m->spec));
		return;
	}
	/* Once, and not each time that it is tried again. */
	if (s->env.log != NULL && strcmp(m->why.text, before.text) != 0)
		log_warn(s->env.log, "%.*s: %s%s", STR_ARG(m->spec), m->why.text,
		    m->is_open ? "; the version before goes on serving" : "");
}

void
map_set_refresh(struct map_set *s, int64_t now_us)
{
	if (s->refreshed_us != INT64_MIN && now_us - s->refreshed_us < REFRESH_US)
		return;
	s->refreshed_us = now_us;
	for (struct map *m = s->maps; m != NULL; m = m->next)
		refresh(s, m);
}

void
map_set_each(const struct map_set *s, map_table_fn *fn, void *ctx)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		fn(ctx, m);
}

static void
paths_of(const struct map *m, map_path_fn *fn, void *ctx)
{
	const struct map_members *parts = members_of(m);

	for (size_t i = 0; parts != NULL && i < parts->n; i++)
		paths_of(parts->v[i], fn, ctx);
	if (m->path != NULL)
		fn(ctx, str_c(m->path));
}

void
map_set_paths(const struct map_set *s, map_path_fn *fn, void *ctx)
{
	for (struct map *m = s->maps; m != NULL; m = m->next)
		paths_of(m, fn, ctx);
}
