/* unix:passwd.byname and unix:group.byname, from the files themselves: asking the name
 * service could wait for the network. Where nsswitch.conf names other sources, a name
 * that is not in the file may still exist, so "not found" is trouble there and never a
 * refusal. */
#include "map/map_int.h"
#include "os/fd.h"
#include <stdlib.h>

#define FILE_MAX_BYTES ((size_t)256 << 20)

struct accounts {
	struct map_mem *mem;
	bool is_all; /* the file is the only source */
};

static const char *
unix_watch(struct str name)
{
	if (str_is(name, "passwd.byname"))
		return "/etc/passwd";
	return str_is(name, "group.byname") ? "/etc/group" : NULL;
}

/* Whether the line "passwd: files systemd" has nothing but local sources. `systemd` only
 * adds accounts of running services, which get no mail. */
static bool
is_local_only(struct str line)
{
	struct str word;

	while (str_token(&line, " \t", &word))
		if (word.p[0] != '[' && !str_is(word, "files") &&
		    !str_is(word, "compat") && !str_is(word, "systemd"))
			return false;
	return true;
}

static bool
only_files(struct str database)
{
	struct arena *mem = arena_new(1 << 20);
	struct str text, line, name, sources;
	bool is_all = true;

	if (os_fd_load("/etc/nsswitch.conf", 1 << 18, mem, &text, NULL) == RC_OK)
		while (str_token(&text, "\r\n", &line))
			if (str_cut(line, ':', &name, &sources) &&
			    str_eq(str_trim(name), database))
				is_all = is_local_only(
				    str_head(sources, str_find(sources, '#')));
	arena_free(&mem);
	return is_all;
}

static void
unix_close(void *state)
{
	struct accounts *a = state;

	map_mem_free(&a->mem);
	free(a);
}

static enum rc
unix_open(const struct map_how *how, void **out, struct err *e)
{
	struct str name = how->name;
	const char *file = unix_watch(name);
	struct arena *mem;
	struct accounts *a;
	struct str text, line, user, rest;
	enum rc rc;

	if (file == NULL)
		return err_set(
		    e, RC_PERM, "unknown table: unix:%.*s", STR_ARG(name)); /* compat */
	mem = arena_new(FILE_MAX_BYTES);
	a = mem_get(sizeof(*a));
	a->mem = map_mem_new();
	a->is_all = only_files(str_head(name, str_find(name, '.')));
	rc = os_fd_load(file, FILE_MAX_BYTES - 4096, mem, &text, e);
	while (rc == RC_OK && str_token(&text, "\n", &line))
		if (str_cut(line, ':', &user, &rest) && user.n > 0)
			(void)!map_mem_put(a->mem, user, line);
	arena_free(&mem);
	if (rc != RC_OK) {
		unix_close(a);
		return rc == RC_NONE ? err_set(e, RC_TEMP, "%s is missing", file) : rc;
	}
	*out = a;
	return RC_OK;
}

static enum rc
unix_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct accounts *a = state;
	struct str line;
	enum rc rc = map_mem_find(a->mem, key, &line);

	(void)flags;
	if (rc == RC_NONE && !a->is_all)
		return err_set(e, RC_TEMP,
		    "not in the file, and nsswitch.conf names sources "
		    "that are not available in this version");
	if (rc != RC_OK)
		return rc;
	line = arena_str(mem, line);
	if (line.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = line;
	return RC_OK;
}

const struct map_type map_type_unix = {
	.name = "unix",
	.traits = { .is_fixed = true },
	.watch = unix_watch,
	.open = unix_open,
	.close = unix_close,
	.find = unix_find,
};
