/* What an access(5) table or a policy service says is done: one function per kind of
 * action, found by the first word. */
#include "access/access_int.h"

#define DEPTH_MAX 100 /* of lists in results of tables in lists; compat */

/* One action on its way. */
struct action {
	const struct access_source *from;
	struct str whole, word, text; /* text: behind the word, blanks off */
};

/* ---- replies ---- */

static enum rc
refuse(struct access_eval *ev, const struct action *x, unsigned code, const char *words)
{
	struct str text = x->text;
	struct str dsn = access_split_status(
	    ev, x->from->cls, code / 100 == 4 ? "4.7.1" : "5.7.1", &text);
	struct access_reply r = { .code = code,
		.dsn = arena_cstr(ev->a->mem, str_from(dsn, 1)),
		.words = text.n > 0 ? text : str_c(words),
		.subject = x->from->subject,
		.cls = x->from->cls };

	if (r.dsn == NULL)
		r.dsn = ".7.1";
	return access_reject(ev, &r);
}

static enum rc
act_reject(struct access_eval *ev, const struct action *x)
{
	return refuse(ev, x, ev->c->access_map_reject_code, "Access denied");
}

static enum rc
act_defer(struct access_eval *ev, const struct action *x)
{
	return refuse(ev, x, ev->c->access_map_defer_code, "Access denied");
}

static enum rc
defer_if(struct access_eval *ev, const struct action *x,
    enum rc (*defer)(struct access_eval *, const struct access_reply *))
{
	struct str text = x->text;
	struct str dsn = access_split_status(ev, x->from->cls, "4.7.1", &text);
	struct access_reply r = { .code = ev->c->access_map_defer_code,
		.dsn = arena_cstr(ev->a->mem, str_from(dsn, 1)),
		.words = text.n > 0 ? text : STR("Service unavailable"),
		.subject = x->from->subject,
		.cls = x->from->cls };

	if (r.dsn == NULL)
		r.dsn = ".7.1";
	return defer(ev, &r);
}

static enum rc
act_defer_if_permit(struct access_eval *ev, const struct action *x)
{
	return defer_if(ev, x, access_defer_if_permit);
}

static enum rc
act_defer_if_reject(struct access_eval *ev, const struct action *x)
{
	return defer_if(ev, x, access_defer_if_reject);
}

/* ---- effects ---- */

static enum rc
warn(struct access_eval *ev, const struct action *x, const char *words)
{
	access_warn(ev, arena_printf(ev->a->mem, "access table %.*s%s",
			    STR_ARG(x->from->table), words));
	return RC_OK;
}

static enum rc
warn_entry(struct access_eval *ev, const struct action *x, const char *words)
{
	access_warn(ev, arena_printf(ev->a->mem, "access table %.*s entry \"%.*s\" %s",
			    STR_ARG(x->from->table), STR_ARG(x->from->datum), words));
	return RC_OK;
}

/* compat: before MAIL there is no message yet that something could happen to. */
static bool
has_message(struct access_eval *ev, const struct action *x)
{
	if (ev->q->has_sender)
		return true;
	access_warn(ev, arena_printf(ev->a->mem,
			    "access table %.*s: with smtpd_delay_reject=no, action "
			    "%.*s is always skipped in Client host or Helo command "
			    "restrictions",
			    STR_ARG(x->from->table), STR_ARG(x->word)));
	return false;
}

/* compat: an action of the whole message, which somebody else may be responsible for. */
static bool
is_available(struct access_eval *ev, const struct action *x)
{
	if (ev->c->has_proxy_filter) {
		access_warn(ev, arena_printf(ev->a->mem,
				    "access table %.*s: with smtpd_proxy_filter "
				    "specified, action %.*s is unavailable",
				    STR_ARG(x->from->table), STR_ARG(x->word)));
		return false;
	}
	if (ev->stage == ACCESS_ETRN) {
		access_warn(ev, arena_printf(ev->a->mem,
				    "access table %.*s: action %.*s is unavailable in "
				    "smtpd_etrn_restrictions",
				    STR_ARG(x->from->table), STR_ARG(x->word)));
		return false;
	}
	return has_message(ev, x);
}

/* "<subject>: CLASS words" */
static void
log_effect(
    struct access_eval *ev, const struct action *x, const char *verb, struct str words)
{
	access_log(ev, verb,
	    arena_printf(ev->a->mem, "<%.*s>: %s %.*s", STR_ARG(x->from->subject),
		x->from->cls, STR_ARG(words)));
}

static enum rc
act_hold(struct access_eval *ev, const struct action *x)
{
	if (!is_available(ev, x) || ev->state.is_held)
		return RC_OK;
	log_effect(ev, x, "hold", x->text.n > 0 ? x->text : STR("triggers HOLD action"));
	ev->v.fx.hold = ev->state.is_held = true;
	return RC_OK;
}

static enum rc
act_discard(struct access_eval *ev, const struct action *x)
{
	if (!is_available(ev, x))
		return RC_OK;
	log_effect(
	    ev, x, "discard", x->text.n > 0 ? x->text : STR("triggers DISCARD action"));
	ev->v.fx.discard = ev->state.is_discarding = true;
	ev->v.what = ACCESS_OK;
	return RC_OK;
}

/* What a database says may have any bytes in it. */
static bool
is_target(struct str s)
{
	return str_find(s, '@') < s.n && str_is_line(s);
}

static enum rc
act_filter(struct access_eval *ev, const struct action *x)
{
	if (!is_available(ev, x))
		return RC_OK;
	if (x->text.n == 0)
		return warn_entry(ev, x, "has FILTER entry without value");
	if (str_find(x->text, ':') == x->text.n || !str_is_line(x->text))
		return warn_entry(ev, x, "requires transport:destination");
	log_effect(ev, x, "filter",
	    arena_printf(ev->a->mem, "triggers FILTER %.*s", STR_ARG(x->text)));
	ev->v.fx.filter = x->text;
	return RC_OK;
}

static enum rc
act_redirect(struct access_eval *ev, const struct action *x)
{
	if (!is_available(ev, x))
		return RC_OK;
	if (!is_target(x->text))
		return warn_entry(ev, x, "requires user@domain target");
	log_effect(ev, x, "redirect",
	    arena_printf(ev->a->mem, "triggers REDIRECT %.*s", STR_ARG(x->text)));
	ev->v.fx.redirect = x->text;
	return RC_OK;
}

/* False: the memory limit; the effect must not get lost, so it is trouble. */
static bool
append(struct access_eval *ev, struct access_text ***end, struct str text)
{
	struct access_text *t = arena_get(ev->a->mem, sizeof(*t));

	if (t == NULL) {
		access_config_trouble(ev);
		return false;
	}
	t->text = text;
	**end = t;
	*end = &t->next;
	return true;
}

static enum rc
act_bcc(struct access_eval *ev, const struct action *x)
{
	if (!is_available(ev, x))
		return RC_OK;
	if (!is_target(x->text))
		return warn_entry(ev, x, "requires user@domain target");
	if (append(ev, &ev->bcc_end, x->text))
		log_effect(ev, x, "bcc",
		    arena_printf(ev->a->mem, "triggers BCC %.*s", STR_ARG(x->text)));
	return RC_OK;
}

/* "Name: text"; blanks before the colon are taken, too. */
static bool
is_header(struct str line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':')
		n++;
	if (n == 0)
		return false;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return n < line.n && line.p[n] == ':';
}

static enum rc
act_prepend(struct access_eval *ev, const struct action *x)
{
	if (!has_message(ev, x))
		return RC_OK;
	if (ev->stage == ACCESS_END_OF_DATA)
		return warn(ev, x,
		    ": action PREPEND must be used before "
		    "smtpd_end_of_data_restrictions");
	if (!is_header(x->text))
		return warn_entry(ev, x, "requires header: text");
	(void)append(ev, &ev->prepend_end, x->text);
	return RC_OK;
}

static enum rc
act_info(struct access_eval *ev, const struct action *x)
{
	access_log(ev, "info", x->text.p != NULL ? x->text : STR(""));
	return RC_OK;
}

static enum rc
act_warn(struct access_eval *ev, const struct action *x)
{
	access_log(ev, "warn", x->text.p != NULL ? x->text : STR(""));
	return RC_OK;
}

static enum rc
act_hangup(struct access_eval *ev, const struct action *x)
{
	access_log(ev, "hangup", x->text.p != NULL ? x->text : STR(""));
	ev->v.fx.hangup = true;
	ev->failed = true;
	ev->v.what = ACCESS_REJECT; /* the reply is for who cannot hang up */
	ev->v.reply = STR("421 4.7.1 Service unavailable");
	return RC_OK;
}

/* ---- the rest ---- */

static enum rc
act_permit(struct access_eval *ev, const struct action *x)
{
	return access_permit_by(ev, x->from, x->word);
}

static enum rc
act_dunno(struct access_eval *ev, const struct action *x)
{
	(void)ev;
	(void)x;
	return RC_OK;
}

/* The restrictions of the list are about what the table was asked about. */
static enum rc
run_nested(struct access_eval *ev, const struct action *x, const struct access_list *l)
{
	const struct access_item *item = ev->item;
	struct str subject = ev->subject;
	const char *cls = ev->cls;
	enum rc rc;

	ev->subject = x->from->subject;
	ev->cls = x->from->cls;
	ev->depth++;
	rc = access_run_items(ev, l);
	ev->depth--;
	ev->subject = subject;
	ev->cls = cls;
	ev->item = item;
	return rc;
}

static enum rc
act_list(struct access_eval *ev, const struct action *x)
{
	struct access_list l;

	if (str_find(x->whole, ':') < x->whole.n) {
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "access table %.*s has entry with lookup table: %.*s",
				    STR_ARG(x->from->table), STR_ARG(x->whole)));
		access_warn(
		    ev, STR("do not specify lookup tables inside SMTPD access maps"));
		access_warn(
		    ev, STR("define a restriction class and specify its name instead."));
		access_config_trouble(ev);
		return RC_OK;
	}
	if (ev->depth >= DEPTH_MAX) {
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "access table %.*s entry %.*s causes unreasonable "
				    "recursion",
				    STR_ARG(x->from->table), STR_ARG(x->whole)));
		access_config_trouble(ev);
		return RC_OK;
	}
	if (access_compile(x->whole, &ev->c->classes, ev->a->mem, &l, NULL) != RC_OK) {
		(void)warn_entry(ev, x, "has unbalanced braces");
		access_config_trouble(ev);
		return RC_OK;
	}
	return run_nested(ev, x, &l);
}

static const struct {
	const char *word;
	enum rc (*act)(struct access_eval *, const struct action *);
} actions[] = {
	{ "DUNNO", act_dunno },
	{ "OK", act_permit },
	{ "RELAY", act_permit },
	{ "REJECT", act_reject },
	{ "DEFER", act_defer },
	{ "DEFER_IF_PERMIT", act_defer_if_permit },
	{ "DEFER_IF_REJECT", act_defer_if_reject },
	{ "HOLD", act_hold },
	{ "DISCARD", act_discard },
	{ "FILTER", act_filter },
	{ "REDIRECT", act_redirect },
	{ "BCC", act_bcc },
	{ "PREPEND", act_prepend },
	{ "INFO", act_info },
	{ "WARN", act_warn },
	{ "HANGUP", act_hangup },
};

static bool
is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isdigit(s.p[i]))
			return false;
	return s.n > 0;
}

static enum rc
act(struct access_eval *ev, const struct action *x)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (str_iis(x->word, actions[i].word))
			return actions[i].act(ev, x);
	if (is_digits(x->word) && x->text.n == 0) /* compat: a number alone permits */
		return act_permit(ev, x);
	if (x->word.n == 3 && is_digits(x->word) &&
	    (x->word.p[0] == '4' || x->word.p[0] == '5'))
		return refuse(ev, x,
		    (unsigned)((x->word.p[0] - '0') * 100 + (x->word.p[1] - '0') * 10 +
			       (x->word.p[2] - '0')),
		    "Access denied");
	if (x->word.n > 0)
		return act_list(ev, x);
	(void)warn_entry(ev, x, "has an empty value");
	return act_permit(ev, x);
}

/* compat: a check whose subject anybody can choose must not let anybody in. */
static void
refuse_ok(struct access_eval *ev, const struct access_source *from)
{
	access_warn(ev, arena_printf(ev->a->mem, "restriction %.*s returns OK for %.*s",
			    STR_ARG(ev->item->name), STR_ARG(from->subject)));
	access_warn(ev, STR("this is not allowed for security reasons"));
	access_warn(ev, STR("use DUNNO instead of OK if you want to make an exception"));
	access_config_trouble(ev);
}

enum rc
access_apply(struct access_eval *ev, const struct access_source *from, struct str action)
{
	struct action x = { .from = from, .whole = str_trim(action) };
	size_t n = 0;
	enum rc rc;

	while (n < x.whole.n && !ascii_isspace(x.whole.p[n]))
		n++;
	x.word = str_head(x.whole, n);
	x.text = str_trim(str_from(x.whole, n));
	rc = act(ev, &x);
	if (rc == RC_OK && from->no_ok && ev->v.what == ACCESS_OK &&
	    !ev->state.is_discarding)
		refuse_ok(ev, from);
	return rc;
}
