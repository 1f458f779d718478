/* The SMTP server session. Input: two bytes of settings, one of piece size, then what the
 * client sends; a byte 0x01 in it stands for an answer, time or a lost connection, as the
 * byte behind it says. However it goes: no assertion fails, nothing is read outside, the
 * content is in order, and the session ends when the client is gone. */
#include "smtp/server.h"
#include "base/buf.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FILTERS = 1,
	BY_TABLE = 2,
	SOFT = 4,
	TRUSTED = 8,
	VERP = 16,
	STRICT_UTF8 = 32,
	OPENS_EARLY = 64,
	NO_CHUNKING = 128
};

struct run {
	struct smtp_server *s;
	uint8_t settings, more;
	int64_t now;
	bool asking, closed, is_open;
	enum smtp_fx_type asked;
	struct smtp_client_rights rights;
	unsigned n_asked;
};

static unsigned
roll(struct run *r)
{
	return r->n_asked++ * 7u + r->settings + r->more * 5u;
}

/* Somebody else is the client: with what it said, and perhaps without rights. */
static void
answer_xclient(struct run *r, struct smtp_answer *a)
{
	struct smtp_server_view v = smtp_server_view(r->s);
	struct smtp_client_id id = *v.client;
	struct smtp_client_rights rights = r->rights;

	assert(v.xclient != NULL);
	if (v.xclient->name.p != NULL)
		id.name = v.xclient->name;
	if (v.xclient->addr.p != NULL)
		id.addr = v.xclient->addr;
	if (v.xclient->port.p != NULL)
		id.port = v.xclient->port;
	rights.may_xclient = r->n_asked % 4 != 0;
	a->client = &id;
	a->rights = &rights;
	smtp_server_answer(r->s, r->now, a);
}

static void
answer(struct run *r)
{
	static const struct str replies[] = { STR_INIT(""), STR_INIT("550 5.1.1 no"),
		STR_INIT("421 4.7.0 later"), STR_INIT("450 4.2.0 grey\r\n250 injected"),
		STR_INIT("521 5.7.1 go") };
	static const struct str lines[] = { STR_INIT(""), STR_INIT("NOOP"),
		STR_INIT("BDAT 3"), STR_INIT("  "), STR_INIT("MAIL FROM:<r@f.test>") };
	unsigned n = roll(r);
	struct smtp_answer a = { .rc = n % 3 != 0   ? RC_OK
				       : n % 2 == 0 ? RC_TEMP
						    : RC_PERM };
	bool opens = r->asked == SMTP_FX_CHECK_RCPT ||
		     (r->asked == SMTP_FX_CHECK_MAIL && (r->more & OPENS_EARLY) != 0);

	if (opens && a.rc == RC_OK) {
		a.queue_id = STR("QID");
		r->is_open = true;
	}
	if (r->asked == SMTP_FX_COMMIT && a.rc == RC_OK)
		r->is_open = false;
	if (r->asked == SMTP_FX_FILTER_COMMAND)
		a.reply = lines[n / 3 % ARRAY_LEN(lines)];
	else if (a.rc != RC_OK)
		a.reply = replies[n / 3 % ARRAY_LEN(replies)];
	r->asking = false;
	if (r->asked == SMTP_FX_XCLIENT && a.rc == RC_OK)
		answer_xclient(r, &a);
	else
		smtp_server_answer(r->s, r->now, &a);
}

/* Whole lines, each with a code; no line break and no control character inside. */
static void
check_lines(struct str s)
{
	assert(str_ends(s, STR("\r\n")));
	while (s.n > 0) {
		size_t n = str_find(s, '\n');

		assert(n > 4 && s.p[n - 1] == '\r' && (s.p[3] == ' ' || s.p[3] == '-'));
		for (size_t i = 0; i < 3; i++)
			assert(ascii_isdigit(s.p[i]));
		for (size_t i = 0; i + 1 < n; i++)
			assert((unsigned char)s.p[i] >= ' ');
		s = str_from(s, n + 1);
	}
}

static void
drain(struct run *r)
{
	struct smtp_fx fx;
	volatile char last;

	while (smtp_server_next(r->s, &fx)) {
		assert(!r->closed);
		for (size_t i = 0; i < fx.data.n; i++)
			last = fx.data.p[i];
		(void)last;
		/* Content belongs to a message, and the next one starts without it. */
		assert(r->is_open ||
		       (fx.type != SMTP_FX_STORE && fx.type != SMTP_FX_COMMIT &&
			   fx.type != SMTP_FX_ABORT));
		if (fx.type == SMTP_FX_ABORT)
			r->is_open = false;
		if (fx.type == SMTP_FX_SEND)
			check_lines(fx.data);
		if (fx.type == SMTP_FX_CLOSE)
			r->closed = true;
		if (fx.type >= SMTP_FX_CHECK_CLIENT && fx.type <= SMTP_FX_COMMIT) {
			assert(smtp_server_is_asking(r->s));
			r->asking = true;
			r->asked = fx.type;
		}
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
	struct run r = { .settings = size > 0 ? data[0] : 0,
		.more = size > 1 ? data[1] : 0 };
	size_t step = size > 2 ? (size_t)data[2] + 1 : 1;
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
		.filters_commands = (r.more & FILTERS) != 0,
		.forbids_by_table = (r.more & BY_TABLE) != 0,
		.soft_bounce = (r.more & SOFT) != 0,
		.has_listener = (r.more & SOFT) == 0,
		.strict_utf8 = (r.more & STRICT_UTF8) != 0,
		.verp_delimiters = STR("+="),
		.verp_filter = STR("-=+"),
		.newline_code = STR("550"),
		.forbidden_commands = STR("GET regexp:{{/^[^A-Z]/ Bogus}}") };
	struct str rest;

	rest = size > 3 ? (struct str){ (const char *)data + 3, size - 3 } : STR("");
	r.rights = (struct smtp_client_rights){ .may_xclient = (r.more & TRUSTED) != 0,
		.may_xforward = (r.more & TRUSTED) != 0,
		.may_verp = (r.more & VERP) != 0,
		.hide = (r.more & NO_CHUNKING) != 0 ? SMTP_EHLO_CHUNKING : 0 };
	r.s = smtp_server_new(&conf, &id, &r.rights, r.now);
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
