#ifndef MAP_PLUGIN_LDAP_EXPAND_H
#define MAP_PLUGIN_LDAP_EXPAND_H
/* What an answer is made of: which attributes of an entry count, and the entries that
 * special result attributes lead to. */
#include "map/plugin/ldap_link.h"

#define LDAP_ATTRIBUTES_MAX 200

/* What an attribute is, by the setting that names it; the first of them counts. */
enum ldap_rank {
	LDAP_TERMINAL,
	LDAP_LEAF,
	LDAP_REGULAR,
	LDAP_SPECIAL,
	LDAP_RANKS,
};

struct ldap_expand_conf {
	char **attributes; /* NULL-terminated */
	enum ldap_rank rank[LDAP_ATTRIBUTES_MAX];
	size_t n_attributes;
	int64_t recursion_limit, expansion_limit; /* of the latter 0: none */
};

/* One look-up under way. */
struct ldap_expand {
	const struct ldap_expand_conf *conf;
	struct ldap_link *link;
	struct map_rows rows; /* the answer so far */
	struct arena *mem; /* all entries of the look-up: its limit ends every circle */
	int64_t depth, n_values;
	struct err *e;
};

/* Adds what was found to the rows, and what that leads to.
 * Returns: RC_TEMP a limit, or no server answered; logged. Blocks: as searches do. */
MUST_USE enum rc ldap_expand_found(struct ldap_expand *x, const struct ldap_found *found);
#endif
