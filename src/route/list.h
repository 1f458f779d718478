#ifndef ROUTE_LIST_H
#define ROUTE_LIST_H
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
	struct str text;          /* name or table */
	unsigned char net[16];    /* ROUTE_ITEM_NET; IPv4 uses the first four bytes */
	unsigned char addr_bytes; /* 4 or 16 */
	unsigned char bits;
};

struct route_list {
	const struct route_item *v;
	unsigned n;
	/* The parameter is in parent_domain_matches_subdomains: "dom" also covers its
	 * subdomains, and tables are asked for parents without a dot in front. */
	bool parents;
};

/* Memory: everything in `mem`, which also must outlive `text`'s copy: views into `text`.
 * Returns: RC_PERM unbalanced braces; bad nets become ROUTE_ITEM_BAD with the text kept.
 */
MUST_USE enum rc route_list_parse(struct str text, bool parents, struct arena *mem,
    struct route_list *out, struct err *e);

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
