/* Texts of lists to items, and what can be said of lists before a client comes. */
#include "access/access_int.h"

/* Classes that name each other are walked at most this far. */
#define STEPS_MAX 1000

static bool
is_table(struct str token)
{
	return str_find(token, ':') != token.n;
}

static const struct access_class *
find_class(const struct access_classes *classes, struct str name)
{
	for (unsigned i = 0; classes != NULL && i < classes->n; i++)
		if (str_eq(classes->v[i].name, name)) /* compat: with regard to case */
			return &classes->v[i];
	return NULL;
}

enum rc
access_words(struct str text, struct arena *mem, struct ask_tables *out,
    struct access_item **out_items, struct err *e)
{
	enum rc rc = ask_tables_parse(text, mem, out, e);

	if (rc != RC_OK)
		return rc;
	*out_items = arena_array(mem, out->n + 1, sizeof(**out_items));
	return *out_items != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}

enum rc
access_compile(struct str text, const struct access_classes *classes, struct arena *mem,
    struct access_list *out, struct err *e)
{
	struct ask_tables tokens;
	struct access_item *v;
	unsigned n = 0;
	enum rc rc = access_words(text, mem, &tokens, &v, e);

	if (rc != RC_OK)
		return rc;
	for (unsigned i = 0; i < tokens.n; i++) {
		struct access_item *it = &v[n++];

		it->name = tokens.v[i];
		if (is_table(it->name)) {
			it->is_bare = true;
			it->arg = it->name;
			continue;
		}
		it->r = access_restriction_find(it->name);
		if (it->r == NULL)
			it->cls = find_class(classes, it->name);
		else if ((it->r->flags & ACCESS_TAKES_ARG) != 0 && i + 1 < tokens.n)
			it->arg = tokens.v[++i];
	}
	*out = (struct access_list){ .v = v, .n = n };
	return RC_OK;
}

/* ---- what the lists name ---- */

struct str
access_table_of(struct str arg)
{
	struct str rest, table;

	if (arg.n < 2 || arg.p[0] != '{' || arg.p[arg.n - 1] != '}')
		return arg;
	rest = str_n(arg.p + 1, arg.n - 2);
	return ask_token(&rest, &table) == RC_OK ? table : arg;
}

enum rc
access_each_table(
    const struct access_list *l, access_table_fn *fn, void *arg, struct err *e)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct access_item *it = &l->v[i];
		enum rc rc = RC_OK;

		if ((it->is_bare ||
			(it->r != NULL && (it->r->flags & ACCESS_TABLE_ARG) != 0)) &&
		    is_table(it->arg))
			rc = fn(arg, access_table_of(it->arg), e);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc
access_each_service(
    const struct access_list *l, access_table_fn *fn, void *arg, struct err *e)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct access_item *it = &l->v[i];
		enum rc rc = RC_OK;

		if (it->r != NULL && str_is(str_c(it->r->name), "check_policy_service"))
			rc = fn(arg, it->arg, e);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc
access_unknown(const struct access_list *l, unsigned *at, struct str *out)
{
	bool is_prefixed = false;

	while (*at < l->n) {
		const struct access_item *it = &l->v[(*at)++];
		unsigned flags = it->r != NULL ? it->r->flags : 0;

		if (it->r == NULL && it->cls == NULL && !it->is_bare) {
			*out = it->name;
			return RC_OK;
		}
		if ((flags & ACCESS_ENDS_LIST) != 0 && !is_prefixed)
			*at = l->n;
		is_prefixed = (flags & ACCESS_PREFIX) != 0;
	}
	return RC_NONE;
}

enum rc
access_tableless(
    const struct access_list *l, unsigned *at, struct str *name, struct str *arg)
{
	while (*at < l->n) {
		const struct access_item *it = &l->v[(*at)++];

		if (it->r != NULL && (it->r->flags & ACCESS_TABLE_ARG) != 0 &&
		    !is_table(access_table_of(it->arg))) {
			*name = it->name;
			*arg = it->arg;
			return RC_OK;
		}
	}
	return RC_NONE;
}

/* ---- relay control ---- */

enum protection { NO_PROTECTION, PROTECTED, ENDED };

static enum protection
protects(const struct access_list *l, unsigned *steps)
{
	for (unsigned i = 0; i < l->n && (*steps)++ < STEPS_MAX; i++) {
		const struct access_restriction *r = l->v[i].r;

		if (l->v[i].cls != NULL) {
			enum protection p = protects(&l->v[i].cls->list, steps);

			if (p != NO_PROTECTION)
				return p;
			continue;
		}
		if (r == NULL)
			continue;
		if ((r->flags & ACCESS_PREFIX) != 0)
			i++; /* what only warns protects nobody */
		else if ((r->flags & ACCESS_PROTECTS) != 0)
			return PROTECTED;
		else if ((r->flags & ACCESS_ENDS_LIST) != 0)
			return ENDED;
	}
	return NO_PROTECTION;
}

enum rc
access_check_relay(const struct access_conf *c, struct err *e)
{
	unsigned steps = 0;

	if (protects(&c->list[ACCESS_RELAY], &steps) == PROTECTED ||
	    protects(&c->list[ACCESS_RECIPIENT], &steps) == PROTECTED)
		return RC_OK;
	return err_set(e, RC_PERM, /* compat */
	    "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
	    "specify at least one working instance of: reject_unauth_destination, "
	    "defer_unauth_destination, reject, defer, defer_if_permit or "
	    "check_relay_domains");
}
