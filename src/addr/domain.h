#ifndef ADDR_DOMAIN_H
#define ADDR_DOMAIN_H
/* Domain names and address literals as text. Nothing here looks anything up. */
#include "base/arena.h"
#include "base/base.h"

#define ADDR_DOMAIN_MAX 255
#define ADDR_LABEL_MAX  63

/* Letters, digits, '-', '_' in labels of 1 to 63 bytes, no label begins or ends with '-',
 * not only digits and dots, at most 255 bytes. One trailing dot is not valid. Compat:
 * Postfix valid_hostname(3). */
bool addr_hostname_valid(struct str name);

/* "1.2.3.4" or "IPv6:::1", without []. Compat: Postfix
 * valid_mailhost_literal(3). */
bool addr_literal_valid(struct str inside_brackets);

/* Either a valid host name or "[literal]". */
bool addr_domain_valid(struct str domain);

/* Case folded copy. .p NULL: memory limit. */
struct str addr_domain_lower(struct str domain, struct arena *mem);
#endif
