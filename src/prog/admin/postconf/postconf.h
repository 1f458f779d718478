#ifndef POSTCONF_POSTCONF_H
#define POSTCONF_POSTCONF_H
/* What the parts of the postconf command share. */
#include "base/base.h"
#include "conf/snapshot.h"
#include <stdio.h>

struct buf;
struct conf_param;
struct entries;

enum {
	MODE_DEFAULTS = 1 << 0,     /* -d */
	MODE_SET = 1 << 1,          /* -n */
	MODE_EDIT = 1 << 2,         /* -e */
	MODE_REMOVE = 1 << 3,       /* -X */
	MODE_COMMENT = 1 << 4,      /* -# */
	MODE_VALUES = 1 << 5,       /* -h */
	MODE_NAMES = 1 << 6,        /* -H */
	MODE_EXPAND = 1 << 7,       /* -x */
	MODE_FOLD = 1 << 8,         /* -f */
	MODE_SERVICES = 1 << 9,     /* -M */
	MODE_FIELDS = 1 << 10,      /* -F */
	MODE_OVERRIDES = 1 << 11,   /* -P */
	MODE_MAPS = 1 << 12,        /* -m */
	MODE_LOCKS = 1 << 13,       /* -l */
	MODE_EXTRA = 1 << 14,       /* -o */
	MODE_CLASS = 1 << 15,       /* -C */
	MODE_JSON = 1 << 16,        /* -j */
	MODE_SERVER_SASL = 1 << 17, /* -a */
	MODE_CLIENT_SASL = 1 << 18, /* -A */
	MODE_TEXTS = 1 << 19,       /* -b */
	MODE_TEMPLATES = 1 << 20,   /* -t */
	MODE_TLS = 1 << 21,         /* -T */
	MODE_MAIN = 1 << 22,        /* -p */
	MODE_QUIET = 1 << 23,       /* -q */
};
#define MODES_CHANGE (MODE_EDIT | MODE_REMOVE | MODE_COMMENT)
#define MODES_MASTER (MODE_SERVICES | MODE_FIELDS | MODE_OVERRIDES)

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct options {
	unsigned mode, classes;
	const char *directory;
	const char *tls_mode; /* -T */
	struct master_override *extra;
	size_t n_extra;
	char **args; /* NULL-terminated */
};

/* Reads the command line; ends the program when it makes no sense. */
void options_parse(int argc, char **argv, struct options *out);

/* One parameter that can be shown. */
struct name {
	struct str name;
	const struct conf_param *param; /* NULL: somebody's own */
	unsigned class;
};

struct names {
	struct arena *mem;
	struct name *v;
	size_t n, cap;
	bool *is_used;       /* by index in main.cf: something refers to it */
	bool *is_extra_used; /* the same of -o of the command line */
};

/* Everything that can be shown, sorted. Warns about names that nobody defines; ends the
 * program when a value cannot be parsed. */
void names_collect(const struct conf_snapshot *s, const struct entries *services,
    bool with_warnings, struct names *out);
/* Warns about settings that nobody reads: behind all other output. */
void names_warn_unused_main(const struct conf_snapshot *s, const struct names *names);
void names_warn_unused_master(const struct conf_snapshot *s,
    const struct entries *services, const struct names *names);
/* Warns about settings that Postfix will not understand for ever. */
void names_warn_deprecated(const struct conf_snapshot *s, const struct entries *services);
void names_free(struct names *names);
/* NULL: unknown. */
const struct name *names_find(const struct names *names, struct str name);

void show_parameters(const struct conf_snapshot *s, const struct entries *services,
    const struct options *o);
/* "name = value" with runs of blanks made one, folded when asked for; or as JSON. */
void show_pair(const struct options *o, struct str name, struct str value);
/* A JSON string, with its quotes. */
void show_json(struct str text);
void show_services(const struct conf_snapshot *s, const struct entries *services,
    const struct options *o);
/* -b and -t. `s` is complete. */
void show_templates(const struct conf_snapshot *s, const struct options *o);

/* -e, -X and -# on main.cf, and with -M, -F, -P on master.cf. */
void edit_main_cf(const struct options *o);
void edit_master_cf(const struct options *o);

/* A file that is being changed. One rename replaces it, so that nobody ever sees half of
 * it; the lock keeps two editors apart. */
struct edit_file {
	const char *path, *dir;
	struct str text; /* as it was */
	struct arena *mem;
	int fd; /* locked */
	int64_t uid, gid;
	unsigned mode;
};
/* Opens, locks and reads DIR/NAME; ends the program when it can't.
 * Memory: the text lives in `mem`. Blocks: until another editor has finished. */
void edit_file_open(
    const char *dir, const char *name, struct arena *mem, struct edit_file *out);
/* Puts `text` in its place, with the owner and the mode of the old file; ends the program
 * when that fails, and then the old file is as it was. */
void edit_file_replace(struct edit_file *f, struct str text);

/* "postconf: warning: …" on standard error, behind what was printed so far. */
void warn(const char *fmt, ...) PRINTF(1, 2);
/* Another name in the place of "postconf". Kept. */
void speak_as(const char *name);
void fatal(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
#endif
