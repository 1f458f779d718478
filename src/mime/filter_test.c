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
	const char *ids; /* that are told, each with LF */
};

struct told {
	char text[4000];
	size_t n;
};

static void
tell(void *ctx, bool is_resent, struct str id)
{
	struct told *t = ctx;
	size_t room = sizeof(t->text) - t->n;
	int n = snprintf(
	    t->text + t->n, room, "%s%.*s\n", is_resent ? "resent " : "", STR_ARG(id));

	assert_true(n > 0 && (size_t)n < room);
	t->n += (size_t)n;
}

/* Feeds `in` in pieces of `step` bytes. */
static enum rc
run(const struct row *r, struct str in, size_t step, struct buf *out, unsigned *facts)
{
	struct told told = { .n = 0 };
	struct mime_start start = *r->start;
	struct mime_filter *f;
	struct str piece, chunk;
	enum rc rc = RC_MORE;

	start.identified = tell;
	start.log_ctx = &told;
	f = mime_filter_new(&conf, &start);
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
	if (rc == RC_OK && r->ids != NULL && !str_is(str_n(told.text, told.n), r->ids))
		fail_msg("%s: ids %.*s", r->title, (int)told.n, told.text);
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
		    RCVD "Subject: x\r\n\r\nbody\r\n", 0, "<>\n" },
		{ "message id is told", &remote, "Message-ID:\r\n <a@b>\r\n\r\n",
		    RCVD "Message-ID:\r\n <a@b>\r\n\r\n", 0, "<a@b>\n" },
		{ "all message ids are told", &remote,
		    "Message-ID: <a@b> (c) <d@e> \r\nMessage-Id: <f>\r\n\r\n",
		    RCVD "Message-ID: <a@b> (c) <d@e> \r\nMessage-Id: <f>\r\n\r\n", 0,
		    "<a@b> (c) <d@e> \n<f>\n" },
		{ "an empty message id is none of ours", &remote, "Message-ID: \r\n\r\n",
		    RCVD "Message-ID: \r\n\r\n", 0, "\n" },
		{ "resent ids are told where they stand", &remote,
		    "Resent-Message-ID: <a>\r\nMessage-ID: <b\r\n c>\r\n"
		    "Resent-Message-ID:\r\n\r\n",
		    RCVD "Resent-Message-ID: <a>\r\nMessage-ID: <b\r\n c>\r\n"
			 "Resent-Message-ID:\r\n\r\n",
		    0, "resent <a>\n<b\r\n c>\nresent \n" },
		{ "an id in the body is none", &remote, "\r\nMessage-ID: <a>\r\n",
		    RCVD "\r\nMessage-ID: <a>\r\n", 0, "<>\n" },
		{ "nothing at all", &remote, "", RCVD, MIME_NO_BODY, "<>\n" },
		{ "headers only", &remote, "Subject: x\r\n", RCVD "Subject: x\r\n",
		    MIME_NO_BODY, "<>\n" },
		{ "no headers", &remote, "\r\nbody\r\n", RCVD "\r\nbody\r\n", 0, "<>\n" },
		{ "a line that is no header ends them", &remote,
		    "A: b\r\nno header\r\nTo: x\r\n",
		    RCVD "A: b\r\n\r\nno header\r\nTo: x\r\n", 0, "<>\n" },
		{ "a name with a blank is no header", &remote, "A: b\r\nNo pe: x\r\n",
		    RCVD "A: b\r\n\r\nNo pe: x\r\n", 0, "<>\n" },
		{ "blanks before the colon go", &remote, "A : b\r\n\r\n",
		    RCVD "A: b\r\n\r\n", 0, "<>\n" },
		{ "first line with leading blank", &remote, " x\r\nA: b\r\n",
		    RCVD "\r\n x\r\nA: b\r\n", 0, "<>\n" },
		{ "mailbox line", &remote, "From a Fri\r\nA: b\r\n\r\n",
		    RCVD "X-Mailbox-Line: From a Fri\r\nA: b\r\n\r\n", 0, "<>\n" },
		{ "quoted mailbox line", &remote, ">From a Fri\r\n\r\n",
		    RCVD "X-Mailbox-Line: >From a Fri\r\n\r\n", 0, "<>\n" },
		{ "dropped fields", &remote,
		    "Bcc: a\r\n b\r\nReturn-Path: <x>\r\nTo: c\r\n\r\n",
		    RCVD "To: c\r\n\r\n", 0, "<>\n" },
		{ "last line without end", &remote, "A: b\r\n\r\nx",
		    RCVD "A: b\r\n\r\nx\r\n", 0, "<>\n" },
		{ "header without end", &remote, "A: b", RCVD "A: b\r\n",
		    MIME_NO_BODY | MIME_BARE_LF, "<>\n" },
		{ "bare LF becomes CRLF", &remote, "A: b\n\nx\ny\r\n",
		    RCVD "A: b\r\n\r\nx\r\ny\r\n", MIME_BARE_LF, "<>\n" },
		{ "stray CRs become blanks", &remote, "A: b\rc\r\n\r\nx\ry\r\r\rz\r\n",
		    RCVD "A: b c\r\n\r\nx y   z\r\n", MIME_BARE_CR, "<>\n" },
		{ "CRs before an LF are one line end", &remote,
		    "A: b\r\r\n\r\nx\r\r\r\ny\r\n", RCVD "A: b\r\n\r\nx\r\ny\r\n", 0,
		    "<>\n" },
		{ "CR at the very end", &remote, "A: b\r\n\r\nx\r",
		    RCVD "A: b\r\n\r\nx\r\n", 0, "<>\n" },
		{ "eight bits", &remote, "A: b\r\n\r\nx\xc3\xa4\r\n",
		    RCVD "A: b\r\n\r\nx\xc3\xa4\r\n", MIME_8BIT, "<>\n" },
		{ "eight bits in a header", &remote, "A: \xff\r\n\r\n",
		    RCVD "A: \xff\r\n\r\n", MIME_8BIT_HEADER, "<>\n" },
		{ "an encoding of 8 bits", &remote,
		    "Content-transfer-encoding:\r\n Binary\r\n\r\n",
		    RCVD "Content-transfer-encoding:\r\n Binary\r\n\r\n", MIME_SAYS_8BIT,
		    "<>\n" },
		{ "an encoding of 7 bits, and no parts", &remote,
		    "Content-Transfer-Encoding: 7bit\r\nContent-Type: "
		    "text/multipart\r\n\r\n",
		    RCVD "Content-Transfer-Encoding: 7bit\r\nContent-Type: "
			 "text/multipart\r\n\r\n",
		    0, "<>\n" },
		{ "parts", &remote, "content-type: Multipart/mixed\r\n\r\n",
		    RCVD "content-type: Multipart/mixed\r\n\r\n", MIME_HAS_PARTS,
		    "<>\n" },
		{ "dot lines", &remote, "A: b\r\n\r\nx.\r\n.y\r\n",
		    RCVD "A: b\r\n\r\nx.\r\n.y\r\n", MIME_DOT_LINE, "<>\n" },
		{ "dot in the first body line", &remote, ".x\r\n", RCVD "\r\n.x\r\n",
		    MIME_DOT_LINE, "<>\n" },
		{ "two hops", &remote, "RECEIVED: b\r\n\r\n", RCVD "RECEIVED: b\r\n\r\n",
		    0, "<>\n" },
		{ "too many hops", &remote, "Received: a\r\nReceived: b\r\n\r\n", NULL, 0,
		    "<>\n" },
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
		    0, "<new@h>\n" },
		{ "nothing is missing", &local,
		    "Message-Id: <a>\r\nDate: d\r\nFrom: a@b.c\r\n\r\n",
		    RCVD "Message-Id: <a>\r\nDate: d\r\nFrom: a@b.c\r\n\r\n", 0,
		    "<a>\n" },
		{ "resent", &local, "Resent-To: k\r\nBcc: secret\r\n\r\n",
		    RCVD "Resent-To: k@o.rg\r\nResent-Message-Id: "
			 "<new@h>\r\nResent-Date: now\r\n"
			 "Resent-From: s@o\r\n\r\n",
		    0, "resent <new@h>\n<>\n" },
		{ "headers only, completed", &local, "Subject: x\r\n",
		    RCVD "Subject: x\r\n" FULL, MIME_NO_BODY, "<new@h>\n" },
		{ "addresses are completed and folded", &local,
		    "To: x, \"Y Z\" <y>, (comment) w@foo, Group: a, b@c.d;, \"odd "
		    "local\"@h\r\n"
		    "Cc: x@full.dom,\r\n  z@other.dom\r\nX: joe\r\n\r\n",
		    RCVD "To: x@o.rg, \"Y Z\" <y@o.rg>, w@foo (comment), Group: a@o.rg, "
			 "b@c.d;,\r\n"
			 "\t\"odd local\"@h\r\n"
			 "Cc: x@full.dom,\r\n  z@other.dom\r\nX: joe\r\n" FULL "\r\n",
		    0, "<new@h>\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&rows[i]);
}

static void
long_fields(void **state)
{
	char in[3000], *p = in;
	struct row r = { "a field beyond header_size_limit is cut", &remote, in, in, 0,
		"<>\n" };
	char out[3200];

	(void)state;
	p += sprintf(p, "A: ");
	memset(p, 'x', 1000);
	p += 1000;
	(void)sprintf(p, "\r\n fold\r\n\tfold\r\nB: c\r\n d\r\n\r\nbody\r\n");
	p = out + sprintf(out, RCVD "A: ");
	memset(p, 'x', 197);
	(void)sprintf(p + 197, "\r\nB: c\r\n d\r\n\r\nbody\r\n");
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

/* ---- hooks ---- */

/* Answers by the text itself, and lets every question wait `patience` times. */
struct play {
	unsigned patience, waited;
	char log[20000];
	size_t n;
};

static enum rc
play_check(
    void *ctx, enum mime_part part, struct str text, struct mime_edit *out, struct err *e)
{
	static const char *const parts[] = { "H", "M", "N", "B" };
	struct play *p = ctx;

	if (p->waited++ < p->patience)
		return RC_MORE;
	p->waited = 0;
	p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%s %.*s|",
	    parts[part], STR_ARG(str_head(text, 40)));
	if (str_find(text, '-') == 0 && str_starts(text, STR("-drop")))
		out->verdict = MIME_DROP;
	else if (str_starts(text, STR("drop")))
		out->verdict = MIME_DROP;
	else if (str_starts(text, STR("repl")))
		*out = (struct mime_edit){ MIME_REPLACE, STR("repl: new\n more") };
	else if (str_starts(text, STR("prep")))
		*out = (struct mime_edit){ MIME_PREPEND, STR("put: .") };
	else if (str_starts(text, STR("inject")))
		*out = (struct mime_edit){ MIME_PREPEND,
			STR("put: .\r\nBcc: x\n\r\r\ny\r\rz\r") };
	else if (str_starts(text, STR("refuse")))
		return err_set(e, RC_PERM, "550 5.7.1 no");
	return RC_OK;
}

/* The same for every piece size and patience. */
static void
play(const char *title, const struct mime_conf *c, struct str in, const char *log,
    const char *out)
{
	for (size_t step = 1; step <= in.n + 1; step += 1 + step / 7)
		for (unsigned patience = 0; patience < 3; patience++) {
			struct play p = { .patience = patience };
			const struct mime_hooks hooks = {
				.ctx = &p, .checks = 15, .check = play_check
			};
			struct mime_start start = { .hooks = &hooks };
			struct mime_filter *f = mime_filter_new(c, &start);
			struct str rest = in, piece, chunk;
			struct buf got;
			enum rc rc = RC_MORE;

			buf_init(&got, 1 << 20);
			while (rest.n > 0 && rc == RC_MORE) {
				chunk = str_head(rest, step);
				rest = str_from(rest, step);
				do {
					rc = mime_filter_step(f, &chunk, &piece, NULL);
					if (rc == RC_OK)
						assert_int_equal(
						    buf_put(&got, piece), RC_OK);
				} while (rc == RC_OK || mime_filter_is_waiting(f));
			}
			while (rc == RC_MORE || rc == RC_OK) {
				rc = mime_filter_end(f, &piece, NULL);
				if (rc == RC_OK)
					assert_int_equal(buf_put(&got, piece), RC_OK);
				if (rc == RC_MORE)
					assert_true(mime_filter_is_waiting(f));
			}
			assert_int_equal(rc, out != NULL ? RC_NONE : RC_PERM);
			if ((out != NULL && !str_is(buf_view(&got), out)) ||
			    (log != NULL && strcmp(p.log, log) != 0))
				fail_msg("%s, steps of %zu, patience %u: %s\n%s\n%.*s",
				    title, step, patience, rc_name(rc), p.log,
				    STR_ARG(buf_view(&got)));
			mime_filter_free(&f);
			buf_fini(&got);
		}
}

static const struct mime_conf checked = {
	.header_size_limit = 200,
	.line_limit = 20,
	.hopcount_limit = 5,
	.nesting_limit = 3,
	.boundary_limit = 20,
	.body_check_limit = 1000,
};

static void
checks(void **state)
{
	(void)state;
	play("plain", &checked, STR("A: b\r\n c\r\n\r\nx\r\ny"), "H A: b\n c|B x|B y|",
	    "A: b\r\n c\r\n\r\nx\r\ny\r\n");
	play("edits", &checked,
	    STR("drop: a\r\n more\r\nrepl: b\r\nprep: c\r\n\r\n1\r\ndrop\r\nrepl\r\n"
		"prep\r\n\r\n2\r\n"),
	    NULL,
	    "repl: new\r\n more\r\nput: .\r\nprep: c\r\n\r\n1\r\nrepl: new\r\n more\r\n"
	    "put: .\r\nprep\r\n\r\n2\r\n");
	play("what a table says does not begin a header, or end it", &checked,
	    STR("inject: c\r\n\r\ninject\r\n"), "H inject: c|B inject|",
	    "put: .\r\n\tBcc: x\r\n\t\r\n\ty  z\r\ninject: c\r\n\r\n"
	    "put: .\r\nBcc: x\r\n\r\ny  z\r\ninject\r\n");
	play("lines are cut", &checked,
	    STR("\r\n12345678901234567890\r\n12345678901234567890a\r\n"
		"1234567890123456789012345678901234567890b\r\n\r\n"),
	    "B 12345678901234567890|B 12345678901234567890|B a|B 12345678901234567890|"
	    "B 12345678901234567890|B b|",
	    "\r\n12345678901234567890\r\n12345678901234567890a\r\n"
	    "1234567890123456789012345678901234567890b\r\n\r\n");
	play("odd line ends", &checked, STR("\r\na\nb\r\r\nc\rd\r\n\ne\r"),
	    "B a|B b|B c d|B e|", "\r\na\r\nb\r\nc d\r\n\r\ne\r\n");
	play("no separator", &checked, STR("A: b\r\ndrop\r\nx\r\n"), "H A: b|B drop|B x|",
	    "A: b\r\n\r\nx\r\n");
	play("parts", &checked,
	    STR("Content-Type: multipart/x; boundary=b\r\n\r\npre\r\n--b\r\nX: 1\r\n\r\n"
		"t\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nS: 1\r\n\r\nu\r\n--b\r\n"
		"text\r\n--b--\r\nY: 1\r\n"),
	    "M Content-Type: multipart/x; boundary=b|B pre|B --b|M X: 1|B t|B --b|"
	    "M Content-Type: message/rfc822|N S: 1|B u|B --b|B text|B --b--|B Y: 1|",
	    "Content-Type: multipart/x; boundary=b\r\n\r\npre\r\n--b\r\nX: 1\r\n\r\n"
	    "t\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nS: 1\r\n\r\nu\r\n--b\r\n"
	    "text\r\n--b--\r\nY: 1\r\n");
	play("a part that ends with its headers", &checked,
	    STR("Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nX: 1\r\nX: 2"), NULL,
	    "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nX: 1\r\nX: 2\r\n");
	play("refused", &checked, STR("A: b\r\n\r\nx\r\nrefuse\r\nz\r\n"), NULL, NULL);
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
		cmocka_unit_test(checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
