/* Runs every story of a folder in all its variants; see scenario.h. */
#include "scenario.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_MAX ((size_t)8 << 20)

static const char *current = "";

_Noreturn void
scenario_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "%s: ", current);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

/* ---- pieces of stories ---- */

bool
scenario_line(struct str *rest, struct str *out)
{
	size_t nl;

	if (rest->n == 0)
		return false;
	nl = str_find(*rest, '\n');
	*out = str_head(*rest, nl);
	*rest = str_from(*rest, nl + 1);
	return true;
}

bool
scenario_is(struct str line, const char *word, struct str *args)
{
	size_t n = strlen(word);

	if (!str_starts(line, str_c(word)) || (line.n > n && line.p[n] != ' '))
		return false;
	*args = str_from(line, n + 1);
	return true;
}

static void
put(struct buf *b, struct str s)
{
	if (buf_put(b, s) != RC_OK)
		scenario_die("too much of everything");
}

static int
hex(char c)
{
	return ascii_isdigit(c) ? c - '0' : ascii_lower(c) - 'a' + 10;
}

void
scenario_unescape(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '\\' && i + 1 < in.n) {
			c = in.p[++i];
			if (c == 'x' && i + 2 < in.n) {
				c = (char)(hex(in.p[i + 1]) * 16 + hex(in.p[i + 2]));
				i += 2;
			} else
				c = c == 'r'   ? '\r'
				    : c == 'n' ? '\n'
				    : c == 't' ? '\t'
				    : c == '0' ? '\0'
					       : c;
		}
		put(out, (struct str){ &c, 1 });
	}
}

void
scenario_escape(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		char text[8];

		if (c == '\\' || c < ' ' || c > '~')
			(void)snprintf(text, sizeof(text),
			    c == '\\'   ? "\\\\"
			    : c == '\r' ? "\\r"
			    : c == '\n' ? "\\n"
					: "\\x%02x",
			    c);
		else
			(void)snprintf(text, sizeof(text), "%c", c);
		put(out, str_c(text));
	}
}

void
scenario_say(struct buf *trace, const char *fmt, ...)
{
	char line[8000];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(trace, str_head((struct str){ line, (size_t)n }, sizeof(line) - 1));
	put(trace, STR("\n"));
}

uint64_t
scenario_number(struct str s)
{
	uint64_t n;

	if (str_u64(s, UINT32_MAX, &n) != RC_OK)
		scenario_die("not a number: %.*s", STR_ARG(s));
	return n;
}

static void
put_raw(struct str args, bool is_repeat, struct buf *out)
{
	struct str count = STR("1");
	struct buf unit;
	size_t n;
	char *room;

	if (is_repeat && !str_cut(args, ' ', &count, &args))
		scenario_die("R*N what?");
	n = scenario_number(count);
	buf_init(&unit, TRACE_MAX);
	scenario_unescape(args, &unit);
	room = buf_room(out, n * unit.n);
	if (room == NULL)
		scenario_die("too much of everything");
	for (size_t i = 0; i < n * unit.n; i++)
		room[i] = unit.p[unit.start + i % unit.n];
	buf_added(out, n * unit.n);
	buf_fini(&unit);
}

bool
scenario_peer(struct str line, const char *who, struct buf *out)
{
	bool is_repeat = str_starts(line, STR("R*"));
	struct str args;

	if (scenario_is(line, who, &args)) {
		scenario_unescape(args, out);
		scenario_unescape(STR("\\r\\n"), out);
		return true;
	}
	if (!is_repeat && !scenario_is(line, "R", &args))
		return false;
	put_raw(is_repeat ? str_from(line, 2) : args, is_repeat, out);
	return true;
}

static void
say_bytes(const char *prefix, struct str bytes, struct buf *trace)
{
	put(trace, str_c(prefix));
	put(trace, STR(" "));
	scenario_escape(bytes, trace);
	put(trace, STR("\n"));
}

void
scenario_lines(struct buf *pending, const char *prefix, struct buf *trace)
{
	for (;;) {
		struct str all = buf_view(pending);
		size_t nl = str_find(all, '\n');

		if (nl == all.n)
			return;
		if (nl > 0 && all.p[nl - 1] == '\r')
			say_bytes(prefix, str_head(all, nl - 1), trace);
		else
			say_bytes(
			    prefix, str_head(all, nl + 1), trace); /* shows the bare \n */
		buf_consume(pending, nl + 1);
	}
}

void
scenario_rest(struct buf *pending, const char *prefix, struct buf *trace)
{
	scenario_lines(pending, prefix, trace);
	if (pending->n > 0) {
		put(trace, str_c(prefix));
		put(trace, STR("~ ")); /* no line end */
		scenario_escape(buf_view(pending), trace);
		put(trace, STR("\n"));
	}
	buf_reset(pending);
}

/* ---- what is expected ---- */

static bool
is_expectation(struct str line, bool is_server)
{
	static const char *const server[] = { "S", "?", "D", "D~", "L", "W", "commit",
		"abort", "heard", "chapter", "close" };
	static const char *const client[] = { "C", "C~", "O", "7bit", "done", "L", "W",
		"close" };
	struct str args;

	for (size_t i = 0; i < (is_server ? ARRAY_LEN(server) : ARRAY_LEN(client)); i++)
		if (scenario_is(line, is_server ? server[i] : client[i], &args))
			return true;
	return false;
}

static void
expected(const struct scenario *s, bool is_server, struct buf *out)
{
	struct str rest = s->text, line;

	while (scenario_line(&rest, &line))
		if (is_expectation(line, is_server)) {
			put(out, line);
			put(out, STR("\n"));
		}
}

static size_t
play(const struct scenario *s, bool is_server, const struct variant *v, struct buf *trace)
{
	return is_server ? play_server(s, v, trace) : play_client(s, v, trace);
}

static void
check(const struct scenario *s, bool is_server, size_t chunk, const struct buf *want)
{
	struct variant v = { .chunk = chunk, .cut = SIZE_MAX };
	struct buf got;

	buf_init(&got, TRACE_MAX);
	(void)play(s, is_server, &v, &got);
	if (!str_eq(buf_view(&got), buf_view(want)))
		scenario_die("%.*s (pieces of %zu bytes)\n---- want\n%.*s---- got\n%.*s",
		    STR_ARG(s->title), chunk, STR_ARG(buf_view(want)),
		    STR_ARG(buf_view(&got)));
	buf_fini(&got);
}

static size_t
count(struct str in, const char *what)
{
	struct str line, args;
	size_t n = 0;

	while (scenario_line(&in, &line))
		n += scenario_is(line, what, &args);
	return n;
}

/* However early the peer vanishes, the session ends, once, and nothing is committed that
 * was not committed in the whole story. */
static void
check_cuts(
    const struct scenario *s, bool is_server, size_t n_bytes, const struct buf *want)
{
	size_t step = n_bytes > 600 ? n_bytes / 600 : 1;

	for (size_t cut = 0; cut <= n_bytes; cut += step) {
		struct variant v = { .chunk = 0, .cut = cut };
		struct buf got;

		buf_init(&got, TRACE_MAX);
		(void)play(s, is_server, &v, &got);
		if (count(buf_view(&got), "close") != 1 ||
		    count(buf_view(&got), "commit") > count(buf_view(want), "commit"))
			scenario_die("%.*s (cut after %zu bytes)\n%.*s",
			    STR_ARG(s->title), cut, STR_ARG(buf_view(&got)));
		buf_fini(&got);
	}
}

/* A commit that fails is never answered with a 250. */
static void
check_commits(const struct scenario *s)
{
	for (int rc = RC_TEMP; rc <= RC_PERM; rc++) {
		struct variant v = { .cut = SIZE_MAX, .commit = rc };
		struct buf got;

		buf_init(&got, TRACE_MAX);
		(void)play(s, true, &v, &got);
		if (memmem(got.p + got.start, got.n, "queued as", 9) != NULL)
			scenario_die("%.*s (commits fail)\n%.*s", STR_ARG(s->title),
			    STR_ARG(buf_view(&got)));
		buf_fini(&got);
	}
}

static void
run_file(const char *path, bool is_server)
{
	struct scenario s = { .path = path };
	struct buf text, want, all;
	size_t n_bytes;
	FILE *f = fopen(path, "r");
	char block[4096];
	size_t n;

	current = path;
	if (f == NULL)
		scenario_die("cannot open");
	buf_init(&text, TRACE_MAX);
	buf_init(&want, TRACE_MAX);
	buf_init(&all, TRACE_MAX);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		put(&text, (struct str){ block, n });
	(void)fclose(f);
	s.text = buf_view(&text);
	if (!scenario_line(&s.text, &s.title) || !scenario_is(s.title, "#", &s.title))
		scenario_die("the first line is \"# title\"");
	s.has_log = count(s.text, "L") + count(s.text, "W") > 0;
	s.is_whole = count(s.text, "whole") > 0;
	expected(&s, is_server, &want);
	check(&s, is_server, 0, &want);
	for (size_t chunk = 1; chunk <= 64 && !s.is_whole; chunk++)
		check(&s, is_server, chunk, &want);
	n_bytes = play(&s, is_server, &(struct variant){ .cut = SIZE_MAX }, &all);
	check_cuts(&s, is_server, n_bytes, &want);
	if (is_server)
		check_commits(&s);
	(void)printf("ok   %.*s\n", STR_ARG(s.title));
	buf_fini(&text);
	buf_fini(&want);
	buf_fini(&all);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_story(const struct dirent *d)
{
	return str_ends(str_c(d->d_name), STR(".scn"));
}

int
main(int argc, char **argv)
{
	struct dirent **v;
	char path[4096];
	int n;

	if (argc != 3 ||
	    (strcmp(argv[1], "server") != 0 && strcmp(argv[1], "client") != 0))
		scenario_die("usage: scenario server|client FOLDER|FILE");
	if (is_story(&(struct dirent){ .d_name = "" }) ||
	    str_ends(str_c(argv[2]), STR(".scn"))) {
		run_file(argv[2], argv[1][0] == 's');
		return 0;
	}
	n = scandir(argv[2], &v, is_story, by_name);
	if (n <= 0)
		scenario_die("no stories in %s", argv[2]);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", argv[2], v[i]->d_name);
		run_file(path, argv[1][0] == 's');
		free(v[i]);
	}
	free(v);
	(void)printf("%d stories\n", n);
	return 0;
}
