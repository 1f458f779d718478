/* Senders that name the recipient. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "prog/queue/verp.h"

static void
senders_name_recipients(void **state)
{
	static const struct {
		const char *delimiters, *sender, *rcpt, *want;
	} cases[] = {
		{ "+=", "list@example.test", "r5@relay.test",
		    "list+r5=relay.test@example.test" },
		{ "=+", "list@example.test", "x@relay.test",
		    "list=x+relay.test@example.test" },
		{ "+=", "list@example.test", "root", "list+root@example.test" },
		{ "+=", "list", "a@b", "list+a=b" },
		{ "+=", "", "a@b", "" },
		{ "+=", "l@o", "\"a@b\"@c", "l+\"a@b\"=c@o" },
	};
	struct arena *mem = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct verp_request r = { str_c(cases[i].delimiters),
			str_c(cases[i].sender), str_c(cases[i].rcpt) };

		if (!str_is(verp_sender(&r, mem), cases[i].want))
			fail_msg("%s: %s", cases[i].want, verp_sender(&r, mem).p);
	}
	arena_free(&mem);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_name_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
