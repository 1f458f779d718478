/* sendmail: the command that everything else on the system calls to send mail. It reads
 * the message, makes records of it (agent/maildrop.h) and pipes them to postdrop; it
 * needs no privileges and no running server. Called as mailq or newaliases, or with the
 * options of those, it runs the command that does that. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "agent/beside.h"
#include "prog/admin/sendmail/sendmail.h"

enum mode {
	MODE_MAIL,
	MODE_SMTP,
	MODE_QUEUE_LIST,
	MODE_FLUSH,
	MODE_FLUSH_ID,
	MODE_FLUSH_SITE,
	MODE_START,
	MODE_ALIASES,
	MODE_NOTHING
};

struct request {
	enum mode mode;
	const char *target;
	const char *alias_file; /* -oA: instead of alias_database */
	struct options o;
};

static struct command command;
static struct request request;

const char *
mail_sender(const struct mail *m)
{
	const struct passwd *pw = getpwuid(getuid());

	if (m->o->sender != NULL)
		return m->o->sender;
	return pw != NULL ? pw->pw_name : "unknown";
}

void
mail_fatal(const struct mail *m, const char *text)
{
	command_fatal(m->c, EX_TEMPFAIL, "%s(%ld): %s", mail_sender(m), (long)getuid(),
	    text); /* compat */
}

/* ---- other commands ---- */

/* -C may name main.cf itself. Compat. */
static const char *
config_dir(const char *arg)
{
	struct str s = str_c(arg);
	char *dir;

	if (arg == NULL || !str_ends(s, STR("/main.cf")))
		return arg;
	dir = mem_strdup(arg);
	dir[s.n - 8] = '\0';
	return dir;
}

/* compat: whatever is wrong, the caller may try again. */
static _Noreturn void
usage(const char *what)
{
	if (command.mem == NULL)
		command_init(&command, command.name, config_dir(request.o.config_dir));
	command_fatal(&command, EX_TEMPFAIL, "%s", what);
}

static _Noreturn void
run_instead(const char *name, const char *option, const char *value, const char *dir)
{
	char path[BESIDE_PATH_MAX];
	const char *argv[8];
	size_t n = 0;

	beside_path(name, path);
	argv[n++] = name;
	if (dir != NULL) {
		argv[n++] = "-c";
		argv[n++] = dir;
	}
	if (option != NULL)
		argv[n++] = option;
	if (value != NULL)
		argv[n++] = value;
	argv[n] = NULL;
	(void)execv(path, (char *const *)(uintptr_t)argv);
	(void)fprintf(stderr, "sendmail: fatal: execute %s: %s\n", path, strerror(errno));
	exit(EX_TEMPFAIL);
}

static void
without_recipients(const struct request *r, const char *what)
{
	char text[80];

	if (r->o.n_rcpts == 0)
		return;
	(void)snprintf(text, sizeof(text), "%s requires no recipient", what); /* compat */
	usage(text);
}

enum { ALIAS_TABLES_MAX = 1000 };

/* postalias of all alias_database, or of the one that -oA names. */
static _Noreturn void
make_aliases(const struct request *r)
{
	static const char *argv[ALIAS_TABLES_MAX + 8];
	char path[BESIDE_PATH_MAX];
	struct str list, table;
	struct err e = { 0 };
	size_t n = 0, first;

	without_recipients(r, "alias initialization mode");
	command_init(&command, "sendmail", r->o.config_dir);
	argv[n++] = "postalias";
	if (r->o.config_dir != NULL) {
		argv[n++] = "-c";
		argv[n++] = r->o.config_dir;
	}
	argv[n++] = "--";
	first = n;
	if (r->alias_file != NULL)
		argv[n++] = r->alias_file;
	else if (conf_get(command.snapshot, NULL, STR("alias_database"), command.mem,
		     &list, &e) != RC_OK)
		command_fatal(&command, EX_TEMPFAIL, "%s", e.text);
	while (r->alias_file == NULL && n < ALIAS_TABLES_MAX + first &&
	       str_token(&list, " ,\t\r\n", &table))
		argv[n++] = arena_cstr(command.mem, table);
	if (n == first)
		exit(EX_OK);
	beside_path("postalias", path);
	(void)execv(path, (char *const *)(uintptr_t)argv);
	command_fatal(&command, EX_TEMPFAIL, "execute %s: %s", path, strerror(errno));
}

/* compat: -V was what -XV is, and two delimiters still mean that. */
static void
check_envid(struct request *r)
{
	struct str value = str_c(r->o.envid != NULL ? r->o.envid : "");
	struct str allowed = command.conf.verp_delimiter_filter;

	if (value.n != 2 || str_find(allowed, value.p[0]) == allowed.n ||
	    str_find(allowed, value.p[1]) == allowed.n)
		return;
	command_warn(&command,
	    "option -V%s is deprecated with Postfix 2.3; specify -XV%s instead",
	    r->o.envid, r->o.envid);
	r->o.verp = r->o.envid;
	r->o.envid = NULL;
}

/* -XV names characters that cannot be mistaken for parts of an address. */
static void
check_verp(struct request *r)
{
	struct str delimiters = str_c(r->o.verp != NULL ? r->o.verp : "");
	struct str allowed = command.conf.verp_delimiter_filter;
	bool ok = delimiters.n == 0 || delimiters.n == 2;
	char text[200];

	if (r->o.verp != NULL && delimiters.n == 0)
		r->o.verp = arena_cstr(command.mem, command.conf.default_verp_delimiters);
	for (size_t i = 0; i < delimiters.n; i++)
		ok = ok && str_find(allowed, delimiters.p[i]) < allowed.n;
	if (ok)
		return;
	(void)snprintf(text, sizeof(text), "-V requires two characters from %.*s",
	    STR_ARG(str_head(allowed, 100))); /* compat */
	usage(text);
}

/* What postdrop said goes on to the user. */
static int
refused(const struct mail *m, const struct err *e)
{
	if (e->sys == EX_NOPERM) /* it said so itself */
		return EX_NOPERM;
	if (e->sys == EX_UNAVAILABLE)
		mail_fatal(m, "message file too big"); /* compat */
	mail_fatal(m, e->text[0] != '\0' && e->sys == EX_TEMPFAIL
			  ? e->text
			  : "Queue file write error");
}

static int
send_mail(struct request *r)
{
	struct mail m = { .c = &command, .o = &r->o, .fd = -1, .report = -1 };
	struct err e = { 0 };

	command_init(&command, "sendmail", r->o.config_dir);
	check_envid(r);
	check_verp(r);
	if (mail_open(&m, &e) != RC_OK)
		return refused(&m, &e);
	content_copy(&m);
	if (mail_close(&m, &e) != RC_OK)
		return refused(&m, &e);
	if (r->o.only_verifies || r->o.verbose == 1) /* compat */
		(void)printf("Mail Delivery Status Report will be mailed to <%s>.\n",
		    strcmp(mail_sender(&m), "<>") == 0 ? "" : mail_sender(&m));
	return EX_OK;
}

static int
serve_smtp(const struct request *r)
{
	if (r->o.wants_extraction)
		usage("-t can be used only in delivery mode"); /* compat */
	without_recipients(r, "stand-alone mode");
	command_init(&command, "sendmail", r->o.config_dir);
	return smtp_serve(&command, &r->o);
}

/* ---- options ---- */

static _Noreturn void
unsupported(char letter, char mode)
{
	char text[] = "unsupported: -??"; /* compat */

	text[14] = letter;
	text[15] = mode;
	usage(text);
}

static void
option_b(struct request *r, const char *arg)
{
	switch (*arg) {
	case 'm':
		r->mode = MODE_MAIL;
		r->o.only_verifies = false;
		break;
	case 'p':
		r->mode = MODE_QUEUE_LIST;
		break;
	case 'd':
	case 'l':
		r->mode = MODE_START;
		break;
	case 'i':
		r->mode = MODE_ALIASES;
		break;
	case 'h': /* host status: nothing to show */
	case 'H':
		r->mode = MODE_NOTHING;
		break;
	case 's':
		r->mode = MODE_SMTP;
		break;
	case 'v':
		r->mode = MODE_MAIL;
		r->o.only_verifies = true;
		break;
	default:
		unsupported('b', *arg);
	}
}

static void
option_o(struct request *r, const char *arg)
{
	if (*arg == 'i')
		r->o.dot_is_data = true;
	if (*arg == 'A' && arg[1] == '\0')
		usage("-oA requires pathname"); /* compat */
	if (*arg == 'A')
		r->alias_file = arg + 1;
	/* -om, -o7, -o8, -oe…: nothing depends on them. */
}

static void
option_q(struct request *r, const char *arg)
{
	if (arg == NULL) {
		r->mode = MODE_FLUSH;
	} else if (*arg == 'I' && arg[1] != '\0') {
		r->mode = MODE_FLUSH_ID;
		r->target = arg + 1;
	} else if (*arg == 'R' && arg[1] != '\0') {
		r->mode = MODE_FLUSH_SITE;
		r->target = arg + 1;
	} else if (!ascii_isdigit(*arg)) {
		char text[] = "-q? is not implemented"; /* compat */

		text[2] = *arg;
		usage(text);
	} else if (r->mode == MODE_MAIL) {
		r->mode = MODE_NOTHING; /* -q5m: the queue runs by itself */
	}
}

/* -O name=value: only the need for SMTPUTF8 means something. */
static void
option_O(struct request *r, const char *arg)
{
	struct str name, value;

	if (str_cut(str_c(arg), '=', &name, &value) && str_iis(name, "smtputf8"))
		r->o.smtputf8 = str_iis(value, "yes");
}

/* -XV, -XV+=: one sender address for each recipient. */
static void
option_X(struct request *r, const char *arg)
{
	if (*arg != 'V')
		unsupported('X', *arg);
	r->o.verp = arg + 1;
}

static void
option_B(struct request *r, const char *arg)
{
	if (!str_iis(str_c(arg), "8BITMIME") && !str_iis(str_c(arg), "7BIT"))
		usage("-B option needs 8BITMIME or 7BIT"); /* compat */
	r->o.body_type = arg;
}

/* Where the argument of an option goes that is kept as it is; NULL: another option. */
static const char **
text_option(struct request *r, int letter)
{
	switch (letter) {
	case 'C':
		return &r->o.config_dir;
	case 'f':
	case 'r':
		return &r->o.sender;
	case 'F':
		return &r->o.full_name;
	case 'N':
		return &r->o.notify;
	case 'R':
		return &r->o.ret;
	case 'V':
		return &r->o.envid;
	default:
		return NULL;
	}
}

static void
take_option(struct request *r, int letter, const char *arg)
{
	switch (letter) {
	case 'b':
		option_b(r, arg);
		break;
	case 'B':
		option_B(r, arg);
		break;
	case 'G':
		r->o.is_gateway = true;
		break;
	case 'i':
		r->o.dot_is_data = true;
		break;
	case 'I':
		r->mode = MODE_ALIASES;
		break;
	case 'n':
		usage("-n option not supported"); /* compat */
	case 'o':
		option_o(r, arg);
		break;
	case 'O':
		option_O(r, arg);
		break;
	case 'q':
		option_q(r, arg);
		break;
	case 't':
		r->o.wants_extraction = true;
		break;
	case 'v':
		r->o.verbose++;
		break;
	case 'X':
		option_X(r, arg);
		break;
	default: /* A e h L m p U x do nothing */
		break;
	}
}

/* compat: Postfix looks at the options twice. */
static _Noreturn void
refuse_option(int c)
{
	char text[64];

	for (int i = 0; i < 2; i++)
		(void)fprintf(stderr, "%s: %s -- '%c'\n", command.name,
		    c == ':' ? "option requires an argument" : "invalid option", optopt);
	(void)snprintf(text, sizeof(text), "usage: %s [options]", command.name);
	usage(text);
}

static void
parse(int argc, char **argv, struct request *r)
{
	int c;

	while ((c = getopt(argc, argv,
		    "+:A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q::tvx")) != -1) {
		const char **text = text_option(r, c);

		if (c == '?' || c == ':')
			refuse_option(c);
		else if (text != NULL)
			*text = optarg;
		else
			take_option(r, c, optarg);
	}
	r->o.rcpts = argv + optind;
	r->o.n_rcpts = (size_t)(argc - optind);
}

/* All three must be open, or a file of ours would get one of their numbers. */
static void
open_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(EX_OSERR);
}

int
main(int argc, char **argv)
{
	struct request *r = &request;
	struct str name = str_c(argc > 0 ? argv[0] : "sendmail");

	open_standard();
	name =
	    str_from(name, str_rfind(name, '/') < name.n ? str_rfind(name, '/') + 1 : 0);
	command.name = "sendmail";
	if (str_is(name, "mailq")) {
		r->mode = MODE_QUEUE_LIST;
		command.name = "mailq";
	} else if (str_is(name, "newaliases")) {
		r->mode = MODE_ALIASES;
		command.name = "newaliases";
	}
	parse(argc, argv, r);
	r->o.config_dir = config_dir(r->o.config_dir);
	switch (r->mode) {
	case MODE_MAIL:
		if (r->o.wants_extraction && r->o.only_verifies) /* compat */
			usage("-t option cannot be used with -bv");
		if (r->o.verbose > 0 && r->o.only_verifies) /* compat */
			usage("-v option cannot be used with -bv");
		return send_mail(r);
	case MODE_SMTP:
		return serve_smtp(r);
	case MODE_QUEUE_LIST:
		without_recipients(r, "display queue mode");
		run_instead("postqueue", "-p", NULL, r->o.config_dir);
	case MODE_FLUSH:
		without_recipients(r, "flush queue mode");
		run_instead("postqueue", "-f", NULL, r->o.config_dir);
	case MODE_FLUSH_ID:
		without_recipients(r, "flush queue_id");
		run_instead("postqueue", "-i", r->target, r->o.config_dir);
	case MODE_FLUSH_SITE:
		without_recipients(r, "flush site");
		run_instead("postqueue", "-s", r->target, r->o.config_dir);
	case MODE_START:
		run_instead("postfix", "start", NULL, r->o.config_dir);
	case MODE_ALIASES:
		make_aliases(r);
	case MODE_NOTHING:
		return EX_OK;
	}
	return EX_SOFTWARE;
}
