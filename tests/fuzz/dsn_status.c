/* Any bytes as status code and as SMTP reply: what is accepted prints back the same;
 * codes are in range; and any texts as those of a notification leave its lines whole. */
#include "dsn/notice.h"
#include "dsn/status.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_notice(struct str text)
{
	const struct dsn_rcpt rcpt = { .address = STR("a@b"),
		.status = STR("5.0.0"),
		.reason = text,
		.diag_type = STR("smtp"),
		.diag = text };
	const struct dsn_notice n = { .kind = DSN_FAILED,
		.qid = STR("ABC"),
		.myhostname = STR("h"),
		.mail_name = STR("Postfix"),
		.to = STR("s@t"),
		.sender = STR("s@t"),
		.from = STR("M"),
		.date = STR("now"),
		.arrival = STR("then"),
		.boundary = STR("B"),
		.rcpts = &rcpt,
		.n_rcpts = 1 };
	struct buf prefix, suffix;
	struct str out;

	buf_init(&prefix, 1 << 20);
	buf_init(&suffix, 1000);
	if (dsn_notice_format(&n, &prefix, &suffix, NULL) == RC_OK) {
		out = buf_view(&prefix);
		for (size_t i = 0; i < out.n; i++) {
			assert(out.p[i] != '\n' || out.p[i - 1] == '\r');
			assert(out.p[i] != '\r' || out.p[i + 1] == '\n');
		}
	}
	buf_fini(&prefix);
	buf_fini(&suffix);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n(data, size), text;
	char out[DSN_STATUS_MAX];
	struct dsn_status s;

	if (dsn_status_parse(in, &s) == RC_OK)
		assert(str_eq(dsn_status_format(&s, out), in));
	dsn_status_of_reply(in, &s, &text);
	assert(s.class <= 9 && s.subject <= 999 && s.detail <= 999 && text.n <= in.n);
	(void)dsn_status_split(in, "5.0.0", &s, &text);
	assert(text.n <= in.n);
	assert(dsn_headers_size(in) <= in.n);
	if (size < 10000)
		check_notice(in);
	return 0;
}
