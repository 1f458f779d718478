/* Who may use which sender address: smtpd_sender_login_maps. */
#include "access/access_int.h"

/* compat */
#define OWNER_SEPARATORS ", \t\r\n"

/* The owners of the sender. RC_OK, RC_NONE, RC_MORE; RC_TEMP: the verdict is set. */
static enum rc
owners_of_sender(struct access_eval *ev, struct str *out)
{
	struct str address;
	enum rc rc = route_rewrite(ev->c->route, ev->q->sender, ev->a->mem, &address);

	if (rc == RC_OK)
		rc = route_find(
		    ev->a, ev->c->route, &ev->c->sender_login_maps, address, out);
	if (rc == RC_OK || rc == RC_NONE || rc == RC_MORE)
		return rc;
	access_lookup_trouble(ev, access_shown(ev, ev->q->sender));
	return RC_TEMP;
}

static enum rc
refuse(struct access_eval *ev, struct str words)
{
	const struct access_reply r = { .code = 553,
		.dsn = ".7.1",
		.words = words,
		.subject = access_shown(ev, ev->q->sender),
		.cls = ACCESS_CLS_SENDER };

	return access_reject(ev, &r);
}

static bool
is_owner(struct str owners, struct str login)
{
	struct str owner;

	while (str_token(&owners, OWNER_SEPARATORS, &owner))
		if (str_ieq(owner, login))
			return true;
	return false;
}

/* Logged in, and the sender is somebody else's. A sender that nobody owns counts as
 * somebody else's unless `allows_unknown`. */
static enum rc
check_login(struct access_eval *ev, bool allows_unknown)
{
	struct str owners = STR("");
	enum rc rc;

	if (ev->q->sasl_username.n == 0)
		return RC_OK;
	rc = owners_of_sender(ev, &owners);
	if (rc == RC_MORE)
		return rc;
	if (rc == RC_TEMP || (rc == RC_NONE && allows_unknown) ||
	    is_owner(owners, ev->q->sasl_username))
		return RC_OK;
	return refuse(ev, arena_printf(ev->a->mem, "not owned by user %.*s",
			      STR_ARG(ev->q->sasl_username)));
}

static enum rc
check_stranger(struct access_eval *ev)
{
	struct str owners;
	enum rc rc;

	if (ev->q->sasl_username.n > 0)
		return RC_OK;
	rc = owners_of_sender(ev, &owners);
	if (rc == RC_OK)
		return refuse(ev, STR("not logged in"));
	return rc == RC_MORE ? rc : RC_OK;
}

bool
access_has_sasl(struct access_eval *ev, const char *name)
{
	if (ev->c->sasl_auth_enable)
		return true;
	access_warn(ev,
	    arena_printf(ev->a->mem, "restriction `%s' ignored: no SASL support", name));
	return false;
}

enum rc
access_login_mismatch_auth(struct access_eval *ev)
{
	if (!access_has_sasl(ev, "reject_authenticated_sender_login_mismatch"))
		return RC_OK;
	return check_login(ev, false);
}

enum rc
access_login_mismatch_unauth(struct access_eval *ev)
{
	if (!access_has_sasl(ev, "reject_unauthenticated_sender_login_mismatch"))
		return RC_OK;
	return check_stranger(ev);
}

enum rc
access_login_mismatch_known(struct access_eval *ev)
{
	enum rc rc;

	if (!access_has_sasl(ev, "reject_known_sender_login_mismatch"))
		return RC_OK;
	rc = check_login(ev, true);
	if (rc != RC_OK || ev->v.what != ACCESS_DUNNO)
		return rc;
	return check_stranger(ev);
}

enum rc
access_login_mismatch(struct access_eval *ev)
{
	enum rc rc = access_login_mismatch_auth(ev);

	if (rc != RC_OK || ev->v.what != ACCESS_DUNNO)
		return rc;
	return access_login_mismatch_unauth(ev);
}
