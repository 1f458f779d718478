#include "log/log.h"
#include "prog/admin/postmap/postmap.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define USAGE                                                                            \
	"usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] "          \
	"[map_type:]file..."

struct str
postmap_spec(struct postmap *m, const char *table)
{
	if (strchr(table, ':') != NULL)
		return str_c(table);
	return arena_printf(
	    m->c.mem, "%.*s:%s", STR_ARG(m->c.conf.default_database_type), table);
}

static void
read_option(struct postmap *m, int option, const char **config_dir)
{
	switch (option) {
	case 'c':
		*config_dir = optarg;
		break;
	case 'd':
		m->remove = optarg;
		break;
	case 'q':
		m->query = optarg;
		break;
	case 'f':
		m->keep_case = true;
		break;
	case 'i':
		m->incremental = true;
		break;
	case 'n':
		m->without_nul = true;
		break;
	case 'N':
		m->without_nul = false;
		break;
	case 'o':
		m->keep_root = true;
		break;
	case 'p':
		m->own_mode = true;
		break;
	case 'r':
		m->replace = true;
		break;
	case 's':
		m->sequence = true;
		break;
	case 'w':
		m->ignore_duplicates = true;
		break;
	default: /* -u, -U, -v change nothing here */
		break;
	}
}

static void
check_options(struct postmap *m, const char *unavailable, int n_tables)
{
	const char *trouble = NULL;

	if ((m->query != NULL) + (m->remove != NULL) > 1)
		trouble = "specify only one of -s -q or -d"; /* compat */
	else if (m->sequence && (m->query != NULL || m->remove != NULL))
		trouble = "specify only one of -s or -q or -d"; /* compat */
	else if (n_tables < 1)
		trouble = USAGE;
	if (trouble != NULL)
		command_fatal(&m->c, 1, "%s", trouble);
	if (unavailable[0] != '\0')
		command_fatal(
		    &m->c, 1, "-%s is not available in this version", unavailable);
}

/* Tables write their warnings to a log; here that is standard error. */
static struct log *
stderr_log(void)
{
	struct log *l = log_new("postmap", "localhost");

	log_to_fd(l, open("/dev/null", O_WRONLY | O_CLOEXEC));
	log_copy_to(l, STDERR_FILENO, LOG_LEVEL_INFO);
	return l;
}

static struct postmap p; /* reachable to the end */

int
main(int argc, char **argv)
{
	const char *config_dir = NULL;
	char unavailable[2] = "";
	bool is_bad = false;
	size_t n;
	int option, status = 0;

	p.c.name = "postmap";
	while ((option = getopt(argc, argv, "bc:d:fFhijmnNopq:rsuUvw")) > 0) {
		if (option == '?')
			is_bad = true;
		else if (strchr("bFhjm", option) != NULL)
			unavailable[0] = (char)option;
		else
			read_option(&p, option, &config_dir);
	}
	if (is_bad)
		command_fatal(&p.c, 1, "%s", USAGE);
	check_options(&p, unavailable, argc - optind);
	command_init(&p.c, "postmap", config_dir);
	p.words = stderr_log();
	argv += optind;
	n = (size_t)(argc - optind);
	if (p.query != NULL)
		status = postmap_query(&p, argv, n);
	else if (p.remove != NULL)
		status = postmap_remove(&p, argv, n);
	else if (p.sequence)
		status = postmap_sequence(&p, argv, n);
	for (size_t i = 0; i < n && p.query == NULL && p.remove == NULL && !p.sequence;
	     i++)
		postmap_build(&p, argv[i]);
	log_flush(p.words);
	if (fflush(stdout) != 0)
		command_fatal(&p.c, 1, "write error");
	return status;
}
