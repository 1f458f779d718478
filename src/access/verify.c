/* Owns reject_unverified_sender and reject_unverified_recipient: what address
 * verification found out, to a verdict. */
#include "access/dns_int.h"

#define WORDS_MAX 250 /* compat: of what the other server said */

enum verify_status { VERIFY_OK = '0', VERIFY_DEFERRED, VERIFY_BOUNCED, VERIFY_PROBING };

/* What is different for senders and recipients. */
struct verify_kind {
	const char *source, *cls, *dsn;
	unsigned reject_code, defer_code;
	struct str reason;
	bool waits;
};

static enum rc
cannot_verify(struct access_eval *ev, struct access_reply r, struct str why)
{
	access_warn(ev, why);
	r.code = 450;
	r.words = STR("address verification problem"); /* compat */
	return access_reject(ev, &r);
}

/* "STATUS DSN TEXT" */
static enum rc
judge(struct access_eval *ev, const struct verify_kind *k, struct access_reply r,
    struct str found)
{
	struct str status = found, rest = STR(""), dsn, text = STR("");
	bool is_bounced;

	(void)str_cut(found, ' ', &status, &rest);
	if (!str_cut(rest, ' ', &dsn, &text))
		dsn = rest;
	if (status.n != 1 || status.p[0] < VERIFY_OK || status.p[0] > VERIFY_PROBING)
		return cannot_verify(ev, r, STR("bad address verification status"));
	if (status.p[0] == VERIFY_OK)
		return RC_OK;
	is_bounced = status.p[0] == VERIFY_BOUNCED;
	r.code = is_bounced ? k->reject_code : k->defer_code;
	if (r.code / 100 == 2)
		return RC_OK;
	if (status.p[0] == VERIFY_PROBING)
		text = STR("Address verification in progress");
	else if (k->reason.n > 0)
		text = k->reason;
	r.words = arena_printf(ev->a->mem, "%s address: %.*s", /* compat */
	    is_bounced && r.code >= 500 ? "undeliverable" : "unverified",
	    STR_ARG(str_head(text, WORDS_MAX)));
	if (is_bounced)
		return access_reject(ev, &r);
	return access_tempfail(ev, k->waits, &r);
}

static enum rc
check(struct access_eval *ev, const struct verify_kind *k, struct str address)
{
	const struct ask_question q = { ASK_VERIFY, 0, str_c(k->source), address };
	const struct access_reply r = {
		.dsn = k->dsn, .subject = access_shown(ev, address), .cls = k->cls
	};
	struct str found;
	enum rc rc = ask_get(ev->a, &q, &found);

	switch (rc) {
	case RC_MORE:
		return rc;
	case RC_OK:
		return judge(ev, k, r, found);
	case RC_NONE: /* an empty address */
		return RC_OK;
	case RC_TEMP:
	case RC_PERM:
		break;
	}
	return cannot_verify(ev, r, ask_trouble(ev->a, ev->a->mem));
}

enum rc
access_unverified_sender(struct access_eval *ev)
{
	const struct verify_kind kind = { .source = "sender",
		.cls = ACCESS_CLS_SENDER,
		.dsn = ".1.7",
		.reject_code = ev->c->unverified_sender_reject_code,
		.defer_code = ev->c->unverified_sender_defer_code,
		.reason = ev->c->unverified_sender_reject_reason,
		.waits = ev->c->unverified_sender_waits };

	return check(ev, &kind, ev->q->sender);
}

enum rc
access_unverified_recipient(struct access_eval *ev)
{
	const struct verify_kind kind = { .source = "recipient",
		.cls = ACCESS_CLS_RECIPIENT,
		.dsn = ".1.1",
		.reject_code = ev->c->unverified_recipient_reject_code,
		.defer_code = ev->c->unverified_recipient_defer_code,
		.reason = ev->c->unverified_recipient_reject_reason,
		.waits = ev->c->unverified_recipient_waits };

	return check(ev, &kind, ev->q->recipient);
}
