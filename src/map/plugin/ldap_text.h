#ifndef MAP_PLUGIN_LDAP_TEXT_H
#define MAP_PLUGIN_LDAP_TEXT_H
/* Text that stands inside LDAP filters and names. Pure. */
#include "base/base.h"
#include "base/buf.h"

/* Both are of map_quote_fn's type; `ctx` is not used. RC_TEMP: no room. */

/* As a value in a filter, RFC 4515 section 3: no character of it has a meaning. */
MUST_USE enum rc ldap_quote_filter(void *ctx, struct str raw, struct buf *out);
/* As a value in a name, RFC 4514 section 2.4. */
MUST_USE enum rc ldap_quote_dn(void *ctx, struct str raw, struct buf *out);
#endif
