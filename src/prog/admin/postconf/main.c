/* postconf: shows and changes the configuration. Reads files, talks to nobody. */
#include "base/arena.h"
#include "map/map.h"
#include "prog/admin/postconf/entry.h"
#include "prog/admin/postconf/postconf.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX ((size_t)64 << 20)

static const char *speaker = "postconf";

static void say(const char *kind, const char *fmt, va_list ap) PRINTF(2, 0);

static void
say(const char *kind, const char *fmt, va_list ap)
{
	char text[2000];

	/* Behind the lines that it is about. */
	(void)fflush(stdout);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	(void)fprintf(stderr, "%s: %s: %s\n", speaker, kind, text);
}

void
speak_as(const char *name)
{
	speaker = name;
}

void
warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning", fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("fatal", fmt, ap);
	va_end(ap);
	exit(1);
}

/* What the parser noticed in files that can be used nevertheless. */
static void
warn_files(const struct conf_snapshot *s, struct arena *mem)
{
	struct conf_lines l = conf_lines(s->main_text);
	struct str line;

	/* Only a first line can: others continue the one before. compat */
	if (conf_lines_next(&l, mem, &line) == RC_OK && ascii_isspace(line.p[0]))
		warn("%.*s: logical line must not start with whitespace: \"%.*s\"",
		    STR_ARG(s->main_path), STR_ARG(line));
	for (size_t i = 0; i < s->main.n_duplicates; i++) {
		const struct conf_entry *d = &s->main.duplicates[i], *by = d + 1;

		if (i + 1 == s->main.n_duplicates || !str_eq(by->name, d->name))
			by = main_cf_find(&s->main, d->name);
		if (by != NULL && str_eq(by->value, d->value))
			continue;
		warn("%.*s, line %u: overriding earlier entry: %.*s=%.*s",
		    STR_ARG(s->main_path), d->by_line, STR_ARG(d->name),
		    STR_ARG(d->value)); /* compat */
	}
}

/* master.cf, whether or not master would take it. */
static void
load_services(const struct conf_snapshot *s, const struct options *o, struct arena *mem,
    struct entries *out)
{
	*out = (struct entries){ 0 };
	if (access(s->master_path.p, R_OK) == 0)
		entries_parse(s->master_path, s->master_text, mem, out);
	/* compat */
	else if ((o->mode & MODES_MASTER) != 0)
		fatal("open %.*s: %s", STR_ARG(s->master_path), strerror(errno));
	else
		warn("open %.*s: %s", STR_ARG(s->master_path), strerror(errno));
}

static const struct conf_snapshot *
load(const struct options *o, struct arena *mem)
{
	struct conf_load what = { .config_directory = str_c(o->directory),
		.process_name = STR("postconf"),
		.without_main = (o->mode & MODE_DEFAULTS) != 0,
		.without_master = true,
		.extra = o->extra,
		.n_extra = o->n_extra };
	const struct conf_snapshot *s;
	struct err e;

	if (conf_load(&what, mem, &s, &e) != RC_OK)
		fatal("%s", e.text);
	if ((o->mode & MODE_DEFAULTS) == 0)
		warn_files(s, mem);
	return s;
}

/* The table types that can be opened: a type in a module, when that is installed. */
static void
show_maps(void)
{
	for (const char *const *t = map_types(); *t != NULL; t++)
		if (map_type_is_here(*t))
			(void)puts(*t);
}

static void
show_master(const struct conf_snapshot *s, const struct entries *services,
    const struct options *o)
{
	struct names names;

	names_collect(s, services, true, &names);
	show_services(s, services, o);
	names_warn_unused_master(s, services, &names);
	if ((o->mode & MODE_QUIET) == 0)
		names_warn_deprecated(s, services);
	names_free(&names);
}

/* -T: what libssl is, and can. */
static int
show_tls(const char *what)
{
	static const char *const known[] = { "compile-version", "run-version",
		"public-key-algorithms" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(what, known[i]) == 0)
			fatal("option -T: this version is built without TLS");
	warn("unknown 'postconf -T' mode: %s", what); /* compat */
	return 1;
}

static void
show_configuration(const struct options *o, struct arena *mem)
{
	const struct conf_snapshot *s = load(o, mem);
	struct entries services;

	if ((o->mode & (MODE_TEXTS | MODE_TEMPLATES)) != 0) {
		show_templates(s, o);
		return;
	}
	load_services(s, o, mem, &services);
	if ((o->mode & MODES_MASTER) != 0)
		show_master(s, &services, o);
	else
		show_parameters(s, &services, o);
}

int
main(int argc, char **argv)
{
	struct arena *mem = arena_new(MEMORY_MAX);
	struct options o;
	int status = 0;

	if (argc > 0)
		speak_as(argv[0]); /* compat: with its folder */
	options_parse(argc, argv, &o);
	if ((o.mode & MODES_CHANGE) != 0 && (o.mode & MODES_MASTER) != 0)
		edit_master_cf(&o);
	else if ((o.mode & MODES_CHANGE) != 0)
		edit_main_cf(&o);
	else if ((o.mode & MODE_MAPS) != 0)
		show_maps();
	else if ((o.mode & MODE_LOCKS) != 0)
		(void)puts("flock\nfcntl\ndotlock"); /* compat */
	else if ((o.mode & MODE_TLS) != 0)
		status = show_tls(o.tls_mode);
	/* SASL has no plug-in yet: -a and -A list nothing. */
	else if ((o.mode & (MODE_SERVER_SASL | MODE_CLIENT_SASL)) == 0)
		show_configuration(&o, mem);
	if (fflush(stdout) != 0 || ferror(stdout))
		fatal("write standard output: %m");
	free(o.extra);
	arena_free(&mem);
	return status;
}
