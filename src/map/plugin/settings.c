/* Settings of one table, from a file of its own or from main.cf. */
#include "map/plugin/settings.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include "log/log.h"
#include "os/fd.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX ((size_t)1 << 20) /* bytes of the file */

static size_t
row(const struct map_setting_list *list, struct str name)
{
	size_t i = 0;

	while (i < list->n && !str_is(name, list->v[i].name))
		i++;
	return i;
}

static size_t
known(const struct map_settings *s, const char *name)
{
	size_t i = row(s->list, str_c(name));

	assert(i < s->list->n);
	return i;
}

static void
start(struct map_settings *s, const struct map_setting_list *list, struct str name,
    const char *behind)
{
	s->mem = arena_new(CONF_VALUE_MAX + 4 * SETTINGS_MAX);
	s->list = list;
	s->values = arena_array(s->mem, list->n, sizeof(*s->values));
	s->is_set = arena_array(s->mem, list->n, sizeof(*s->is_set));
	s->where = arena_printf(s->mem, "%.*s%s", STR_ARG(name), behind);
	assert(s->values != NULL && s->is_set != NULL && s->where.p != NULL);
	for (size_t i = 0; i < list->n; i++)
		s->values[i] =
		    str_c(list->v[i].initial != NULL ? list->v[i].initial : "");
}

void
map_settings_fini(struct map_settings *s)
{
	arena_free(&s->mem);
}

/* compat: in a file the words come first, in main.cf the parameter's name is whole. */
static enum rc
bad_value(const struct map_settings *s, const char *what, size_t i, struct err *e)
{
	const char *name = s->list->v[i].name;

	if (str_ends(s->where, STR(": ")))
		return err_set(e, RC_TEMP, "%s%s: %s = %.*s", s->where.p, what, name,
		    STR_ARG(s->values[i]));
	return err_set(
	    e, RC_TEMP, "%s: %s%s = %.*s", what, s->where.p, name, STR_ARG(s->values[i]));
}

enum rc
map_settings_need(const struct map_settings *s, const char *name, struct err *e)
{
	size_t i = known(s, name);

	return s->values[i].n > 0 ? RC_OK : bad_value(s, "bad string length 0 < 1", i, e);
}

/* compat: the same of numbers */
static enum rc
out_of_bounds(const struct map_settings *s, size_t i, char sign, struct err *e)
{
	const struct map_setting *d = &s->list->v[i];
	bool is_file = str_ends(s->where, STR(": "));

	return err_set(e, RC_TEMP, "%sinvalid %s%s parameter value %.*s %c %lld",
	    is_file ? s->where.p : "", is_file ? "" : s->where.p, d->name,
	    STR_ARG(s->values[i]), sign, (long long)(sign == '<' ? d->min : d->max));
}

static enum rc
check_value(const struct map_settings *s, size_t i, struct err *e)
{
	const struct map_setting *d = &s->list->v[i];
	struct str text = s->values[i];
	uint64_t number;
	bool yes;

	if (d->kind == MAP_SETTING_YESNO &&
	    conf_value_bool(str_c(d->name), text, &yes, NULL) != RC_OK)
		return bad_value(s, "bad boolean configuration", i, e);
	if (d->kind != MAP_SETTING_NUMBER)
		return RC_OK;
	if (text.n > 0 && text.p[0] == '-' &&
	    str_u64(str_from(text, 1), INT32_MAX, &number) == RC_OK)
		return out_of_bounds(s, i, '<', e);
	if (str_u64(text, UINT32_MAX, &number) != RC_OK)
		return bad_value(s, "bad numerical configuration", i, e);
	if ((int64_t)number < d->min)
		return out_of_bounds(s, i, '<', e);
	if (d->max > 0 && (int64_t)number > d->max)
		return out_of_bounds(s, i, '>', e);
	return RC_OK;
}

static enum rc
check_all(const struct map_settings *s, struct err *e)
{
	for (size_t i = 0; i < s->list->n; i++)
		if (check_value(s, i, e) != RC_OK)
			return RC_TEMP;
	return RC_OK;
}

/* Also when it is misspelt: the log is not for passwords. */
static struct str
shown(struct str name, struct str value)
{
	bool is_secret = str_ends(name, STR("_pw"));

	for (size_t i = 0; i < name.n; i++)
		is_secret = is_secret || str_istarts(str_from(name, i), STR("pass")) ||
			    str_istarts(str_from(name, i), STR("_pw_")) ||
			    str_istarts(str_from(name, i), STR("hosts"));
	return is_secret ? STR("(not shown)") : value;
}

static enum rc
take_line(struct map_settings *s, const struct conf_lines *at, struct str line,
    struct log *log, struct err *e)
{
	struct str path = str_head(s->where, s->where.n - 2), name, value;
	size_t i;

	if (conf_assignment(line, &name, &value, e) != RC_OK)
		return RC_TEMP;
	i = row(s->list, name);
	if (i < s->list->n) {
		if (s->is_set[i] && log != NULL) /* compat */
			log_warn(log,
			    "%.*s, line %u: overriding earlier entry: %.*s=%.*s",
			    STR_ARG(path), at->line, STR_ARG(name),
			    STR_ARG(shown(name, s->values[i])));
		s->values[i] = arena_str(s->mem, value);
		s->is_set[i] = true;
		if (s->values[i].p == NULL)
			return err_set(e, RC_TEMP, "too large");
	} else if (log != NULL) {
		log_warn(log, "%.*s: unused parameter: %.*s=%.*s", STR_ARG(path),
		    STR_ARG(name), STR_ARG(shown(name, value)));
	}
	return RC_OK;
}

enum rc
map_settings_parse(struct str path, struct str text, struct log *log,
    const struct map_setting_list *list, struct map_settings *out, struct err *e)
{
	struct map_settings s = { 0 };
	struct conf_lines lines = conf_lines(text);
	struct arena *mem = arena_new(2 * SETTINGS_MAX);
	struct str line;
	enum rc rc;

	start(&s, list, path, ": ");
	while ((rc = conf_lines_next(&lines, mem, &line)) == RC_OK) {
		rc = take_line(&s, &lines, line, log, e);
		if (rc != RC_OK) {
			rc = err_in(e, rc, "%.*s, line %u", STR_ARG(path), lines.line);
			break;
		}
		arena_reset(mem);
	}
	arena_free(&mem);
	if (rc == RC_NONE)
		rc = check_all(&s, e);
	if (rc != RC_OK) {
		map_settings_fini(&s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

static enum rc
from_file(const struct map_how *how, const struct map_setting_list *list,
    struct map_settings *out, struct err *e)
{
	struct arena *mem = arena_new(SETTINGS_MAX + 8192);
	const char *path = arena_cstr(mem, how->name);
	struct str text;
	enum rc rc;

	if (path == NULL) {
		arena_free(&mem);
		return err_set(e, RC_TEMP, "too long a name");
	}
	rc = os_fd_load(path, SETTINGS_MAX, mem, &text, e);
	if (rc == RC_NONE)
		rc = err_set(e, RC_TEMP, "open %s: No such file or directory", path);
	else if (rc != RC_OK)
		rc = err_in(e, RC_TEMP, "open %s", path); /* compat */
	else
		rc = map_settings_parse(how->name, text, how->env->log, list, out, e);
	arena_free(&mem);
	return rc;
}

static enum rc
from_main_cf(const struct map_how *how, const struct map_setting_list *list,
    struct map_settings *out, struct err *e)
{
	struct map_settings s = { 0 };
	enum rc rc = RC_OK;

	start(&s, list, how->name, "_");
	for (size_t i = 0; i < list->n && rc == RC_OK && how->env->snapshot != NULL;
	     i++) {
		struct str name = arena_printf(s.mem, "%s%s", s.where.p, list->v[i].name);
		struct str value;

		rc = name.p == NULL ? RC_TEMP
				    : conf_get(how->env->snapshot, how->env->service,
					  name, s.mem, &value, e);
		if (rc == RC_OK) {
			s.values[i] = arena_str(s.mem, value);
			s.is_set[i] = true;
		} else if (rc == RC_NONE) {
			rc = RC_OK;
		}
	}
	if (rc == RC_OK)
		rc = check_all(&s, e);
	if (rc != RC_OK) {
		map_settings_fini(&s);
		return RC_TEMP;
	}
	*out = s;
	return RC_OK;
}

enum rc
map_settings_load(const struct map_how *how, const struct map_setting_list *list,
    struct map_settings *out, struct err *e)
{
	if (how->name.n > 0 && (how->name.p[0] == '/' || how->name.p[0] == '.'))
		return from_file(how, list, out, e);
	return from_main_cf(how, list, out, e);
}

struct str
map_settings_text(const struct map_settings *s, const char *name)
{
	return s->values[known(s, name)];
}

const char *
map_settings_cstr(const struct map_settings *s, const char *name)
{
	struct str v = map_settings_text(s, name);

	return v.n > 0 ? v.p : NULL;
}

int64_t
map_settings_number(const struct map_settings *s, const char *name)
{
	uint64_t v = 0;
	enum rc rc = str_u64(map_settings_text(s, name), UINT32_MAX, &v);

	assert(rc == RC_OK); /* checked when it was loaded */
	return (int64_t)v;
}

bool
map_settings_yesno(const struct map_settings *s, const char *name)
{
	bool yes = false;
	enum rc rc = conf_value_bool(str_c(name), map_settings_text(s, name), &yes, NULL);

	assert(rc == RC_OK);
	return yes;
}

bool
map_settings_is_set(const struct map_settings *s, const char *name)
{
	return s->is_set[known(s, name)];
}
