/* static: always the same value. fail: always trouble. */
#include "map/map_int.h"
#include <stdlib.h>

static enum rc
static_open(const struct map_how *how, void **out, struct err *e)
{
	struct str name = str_trim(how->name);
	char *copy;

	(void)e;
	if (name.n >= 2 && name.p[0] == '{' && name.p[name.n - 1] == '}')
		name = str_trim(str_n(name.p + 1, name.n - 2));
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

static enum rc
fail_open(const struct map_how *how, void **out, struct err *e)
{
	(void)how;
	(void)e;
	*out = NULL;
	return RC_OK;
}

static void
fail_close(void *state)
{
	(void)state;
}

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
	.open = fail_open,
	.close = fail_close,
	.find = fail_find,
	.each = fail_each,
};
