/* postfix: starts, stops and checks the mail system.
 *
 *     postfix [-c DIR] [-D] [-v] VERB
 *
 * The texts are those of Postfix's postfix(1) and postfix-script (compat). */
#include "prog/admin/postfix/postfix.h"
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "log/facility.h"
#include "log/log.h"

enum { ARENA_MAX = 64 << 20 };

static const struct {
	const char *name;
	int (*run)(struct postfix *p);
} verbs[] = {
	{ "start", verb_start },
	{ "start-fg", verb_start_fg },
	{ "stop", verb_stop },
	{ "abort", verb_abort },
	{ "reload", verb_reload },
	{ "status", verb_status },
	{ "check", verb_check },
	{ "flush", verb_flush },
	{ "logrotate", verb_logrotate },
};

static void
usage(void)
{
	(void)fputs(
	    "postfix: fatal: usage: postfix [-c config_dir] [-Dv] command\n", stderr);
	exit(1);
}

/* The daemons stand beside the commands: bin/postfix, libexec/master. */
static void
find_paths(struct postfix *p)
{
	static char config[4096]; /* PATH_MAX: what realpath(3) may write */
	char self[sizeof(p->libexec) - 20];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		(void)snprintf(
		    p->libexec, sizeof(p->libexec), "%s/libexec", dirname(dirname(self)));
	}
	if (realpath(p->config_dir, config) != NULL)
		p->config_dir = config;
}

static enum rc
load(struct postfix *p, struct err *e)
{
	const struct conf_load what = { .config_directory = str_c(p->config_dir),
		.process_name = STR("postfix") };
	enum rc rc;

	p->mem = arena_new(ARENA_MAX);
	rc = conf_load(&what, p->mem, &p->snapshot, e);
	if (rc == RC_OK)
		rc = conf_fill_master(p->snapshot, NULL, p->mem, &p->master, e);
	if (rc == RC_OK)
		rc = conf_fill_cmd(p->snapshot, NULL, p->mem, &p->cmd, e);
	if (rc == RC_OK)
		rc = conf_fill_common(p->snapshot, NULL, p->mem, &p->common, e);
	return rc;
}

/* The mail log gets what the terminal sees. Who may not write to the file talks to
 * syslog, as everybody may. */
static struct log *
open_log(struct postfix *p, const char *suffix)
{
	struct str host = p->common.myhostname, file = p->master.maillog_file;
	const char *tag =
	    arena_printf(p->mem, "%.*s%s", STR_ARG(p->common.syslog_name), suffix).p;
	struct log *log;
	int fd = -1;

	log = log_new(tag, arena_cstr(p->mem, str_head(host, str_find(host, '.'))));
	log_copy_to(log, STDERR_FILENO, LOG_LEVEL_INFO);
	if (file.n > 0 && !str_is(file, "/dev/stdout") &&
	    log_open_file(arena_cstr(p->mem, file), 0, 0, &fd, NULL) == RC_OK)
		log_to_fd(log, fd);
	else if (file.n == 0)
		log_to_syslog(log, log_facility(p->common.syslog_facility));
	return log;
}

/* compat: said by every command, below the last level at which a default changed. */
static void
note_level(struct postfix *p)
{
	static const char last[] = "3.11";
	struct str answer = STR("");
	struct log *log;
	char test[80];

	(void)snprintf(
	    test, sizeof(test), "${{$compatibility_level} <level {%s} ? {y} : {}}", last);
	if (conf_expand(p->snapshot, NULL, str_c(test), p->mem, &answer, NULL) != RC_OK ||
	    answer.n == 0)
		return;
	log = open_log(p, ""); /* compat: not the script speaks */
	log_info(log, "Postfix is using backwards-compatible default settings");
	log_info(log, "See http://www.postfix.org/COMPATIBILITY_README.html for details");
	log_info(log,
	    "To disable backwards compatibility use \"postconf "
	    "compatibility_level=%s\" and \"postfix reload\"",
	    last);
	log_free(&log);
}

static int
run_verb(struct postfix *p, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run(p);
	log_fatal(p->log,
	    "unknown command: '%s'. Usage: postfix start (or stop, reload, abort, flush,"
	    " check, status, logrotate)",
	    name);
	return 1;
}

int
main(int argc, char **argv)
{
	static struct postfix p;
	const char *env = getenv("MAIL_CONFIG");
	struct err e = { 0 };
	int c, status;

	p.config_dir = env != NULL && env[0] != '\0' ? env : "/etc/postfix";
	while ((c = getopt(argc, argv, "c:Dv")) != -1) {
		if (c == 'c')
			p.config_dir = optarg;
		else if (c == 'D')
			p.has_debug = true;
		else if (c == 'v')
			p.verbose++;
		else
			usage();
	}
	if (optind != argc - 1)
		usage();
	find_paths(&p);
	if (load(&p, &e) != RC_OK) {
		(void)fprintf(stderr, "postfix: fatal: %s\n", e.text);
		return 1;
	}
	note_level(&p);
	p.log = open_log(&p, "/postfix-script");
	status = run_verb(&p, argv[optind]);
	log_free(&p.log);
	arena_free(&p.mem);
	return status;
}
