/* hikyaku: what Postfix has no command for. */
#include "prog/admin/hikyaku/explain.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static struct command command;
static struct explain_case question;

static const char usage_text[] =
    "usage: hikyaku explain [-c config_dir] [-s service] --client ADDRESS [--name NAME]\n"
    "           [--helo NAME] [--login USER] --from SENDER --to RECIPIENT ...\n"
    "       hikyaku explain [-c config_dir] [-s service] --from-log QUEUE_ID [--log "
    "FILE]\n"
    "\n"
    "Why a client gets its answer: every restriction, table and key, the route, and "
    "what\n"
    "would change the verdict. Nothing is sent; policy services and address "
    "verification\n"
    "are not asked. Exit status: 0 accepted, 1 refused.\n";

enum option_code {
	O_CLIENT = 256,
	O_NAME,
	O_HELO,
	O_FROM,
	O_TO,
	O_LOGIN,
	O_FROM_LOG,
	O_LOG,
	O_HELP
};

static const struct option options[] = {
	{ "client", required_argument, NULL, O_CLIENT },
	{ "name", required_argument, NULL, O_NAME },
	{ "helo", required_argument, NULL, O_HELO },
	{ "from", required_argument, NULL, O_FROM },
	{ "to", required_argument, NULL, O_TO },
	{ "login", required_argument, NULL, O_LOGIN },
	{ "from-log", required_argument, NULL, O_FROM_LOG },
	{ "log", required_argument, NULL, O_LOG },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	const char *config_dir, *qid, *log;
};

static _Noreturn void
usage(FILE *to, int status)
{
	(void)fputs(usage_text, to);
	exit(status);
}

static const char **
text_option(struct arguments *a, struct explain_case *q, int c)
{
	switch (c) {
	case 'c':
		return &a->config_dir;
	case 's':
		return &q->service;
	case O_CLIENT:
		return &q->client;
	case O_NAME:
		return &q->name;
	case O_HELO:
		return &q->helo;
	case O_FROM:
		return &q->sender;
	case O_LOGIN:
		return &q->login;
	case O_FROM_LOG:
		return &a->qid;
	case O_LOG:
		return &a->log;
	default:
		return NULL;
	}
}

static void
parse(int argc, char **argv, struct arguments *a, struct explain_case *q)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:s:", options, NULL)) != -1) {
		const char **text = text_option(a, q, c);

		if (c == O_HELP)
			usage(stdout, EX_OK);
		else if (text != NULL)
			*text = optarg;
		else if (c == O_TO && q->n_rcpts < CASE_RCPTS_MAX)
			q->rcpts[q->n_rcpts++] = optarg;
		else
			usage(stderr, EX_USAGE);
	}
	if (optind < argc)
		usage(stderr, EX_USAGE);
}

/* "<a@b>" is how people copy addresses. */
static const char *
without_brackets(const char *address)
{
	struct str s = str_c(address != NULL ? address : "");

	if (s.n < 2 || s.p[0] != '<' || s.p[s.n - 1] != '>')
		return address;
	return arena_cstr(command.mem, str_head(str_from(s, 1), s.n - 2));
}

static void
read_log(struct arguments *a, struct explain_case *q)
{
	const char *path = a->log;
	struct err e = { 0 };
	enum rc rc;

	if (path == NULL && command.conf.maillog_file.n > 0)
		path = arena_cstr(command.mem, command.conf.maillog_file);
	if (path == NULL)
		path = "/var/log/mail.log";
	rc = case_from_log(q, path, str_c(a->qid), command.mem, &e);
	if (rc == RC_TEMP)
		command_fatal(&command, EX_NOINPUT, "%s", e.text);
	if (rc == RC_NONE)
		command_fatal(&command, EX_DATAERR,
		    "%s: no line about %s; name another file with --log", path, a->qid);
	if (q->client == NULL || q->n_rcpts == 0)
		command_fatal(&command, EX_DATAERR,
		    "%s: the lines about %s name no client or no recipient: give "
		    "--client "
		    "and --to",
		    path, a->qid);
	if (q->sender == NULL)
		q->sender = "";
}

int
main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct explain_case *q = &question;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
		usage(stdout, EX_OK);
	if (argc > 3 && strcmp(argv[1], "-c") == 0) { /* before the verb, too */
		a.config_dir = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || strcmp(argv[1], "explain") != 0)
		usage(stderr, EX_USAGE);
	parse(argc - 1, argv + 1, &a, q);
	command_init(&command, "hikyaku", a.config_dir);
	if (a.qid != NULL)
		read_log(&a, q);
	if (q->client == NULL || q->sender == NULL || q->n_rcpts == 0)
		usage(stderr, EX_USAGE);
	q->sender = without_brackets(q->sender);
	for (size_t i = 0; i < q->n_rcpts; i++)
		q->rcpts[i] = without_brackets(q->rcpts[i]);
	return explain_all(&command, q);
}
