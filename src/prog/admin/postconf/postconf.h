#ifndef POSTCONF_POSTCONF_H
#define POSTCONF_POSTCONF_H
/* What the parts of the postconf command share. */
#include "base/base.h"
#include "conf/snapshot.h"
#include <stdio.h>

struct conf_param;

enum {
	MODE_DEFAULTS = 1 << 0,   /* -d */
	MODE_SET = 1 << 1,        /* -n */
	MODE_EDIT = 1 << 2,       /* -e */
	MODE_REMOVE = 1 << 3,     /* -X */
	MODE_COMMENT = 1 << 4,    /* -# */
	MODE_VALUES = 1 << 5,     /* -h */
	MODE_NAMES = 1 << 6,      /* -H */
	MODE_EXPAND = 1 << 7,     /* -x */
	MODE_FOLD = 1 << 8,       /* -f */
	MODE_SERVICES = 1 << 9,   /* -M */
	MODE_FIELDS = 1 << 10,    /* -F */
	MODE_OVERRIDES = 1 << 11, /* -P */
	MODE_MAPS = 1 << 12,      /* -m */
	MODE_LOCKS = 1 << 13,     /* -l */
	MODE_EXTRA = 1 << 14,     /* -o */
	MODE_CLASS = 1 << 15,     /* -C */
};

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct options {
	unsigned mode, classes;
	const char *directory;
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
	bool *is_used; /* by index in main.cf: referred to by something that is read */
};

/* Everything that can be shown, sorted. Warns about names that nobody defines. */
void names_collect(const struct conf_snapshot *s, bool with_warnings, struct names *out);
/* Warns about settings that nobody reads: behind all other output. */
void names_warn_unused_main(const struct conf_snapshot *s, const struct names *names);
void names_warn_unused_master(const struct conf_snapshot *s, const struct names *names);
void names_free(struct names *names);
/* NULL: unknown. */
const struct name *names_find(const struct names *names, struct str name);

void show_parameters(const struct conf_snapshot *s, const struct options *o);
/* "name = value" with runs of blanks made one, folded when asked for. */
void show_pair(const struct options *o, struct str name, struct str value);
void show_services(
    const struct conf_snapshot *s, const struct options *o, struct arena *mem);
/* -e, -X and -# on main.cf. */
void edit_main_cf(const struct options *o);

/* "postconf: warning: …" on standard error, behind what was printed so far. */
void warn(const char *fmt, ...) PRINTF(1, 2);
void fatal(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
#endif
