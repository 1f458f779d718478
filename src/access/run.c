/* Running the lists of a stage. */
#include "access/access_int.h"

/* Of lists in lists. Results of tables stop at 100 (apply.c); classes that name each
 * other are what is left. */
#define DEPTH_MAX 200
/* Of restrictions in one stage: classes can name each other twice, and then twice again.
 */
#define STEPS_MAX 100000

static void
set_stage(struct access_eval *ev, enum access_stage stage)
{
	ev->stage = stage;
	switch (stage) {
	case ACCESS_CLIENT:
		ev->subject = access_client(ev);
		ev->cls = ACCESS_CLS_CLIENT;
		break;
	case ACCESS_HELO:
		ev->subject = ev->q->helo;
		ev->cls = ACCESS_CLS_HELO;
		break;
	case ACCESS_SENDER:
		ev->subject = access_shown(ev, ev->q->sender);
		ev->cls = ACCESS_CLS_SENDER;
		break;
	case ACCESS_RELAY:
	case ACCESS_RECIPIENT:
		ev->subject = access_shown(ev, ev->q->recipient);
		ev->cls = ACCESS_CLS_RECIPIENT;
		break;
	case ACCESS_DATA:
		ev->subject = STR("DATA");
		ev->cls = "Data command"; /* compat */
		break;
	case ACCESS_END_OF_DATA:
		ev->subject = STR("END-OF-MESSAGE");
		ev->cls = "End-of-data"; /* compat */
		break;
	case ACCESS_ETRN:
		ev->subject = ev->q->etrn_domain;
		ev->cls = ACCESS_CLS_ETRN;
		break;
	}
}

/* ---- the record for `explain` ---- */

static struct access_trace *
trace(struct access_eval *ev, struct str name, struct str arg)
{
	struct access_trace *t = arena_get(ev->a->mem, sizeof(*t));

	if (t == NULL)
		return NULL;
	*t = (struct access_trace){
		.stage = ev->stage, .depth = ev->depth, .name = name, .arg = arg
	};
	*ev->trace_end = t;
	ev->trace_end = &t->next;
	return t;
}

static void
trace_result(struct access_eval *ev, struct access_trace *t, bool was_waiting)
{
	if (ev->v.what == ACCESS_REJECT)
		t->result = ev->v.reply;
	else if (ev->v.what == ACCESS_OK)
		t->result = STR("OK");
	else if (!was_waiting && ev->state.defer_if_permit.n > 0)
		t->result = arena_printf(ev->a->mem, "if the lists permit: %.*s",
		    STR_ARG(ev->state.defer_if_permit));
	else
		t->result = STR("DUNNO");
}

/* ---- one restriction ---- */

static enum rc
config_trouble(struct access_eval *ev, struct str warning)
{
	access_warn(ev, warning);
	access_config_trouble(ev);
	return RC_OK;
}

static enum rc
run_class(struct access_eval *ev, const struct access_class *cls)
{
	enum rc rc;

	if (ev->depth >= DEPTH_MAX)
		return config_trouble(
		    ev, arena_printf(ev->a->mem,
			    "restriction class %.*s causes unreasonable recursion",
			    STR_ARG(cls->name)));
	ev->depth++;
	rc = access_run_items(ev, &cls->list);
	ev->depth--;
	return rc;
}

static bool
has_opinion(const struct access_eval *ev, unsigned flags)
{
	const struct access_request *q = ev->q;

	if ((flags & ACCESS_FOR_RECIPIENT) != 0 && q->recipient.n == 0)
		return false;
	if ((flags & ACCESS_FOR_SENDER) != 0 && q->sender.n == 0)
		return false;
	return (flags & ACCESS_FOR_HELO) == 0 || q->helo.n > 0;
}

static enum rc
run_restriction(struct access_eval *ev, const struct access_restriction *r)
{
	const struct access_item *it = ev->item;

	if ((r->flags & ACCESS_TABLE_ARG) != 0 && str_find(it->arg, ':') == it->arg.n)
		return config_trouble(ev,
		    arena_printf(ev->a->mem, /* compat */
			"restriction %.*s: bad argument \"%.*s\": need "
			"maptype:mapname",
			STR_ARG(it->name), STR_ARG(it->arg.n > 0 ? it->arg : it->name)));
	return has_opinion(ev, r->flags) ? r->fn(ev) : RC_OK;
}

/* ev->v.what says what came of it. */
static enum rc
run_item(struct access_eval *ev)
{
	const struct access_item *it = ev->item;
	const struct access_restriction *r =
	    it->is_bare ? access_bare_table(ev->stage) : it->r;

	if (it->cls != NULL)
		return run_class(ev, it->cls);
	if (it->is_bare && r == NULL)
		return config_trouble(
		    ev, arena_printf(ev->a->mem, /* compat */
			    "specify one of (check_client_access, "
			    "check_reverse_client_hostname_access, check_helo_access, "
			    "check_sender_access, check_recipient_access, "
			    "check_etrn_access) before %s restriction \"%.*s\"",
			    ev->cls, STR_ARG(it->name)));
	if (r == NULL)
		return config_trouble(
		    ev, arena_printf(ev->a->mem, "unknown smtpd restriction: \"%.*s\"",
			    STR_ARG(it->name))); /* compat */
	return run_restriction(ev, r);
}

/* What the record calls it: a table that stands alone by what it means. */
static struct str
name_of(const struct access_eval *ev, const struct access_item *it)
{
	const struct access_restriction *r =
	    it->is_bare ? access_bare_table(ev->stage) : NULL;

	return r != NULL ? str_c(r->name) : it->name;
}

static enum rc
run_traced(struct access_eval *ev)
{
	bool was_waiting = ev->state.defer_if_permit.n > 0;
	struct access_trace *t = NULL;
	enum rc rc;

	if (ev->q->wants_trace)
		t = trace(ev, name_of(ev, ev->item), ev->item->arg);
	rc = run_item(ev);
	if (t != NULL && rc == RC_OK)
		trace_result(ev, t, was_waiting);
	return rc;
}

/* ---- lists ---- */

static void
warn_unreachable(struct access_eval *ev, const struct access_list *l, unsigned i)
{
	const struct access_restriction *r = l->v[i].r;

	if (r != NULL && (r->flags & ACCESS_ENDS_LIST) != 0 && i + 1 < l->n)
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "restriction `%.*s' after `%.*s' is ignored",
				    STR_ARG(l->v[i + 1].name), STR_ARG(l->v[i].name)));
}

enum rc
access_run_items(struct access_eval *ev, const struct access_list *l)
{
	for (unsigned i = 0; i < l->n && !ev->state.is_discarding; i++) {
		enum rc rc;

		if (l->v[i].r != NULL && (l->v[i].r->flags & ACCESS_PREFIX) != 0) {
			if (ev->warning_depth == 0)
				ev->warning_depth = ev->depth + 1;
			continue;
		}
		ev->item = &l->v[i];
		if (ev->n_steps++ == STEPS_MAX)
			return config_trouble(ev, STR("too many restrictions"));
		rc = run_traced(ev);
		if (rc != RC_OK)
			return rc;
		if (ev->v.what != ACCESS_DUNNO)
			warn_unreachable(ev, l, i);
		if (ev->warning_depth == ev->depth + 1)
			ev->warning_depth = 0;
		if (ev->v.what != ACCESS_DUNNO)
			break;
		if (ev->defer_if_reject.n > 0 && ev->state.defer_if_permit.n > 0)
			break; /* whatever comes, the answer is a deferral */
	}
	if (ev->warning_depth == ev->depth + 1) /* nothing stood behind it */
		ev->warning_depth = 0;
	return RC_OK;
}

/* Runs one list up to the first opinion; a permit is an opinion on this list only. */
static enum rc
run_list(struct access_eval *ev, enum access_stage which)
{
	const struct access_list *l = &ev->c->list[which];

	ev->defer_if_reject = (struct str){ NULL, 0 };
	if (l->n == 0)
		return RC_OK;
	set_stage(ev, which);
	return access_run_items(ev, l);
}

/* What runs although no list names it. */
static enum rc
run_implied(struct access_eval *ev, access_fn *fn, const char *name)
{
	struct access_item it = { .name = str_c(name) };

	ev->item = &it;
	return fn(ev);
}

static enum rc
run_recipient(struct access_eval *ev)
{
	enum access_stage order[2] = { ACCESS_RELAY, ACCESS_RECIPIENT };
	enum rc rc;

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
		ev->v.what = ACCESS_REJECT;
		ev->v.reply = ev->state.defer_if_permit;
		return RC_OK;
	}
	ev->defer_if_reject = (struct str){ NULL, 0 };
	if (!ev->c->reject_unlisted_recipient || ev->state.is_discarding)
		return RC_OK;
	return run_implied(ev, access_unlisted_recipient, "reject_unlisted_recipient");
}

static enum rc
run_sender(struct access_eval *ev)
{
	enum rc rc = run_list(ev, ACCESS_SENDER);

	if (rc != RC_OK || ev->v.what == ACCESS_REJECT ||
	    !ev->c->reject_unlisted_sender || ev->state.is_discarding)
		return rc;
	return run_implied(ev, access_unlisted_sender, "reject_unlisted_sender");
}

enum rc
access_run(struct ask *a, const struct access_conf *c, enum access_stage stage,
    const struct access_request *q, struct access_state *state,
    struct access_verdict *out)
{
	struct access_text *prepend = NULL, *bcc = NULL;
	struct access_eval ev = {
		.a = a, .c = c, .q = q, .stage = stage, .state = *state
	};
	enum rc rc;

	ev.note_end = &ev.v.notes;
	ev.trace_end = &ev.v.trace;
	ev.prepend_end = &prepend;
	ev.bcc_end = &bcc;
	ev.state.is_discarding |= q->is_discarding;
	ev.state.is_held |= q->is_held;
	if (stage <= ACCESS_RECIPIENT && str_iis(q->recipient, "postmaster"))
		rc = RC_OK; /* compat: always reachable, whatever the client's name is */
	else if (stage == ACCESS_RELAY || stage == ACCESS_RECIPIENT)
		rc = run_recipient(&ev);
	else if (stage == ACCESS_SENDER)
		rc = run_sender(&ev);
	else
		rc = run_list(&ev, stage);
	if (rc != RC_OK)
		return rc;
	ev.v.fx.prepend = prepend;
	ev.v.fx.bcc = bcc;
	*state = ev.state;
	*out = ev.v;
	return RC_OK;
}
