/* The SMTP server session. Input: one byte of settings, one of piece size, then what the
 * client sends; a byte 0x01 in it stands for an answer, time or a lost connection, as the
 * byte behind it says. However it goes: no assertion fails, nothing is read outside, and
 * the session ends when the client is gone. */
#include "smtp/server.h"
#include "base/buf.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct smtp_server *s;
	uint8_t settings;
	int64_t now;
	bool asking, closed;
	unsigned n_asked;
};

static void
answer(struct run *r)
{
	static const struct str replies[] = { STR_INIT(""), STR_INIT("550 5.1.1 no"),
		STR_INIT("421 4.7.0 later"), STR_INIT("450 4.2.0 grey\r\n250 injected") };
	unsigned n = r->n_asked++ * 7u + r->settings;
	struct smtp_answer a = { .rc = n % 3 != 0   ? RC_OK
				       : n % 2 == 0 ? RC_TEMP
						    : RC_PERM,
		.queue_id = STR("QID") };

	if (a.rc != RC_OK)
		a.reply = replies[n / 3 % ARRAY_LEN(replies)];
	r->asking = false;
	smtp_server_answer(r->s, r->now, &a);
}

static void
drain(struct run *r)
{
	struct smtp_fx fx;
	volatile char last = 0;

	while (smtp_server_next(r->s, &fx)) {
		assert(!r->closed);
		for (size_t i = 0; i < fx.data.n; i++)
			last = fx.data.p[i];
		if (fx.type == SMTP_FX_SEND) {
			assert(fx.data.n > 2 && fx.data.p[fx.data.n - 2] == '\r' &&
			       last == '\n');
			for (size_t i = 0; i + 2 < fx.data.n; i++)
				assert(fx.data.p[i] != '\n' && fx.data.p[i] != '\r');
		}
		if (fx.type == SMTP_FX_CLOSE)
			r->closed = true;
		r->asking = smtp_server_is_asking(r->s);
		/* Some questions are answered at once, others later. */
		if (r->asking && (r->settings & 1) == 0)
			answer(r);
	}
}

static void
feed(struct run *r, struct str in, size_t step)
{
	size_t seen = 0;

	for (;;) {
		size_t used;

		drain(r);
		if (r->asking)
			answer(r);
		drain(r);
		used = smtp_server_recv(r->s, r->now, str_head(in, seen));
		assert(used <= seen);
		in = str_from(in, used);
		seen -= used;
		if (used > 0)
			continue;
		if (smtp_server_deadline(r->s) < r->now + 2 * US_PER_SEC && !r->closed) {
			r->now =
			    smtp_server_deadline(r->s); /* replies that are held back */
			smtp_server_tick(r->s, r->now);
			continue;
		}
		drain(r);
		if (seen == in.n)
			return;
		seen = seen + step < in.n ? seen + step : in.n;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_client_id id = {
		.name = STR("c.test"), .addr = STR("::1"), .port = STR("1")
	};
	struct run r = { .settings = size > 0 ? data[0] : 0 };
	size_t step = size > 1 ? (size_t)data[1] + 1 : 1;
	struct smtp_server_conf conf = { .hostname = STR("mx.test"),
		.banner = STR("mx.test ESMTP"),
		.size_limit = 5000,
		.soft_error_limit = 5,
		.hard_error_limit = 20,
		.junk_command_limit = 20,
		.error_sleep_us = US_PER_SEC,
		.recipient_limit = 5,
		.recipient_overshoot = 2,
		.line_limit = 200,
		.timeout_us = 300 * US_PER_SEC,
		.per_request_deadline = (r.settings & 2) != 0,
		.min_data_rate = 500,
		.helo_required = (r.settings & 4) != 0,
		.strict_envelopes = (r.settings & 8) != 0,
		.forbid_unauth_pipelining = (r.settings & 16) != 0,
		.utf8_ok = true,
		.newline = (enum smtp_newline)(r.settings >> 5 & 3),
		.newline_code = STR("550"),
		.forbidden_commands = STR("GET regexp:{{/^[^A-Z]/ Bogus}}") };
	struct str rest;

	rest = size > 2 ? (struct str){ (const char *)data + 2, size - 2 } : STR("");
	r.s = smtp_server_new(&conf, &id, &(struct smtp_client_rights){ 0 }, r.now);
	while (rest.n > 0 && !r.closed) {
		size_t n = str_find(rest, '\1');

		feed(&r, str_head(rest, n), step);
		rest = str_from(rest, n + 1);
		if (rest.n == 0)
			break;
		if (rest.p[0] == 't') {
			r.now += 301 * US_PER_SEC;
			smtp_server_tick(r.s, r.now);
		} else if (rest.p[0] == 'd')
			smtp_server_drain(r.s, r.now);
	}
	drain(&r);
	if (!smtp_server_is_asking(r.s))
		smtp_server_lost(r.s, r.now);
	drain(&r);
	assert(r.closed || smtp_server_is_asking(r.s));
	smtp_server_free(&r.s);
	return 0;
}
