#ifndef ROUTE_LIST_H
#define ROUTE_LIST_H
#include "addr/net.h"
#include "ask/ask.h"
#include "base/base.h"

/* Match lists: mydestination, relay_domains, mynetworks and their kind. Elements are
 * tried from left to right, the first one that fits decides, `!` in front turns it round.
 * Tables inside are questions. `/file` elements must have been replaced by the file's
 * content before (agent/decide does); one that is still there never matches and counts as
 * trouble. */

enum route_item_kind {
	ROUTE_ITEM_NAME,  /* a literal, compared without case; "*" is only a literal */
	ROUTE_ITEM_NET,   /* address/length or a bare address */
	ROUTE_ITEM_TABLE, /* type:name */
	ROUTE_ITEM_BAD,   /* cannot be read: the list answers RC_TEMP when it gets here */
};

struct route_item {
	enum route_item_kind kind;
	bool is_not;
	struct str text;     /* name or table */
	struct addr_net net; /* ROUTE_ITEM_NET */
};

enum route_list_kind {
	ROUTE_LIST_STRING,  /* mydestination: literal, or in a table, nothing more */
	ROUTE_LIST_DOMAIN,  /* ".dom" covers subdomains, tables are asked for ".parent" */
	ROUTE_LIST_PARENTS, /* the parameter is in parent_domain_matches_subdomains: "dom"
			     * covers subdomains, tables are asked for "parent" */
};

struct route_list {
	const struct route_item *v;
	unsigned n;
	enum route_list_kind kind;
};

/* Memory: the items in `mem`, with views of `text`.
 * Returns: RC_PERM unbalanced braces; bad networks become ROUTE_ITEM_BAD, text kept. */
MUST_USE enum rc route_list_parse(struct str text, enum route_list_kind kind,
    struct arena *mem, struct route_list *out, struct err *e);

/* RC_OK: in the list; RC_NONE: not; RC_MORE; RC_TEMP: a table failed. */
MUST_USE enum rc route_list_domain(
    struct ask *a, const struct route_list *l, struct str domain);
/* For lists of networks: `name` may be empty or "unknown"; `addr` is the textual address
 * without brackets. */
MUST_USE enum rc route_list_client(
    struct ask *a, const struct route_list *l, struct str name, struct str addr);
/* Whether `name` is in parent_domain_matches_subdomains (its text). */
bool route_parent_matches(struct str parent_domain_matches_subdomains, const char *name);
#endif
