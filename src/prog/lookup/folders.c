/* What the sandbox must let through: the folders of the tables' own files, of files that
 * their configurations name, and what libraries read. */
#include "conf/snapshot.h"
#include "os/fd.h"
#include "prog/lookup/lookup.h"

#define CONFIG_MAX ((size_t)1 << 20)

static void
add_folder_of(struct decide_folders *f, struct str path)
{
	size_t at = str_rfind(path, '/');

	if (path.n > 0 && path.p[0] == '/' && at > 0)
		decide_folders_add(f, str_head(path, at));
}

/* Absolute paths among the words of a text: dbpath, certificates, option files. */
static void
add_paths_in(struct decide_folders *f, struct str text)
{
	struct str word;

	while (str_token(&text, " \t\r\n,={}'\"", &word))
		if (word.p[0] == '/')
			add_folder_of(f, word);
}

static void
add_config(struct decide_folders *f, struct str path)
{
	struct arena *mem = arena_new(2 * CONFIG_MAX);
	struct str text;

	if (os_fd_load(arena_cstr(mem, path), CONFIG_MAX, mem, &text, NULL) == RC_OK)
		add_paths_in(f, text);
	arena_free(&mem);
}

/* Settings of tables that stand in main.cf: "NAME_dbpath = /…". */
static void
add_legacy(const struct lookup *l, struct decide_folders *f, struct str name)
{
	const struct main_cf *m = &l->w.snapshot->main;

	for (size_t i = 0; name.n > 0 && i < m->n; i++) {
		struct arena *mem;
		struct str value;

		if (!str_starts(m->v[i].name, name) ||
		    !str_starts(str_from(m->v[i].name, name.n), STR("_")))
			continue;
		mem = arena_new(CONF_VALUE_MAX * 2);
		if (conf_get(l->w.snapshot, NULL, m->v[i].name, mem, &value, NULL) ==
		    RC_OK)
			add_paths_in(f, value);
		arena_free(&mem);
	}
}

static void
add_table(const struct lookup *l, struct decide_folders *f, const struct lookup_table *t)
{
	struct str type, name;

	if (!str_cut(t->spec, ':', &type, &name))
		return;
	if (name.n > 0 && name.p[0] == '/')
		add_folder_of(f, name);
	else
		add_paths_in(f, name); /* made of other tables, or inline */
	if (t->is_remote && name.n > 0 && name.p[0] == '/')
		add_config(f, name);
	else if (t->is_remote)
		add_legacy(l, f, name);
}

void
folders_make(struct lookup *l, struct decide_folders *out)
{
	static const char *const libraries[] = { "/etc", "/usr/lib", "/usr/lib64", "/lib",
		"/lib64", "/usr/share", "/run/systemd/resolve", "/var/lib/sss" };

	for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
		decide_folders_add(out, str_c(libraries[i]));
	decide_folders_add(out, l->w.snapshot->config_directory);
	for (size_t i = 0; i < lookup_tables_count(l->tables); i++)
		add_table(l, out, lookup_tables_at(l->tables, i));
}

/* Whoever may connect to sockets in the file system can reach private/queue as well, so
 * only those get it that cannot do without: databases are met there by default. */
bool
folders_need_unix(const struct lookup *l)
{
	static const char *const without[] = { "tcp:", "socketmap:inet:", "sqlite:" };

	for (size_t i = 0; i < lookup_tables_count(l->tables); i++) {
		const struct lookup_table *t = lookup_tables_at(l->tables, i);
		bool needs = t->is_remote;

		for (size_t k = 0; k < ARRAY_LEN(without); k++)
			needs = needs && !str_starts(t->spec, str_c(without[k]));
		if (needs)
			return true;
	}
	return false;
}
