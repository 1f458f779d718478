/* Owns changing main.cf: one pass over its lines, comments and order kept. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/main_cf.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>

struct change {
	struct str name, value;
	unsigned n_seen; /* settings of that name in the file */
};

struct edit {
	const struct options *o;
	const char *path;
	struct change *v;
	size_t n;
	struct buf out;
};

static void
put(struct edit *ed, struct str s)
{
	if (buf_put(&ed->out, s) != RC_OK)
		fatal("%s: file is too large", ed->path);
}

static struct change *
find(struct edit *ed, struct str name)
{
	for (size_t i = 0; i < ed->n; i++)
		if (str_eq(ed->v[i].name, name))
			return &ed->v[i];
	return NULL;
}

/* "name=value", or only a name for -X and -#. */
static void
add_change(struct edit *ed, const char *arg)
{
	struct str text = str_trim(str_c(arg)), name = text, value = STR("");
	struct change *same;
	struct err e;

	/* compat */
	if (memchr(text.p, '\n', text.n) != NULL)
		fatal("-e, -X, or -# accepts no multi-line input");
	if (text.n > 0 && text.p[0] == '#')
		fatal("-e, -X, or -# accepts no comment input");
	if ((ed->o->mode & MODE_EDIT) != 0) {
		if (conf_assignment(text, &name, &value, &e) != RC_OK)
			fatal("%s", e.text);
	} else if (text.n == 0) {
		fatal("-X or -# requires non-blank parameter names");
	} else if (memchr(text.p, '=', text.n) != NULL) {
		fatal("specify one of -e -%c",
		    (ed->o->mode & MODE_REMOVE) != 0 ? 'X' : '#');
	}
	same = find(ed, name);
	if (same != NULL) {
		warn("ignoring earlier request: '%.*s = %.*s'", STR_ARG(same->name),
		    STR_ARG(same->value));
		same->value = value;
		return;
	}
	ed->v[ed->n++] = (struct change){ name, value, 0 };
}

static void
put_setting(struct edit *ed, const struct change *c)
{
	put(ed, c->name);
	put(ed, STR(" = ")); /* compat: also before nothing */
	put(ed, c->value);
	put(ed, STR("\n"));
}

static struct str
name_of(struct str line)
{
	size_t n = 0;

	while (n < line.n && !ascii_isspace(line.p[n]) && line.p[n] != '=')
		n++;
	return str_head(line, n);
}

/* One physical line; `change` is that of the setting it belongs to. */
static void
edit_line(struct edit *ed, struct str line, struct change *change, bool is_first)
{
	if (change == NULL) {
		put(ed, line);
	} else if ((ed->o->mode & MODE_EDIT) != 0) {
		if (is_first)
			put_setting(ed, change);
		return;
	} else if ((ed->o->mode & MODE_COMMENT) != 0) {
		put(ed, STR("#"));
		put(ed, line);
	} else {
		return;
	}
	put(ed, STR("\n"));
}

static void
edit_text(struct edit *ed, struct str text)
{
	struct change *change = NULL;
	struct str line;

	while (text.n > 0) {
		size_t end = str_find(text, '\n');
		bool is_first;

		line = str_head(text, end);
		text = str_from(text, end + 1);
		if (str_trim(line).n == 0 || str_trim(line).p[0] == '#') {
			edit_line(ed, line, NULL, false);
			continue;
		}
		is_first = !ascii_isspace(line.p[0]);
		if (is_first)
			change = find(ed, name_of(line));
		if (is_first && change != NULL && change->n_seen++ == 1)
			warn("%s: multiple entries for \"%.*s\"", ed->path,
			    STR_ARG(change->name)); /* compat */
		edit_line(ed, line, change, is_first);
	}
	for (size_t i = 0; i < ed->n && (ed->o->mode & MODE_EDIT) != 0; i++)
		if (ed->v[i].n_seen == 0)
			put_setting(ed, &ed->v[i]);
}

void
edit_main_cf(const struct options *o)
{
	struct arena *mem = arena_new((size_t)CONF_FILE_MAX * 3);
	struct edit ed = { .o = o };
	struct edit_file f;
	size_t n = 0;

	while (o->args[n] != NULL)
		n++;
	ed.v = mem_array(n, sizeof(*ed.v));
	for (size_t i = 0; i < n; i++)
		add_change(&ed, o->args[i]);
	edit_file_open(o->directory, "main.cf", mem, &f);
	ed.path = f.path;
	buf_init(&ed.out, (size_t)CONF_FILE_MAX * 2);
	edit_text(&ed, f.text);
	edit_file_replace(&f, buf_view(&ed.out));
	buf_fini(&ed.out);
	free(ed.v);
	arena_free(&mem);
}
