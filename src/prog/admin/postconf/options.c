/* Owns the command line of postconf: letters, and which of them go together. */
#include "base/base.h"
#include "conf/main_cf.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct letter {
	unsigned mode;
	char letter;
} letters[] = { { MODE_DEFAULTS, 'd' }, { MODE_EDIT, 'e' }, { MODE_SET, 'n' },
	{ MODE_REMOVE, 'X' }, { MODE_COMMENT, '#' }, { MODE_VALUES, 'h' },
	{ MODE_NAMES, 'H' }, { MODE_EXPAND, 'x' }, { MODE_FOLD, 'f' },
	{ MODE_SERVICES, 'M' }, { MODE_FIELDS, 'F' }, { MODE_OVERRIDES, 'P' },
	{ MODE_MAPS, 'm' }, { MODE_LOCKS, 'l' }, { MODE_EXTRA, 'o' },
	{ MODE_CLASS, 'C' } };

/* Of each row at most one. */
static const unsigned exclusive[] = {
	MODE_DEFAULTS | MODE_EDIT | MODE_SET | MODE_REMOVE | MODE_COMMENT,
	MODE_EDIT | MODE_EXPAND,
	MODE_EDIT | MODE_EXTRA,
	MODE_DEFAULTS | MODE_EXTRA,
	MODE_VALUES | MODE_NAMES,
	MODE_SERVICES | MODE_FIELDS | MODE_OVERRIDES | MODE_MAPS | MODE_LOCKS,
};

/* With the first, none of the second. */
static const struct without {
	unsigned with, none;
} without[] = {
	{ MODE_SERVICES,
	    MODE_DEFAULTS | MODE_SET | MODE_VALUES | MODE_NAMES | MODE_CLASS },
	{ MODE_FIELDS, MODE_DEFAULTS | MODE_SET | MODE_CLASS },
	{ MODE_OVERRIDES, MODE_DEFAULTS | MODE_SET | MODE_CLASS },
	{ MODE_MAPS | MODE_LOCKS, MODE_DEFAULTS | MODE_SET | MODE_VALUES | MODE_NAMES |
				      MODE_EXPAND | MODE_FOLD | MODE_EDIT | MODE_REMOVE |
				      MODE_COMMENT | MODE_CLASS },
};

static char
letter_of(unsigned mode)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if ((letters[i].mode & mode) != 0)
			return letters[i].letter;
	return '?';
}

static void
check_together(unsigned mode)
{
	for (size_t i = 0; i < ARRAY_LEN(exclusive); i++) {
		unsigned both = mode & exclusive[i], first = 0, second = 0;

		for (size_t k = 0; k < ARRAY_LEN(letters); k++) {
			if ((both & letters[k].mode) == 0)
				continue;
			second = first != 0 && second == 0 ? letters[k].mode : second;
			first = first == 0 ? letters[k].mode : first;
		}
		if (second != 0)
			fatal("specify one of -%c -%c", letter_of(first),
			    letter_of(second)); /* compat */
	}
	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		if ((mode & without[i].with) != 0 && (mode & without[i].none) != 0)
			fatal("with option -%c, do not specify -%c",
			    letter_of(mode & without[i].with),
			    letter_of(mode & without[i].none)); /* compat */
}

static void
usage(void)
{
	fatal("usage: postconf [-c config_dir] [-dehHnpqxX#fFlmMPv] [-C class] "
	      "[-o name=value] [name... | name=value...]");
}

static void
add_extra(struct options *o, const char *text)
{
	struct master_override *at = &o->extra[o->n_extra++];
	struct err e;

	if (conf_assignment(str_c(text), &at->name, &at->value, &e) != RC_OK)
		fatal("invalid parameter override: %s: missing '=' after attribute name",
		    text); /* compat */
}

static unsigned
parse_classes(const char *text)
{
	struct str rest = str_c(text), word;
	unsigned classes = 0;

	while (str_token(&rest, ", \t", &word)) {
		if (str_is(word, "builtin"))
			classes |= CLASS_BUILTIN;
		else if (str_is(word, "service"))
			classes |= CLASS_SERVICE;
		else if (str_is(word, "user"))
			classes |= CLASS_USER;
		else if (str_is(word, "all"))
			classes |= CLASS_ALL;
		else
			fatal("unknown -C option value \"%.*s\" in \"%s\"", STR_ARG(word),
			    text); /* compat */
	}
	return classes;
}

static void
parse_letter(struct options *o, int c)
{
	switch (c) {
	case 'c':
		o->directory = optarg;
		return;
	case 'C':
		o->classes = parse_classes(optarg);
		o->mode |= MODE_CLASS;
		return;
	case 'o':
		add_extra(o, optarg);
		o->mode |= MODE_EXTRA;
		return;
	case 'p':
	case 'q':
	case 'v':
		return;
	case 'a':
	case 'A':
	case 'b':
	case 'j':
	case 't':
	case 'T':
		fatal("option -%c is not available in this version", c);
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == c) {
			o->mode |= letters[i].mode;
			return;
		}
	usage();
}

/* What the arguments ask for when no letter says it. */
static void
check_args(struct options *o)
{
	unsigned edit = o->mode & (MODE_EDIT | MODE_REMOVE | MODE_COMMENT);

	if (edit == 0 && o->args[0] != NULL && strchr(o->args[0], '=') != NULL &&
	    (o->mode & (MODE_DEFAULTS | MODE_SET)) == 0)
		edit = o->mode |= MODE_EDIT;
	if (edit == 0)
		return;
	if ((o->mode & (MODE_SERVICES | MODE_FIELDS | MODE_OVERRIDES)) != 0)
		fatal("editing master.cf is not available in this version");
	if (o->args[0] == NULL)
		fatal((edit & MODE_EDIT) != 0 ? "-e requires name=value argument"
					      : "missing service argument"); /* compat */
}

void
options_parse(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){ .classes = CLASS_ALL };
	o->extra = mem_array((size_t)argc + 1, sizeof(*o->extra));
	opterr = 0;
	while ((c = getopt(argc, argv, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#")) > 0)
		parse_letter(o, c);
	o->args = argv + optind;
	check_together(o->mode);
	check_args(o);
	check_together(o->mode);
	if (o->directory == NULL)
		o->directory = getenv("MAIL_CONFIG");
	if (o->directory == NULL)
		o->directory = "/etc/postfix";
}
