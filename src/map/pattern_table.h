#ifndef MAP_PATTERN_TABLE_H
#define MAP_PATTERN_TABLE_H
#include "map/map_int.h"
#include "map/pattern.h"
#include "map/pattern_literal.h"

/* What regexp: and pcre: share: reading the rules, finding those worth trying, expanding
 * the result. What differs is an engine. */

/* Where warnings of one table go: "TYPE map NAME, line N: text". */
struct pattern_place {
	const char *type;
	struct str name;
	struct log *log;
};
/* The sink for those; ctx is a struct pattern_place. */
void pattern_place_warn(void *ctx, unsigned line, const char *text);
/* The text of a table, from its file or from the braces in its name.
 * Returns: RC_TEMP cannot be read; RC_PERM malformed; e as Postfix says it. */
MUST_USE enum rc pattern_load(
    const char *type, struct str name, struct arena *mem, struct str *out, struct err *e);
/* The next rule's line; warns of bad ones and goes on. RC_NONE: the end. */
MUST_USE enum rc pattern_next(struct pattern_lines *l, const struct pattern_place *place,
    struct pattern_line *out, struct err *e);
/* The file to be watched, or NULL. `name` has a NUL behind it. */
const char *pattern_watch(struct str name);

/* A key, and the groups that took part in its match. */
struct pattern_match {
	struct str key; /* a NUL stands behind it */
	size_t *group;  /* pairs, room for `want` */
	size_t want;    /* with the whole match as number 0; 0: nobody asks */
};
struct pattern_compile {
	struct str regex;
	unsigned options;
	bool wants_groups;
	bool is_plain; /* as in pattern_literal.h: it means the same in both syntaxes */
};

struct pattern_engine {
	const char *type;
	struct pattern_words words;
	unsigned options; /* those that are on when none is named */
	/* The bit behind an option's letter. RC_PERM: unknown; RC_NONE: means nothing. */
	enum rc (*option)(char c, unsigned *out);
	/* How the pattern reads with these options. RC_NONE: like nothing we scan. */
	enum rc (*syntax)(unsigned options, enum pattern_syntax *out);
	/* RC_PERM: malformed; e has the words for the log. */
	enum rc (*compile)(const struct pattern_compile *req, void **out,
	    uint32_t *out_groups, struct err *e);
	void (*free_code)(void *code);
	/* Serves one table; NULL from new: needs none. */
	void *(*new_context)(void);
	void (*free_context)(void *context);
	/* RC_NONE: no match. RC_TEMP: a limit was met. */
	enum rc (*match)(
	    void *context, void *code, const struct pattern_match *m, struct err *e);
};

/* The one behind pcre:. regexp: asks it first, where both must say the same. */
extern const struct pattern_engine pattern_engine_pcre;
/* Its options for "." and "$" as POSIX has them. */
unsigned pattern_pcre_as_posix(bool ignores_case);

struct pattern_table;
/* Reads all rules; warns of those that are skipped.
 * Returns: RC_TEMP the file cannot be read; RC_PERM malformed braces. Blocks:  on disk.
 */
MUST_USE enum rc pattern_table_open(const struct pattern_engine *engine,
    const struct map_how *how, void **out, struct err *e);
/* close and find of struct map_type, whose state is a struct pattern_table. */
void pattern_table_close(void *state);
/* The result of the first rule that applies, expanded. Memory:  *out in `mem`.
 * Returns: RC_NONE: no rule; RC_TEMP: a limit was met, of the match or of the memory. One
 * thread at a time. */
MUST_USE enum rc pattern_table_find(void *state, struct str key, unsigned flags,
    struct arena *mem, struct str *out, struct err *e);
/* Tests compare with the naive walk: no index, every rule is tried. */
void pattern_table_forget_index(struct pattern_table *t);
#endif
