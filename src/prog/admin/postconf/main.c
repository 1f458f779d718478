/* postconf: shows and changes the configuration. Reads files, talks to nobody. */
#include "base/arena.h"
#include "conf/master_cf.h"
#include "map/map.h"
#include "prog/admin/postconf/postconf.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX ((size_t)64 << 20)

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
	(void)fprintf(stderr, "postconf: %s: %s\n", kind, text);
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
	struct master_cf again;
	struct err e;

	for (size_t i = 0; i < s->main.n_duplicates; i++) {
		const struct conf_entry *d = &s->main.duplicates[i];

		warn("%.*s, line %u: overriding earlier entry: %.*s=%.*s",
		    STR_ARG(s->main_path), d->by_line, STR_ARG(d->name),
		    STR_ARG(d->value)); /* compat */
	}
	if (access(s->master_path.p, R_OK) != 0)
		warn("open %.*s: %m", STR_ARG(s->master_path)); /* compat */
	else if (s->master.n == 0 && master_cf_parse(s->master_path, s->master_text, mem,
					 &again, &e) != RC_OK)
		fatal("%s", e.text);
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

/* The table types that this build has. */
static void
show_maps(void)
{
	for (const char *const *t = map_types(); *t != NULL; t++)
		(void)puts(*t);
}

static void
show_master(const struct conf_snapshot *s, const struct options *o, struct arena *mem)
{
	struct names names;

	names_collect(s, true, &names);
	show_services(s, o, mem);
	names_warn_unused_master(s, &names);
	names_free(&names);
}

int
main(int argc, char **argv)
{
	struct arena *mem = arena_new(MEMORY_MAX);
	const struct conf_snapshot *s;
	struct options o;

	options_parse(argc, argv, &o);
	if ((o.mode & (MODE_EDIT | MODE_REMOVE | MODE_COMMENT)) != 0) {
		edit_main_cf(&o);
	} else if ((o.mode & MODE_MAPS) != 0) {
		show_maps();
	} else if ((o.mode & MODE_LOCKS) != 0) {
		(void)puts("flock\nfcntl\ndotlock");
	} else {
		s = load(&o, mem);
		if ((o.mode & (MODE_SERVICES | MODE_FIELDS | MODE_OVERRIDES)) != 0)
			show_master(s, &o, mem);
		else
			show_parameters(s, &o);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		fatal("write standard output: %m");
	free(o.extra);
	arena_free(&mem);
	return 0;
}
