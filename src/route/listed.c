/* Is an address known? The order of reject_unlisted_recipient (spec: restrictions.md 7).
 */
#include "addr/address.h"
#include "route/route_int.h"

/* "4.2.1 try later" without its code; when there is none, `otherwise`. compat: of another
 * class than the reply the code counts, too, all but its first digit. */
static void
split_dsn(struct str text, struct str otherwise, struct route_unlisted *out)
{
	struct str head, rest, parts = text;
	unsigned dots = 0;
	bool is_code = str_cut(parts, ' ', &head, &rest) && head.n >= 5;

	for (size_t i = 0; is_code && i < head.n; i++) {
		dots += head.p[i] == '.';
		is_code = head.p[i] == '.' || ascii_isdigit(head.p[i]);
	}
	is_code = is_code && dots == 2 && head.p[1] == '.' &&
		  (head.p[0] == '2' || head.p[0] == '4' || head.p[0] == '5');
	out->dsn = is_code ? head : otherwise;
	out->text = is_code ? str_trim(rest) : text;
}

/* What is rewritten or expanded before delivery is known, whatever its class. */
static enum rc
in_rewriting_maps(
    struct ask *a, const struct route_conf *c, bool is_sender, struct str address)
{
	const struct ask_tables *maps[] = { &c->recipient_canonical_maps,
		is_sender ? &c->sender_canonical_maps : NULL, &c->canonical_maps,
		&c->virtual_alias_maps };
	struct str unused;

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		enum rc rc = maps[i] == NULL
				 ? RC_NONE
				 : route_find(a, c, maps[i], address, &unused);

		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

static bool
is_always_local(const struct route_conf *c, struct str recipient, struct arena *mem)
{
	struct str local, domain;

	addr_split(addr_to_internal(recipient, mem), &local, &domain);
	return str_ieq(local, c->double_bounce_sender) || str_iis(local, "postmaster") ||
	       str_iis(local, "mailer-daemon");
}

static const struct ask_tables *
class_tables(const struct route_conf *c, enum route_class cls, const char **out_name)
{
	switch (cls) {
	case ROUTE_LOCAL:
		*out_name = " in local recipient table";
		return &c->local_recipient_maps;
	case ROUTE_VIRTUAL_MAILBOX:
		*out_name = " in virtual mailbox table";
		return &c->virtual_mailbox_maps;
	case ROUTE_RELAY:
		*out_name = " in relay recipient table";
		return &c->relay_recipient_maps;
	case ROUTE_VIRTUAL_ALIAS:
	case ROUTE_DEFAULT:
		break;
	}
	return NULL;
}

static enum rc
in_class_tables(struct ask *a, const struct route_conf *c, const struct route *r,
    struct route_unlisted *out)
{
	const char *name = "";
	const struct ask_tables *t = class_tables(c, r->cls, &name);
	struct str unused;
	enum rc rc;

	if (t == NULL || t->n == 0)
		return RC_OK;
	if (r->cls == ROUTE_LOCAL && is_always_local(c, r->recipient, a->mem))
		return RC_OK;
	rc = route_find(a, c, t, r->recipient, &unused);
	if (rc != RC_NONE)
		return rc;
	out->text = arena_printf(a->mem, "User unknown%s", /* compat */
	    c->show_user_unknown_table_name ? name : "");
	return out->text.p == NULL ? RC_TEMP : RC_NONE;
}

enum rc
route_listed(struct ask *a, const struct route_conf *c, const struct route_candidate *who,
    struct route_unlisted *out_why)
{
	struct route_unlisted why = { .code = 550 };
	struct str dsn5 = who->is_sender ? STR("5.1.0") : STR("5.1.1");
	struct str dsn4 = who->is_sender ? STR("4.1.0") : STR("4.1.1");
	struct route r;
	enum rc rc = route_resolve(a, c, who->other, who->address, &r, NULL);

	if (rc == RC_OK)
		rc = in_rewriting_maps(a, c, who->is_sender, r.recipient);
	else if (rc == RC_NONE)
		rc = RC_TEMP;
	if (rc != RC_NONE)
		return rc;
	why.cls = r.cls;
	why.dsn = dsn5;
	if (str_is(r.transport, "error")) {
		split_dsn(r.nexthop, dsn5, &why);
		why.code_fixed = r.cls != ROUTE_VIRTUAL_ALIAS;
	} else if (str_is(r.transport, "retry")) {
		split_dsn(r.nexthop, dsn4, &why);
		why.code = 450;
		why.code_fixed = true;
	} else {
		rc = in_class_tables(a, c, &r, &why);
	}
	if (rc == RC_NONE)
		*out_why = why;
	return rc;
}
