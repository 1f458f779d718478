#ifndef CONF_VALUE_H
#define CONF_VALUE_H
/* Text of a parameter to its value, with Postfix's words when it is none. */
#include "base/base.h"

struct conf_param;

/* RC_PERM: not a value of that type or out of its bounds; `e` has Postfix's words. `name`
 * is what messages call the parameter (a transport's derived name, for instance). */
MUST_USE enum rc conf_value_bool(
    struct str name, struct str text, bool *out, struct err *e);
MUST_USE enum rc conf_value_int(const struct conf_param *p, struct str name,
    struct str text, int64_t *out, struct err *e);
MUST_USE enum rc conf_value_time(const struct conf_param *p, struct str name,
    struct str text, int64_t *out_us, struct err *e);
MUST_USE enum rc conf_value_string(
    const struct conf_param *p, struct str name, struct str text, struct err *e);
/* Any type: only whether it is legal. */
MUST_USE enum rc conf_value_check(
    const struct conf_param *p, struct str name, struct str text, struct err *e);

/* "10", "5d", "2h30m" is none: a number and at most one unit. RC_PERM: not a time. */
MUST_USE enum rc conf_parse_time(struct str text, char default_unit, int64_t *out_us);
#endif
