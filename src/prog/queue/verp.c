/* The sender that names the recipient. */
#include "prog/queue/verp.h"
#include <assert.h>

struct str
verp_sender(const struct verp_request *r, struct arena *mem)
{
	size_t sender_at = str_rfind(r->sender, '@'), rcpt_at = str_rfind(r->rcpt, '@');
	struct str domain =
	    rcpt_at < r->rcpt.n ? str_from(r->rcpt, rcpt_at + 1) : r->mydomain;

	assert(r->delimiters.n == 2);
	if (r->sender.n == 0)
		return STR("");
	return arena_printf(mem, "%.*s%c%.*s%c%.*s%.*s",
	    STR_ARG(str_head(r->sender, sender_at)), r->delimiters.p[0],
	    STR_ARG(str_head(r->rcpt, rcpt_at)), r->delimiters.p[1], STR_ARG(domain),
	    STR_ARG(str_from(r->sender, sender_at)));
}
