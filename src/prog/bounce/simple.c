/* The transports that deliver nothing: error refuses, retry puts off, discard throws
 * away. The next hop is the text, with or without a status code in front. */
#include "dsn/status.h"
#include "log/log.h"
#include "prog/bounce/bounce.h"

void
simple_start(struct bounce *b, struct delivery_job *job, bool is_discard)
{
	/* The service's name decides, as in Postfix: "retry" is error(8) under another
	 * name. */
	bool is_retry = str_is(job->m->service, "retry");
	const char *code = is_discard ? "2.0.0" : is_retry ? "4.0.0" : "5.0.0";
	struct delivery_outcome o = { .what = is_discard ? DELIVERY_SENT
					      : is_retry ? DELIVERY_DEFERRED
							 : DELIVERY_BOUNCED };
	char text[DSN_STATUS_MAX];
	struct dsn_status s;

	(void)dsn_status_split(job->m->nexthop, code, &s, &o.text);
	/* The service says whether it is for ever; a text that says otherwise is not
	 * believed. */
	if (s.class != (unsigned)(code[0] - '0')) {
		log_warn(job->log, "%.*s: ignoring dsn code \"%s\"", STR_ARG(job->m->qid),
		    dsn_status_format(&s, text).p);
		(void)!dsn_status_parse(str_c(code), &s);
	}
	o.dsn = dsn_status_format(&s, text);
	delivery_outcome_rest(b->delivery, job, &o);
	delivery_done(b->delivery, job, DELIVERY_SITE_OK, STR(""), STR(""));
}
