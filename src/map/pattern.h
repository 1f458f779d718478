#ifndef MAP_PATTERN_H
#define MAP_PATTERN_H
#include "base/arena.h"
#include "base/base.h"

/* Tables of patterns: the text of a table becomes a list of rules. Shared by regexp:,
 * pcre: and cidr:, which know what a pattern is. Pure: the text comes in, warnings go
 * out. */

/* Takes a warning in Postfix's words. Line 0: it belongs to no line. */
typedef void pattern_warn_fn(void *ctx, unsigned line, const char *text);
struct pattern_warner {
	pattern_warn_fn *fn; /* NULL: nobody listens */
	void *ctx;
};
void pattern_warn(const struct pattern_warner *w, unsigned line, const char *fmt, ...)
    PRINTF(3, 4);

/* ---- lines ---- */

/* The rules inside "{ {rule}, {rule} }" as lines.
 * Memory:  *out in `mem`. Returns: RC_PERM: the braces do not pair; e as Postfix says it.
 */
MUST_USE enum rc pattern_inline(
    struct str name, struct arena *mem, struct str *out, struct err *e);

/* Reads logical lines: comments and empty lines are left out, lines that begin with a
 * blank continue the one before, blanks at the end are gone. */
struct pattern_lines {
	struct str rest;
	unsigned line;     /* of `rest` */
	struct arena *mem; /* takes lines that were joined */
};
struct pattern_line {
	struct str text;
	unsigned line; /* its first one */
	bool is_bad;   /* begins with a blank and continues nothing: leave it out, warn */
};
struct pattern_lines pattern_lines_start(struct str text, struct arena *mem);
/* Memory:  a view of the text, or in the arena. Returns: RC_NONE: the end. RC_TEMP:
 * memory limit. */
MUST_USE enum rc pattern_lines_next(struct pattern_lines *l, struct pattern_line *out);

struct str pattern_skip_blanks(struct str s);
/* Takes "IF" or "ENDIF", in any case and as a word of its own, off the front. */
bool pattern_takes_word(struct str *s, struct str word);

/* ---- rules ---- */

enum pattern_op { PATTERN_MATCH, PATTERN_IF, PATTERN_ENDIF };

/* A rule that was accepted. ENDIF is none: an IF knows where it ends. */
struct pattern_rule {
	struct str value; /* MATCH */
	uint32_t line;
	uint32_t jump; /* IF: the rule behind its ENDIF */
	bool is_if, is_negated;
	bool has_subst; /* the value takes text from the key */
	bool is_hinted; /* can match only when it is among the hits of a look-up */
};

struct pattern_rules {
	struct pattern_rule *v;
	uint32_t n, cap;
	uint32_t *open; /* IFs without their ENDIF so far, the innermost last */
	uint32_t n_open, cap_open;
	uint32_t *always; /* the rules that are not hinted, in order */
	uint32_t n_always;
};
void pattern_rules_fini(struct pattern_rules *r);
/* Its number. */
uint32_t pattern_rules_add(struct pattern_rules *r, const struct pattern_rule *rule);
/* RC_PERM: no IF is open. */
MUST_USE enum rc pattern_rules_endif(struct pattern_rules *r);
/* Behind the last one: warns of each IF that is open. */
void pattern_rules_done(struct pattern_rules *r, const struct pattern_warner *w);

/* Whether a rule applies, `!` included. RC_NONE: no. RC_TEMP: trouble. */
typedef enum rc pattern_match_fn(void *ctx, uint32_t rule, struct err *e);
struct pattern_walk {
	const uint32_t *hits; /* hinted rules that may match, in order */
	size_t n_hits;
	bool no_subst; /* rules with has_subst do not exist */
	pattern_match_fn *match;
	void *ctx;
};
/* The first rule that applies and that no IF hides. RC_NONE: none. */
MUST_USE enum rc pattern_rules_find(const struct pattern_rules *r,
    const struct pattern_walk *w, uint32_t *out, struct err *e);

/* ---- lines of regexp: and pcre: ---- */

/* Where the two tables differ in words. */
struct pattern_words {
	const char *unclosed;   /* "skipping this rule" */
	const char *zero_index; /* "out-of-range" */
};
/* A line taken apart; views of it. */
struct pattern_regex_line {
	enum pattern_op op;
	bool is_negated;
	struct str regex, options;
	struct str value; /* MATCH: the result */
};
/* RC_PERM: the line is no rule; that was warned of. */
MUST_USE enum rc pattern_regex_parse(const struct pattern_line *line,
    const struct pattern_words *words, const struct pattern_warner *w,
    struct pattern_regex_line *out);

/* What a result takes from the key. */
struct pattern_subst {
	size_t n;         /* how many $number */
	uint64_t max;     /* the highest; what int makes of huge ones */
	bool has_dollars; /* any $: it must be expanded */
};
/* Checks $1 ${1} $(1) $$ of a result. RC_PERM: malformed; warned of in detail. */
MUST_USE enum rc pattern_subst_scan(struct str value, unsigned line,
    const struct pattern_words *words, const struct pattern_warner *w,
    struct pattern_subst *out);
/* Expands a result that was scanned. `group` holds pairs of begin and end in `key`;
 * SIZE_MAX: the group took no part, and gives nothing. Memory:  *out in `mem`.
 * Returns: RC_TEMP: memory limit. */
struct pattern_groups {
	struct str key;
	const size_t *group;
	size_t n;
};
MUST_USE enum rc pattern_subst_expand(
    struct str value, const struct pattern_groups *g, struct arena *mem, struct str *out);
#endif
