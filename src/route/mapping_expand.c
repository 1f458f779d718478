/* Virtual aliases: an address becomes a list, each of whose addresses may be an alias
 * again. Breadth is bounded by virtual_alias_expansion_limit, depth by
 * virtual_alias_recursion_limit. */
#include "route/mapping.h"
#include "route/route_int.h"

#define TITLE "virtual_alias_maps"

enum rc
mapping_expansion_init(struct mapping_expansion *x, struct arena *mem, struct str address)
{
	*x = (struct mapping_expansion){ .mem = mem, .cap = 4, .n = 1 };
	x->v = arena_array(mem, x->cap, sizeof(*x->v));
	if (x->v == NULL)
		return RC_TEMP;
	x->v[0] = arena_str(mem, address);
	x->first = x->v[0];
	return x->first.p != NULL ? RC_OK : RC_TEMP;
}

/* One more in an array that doubles. */
static enum rc
push(struct arena *mem, struct str **v, size_t *n, size_t *cap, struct str s)
{
	if (*n == *cap) {
		size_t more = *cap == 0 ? 4 : *cap * 2;
		struct str *grown = arena_array(mem, more, sizeof(*grown));

		if (grown == NULL)
			return RC_TEMP;
		for (size_t i = 0; i < *n; i++)
			grown[i] = (*v)[i];
		*v = grown;
		*cap = more;
	}
	(*v)[*n] = arena_str(mem, s);
	if ((*v)[*n].p == NULL)
		return RC_TEMP;
	++*n;
	return RC_OK;
}

/* It became itself before: it stays. */
static bool
is_done(const struct mapping_expansion *x, struct str s)
{
	for (size_t i = 0; i < x->n_done; i++)
		if (str_ieq(x->done[i], s))
			return true;
	return false;
}

static enum rc
unreasonable(struct mapping_expansion *x, const char *what, struct err *e)
{
	x->is_loop = true;
	return err_set(e, RC_TEMP, /* compat */
	    "unreasonable " TITLE " %s for %.*s -- message not accepted, try again later",
	    what, STR_ARG(x->first));
}

static enum rc
too_long(struct mapping_expansion *x, struct str s, struct err *e)
{
	x->is_loop = true;
	return err_set(e, RC_TEMP, /* compat, but for the length that is shown */
	    "unreasonable " TITLE
	    " result %.*s... -- message not accepted, try again later",
	    STR_ARG(str_head(s, 100)));
}

static enum rc
take(const struct mapping_conf *c, struct mapping_expansion *x,
    const struct mapping_found *found, struct err *e)
{
	struct str before = x->v[x->at];
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < found->n; i++) {
		struct str s = found->v[i];

		if (s.n > c->virtual_length_limit)
			return too_long(x, s, e);
		if (i == 0) {
			x->v[x->at] = arena_str(x->mem, s);
			rc = x->v[x->at].p != NULL ? RC_OK : RC_TEMP;
		} else {
			rc = push(x->mem, &x->v, &x->n, &x->cap, s);
		}
		if (rc == RC_OK && str_ieq(s, before) && !is_done(x, before))
			rc = push(x->mem, &x->done, &x->n_done, &x->cap_done, before);
	}
	x->depth++;
	return rc == RC_OK ? rc : err_set(e, RC_TEMP, "memory limit");
}

enum rc
mapping_expansion_step(struct ask *a, const struct mapping_conf *c,
    struct mapping_expansion *x, struct err *e)
{
	const struct mapping_lookup how = { .route = c->route,
		.tables = &c->virtual_alias,
		.title = TITLE,
		.with_extension = (c->propagate & MAPPING_EXT_VIRTUAL) != 0 };
	struct mapping_found found;
	enum rc rc;

	while (x->at < x->n && is_done(x, x->v[x->at])) {
		x->at++;
		x->depth = 0;
	}
	if (x->at == x->n || c->virtual_alias.n == 0)
		return RC_NONE;
	if (x->depth == 0 && x->n > c->virtual_expansion_limit)
		return unreasonable(x, "map expansion size", e);
	if (x->depth >= c->virtual_recursion_limit)
		return unreasonable(x, "map nesting", e);
	rc = mapping_find(a, &how, x->v[x->at], &found, e);
	if (rc == RC_OK)
		return take(c, x, &found, e);
	if (rc == RC_TEMP)
		return mapping_trouble(rc, TITLE, x->first, e);
	if (rc == RC_NONE) {
		x->at++;
		x->depth = 0;
		rc = RC_OK;
	}
	return rc;
}

enum rc
mapping_expand(struct ask *a, const struct mapping_conf *c,
    const struct mapping_rcpt *rcpt, struct mapping_rcpts *out, struct err *e)
{
	struct mapping_expansion x;
	struct mapping_rcpt *v;
	enum rc rc = mapping_expansion_init(&x, a->mem, rcpt->address);

	if (rc != RC_OK)
		return err_set(e, rc, "memory limit");
	while (rc == RC_OK)
		rc = mapping_expansion_step(a, c, &x, e);
	if (rc != RC_NONE)
		return rc;
	v = arena_array(a->mem, x.n, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < x.n; i++) {
		v[i] = *rcpt;
		v[i].address = x.v[i];
	}
	*out = (struct mapping_rcpts){ v, x.n };
	return RC_OK;
}
