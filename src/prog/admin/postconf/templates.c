/* Owns -t and -b: the texts of notifications, built in or from a file, as they are
 * written and as they are sent.
 *
 *     failure_template = <<EOF
 *     Charset: us-ascii
 *     From: Mail Delivery System <MAILER-DAEMON>
 *     Subject: Undelivered Mail Returned to Sender
 *
 *     text with $name
 *     EOF
 *
 * Valid: delay_, failure_, success_ and verify_template, each with up to four header
 * lines; what a header does not say is as built in. A template with an unknown or empty
 * header is left out as a whole. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/expand.h"
#include "conf/list.h"
#include "dsn/notice.h"
#include "prog/admin/postconf/postconf.h"
#include <errno.h>
#include <string.h>

enum { HEADER_CHARSET, HEADER_FROM, HEADER_SUBJECT, HEADER_POSTMASTER, N_HEADERS };
enum { N_TEMPLATES = 4 };

static const char *const header_names[N_HEADERS] = { "Charset", "From", "Subject",
	"Postmaster-Subject" };
/* compat: in this order they are shown. */
static const char *const kind_names[N_TEMPLATES] = { "failure", "delay", "success",
	"verify" };

struct template
{
	struct str header[N_HEADERS]; /* the last may be empty: none */
	struct str body;
};

struct reader {
	const char *path; /* empty: built in */
	struct arena *mem;
	struct template templates[N_TEMPLATES];
	struct str rest;
	unsigned line;
};

static struct str
keep(struct arena *mem, struct str text)
{
	struct str copy = arena_str(mem, text);

	if (copy.p == NULL)
		fatal("templates: memory limit");
	return copy;
}

static void
put(struct buf *out, struct str s)
{
	if (buf_put(out, s) != RC_OK)
		fatal("templates: a text is too long");
}

/* ---- built in ---- */

static struct str
built_in_body(struct arena *mem, const char *crlf_text)
{
	static const char *const names[] = { "$delay_warning_time_hours",
		"$maximal_queue_lifetime_days" };
	struct str rest = str_c(crlf_text);
	unsigned n_names = 0;
	struct buf out;
	struct str body;

	buf_init(&out, 1 << 16);
	put(&out, STR("This is the mail system at host $myhostname.\n\n"));
	for (; rest.n > 0; rest = str_from(rest, 1)) {
		if (rest.p[0] == '%' && n_names < ARRAY_LEN(names)) {
			put(&out, str_c(names[n_names++]));
			rest = str_from(rest, 3); /* "lld" */
		} else if (rest.p[0] != '\r') {
			put(&out, str_head(rest, 1));
		}
	}
	put(&out, STR("\n                   The mail system\n"));
	body = keep(mem, buf_view(&out));
	buf_fini(&out);
	return body;
}

static void
fill_built_in(struct reader *r)
{
	static const enum dsn_kind kinds[N_TEMPLATES] = { DSN_FAILED, DSN_DELAYED,
		DSN_SUCCEEDED, DSN_REPORTED };

	for (unsigned i = 0; i < N_TEMPLATES; i++) {
		struct dsn_text t = dsn_notice_text(kinds[i]);

		r->templates[i] = (struct template){
			.header = { STR("us-ascii"),
			    STR("Mail Delivery System <MAILER-DAEMON>"), str_c(t.subject),
			    str_c(t.postmaster_subject) },
			.body = built_in_body(r->mem, t.text),
		};
	}
}

/* ---- from a file ---- */

static bool
next_line(struct reader *r, struct str *out)
{
	size_t end = str_find(r->rest, '\n');

	if (r->rest.n == 0)
		return false;
	*out = str_head(r->rest, end);
	r->rest = str_from(r->rest, end + 1);
	r->line++;
	return true;
}

/* "Subject: text"; false: not a header, the text begins here. */
static bool
split_header(struct str line, struct str *label, struct str *value)
{
	size_t n = 0;

	while (n < line.n && line.p[n] > ' ' && line.p[n] != ':')
		n++;
	if (n == 0 || n == line.n || line.p[n] != ':')
		return false;
	*label = str_head(line, n);
	*value = str_trim(str_from(line, n + 1));
	return true;
}

static bool
take_header(const struct reader *r, const char *kind, struct template *t,
    struct str label, struct str value)
{
	unsigned i = 0;

	while (i < N_HEADERS && !str_iis(label, header_names[i]))
		i++;
	/* compat */
	if (i == N_HEADERS)
		warn("%s: unknown \"%.*s\" header label in %s template -- ignoring this "
		     "template",
		    r->path, STR_ARG(label), kind);
	else if (value.n == 0)
		warn("%s: empty \"%s\" header value in %s template -- ignoring this "
		     "template",
		    r->path, header_names[i], kind);
	else
		t->header[i] = value;
	return i < N_HEADERS && value.n > 0;
}

static void
take_template(struct reader *r, unsigned kind, struct str text)
{
	struct template t = r->templates[kind];
	struct str rest = text, line, label, value;

	while (rest.n > 0) {
		size_t end = str_find(rest, '\n');

		line = str_head(rest, end);
		if (line.n > 0 && !split_header(line, &label, &value))
			break;
		rest = str_from(rest, end + 1);
		if (line.n == 0)
			break;
		if (!take_header(r, kind_names[kind], &t, label, value))
			return;
	}
	t.body = rest;
	r->templates[kind] = t;
}

/* The lines up to the one that is `marker`. */
static struct str
take_here(struct reader *r, struct str marker)
{
	const char *start = r->rest.p;
	struct str line = STR("");

	/* compat: the line after the one where it was noticed */
	if (marker.n == 0)
		fatal("%s, line %u: missing end marker after <<", r->path, r->line + 1);
	while (next_line(r, &line))
		if (str_eq(str_trim(line), marker))
			return str_n(start, (size_t)(line.p - start));
	warn("%s, line %u: missing \"%.*s\" end marker", r->path, r->line + 1,
	    STR_ARG(marker));
	return str_n(start, (size_t)(r->rest.p - start));
}

static void
read_setting(struct reader *r, struct str line)
{
	struct str name, value, text;
	unsigned kind = 0;
	struct err e;

	if (conf_assignment(line, &name, &value, &e) != RC_OK)
		fatal("%s, line %u: %s", r->path, r->line + 1, e.text);
	text = value;
	if (str_starts(value, STR("<<")))
		text = take_here(r, str_trim(str_from(value, 2)));
	while (kind < N_TEMPLATES &&
	       !(str_ends(name, STR("_template")) && name.n > 9 &&
		   str_is(str_head(name, name.n - 9), kind_names[kind])))
		kind++;
	if (kind == N_TEMPLATES)
		warn("%s, line %u: unknown template name: %.*s -- ignoring this "
		     "template",
		    r->path, r->line + 1, STR_ARG(name)); /* compat */
	else if (text.p == value.p)
		take_template(
		    r, kind, arena_printf(r->mem, "%.*s\n", STR_ARG(keep(r->mem, text))));
	else
		take_template(r, kind, text);
}

static void
read_file(struct reader *r)
{
	struct str line, text;
	struct err e;

	errno = 0;
	if (match_files_os.read(NULL, str_c(r->path), r->mem, &r->rest, &e) != RC_OK)
		fatal("%s %s: %s", errno == EISDIR ? "read" : "open", r->path,
		    errno != 0 ? strerror(errno) : e.text); /* compat */
	while (next_line(r, &line)) {
		text = str_trim(line);
		if (text.n > 0 && text.p[0] != '#')
			read_setting(r, text);
	}
}

/* ---- as they are sent ---- */

struct values {
	const struct conf_snapshot *s;
	struct arena *mem;
	bool has_undefined;
};

/* "delay_warning_time_hours" and its like. */
static enum rc
get_in_unit(struct values *v, struct str name, struct str *out, struct err *e)
{
	static const struct {
		const char *suffix;
		int64_t us;
	} units[] = { { "_seconds", US_PER_SEC }, { "_minutes", 60 * US_PER_SEC },
		{ "_hours", 3600 * US_PER_SEC }, { "_days", 86400 * US_PER_SEC },
		{ "_weeks", 7 * 86400 * US_PER_SEC } };
	struct conf_bounce bounce;
	int64_t us;
	enum rc rc;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		struct str base = name;

		if (!str_ends(name, str_c(units[i].suffix)))
			continue;
		base.n -= strlen(units[i].suffix);
		rc = conf_fill_bounce(v->s, NULL, v->mem, &bounce, e);
		if (rc != RC_OK)
			return rc;
		if (str_is(base, "delay_warning_time"))
			us = bounce.delay_warning_time_us;
		else if (str_is(base, "maximal_queue_lifetime"))
			us = bounce.maximal_queue_lifetime_us;
		else
			return RC_NONE;
		*out = arena_printf(v->mem, "%lld", (long long)(us / units[i].us));
		return out->p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
	}
	return RC_NONE;
}

static enum rc
get_value(void *arg, struct str name, struct str *out, struct err *e)
{
	struct values *v = arg;
	enum rc rc = get_in_unit(v, name, out, e);

	if (rc == RC_NONE)
		rc = conf_raw(v->s, NULL, name, v->mem, out, e);
	v->has_undefined |= rc == RC_NONE;
	return rc;
}

static struct str
expanded(const struct reader *r, const struct conf_snapshot *s, unsigned kind)
{
	struct values v = { s, r->mem, false };
	struct expand_source from = { get_value, &v };
	struct str rest = r->templates[kind].body, text;
	struct buf out;
	struct err e;

	buf_init(&out, CONF_VALUE_MAX);
	while (rest.n > 0) {
		struct str line = str_head(rest, str_find(rest, '\n'));

		rest = str_from(rest, line.n + 1);
		if (expand_text(&from, line, CONF_VALUE_MAX, r->mem, &text, &e) !=
		    RC_OK) {
			warn("%s", e.text);
			fatal("%s: bad $name syntax in %s template: %.*s",
			    r->path[0] != '\0' ? r->path : "[built-in]", kind_names[kind],
			    STR_ARG(line));
		}
		/* compat */
		if (v.has_undefined)
			fatal("%s: undefined $name in %s template: %.*s",
			    r->path[0] != '\0' ? r->path : "[built-in]", kind_names[kind],
			    STR_ARG(line));
		put(&out, text);
		put(&out, STR("\n"));
	}
	text = keep(r->mem, buf_view(&out));
	buf_fini(&out);
	return text;
}

static void
show_one(const struct reader *r, unsigned kind)
{
	const struct template *t = &r->templates[kind];

	(void)printf("%s_template = <<EOF\n", kind_names[kind]);
	for (unsigned i = 0; i < N_HEADERS; i++)
		if (t->header[i].n > 0)
			(void)printf(
			    "%s: %.*s\n", header_names[i], STR_ARG(t->header[i]));
	(void)printf("\n%.*sEOF\n", STR_ARG(t->body));
}

void
show_templates(const struct conf_snapshot *s, const struct options *o)
{
	struct reader r = { .path = o->args[0], .mem = arena_new((size_t)16 << 20) };
	struct str path;
	struct err e;

	if (conf_get(s, NULL, STR("syslog_name"), r.mem, &path, &e) != RC_OK)
		fatal("%s", e.text);
	/* compat: in Postfix it is bounce that reads them. */
	speak_as(keep(r.mem, arena_printf(r.mem, "%.*s/bounce", STR_ARG(path))).p);
	if (r.path == NULL) {
		if (conf_get(s, NULL, STR("bounce_template_file"), r.mem, &path, &e) !=
		    RC_OK)
			fatal("%s", e.text);
		r.path = keep(r.mem, path).p;
	}
	fill_built_in(&r);
	if (r.path[0] != '\0')
		read_file(&r);
	for (unsigned i = 0; i < N_TEMPLATES; i++) {
		if (i > 0)
			(void)putchar('\n');
		if ((o->mode & MODE_TEMPLATES) != 0)
			show_one(&r, i);
		else
			(void)printf("expanded_%s_text = <<EOF\n%.*sEOF\n", kind_names[i],
			    STR_ARG(expanded(&r, s, i)));
	}
	arena_free(&r.mem);
}
