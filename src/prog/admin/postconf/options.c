/* Owns the command line of postconf: letters, and which of them go together. */
#include "base/base.h"
#include "conf/main_cf.h"
#include "prog/admin/postconf/postconf.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* compat: in this order a complaint names them. */
static const struct letter {
	unsigned mode;
	char letter;
} letters[] = { { MODE_SERVER_SASL, 'a' }, { MODE_CLIENT_SASL, 'A' }, { MODE_TEXTS, 'b' },
	{ MODE_CLASS, 'C' }, { MODE_DEFAULTS, 'd' }, { MODE_EDIT, 'e' },
	{ MODE_FOLD, 'f' }, { MODE_FIELDS, 'F' }, { MODE_VALUES, 'h' },
	{ MODE_NAMES, 'H' }, { MODE_JSON, 'j' }, { MODE_LOCKS, 'l' }, { MODE_MAPS, 'm' },
	{ MODE_SERVICES, 'M' }, { MODE_SET, 'n' }, { MODE_EXTRA, 'o' },
	{ MODE_MAIN, 'p' }, { MODE_OVERRIDES, 'P' }, { MODE_TEMPLATES, 't' },
	{ MODE_TLS, 'T' }, { MODE_EXPAND, 'x' }, { MODE_REMOVE, 'X' },
	{ MODE_COMMENT, '#' } };

#define HOW_TO_SHOW (MODE_FOLD | MODE_VALUES | MODE_NAMES | MODE_JSON | MODE_EXPAND)

/* Of each row at most one. */
static const unsigned exclusive[] = {
	MODE_DEFAULTS | MODE_SET | MODES_CHANGE,
	MODE_DEFAULTS | MODE_EXTRA,
	MODE_VALUES | MODE_NAMES,
	MODES_MASTER | MODE_MAPS | MODE_LOCKS | MODE_SERVER_SASL | MODE_CLIENT_SASL |
	    MODE_TEXTS | MODE_TEMPLATES | MODE_TLS | MODE_MAIN,
};

/* With the first, none of the second. */
static const struct without {
	unsigned with, none;
} without[] = {
	{ MODE_SERVICES,
	    MODE_DEFAULTS | MODE_SET | MODE_VALUES | MODE_NAMES | MODE_CLASS },
	{ MODE_FIELDS,
	    MODE_DEFAULTS | MODE_SET | MODE_CLASS | MODE_REMOVE | MODE_COMMENT },
	{ MODE_OVERRIDES, MODE_DEFAULTS | MODE_SET | MODE_CLASS | MODE_COMMENT },
	{ MODE_MAPS | MODE_LOCKS | MODE_SERVER_SASL | MODE_CLIENT_SASL | MODE_TEXTS |
		MODE_TEMPLATES | MODE_TLS,
	    MODE_DEFAULTS | MODE_SET | HOW_TO_SHOW | MODES_CHANGE | MODE_CLASS |
		MODE_EXTRA },
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
check_row(unsigned both)
{
	unsigned first = 0;

	for (size_t k = 0; k < ARRAY_LEN(letters); k++) {
		if ((both & letters[k].mode) == 0)
			continue;
		if (first != 0)
			fatal("specify one of -%c -%c", letter_of(first),
			    letters[k].letter); /* compat */
		first = letters[k].mode;
	}
}

static void
check_together(unsigned mode)
{
	unsigned change = mode & MODES_CHANGE, how = mode & (HOW_TO_SHOW | MODE_EXTRA);

	for (size_t i = 0; i < ARRAY_LEN(exclusive); i++)
		check_row(mode & exclusive[i]);
	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		if ((mode & without[i].with) != 0 && (mode & without[i].none) != 0)
			fatal("with option -%c, do not specify -%c",
			    letter_of(mode & without[i].with),
			    letter_of(mode & without[i].none)); /* compat */
	/* Who changes does not show. */
	if (change != 0 && how != 0)
		check_row(change | (how & -how));
}

/* compat: the form of the words */
static void
usage(void)
{
	fatal("usage: postconf [-a (server SASL types)] [-A (client SASL types)] "
	      "[-b (bounce templates)] [-c config_dir] [-c param_class] "
	      "[-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] "
	      "[-F (master.cf fields)] [-h (no names)] [-H (no values)] "
	      "[-j (JSON format)] [-l (lock types)] [-m (map types)] [-M (master.cf)] "
	      "[-n (non-default parameters)] "
	      "[-o name=value (override parameter value)] [-p (main.cf, default)] "
	      "[-P (master.cf parameters)] [-q (no deprecation warnings)] "
	      "[-t (bounce templates)] "
	      "[-T compile-version|run-version|public-key-algorithms] [-v (verbose)] "
	      "[-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] "
	      "[name...]");
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
	case 'q':
		o->mode |= MODE_QUIET;
		return;
	case 'v':
		return;
	case 'T':
		o->tls_mode = optarg;
		o->mode |= MODE_TLS;
		return;
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

/* name=value asks for a change, whatever else is asked for: before options are held
 * against each other, or "-n name=value" would change nothing and say nothing. */
static void
imply_edit(struct options *o)
{
	const unsigned others = MODE_TEXTS | MODE_TEMPLATES | MODE_TLS | MODE_MAPS |
				MODE_LOCKS | MODE_SERVER_SASL | MODE_CLIENT_SASL;

	if (o->args[0] != NULL && strchr(o->args[0], '=') != NULL &&
	    (o->mode & (others | MODES_CHANGE)) == 0)
		o->mode |= MODE_EDIT;
}

static void
check_args(const struct options *o)
{
	unsigned edit = o->mode & MODES_CHANGE;

	/* compat */
	if (edit != 0 && o->args[0] == NULL)
		fatal("%s", (o->mode & MODE_EDIT) != 0 ? "-e requires name=value argument"
						       : "missing service argument");
	if ((o->mode & (MODE_TEXTS | MODE_TEMPLATES)) != 0 && o->args[0] != NULL &&
	    o->args[1] != NULL)
		fatal("options -b and -t require at most one template file");
}

void
options_parse(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){ .classes = CLASS_ALL };
	o->extra = mem_array((size_t)argc + 1, sizeof(*o->extra));
	while ((c = getopt(argc, argv, "+aAbc:C:deEfFhHjlmMno:pPqtT:vxX#")) > 0)
		parse_letter(o, c);
	o->args = argv + optind;
	if ((o->mode & MODE_TEXTS) != 0 && (o->mode & MODE_TEMPLATES) != 0)
		fatal("specify one of -b and -t"); /* compat */
	imply_edit(o);
	check_together(o->mode);
	check_args(o);
	if (o->directory == NULL)
		o->directory = getenv("MAIL_CONFIG");
	if (o->directory == NULL)
		o->directory = "/etc/postfix";
}
