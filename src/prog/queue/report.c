/* Reports that sendmail -v and -bv ask for: what became of every recipient in the first
 * round, whatever it was. Later rounds are like any other mail's (compat). */
#include "agent/delivery.h"
#include "prog/queue/queue.h"

static bool
is_asked_for(const struct active *a)
{
	return (a->l.m.facts & (MESSAGE_IS_REPORT | MESSAGE_VERIFY_ONLY)) != 0 &&
	       a->n_attempts == 0;
}

enum rc
report_init(struct active *a)
{
	if (!is_asked_for(a))
		return RC_OK;
	a->report = arena_array(a->mem, a->l.m.n_rcpts, sizeof(*a->report));
	return a->report != NULL ? RC_OK : RC_TEMP;
}

/* compat: what DSNs call it; the SMTP agent says "relayed" or, where the next server
 * promised to report, "none". */
static struct str
action_of(const struct active *a, const struct outcome *o)
{
	if ((a->l.m.facts & MESSAGE_VERIFY_ONLY) != 0)
		return o->what == DELIVERY_SENT ? STR("deliverable")
						: STR("undeliverable");
	switch ((enum delivery_what)o->what) {
	case DELIVERY_SENT:
		return o->why.action.n > 0 ? STR("relayed") : STR("delivered");
	case DELIVERY_EXPANDED:
		return STR("expanded");
	case DELIVERY_DEFERRED:
		return STR("delayed");
	case DELIVERY_BOUNCED:
	case DELIVERY_EXPIRED:
		break;
	}
	return STR("failed");
}

void
report_note(struct active *a, uint32_t i, const struct outcome *o)
{
	struct report_row *row = &a->report[i];
	struct str text = arena_str(a->mem, o->why.text);

	if (o->relay.n > 0 && !str_is(o->relay, "none"))
		text = arena_printf(a->mem, "delivery via %.*s: %.*s", STR_ARG(o->relay),
		    STR_ARG(o->why.text));
	*row = (struct report_row){ .what = o->what,
		.why = { .dsn = arena_str(a->mem, o->why.dsn),
		    .text = text.p != NULL ? text : STR(""),
		    .mta = arena_str(a->mem, o->why.mta),
		    .diag = arena_str(a->mem, o->why.diag),
		    .diag_type = arena_str(a->mem, o->why.diag_type),
		    .action = arena_str(a->mem, action_of(a, o)) } };
}
