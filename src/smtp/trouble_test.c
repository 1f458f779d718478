#include "smtp/server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* What Postfix 3.7 told its postmaster of, one class at a time. */
static const struct {
	enum smtp_fx_type asked;
	const char *reply;
	unsigned want;
} cases[] = {
	{ SMTP_FX_CHECK_RCPT, "554 5.7.1 <b@good.test>: Relay access denied",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_CHECK_RCPT,
	    "450 4.1.8 <a@nowhere.test>: Sender address rejected: Domain not found",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_CHECK_RCPT,
	    "451 4.3.5 <a@sender.test>: Sender address rejected: Server configuration "
	    "problem",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_CHECK_RCPT, "451 4.3.5 Server configuration error",
	    SMTP_TROUBLE_SOFTWARE },
	{ SMTP_FX_CHECK_RCPT, "451 4.3.0 <b@good.test>: Temporary lookup failure",
	    SMTP_TROUBLE_DATA },
	{ SMTP_FX_CHECK_RCPT, "451 4.3.0 Error: queue file write error",
	    SMTP_TROUBLE_SOFTWARE },
	{ SMTP_FX_CHECK_MAIL, "452 4.3.1 Insufficient system storage",
	    SMTP_TROUBLE_RESOURCE },
	{ SMTP_FX_CHECK_MAIL, "450 4.7.1 Error: too much mail from 192.0.2.1",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_CHECK_CLIENT, "554 5.7.1 <a[192.0.2.1]>: Client host rejected: no",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_CHECK_ETRN, "459 <nolist.test>: service unavailable", 0 },
	{ SMTP_FX_CHECK_ETRN, "458 Unable to queue messages", 0 },
	{ SMTP_FX_CHECK_ETRN, "554 5.7.1 <a.test>: Etrn command rejected: no",
	    SMTP_TROUBLE_POLICY },
	{ SMTP_FX_XCLIENT, "501 5.5.4 Bad XCLIENT attributes", SMTP_TROUBLE_PROTOCOL },
	{ SMTP_FX_COMMIT, "552 5.3.4 Error: message file too big", SMTP_TROUBLE_BOUNCE },
	{ SMTP_FX_COMMIT, "554 5.4.0 Error: too many hops", SMTP_TROUBLE_BOUNCE },
	{ SMTP_FX_COMMIT, "550 5.7.1 no", SMTP_TROUBLE_POLICY },
	{ SMTP_FX_COMMIT, "451 4.6.0 Alias expansion error", SMTP_TROUBLE_POLICY },
	{ SMTP_FX_COMMIT, "451 4.3.0 Error: queue file write error",
	    SMTP_TROUBLE_RESOURCE },
};

static void
refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned got = smtp_trouble_of(cases[i].asked, str_c(cases[i].reply));

		if (got != cases[i].want)
			fail_msg("%s: %u", cases[i].reply, got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(refusals) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
