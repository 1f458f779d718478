/* Running the lists of a stage, and making replies. */
#include "access/access_int.h"
#include "addr/address.h"

static const char *
class_name(enum access_stage stage)
{
	switch (stage) { /* compat */
	case ACCESS_CLIENT:
		return "Client host";
	case ACCESS_HELO:
		return "Helo command";
	case ACCESS_SENDER:
		return "Sender address";
	case ACCESS_RELAY:
	case ACCESS_RECIPIENT:
		return "Recipient address";
	case ACCESS_DATA:
		return "Data command";
	case ACCESS_END_OF_DATA:
		return "End-of-data";
	case ACCESS_ETRN:
		return "Etrn command";
	}
	return "";
}

struct str
access_shown(const struct access_eval *ev, struct str address)
{
	struct str internal = addr_to_internal(address, ev->a->mem);

	return internal.p != NULL ? internal : address;
}

struct str
access_subject(const struct access_eval *ev)
{
	switch (ev->stage) {
	case ACCESS_CLIENT:
		return arena_printf(ev->a->mem, "%.*s[%.*s]", STR_ARG(ev->q->client_name),
		    STR_ARG(ev->q->client_addr));
	case ACCESS_HELO:
		return ev->q->helo;
	case ACCESS_SENDER:
		return access_shown(ev, ev->q->sender);
	case ACCESS_RELAY:
	case ACCESS_RECIPIENT:
		return access_shown(ev, ev->q->recipient);
	case ACCESS_DATA:
		return STR("DATA");
	case ACCESS_END_OF_DATA:
		return STR("END-OF-MESSAGE");
	case ACCESS_ETRN:
		return ev->q->etrn_domain;
	}
	return STR("");
}

static void
add_note(struct access_eval *ev, const char *verb, struct str text)
{
	struct access_note *n = arena_get(ev->a->mem, sizeof(*n));

	if (n == NULL)
		return; /* one log line less */
	n->what = verb != NULL ? ACCESS_LINE : ACCESS_WARNING;
	n->verb = verb;
	n->text = text;
	*ev->note_end = n;
	ev->note_end = &n->next;
}

void
access_warn(struct access_eval *ev, struct str text)
{
	add_note(ev, NULL, text);
}

enum rc
access_permit(struct access_eval *ev)
{
	ev->v.what = ACCESS_OK;
	return RC_OK;
}

struct str
access_rejected(struct access_eval *ev, const char *text)
{
	return arena_printf(
	    ev->a->mem, "%s rejected: %s", class_name(ev->stage), text); /* compat */
}

static void
set_reject(struct access_eval *ev, struct str reply)
{
	ev->v.what = ACCESS_REJECT;
	ev->v.reply = reply.p != NULL ? reply : STR("451 4.3.0 Server local error");
}

enum rc
access_reject(struct access_eval *ev, const struct access_reply *r)
{
	struct str subject = r->subject.p != NULL ? r->subject : access_subject(ev);
	unsigned code = r->code >= 400 && r->code <= 599 ? r->code : 450;

	if (ev->c->soft_bounce && code >= 500)
		code -= 100;
	set_reject(ev, arena_printf(ev->a->mem, "%u %u%s <%.*s>: %.*s", code, code / 100,
			   r->dsn, STR_ARG(subject), STR_ARG(r->words)));
	return RC_OK;
}

void
access_lookup_trouble(struct access_eval *ev)
{
	struct str subject = access_subject(ev), why = ask_trouble(ev->a, ev->a->mem);

	access_warn(ev, why);
	ev->failed = true;
	set_reject(
	    ev, arena_printf(ev->a->mem, /* compat */
		    "451 4.3.0 <%.*s>: Temporary lookup failure", STR_ARG(subject)));
}

void
access_config_trouble(struct access_eval *ev)
{
	ev->failed = true;
	set_reject(ev, STR("451 4.3.5 Server configuration error")); /* compat */
}

/* One restriction; ev->v.what says what came of it. */
static enum rc
run_item(struct access_eval *ev, const struct access_item *it)
{
	if (it->r == NULL) {
		access_warn(
		    ev, arena_printf(ev->a->mem, "unknown smtpd restriction: \"%.*s\"",
			    STR_ARG(it->name))); /* compat */
		access_config_trouble(ev);
		return RC_OK;
	}
	if (it->r->fn == NULL) {
		access_warn(
		    ev, arena_printf(ev->a->mem,
			    "restriction \"%.*s\" is not available in this version",
			    STR_ARG(it->name)));
		access_config_trouble(ev);
		return RC_OK;
	}
	if ((it->r->flags & ACCESS_FOR_RECIPIENT) != 0 && ev->q->recipient.n == 0)
		return RC_OK;
	return it->r->fn(ev);
}

/* A reject under warn_if_reject is only noted. */
static void
soften(struct access_eval *ev)
{
	if (ev->v.what != ACCESS_REJECT)
		return;
	if (ev->warning_depth > 0 && !ev->failed) {
		add_note(ev, "reject_warning", ev->v.reply);
		ev->v.what = ACCESS_DUNNO;
		ev->v.reply = (struct str){ NULL, 0 };
	} else if (ev->defer_if_reject.n > 0 && ev->v.reply.p[0] == '5') {
		ev->v.reply = ev->defer_if_reject;
	}
}

static void
warn_unreachable(struct access_eval *ev, const struct access_list *l, unsigned i)
{
	if ((l->v[i].r->flags & ACCESS_ENDS_LIST) != 0 && i + 1 < l->n &&
	    ev->warning_depth == 0)
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "restriction `%.*s' after `%.*s' is ignored",
				    STR_ARG(l->v[i + 1].name), STR_ARG(l->v[i].name)));
}

/* Runs one list up to the first opinion; a permit is an opinion on this list only. */
static enum rc
run_list(struct access_eval *ev, enum access_stage which)
{
	const struct access_list *l = &ev->c->list[which];

	ev->defer_if_reject = (struct str){ NULL, 0 };
	ev->warning_depth = 0;
	for (unsigned i = 0; i < l->n && ev->v.what == ACCESS_DUNNO; i++) {
		enum rc rc;

		if (l->v[i].r != NULL && (l->v[i].r->flags & ACCESS_PREFIX) != 0) {
			ev->warning_depth = 1;
			continue;
		}
		rc = run_item(ev, &l->v[i]);
		if (rc != RC_OK)
			return rc;
		soften(ev);
		if (ev->v.what != ACCESS_DUNNO && l->v[i].r != NULL)
			warn_unreachable(ev, l, i);
		ev->warning_depth = 0;
		if (ev->defer_if_reject.n > 0 && ev->state.defer_if_permit.n > 0)
			break; /* whatever comes, the answer is a deferral */
	}
	ev->warning_depth = 0;
	return RC_OK;
}

static enum rc
run_recipient(struct access_eval *ev)
{
	enum access_stage order[2] = { ACCESS_RELAY, ACCESS_RECIPIENT };
	enum rc rc;

	if (str_iis(ev->q->recipient, "postmaster")) /* compat: always reachable */
		return RC_OK;
	if (!ev->c->relay_before_recipient) {
		order[0] = ACCESS_RECIPIENT;
		order[1] = ACCESS_RELAY;
	}
	ev->state.unlisted_done = false;
	for (int i = 0; i < 2; i++) {
		ev->v.what = ACCESS_DUNNO;
		rc = run_list(ev, order[i]);
		if (rc != RC_OK || ev->v.what == ACCESS_REJECT)
			return rc;
	}
	if (ev->state.defer_if_permit.n > 0) {
		set_reject(ev, ev->state.defer_if_permit);
		return RC_OK;
	}
	if (!ev->c->reject_unlisted_recipient || ev->q->is_discarding)
		return RC_OK;
	return access_unlisted_recipient(ev);
}

static enum rc
run_sender(struct access_eval *ev)
{
	enum rc rc = run_list(ev, ACCESS_SENDER);

	if (rc != RC_OK || ev->v.what == ACCESS_REJECT || !ev->c->reject_unlisted_sender)
		return rc;
	return access_unlisted_sender(ev);
}

enum rc
access_run(struct ask *a, const struct access_conf *c, enum access_stage stage,
    const struct access_request *q, struct access_state *state,
    struct access_verdict *out)
{
	struct access_eval ev = {
		.a = a, .c = c, .q = q, .stage = stage, .state = *state
	};
	enum rc rc;

	ev.note_end = &ev.v.notes;
	if (stage == ACCESS_RELAY || stage == ACCESS_RECIPIENT)
		rc = run_recipient(&ev);
	else if (stage == ACCESS_SENDER)
		rc = run_sender(&ev);
	else
		rc = run_list(&ev, stage);
	if (rc != RC_OK)
		return rc;
	*state = ev.state;
	*out = ev.v;
	return RC_OK;
}
