/* Replies of policy services, and services as they stand in restriction lists. */
#include "milter/policy.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was said of a whole reply is never taken back by the bytes before its end, and
 * the action is within it. */
static void
read_reply(struct str in)
{
	struct err e = { 0 };
	struct str action = { NULL, 0 };
	size_t used = 0, n;
	enum rc rc = milter_policy_reply(in, &used, &action, &e);

	if (rc != RC_OK && rc != RC_NONE)
		return;
	if (used == 0 || used > in.n || in.p[used - 1] != '\n')
		abort();
	if (rc == RC_OK && (action.p < in.p || action.p + action.n >= in.p + used ||
			       str_find(action, '\n') != action.n))
		abort();
	for (n = 0; n < used; n += 1 + used / 64)
		if (milter_policy_reply(str_head(in, n), &used, &action, &e) != RC_MORE)
			abort();
}

static void
read_service(struct str text)
{
	struct err e = { 0 };
	struct str endpoint, rest, name, value;

	if (milter_policy_service(text, &endpoint, &rest, &e) != RC_OK)
		return;
	while (milter_policy_setting(&rest, &name, &value, &e) == RC_OK)
		if (name.n == 0)
			abort();
}

static void
write_request(struct str value)
{
	struct buf b;
	size_t lines = 0;

	buf_init(&b, MILTER_POLICY_REQUEST_MAX);
	if (milter_policy_put(&b, "helo_name", value) == RC_OK) {
		struct str s = buf_view(&b);

		for (size_t i = 0; i < s.n; i++)
			lines += s.p[i] == '\n';
		if (lines != 1)
			abort();
	}
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n(data, size);

	read_reply(in);
	read_service(in);
	write_request(in);
	return 0;
}
