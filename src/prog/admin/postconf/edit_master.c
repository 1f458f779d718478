/* Owns changing master.cf: -M replaces, removes or comments out entries, -F sets fields,
 * -P sets or removes -o options. Entries that nobody asked for stay byte for byte, and so
 * do all comments; one that is changed field by field is written anew, folded, where the
 * next one begins. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/main_cf.h"
#include "prog/admin/postconf/entry.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>

struct request {
	const char *arg;    /* as given, for messages */
	struct str part[3]; /* service, type, and the field or parameter */
	struct str value;
	struct entry entry; /* -Me: the new one */
	bool has_matched;
};

struct edit {
	const struct options *o;
	struct arena *mem;
	struct request *v;
	size_t n;
	struct buf out;
	/* The entry that is being read. */
	struct buf logical;    /* its lines, joined */
	struct request *whole; /* the last that is about it, or NULL: it stays */
	bool is_dropped;       /* -Me has written its like before */
	unsigned line, begins; /* the present line, and the entry's first */
	const char *path;
};

static void
put(struct edit *ed, struct str s)
{
	if (buf_put(&ed->out, s) != RC_OK)
		fatal("master.cf: file is too large");
}

/* ---- requests ---- */

static bool
split(struct str name, unsigned n, struct str *part)
{
	for (unsigned i = 0; i < n; i++) {
		bool has_more = str_cut(name, '/', &part[i], &name);

		if (!has_more)
			part[i] = name;
		/* A wild card is a whole part. */
		if (part[i].n == 0 || has_more != (i + 1 < n) ||
		    (i < 2 && part[i].n > 1 && str_find(part[i], '*') < part[i].n))
			return false;
	}
	return true;
}

/* compat: the words */
static const char *
form_of(unsigned mode)
{
	if ((mode & MODE_SERVICES) != 0)
		return "-Me, -MX or -M# requires service_name/type";
	if ((mode & MODE_FIELDS) != 0)
		return "-Fe or -FX requires service_name/type/field_name";
	return "-Pe or -PX requires service_name/type/parameter";
}

static enum entry_field
field_of(struct str name)
{
	unsigned i = 0;

	while (i < ENTRY_N_FIELDS && !str_is(name, entry_field_names[i]))
		i++;
	if (i == ENTRY_N_FIELDS)
		fatal("invalid service attribute name: \"%.*s\"",
		    STR_ARG(name)); /* compat */
	return (enum entry_field)i;
}

static void
check_request(struct edit *ed, struct request *r)
{
	unsigned mode = ed->o->mode;

	/* compat */
	if ((mode & MODE_FIELDS) != 0 && str_is(r->part[2], "*"))
		fatal("-Fe does not accept wild-card field name");
	if ((mode & MODE_FIELDS) != 0)
		(void)field_of(r->part[2]);
	if ((mode & MODE_OVERRIDES) != 0) {
		/* compat */
		if (str_is(r->part[2], "*"))
			fatal("-Pe does not accept wild-card parameter name");
		for (size_t i = 0; i < r->value.n; i++)
			if (ascii_isspace(r->value.p[i]))
				fatal("-Pe does not accept whitespace in parameter "
				      "value");
	}
	if ((mode & MODE_SERVICES) != 0 && (mode & MODE_EDIT) != 0 &&
	    !entry_parse(r->value, ed->mem, &r->entry))
		fatal("bad field count: \"%s\"", r->arg); /* compat */
}

static void
add_request(struct edit *ed, const char *arg)
{
	struct request *r = &ed->v[ed->n++];
	struct str text = str_trim(str_c(arg)), name = text;
	struct err e;

	*r = (struct request){ .arg = arg };
	/* compat */
	if (memchr(text.p, '\n', text.n) != NULL)
		fatal("-e, -X, or -# accepts no multi-line input");
	if (text.n > 0 && text.p[0] == '#')
		fatal("-e, -X, or -# accepts no comment input");
	if ((ed->o->mode & MODE_EDIT) != 0) {
		if (conf_assignment(text, &name, &r->value, &e) != RC_OK)
			fatal("%s", e.text);
	} else if (memchr(text.p, '=', text.n) != NULL) {
		fatal("specify one of -e -%c",
		    (ed->o->mode & MODE_REMOVE) != 0 ? 'X' : '#');
	}
	if (!split(name, (ed->o->mode & MODE_SERVICES) != 0 ? 2 : 3, r->part))
		fatal("%s", form_of(ed->o->mode));
	check_request(ed, r);
}

/* Whether the request is about the entry whose first line this is. */
static bool
matches(const struct request *r, struct str line)
{
	struct str name, type;

	return str_token(&line, " \t\r", &name) && str_token(&line, " \t\r", &type) &&
	       (str_is(r->part[0], "*") || str_eq(r->part[0], name)) &&
	       (str_is(r->part[1], "*") || str_eq(r->part[1], type));
}

/* compat: an entry that -Me wrote replaces all of that name and type behind it. */
static bool
is_written(const struct edit *ed, const struct request *r, struct str line)
{
	struct request same = { .part = { r->entry.field[ENTRY_SERVICE],
				    r->entry.field[ENTRY_TYPE] } };

	return (ed->o->mode & MODE_SERVICES) != 0 && (ed->o->mode & MODE_EDIT) != 0 &&
	       r->has_matched && matches(&same, line);
}

/* ---- fields and options ---- */

static void
apply(struct edit *ed, const struct request *r, struct entry *e)
{
	if ((ed->o->mode & MODE_FIELDS) != 0)
		entry_set_field(e, field_of(r->part[2]), r->value, ed->mem);
	else if ((ed->o->mode & MODE_REMOVE) != 0)
		entry_drop_override(e, r->part[2], ed->mem);
	else
		entry_set_override(e, r->part[2], r->value, ed->mem);
}

static void
put_entry(struct edit *ed, const struct entry *e)
{
	entry_format(e, true, &ed->out);
	put(ed, STR("\n"));
}

/* Writes the entry whose lines were held back. */
static void
end_entry(struct edit *ed)
{
	struct str text = buf_view(&ed->logical);
	struct entry e;

	if (text.n == 0)
		return;
	text = arena_str(ed->mem, text);
	buf_reset(&ed->logical);
	if (text.p == NULL)
		fatal("master.cf: memory limit");
	if (!entry_parse(text, ed->mem, &e))
		fatal("file %s: line %u: bad field count", ed->path,
		    ed->begins); /* compat */
	for (size_t i = 0; i < ed->n; i++)
		if (matches(&ed->v[i], text))
			apply(ed, &ed->v[i], &e);
	put_entry(ed, &e);
}

/* ---- lines ---- */

/* The first line of an entry: sets who wants it. */
static void
begin_entry(struct edit *ed, struct str line)
{
	end_entry(ed);
	ed->whole = NULL;
	ed->begins = ed->line;
	ed->is_dropped = false;
	for (size_t i = 0; i < ed->n; i++) {
		struct request *r = &ed->v[i];

		if (!matches(r, line) && !is_written(ed, r, line))
			continue;
		ed->is_dropped = r->has_matched;
		r->has_matched = true;
		ed->whole = r;
	}
}

/* One line of an entry that somebody wants changed. */
static void
change_line(struct edit *ed, struct str line, bool is_first)
{
	unsigned mode = ed->o->mode;

	if ((mode & MODE_SERVICES) == 0) {
		if (buf_put(&ed->logical, line) != RC_OK)
			fatal("master.cf: line is too long");
	} else if ((mode & MODE_COMMENT) != 0) {
		put(ed, STR("#"));
		put(ed, line);
		put(ed, STR("\n"));
	} else if ((mode & MODE_EDIT) != 0 && is_first && !ed->is_dropped) {
		put_entry(ed, &ed->whole->entry);
	}
}

static void
edit_text(struct edit *ed, struct str text)
{
	struct str line, inside;

	while (text.n > 0) {
		size_t end = str_find(text, '\n');
		bool is_first, is_text;

		line = str_head(text, end);
		text = str_from(text, end + 1);
		ed->line++;
		inside = str_trim(line);
		is_text = inside.n > 0 && inside.p[0] != '#';
		is_first = is_text && !ascii_isspace(line.p[0]);
		if (is_first)
			begin_entry(ed, line);
		if (is_text && ed->whole != NULL) {
			change_line(ed, line, is_first);
		} else {
			put(ed, line);
			put(ed, STR("\n"));
		}
	}
	end_entry(ed);
}

static void
end_requests(struct edit *ed)
{
	for (size_t i = 0; i < ed->n; i++) {
		if (ed->v[i].has_matched)
			continue;
		if ((ed->o->mode & MODE_SERVICES) == 0)
			warn("unmatched service_name/type: \"%s\"",
			    ed->v[i].arg); /* compat */
		else if ((ed->o->mode & MODE_EDIT) != 0)
			put_entry(ed, &ed->v[i].entry);
	}
}

void
edit_master_cf(const struct options *o)
{
	struct arena *mem = arena_new((size_t)CONF_FILE_MAX * 8);
	struct edit ed = { .o = o, .mem = mem };
	struct edit_file f;
	size_t n = 0;

	while (o->args[n] != NULL)
		n++;
	ed.v = mem_array(n, sizeof(*ed.v));
	for (size_t i = 0; i < n; i++)
		add_request(&ed, o->args[i]);
	edit_file_open(o->directory, "master.cf", mem, &f);
	ed.path = f.path;
	buf_init(&ed.out, (size_t)CONF_FILE_MAX * 2);
	buf_init(&ed.logical, CONF_FILE_MAX);
	edit_text(&ed, f.text);
	end_requests(&ed);
	edit_file_replace(&f, buf_view(&ed.out));
	buf_fini(&ed.logical);
	buf_fini(&ed.out);
	free(ed.v);
	arena_free(&mem);
}
