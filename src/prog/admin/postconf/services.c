/* Owns listing master.cf: entries (-M), fields (-F) and overrides (-P). */
#include "base/arena.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>

enum { N_FIELDS = 8 };
static const char *const field_names[N_FIELDS] = { "service", "type", "private",
	"unprivileged", "chroot", "wakeup", "process_limit", "command" };

/* One entry as it is shown: the fields as written. */
struct entry {
	const struct master_service *service;
	struct str field[N_FIELDS]; /* the last: command and all arguments */
};

/* A request "service/type/field", each part possibly "*" or missing. */
struct request {
	struct str part[3];
	unsigned n;
};

static bool
has_blank(struct str s)
{
	return s.n == 0 || memchr(s.p, ' ', s.n) != NULL ||
	       memchr(s.p, '\t', s.n) != NULL || s.p[0] == '{';
}

/* Arguments in the order options, then the others. */
static struct str
command_text(const struct master_service *v, struct arena *mem, const char *before)
{
	struct str text = v->command;

	for (size_t i = 0; i < v->n_overrides; i++) {
		const struct master_override *o = &v->overrides[i];
		bool braces = has_blank(o->value) && o->value.n > 0;

		text = arena_printf(mem, "%.*s%s-o %s%.*s=%.*s%s", STR_ARG(text), before,
		    braces ? "{" : "", STR_ARG(o->name), STR_ARG(o->value),
		    braces ? "}" : "");
	}
	for (unsigned i = 0; i < v->verbose; i++)
		text = arena_printf(mem, "%.*s%s-v", STR_ARG(text), before);
	if (v->has_debug)
		text = arena_printf(mem, "%.*s%s-D", STR_ARG(text), before);
	for (size_t i = 0; i < v->n_args; i++) {
		bool braces = has_blank(v->args[i]);

		text = arena_printf(mem, "%.*s%s%s%.*s%s", STR_ARG(text),
		    i == 0 ? before : " ", braces ? "{" : "", STR_ARG(v->args[i]),
		    braces ? "}" : "");
	}
	return text;
}

/* The first seven fields come from the text itself, where "-" can be told from its
 * default. */
static bool
make_entry(const struct conf_snapshot *s, const struct master_service *v,
    struct arena *mem, struct entry *out)
{
	struct conf_lines l = conf_lines(s->master_text);
	struct str line;

	while (conf_lines_next(&l, mem, &line) == RC_OK) {
		if (l.line != v->line)
			continue;
		out->service = v;
		for (unsigned i = 0; i < N_FIELDS - 1; i++)
			if (!str_token(&line, " \t\r\n", &out->field[i]))
				return false;
		return true;
	}
	return false;
}

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
service_matches(const struct request *r, const struct master_service *v)
{
	return part_matches(r, 0, v->name) &&
	       part_matches(r, 1, str_c(master_type_name(v->type)));
}

static void
show_entry(const struct options *o, const struct entry *e, struct arena *mem)
{
	static const int column[N_FIELDS] = { 0, 11, 17, 25, 33, 41, 49, 57 };
	const char *before = (o->mode & MODE_FOLD) != 0 ? "\n    " : " ";
	int at = 0;

	/* A field that is too long pushes the next, which then stands one blank behind
	 * it. */
	for (unsigned i = 0; i < N_FIELDS - 1; i++) {
		at += printf("%.*s", STR_ARG(e->field[i]));
		do
			at += printf(" ");
		while (at < column[i + 1]);
	}
	(void)printf("%.*s\n", STR_ARG(command_text(e->service, mem, before)));
}

static bool
show_fields(const struct options *o, const struct entry *e, const struct request *r,
    struct arena *mem)
{
	bool any = false;

	for (unsigned i = 0; i < N_FIELDS; i++) {
		struct str name, value;

		if (!part_matches(r, 2, str_c(field_names[i])))
			continue;
		any = true;
		name = arena_printf(mem, "%.*s/%s/%s", STR_ARG(e->service->name),
		    master_type_name(e->service->type), field_names[i]);
		value = e->field[i];
		if (i == N_FIELDS - 1 && (o->mode & MODE_FOLD) != 0 &&
		    (o->mode & (MODE_NAMES | MODE_VALUES)) == 0) {
			value = command_text(e->service, mem, "\n    ");
			(void)printf("%.*s = %.*s\n", STR_ARG(name), STR_ARG(value));
			continue;
		}
		if (i == N_FIELDS - 1)
			value = command_text(e->service, mem, " ");
		show_pair(o, name, value);
	}
	return any;
}

static int
by_override(const void *a, const void *b)
{
	const struct master_override *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static bool
show_overrides(const struct conf_snapshot *s, const struct options *o,
    const struct master_service *v, const struct request *r, struct arena *mem)
{
	struct master_override *sorted = mem_array(v->n_overrides + 1, sizeof(*sorted));
	bool any = false;
	struct err e;

	if (v->n_overrides > 0)
		memcpy(sorted, v->overrides, v->n_overrides * sizeof(*sorted));
	qsort(sorted, v->n_overrides, sizeof(*sorted), by_override);
	for (size_t i = 0; i < v->n_overrides; i++) {
		struct str name, value = sorted[i].value;

		if (!part_matches(r, 2, sorted[i].name) ||
		    (i + 1 < v->n_overrides &&
			str_eq(sorted[i].name, sorted[i + 1].name)))
			continue;
		any = true;
		if ((o->mode & MODE_EXPAND) != 0 &&
		    conf_expand(s, v, value, mem, &value, &e) != RC_OK)
			fatal("%s", e.text);
		name = arena_printf(mem, "%.*s/%s/%.*s", STR_ARG(v->name),
		    master_type_name(v->type), STR_ARG(sorted[i].name));
		show_pair(o, name, value);
	}
	free(sorted);
	return any;
}

static bool
show_request(const struct conf_snapshot *s, const struct options *o,
    const struct request *r, struct arena *mem)
{
	bool any = false;

	for (size_t i = 0; i < s->master.n; i++) {
		const struct master_service *v = &s->master.v[i];
		struct entry e = { 0 };

		if (!service_matches(r, v) || !make_entry(s, v, mem, &e))
			continue;
		if ((o->mode & MODE_SERVICES) != 0) {
			show_entry(o, &e, mem);
			any = true;
		} else if ((o->mode & MODE_FIELDS) != 0) {
			any |= show_fields(o, &e, r, mem);
		} else {
			any |= show_overrides(s, o, v, r, mem);
		}
	}
	return any;
}

void
show_services(const struct conf_snapshot *s, const struct options *o, struct arena *mem)
{
	struct request all = { 0 }, r;

	if (o->args[0] == NULL)
		(void)show_request(s, o, &all, mem);
	for (char **arg = o->args; *arg != NULL; arg++) {
		/* compat */
		if (!parse_request(*arg, &r) ||
		    (r.n == 3 && (o->mode & MODE_SERVICES) != 0))
			fatal("-%s", (o->mode & MODE_SERVICES) != 0
					 ? "M option requires service_name[/type]"
				     : (o->mode & MODE_FIELDS) != 0
					 ? "F option requires service_name[/type[/field]]"
					 : "P option requires "
					   "service_name[/type[/parameter]]");
		if (!show_request(s, o, &r, mem))
			warn("unmatched request: \"%s\"", *arg); /* compat */
	}
}
