/* Tables made of tables:
 *
 *   pipemap:{type:name, …}   what one gives is the key for the next; none: none
 *   unionmap:{type:name, …}  what all give, joined with ','
 *   debug:type:name          the same table, and a line in the log for each access
 *
 * Their traits are those of their members: they take derived keys only when all do, and
 * wait for others when one does. In a set a member that cannot be opened is a stand-in,
 * so that a new version of its file makes it serve. */
#include "log/log.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 1000
#define NESTED_MAX  16

struct combined {
	struct map_members members;
	struct log *log;
};

/* How deep tables of tables go: each level is a call inside the one above. */
static bool
is_too_deep(struct str name)
{
	size_t depth = 0;

	for (size_t i = 0; i < name.n && depth <= NESTED_MAX; i++) {
		if (name.p[i] == '{' || str_starts(str_from(name, i), STR("debug:")))
			depth++;
		else if (name.p[i] == '}' && depth > 0)
			depth--;
	}
	return depth > NESTED_MAX;
}

static bool
is_list(struct str name, struct str *out)
{
	return name.n > 0 && name.p[0] == '{' && map_unbrace(name, out) == RC_OK;
}

static struct map_traits
list_traits(struct str name)
{
	struct map_traits all = { .is_fixed = true };
	struct str rest, word;

	if (is_too_deep(name) || !is_list(name, &rest))
		return all;
	while (map_word_next(&rest, &word) == RC_OK) {
		struct map_traits one = map_traits_of(word);

		all.is_fixed = all.is_fixed && one.is_fixed;
		all.is_remote = all.is_remote || one.is_remote;
		all.is_open_to_forgery = all.is_open_to_forgery || one.is_open_to_forgery;
	}
	return all;
}

static void
combined_close(void *state)
{
	struct combined *c = state;

	for (size_t i = 0; i < c->members.n; i++)
		map_close(&c->members.v[i]);
	free(c->members.v);
	free(c);
}

static enum rc
add_member(struct combined *c, const struct map_how *how, struct str spec, struct err *e)
{
	const struct map_open_request req = { .spec = spec,
		.env = how->env,
		.flags = how->flags,
		.for_writing = how->for_writing };
	struct map *m = map_new(&req);
	enum rc rc;

	m->is_of_set = how->is_of_set;
	rc = map_open_version(m, &m->why);
	if (rc != RC_OK && !how->is_of_set) {
		rc = err_set(e, rc, "%s", m->why.text);
		map_close(&m);
		return rc;
	}
	if (rc != RC_OK && how->env->log != NULL)
		log_error(how->env->log, "%s", m->why.text);
	c->members.v = mem_grow(c->members.v, c->members.n + 1, sizeof(struct map *));
	c->members.v[c->members.n++] = m;
	return RC_OK;
}

static enum rc
list_open(const char *type, const struct map_how *how, void **out, struct err *e)
{
	struct combined *c = mem_get(sizeof(*c));
	struct str rest, word;
	enum rc rc = RC_PERM;

	if (!is_too_deep(how->name) && is_list(how->name, &rest))
		while ((rc = map_word_next(&rest, &word)) == RC_OK &&
		       c->members.n < MEMBERS_MAX && str_find(word, ':') < word.n) {
			rc = add_member(c, how, word, e);
			if (rc != RC_OK) {
				combined_close(c);
				return rc;
			}
		}
	if (rc != RC_NONE || c->members.n == 0) {
		combined_close(c);
		return err_set(e, RC_PERM, /* compat */
		    "bad syntax: \"%s:%.*s\"; need \"%s:{type:name...}\"", type,
		    STR_ARG(how->name), type);
	}
	*out = c;
	return RC_OK;
}

static enum rc
pipe_open(const struct map_how *how, void **out, struct err *e)
{
	return list_open("pipemap", how, out, e);
}

static enum rc
union_open(const struct map_how *how, void **out, struct err *e)
{
	return list_open("unionmap", how, out, e);
}

static enum rc
pipe_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct combined *c = state;
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < c->members.n; i++)
		rc = map_find(c->members.v[i], key, flags | MAP_EMPTY_OK, mem, &key, e);
	if (rc == RC_OK)
		*out = key;
	return rc;
}

static enum rc
union_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	const struct combined *c = state;
	struct str all = STR(""), one;

	for (size_t i = 0; i < c->members.n; i++) {
		enum rc rc =
		    map_find(c->members.v[i], key, flags | MAP_EMPTY_OK, mem, &one, e);

		if (rc != RC_OK && rc != RC_NONE)
			return rc;
		if (rc == RC_NONE || one.n == 0)
			continue;
		if (all.n > 0)
			one = arena_printf(mem, "%.*s,%.*s", STR_ARG(all), STR_ARG(one));
		if (one.p == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		all = one;
	}
	if (all.n == 0)
		return RC_NONE;
	*out = all;
	return RC_OK;
}

static const struct map_members *
combined_members(const void *state)
{
	return &((const struct combined *)state)->members;
}

const struct map_type map_type_pipemap = {
	.name = "pipemap",
	.traits_of = list_traits,
	.open = pipe_open,
	.close = combined_close,
	.find = pipe_find,
	.members = combined_members,
};

const struct map_type map_type_unionmap = {
	.name = "unionmap",
	.traits_of = list_traits,
	.open = union_open,
	.close = combined_close,
	.find = union_find,
	.members = combined_members,
};

/* ---- debug ---- */

static struct map_traits
debug_traits(struct str name)
{
	return is_too_deep(name) ? (struct map_traits){ .is_fixed = true }
				 : map_traits_of(name);
}

static enum rc
debug_open(const struct map_how *how, void **out, struct err *e)
{
	struct combined *c;
	enum rc rc;

	if (is_too_deep(how->name) || str_find(how->name, ':') == how->name.n)
		return err_set(e, RC_PERM, /* compat */
		    "open dictionary: expecting \"type:name\" form instead of \"%.*s\"",
		    STR_ARG(how->name));
	c = mem_get(sizeof(*c));
	c->log = how->env->log;
	rc = add_member(c, how, how->name, e);
	if (rc != RC_OK) {
		combined_close(c);
		return rc;
	}
	*out = c;
	return RC_OK;
}

static enum rc
debug_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	const struct combined *c = state;
	struct map *m = c->members.v[0];
	struct str value = STR("error"); /* compat */
	enum rc rc = map_find(m, key, flags | MAP_EMPTY_OK, mem, out, e);

	if (rc == RC_OK)
		value = *out;
	else if (rc == RC_NONE)
		value = STR("not_found");
	if (c->log != NULL)
		log_info(c->log, "%.*s lookup: \"%.*s\" = \"%.*s\"", STR_ARG(m->spec),
		    STR_ARG(key), STR_ARG(value));
	return rc;
}

struct walk {
	const struct combined *c;
	map_each_fn *fn;
	void *ctx;
};

static enum rc
log_entry(void *ctx, struct str key, struct str value)
{
	const struct walk *w = ctx;

	if (w->c->log != NULL)
		log_info(w->c->log, "%.*s sequence: \"%.*s\" = \"%.*s\"",
		    STR_ARG(w->c->members.v[0]->spec), STR_ARG(key), STR_ARG(value));
	return w->fn(w->ctx, key, value);
}

static enum rc
debug_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	struct walk w = { .c = state, .fn = fn, .ctx = ctx };
	enum rc rc = map_each(w.c->members.v[0], log_entry, &w, e);

	if (rc == RC_OK && w.c->log != NULL)
		log_info(w.c->log, "%.*s sequence: found EOF",
		    STR_ARG(w.c->members.v[0]->spec));
	return rc;
}

static const char *
ending(enum rc rc)
{
	return rc == RC_OK ? "success" : rc == RC_NONE ? "failed" : "error"; /* compat */
}

static enum rc
debug_put(void *state, struct str key, struct str value, struct err *e)
{
	const struct combined *c = state;
	enum rc rc = map_put(c->members.v[0], key, value, e);

	if (c->log != NULL)
		log_info(c->log, "%.*s update: \"%.*s\" = \"%.*s\": %s",
		    STR_ARG(c->members.v[0]->spec), STR_ARG(key), STR_ARG(value),
		    ending(rc));
	return rc;
}

static enum rc
debug_del(void *state, struct str key, struct err *e)
{
	const struct combined *c = state;
	enum rc rc = map_delete(c->members.v[0], key, e);

	if (c->log != NULL)
		log_info(c->log, "%.*s delete: \"%.*s\": %s",
		    STR_ARG(c->members.v[0]->spec), STR_ARG(key), ending(rc));
	return rc;
}

const struct map_type map_type_debug = {
	.name = "debug",
	.traits_of = debug_traits,
	.open = debug_open,
	.close = combined_close,
	.find = debug_find,
	.each = debug_each,
	.put = debug_put,
	.del = debug_del,
	.members = combined_members,
};
