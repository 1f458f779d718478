/* unix:passwd.byname and unix:group.byname. The files are kept in memory, because asking
 * the name service can wait for the network. Where nsswitch.conf names other sources, the
 * table is a remote one: `lookup` and commands ask the name service for whom the file
 * does not have. */
#include "map/map_int.h"
#include "os/fd.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)256 << 20)
#define ANSWER_MAX     ((size_t)1 << 20)

struct accounts {
	struct map_mem *mem;
	bool is_all; /* the file is the only source */
	bool is_group;
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

bool
map_unix_is_local(struct str nsswitch, struct str database)
{
	struct str line, name, sources;
	bool is_local = true;

	while (str_token(&nsswitch, "\r\n", &line))
		if (str_cut(str_head(line, str_find(line, '#')), ':', &name, &sources) &&
		    str_eq(str_trim(name), database))
			is_local = is_local_only(sources);
	return is_local;
}

static bool
only_files(struct str database)
{
	struct arena *mem = arena_new(1 << 20);
	struct str text;
	bool is_local = true;

	if (os_fd_load("/etc/nsswitch.conf", 1 << 18, mem, &text, NULL) == RC_OK)
		is_local = map_unix_is_local(text, database);
	arena_free(&mem);
	return is_local;
}

static struct map_traits
unix_traits(struct str name)
{
	return (struct map_traits){ .is_fixed = true,
		.is_remote = unix_watch(name) != NULL &&
			     !only_files(str_head(name, str_find(name, '.'))) };
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
	a->is_group = str_is(name, "group.byname");
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

/* One line as in the file. .p NULL: memory limit. */
static struct str
passwd_line(const struct passwd *p, struct arena *mem)
{
	return arena_printf(mem, "%s:%s:%lu:%lu:%s:%s:%s", p->pw_name, p->pw_passwd,
	    (unsigned long)p->pw_uid, (unsigned long)p->pw_gid, p->pw_gecos, p->pw_dir,
	    p->pw_shell);
}

static struct str
group_line(const struct group *g, struct arena *mem)
{
	struct str line = arena_printf(
	    mem, "%s:%s:%lu:", g->gr_name, g->gr_passwd, (unsigned long)g->gr_gid);

	for (char **m = g->gr_mem; line.p != NULL && *m != NULL; m++)
		line = arena_printf(
		    mem, "%.*s%s%s", STR_ARG(line), m == g->gr_mem ? "" : ",", *m);
	return line;
}

/* RC_TEMP: it could not be asked; never taken for "there is none such". */
static enum rc
ask_name_service(
    bool is_group, const char *name, struct arena *mem, struct str *out, struct err *e)
{
	for (size_t size = 4096; size <= ANSWER_MAX; size *= 4) {
		char *buf = arena_get(mem, size);
		struct passwd p, *found_p = NULL;
		struct group g, *found_g = NULL;
		int r;

		if (buf == NULL)
			break;
		r = is_group ? getgrnam_r(name, &g, buf, size, &found_g)
			     : getpwnam_r(name, &p, buf, size, &found_p);
		if (r == ERANGE)
			continue;
		if (r != 0)
			return err_set(e, RC_TEMP, "name service: %s", strerror(r));
		if (found_p == NULL && found_g == NULL)
			return RC_NONE;
		*out = is_group ? group_line(found_g, mem) : passwd_line(found_p, mem);
		if (out->p != NULL)
			return RC_OK;
		break;
	}
	return err_set(e, RC_TEMP, "memory limit");
}

static enum rc
unix_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	const struct accounts *a = state;
	struct str line;
	enum rc rc = map_mem_find(a->mem, key, &line);

	(void)flags;
	if (rc == RC_NONE && !a->is_all && str_find(key, '\0') == key.n) {
		const char *name = arena_cstr(mem, key);

		if (name == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		rc = ask_name_service(a->is_group, name, mem, &line, e);
		if (rc == RC_OK)
			*out = line;
		return rc;
	}
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
	.traits_of = unix_traits,
	.watch = unix_watch,
	.open = unix_open,
	.close = unix_close,
	.find = unix_find,
};
