#ifndef MAP_PROXY_H
#define MAP_PROXY_H
#include "base/base.h"

/* What the processes around `lookup` need to know about tables that they do not open. */
struct map;

/* "type:name" of a type that exists here. */
bool map_spec_is_known(struct str spec);
/* Whether look-ups in the table may wait for others. */
bool map_spec_is_remote(struct str spec);
/* False: a stand-in, whose look-ups are RC_TEMP (or RC_MORE: remote). */
bool map_is_open(const struct map *m);
#endif
