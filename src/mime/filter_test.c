/* The content filter: what goes in, what comes out, for every way of cutting the input.
 * What is expected was seen with Postfix 3.7. */
#include "base/buf.h"
#include "mime/filter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct mime_conf conf = {
	.header_size_limit = 200,
	.hopcount_limit = 3,
	.drop_known = 1 << MIME_HDR_BCC | 1 << MIME_HDR_CONTENT_LENGTH |
		      1 << MIME_HDR_RESENT_BCC | 1 << MIME_HDR_RETURN_PATH,
	.undisclosed = STR_INIT(""),
};
static const struct mime_start remote = { .received = STR_INIT("Received: us\r\n") };
static const struct mime_start local = {
	.received = STR_INIT("Received: us\r\n"),
	.complete = true,
	.rewrites = true,
	.message_id = STR_INIT("<new@h>"),
	.date = STR_INIT("now"),
	.from = STR_INIT("s@o"),
	.rewrite = { .at_myorigin = STR_INIT("o.rg"),
	    .swap_bangpath = true,
	    .percent_hack = true },
};

#define RCVD "Received: us\r\n"
#define FULL "Message-Id: <new@h>\r\nDate: now\r\nFrom: s@o\r\n"

struct row {
	const char *title;
	const struct mime_start *start;
	const char *in, *out;
	unsigned facts;
	const char *id;
};

/* Feeds `in` in pieces of `step` bytes. */
static enum rc
run(const struct row *r, struct str in, size_t step, struct buf *out, unsigned *facts)
{
	struct mime_filter *f = mime_filter_new(&conf, r->start);
	struct str piece, chunk;
	enum rc rc = RC_MORE;

	while (in.n > 0 && rc == RC_MORE) {
		chunk = str_head(in, step);
		in = str_from(in, step);
		while ((rc = mime_filter_step(f, &chunk, &piece, NULL)) == RC_OK)
			assert_int_equal(buf_put(out, piece), RC_OK);
	}
	if (rc == RC_MORE) {
		while ((rc = mime_filter_end(f, &piece, NULL)) == RC_OK)
			assert_int_equal(buf_put(out, piece), RC_OK);
		if (rc == RC_NONE)
			rc = RC_OK;
	}
	*facts = mime_filter_facts(f);
	if (rc == RC_OK && r->id != NULL && !str_is(mime_filter_message_id(f), r->id))
		fail_msg("%s: id %.*s", r->title, STR_ARG(mime_filter_message_id(f)));
	mime_filter_free(&f);
	return rc;
}

static void
check(const struct row *r)
{
	size_t n = strlen(r->in);

	for (size_t step = 1; step <= n + 1; step++) {
		struct buf out;
		unsigned facts;
		enum rc rc;

		buf_init(&out, 1 << 20);
		rc = run(r, str_c(r->in), step, &out, &facts);
		if (r->out == NULL && rc != RC_PERM)
			fail_msg("%s: %s in steps of %zu", r->title, rc_name(rc), step);
		if (r->out != NULL && (rc != RC_OK || !str_is(buf_view(&out), r->out)))
			fail_msg("%s: in steps of %zu: %s\n%.*s", r->title, step,
			    rc_name(rc), STR_ARG(buf_view(&out)));
		if (r->out != NULL && facts != r->facts)
			fail_msg("%s: in steps of %zu: facts %x", r->title, step, facts);
		buf_fini(&out);
	}
}

static void
remote_mail(void **state)
{
	static const struct row rows[] = {
		{ "an ordinary message passes", &remote, "Subject: x\r\n\r\nbody\r\n",
		    RCVD "Subject: x\r\n\r\nbody\r\n", 0, "" },
		{ "message id is noted", &remote, "Message-ID:\r\n <a@b>\r\n\r\n",
		    RCVD "Message-ID:\r\n <a@b>\r\n\r\n", 0, "<a@b>" },
		{ "the first message id counts", &remote,
		    "Message-ID: <a@b> (c) <d@e>\r\nMessage-Id: <f>\r\n\r\n",
		    RCVD "Message-ID: <a@b> (c) <d@e>\r\nMessage-Id: <f>\r\n\r\n", 0,
		    "<a@b> (c) <d@e>" },
		{ "nothing at all", &remote, "", RCVD, MIME_NO_BODY, "" },
		{ "headers only", &remote, "Subject: x\r\n", RCVD "Subject: x\r\n",
		    MIME_NO_BODY, "" },
		{ "no headers", &remote, "\r\nbody\r\n", RCVD "\r\nbody\r\n", 0, "" },
		{ "a line that is no header ends them", &remote,
		    "A: b\r\nno header\r\nTo: x\r\n",
		    RCVD "A: b\r\n\r\nno header\r\nTo: x\r\n", 0, "" },
		{ "a name with a blank is no header", &remote, "A: b\r\nNo pe: x\r\n",
		    RCVD "A: b\r\n\r\nNo pe: x\r\n", 0, "" },
		{ "blanks before the colon go", &remote, "A : b\r\n\r\n",
		    RCVD "A: b\r\n\r\n", 0, "" },
		{ "first line with leading blank", &remote, " x\r\nA: b\r\n",
		    RCVD "\r\n x\r\nA: b\r\n", 0, "" },
		{ "mailbox line", &remote, "From a Fri\r\nA: b\r\n\r\n",
		    RCVD "X-Mailbox-Line: From a Fri\r\nA: b\r\n\r\n", 0, "" },
		{ "quoted mailbox line", &remote, ">From a Fri\r\n\r\n",
		    RCVD "X-Mailbox-Line: >From a Fri\r\n\r\n", 0, "" },
		{ "dropped fields", &remote,
		    "Bcc: a\r\n b\r\nReturn-Path: <x>\r\nTo: c\r\n\r\n",
		    RCVD "To: c\r\n\r\n", 0, "" },
		{ "last line without end", &remote, "A: b\r\n\r\nx",
		    RCVD "A: b\r\n\r\nx\r\n", 0, "" },
		{ "header without end", &remote, "A: b", RCVD "A: b\r\n",
		    MIME_NO_BODY | MIME_BARE_LF, "" },
		{ "bare LF becomes CRLF", &remote, "A: b\n\nx\ny\r\n",
		    RCVD "A: b\r\n\r\nx\r\ny\r\n", MIME_BARE_LF, "" },
		{ "stray CRs become blanks", &remote, "A: b\rc\r\n\r\nx\ry\r\r\rz\r\n",
		    RCVD "A: b c\r\n\r\nx y   z\r\n", MIME_BARE_CR, "" },
		{ "CRs before an LF are one line end", &remote,
		    "A: b\r\r\n\r\nx\r\r\r\ny\r\n", RCVD "A: b\r\n\r\nx\r\ny\r\n", 0,
		    "" },
		{ "CR at the very end", &remote, "A: b\r\n\r\nx\r",
		    RCVD "A: b\r\n\r\nx\r\n", 0, "" },
		{ "eight bits", &remote, "A: b\r\n\r\nx\xc3\xa4\r\n",
		    RCVD "A: b\r\n\r\nx\xc3\xa4\r\n", MIME_8BIT, "" },
		{ "eight bits in a header", &remote, "A: \xff\r\n\r\n",
		    RCVD "A: \xff\r\n\r\n", MIME_8BIT_HEADER, "" },
		{ "dot lines", &remote, "A: b\r\n\r\nx.\r\n.y\r\n",
		    RCVD "A: b\r\n\r\nx.\r\n.y\r\n", MIME_DOT_LINE, "" },
		{ "dot in the first body line", &remote, ".x\r\n", RCVD "\r\n.x\r\n",
		    MIME_DOT_LINE, "" },
		{ "two hops", &remote, "RECEIVED: b\r\n\r\n", RCVD "RECEIVED: b\r\n\r\n",
		    0, "" },
		{ "too many hops", &remote, "Received: a\r\nReceived: b\r\n\r\n", NULL, 0,
		    "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&rows[i]);
}

static void
local_mail(void **state)
{
	static const struct row rows[] = {
		{ "everything is missing", &local, "body\r\n", RCVD FULL "\r\nbody\r\n",
		    0, "<new@h>" },
		{ "nothing is missing", &local,
		    "Message-Id: <a>\r\nDate: d\r\nFrom: a@b.c\r\n\r\n",
		    RCVD "Message-Id: <a>\r\nDate: d\r\nFrom: a@b.c\r\n\r\n", 0, "<a>" },
		{ "resent", &local, "Resent-To: k\r\nBcc: secret\r\n\r\n",
		    RCVD "Resent-To: k@o.rg\r\nResent-Message-Id: "
			 "<new@h>\r\nResent-Date: now\r\n"
			 "Resent-From: s@o\r\n\r\n",
		    0, "" },
		{ "headers only, completed", &local, "Subject: x\r\n",
		    RCVD "Subject: x\r\n" FULL, MIME_NO_BODY, "<new@h>" },
		{ "addresses are completed and folded", &local,
		    "To: x, \"Y Z\" <y>, (comment) w@foo, Group: a, b@c.d;, \"odd "
		    "local\"@h\r\n"
		    "Cc: x@full.dom,\r\n  z@other.dom\r\nX: joe\r\n\r\n",
		    RCVD "To: x@o.rg, \"Y Z\" <y@o.rg>, w@foo (comment), Group: a@o.rg, "
			 "b@c.d;,\r\n"
			 "\t\"odd local\"@h\r\n"
			 "Cc: x@full.dom,\r\n  z@other.dom\r\nX: joe\r\n" FULL "\r\n",
		    0, "<new@h>" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&rows[i]);
}

static void
long_fields(void **state)
{
	char in[3000], *p = in;
	struct row r = { "a field beyond header_size_limit loses lines", &remote, in, in,
		0, "" };
	char out[3200];

	(void)state;
	p += sprintf(p, "A: ");
	memset(p, 'x', 1000);
	p += 1000;
	(void)sprintf(p, "\r\n fold\r\n\tfold\r\nB: c\r\n d\r\n\r\nbody\r\n");
	p = out + sprintf(out, RCVD "A: ");
	memset(p, 'x', 1000);
	(void)sprintf(p + 1000, "\r\nB: c\r\n d\r\n\r\nbody\r\n");
	r.facts = MIME_LONG_LINE;
	r.out = out;
	check(&r);

	r.title = "a long line that is no header is body";
	r.facts = MIME_LONG_LINE | MIME_8BIT;
	memset(in, '-', 1500);
	(void)sprintf(in + 1500, "\xff\r\nx: y\r\n");
	p = out + sprintf(out, RCVD "\r\n");
	memset(p, '-', 1500);
	(void)sprintf(p + 1500, "\xff\r\nx: y\r\n");
	check(&r);

	r.title = "998 bytes are not a long line";
	r.facts = 0;
	p = in + sprintf(in, "\r\n");
	memset(p, 'x', 998);
	(void)sprintf(p + 998, "\r\n");
	(void)sprintf(out, RCVD "%s", in);
	check(&r);
	r.title = "999 bytes are";
	r.facts = MIME_LONG_LINE;
	(void)sprintf(p + 998, "x\r\n");
	(void)sprintf(out, RCVD "%s", in);
	check(&r);
}

static void
dropping(void **state)
{
	static const struct row rows[] = {
		{ "unknown names can be dropped, too", &remote,
		    "x-a: 1\r\nTo: c\r\nBcc: d\r\n\r\n", RCVD "Bcc: d\r\n\r\n", 0, NULL },
	};
	struct mime_conf c = { .header_size_limit = 100, .hopcount_limit = 5 };
	struct mime_filter *f;
	struct str in = str_c(rows[0].in), out;

	(void)state;
	mime_conf_drop(&c, STR("X-A, to"));
	f = mime_filter_new(&c, &remote);
	assert_int_equal(mime_filter_step(f, &in, &out, NULL), RC_OK);
	assert_true(str_is(out, rows[0].out));
	mime_filter_free(&f);
}

static void
nul_bytes(void **state)
{
	struct row r = { "NUL", &remote, "", "", 0, NULL };
	struct str in = STR("A: b\r\n\r\nx\0y\r\n");
	struct buf out;
	unsigned facts;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(run(&r, in, 3, &out, &facts), RC_OK);
	assert_true(str_eq(buf_view(&out), STR(RCVD "A: b\r\n\r\nx\0y\r\n")));
	assert_int_equal(facts, MIME_NUL);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remote_mail),
		cmocka_unit_test(local_mail),
		cmocka_unit_test(long_fields),
		cmocka_unit_test(dropping),
		cmocka_unit_test(nul_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
