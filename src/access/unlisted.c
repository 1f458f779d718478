/* Where addresses go, and whether somebody is there: relay control and unlisted
 * addresses. */
#include "access/access_int.h"

enum rc
access_resolve_recipient(struct access_eval *ev, struct route *out)
{
	struct err e = { 0 };
	enum rc rc =
	    route_resolve(ev->a, ev->c->route, ev->q->sender, ev->q->recipient, out, &e);

	if (rc == RC_OK && out->warning.n > 0)
		access_warn(ev, out->warning);
	if (rc == RC_OK || rc == RC_MORE)
		return rc;
	access_lookup_trouble(ev, access_shown(ev, ev->q->recipient));
	return RC_TEMP;
}

/* A routed address (user%x@here) may go on to somewhere else, so it does not count unless
 * the administrator trusts such things. */
bool
access_is_auth_destination(const struct access_eval *ev, const struct route *r)
{
	if (r->is_routed && !ev->c->allow_untrusted_routing)
		return false;
	return r->cls != ROUTE_DEFAULT;
}

static unsigned
class_code(const struct access_conf *c, enum route_class cls)
{
	switch (cls) {
	case ROUTE_LOCAL:
		return c->unknown_local_recipient_reject_code;
	case ROUTE_VIRTUAL_ALIAS:
		return c->unknown_virtual_alias_reject_code;
	case ROUTE_VIRTUAL_MAILBOX:
		return c->unknown_virtual_mailbox_reject_code;
	case ROUTE_RELAY:
		return c->unknown_relay_recipient_reject_code;
	case ROUTE_DEFAULT:
		break;
	}
	return 550;
}

static enum rc
reject_unlisted(struct access_eval *ev, bool is_sender, struct str address)
{
	const struct route_candidate who = { .address = address,
		.other = is_sender ? ev->q->recipient : ev->q->sender,
		.is_sender = is_sender };
	struct access_reply r = { .cls = is_sender ? ACCESS_CLS_SENDER
						   : ACCESS_CLS_RECIPIENT };
	struct route_unlisted why;
	struct str dsn, none = STR("");
	enum rc rc;

	if (ev->c->no_unknown_recipient_checks)
		return RC_OK;
	rc = route_listed(ev->a, ev->c->route, &who, &why);
	if (rc == RC_OK || rc == RC_MORE)
		return rc;
	r.subject = access_shown(ev, address);
	if (rc != RC_NONE) {
		access_lookup_trouble(ev, r.subject);
		return RC_OK;
	}
	dsn = access_split_status(ev, r.cls, arena_cstr(ev->a->mem, why.dsn), &none);
	r.code = why.code_fixed ? why.code : class_code(ev->c, why.cls);
	r.dsn = arena_cstr(ev->a->mem, str_from(dsn, 1));
	if (r.dsn == NULL)
		r.dsn = ".1.0";
	r.words = why.text;
	return access_reject(ev, &r);
}

enum rc
access_unlisted_recipient(struct access_eval *ev)
{
	enum rc rc;

	if (ev->state.unlisted_done)
		return RC_OK;
	rc = reject_unlisted(ev, false, ev->q->recipient);
	if (rc == RC_OK && ev->warning_depth == 0)
		ev->state.unlisted_done = true;
	return rc;
}

enum rc
access_unlisted_sender(struct access_eval *ev)
{
	if (!ev->q->has_sender || ev->q->sender.n == 0)
		return RC_OK;
	return reject_unlisted(ev, true, ev->q->sender);
}
