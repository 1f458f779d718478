/* Owns printing parameters: which, as they stand or expanded, and how lines look. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/params.h"
#include "prog/admin/postconf/postconf.h"
#include <string.h>

#define MARGIN 80 /* compat: the longest line; of master.cf it is one less */
#define INDENT 4

/* Takes the next word off *rest; blanks inside braces do not end it. */
static bool
next_word(struct str *rest, struct str *out)
{
	return str_token(rest, " \t\r\n", out);
}

/* Prints words with one blank between them; folding begins a new line before a word that
 * would end beyond the margin. */
static size_t
print_words(struct str text, size_t column, bool with_fold)
{
	struct str word;

	while (next_word(&text, &word)) {
		if (with_fold && column > INDENT && column + 1 + word.n > MARGIN) {
			(void)printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > 0 && !(with_fold && column == INDENT)) {
			(void)putchar(' ');
			column++;
		}
		(void)fwrite(word.p, 1, word.n, stdout);
		column += word.n;
	}
	return column;
}

void
show_json(struct str text)
{
	(void)putchar('"');
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\')
			(void)printf("\\%c", c);
		else if (c < ' ' || c == 127)
			(void)printf("\\u%04x", c);
		else
			(void)putchar(c);
	}
	(void)putchar('"');
}

/* Words with one blank between them, as in the other forms. */
static void
show_json_pair(const struct options *o, struct str name, struct str value)
{
	struct str word;
	const char *before = "";

	(void)fputs("{", stdout);
	if ((o->mode & MODE_VALUES) == 0) {
		(void)fputs("\"name\": ", stdout);
		show_json(name);
	}
	if ((o->mode & MODE_NAMES) == 0) {
		struct buf joined;

		buf_init(&joined, CONF_VALUE_MAX + 1);
		for (; next_word(&value, &word); before = " ")
			if (buf_put(&joined, str_c(before)) != RC_OK ||
			    buf_put(&joined, word) != RC_OK)
				fatal("value is too long");
		(void)printf("%s\"value\": ", (o->mode & MODE_VALUES) == 0 ? ", " : "");
		show_json(buf_view(&joined));
		buf_fini(&joined);
	}
	(void)fputs("}\n", stdout);
}

void
show_pair(const struct options *o, struct str name, struct str value)
{
	if ((o->mode & MODE_JSON) != 0) {
		show_json_pair(o, name, value);
		return;
	}
	if ((o->mode & MODE_NAMES) != 0) {
		(void)printf("%.*s\n", STR_ARG(name));
		return;
	}
	if ((o->mode & MODE_VALUES) != 0) {
		(void)print_words(value, 0, (o->mode & MODE_FOLD) != 0);
		(void)putchar('\n');
		return;
	}
	(void)printf("%.*s =", STR_ARG(name));
	(void)print_words(value, name.n + 2, (o->mode & MODE_FOLD) != 0);
	(void)putchar('\n');
}

static bool
is_set(const struct conf_snapshot *s, struct str name)
{
	for (size_t i = 0; i < s->n_extra; i++)
		if (str_eq(s->extra[i].name, name))
			return true;
	if (str_is(name, "config_directory"))
		return !str_is(s->config_directory, "/etc/postfix");
	return main_cf_find(&s->main, name) != NULL;
}

/* The value as it stands, without expansion. */
static struct str
raw_value(const struct conf_snapshot *s, const struct options *o, const struct name *n,
    struct arena *mem)
{
	struct err e = { .text = "" };
	struct str raw = STR("");

	if ((o->mode & MODE_DEFAULTS) != 0 && str_is(n->name, "config_directory"))
		return n->param->def;
	switch (conf_raw(s, NULL, n->name, mem, &raw, &e)) {
	case RC_OK:
		return raw;
	case RC_NONE:
		return n->param != NULL ? n->param->def : STR("");
	case RC_MORE:
	case RC_TEMP:
	case RC_PERM:
		break;
	}
	fatal("%s", e.text);
}

static void
show_one(const struct conf_snapshot *s, const struct options *o, const struct name *n)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct str value = raw_value(s, o, n, mem);
	struct err e;

	if ((o->mode & MODE_EXPAND) != 0 &&
	    (n->param == NULL || n->param->type != CONF_RAW) &&
	    conf_expand(s, NULL, value, mem, &value, &e) != RC_OK) {
		warn("%s", e.text);
		fatal("macro processing error"); /* compat */
	}
	show_pair(o, n->name, value);
	arena_free(&mem);
}

static void
show_all(
    const struct conf_snapshot *s, const struct options *o, const struct names *names)
{
	bool defaults = (o->mode & MODE_DEFAULTS) != 0;

	for (size_t i = 0; i < names->n; i++) {
		const struct name *n = &names->v[i];

		if ((n->class & o->classes) == 0 || (defaults && n->class == CLASS_USER))
			continue;
		if ((o->mode & MODE_SET) != 0 && !is_set(s, n->name))
			continue;
		if (n->param != NULL && n->param->is_hidden && !is_set(s, n->name))
			continue;
		show_one(s, o, n);
	}
}

static void
show_named(
    const struct conf_snapshot *s, const struct options *o, const struct names *names)
{
	for (char **arg = o->args; *arg != NULL; arg++) {
		const struct name *n = names_find(names, str_c(*arg));

		if (n == NULL || (n->class & o->classes) == 0)
			warn("%s: unknown parameter", *arg); /* compat */
		else if ((o->mode & MODE_SET) == 0 || is_set(s, n->name))
			show_one(s, o, n);
	}
}

void
show_parameters(const struct conf_snapshot *s, const struct entries *services,
    const struct options *o)
{
	bool with_warnings = (o->mode & MODE_DEFAULTS) == 0;
	struct names names = { 0 };

	names_collect(s, services, with_warnings, &names);
	if (o->args[0] != NULL)
		show_named(s, o, &names);
	else
		show_all(s, o, &names);
	if (with_warnings) {
		names_warn_unused_main(s, &names);
		names_warn_unused_master(s, services, &names);
		if ((o->mode & MODE_QUIET) == 0)
			names_warn_deprecated(s, services);
	}
	names_free(&names);
}
