/* A table type in a module, for plugin_test.c: says what name and key it was given. */
#include "map/plugin.h"
#include <stdlib.h>
#include <string.h>

static enum rc
fixture_open(const struct map_how *how, void **out, struct err *e)
{
	char *copy;

	if (how->name.n == 0)
		return err_set(e, RC_PERM, "no name");
	copy = mem_get(how->name.n + 1);
	memcpy(copy, how->name.p, how->name.n);
	*out = copy;
	return RC_OK;
}

static enum rc
fixture_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct str value =
	    arena_printf(mem, "%s %.*s", (const char *)state, STR_ARG(key));

	(void)flags;
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

const struct map_type map_plugin_type = {
	.name = "fixture",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = fixture_open,
	.close = free,
	.find = fixture_find,
};
