/* regexp: and pcre: tables.
 *
 * A rule whose pattern certainly compiles (pattern_literal.h) is compiled when it is
 * tried for the first time; all others at once, because of the warnings. A rule that
 * needs a literal is tried only for keys that hold it (pattern_index.h). So a large table
 * costs little to open, to keep and to ask; the answers are those of trying rule after
 * rule. */
#include "map/pattern_table.h"
#include "log/log.h"
#include "map/pattern_index.h"
#include "os/fd.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 30)
#define TABLE_MAX      ((size_t)4 << 30)
/* Groups above this are refused: nobody writes $1000. */
#define GROUPS_MAX 1000
/* How a line that begins with a blank is shown. */
#define SHOWN_MAX 30

struct code {
	void *compiled; /* NULL: not needed so far */
	struct str regex;
	unsigned options;
	uint32_t want; /* groups, the whole match included; 0: none */
	bool is_plain;
};

struct pattern_table {
	const struct pattern_engine *engine;
	struct pattern_place place;
	struct arena *mem; /* text, values, patterns */
	struct pattern_rules rules;
	struct code *code; /* as many as rules */
	uint32_t cap_code;
	struct pattern_index *index; /* NULL: nothing to skip */
	void *context;
	size_t *group; /* of the last match */
	size_t n_group;
	char *key; /* of the look-up, with a NUL behind it */
	size_t cap_key;
};

/* ---- text ---- */

void
pattern_place_warn(void *ctx, unsigned line, const char *text)
{
	const struct pattern_place *p = ctx;

	if (p->log != NULL && line > 0)
		log_warn(p->log, "%s map %.*s, line %u: %s", p->type, STR_ARG(p->name),
		    line, text);
	else if (p->log != NULL)
		log_warn(p->log, "%s", text);
}

const char *
pattern_watch(struct str name)
{
	return name.n > 0 && name.p[0] == '{' ? NULL : name.p;
}

enum rc
pattern_load(
    const char *type, struct str name, struct arena *mem, struct str *out, struct err *e)
{
	struct err why = { 0 };
	char *path;
	enum rc rc;

	if (name.n > 0 && name.p[0] == '{') {
		rc = pattern_inline(name, mem, out, e);
		return rc == RC_OK ? rc : err_in(e, rc, "%s map", type);
	}
	path = arena_cstr(mem, name);
	if (path == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = os_fd_load(path, FILE_MAX_BYTES, mem, out, &why);
	if (rc == RC_OK)
		return RC_OK;
	if (rc == RC_NONE)
		return err_set(e, RC_TEMP, "open %s: No such file or directory", path);
	if (why.sys == EISDIR)
		return err_set(e, RC_TEMP, "%s map %s: read error: %s", type, path,
		    strerror(why.sys)); /* compat */
	return err_set(
	    e, RC_TEMP, "open %s: %s", path, why.sys != 0 ? strerror(why.sys) : why.text);
}

enum rc
pattern_next(struct pattern_lines *l, const struct pattern_place *place,
    struct pattern_line *out, struct err *e)
{
	for (;;) {
		enum rc rc = pattern_lines_next(l, out);

		if (rc == RC_TEMP)
			return err_set(
			    e, RC_TEMP, "%.*s: too large", STR_ARG(place->name));
		if (rc != RC_OK || !out->is_bad)
			return rc;
		if (place->log != NULL)
			log_warn(place->log,
			    "%.*s: logical line must not start with whitespace: "
			    "\"%.*s%s\"", /* compat */
			    STR_ARG(place->name), STR_ARG(str_head(out->text, SHOWN_MAX)),
			    out->text.n > SHOWN_MAX ? "..." : "");
	}
}

/* ---- rules ---- */

/* A line on its way to becoming a rule. */
struct candidate {
	const struct pattern_line *line;
	struct pattern_regex_line l;
	struct pattern_subst subst;
	struct code code;
	struct str literal;
};

static enum rc
read_options(struct pattern_table *t, struct candidate *c, const struct pattern_warner *w)
{
	c->code.options = t->engine->options;
	for (size_t i = 0; i < c->l.options.n; i++) {
		unsigned bit = 0;

		switch (t->engine->option(c->l.options.p[i], &bit)) {
		case RC_OK:
			c->code.options ^= bit;
			break;
		case RC_NONE:
			pattern_warn(w, c->line->line,
			    "ignoring obsolete regexp option \"%c\"", c->l.options.p[i]);
			break;
		case RC_MORE:
		case RC_TEMP:
		case RC_PERM:
			pattern_warn(w, c->line->line,
			    "unknown regexp option \"%c\": skipping this rule",
			    c->l.options.p[i]);
			return RC_PERM;
		}
	}
	return RC_OK;
}

/* What stands behind the pattern. */
static enum rc
read_value(struct pattern_table *t, struct candidate *c, unsigned flags,
    const struct pattern_warner *w)
{
	unsigned line = c->line->line;

	if (c->l.op == PATTERN_IF) {
		if (c->l.value.n == 0)
			return RC_OK;
		pattern_warn(w, line, "ignoring extra text after IF statement: \"%.*s\"",
		    STR_ARG(c->l.value));
		pattern_warn(w, line,
		    "do not prepend whitespace to statements between IF and ENDIF");
		return RC_OK;
	}
	if (c->l.value.n == 0)
		pattern_warn(w, line, "no replacement text: using empty string");
	if (pattern_subst_scan(c->l.value, line, &t->engine->words, w, &c->subst) !=
	    RC_OK) {
		pattern_warn(w, line, "bad replacement syntax: skipping this rule");
		return RC_PERM;
	}
	if (c->subst.n > 0 && c->l.is_negated) {
		pattern_warn(w, line,
		    "$number found in negative match replacement text: "
		    "skipping this rule");
		return RC_PERM;
	}
	/* Who asks so skips it: the same table may serve others, who do not. */
	if (c->subst.n > 0 && (flags & MAP_NO_SUBST) != 0)
		pattern_warn(w, line,
		    "regular expression substitution is not allowed: "
		    "skipping this rule");
	return RC_OK;
}

/* Compiles what may be malformed, and knows the literal. */
static enum rc
read_pattern(struct pattern_table *t, struct candidate *c, const struct pattern_warner *w,
    struct err *e)
{
	struct pattern_literal known = { .text = { NULL, 0 } };
	enum pattern_syntax syntax;
	struct err why = { 0 };
	uint32_t n_groups;

	c->code.regex = c->l.regex;
	c->code.want = c->subst.n > 0;
	if (t->engine->syntax(c->code.options, &syntax) == RC_OK &&
	    pattern_literal_scan(c->l.regex, syntax, t->mem, &known) != RC_OK)
		return err_set(e, RC_TEMP, "memory limit");
	c->literal = known.text;
	n_groups = known.n_groups;
	c->code.is_plain = known.is_plain;
	if (!known.is_plain) {
		const struct pattern_compile req = { .regex = c->l.regex,
			.options = c->code.options,
			.wants_groups = c->subst.n > 0 };

		if (t->engine->compile(&req, &c->code.compiled, &n_groups, &why) !=
		    RC_OK) {
			pattern_warn(w, c->line->line, "%s", why.text);
			return RC_PERM;
		}
	}
	if (c->subst.max > n_groups || c->subst.max > GROUPS_MAX) {
		pattern_warn(w, c->line->line,
		    "out of range replacement index \"%d\": skipping this rule",
		    (int)(int32_t)c->subst.max);
		if (c->code.compiled != NULL)
			t->engine->free_code(c->code.compiled);
		return RC_PERM;
	}
	if (c->subst.n > 0)
		c->code.want = (uint32_t)c->subst.max + 1;
	return RC_OK;
}

static void
add(struct pattern_table *t, struct candidate *c)
{
	const struct pattern_rule rule = { .value = c->l.value,
		.line = c->line->line,
		.is_if = c->l.op == PATTERN_IF,
		.is_negated = c->l.is_negated,
		.has_subst = c->subst.n > 0,
		.is_hinted = c->l.op == PATTERN_MATCH && !c->l.is_negated &&
			     c->literal.n >= PATTERN_INDEX_MIN };
	uint32_t i = pattern_rules_add(&t->rules, &rule);

	if (i == t->cap_code) {
		t->cap_code = t->cap_code == 0 ? 16 : t->cap_code * 2;
		t->code = mem_grow(t->code, t->cap_code, sizeof(*t->code));
	}
	/* It was compiled because of the warnings; most large tables are seldom hit. */
	if (rule.is_hinted && c->code.compiled != NULL) {
		t->engine->free_code(c->code.compiled);
		c->code.compiled = NULL;
	}
	t->code[i] = c->code;
	if (c->code.want > t->n_group)
		t->n_group = c->code.want;
	if (!rule.is_hinted)
		return;
	if (t->index == NULL)
		t->index = pattern_index_new();
	pattern_index_add(t->index, i, c->literal);
}

static void
end_block(
    struct pattern_table *t, const struct candidate *c, const struct pattern_warner *w)
{
	if (pattern_rules_endif(&t->rules) != RC_OK)
		pattern_warn(w, c->line->line, "ignoring ENDIF without matching IF");
	else if (c->l.value.n > 0)
		pattern_warn(w, c->line->line, "ignoring extra text after ENDIF");
}

static enum rc
read_rules(struct pattern_table *t, struct str text, unsigned flags, struct err *e)
{
	const struct pattern_warner w = { .fn = pattern_place_warn, .ctx = &t->place };
	struct pattern_lines lines = pattern_lines_start(text, t->mem);
	struct pattern_line line;
	enum rc rc;

	while ((rc = pattern_next(&lines, &t->place, &line, e)) == RC_OK) {
		struct candidate c = { .line = &line };

		if (pattern_regex_parse(&line, &t->engine->words, &w, &c.l) != RC_OK)
			continue;
		if (c.l.op == PATTERN_ENDIF) {
			end_block(t, &c, &w);
			continue;
		}
		if (read_options(t, &c, &w) != RC_OK ||
		    read_value(t, &c, flags, &w) != RC_OK)
			continue;
		rc = read_pattern(t, &c, &w, e);
		if (rc == RC_TEMP)
			return rc;
		if (rc == RC_OK)
			add(t, &c);
	}
	if (rc != RC_NONE)
		return rc;
	pattern_rules_done(&t->rules, &w);
	if (t->index != NULL)
		pattern_index_done(t->index);
	if (t->n_group > 0)
		t->group = mem_array(2 * t->n_group, sizeof(*t->group));
	return RC_OK;
}

enum rc
pattern_table_open(const struct pattern_engine *engine, const struct map_how *how,
    void **out, struct err *e)
{
	struct pattern_table *t = mem_get(sizeof(*t));
	struct str text;
	enum rc rc;

	t->engine = engine;
	t->mem = arena_new(TABLE_MAX);
	t->place = (struct pattern_place){ .type = engine->type,
		.name = arena_str(t->mem, how->name),
		.log = how->env->log };
	t->context = engine->new_context();
	rc = pattern_load(engine->type, how->name, t->mem, &text, e);
	if (rc == RC_OK)
		rc = read_rules(t, text, how->flags, e);
	if (rc != RC_OK) {
		pattern_table_close(t);
		return rc;
	}
	*out = t;
	return RC_OK;
}

void
pattern_table_close(void *state)
{
	struct pattern_table *t = state;

	for (uint32_t i = 0; i < t->rules.n; i++)
		if (t->code[i].compiled != NULL)
			t->engine->free_code(t->code[i].compiled);
	t->engine->free_context(t->context);
	pattern_index_free(&t->index);
	pattern_rules_fini(&t->rules);
	free(t->code);
	free(t->group);
	free(t->key);
	arena_free(&t->mem);
	free(t);
}

void
pattern_table_forget_index(struct pattern_table *t)
{
	const struct pattern_warner nobody = { 0 };

	pattern_index_free(&t->index);
	for (uint32_t i = 0; i < t->rules.n; i++)
		t->rules.v[i].is_hinted = false;
	free(t->rules.always);
	t->rules.n_always = 0;
	pattern_rules_done(&t->rules, &nobody);
}

/* ---- look-ups ---- */

struct lookup {
	struct pattern_table *t;
	struct str key;
};

static enum rc
match(void *ctx, uint32_t rule, struct err *e)
{
	struct lookup *q = ctx;
	struct pattern_table *t = q->t;
	struct code *c = &t->code[rule];
	const struct pattern_match m = {
		.key = q->key, .group = t->group, .want = c->want
	};
	struct err why = { 0 };
	enum rc rc;

	if (c->compiled == NULL) {
		const struct pattern_compile req = { .regex = c->regex,
			.options = c->options,
			.wants_groups = c->want > 0,
			.is_plain = c->is_plain };
		uint32_t n_groups;

		if (t->engine->compile(&req, &c->compiled, &n_groups, &why) != RC_OK)
			return err_set(e, RC_TEMP, "%s map %.*s, line %u: %s",
			    t->place.type, STR_ARG(t->place.name), t->rules.v[rule].line,
			    why.text);
		assert(c->want == 0 || n_groups + 1 >= c->want);
	}
	rc = t->engine->match(t->context, c->compiled, &m, &why);
	if (rc != RC_TEMP)
		return (rc == RC_OK) != t->rules.v[rule].is_negated ? RC_OK : RC_NONE;
	pattern_place_warn(&t->place, t->rules.v[rule].line, why.text);
	return err_set(e, RC_TEMP, "%s map %.*s, line %u: %s", t->place.type,
	    STR_ARG(t->place.name), t->rules.v[rule].line, why.text);
}

/* regexec() wants a NUL behind the key, or the sanitizer believes so. */
static struct str
copy_key(struct pattern_table *t, struct str key)
{
	if (key.n + 1 > t->cap_key) {
		t->cap_key = key.n < 256 ? 256 : key.n + 1;
		t->key = mem_grow(t->key, t->cap_key, 1);
	}
	memcpy(t->key, key.p, key.n);
	t->key[key.n] = '\0';
	return str_n(t->key, key.n);
}

enum rc
pattern_table_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct pattern_table *t = state;
	struct lookup q = { .t = t, .key = copy_key(t, key) };
	struct pattern_walk w = {
		.no_subst = (flags & MAP_NO_SUBST) != 0, .match = match, .ctx = &q
	};
	const struct pattern_rule *rule;
	struct pattern_groups g;
	struct str value;
	uint32_t i;
	enum rc rc;

	if (t->index != NULL)
		w.n_hits = pattern_index_find(t->index, key, &w.hits);
	rc = pattern_rules_find(&t->rules, &w, &i, e);
	if (rc != RC_OK)
		return rc;
	rule = &t->rules.v[i];
	g = (struct pattern_groups){
		.key = key, .group = t->group, .n = t->code[i].want
	};
	if (memchr(rule->value.p, '$', rule->value.n) != NULL) {
		rc = pattern_subst_expand(rule->value, &g, mem, &value);
	} else {
		value = arena_str(mem, rule->value);
		rc = value.p == NULL ? RC_TEMP : RC_OK;
	}
	if (rc != RC_OK)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}
