/* Addresses in log lines; see log_address.h. */
#include "agent/log_address.h"
#include "addr/address.h"
#include "log/log.h"

static void
put_internal(struct log *l, struct str external)
{
	char space[ADDR_MAX];

	log_put(l, addr_shown_internal(external, space));
}

void
log_put_address(struct log *l, const char *before, struct str external)
{
	log_put(l, str_c(before));
	if (log_is_internal(l))
		put_internal(l, external);
	else
		log_put(l, external);
}
