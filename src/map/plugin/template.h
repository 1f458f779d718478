#ifndef MAP_PLUGIN_TEMPLATE_H
#define MAP_PLUGIN_TEMPLATE_H
/* Templates of queries and results. Pure.
 *
 *   %s the text itself; %u, %d its part before and behind the last "@"
 *   %S %U %D the same of the key, also in a result; %1 … %9 the key's domain, from its
 *   last label on; %% a percent sign */
#include "base/base.h"
#include "base/buf.h"

/* Puts `raw` so that it is data and nothing else where it stands. RC_TEMP: no room;
 * RC_PERM: it cannot stand there. */
typedef enum rc map_quote_fn(void *ctx, struct str raw, struct buf *out);

struct map_template {
	struct str text; /* must outlive it */
	bool is_result;
	unsigned n_labels;                 /* the highest of %1 … %9 */
	bool has_user, has_domain;         /* %u, %d */
	bool has_key_user, has_key_domain; /* %U, %D or a label */
};

/* Returns: RC_PERM "%x" of no meaning ("Invalid query template: …"). */
MUST_USE enum rc map_template_parse(
    struct str text, bool is_result, struct map_template *out, struct err *e);

struct map_fill {
	struct str key;
	struct str value;    /* of results */
	map_quote_fn *quote; /* NULL: as it is */
	void *ctx;
};

/* Appends to *out, all or nothing.
 * Returns: RC_NONE the key (or the value) lacks a part that the template needs: there is
 * no query, or nothing of this value; RC_TEMP no room; RC_PERM as `quote` said. */
MUST_USE enum rc map_template_fill(
    const struct map_template *t, const struct map_fill *fill, struct buf *out);
/* RFC 3629. Keys that are none are looked up nowhere: engines would reject them. */
bool map_utf8_is_valid(struct str s);
#endif
