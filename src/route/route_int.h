#ifndef ROUTE_ROUTE_INT_H
#define ROUTE_ROUTE_INT_H
#include "route/route.h"

/* @a,@b:user@c without the route. */
struct str route_strip(struct str s);
/* Whether a local part (external form) still has an @, %, ! that means a domain. */
bool route_has_operator(const struct route_conf *c, struct str local);

/* RC_OK: `domain` (or [literal]) is this host's. */
MUST_USE enum rc route_is_local(
    struct ask *a, const struct route_conf *c, struct str domain);

/* The tables' failure as an error text. */
enum rc route_trouble(struct ask *a, struct err *e);

/* An address in the forms a search needs. */
struct route_keys {
	struct str external,
	    internal;     /* whole address; internal empty when it is the same */
	struct str local; /* internal local part */
	struct str user;  /* without extension; local when there is none */
	struct str domain;
	bool has_extension;
};
MUST_USE enum rc route_keys_make(const struct route_conf *c, struct str address,
    struct arena *mem, struct route_keys *out);
/* user+ext@domain in both forms, then user@domain. */
MUST_USE enum rc route_find_full(struct ask *a, const struct ask_tables *tables,
    const struct route_keys *k, struct str *out);

/* route_find(), and what the key that was found left out of the address: its extension
 * with the delimiter, or empty. Memory: in a->mem. */
struct route_found {
	struct str value, extension;
};
MUST_USE enum rc route_find_rest(struct ask *a, const struct route_conf *c,
    const struct ask_tables *tables, struct str address, struct route_found *out);
/* A table failed (RC_TEMP) on the way of a message: what mapping_find() said stays the
 * first line of e, the second is the one that the message gets in the log. */
enum rc mapping_trouble(enum rc rc, const char *title, struct str address, struct err *e);
#endif
