/* The SMTP client session. Input: one byte of settings, one of piece size, then what the
 * server says; a byte 0x01 stands for a lost connection or time. However it goes: every
 * recipient gets at most one outcome, a message ends once, and an ending session closes
 * once. */
#include "smtp/client.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_RCPT 15

struct run {
	struct smtp_client *c;
	uint8_t settings;
	int64_t now;
	bool closed, open, wants, closing;
	bool decided[N_RCPT];
	size_t at, n_jobs;
};

static const struct str body =
    STR_INIT("Subject: x\r\n\r\n.dot\r\n..\r\n0123456789abcdefghij\r\nend");

static void
drain(struct run *r)
{
	volatile char last = 0;
	struct smtp_cx cx;

	for (;;) {
		while (smtp_client_next(r->c, &cx)) {
			assert(!r->closed);
			for (size_t i = 0; i < cx.data.n; i++)
				last = cx.data.p[i];
			(void)last;
			switch (cx.type) {
			case SMTP_CX_OUTCOME:
				assert(r->open && cx.index < N_RCPT &&
				       !r->decided[cx.index]);
				r->decided[cx.index] = true;
				break;
			case SMTP_CX_DONE:
				assert(r->open);
				r->open = r->wants = false;
				r->closing = cx.is_closing;
				break;
			case SMTP_CX_CLOSE:
				r->closed = true;
				break;
			case SMTP_CX_CONTENT:
				r->wants = true;
				break;
			case SMTP_CX_SEND:
			case SMTP_CX_LOG:
				break;
			}
		}
		if (!r->wants || r->closed)
			return;
		size_t n = r->settings % 7 + 1;

		r->wants = false;
		if (n > body.n - r->at)
			n = body.n - r->at;
		r->at += n;
		smtp_client_content(
		    r->c, r->now, (struct str){ body.p + r->at - n, n }, r->at == body.n);
	}
}

static void
feed(struct run *r, struct str in, size_t step)
{
	size_t seen = 0;

	for (;;) {
		size_t used;

		drain(r);
		used = smtp_client_recv(r->c, r->now, str_head(in, seen));
		assert(used <= seen);
		in = str_from(in, used);
		seen -= used;
		if (used > 0)
			continue;
		if (seen == in.n)
			return;
		seen = seen + step < in.n ? seen + step : in.n;
	}
}

static void
start(struct run *r, const struct smtp_client_job *job)
{
	if (r->closed || r->open || r->closing ||
	    (r->n_jobs > 0 && !smtp_client_is_ready(r->c)))
		return;
	r->open = true;
	r->at = 0;
	r->n_jobs++;
	memset(r->decided, 0, sizeof(r->decided));
	smtp_client_deliver(r->c, r->now, job);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .settings = size > 0 ? data[0] : 0 };
	size_t step = size > 1 ? (size_t)data[1] + 1 : 1;
	const int64_t t = 100 * US_PER_SEC;
	struct smtp_client_conf conf = { .helo_name = STR("me.test"),
		.is_lmtp = (r.settings & 1) != 0,
		.always_send_ehlo = (r.settings & 2) == 0,
		.skip_5xx_greeting = (r.settings & 4) != 0,
		.skip_quit_response = (r.settings & 8) != 0,
		.remember_own_name = (r.settings & 16) != 0,
		.line_limit = (r.settings & 32) != 0 ? 10 : 0,
		.pipeline_max = (r.settings & 64) != 0 ? 3 : 0,
		.greeting_us = t,
		.helo_us = t,
		.mail_us = t,
		.rcpt_us = t,
		.data_init_us = t,
		.data_xfer_us = t,
		.data_done_us = t,
		.rset_us = t,
		.quit_us = t };
	struct smtp_client_peer peer = {
		.name = STR("mx"), .addr = STR("::1"), .port = STR("25")
	};
	struct smtp_client_rcpt rcpts[N_RCPT];
	struct smtp_client_job job = { .queue_id = STR("Q"),
		.sender = STR("a@b"),
		.size_bytes = 50,
		.envid = STR("e+="),
		.ret = SMTP_RET_FULL,
		.is_8bit = true,
		.has_dots = true,
		.has_long_lines = true,
		.rcpts = rcpts };
	struct str rest =
	    size > 2 ? (struct str){ (const char *)data + 2, size - 2 } : STR("");

	job.n_rcpt = r.settings % N_RCPT + 1;
	for (size_t i = 0; i < N_RCPT; i++)
		rcpts[i] = (struct smtp_client_rcpt){ .address = STR("x@y"),
			.notify = (unsigned)i };
	r.c = smtp_client_new(&conf, &peer, r.now);
	start(&r, &job);
	while (rest.n > 0 && !r.closed) {
		size_t n = str_find(rest, '\1');

		feed(&r, str_head(rest, n), step);
		start(&r, &job);
		drain(&r);
		rest = str_from(rest, n + 1);
		if (n > 0 && rest.n > 0 && rest.p[0] == 't') {
			r.now += t;
			smtp_client_tick(r.c, r.now);
			drain(&r);
		}
	}
	if (!r.closed && !r.open && smtp_client_is_ready(r.c) && (r.settings & 128) != 0)
		smtp_client_quit(r.c, r.now);
	drain(&r);
	smtp_client_lost(r.c, r.now);
	drain(&r);
	assert(r.closed && !r.open);
	smtp_client_free(&r.c);
	return 0;
}
