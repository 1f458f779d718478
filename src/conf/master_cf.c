/* Owns master.cf as text: which services there are. What a role does with them is
 * elsewhere. */
#include "conf/master_cf.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/main_cf.h"
#include <string.h>

#define BLANKS   " \t\r\n"
#define ARGS_MAX 1000

static const char *const type_names[] = { [MASTER_INET] = "inet",
	[MASTER_UNIX] = "unix",
	[MASTER_UNIX_DGRAM] = "unix-dgram",
	[MASTER_FIFO] = "fifo",
	[MASTER_PASS] = "pass" };

const char *
master_type_name(enum master_type type)
{
	return type_names[type];
}

enum rc
master_type_parse(struct str text, enum master_type *out)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
		if (str_is(text, type_names[i])) {
			*out = (enum master_type)i;
			return RC_OK;
		}
	return RC_PERM;
}

/* One field of a line that is being read. */
struct field {
	const char *name;
	struct str text;
	bool is_default; /* "-" */
};

static enum rc
bad(const struct field *f, struct err *e)
{
	return err_set(e, RC_PERM, "field \"%s\": bad value: \"%.*s\"", f->name,
	    STR_ARG(f->text)); /* compat */
}

static enum rc
next_field(struct str *rest, const char *name, bool has_default, struct field *out,
    struct err *e)
{
	struct field f = { .name = name };

	if (!str_token(rest, BLANKS, &f.text))
		return err_set(e, RC_PERM, "missing \"%s\" field", name); /* compat */
	f.is_default = str_is(f.text, "-");
	if (f.is_default && !has_default)
		return err_set(
		    e, RC_PERM, "field \"%s\" has no default value", name); /* compat */
	*out = f;
	return RC_OK;
}

static enum rc
next_bool(struct str *rest, const char *name, bool by_default, bool *out, struct err *e)
{
	struct field f = { 0 };
	enum rc rc = next_field(rest, name, true, &f, e);

	if (rc != RC_OK)
		return rc;
	if (f.is_default)
		*out = by_default;
	else if (str_is(f.text, "y"))
		*out = true;
	else if (str_is(f.text, "n"))
		*out = false;
	else
		return bad(&f, e);
	return RC_OK;
}

static enum rc
next_wakeup(struct str *rest, struct master_service *s, struct err *e)
{
	struct field f = { 0 };
	struct str digits;
	uint64_t seconds;
	enum rc rc = next_field(rest, "wakeup_time", true, &f, e);

	if (rc != RC_OK || f.is_default)
		return rc;
	digits = f.text;
	if (digits.n > 0 && digits.p[digits.n - 1] == '?') {
		s->wakeup_if_used = true;
		digits.n--;
	}
	if (str_u64(digits, INT32_MAX, &seconds) != RC_OK)
		return bad(&f, e);
	s->wakeup_us = (int64_t)seconds * US_PER_SEC;
	return RC_OK;
}

static enum rc
next_maxproc(struct str *rest, struct master_service *s, struct err *e)
{
	struct field f = { 0 };
	uint64_t n;
	enum rc rc = next_field(rest, "max_proc", true, &f, e);

	s->maxproc = -1;
	if (rc != RC_OK || f.is_default)
		return rc;
	if (str_u64(f.text, INT32_MAX, &n) != RC_OK)
		return bad(&f, e);
	s->maxproc = (int)n;
	return RC_OK;
}

static enum rc
parse_fields(struct str *rest, struct master_service *s, struct err *e)
{
	struct field f = { 0 };
	enum rc rc;

	if ((rc = next_field(rest, "service name", false, &f, e)) != RC_OK)
		return rc;
	s->name = f.text;
	if ((rc = next_field(rest, "transport type", false, &f, e)) != RC_OK)
		return rc;
	if (master_type_parse(f.text, &s->type) != RC_OK)
		return err_set(
		    e, RC_PERM, "bad transport type: %.*s", STR_ARG(f.text)); /* compat */
	if ((rc = next_bool(rest, "private", true, &s->is_private, e)) != RC_OK)
		return rc;
	if (s->type == MASTER_INET && s->is_private)
		return err_set(e, RC_PERM, "inet service cannot be private"); /* compat */
	if (s->type != MASTER_INET && memchr(s->name.p, '/', s->name.n) != NULL)
		return err_set(e, RC_PERM, "service name \"%.*s\" contains a slash",
		    STR_ARG(s->name));
	if ((rc = next_bool(rest, "unprivileged", true, &s->is_unpriv, e)) != RC_OK)
		return rc;
	s->has_chroot = !str_starts(str_trim(*rest), STR("- ")) &&
			!str_starts(str_trim(*rest), STR("-\t"));
	if ((rc = next_bool(rest, "chroot", false, &s->is_chroot, e)) != RC_OK)
		return rc;
	if ((rc = next_wakeup(rest, s, e)) != RC_OK)
		return rc;
	if ((rc = next_maxproc(rest, s, e)) != RC_OK)
		return rc;
	if ((rc = next_field(rest, "command", false, &f, e)) != RC_OK)
		return rc;
	if (memchr(f.text.p, '/', f.text.n) != NULL)
		return err_set(e, RC_PERM,
		    "field \"command\": \"%.*s\" is not a file name", STR_ARG(f.text));
	s->command = f.text;
	return RC_OK;
}

/* Takes the next argument; "{ a b }" is one, without its braces. */
static enum rc
next_arg(struct str *rest, struct str *out, struct err *e)
{
	struct str text;
	enum rc rc;

	*rest = str_trim(*rest);
	if (rest->n == 0)
		return RC_NONE;
	if (rest->p[0] != '{')
		return str_token(rest, BLANKS, out) ? RC_OK : RC_NONE;
	rc = conf_list_next_in(rest, BLANKS, &text);
	/* compat */
	if (rc != RC_OK)
		return err_set(e, RC_PERM, "missing '}' in \"%.*s\"", STR_ARG(*rest));
	if (text.p[text.n - 1] != '}' || !conf_list_is_braced(text))
		return err_set(
		    e, RC_PERM, "syntax error after '}' in \"%.*s\"", STR_ARG(text));
	*out = conf_list_unbrace(text);
	return RC_OK;
}

static enum rc
add_override(struct str assignment, struct master_service *s, struct err *e)
{
	struct master_override *o = &s->overrides[s->n_overrides];
	enum rc rc = conf_assignment(assignment, &o->name, &o->value, e);

	if (rc == RC_OK)
		s->n_overrides++;
	return rc;
}

/* Options of the daemon stand before its other arguments. */
static enum rc
parse_option(struct str option, struct str *rest, struct master_service *s, struct err *e)
{
	struct str value;
	enum rc rc;

	if (str_is(option, "-v") || str_is(option, "-vv") || str_is(option, "-vvv")) {
		s->verbose += (unsigned)option.n - 1;
		return RC_OK;
	}
	if (str_is(option, "-D")) {
		s->has_debug = true;
		return RC_OK;
	}
	if (option.n > 2)
		return add_override(str_from(option, 2), s, e);
	rc = next_arg(rest, &value, e);
	if (rc == RC_NONE)
		return err_set(e, RC_PERM, "option -o needs an argument");
	return rc == RC_OK ? add_override(value, s, e) : rc;
}

static bool
is_option(struct str arg)
{
	return str_starts(arg, STR("-o")) || str_is(arg, "-v") || str_is(arg, "-vv") ||
	       str_is(arg, "-vvv") || str_is(arg, "-D");
}

static enum rc
parse_args(struct str rest, struct arena *mem, struct master_service *s, struct err *e)
{
	struct str arg, count = rest;
	size_t n = 0;
	enum rc rc;

	while (str_token(&count, BLANKS, &arg))
		n++;
	if (n > ARGS_MAX)
		return err_set(e, RC_PERM, "too many arguments");
	s->args = arena_array(mem, n + 1, sizeof(*s->args));
	s->overrides = arena_array(mem, n + 1, sizeof(*s->overrides));
	if (s->args == NULL || s->overrides == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	while ((rc = next_arg(&rest, &arg, e)) == RC_OK) {
		if (s->n_args == 0 && is_option(arg))
			rc = parse_option(arg, &rest, s, e);
		else
			s->args[s->n_args++] = arg;
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_NONE ? RC_OK : rc;
}

/* A later line for the same name and type takes the place of the earlier one. */
static void
add_service(struct master_cf *m, const struct master_service *s)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].type == s->type && str_eq(m->v[i].name, s->name)) {
			m->duplicates[m->n_duplicates++] = m->v[i];
			m->v[i] = *s;
			return;
		}
	m->v[m->n++] = *s;
}

static enum rc
parse_line(struct str line, struct arena *mem, struct master_service *s, struct err *e)
{
	struct str rest = str_head(line, str_find(line, '\0')); /* compat */
	enum rc rc;

	rc = parse_fields(&rest, s, e);
	if (rc != RC_OK)
		return rc;
	return parse_args(rest, mem, s, e);
}

static enum rc
parse_file(struct str path, struct str text, struct arena *mem, struct master_cf *m,
    struct err *e)
{
	struct conf_lines l = conf_lines(text);
	struct str line;
	enum rc rc;

	while ((rc = conf_lines_next(&l, mem, &line)) == RC_OK) {
		struct master_service s = { .line = l.line };

		/* Only the first line can; the others continued the one before. */
		if (ascii_isspace(line.p[0]))
			continue;
		rc = parse_line(line, mem, &s, e);
		if (rc == RC_OK && m->n + m->n_duplicates == MASTER_SERVICES_MAX)
			rc = err_set(e, RC_PERM, "too many services");
		if (rc != RC_OK)
			return err_in(e, rc, "%.*s: line %u", STR_ARG(path), l.line);
		add_service(m, &s);
	}
	return rc == RC_NONE ? RC_OK
			     : err_set(e, rc, "%.*s: memory limit", STR_ARG(path));
}

enum rc
master_cf_parse(struct str path, struct str text, struct arena *mem,
    struct master_cf *out, struct err *e)
{
	struct master_cf m = { 0 };
	struct str rest = text, line;
	size_t max = 1;
	enum rc rc;

	if (text.n > CONF_FILE_MAX)
		return err_set(e, RC_PERM, "%.*s: file is too large", STR_ARG(path));
	while (max < MASTER_SERVICES_MAX && str_token(&rest, "\n", &line))
		max += line.n > 0 && !ascii_isspace(line.p[0]) && line.p[0] != '#';
	m.v = arena_array(mem, max, sizeof(*m.v));
	m.duplicates = arena_array(mem, max, sizeof(*m.duplicates));
	if (m.v == NULL || m.duplicates == NULL)
		return err_set(e, RC_TEMP, "%.*s: memory limit", STR_ARG(path));
	rc = parse_file(path, text, mem, &m, e);
	if (rc == RC_OK)
		*out = m;
	return rc;
}

const struct master_service *
master_cf_find(const struct master_cf *m, struct str name, enum master_type type)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].type == type && str_eq(m->v[i].name, name))
			return &m->v[i];
	return NULL;
}

const struct master_service *
master_cf_transport(const struct master_cf *m, struct str name)
{
	return master_cf_find(m, name, MASTER_UNIX);
}

const struct str *
master_override_find(const struct master_service *s, struct str name)
{
	for (size_t i = s->n_overrides; i-- > 0;)
		if (str_eq(s->overrides[i].name, name))
			return &s->overrides[i].value;
	return NULL;
}
