/* The sender that names the recipient. */
#include "prog/queue/verp.h"
#include <assert.h>

struct str
verp_sender(const struct verp_request *r, struct arena *mem)
{
	size_t sender_at = str_rfind(r->sender, '@'), rcpt_at = str_rfind(r->rcpt, '@');
	struct str domain = str_from(r->rcpt, rcpt_at + 1);

	assert(r->delimiters.n == 2);
	if (r->sender.n == 0)
		return STR("");
	/* compat: a recipient without a domain brings no second delimiter. */
	return arena_printf(mem, "%.*s%c%.*s%.*s%.*s%.*s",
	    STR_ARG(str_head(r->sender, sender_at)), r->delimiters.p[0],
	    STR_ARG(str_head(r->rcpt, rcpt_at)), domain.n > 0 ? 1 : 0,
	    r->delimiters.p + 1, STR_ARG(domain),
	    STR_ARG(str_from(r->sender, sender_at)));
}
