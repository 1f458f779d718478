#ifndef POSTCONF_ENTRY_H
#define POSTCONF_ENTRY_H
/* master.cf entries as postconf shows and changes them: the words as written, read more
 * leniently than master reads them, so that a file that master refuses can be repaired.
 */
#include "base/base.h"
#include "base/buf.h"
#include "conf/master_cf.h"

struct arena;

enum entry_field {
	ENTRY_SERVICE,
	ENTRY_TYPE,
	ENTRY_PRIVATE,
	ENTRY_UNPRIVILEGED,
	ENTRY_CHROOT,
	ENTRY_WAKEUP,
	ENTRY_PROCESS_LIMIT,
	ENTRY_COMMAND,
	ENTRY_N_FIELDS
};
/* "service", "type", … */
extern const char *const entry_field_names[ENTRY_N_FIELDS];

struct entry {
	struct str field[ENTRY_N_FIELDS]; /* as written; the last without arguments */
	struct str *args;                 /* outer braces removed */
	size_t n_args;
	size_t n_options; /* of these the daemon's own: "-o", "name=value", "-v" */
	/* The same for conf: name, type, command, overrides. */
	struct master_service service;
};

struct entries {
	struct entry *v;
	size_t n;
};

/* Parses a whole file; `path` is for messages. Ends the program, in Postfix's words, when
 * a line has too few fields or one with an impossible value.
 *
 * Memory: *out lives in `mem` and views `text`. */
void entries_parse(
    struct str path, struct str text, struct arena *mem, struct entries *out);
/* One logical line. False: fewer than eight fields. Ends the program as above. */
bool entry_parse(struct str line, struct arena *mem, struct entry *out);
/* Replaces a field; the command's value may have arguments. Ends the program when the
 * value is impossible. */
void entry_set_field(
    struct entry *e, enum entry_field field, struct str value, struct arena *mem);
/* Sets -o name=value, in the place of an older one or behind the other options. */
void entry_set_override(
    struct entry *e, struct str name, struct str value, struct arena *mem);
/* Removes every -o of that name. */
void entry_drop_override(struct entry *e, struct str name, struct arena *mem);

/* Appends the entry in columns, without a line end; folded: -o on lines of their own, no
 * line longer than 79 where blanks allow it. */
void entry_format(const struct entry *e, bool is_folded, struct buf *out);
/* Appends only the command and its arguments, beginning in that column. */
void entry_format_command(
    const struct entry *e, bool is_folded, size_t column, struct buf *out);
#endif
