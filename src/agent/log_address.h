#ifndef AGENT_LOG_ADDRESS_H
#define AGENT_LOG_ADDRESS_H
#include "base/base.h"

struct log;

/* Adds "<before>ADDRESS" to the line being made (log_begin): `external` as it is, or with
 * info_log_address_format = internal what it means. */
void log_put_address(struct log *l, const char *before, struct str external);
#endif
