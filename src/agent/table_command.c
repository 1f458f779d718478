/* postmap and postalias: options, and what leads to what. */
#include "agent/table_command.h"
#include "agent/table_int.h"
#include "log/log.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct str
table_spec(struct table_command *t, const char *table)
{
	if (strchr(table, ':') != NULL)
		return str_c(table);
	return arena_printf(
	    t->c.mem, "%.*s:%s", STR_ARG(t->c.conf.default_database_type), table);
}

struct str
table_file_name(struct table_command *t, struct str spec)
{
	if (str_starts(spec, STR("hash:")) || str_starts(spec, STR("btree:")))
		return arena_printf(t->c.mem, "%.*s.db", STR_ARG(spec)); /* compat */
	return spec;
}

struct map *
table_open(struct table_command *t, const char *table)
{
	const struct map_env env = { .log = t->words,
		.snapshot = t->c.snapshot,
		.asks_remote = true,
		.asks_service = true,
		.no_utf8 = !t->wants_utf8 };
	const struct map_open_request req = { .spec = table_spec(t, table),
		.env = &env,
		/* Listing shows all. Compat. */
		.flags = t->sequence      ? 0
			 : t->with_nul    ? MAP_NO_PLAIN
			 : t->without_nul ? MAP_NO_NUL
					  : 0 };
	struct map *m = NULL;
	struct err e = { 0 };

	if (str_find(req.spec, ':') == 0 || str_find(req.spec, ':') + 1 >= req.spec.n)
		command_fatal(&t->c, 1,
		    "open dictionary: expecting \"type:name\" form instead of \"%.*s\"",
		    STR_ARG(req.spec)); /* compat */
	if (map_open(&req, &m, &e) != RC_OK) {
		log_flush(t->words);
		command_fatal(&t->c, 1, "%s", e.text);
	}
	log_flush(t->words);
	return m;
}

/* ---- options ---- */

/* Where the flag of an option is kept; NULL: it has none. */
static bool *
flag_of(struct table_command *t, int option)
{
	switch (option) {
	case 'b':
		return &t->asks_body;
	case 'f':
		return &t->keep_case;
	case 'F':
		return &t->files;
	case 'h':
		return &t->asks_header;
	case 'i':
		return &t->incremental;
	case 'j':
		return &t->json;
	case 'm':
		return &t->mime;
	case 'o':
		return &t->keep_root;
	case 'p':
		return &t->own_mode;
	case 'r':
		return &t->replace;
	case 's':
		return &t->sequence;
	case 'u':
		return &t->no_utf8;
	case 'U':
		return &t->force_utf8;
	case 'w':
		return &t->ignore_duplicates;
	default:
		return NULL; /* -v: there is nothing more to say */
	}
}

static void
one_only(struct table_command *t, int option)
{
	if ((t->query != NULL) + (t->remove != NULL) + t->sequence <= 1)
		return;
	command_fatal(&t->c, 1, "%s", /* compat: both of them */
	    option == 's' ? "specify only one of -s or -q or -d"
			  : "specify only one of -s -q or -d");
}

/* -N, -n: the last one counts. Compat. */
static void
set_nul(struct table_command *t, bool with_nul)
{
	t->with_nul = with_nul;
	t->without_nul = !with_nul;
}

/* The directory of -c, or NULL. */
static const char *
read_options(struct table_command *t, int argc, char **argv)
{
	const char *config_dir = NULL;
	int option;

	while ((option = getopt(argc, argv, t->dialect->options)) > 0) {
		bool *flag = flag_of(t, option);

		if (option == '?')
			command_fatal(&t->c, 1, "%s", t->dialect->usage);
		else if (option == 'c')
			config_dir = optarg;
		else if (option == 'd')
			t->remove = optarg;
		else if (option == 'q')
			t->query = optarg;
		else if (option == 'N' || option == 'n')
			set_nul(t, option == 'N');
		else if (flag != NULL)
			*flag = true;
		one_only(t, option);
	}
	return config_dir;
}

static void
check_options(struct table_command *t, int n_tables)
{
	bool asks_stdin = t->query != NULL && strcmp(t->query, "-") == 0;

	if ((t->asks_body || t->asks_header || t->mime) && !asks_stdin)
		command_fatal(
		    &t->c, 1, "specify -b -h or -m only with \"-q -\""); /* compat */
	if (t->json && t->query == NULL && !t->sequence)
		command_fatal(&t->c, 1, "specify -j only with -q or -s");
	if (n_tables < 1)
		command_fatal(&t->c, 1, "%s", t->dialect->usage);
	if (t->mime && !t->asks_body && !t->asks_header)
		command_warn(&t->c, "ignoring -m option without -b or -h"); /* compat */
}

/* Tables write their warnings to a log; here that is standard error. */
static struct log *
stderr_log(const char *name)
{
	struct log *l = log_new(name, "localhost");

	log_to_fd(l, open("/dev/null", O_WRONLY | O_CLOEXEC));
	log_copy_to(l, STDERR_FILENO, LOG_LEVEL_INFO);
	return l;
}

static void
start(struct table_command *t, const char *config_dir)
{
	struct str utf8 = STR("no");
	struct err e = { 0 };

	command_init(&t->c, t->dialect->name, config_dir);
	t->words = stderr_log(t->dialect->name);
	if (conf_get(t->c.snapshot, NULL, STR("smtputf8_enable"), t->c.mem, &utf8, &e) !=
	    RC_OK)
		command_fatal(&t->c, 1, "%s", e.text);
	t->wants_utf8 = str_is(utf8, "yes") && !t->no_utf8;
	/* Content is looked up as it is, unless the caller says otherwise. Compat. */
	if (t->asks_body || t->asks_header)
		t->wants_utf8 = t->wants_utf8 && t->force_utf8;
}

int
table_command_main(
    struct table_command *t, const struct table_dialect *d, int argc, char **argv)
{
	const char *config_dir;
	size_t n;
	int status = 0;

	*t = (struct table_command){ .dialect = d, .c = { .name = d->name } };
	if (argc > 0)
		argv[0] = (char *)(uintptr_t)d->name; /* for getopt's words */
	config_dir = read_options(t, argc, argv);
	check_options(t, argc - optind);
	start(t, config_dir);
	argv += optind;
	n = (size_t)(argc - optind);
	if (t->query != NULL)
		status = table_query(t, argv, n);
	else if (t->remove != NULL)
		status = table_remove(t, argv, n);
	else if (t->sequence)
		status = table_sequence(t, argv[0]); /* compat: the others are not
							looked at */
	else
		for (size_t i = 0; i < n; i++)
			table_build(t, argv[i]);
	log_flush(t->words);
	if (fflush(stdout) != 0)
		command_fatal(&t->c, 1, "write error");
	return status;
}
