/* Mail that nobody waits for (pickup's), and whose content is refused for good: it is put
 * into the queue as it is, with the refusal as its way. So it is on stable storage before
 * the maildrop's file goes, and what follows is what follows any failed delivery: a
 * notice to the sender as his and the recipients' wishes have it, and none for the null
 * sender. */
#include <stdio.h>
#include "agent/ingest_int.h"
#include "dsn/notice.h"

enum { TEXT_MAX = 1000 }; /* of a reason: a put takes twice that */

#define TEXT_HOPS "5.4.0 too many hops" /* compat */

/* "550 5.7.1 words" and "5.3.4 Error: words" are "5.7.1 words", "5.3.4 words". Compat. */
static void
reason(struct str text, char out[TEXT_MAX])
{
	static const struct str error = STR_INIT("Error: ");
	struct str words;
	size_t n;

	if (text.n > 4 && text.p[3] == ' ' && ascii_isdigit(*text.p))
		text = str_from(text, 4);
	n = str_find(text, ' ');
	words = str_from(text, n + 1);
	if (str_starts(words, error))
		words = str_from(words, error.n);
	(void)snprintf(
	    out, TEXT_MAX, "%.*s %.*s", STR_ARG(str_head(text, n)), STR_ARG(words));
}

static enum rc
keep_reason(struct ingest *in, struct str text)
{
	char why[TEXT_MAX];

	/* compat: what is thrown away is not returned */
	if (in->fx.discard || (in->refused.n > 0 && !str_is(text, TEXT_TOO_BIG)))
		return RC_OK;
	reason(text, why);
	in->refused = arena_str(in->mem, str_c(why));
	if (in->refused.p == NULL)
		return ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	return RC_OK;
}

enum rc
ingest_return(struct ingest *in, struct str text)
{
	/* What the filter has found before goes first, however the content was cut. */
	enum rc rc = ingest_return_refused(in);

	return rc == RC_OK ? keep_reason(in, text) : rc;
}

enum rc
ingest_return_refused(struct ingest *in)
{
	struct err e = { 0 };

	if (!in->client->is_returned || in->refused.n > 0 || in->filter == NULL ||
	    (ingest_convert_refusal(in->convert, &e) == RC_OK &&
		mime_filter_refusal(in->filter, &e) == RC_OK))
		return RC_OK;
	ingest_log_refused(in, str_c(e.text));
	return keep_reason(in, str_c(e.text));
}

enum rc
ingest_return_envelope(struct ingest *in)
{
	struct str way;

	if (in->refused.n == 0 || in->fx.discard)
		return RC_OK;
	in->fx = (struct ingest_effects){ 0 };
	way = arena_printf(in->mem, "error:%.*s", STR_ARG(in->refused));
	if (way.p == NULL)
		return ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	in->env.filter = way;
	in->env.redirect = STR("");
	in->env.hold = in->env.discard = in->env.is_verify_only = false;
	/* compat: what was refused for its content does not travel on in a notice. */
	if (!str_is(in->refused, TEXT_HOPS))
		in->env.ret = DSN_RET_HDRS;
	return RC_OK;
}
