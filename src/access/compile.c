#include "access/access_int.h"

/* The restriction that a bare table stands for; it depends on the list, and none of them
 * is available, so one row is enough. */
static const struct access_restriction bare_table = { "check_access", NULL, 0 };

static bool
is_table(struct str token)
{
	return str_find(token, ':') != token.n;
}

enum rc
access_compile(struct str text, const struct access_classes *classes, struct arena *mem,
    struct access_list *out, struct err *e)
{
	struct ask_tables tokens;
	struct access_item *v;
	unsigned n = 0;
	enum rc rc = ask_tables_parse(text, mem, &tokens, e);

	(void)classes; /* no class has a name so far */
	if (rc != RC_OK)
		return rc;
	v = arena_array(mem, tokens.n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (unsigned i = 0; i < tokens.n; i++) {
		struct access_item *it = &v[n++];

		it->name = tokens.v[i];
		it->r =
		    is_table(it->name) ? &bare_table : access_restriction_find(it->name);
		if (it->r != NULL && (it->r->flags & ACCESS_TAKES_ARG) != 0 &&
		    i + 1 < tokens.n)
			it->arg = tokens.v[++i];
	}
	*out = (struct access_list){ .v = v, .n = n };
	return RC_OK;
}

enum rc
access_missing(const struct access_list *l, unsigned *at, struct str *out, bool *is_known)
{
	bool is_prefixed = false;

	while (*at < l->n) {
		const struct access_item *it = &l->v[(*at)++];

		if (it->r == NULL ||
		    (it->r->fn == NULL && (it->r->flags & ACCESS_PREFIX) == 0)) {
			*out = it->name;
			*is_known = it->r != NULL;
			return RC_OK;
		}
		if ((it->r->flags & ACCESS_ENDS_LIST) != 0 && !is_prefixed)
			*at = l->n;
		is_prefixed = (it->r->flags & ACCESS_PREFIX) != 0;
	}
	return RC_NONE;
}

static bool
protects(const struct access_list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct access_restriction *r = l->v[i].r;

		if (r == NULL)
			continue;
		if ((r->flags & ACCESS_PREFIX) != 0)
			i++; /* what only warns protects nobody */
		else if ((r->flags & ACCESS_PROTECTS) != 0)
			return true;
		else if ((r->flags & ACCESS_ENDS_LIST) != 0)
			return false;
	}
	return false;
}

enum rc
access_check_relay(const struct access_conf *c, struct err *e)
{
	if (protects(&c->list[ACCESS_RELAY]) || protects(&c->list[ACCESS_RECIPIENT]))
		return RC_OK;
	return err_set(e, RC_PERM, /* compat */
	    "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
	    "specify at "
	    "least one working instance of: reject_unauth_destination, "
	    "defer_unauth_destination, reject, defer, defer_if_permit or "
	    "check_relay_domains");
}
