/* Any bytes as what a filter says, and as a message for it: what goes out between DATA
 * and the end holds no line end but CRLF, and no lone dot. */
#include "smtp/filter_client.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct str s, char *last)
{
	for (size_t i = 0; i < s.n; i++) {
		assert((s.p[i] == '\n') == (last[0] == '\r'));
		assert(!(s.p[i] == '\r' && last[0] == '.' && last[1] == '\n'));
		last[2] = last[1];
		last[1] = last[0];
		last[0] = s.p[i];
	}
}

static void
pass_content(struct smtp_filter *f, struct str in)
{
	char last[3] = { '\n', '\r', 0 };
	struct smtp_filter_fx fx;

	for (size_t step = 1; in.n > 0; step = step % 7 + 1) {
		smtp_filter_content(f, str_head(in, step));
		while (smtp_filter_next(f, &fx)) {
			/* last[0] is the byte before; at the start a line begins. */
			assert(fx.type == SMTP_FILTER_SEND);
			check(fx.data, last);
		}
		in = str_from(in, step);
	}
}

static void
hear(struct smtp_filter *f, struct str in)
{
	struct smtp_filter_fx fx;
	unsigned n = 0;

	for (size_t step = 1; in.n > 0; step = step % 31 + 1) {
		smtp_filter_recv(f, str_head(in, step));
		while (smtp_filter_next(f, &fx)) {
			if (fx.type == SMTP_FILTER_REPLY)
				assert(fx.code >= 100 && fx.code <= 599);
			if (fx.type == SMTP_FILTER_REPLY && n++ < 20)
				smtp_filter_command(f, STR("NOOP"));
		}
		in = str_from(in, step);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct smtp_filter_conf conf = { .ehlo = STR("mx.test"),
		.client = { .name = str_n(data, size), .helo = str_n(data, size) } };
	struct smtp_filter *f = smtp_filter_new(&conf);
	struct smtp_filter_fx fx;

	smtp_filter_command(f, STR("MAIL FROM:<>"));
	hear(f, str_n(data, size));
	smtp_filter_free(&f);

	f = smtp_filter_new(&conf);
	smtp_filter_command(f, STR("DATA"));
	smtp_filter_recv(f, STR("220 x\r\n"));
	smtp_filter_recv(f, STR("250 x\r\n"));
	smtp_filter_recv(f, STR("354 x\r\n"));
	while (smtp_filter_next(f, &fx))
		assert(fx.type != SMTP_FILTER_BROKEN);
	pass_content(f, str_n(data, size));
	smtp_filter_free(&f);
	return 0;
}
