/* Start-up, words and connections of the queue commands: see command.h. */
#include "agent/command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include "agent/queue_view.h"
#include "base/utf8.h"
#include "conf/list.h"
#include "log/log.h"
#include "map/map.h"
#include "os/file.h"
#include "os/random.h"
#include "os/sock.h"
#include "os/users.h"

#define MEM_MAX     ((size_t)64 << 20)
#define DEFAULT_DIR "/etc/postfix"
#define TEXT_MAX    4000

/* ---- words ---- */

enum say { SAY_INFO, SAY_WARN, SAY_ERROR, SAY_FATAL };

static void say(struct command *c, enum say how, const char *fmt, va_list ap)
    PRINTF(3, 0);

/* Control characters and bytes that are no UTF-8 become "?": what we repeat may come from
 * anybody, and goes to a terminal. */
static void
make_printable(char *text)
{
	struct str s = str_c(text);

	while (s.n > 0) {
		size_t n = utf8_char_size(s);
		char *p = text + (s.p - text);

		if (n == 0 || (unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
		s = str_from(s, n == 0 ? 1 : n);
	}
}

static void
say(struct command *c, enum say how, const char *fmt, va_list ap)
{
	static const char *const before[] = { "", "warning: ", "error: ", "fatal: " };
	char text[TEXT_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	make_printable(text);
	(void)fprintf(stderr, "%s: %s%s\n", c->name, before[how], text);
	if (c->log == NULL)
		return;
	switch (how) {
	case SAY_INFO:
		log_info(c->log, "%s", text);
		break;
	case SAY_WARN:
		log_warn(c->log, "%s", text);
		break;
	case SAY_ERROR:
		log_error(c->log, "%s", text);
		break;
	case SAY_FATAL:
		log_fatal(c->log, "%s", text);
		break;
	}
	log_flush(c->log);
}

void
command_say(struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, SAY_INFO, fmt, ap);
	va_end(ap);
}

void
command_warn(struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, SAY_WARN, fmt, ap);
	va_end(ap);
}

static void say_error(struct command *c, const char *fmt, ...) PRINTF(2, 3);

static void
say_error(struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, SAY_ERROR, fmt, ap);
	va_end(ap);
}

void
command_fatal(struct command *c, int status, const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	va_start(ap, fmt);
	say(c, SAY_FATAL, fmt, ap);
	va_end(ap);
	exit(status);
}

/* ---- start ---- */

static struct str
base_name(const struct command *c)
{
	struct str name = str_c(c->name);
	size_t slash = str_rfind(name, '/');

	return slash < name.n ? str_from(name, slash + 1) : name;
}

static const struct conf_snapshot *
load(struct command *c, const char *dir)
{
	struct conf_load what = { .config_directory = str_c(dir),
		.process_name = base_name(c),
		.without_master = true };
	const struct conf_snapshot *s = NULL;
	struct err e = { 0 };

	if (conf_load(&what, c->mem, &s, &e) != RC_OK)
		command_fatal(c, 1, "%s", e.text);
	return s;
}

static bool
is_set_id(void)
{
	return getuid() != geteuid() || getgid() != getegid();
}

static bool
names_folder(struct command *c, const struct conf_snapshot *s, const char *parameter,
    const char *dir)
{
	struct str list = STR_INIT(""), word;
	struct err e = { 0 };

	if (conf_get(s, NULL, str_c(parameter), c->mem, &list, &e) != RC_OK)
		command_fatal(c, 1, "%s", e.text);
	while (conf_list_next(&list, &word) == RC_OK)
		if (str_is(word, dir))
			return true;
	return false;
}

/* A set-gid command must not read its rules from wherever the caller likes: its tables
 * are opened with rights that he does not have. */
static void
check_alternate(struct command *c, const char *dir)
{
	const struct conf_snapshot *s = load(c, DEFAULT_DIR);

	if (names_folder(c, s, "alternate_config_directories", dir) ||
	    names_folder(c, s, "multi_instance_directories", dir))
		return;
	/* compat */
	say_error(c, "unauthorized configuration directory name: %s", dir);
	command_fatal(c, 1,
	    "specify \"alternate_config_directories = %s\" or "
	    "\"multi_instance_directories = %s\" in " DEFAULT_DIR "/main.cf",
	    dir, dir);
}

/* The log is a convenience here: who may not write it still gets an answer. */
static void
open_log(struct command *c)
{
	struct str tag = STR_INIT("postfix"), host = STR_INIT("localhost"), file;
	struct err e = { 0 };
	int fd;

	if (conf_get(c->snapshot, NULL, STR("syslog_name"), c->mem, &tag, &e) != RC_OK)
		tag = STR("postfix");
	if (conf_get(c->snapshot, NULL, STR("myhostname"), c->mem, &host, &e) != RC_OK)
		host = STR("localhost");
	host = str_head(host, str_find(host, '.'));
	tag = arena_printf(c->mem, "%.*s/%.*s", STR_ARG(tag), STR_ARG(base_name(c)));
	file = c->conf.maillog_file;
	if (file.n == 0) {
		c->log = log_new(tag.p, arena_cstr(c->mem, host));
		log_to_syslog(c->log, LOG_MAIL);
		return;
	}
	if (log_open_file(arena_cstr(c->mem, file), 0, 0, &fd, &e) != RC_OK)
		return;
	c->log = log_new(tag.p, arena_cstr(c->mem, host));
	log_to_fd(c->log, fd);
}

void
command_init(struct command *c, const char *name, const char *config_dir)
{
	const char *env = getenv("MAIL_CONFIG");
	const char *dir = config_dir != NULL ? config_dir : env;
	struct err e = { 0 };

	*c = (struct command){ .name = name, .mem = arena_new(MEM_MAX) };
	/* The caller's environment is not to be heard by tables and libraries. The
	 * strings themselves stay where they are. */
	if (is_set_id() && clearenv() != 0)
		command_fatal(c, 1, "cannot clear the environment");
	if (dir == NULL || dir[0] == '\0')
		dir = DEFAULT_DIR;
	if (is_set_id() && getuid() != 0 && strcmp(dir, DEFAULT_DIR) != 0)
		check_alternate(c, dir);
	c->snapshot = load(c, dir);
	if (conf_fill_cmd(c->snapshot, NULL, c->mem, &c->conf, &e) != RC_OK)
		command_fatal(c, 1, "%s", e.text);
	c->queue_dir = arena_cstr(c->mem, c->conf.queue_directory);
	open_log(c);
}

bool
command_may_administer(const struct command *c)
{
	struct stat st;

	if (geteuid() == 0)
		return getuid() == 0;
	return stat(c->queue_dir, &st) == 0 && st.st_uid == getuid() &&
	       getuid() == geteuid();
}

enum rc
command_connect(const struct command *c, const char *endpoint, int *out_fd, struct err *e)
{
	struct str path = arena_printf(c->mem, "%s/%s", c->queue_dir, endpoint);

	return os_sock_connect_unix(path.p, out_fd, e);
}

enum rc
command_open_spool(const struct command *c, struct spool **out, struct err *e)
{
	struct str path = arena_printf(c->mem, "%s/" QUEUE_SPOOL_DIR, c->queue_dir);
	struct spool_conf conf = { .is_command = true };
	struct os_users_drop drop = { .extra_gid = (gid_t)-1 };
	struct spool_report report = { 0 };
	struct stat st;

	if (lstat(path.p, &st) != 0)
		return errno == ENOENT ? RC_NONE : err_sys(e, RC_TEMP, "stat %s", path.p);
	/* Root reads what mail_owner wrote with his rights, for ever: his files are not
	 * to be believed, and what is made here must be his. Not root: nothing changes.
	 */
	drop.user = (struct os_user){ st.st_uid, st.st_gid };
	if (st.st_uid != 0 && os_users_drop(&drop, e) != RC_OK)
		return RC_TEMP;
	os_random(conf.seed, sizeof(conf.seed));
	return spool_open(os_files_real(), path.p, &conf, &report, out, e);
}

/* Whether the table has the login. */
static bool
table_has(struct command *c, struct map_set *maps, struct str spec, struct str login,
    struct err *e)
{
	struct str value;
	struct map *m;
	enum rc rc = map_set_open(maps, spec, 0, &m, e);

	if (rc == RC_OK)
		rc = map_find(m, login, MAP_EMPTY_OK, c->mem, &value, e);
	if (rc != RC_OK && rc != RC_NONE)
		(void)err_set(e, RC_TEMP, "%.*s: table lookup problem", /* compat */
		    STR_ARG(spec));
	else
		*e = (struct err){ 0 };
	return rc == RC_OK;
}

/* RC_OK, RC_NONE: the list says yes or no. RC_TEMP: a table does not answer. */
static enum rc
list_has_user(
    struct command *c, const struct match_list *l, struct str login, struct err *e)
{
	/* What a set-gid command opens here the administrator named: command_init(). */
	const struct map_env env = { .log = c->log,
		.snapshot = c->snapshot,
		.asks_remote = true,
		.asks_service = true };
	struct map_set *maps = map_set_new(&env);
	enum rc rc = RC_NONE;

	for (size_t i = 0; i < l->n && rc == RC_NONE; i++) {
		const struct match_item *item = &l->v[i];
		bool fits = item->kind == MATCH_TABLE
				? table_has(c, maps, item->text, login, e)
				: str_ieq(item->text, login);

		if (e->text[0] != '\0')
			rc = RC_TEMP;
		else if (fits)
			rc = item->is_negated ? RC_PERM : RC_OK;
	}
	map_set_free(&maps);
	return rc == RC_PERM ? RC_NONE : rc;
}

bool
command_user_is_listed(struct command *c, int status, const char *parameter,
    struct str list, struct str login)
{
	struct match_list l;
	struct err e = { 0 };
	enum rc rc;

	/* The usual case opens nothing. */
	if (str_is(list, "static:anyone"))
		return true;
	if (match_list_parse(list, &match_files_os, c->mem, &l, &e) != RC_OK)
		command_fatal(c, status, "%s: %s", parameter, e.text);
	rc = list_has_user(c, &l, login, &e);
	if (rc == RC_TEMP)
		command_fatal(c, status, "%s: %s", parameter, e.text);
	return rc == RC_OK;
}
