/* Owns listing master.cf: entries (-M), fields (-F) and overrides (-P). */
#include "base/arena.h"
#include "base/buf.h"
#include "prog/admin/postconf/entry.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>

/* A request "service/type/field", each part possibly "*" or missing. */
struct request {
	struct str part[3];
	unsigned n;
};

static bool
parse_request(char *arg, struct request *out)
{
	struct str rest = str_c(arg), head;

	*out = (struct request){ 0 };
	while (out->n < 3 && str_cut(rest, '/', &head, &rest))
		out->part[out->n++] = head;
	if (out->n == 3)
		return false;
	if (rest.n > 0)
		out->part[out->n++] = rest;
	return out->n > 0;
}

static bool
part_matches(const struct request *r, unsigned i, struct str what)
{
	return i >= r->n || str_is(r->part[i], "*") || str_eq(r->part[i], what);
}

static bool
service_matches(const struct request *r, const struct entry *e)
{
	return part_matches(r, 0, e->field[ENTRY_SERVICE]) &&
	       part_matches(r, 1, e->field[ENTRY_TYPE]);
}

/* -M -j: one object for each entry, named as -F names the fields. */
static void
show_entry_json(const struct entry *e, struct buf *command)
{
	for (unsigned i = 0; i < ENTRY_N_FIELDS; i++) {
		(void)fputs(i == 0 ? "{" : ", ", stdout);
		show_json(str_c(entry_field_names[i]));
		(void)fputs(": ", stdout);
		if (i == ENTRY_COMMAND)
			entry_format_command(e, false, 0, command);
		show_json(i == ENTRY_COMMAND ? buf_view(command) : e->field[i]);
	}
	(void)fputs("}\n", stdout);
}

static void
show_entry(const struct options *o, const struct entry *e)
{
	struct buf out;

	buf_init(&out, CONF_FILE_MAX);
	if ((o->mode & MODE_JSON) != 0) {
		show_entry_json(e, &out);
	} else {
		entry_format(e, (o->mode & MODE_FOLD) != 0, &out);
		(void)printf("%.*s\n", STR_ARG(buf_view(&out)));
	}
	buf_fini(&out);
}

static void
show_command(const struct options *o, struct str name, const struct entry *e)
{
	struct buf out;
	bool is_folded = (o->mode & MODE_FOLD) != 0;

	buf_init(&out, CONF_FILE_MAX);
	if ((o->mode & (MODE_NAMES | MODE_JSON)) != 0) {
		entry_format_command(e, false, 0, &out);
		show_pair(o, name, buf_view(&out));
	} else {
		if ((o->mode & MODE_VALUES) == 0)
			(void)printf("%.*s = ", STR_ARG(name));
		entry_format_command(
		    e, is_folded, (o->mode & MODE_VALUES) == 0 ? name.n + 3 : 0, &out);
		(void)printf("%.*s\n", STR_ARG(buf_view(&out)));
	}
	buf_fini(&out);
}

static bool
show_fields(const struct options *o, const struct entry *e, const struct request *r,
    struct arena *mem)
{
	bool any = false;

	for (unsigned i = 0; i < ENTRY_N_FIELDS; i++) {
		struct str name;

		if (!part_matches(r, 2, str_c(entry_field_names[i])))
			continue;
		any = true;
		name = arena_printf(mem, "%.*s/%.*s/%s", STR_ARG(e->field[ENTRY_SERVICE]),
		    STR_ARG(e->field[ENTRY_TYPE]), entry_field_names[i]);
		if (i == ENTRY_COMMAND)
			show_command(o, name, e);
		else
			show_pair(o, name, e->field[i]);
	}
	return any;
}

static int
by_override(const void *a, const void *b)
{
	const struct master_override *x = *(const struct master_override *const *)a;
	const struct master_override *y = *(const struct master_override *const *)b;
	int c = str_cmp(x->name, y->name);

	/* Of one name in their order: the last counts. */
	return c != 0 ? c : (x > y) - (x < y);
}

static bool
show_overrides(const struct conf_snapshot *s, const struct options *o,
    const struct master_service *v, const struct request *r, struct arena *mem)
{
	const struct master_override **sorted =
	    mem_array(v->n_overrides + 1, sizeof(const struct master_override *));
	bool any = false;
	struct err e;

	for (size_t i = 0; i < v->n_overrides; i++)
		sorted[i] = &v->overrides[i];
	qsort(sorted, v->n_overrides, sizeof(*sorted), by_override);
	for (size_t i = 0; i < v->n_overrides; i++) {
		struct str name, value = sorted[i]->value;

		if (!part_matches(r, 2, sorted[i]->name) ||
		    (i + 1 < v->n_overrides &&
			str_eq(sorted[i]->name, sorted[i + 1]->name)))
			continue;
		any = true;
		if ((o->mode & MODE_EXPAND) != 0 &&
		    conf_expand(s, v, value, mem, &value, &e) != RC_OK) {
			warn("%s", e.text);
			fatal("macro processing error"); /* compat */
		}
		name = arena_printf(mem, "%.*s/%s/%.*s", STR_ARG(v->name),
		    master_type_name(v->type), STR_ARG(sorted[i]->name));
		show_pair(o, name, value);
	}
	free(sorted);
	return any;
}

/* -x: -o values as the service will see them. */
static void
expand_overrides(const struct conf_snapshot *s, struct entry *e, struct arena *mem)
{
	struct entry old = *e;
	struct err err;

	if (e->n_args == 0)
		return;
	e->args = arena_array(mem, e->n_args, sizeof(*e->args));
	if (e->args == NULL)
		fatal("master.cf: memory limit");
	memcpy(e->args, old.args, e->n_args * sizeof(*e->args));
	for (size_t i = 1; i < e->n_options; i++) {
		if (!str_is(old.args[i - 1], "-o"))
			continue;
		if (conf_expand(s, &old.service, old.args[i], mem, &e->args[i], &err) !=
		    RC_OK) {
			warn("%s", err.text);
			fatal("macro processing error"); /* compat */
		}
		i++;
	}
}

/* One entry, as one request wants it. */
static bool
show_request(const struct conf_snapshot *s, const struct options *o,
    const struct entry *from, const struct request *r)
{
	struct entry e = *from;
	struct arena *mem;
	bool any = true;

	if (!service_matches(r, &e))
		return false;
	mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	if ((o->mode & MODE_EXPAND) != 0 && (o->mode & MODE_OVERRIDES) == 0)
		expand_overrides(s, &e, mem);
	if ((o->mode & MODE_SERVICES) != 0)
		show_entry(o, &e);
	else if ((o->mode & MODE_FIELDS) != 0)
		any = show_fields(o, &e, r, mem);
	else
		any = show_overrides(s, o, &e.service, r, mem);
	arena_free(&mem);
	return any;
}

/* compat: the words */
static const char *
form_of(unsigned mode)
{
	if ((mode & MODE_SERVICES) != 0)
		return "-M option requires service_name[/type]";
	if ((mode & MODE_FIELDS) != 0)
		return "-F option requires service_name[/type[/field]]";
	return "-P option requires service_name[/type[/parameter]]";
}

/* compat: a field that does not exist is an error, a parameter is not. */
static void
check_request(const struct options *o, const struct request *r)
{
	if ((o->mode & MODE_FIELDS) == 0 || r->n < 3 || str_is(r->part[2], "*"))
		return;
	for (unsigned i = 0; i < ENTRY_N_FIELDS; i++)
		if (str_is(r->part[2], entry_field_names[i]))
			return;
	fatal("invalid service attribute name: \"%.*s\"", STR_ARG(r->part[2]));
}

/* compat: in the order of the file, each as often as it was asked for. */
void
show_services(const struct conf_snapshot *s, const struct entries *services,
    const struct options *o)
{
	struct request all = { 0 }, *v;
	bool *has_matched;
	size_t n = 0;

	while (o->args[n] != NULL)
		n++;
	v = mem_array(n + 1, sizeof(*v));
	has_matched = mem_array(n + 1, sizeof(*has_matched));
	for (size_t k = 0; k < n; k++) {
		if (!parse_request(o->args[k], &v[k]) || v[k].part[0].n == 0 ||
		    (v[k].n == 3 && (o->mode & MODE_SERVICES) != 0))
			fatal("%s", form_of(o->mode));
		check_request(o, &v[k]);
	}
	for (size_t i = 0; i < services->n; i++) {
		if (n == 0)
			(void)show_request(s, o, &services->v[i], &all);
		for (size_t k = 0; k < n; k++)
			has_matched[k] |= show_request(s, o, &services->v[i], &v[k]);
	}
	for (size_t k = 0; k < n; k++)
		if (!has_matched[k])
			warn("unmatched request: \"%s\"", o->args[k]); /* compat */
	free(v);
	free(has_matched);
}
