/* Owns what `postfix check` says of lookup tables: each that main.cf or a -o names is
 * opened once, as its reader would. */
#include "prog/admin/postfix/postfix.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/lookup_tables.h"
#include "agent/table_rebuild.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/params.h"
#include "log/log.h"
#include "map/build.h"
#include "map/map.h"
#include "map/proxy.h"

static void
check_mode(struct postfix *p, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 0022) != 0)
		log_warn(p->log, "group or other writable: %s", path); /* compat */
}

/* Of a table that postmap makes, what it is made from too. */
static void
check_modes(struct postfix *p, struct str type, struct str name)
{
	struct arena *mem = arena_new(1 << 17);
	const char *source = arena_cstr(mem, name);

	if (source != NULL && map_build_can(type)) {
		const char *path =
		    arena_printf(mem, "%s%s", source, map_build_suffix(type)).p;

		if (path != NULL)
			check_mode(p, path);
	}
	if (source != NULL && name.p[0] == '/')
		check_mode(p, source);
	arena_free(&mem);
}

/* ---- errors ---- */

static bool
names_table(struct postfix *p, const struct master_service *service, struct str value,
    struct str spec)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct str text;
	bool does = false;

	if (conf_expand(p->snapshot, service, value, mem, &text, NULL) == RC_OK)
		for (; text.n >= spec.n && !does; text = str_from(text, 1))
			does = str_starts(text, spec) &&
			       (text.n == spec.n ||
				   strchr(", \t\r\n}", text.p[spec.n]) != NULL);
	arena_free(&mem);
	return does;
}

/* Where the table is named first: "main.cf: line 7: transport_maps: ", or empty. */
static struct str
where_named(struct postfix *p, struct str spec)
{
	const struct conf_snapshot *s = p->snapshot;
	const struct conf_entry *first = NULL;

	for (size_t i = 0; i < s->main.n; i++) {
		const struct conf_entry *v = &s->main.v[i];

		if ((first == NULL || v->line < first->line) &&
		    names_table(p, NULL, v->value, spec))
			first = v;
	}
	if (first != NULL)
		return arena_printf(p->mem,
		    "%.*s: line %u: %.*s: ", STR_ARG(s->main_path), first->line,
		    STR_ARG(first->name));
	for (size_t i = 0; i < s->master.n; i++) {
		const struct master_service *v = &s->master.v[i];

		for (size_t k = 0; k < v->n_overrides; k++)
			if (names_table(p, v, v->overrides[k].value, spec))
				return arena_printf(p->mem,
				    "%.*s: line %u: -o %.*s: ", STR_ARG(s->master_path),
				    v->line, STR_ARG(v->overrides[k].name));
	}
	return STR("");
}

/* What to do about an index that is not there while its source is; or empty. */
static const char *
remedy(struct postfix *p, struct str spec)
{
	struct str type, name;
	const char *source, *index, *command;

	if (!str_cut(spec, ':', &type, &name) || !map_build_can(type))
		return "";
	index = arena_printf(p->mem, "%.*s%s", STR_ARG(name), map_build_suffix(type)).p;
	source = arena_cstr(p->mem, name);
	if (index == NULL || access(index, F_OK) == 0 || source == NULL ||
	    access(source, F_OK) != 0)
		return "";
	command = str_ends(name, STR("aliases")) ? "postalias" : "postmap";
	command = arena_printf(p->mem, "; run: %s %.*s", command, STR_ARG(spec)).p;
	return command != NULL ? command : "";
}

static bool
say_error(struct postfix *p, struct str spec, const char *why)
{
	log_error(p->log, "%.*s%.*s: %s%s", STR_ARG(where_named(p, spec)), STR_ARG(spec),
	    why, remedy(p, spec));
	return false;
}

/* ---- one table ---- */

/* Of tables on a network only the file that describes them can be looked at. */
static bool
check_description(struct postfix *p, struct str spec, struct str name)
{
	const char *path = arena_cstr(p->mem, name);

	if (path == NULL || path[0] != '/')
		return true;
	check_mode(p, path);
	if (access(path, R_OK) == 0)
		return true;
	return say_error(
	    p, spec, arena_printf(p->mem, "open %s: %s", path, strerror(errno)).p);
}

static bool
check_open(struct postfix *p, struct str spec)
{
	const struct map_env env = {
		.log = p->log, .snapshot = p->snapshot, .warns_of_any_age = true
	};
	const struct map_open_request req = { .spec = spec, .env = &env };
	struct map *m = NULL;
	struct err e = { .text = "" };

	if (map_open(&req, &m, &e) == RC_OK) {
		map_close(&m);
		return true;
	}
	return say_error(p, spec, e.text);
}

/* A daemon makes it when there is something to remember. */
static bool
is_cache(struct postfix *p, struct str spec)
{
	static const char *const caches[] = { "address_verify_map",
		"lmtp_sasl_auth_cache_name", "lmtp_tls_session_cache_database",
		"postscreen_cache_map", "smtp_sasl_auth_cache_name",
		"smtp_tls_session_cache_database", "smtpd_tls_session_cache_database" };

	for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
		struct str text;

		if (conf_get(p->snapshot, NULL, str_c(caches[i]), p->mem, &text, NULL) ==
			RC_OK &&
		    str_eq(lookup_tables_strip(str_trim(text)), spec))
			return true;
	}
	return false;
}

static bool
check_table(struct postfix *p, const struct lookup_table *t)
{
	struct str type, name;

	if (!str_cut(t->spec, ':', &type, &name) || name.n == 0 || is_cache(p, t->spec))
		return true;
	if (t->is_remote)
		return check_description(p, t->spec, name);
	check_modes(p, type, name);
	return check_open(p, t->spec);
}

/* Whether `item` can be nothing but a table: in a list of names and networks, only what
 * has a path behind its type. */
static bool
is_table(const struct conf_param *param, struct str item)
{
	struct str type, name;

	if (!str_cut(item, ':', &type, &name) || item.p[0] == '/')
		return false;
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_isalnum(type.p[i]))
			return false;
	return param->type == CONF_MAPS ||
	       (param->type == CONF_LIST && type.n > 0 && name.n > 0 && name.p[0] == '/');
}

/* Types that nobody knows. */
static bool
check_types(struct postfix *p, const struct conf_entry *entry)
{
	const struct conf_param *param = conf_param_find(entry->name);
	struct arena *mem;
	struct str rest, item;
	bool is_good = true;
	struct err e;

	if (param == NULL ||
	    (param->type != CONF_MAPS &&
		(param->type != CONF_LIST || param->status != CONF_WORKS)))
		return true;
	mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	if (conf_get(p->snapshot, NULL, entry->name, mem, &rest, &e) == RC_OK)
		while (conf_list_next(&rest, &item) == RC_OK) {
			struct str spec = lookup_tables_strip(item);

			if (is_table(param, spec) && !map_spec_is_known(spec))
				is_good &= check_open(p, spec);
		}
	arena_free(&mem);
	return is_good;
}

bool
check_tables(struct postfix *p)
{
	const struct lookup_tables *tables;
	struct err e = { .text = "" };
	bool is_good = true;

	table_rebuild_all(p->snapshot, p->log);
	if (lookup_tables_make(p->snapshot, p->mem, &tables, &e) != RC_OK) {
		log_error(p->log, "%s", e.text);
		return false;
	}
	for (size_t i = 0; i < lookup_tables_count(tables); i++)
		if (lookup_tables_at(tables, i)->is_named)
			is_good &= check_table(p, lookup_tables_at(tables, i));
	for (size_t i = 0; i < p->snapshot->main.n; i++)
		is_good &= check_types(p, &p->snapshot->main.v[i]);
	return is_good;
}
