/* postsuper: the super-user's hand in the queue. Asks the queue process; when that does
 * not run, works on the spool itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/command.h"
#include "agent/queue_view.h"
#include "os/clock.h"

#define USAGE                                                                            \
	"usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id "          \
	"(expire)] "                                                                     \
	"[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id "       \
	"(un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s "           \
	"(structure "                                                                    \
	"fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"
#define WISHES_MAX 1000

struct wish {
	enum queue_verb verb;
	const char *target; /* a queue id, ALL, or - */
};

struct postsuper {
	struct command c;
	const char *config_dir;
	struct wish wishes[WISHES_MAX];
	size_t n_wishes;
	bool is_bad;
	struct str queues; /* as on the command line */
	unsigned queue_set;
	uint64_t counts[QUEUE_EXPIRE_RELEASE + 1];
	bool wanted[QUEUE_EXPIRE_RELEASE + 1];
	/* one of them is there */
	struct queue_client client;
	bool is_online;
	struct spool *sp;
};

static void
on_item(void *arg, struct str qid, struct str text)
{
	struct postsuper *p = arg;

	command_say(&p->c, "%.*s: %.*s", STR_ARG(qid), STR_ARG(text));
}

/* ---- the queue runs ---- */

static uint64_t
ask(struct postsuper *p, enum queue_verb verb, const char *target)
{
	struct wire_admin m = { .verb = str_c(queue_verb_text(verb)),
		.target = str_c(target),
		.queues = p->queues };
	struct err e = { 0 };

	if (queue_client_ask(&p->client, &m, &e) != RC_OK)
		command_fatal(&p->c, 1, "%s", e.text);
	if (p->client.rc != RC_OK && p->client.rc != RC_NONE)
		command_fatal(&p->c, 1, "%s", p->client.text);
	return p->client.count;
}

/* ---- it does not run ---- */

static void
sync_spool(struct postsuper *p)
{
	struct err e = { 0 };

	if (spool_sync(p->sp, &e) != RC_OK)
		command_fatal(&p->c, 1, "%s", e.text);
}

static bool
apply(struct postsuper *p, const struct spool_info *info, enum queue_verb verb)
{
	unsigned where = p->queue_set != 0 ? p->queue_set : queue_verb_queues(verb);
	struct err e = { 0 };
	enum rc rc;

	if ((queue_view_name(info) & where) == 0)
		return false;
	rc = queue_verb_apply(p->sp, info, verb, os_clock_wall_us(), &e);
	if (rc == RC_TEMP) {
		/* Too much waits for the disk. */
		sync_spool(p);
		rc = queue_verb_apply(p->sp, info, verb, os_clock_wall_us(), &e);
	}
	if (rc != RC_OK && rc != RC_NONE)
		command_fatal(&p->c, 1, "%s", e.text);
	return rc == RC_OK;
}

static uint64_t
apply_all(struct postsuper *p, enum queue_verb verb)
{
	struct spool_info info;
	uint64_t cursor = 0, n = 0;

	while (spool_list(p->sp, &cursor, &info) == RC_OK)
		n += apply(p, &info, verb);
	sync_spool(p);
	return n;
}

static uint64_t
apply_one(struct postsuper *p, enum queue_verb verb, const char *target)
{
	struct spool_info info;

	if (spool_find_id(p->sp, str_c(target), &info) != RC_OK || !apply(p, &info, verb))
		return 0;
	sync_spool(p);
	command_say(&p->c, "%s: %s", target, queue_verb_done(verb));
	return 1;
}

/* ---- wishes ---- */

static bool
is_queue_id(const char *id)
{
	size_t n =
	    strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_");

	return n > 0 && id[n] == '\0';
}

static void
fulfil(struct postsuper *p, enum queue_verb verb, const char *target)
{
	bool is_all = strcmp(target, "ALL") == 0;

	if (!is_queue_id(target)) {
		command_warn(&p->c, "invalid mail queue id: %s", target); /* compat */
		return;
	}
	if (strlen(target) >= QUEUE_ID_MAX)
		return;
	if (p->is_online)
		p->counts[verb] += ask(p, verb, target);
	else if (p->sp != NULL)
		p->counts[verb] +=
		    is_all ? apply_all(p, verb) : apply_one(p, verb, target);
}

static void
fulfil_lines(struct postsuper *p, enum queue_verb verb)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		struct str id = str_trim(str_n(line, (size_t)n));

		if (id.n == 0)
			continue;
		line[id.p - line + (ssize_t)id.n] = '\0';
		fulfil(p, verb, id.p);
	}
	free(line);
}

static void
sum_up(struct postsuper *p)
{
	for (size_t i = 0; i < sizeof(p->counts) / sizeof(p->counts[0]); i++)
		if (p->wanted[i])
			command_say(&p->c, "%s: %llu message%s",
			    queue_verb_sum((enum queue_verb)i),
			    (unsigned long long)p->counts[i],
			    p->counts[i] == 1 ? "" : "s");
}

static void
open_queue(struct postsuper *p)
{
	struct err e = { 0 };

	p->client = (struct queue_client){ .item = on_item, .arg = p };
	switch (queue_client_open(&p->client, &p->c, &e)) {
	case RC_OK:
		p->is_online = true;
		return;
	case RC_NONE:
		break;
	case RC_MORE:
	case RC_TEMP:
	case RC_PERM:
		command_fatal(&p->c, 1, "%s", e.text);
	}
	if (command_open_spool(&p->c, &p->sp, &e) == RC_TEMP)
		command_fatal(&p->c, 1, "%s", e.text);
}

/* ---- the command line ---- */

static void
wish(struct postsuper *p, enum queue_verb verb, const char *target)
{
	if (p->n_wishes == WISHES_MAX) {
		p->is_bad = true;
		return;
	}
	p->wanted[verb] = true;
	p->wishes[p->n_wishes++] = (struct wish){ verb, target };
}

static void
parse(struct postsuper *p, int argc, char **argv)
{
	int c;

	if (argc > 0)
		argv[0] = (char *)(uintptr_t) "postsuper"; /* for getopt's words */
	while ((c = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1) {
		switch (c) {
		case 'c':
			p->config_dir = optarg;
			break;
		case 'd':
			wish(p, QUEUE_DELETE, optarg);
			break;
		case 'e':
			wish(p, QUEUE_EXPIRE, optarg);
			break;
		case 'f':
			wish(p, QUEUE_EXPIRE_RELEASE, optarg);
			break;
		case 'h':
			wish(p, QUEUE_HOLD_IT, optarg);
			break;
		case 'H':
			wish(p, QUEUE_RELEASE, optarg);
			break;
		case 'r':
			wish(p, QUEUE_REQUEUE, optarg);
			break;
		case 'p': /* the spool has no temporary files and repairs itself */
		case 's':
		case 'S':
		case 'v':
			break;
		default:
			p->is_bad = true;
			return;
		}
	}
}

static void
parse_queues(struct postsuper *p, int argc, char **argv)
{
	struct err e = { 0 };

	p->queues = STR("");
	for (int i = optind; i < argc; i++)
		p->queues =
		    arena_printf(p->c.mem, "%.*s %s", STR_ARG(p->queues), argv[i]);
	p->queues = str_trim(p->queues);
	if (p->queues.n > 200 ||
	    queue_view_names_parse(p->queues, &p->queue_set, &e) != RC_OK)
		command_fatal(&p->c, 1, "%s", e.text);
}

static struct postsuper the_postsuper; /* in somebody's hands until the end */

int
main(int argc, char **argv)
{
	struct postsuper *p = &the_postsuper;

	(void)signal(SIGPIPE, SIG_IGN);
	parse(p, argc, argv);
	command_init(&p->c, "postsuper", p->config_dir);
	if (!command_may_administer(&p->c)) /* compat */
		command_fatal(
		    &p->c, 1, "use of this command is reserved for the superuser");
	if (p->is_bad)
		command_fatal(&p->c, 1, USAGE);
	parse_queues(p, argc, argv);
	if (p->n_wishes > 0)
		open_queue(p);
	for (size_t i = 0; i < p->n_wishes; i++) {
		if (strcmp(p->wishes[i].target, "-") == 0)
			fulfil_lines(p, p->wishes[i].verb);
		else
			fulfil(p, p->wishes[i].verb, p->wishes[i].target);
	}
	sum_up(p);
	if (p->is_online)
		queue_client_close(&p->client);
	if (p->sp != NULL)
		spool_close(&p->sp);
	return 0;
}
