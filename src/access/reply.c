/* What comes of a restriction: replies with everything that is done to their text,
 * permits, deferrals that wait, notes for the log. */
#include "access/access_int.h"
#include "addr/address.h"
#include "base/utf8.h"
#include <stdio.h>

#define REPLY_MAX 510 /* compat: of the text behind code and status, and those, too */

struct str
access_shown(const struct access_eval *ev, struct str address)
{
	struct str internal = addr_to_internal(address, ev->a->mem);

	return internal.p != NULL ? internal : address;
}

struct str
access_client(const struct access_eval *ev)
{
	return arena_printf(ev->a->mem, "%.*s[%.*s]", STR_ARG(ev->q->client_name),
	    STR_ARG(ev->q->client_addr));
}

/* ---- notes ---- */

static void
add_note(struct access_eval *ev, int what, const char *verb, struct str text)
{
	struct access_note *n = arena_get(ev->a->mem, sizeof(*n));

	if (n == NULL || text.p == NULL)
		return; /* one log line less */
	n->what = what;
	n->verb = verb;
	n->text = text;
	*ev->note_end = n;
	ev->note_end = &n->next;
}

void
access_warn(struct access_eval *ev, struct str text)
{
	add_note(ev, ACCESS_WARNING, NULL, text);
}

void
access_info(struct access_eval *ev, struct str text)
{
	add_note(ev, ACCESS_INFO, NULL, text);
}

void
access_log(struct access_eval *ev, const char *verb, struct str text)
{
	add_note(ev, ACCESS_LINE, verb, text);
}

/* Why the last table failed. compat: the second line; "fail:" tables have no other. */
void
access_warn_trouble(struct access_eval *ev)
{
	const struct ask_answer *last = NULL;

	for (unsigned i = ev->a->n_known; i-- > 0 && last == NULL;)
		if (ev->a->known[i].rc == RC_TEMP)
			last = &ev->a->known[i];
	if (last == NULL || last->q.kind != ASK_MAP) {
		access_warn(ev, ask_trouble(ev->a, ev->a->mem));
		return;
	}
	if (!str_starts(last->q.source, STR("fail:")))
		access_warn(ev, ask_trouble(ev->a, ev->a->mem));
	access_warn(ev, arena_printf(ev->a->mem, "%.*s lookup error for \"%.*s\"",
			    STR_ARG(last->q.source), STR_ARG(last->q.key)));
}

/* ---- permits ---- */

/* smtpd_log_access_permit_actions. */
static enum rc
wants_log(struct access_eval *ev, struct str action)
{
	if (ev->is_quiet || ev->c->log_permit_actions.n == 0)
		return RC_NONE;
	return route_list_domain(ev->a, &ev->c->log_permit_actions, action);
}

enum rc
access_permit_for(struct access_eval *ev, const char *cls, struct str subject)
{
	struct str name = ev->item->name;
	enum rc rc = wants_log(ev, name);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_OK)
		access_log(ev, "permit", /* compat: the blank at the end, too */
		    arena_printf(ev->a->mem, "action=%.*s for %s=%.*s ", STR_ARG(name),
			cls, STR_ARG(subject)));
	ev->v.what = ACCESS_OK;
	return RC_OK;
}

enum rc
access_permit(struct access_eval *ev)
{
	if (ev->c->log_permit_actions.n > 0)
		return access_permit_for(ev, ACCESS_CLS_CLIENT, access_client(ev));
	ev->v.what = ACCESS_OK;
	return RC_OK;
}

enum rc
access_permit_by(
    struct access_eval *ev, const struct access_source *from, struct str action)
{
	enum rc rc = wants_log(ev, action);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_OK)
		access_log(ev, "permit", /* compat */
		    arena_printf(ev->a->mem, "action=%.*s for %s=%.*s from %.*s",
			STR_ARG(action), from->cls, STR_ARG(from->subject),
			STR_ARG(from->table)));
	ev->v.what = ACCESS_OK;
	return RC_OK;
}

/* ---- replies ---- */

/* compat: what stands for an address in general is turned into what stands for this one;
 * address statuses do not fit what is no address. */
static struct str
fix_status(struct access_eval *ev, struct str dsn, const char *cls)
{
	static const char *const sender[] = { "0", "7", "8", "7", "7", "0", "7", "7",
		"8" };
	static const char *const recipient[] = { "0", "1", "2", "3", "4", "5", "6", "3",
		"2" };
	struct str detail = str_from(dsn, 4), fixed;
	unsigned n = detail.n == 1 ? (unsigned)(detail.p[0] - '0') : 9;

	if (dsn.n < 5 || dsn.p[2] != '1' || dsn.p[3] != '.' || str_is(detail, "0"))
		return dsn;
	if (str_is(str_c(cls), ACCESS_CLS_SENDER))
		fixed = arena_printf(
		    ev->a->mem, "%c.1.%s", dsn.p[0], n < 9 ? sender[n] : "0");
	else if (str_is(str_c(cls), ACCESS_CLS_RECIPIENT))
		fixed = arena_printf(
		    ev->a->mem, "%c.1.%s", dsn.p[0], n < 9 ? recipient[n] : "0");
	else
		fixed = arena_printf(ev->a->mem, "%c.0.0", dsn.p[0]);
	if (fixed.p == NULL || str_eq(fixed, dsn))
		return dsn;
	add_note(ev, ACCESS_INFO, NULL,
	    arena_printf(ev->a->mem, "mapping DSN status %.*s into %s status %.*s",
		STR_ARG(dsn), cls, STR_ARG(fixed))); /* compat */
	return fixed;
}

/* "d.d…d.d…d" at the front of `text`, followed by a blank or the end. */
static size_t
status_size(struct str text)
{
	size_t i = 1;

	if (text.n < 5 || (text.p[0] != '2' && text.p[0] != '4' && text.p[0] != '5'))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i >= text.n || text.p[i++] != '.')
			return 0;
		while (i < text.n && ascii_isdigit(text.p[i])) {
			i++;
			digits++;
		}
		if (digits == 0 || digits > 3)
			return 0;
	}
	return i == text.n || ascii_isspace(text.p[i]) ? i : 0;
}

struct str
access_split_status(
    struct access_eval *ev, const char *cls, const char *otherwise, struct str *text)
{
	size_t n = status_size(*text);
	struct str dsn = n > 0 ? str_head(*text, n) : str_c(otherwise);

	if (n > 0)
		*text = str_trim(str_from(*text, n));
	return fix_status(ev, dsn, cls);
}

/* Printable (compat: a blank for each byte that is not), with a status that agrees with
 * the code, at most REPLY_MAX bytes. */
static struct str
finish(struct access_eval *ev, struct str reply)
{
	char *to;
	size_t n = 0;

	if (reply.p == NULL)
		return STR("451 4.3.0 Server local error");
	if (reply.n < 4 || (reply.p[0] != '4' && reply.p[0] != '5') ||
	    reply.p[3] != ' ' || status_size(str_from(reply, 4)) == 0) {
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "SMTP reply code configuration error: %.*s",
				    STR_ARG(str_head(reply, REPLY_MAX))));
		return STR("450 4.7.1 Service unavailable");
	}
	to = arena_get(ev->a->mem, REPLY_MAX);
	if (to == NULL)
		return STR("451 4.3.0 Server local error");
	while (n < reply.n && n < REPLY_MAX) {
		size_t size = utf8_char_size(str_from(reply, n));

		if (n + size > REPLY_MAX)
			break;
		if (size > 1 && ev->c->utf8_ok) {
			for (size_t i = 0; i < size; i++, n++)
				to[n] = reply.p[n];
			continue;
		}
		to[n] = reply.p[n] >= ' ' && reply.p[n] < 127 ? reply.p[n] : ' ';
		n++;
	}
	if (ev->c->soft_bounce && to[0] == '5')
		to[0] = '4';
	to[4] = to[0];
	return str_n(to, n);
}

static void
set_reject(struct access_eval *ev, struct str reply)
{
	ev->v.what = ACCESS_REJECT;
	ev->v.reply = reply;
}

/* The reply is complete; what becomes of it depends on the state of the list. */
static void
conclude(struct access_eval *ev, struct str reply)
{
	if (ev->warning_depth > 0)
		access_log(ev, "reject_warning", reply);
	else if (ev->defer_if_reject.n > 0 && reply.p[0] == '5')
		set_reject(ev, ev->defer_if_reject);
	else
		set_reject(ev, reply);
}

/* Compat: replies show an address as the log does. */
static struct str
shown(const struct access_eval *ev, struct str subject)
{
	return ev->c->shows_internal ? addr_to_internal(subject, ev->a->mem) : subject;
}

static struct str
format(struct access_eval *ev, const struct access_reply *r)
{
	struct str subject = shown(ev, r->subject.p != NULL ? r->subject : ev->subject);
	struct str text, head;

	if (r->is_bare)
		text = r->words;
	else
		text = arena_printf(ev->a->mem, "<%.*s>: %s%s%.*s", STR_ARG(subject),
		    r->cls != NULL ? r->cls : "", r->cls != NULL ? " rejected: " : "",
		    STR_ARG(r->words));
	/* compat: a code that is none keeps the status of a refusal. */
	head = arena_printf(
	    ev->a->mem, "%u %u%s", r->code, r->code / 100 == 4 ? 4U : 5U, r->dsn);
	if (text.p == NULL || head.p == NULL)
		return (struct str){ NULL, 0 };
	return arena_printf(ev->a->mem, "%.*s %.*s", STR_ARG(head), STR_ARG(text));
}

enum rc
access_reject(struct access_eval *ev, const struct access_reply *r)
{
	conclude(ev, finish(ev, format(ev, r)));
	return RC_OK;
}

enum rc
access_defer_if_permit(struct access_eval *ev, const struct access_reply *r)
{
	struct str reply;

	if (ev->warning_depth == 0 && ev->state.defer_if_permit.n > 0)
		return RC_OK;
	reply = finish(ev, format(ev, r));
	if (ev->warning_depth > 0)
		access_log(ev, "reject_warning", reply);
	else
		ev->state.defer_if_permit = reply;
	return RC_OK;
}

enum rc
access_defer_if_reject(struct access_eval *ev, const struct access_reply *r)
{
	if (ev->defer_if_reject.n == 0)
		ev->defer_if_reject = finish(ev, format(ev, r));
	return RC_OK;
}

enum rc
access_tempfail(struct access_eval *ev, bool waits, const struct access_reply *r)
{
	return waits ? access_defer_if_permit(ev, r) : access_reject(ev, r);
}

void
access_lookup_trouble(struct access_eval *ev, struct str subject)
{
	struct str reply;

	access_warn_trouble(ev);
	reply = arena_printf(ev->a->mem, /* compat */
	    "451 4.3.0 <%.*s>: Temporary lookup failure", STR_ARG(shown(ev, subject)));
	ev->failed = true;
	set_reject(ev, finish(ev, reply));
}

void
access_config_trouble(struct access_eval *ev)
{
	ev->failed = true;
	set_reject(ev, STR("451 4.3.5 Server configuration error")); /* compat */
}
