#ifndef CONF_MAIN_CF_H
#define CONF_MAIN_CF_H
/* main.cf as it stands: names and unexpanded values. */
#include "base/base.h"

struct arena;

#define CONF_FILE_MAX  (4 << 20) /* bytes of main.cf or master.cf */
#define CONF_LINES_MAX 50000     /* settings in it */

struct conf_entry {
	struct str name, value; /* value: continuation lines joined, blanks trimmed */
	unsigned line;          /* where it begins in the file */
	unsigned by_line;       /* of a duplicate: the setting that replaced it */
};

/* Sorted by name, each name once. Immutable after parsing. */
struct main_cf {
	struct conf_entry *v;
	size_t n;
	struct conf_entry *duplicates; /* earlier settings that a later one replaced */
	size_t n_duplicates;
};

/* One logical line of main.cf or master.cf: continuation lines joined by their own
 * blanks, comment and empty lines dropped. */
struct conf_lines {
	struct str rest; /* what has not been read */
	unsigned next;   /* number of the first line of `rest` */
	unsigned line;   /* where the logical line begins */
};
struct conf_lines conf_lines(struct str text);
/* Memory:  *out is a view into the text or, when lines were joined, lives in `mem`.
 * Returns: RC_NONE at the end; RC_TEMP memory limit. */
MUST_USE enum rc conf_lines_next(
    struct conf_lines *l, struct arena *mem, struct str *out);

/* Splits "name = value". RC_PERM: the text after "file F, line N: " is in `e`. */
MUST_USE enum rc conf_assignment(
    struct str line, struct str *name, struct str *value, struct err *e);

/* Parses the whole file; `path` is for messages only.
 *
 * Memory:  *out views `text` and `mem`, both must outlive it.
 * Returns: RC_PERM not a main.cf ("PATH, line N: …"); RC_TEMP memory limit. */
MUST_USE enum rc main_cf_parse(struct str path, struct str text, struct arena *mem,
    struct main_cf *out, struct err *e);
/* NULL: not set in the file. */
const struct conf_entry *main_cf_find(const struct main_cf *m, struct str name);
#endif
