/* postqueue: what any user may do with the queue: list it, flush it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/command.h"
#include "agent/queue_view.h"
#include "conf/list.h"
#include "log/log.h"
#include "os/fd.h"
#include "agent/queue_listing.h"

#define USAGE                                                                            \
	"usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | "    \
	"postqueue -s site"
#define UNAVAILABLE  69 /* EX_UNAVAILABLE of sysexits.h, also for usage (compat) */
#define USAGE_STATUS 64 /* EX_USAGE */
#define CHUNK_MAX    ((size_t)64 << 20)

static void
authorize(struct command *c, const char *parameter, struct str list, const char *what)
{
	const struct passwd *pw = getpwuid(getuid());

	if (getuid() == 0 || command_user_is_listed(c, UNAVAILABLE, parameter, list,
				 str_c(pw != NULL ? pw->pw_name : "unknown")))
		return;
	command_fatal(c, UNAVAILABLE, "User %s(%ld) is not allowed to %s",
	    pw != NULL ? pw->pw_name : "unknown", (long)getuid(), what); /* compat */
}

/* ---- listing ---- */

static void
list_stream(struct command *c, struct queue_listing *l, int fd)
{
	char piece[65536];
	ssize_t n;

	if (os_fd_nonblock(fd, false, NULL) != RC_OK)
		command_fatal(c, UNAVAILABLE, "%s", strerror(errno));
	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || queue_listing_feed(l, str_n(piece, (size_t)n)) != RC_OK)
			break;
	}
}

static void
feed(struct command *c, struct queue_listing *l, struct buf *out)
{
	if (queue_listing_feed(l, buf_view(out)) != RC_OK)
		command_fatal(c, UNAVAILABLE, "malformed queue listing");
	buf_reset(out);
}

/* What was posted and not picked up yet. Who may not look into the maildrop sees none. */
static void
list_maildrop(struct command *c, struct queue_listing *l)
{
	struct str path = arena_printf(c->mem, "%s/maildrop", c->queue_dir);
	DIR *dir = opendir(path.p);
	struct dirent *d;
	struct buf out;

	if (dir == NULL)
		return;
	buf_init(&out, CHUNK_MAX);
	while ((d = readdir(dir)) != NULL) {
		struct arena *mem = arena_new(CHUNK_MAX);
		struct queue_view_drop drop = { .name = str_c(d->d_name) };
		struct stat st;
		int fd =
		    openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (st.st_mode & S_IXUSR) != 0 &&
		    os_fd_read_all(fd, CHUNK_MAX / 2, mem, &drop.content, NULL) ==
			RC_OK) {
			drop.time_s = (uint64_t)st.st_mtime;
			if (queue_view_list_drop(&drop, &out) == RC_OK)
				feed(c, l, &out);
		}
		os_fd_close(&fd);
		arena_free(&mem);
	}
	buf_fini(&out);
	(void)closedir(dir);
}

static void
list_spool(struct command *c, struct queue_listing *l, struct spool *sp)
{
	struct arena *scratch = arena_new(CHUNK_MAX * 4);
	struct spool_info info;
	uint64_t cursor = 0;
	struct buf out;

	buf_init(&out, CHUNK_MAX);
	if (queue_view_list_head(&out) != RC_OK)
		command_fatal(c, UNAVAILABLE, "no memory");
	feed(c, l, &out);
	list_maildrop(c, l);
	while (sp != NULL && spool_list(sp, &cursor, &info) == RC_OK) {
		feed(c, l, &out);
		if (queue_view_list_item(sp, &info, scratch, &out) == RC_TEMP)
			command_warn(
			    c, "%s: too large to be listed", spool_info_id(&info).text);
	}
	if (queue_view_list_end(&out) != RC_OK)
		command_fatal(c, UNAVAILABLE, "no memory");
	feed(c, l, &out);
	buf_fini(&out);
	arena_free(&scratch);
}

static int
list_queue(struct command *c, bool is_json)
{
	struct str is_long = STR_INIT("no");
	struct spool *sp = NULL;
	struct queue_listing l;
	struct err e = { 0 };
	int fd;

	authorize(c, "authorized_mailq_users", c->conf.authorized_mailq_users,
	    "view the mail queue");
	if (conf_get(c->snapshot, NULL, STR("enable_long_queue_ids"), c->mem, &is_long,
		&e) != RC_OK)
		is_long = STR("no");
	queue_listing_init(&l, stdout, is_json, str_iis(is_long, "yes"));
	if (command_connect(c, "public/showq", &fd, &e) == RC_OK) {
		list_stream(c, &l, fd);
	} else {
		/* compat */
		command_warn(c,
		    "Mail system is down -- accessing queue directly (Connect to the "
		    "Postfix "
		    "showq service: %s)",
		    e.sys != 0 ? strerror(e.sys) : "Connection refused");
		if (command_open_spool(c, &sp, &e) == RC_TEMP)
			command_fatal(c, UNAVAILABLE, "%s", e.text);
		list_spool(c, &l, sp);
		if (sp != NULL)
			spool_close(&sp);
	}
	if (queue_listing_end(&l) != RC_OK)
		command_fatal(c, UNAVAILABLE, "the queue listing broke off");
	return fflush(stdout) == 0 ? 0 : UNAVAILABLE;
}

/* ---- flushing ---- */

static int
flush_all(struct command *c)
{
	struct err e = { 0 };
	int fd;

	authorize(c, "authorized_flush_users", c->conf.authorized_flush_users,
	    "flush the mail queue");
	/* compat: dead destinations, whatever the time, deferred mail */
	if (command_connect(c, "public/qmgr", &fd, &e) != RC_OK ||
	    os_fd_write_all(fd, STR("FAD"), &e) != RC_OK)
		command_fatal(
		    c, UNAVAILABLE, "Cannot flush mail queue - mail system is down");
	(void)close(fd);
	return 0;
}

static bool
is_queue_id(const char *id)
{
	size_t n =
	    strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_");

	return n > 0 && n < QUEUE_ID_MAX && id[n] == '\0';
}

/* What public/flush answers to a request of this name about `what`. */
static struct str
ask_flush(
    struct command *c, const char *request_name, const char *attribute, const char *what)
{
	struct str request, status = STR(""), name, rest;
	struct err e = { 0 };
	char answer[64];
	ssize_t n = -1;
	int fd;

	authorize(c, "authorized_flush_users", c->conf.authorized_flush_users,
	    "flush the mail queue");
	if (command_connect(c, "public/flush", &fd, &e) != RC_OK) {
		command_warn(c, "connect to public/flush: %s",
		    e.sys != 0 ? strerror(e.sys) : "Connection refused");
		command_fatal(
		    c, UNAVAILABLE, "Cannot flush mail queue - mail system is down");
	}
	request = arena_printf(c->mem, "request%c%s%c%s%c%s%c%c", 0, request_name, 0,
	    attribute, 0, what, 0, 0);
	if (os_fd_nonblock(fd, false, &e) == RC_OK &&
	    os_fd_write_all(fd, request, &e) == RC_OK)
		n = read(fd, answer, sizeof(answer));
	if (n <= 0)
		command_fatal(
		    c, UNAVAILABLE, "Cannot flush mail queue - mail system is down");
	(void)close(fd);
	if (!str_cut(str_n(answer, (size_t)n), '\0', &name, &rest) ||
	    !str_cut(rest, '\0', &status, &rest))
		return STR("");
	return arena_str(c->mem, status);
}

static int
flush_one(struct command *c, const char *id)
{
	if (!is_queue_id(id)) /* compat */
		command_fatal(
		    c, UNAVAILABLE, "Cannot flush queue ID - invalid name: \"%s\"", id);
	(void)ask_flush(c, "send_file", "queue_id", id);
	return 0;
}

/* compat: what Postfix takes for the name of a site: a domain, or an address in brackets.
 */
static bool
is_site(const char *site)
{
	struct str s = str_c(site);

	if (s.n == 0 || s.n > 255)
		return false;
	if (s.p[0] == '[')
		return s.n > 2 && s.p[s.n - 1] == ']';
	return s.p[0] != '.' && s.p[0] != '-' && strpbrk(site, " \t\r\n@/:") == NULL;
}

static int
flush_site(struct command *c, const char *site)
{
	struct str status;

	if (!is_site(site)) /* compat */
		command_fatal(c, USAGE_STATUS,
		    "Cannot flush mail queue - invalid destination: \"%.100s\"", site);
	status = ask_flush(c, "send_site", "site", site);
	if (str_is(status, "3")) /* compat */
		command_fatal(c, UNAVAILABLE,
		    "Flush service is not configured for destination \"%s\"", site);
	if (!str_is(status, "0"))
		command_fatal(
		    c, UNAVAILABLE, "Cannot flush mail queue - mail system is down");
	return 0;
}

/* ---- the command line ---- */

struct request {
	char verb; /* f i j p s; 0: none */
	const char *arg, *config_dir;
	bool is_bad;
};

static void
parse(int argc, char **argv, struct request *r)
{
	int c;

	if (argc > 0)
		argv[0] = (char *)(uintptr_t) "postqueue"; /* for getopt's words */
	while ((c = getopt(argc, argv, "c:fi:jps:v")) != -1) {
		switch (c) {
		case 'c':
			r->config_dir = optarg;
			break;
		case 'v':
			break;
		case 'f':
		case 'i':
		case 'j':
		case 'p':
		case 's':
			r->is_bad |= r->verb != 0;
			r->verb = (char)c;
			r->arg = optarg;
			break;
		default:
			r->is_bad = true;
			return;
		}
	}
	r->is_bad |= r->verb == 0 || optind < argc;
}

static struct command the_command; /* in somebody's hands until the end */

int
main(int argc, char **argv)
{
	struct request r = { 0 };
	struct command *c = &the_command;

	(void)signal(SIGPIPE, SIG_DFL); /* mailq | head */
	parse(argc, argv, &r);
	command_init(c, "postqueue", r.config_dir);
	if (r.is_bad)
		command_fatal(c, UNAVAILABLE, USAGE);
	switch (r.verb) {
	case 'f':
		return flush_all(c);
	case 'i':
		return flush_one(c, r.arg);
	case 's':
		return flush_site(c, r.arg);
	default:
		return list_queue(c, r.verb == 'j');
	}
}
