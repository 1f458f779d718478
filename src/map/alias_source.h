#ifndef MAP_ALIAS_SOURCE_H
#define MAP_ALIAS_SOURCE_H
#include "map/source.h"

/* The text of alias databases, aliases(5): `name: value, value ...`, in the lines of
 * source.h. Name and values are RFC 822 tokens: "quoted strings", (comments), [literals],
 * |commands, /files, :include:/lists, addresses.
 *
 * The key comes out in external form: quoted exactly when its text needs that. It is not
 * folded. The value is what was written with the blanks normalised: one behind a comma,
 * one between words. Total: every text is an entry, a warning, or nothing.
 * Returns: as map_source_next(). */
MUST_USE enum rc alias_source_next(struct map_source *s, struct map_source_entry *out);
#endif
