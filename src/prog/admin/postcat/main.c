/* postcat: shows a message in the queue. With -q it is found by its queue id; the content
 * is printed with the line ends of this system. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/command.h"
#include "agent/queue_view.h"

#define USAGE                                                                            \
	"usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] "    \
	"[-e "                                                                           \
	"(envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]"
#define SHOWN_MAX ((size_t)512 << 20)

struct postcat {
	struct command c;
	const char *config_dir;
	bool body, header, envelope, from_queue, is_bad;
	/* the message being printed */
	char path[128];
	bool has_path, in_contents, in_body, has_cr, at_line_start;
};

/* ---- printing ---- */

static void
begin_contents(struct postcat *p)
{
	if (p->in_contents)
		return;
	p->in_contents = true;
	p->at_line_start = true;
	if (p->envelope)
		(void)printf("*** MESSAGE CONTENTS %s ***\n", p->path); /* compat */
}

static bool
is_wanted(const struct postcat *p)
{
	return p->in_body ? p->body : p->header;
}

/* One byte of the content: CR LF becomes LF, the first empty line begins the body. */
static void
put_byte(struct postcat *p, char ch)
{
	bool is_empty = p->at_line_start;

	if (ch == '\r' && !p->has_cr) {
		p->has_cr = true;
		return;
	}
	if (ch == '\n' && is_empty && !p->in_body)
		p->in_body = true; /* compat: the empty line belongs to the body */
	if (p->has_cr && ch != '\n' && is_wanted(p))
		(void)putchar('\r');
	p->has_cr = ch == '\r';
	if (p->has_cr)
		return;
	p->at_line_start = ch == '\n';
	if (is_wanted(p))
		(void)putchar(ch);
}

static void
piece(void *arg, struct str kind, struct str text)
{
	struct postcat *p = arg;

	if (str_is(kind, "P")) {
		(void)snprintf(p->path, sizeof(p->path), "%.*s", STR_ARG(text));
		p->has_path = true;
		if (p->envelope)
			(void)printf(
			    "*** ENVELOPE RECORDS %s ***\n", p->path); /* compat */
	} else if (str_is(kind, "E")) {
		if (p->envelope)
			(void)fwrite(text.p, 1, text.n, stdout);
	} else if (str_is(kind, "C")) {
		begin_contents(p);
		for (size_t i = 0; i < text.n; i++)
			put_byte(p, text.p[i]);
	}
}

static void
end_message(struct postcat *p)
{
	begin_contents(p);
	if (p->envelope)
		(void)printf("*** HEADER EXTRACTED %s ***\n*** MESSAGE FILE END %s ***\n",
		    p->path, p->path); /* compat */
	p->has_path = p->in_contents = p->in_body = p->has_cr = false;
}

/* ---- where the message comes from ---- */

static enum rc
from_process(struct postcat *p, const char *id, struct err *e)
{
	struct queue_client q = { .item = piece, .arg = p };
	struct wire_admin m = { .verb = STR("cat"), .target = str_c(id) };
	enum rc rc = queue_client_open(&q, &p->c, e);

	if (rc != RC_OK)
		return rc == RC_NONE ? RC_MORE : rc;
	rc = queue_client_ask(&q, &m, e);
	if (rc == RC_OK && q.rc != RC_OK)
		rc = err_set(e, q.rc, "%s", q.text);
	queue_client_close(&q);
	return rc;
}

static void
from_stage(struct postcat *p, int fd, uint64_t left)
{
	char part[65536];

	while (left > 0) {
		ssize_t n =
		    read(fd, part, left < sizeof(part) ? (size_t)left : sizeof(part));

		if (n <= 0)
			break;
		left -= (uint64_t)n;
		piece(p, STR("C"), str_n(part, (size_t)n));
	}
	(void)close(fd);
}

static enum rc
from_open_spool(struct postcat *p, struct spool *sp, const char *id, struct err *e)
{
	struct arena *mem = arena_new(SHOWN_MAX);
	struct spool_loaded l = { 0 };
	struct spool_info info;
	struct buf text;
	int fd = -1;
	enum rc rc;

	buf_init(&text, SHOWN_MAX);
	rc = spool_find_id(sp, str_c(id), &info);
	if (rc == RC_OK)
		rc = spool_load(sp, info.number,
		    SPOOL_ENVELOPE | SPOOL_STATE | SPOOL_CONTENT, mem, &l);
	if (rc == RC_OK)
		rc = queue_view_envelope(&info, &l, &text);
	if (rc == RC_OK && l.m.stage != 0)
		rc = spool_stage_read(sp, info.number, &fd, e);
	if (rc == RC_OK) {
		piece(p, STR("P"),
		    arena_printf(
			mem, "%s/%s", queue_view_name_text(queue_view_name(&info)), id));
		piece(p, STR("E"), buf_view(&text));
		piece(p, STR("C"), l.m.content);
		if (fd >= 0)
			from_stage(p, fd, l.m.size_bytes);
	}
	buf_fini(&text);
	arena_free(&mem);
	return rc;
}

static enum rc
from_spool(struct postcat *p, const char *id, struct err *e)
{
	struct spool *sp = NULL;
	enum rc rc = command_open_spool(&p->c, &sp, e);

	if (rc != RC_OK)
		return rc;
	rc = from_open_spool(p, sp, id, e);
	spool_close(&sp);
	return rc;
}

static void
show(struct postcat *p, const char *id)
{
	struct err e = { 0 };
	enum rc rc = RC_NONE;

	if (p->from_queue && strlen(id) < QUEUE_ID_MAX) {
		rc = from_process(p, id, &e);
		if (rc == RC_MORE)
			rc = from_spool(p, id, &e);
	}
	if (rc == RC_NONE) /* compat */
		command_fatal(
		    &p->c, 1, "open queue file %s: No such file or directory", id);
	if (rc != RC_OK)
		command_fatal(&p->c, 1, "open queue file %s: %s", id, e.text);
	end_message(p);
}

/* ---- the command line ---- */

static void
parse(struct postcat *p, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "bc:defhoqrs:v")) != -1) {
		switch (c) {
		case 'b':
			p->body = true;
			break;
		case 'c':
			p->config_dir = optarg;
			break;
		case 'e':
			p->envelope = true;
			break;
		case 'h':
			p->header = true;
			break;
		case 'q':
			p->from_queue = true;
			break;
		case 'd': /* about Postfix's records, which the spool has not */
		case 'f':
		case 'o':
		case 'r':
		case 's':
		case 'v':
			break;
		default:
			p->is_bad = true;
			return;
		}
	}
	if (!p->body && !p->header && !p->envelope)
		p->body = p->header = p->envelope = true;
}

static struct postcat the_postcat; /* in somebody's hands until the end */

int
main(int argc, char **argv)
{
	struct postcat *p = &the_postcat;

	(void)signal(SIGPIPE, SIG_DFL);
	parse(p, argc, argv);
	/* compat: it is called by its whole path, unlike others. */
	command_init(&p->c, argc > 0 ? argv[0] : "postcat", p->config_dir);
	if (p->is_bad || optind == argc)
		command_fatal(&p->c, 1, USAGE);
	for (int i = optind; i < argc; i++)
		show(p, argv[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}
