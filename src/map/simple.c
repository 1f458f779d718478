/* static: always the same value. randmap: one of several. environ: the environment.
 * fail: always trouble. */
#include "map/map_int.h"
#include "os/random.h"
#include <stdlib.h>

static enum rc
static_open(const struct map_how *how, void **out, struct err *e)
{
	struct str name = how->name;
	enum rc rc = RC_OK;
	char *copy;

	if (name.n > 0 && name.p[0] == '{')
		rc = map_unbrace(name, &name);
	if (rc != RC_OK)
		return err_set(e, RC_PERM, /* compat */
		    "bad static:name syntax: %s in \"%.*s\"",
		    rc == RC_NONE ? "missing '}'" : "syntax error after '}'",
		    STR_ARG(how->name));
	copy = mem_get(name.n + 1);
	for (size_t i = 0; i < name.n; i++)
		copy[i] = name.p[i];
	*out = copy;
	return RC_OK;
}

static enum rc
static_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct str value = arena_str(mem, str_c(state));

	(void)flags;
	(void)key;
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

const struct map_type map_type_static = {
	.name = "static",
	.traits = { .is_fixed = true },
	.open = static_open,
	.close = free,
	.find = static_find,
};

/* ---- randmap:{ value, value … } ---- */

struct choices {
	struct arena *mem;
	struct str *v;
	size_t n;
};

static void
rand_close(void *state)
{
	struct choices *c = state;

	arena_free(&c->mem);
	free(c->v);
	free(c);
}

static enum rc
rand_open(const struct map_how *how, void **out, struct err *e)
{
	struct choices *c = mem_get(sizeof(*c));
	struct str rest, word;
	enum rc rc = RC_PERM;

	c->mem = arena_new(2 * how->name.n + 65536);
	if (how->name.n > 0 && how->name.p[0] == '{' &&
	    map_unbrace(how->name, &rest) == RC_OK) {
		rest = arena_str(c->mem, rest);
		while (rest.p != NULL && (rc = map_word_next(&rest, &word)) == RC_OK) {
			c->v = mem_grow(c->v, c->n + 1, sizeof(*c->v));
			c->v[c->n++] = word;
		}
	}
	if (rc != RC_NONE || c->n == 0) {
		rand_close(c);
		return err_set(e, RC_PERM, /* compat */
		    "bad syntax: \"randmap:%.*s\"; need \"randmap:{value...}\"",
		    STR_ARG(how->name));
	}
	*out = c;
	return RC_OK;
}

static enum rc
rand_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct choices *c = state;
	struct str value = arena_str(mem, c->v[os_random_u64() % c->n]);

	(void)flags;
	(void)key;
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

const struct map_type map_type_randmap = {
	.name = "randmap",
	.open = rand_open,
	.close = rand_close,
	.find = rand_find,
};

/* ---- environ ---- */

static void
nothing_close(void *state)
{
	(void)state;
}

static enum rc
nothing_open(const struct map_how *how, void **out, struct err *e)
{
	(void)how;
	(void)e;
	*out = NULL;
	return RC_OK;
}

static enum rc
environ_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	const char *name = arena_cstr(mem, key);
	struct str value;

	(void)state;
	(void)flags;
	if (name == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if (getenv(name) == NULL)
		return RC_NONE;
	value = arena_str(mem, str_c(getenv(name)));
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

/* compat: keys are folded like those of other fixed tables, so that only names in lower
 * case are ever found. */
const struct map_type map_type_environ = {
	.name = "environ",
	.traits = { .is_fixed = true },
	.open = nothing_open,
	.close = nothing_close,
	.find = environ_find,
};

/* ---- fail ---- */

static enum rc
fail_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	(void)state;
	(void)key;
	(void)flags;
	(void)mem;
	(void)out;
	return err_set(e, RC_TEMP, "Application error"); /* compat */
}

static enum rc
fail_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	(void)state;
	(void)fn;
	(void)ctx;
	return err_set(e, RC_TEMP, "Application error"); /* compat */
}

const struct map_type map_type_fail = {
	.name = "fail",
	.open = nothing_open,
	.close = nothing_close,
	.find = fail_find,
	.each = fail_each,
};
