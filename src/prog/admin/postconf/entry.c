/* Owns one master.cf entry: its words, how they are checked and changed, how they look.
 *
 * A word ends at a blank outside braces. A word in braces loses them when it is read and
 * gets them again when it is written and needs them. Deviates: Postfix forgets them at
 * the first argument that is no option, and around what begins with a brace, which
 * changes the command when it edits the file. */
#include "prog/admin/postconf/entry.h"
#include "base/arena.h"
#include "conf/main_cf.h"
#include "prog/admin/postconf/postconf.h"
#include <string.h>

#define WORDS_MAX 10000
#define MARGIN    80
#define INDENT    4

const char *const entry_field_names[ENTRY_N_FIELDS] = { "service", "type", "private",
	"unprivileged", "chroot", "wakeup", "process_limit", "command" };

/* ---- words ---- */

static bool
next_word(struct str *rest, struct str *out)
{
	size_t n = 0, level = 0;

	while (rest->n > 0 && ascii_isspace(rest->p[0]))
		*rest = str_from(*rest, 1);
	while (n < rest->n && (level > 0 || !ascii_isspace(rest->p[n]))) {
		if (rest->p[n] == '{')
			level++;
		else if (rest->p[n] == '}' && level > 0)
			level--;
		n++;
	}
	*out = str_head(*rest, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

/* "{ text }" to "text". */
static struct str
unbrace(struct str word)
{
	size_t level = 0, end;

	if (word.n == 0 || word.p[0] != '{')
		return word;
	for (end = 0; end < word.n; end++)
		if (word.p[end] == '{')
			level++;
		else if (word.p[end] == '}' && --level == 0)
			break;
	/* compat: the words, and that the rest is taken all the same */
	if (end == word.n)
		warn("master.cf: missing '}' in \"%.*s\"", STR_ARG(word));
	else if (end + 1 < word.n)
		warn("master.cf: syntax error after '}' in \"%.*s\"", STR_ARG(word));
	return str_trim(str_n(word.p + 1, end - 1));
}

static bool
needs_braces(struct str word)
{
	for (size_t i = 0; i < word.n; i++)
		if (ascii_isspace(word.p[i]))
			return true;
	return word.n == 0 || word.p[0] == '{';
}

/* ---- fields ---- */

static bool
is_one_of(struct str value, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(value, v[i]))
			return true;
	return false;
}

static bool
is_number(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isdigit(s.p[i]))
			return false;
	return true;
}

static bool
is_possible(enum entry_field field, struct str value)
{
	static const char *const bools[] = { "y", "n", "-" };
	enum master_type type;

	switch (field) {
	case ENTRY_SERVICE:
	case ENTRY_COMMAND:
	case ENTRY_N_FIELDS:
		return true;
	case ENTRY_TYPE:
		return master_type_parse(value, &type) == RC_OK;
	case ENTRY_PRIVATE:
	case ENTRY_UNPRIVILEGED:
	case ENTRY_CHROOT:
		return is_one_of(value, bools, ARRAY_LEN(bools));
	case ENTRY_WAKEUP:
		if (value.n > 0 && value.p[value.n - 1] == '?')
			value.n--;
		return str_is(value, "-") || is_number(value);
	case ENTRY_PROCESS_LIMIT:
		return str_is(value, "-") || is_number(value);
	}
	return false;
}

static void
check_field(enum entry_field field, struct str value, struct str in)
{
	if (!is_possible(field, value))
		fatal("invalid %s field \"%.*s\" in \"%.*s\"", entry_field_names[field],
		    STR_ARG(value), STR_ARG(in)); /* compat */
}

/* ---- arguments ---- */

static void
add_arg(struct entry *e, struct str word, struct arena *mem)
{
	if (e->n_args % 64 == 0) {
		struct str *v = arena_array(mem, e->n_args + 64, sizeof(*v));

		if (v == NULL || e->n_args >= WORDS_MAX)
			fatal("master.cf: too many arguments");
		if (e->n_args > 0)
			memcpy(v, e->args, e->n_args * sizeof(*v));
		e->args = v;
	}
	e->args[e->n_args++] = word;
}

/* "{ name = value }" behind -o becomes "name=value". */
static struct str
option_value(struct str word, struct arena *mem)
{
	struct str inside = unbrace(word), name, value, text;
	struct err err;

	if (word.n == 0 || word.p[0] != '{')
		return word;
	if (conf_assignment(inside, &name, &value, &err) != RC_OK) {
		warn("master.cf: %s", err.text); /* compat */
		return inside;
	}
	text = arena_printf(mem, "%.*s=%.*s", STR_ARG(name), STR_ARG(value));
	if (text.p == NULL)
		fatal("master.cf: memory limit");
	return text;
}

/* What conf needs to know of the entry. */
static void
fill_service(struct entry *e, struct arena *mem)
{
	struct master_service *s = &e->service;
	struct err err;

	*s = (struct master_service){ .name = e->field[ENTRY_SERVICE],
		.command = e->field[ENTRY_COMMAND] };
	if (master_type_parse(e->field[ENTRY_TYPE], &s->type) != RC_OK)
		s->type = MASTER_UNIX; /* checked before: only while a field is set */
	s->overrides = arena_array(mem, e->n_options / 2 + 1, sizeof(*s->overrides));
	if (s->overrides == NULL)
		fatal("master.cf: memory limit");
	for (size_t i = 0; i + 1 < e->n_options; i++) {
		struct master_override *o = &s->overrides[s->n_overrides];

		if (!str_is(e->args[i], "-o"))
			continue;
		if (conf_assignment(e->args[++i], &o->name, &o->value, &err) == RC_OK)
			s->n_overrides++;
	}
}

static void
take_args(struct entry *e, struct str rest, struct arena *mem)
{
	struct str word;

	e->n_args = 0;
	while (next_word(&rest, &word) && word.p[0] == '-') {
		if (!str_starts(word, STR("-o"))) {
			add_arg(e, word, mem);
			continue;
		}
		add_arg(e, STR("-o"), mem);
		if (word.n > 2)
			word = str_from(word, 2);
		else if (!next_word(&rest, &word))
			break;
		add_arg(e, option_value(word, mem), mem);
	}
	e->n_options = e->n_args;
	while (word.n > 0) {
		add_arg(e, unbrace(word), mem);
		if (!next_word(&rest, &word))
			break;
	}
	fill_service(e, mem);
}

bool
entry_parse(struct str line, struct arena *mem, struct entry *out)
{
	struct entry e = { 0 };
	struct str rest = line;

	for (unsigned i = 0; i < ENTRY_N_FIELDS; i++)
		if (!str_token(&rest, " \t\r\n", &e.field[i]))
			return false;
	for (unsigned i = 0; i < ENTRY_COMMAND; i++)
		check_field((enum entry_field)i, e.field[i], line);
	take_args(&e, rest, mem);
	*out = e;
	return true;
}

void
entries_parse(struct str path, struct str text, struct arena *mem, struct entries *out)
{
	struct conf_lines l = conf_lines(text);
	struct str line;
	size_t cap = 0;
	enum rc rc;

	*out = (struct entries){ 0 };
	while ((rc = conf_lines_next(&l, mem, &line)) == RC_OK) {
		if (ascii_isspace(line.p[0])) {
			/* compat */
			warn("%.*s: logical line must not start with whitespace: "
			     "\"%.*s\"",
			    STR_ARG(path), STR_ARG(line));
			continue;
		}
		if (out->n == cap) {
			struct entry *v;

			cap = cap == 0 ? 64 : cap * 2;
			v = arena_array(mem, cap, sizeof(*v));
			if (v == NULL || cap > MASTER_SERVICES_MAX * 2)
				fatal("%.*s: too many services", STR_ARG(path));
			if (out->n > 0)
				memcpy(v, out->v, out->n * sizeof(*v));
			out->v = v;
		}
		if (!entry_parse(line, mem, &out->v[out->n++]))
			fatal("file %.*s: line %u: bad field count", STR_ARG(path),
			    l.line); /* compat */
	}
	if (rc == RC_TEMP)
		fatal("%.*s: memory limit", STR_ARG(path));
}

void
entry_set_field(
    struct entry *e, enum entry_field field, struct str value, struct arena *mem)
{
	struct str rest = value;

	check_field(field, value, value);
	if (field == ENTRY_COMMAND) {
		if (!str_token(&rest, " \t\r\n", &e->field[ENTRY_COMMAND]))
			e->field[ENTRY_COMMAND] = STR("");
		take_args(e, rest, mem);
		return;
	}
	e->field[field] = value;
	fill_service(e, mem);
}

static bool
is_override_of(struct str assignment, struct str name)
{
	struct str has, value;
	struct err err;

	return conf_assignment(assignment, &has, &value, &err) == RC_OK &&
	       str_eq(has, name);
}

/* Copies the options; those -o that set `name` become `value`, or go when that is NULL.
 * compat: all of them. */
static bool
rewrite_options(
    struct entry *e, struct str name, const struct str *value, struct arena *mem)
{
	struct entry old = *e;
	bool is_set = false;

	e->args = NULL;
	e->n_args = e->n_options = 0;
	for (size_t i = 0; i < old.n_args; i++) {
		if (i == old.n_options && value != NULL && !is_set)
			break;
		if (i + 1 >= old.n_options || !str_is(old.args[i], "-o")) {
			add_arg(e, old.args[i], mem);
			e->n_options += i < old.n_options;
			continue;
		}
		i++;
		if (is_override_of(old.args[i], name) && value == NULL)
			continue;
		add_arg(e, STR("-o"), mem);
		if (value != NULL && is_override_of(old.args[i], name)) {
			add_arg(e, *value, mem);
			is_set = true;
		} else {
			add_arg(e, old.args[i], mem);
		}
		e->n_options += 2;
	}
	if (value != NULL && !is_set) {
		add_arg(e, STR("-o"), mem);
		add_arg(e, *value, mem);
		e->n_options += 2;
		for (size_t i = old.n_options; i < old.n_args; i++)
			add_arg(e, old.args[i], mem);
	}
	fill_service(e, mem);
	return is_set;
}

void
entry_set_override(struct entry *e, struct str name, struct str value, struct arena *mem)
{
	struct str text = arena_printf(mem, "%.*s=%.*s", STR_ARG(name), STR_ARG(value));

	if (text.p == NULL)
		fatal("master.cf: memory limit");
	(void)rewrite_options(e, name, &text, mem);
}

void
entry_drop_override(struct entry *e, struct str name, struct arena *mem)
{
	(void)rewrite_options(e, name, NULL, mem);
}

/* ---- how it looks ---- */

struct line {
	struct buf *out;
	size_t column;
	bool is_folded;
};

static void
put(struct line *l, struct str s)
{
	if (buf_put(l->out, s) != RC_OK)
		fatal("master.cf: file is too large");
	l->column += s.n;
}

enum where { WHERE_IT_FITS, WHERE_A_LINE_BEGINS, WHERE_WE_ARE };

/* A blank, or a new line where the word would reach the margin. */
static void
put_word(struct line *l, struct str word, enum where where)
{
	bool has_braces = needs_braces(word);
	size_t n = word.n + (has_braces ? 2 : 0);

	if (l->is_folded &&
	    (where == WHERE_A_LINE_BEGINS ||
		(where == WHERE_IT_FITS && l->column + 1 + n >= MARGIN))) {
		put(l, STR("\n    "));
		l->column = INDENT;
	} else {
		put(l, STR(" "));
	}
	if (has_braces)
		put(l, STR("{"));
	put(l, word);
	if (has_braces)
		put(l, STR("}"));
}

void
entry_format_command(
    const struct entry *e, bool is_folded, size_t column, struct buf *out)
{
	struct line l = { out, column, is_folded };
	bool was_override = false;

	put(&l, e->field[ENTRY_COMMAND]);
	for (size_t i = 0; i < e->n_args; i++) {
		bool is_override = i < e->n_options && str_is(e->args[i], "-o");

		put_word(&l, e->args[i],
		    is_override || was_override ? WHERE_A_LINE_BEGINS : WHERE_IT_FITS);
		was_override = is_override;
		if (is_override && i + 1 < e->n_args)
			put_word(&l, e->args[++i], WHERE_WE_ARE);
	}
}

void
entry_format(const struct entry *e, bool is_folded, struct buf *out)
{
	static const size_t column[] = { 11, 17, 25, 33, 41, 49, 57 };
	struct line l = { out, 0, is_folded };

	/* A field that is too long pushes the next, which then stands one blank behind
	 * it. */
	for (unsigned i = 0; i < ENTRY_COMMAND; i++) {
		put(&l, e->field[i]);
		do
			put(&l, STR(" "));
		while (l.column < column[i]);
	}
	entry_format_command(e, is_folded, l.column, out);
}
