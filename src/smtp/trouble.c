/* Which refusals a postmaster may want to hear about, by the words of those that come
 * from outside of the session (compat: the classes are Postfix's). The session's own
 * mistakes are classified where they are found. */
#include "smtp/server.h"

/* Of the message as a whole. */
static unsigned
trouble_of_message(struct str reply)
{
	if (str_starts(reply, STR("552 5.3.4")) || str_starts(reply, STR("554 5.4.0")))
		return SMTP_TROUBLE_BOUNCE; /* too big, too many hops */
	if (str_starts(reply, STR("451 4.3.0")) || str_starts(reply, STR("452 4.3.1")))
		return SMTP_TROUBLE_RESOURCE;
	return SMTP_TROUBLE_POLICY;
}

unsigned
smtp_trouble_of(enum smtp_fx_type asked, struct str reply)
{
	if (asked == SMTP_FX_COMMIT)
		return trouble_of_message(reply);
	if (asked == SMTP_FX_CHECK_ETRN &&
	    (str_starts(reply, STR("458")) || str_starts(reply, STR("459"))))
		return 0;
	if (asked == SMTP_FX_XCLIENT)
		return SMTP_TROUBLE_PROTOCOL;
	if (str_starts(reply, STR("452 4.3.1")))
		return SMTP_TROUBLE_RESOURCE;
	if (str_is(reply, "451 4.3.5 Server configuration error") ||
	    str_is(reply, "451 4.3.0 Error: queue file write error"))
		return SMTP_TROUBLE_SOFTWARE;
	if (str_starts(reply, STR("451 4.3.0")) || str_starts(reply, STR("421 4.3.0")))
		return SMTP_TROUBLE_DATA; /* a table cannot be asked */
	return SMTP_TROUBLE_POLICY;
}
