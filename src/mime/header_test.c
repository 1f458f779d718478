/* Header fields: names, address lists, Received:. What is expected was seen with
 * Postfix 3.7. */
#include "mime/header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena *mem;

static void
names(void **state)
{
	static const struct {
		const char *line;
		size_t name_n, value_at; /* name_n 0: no header */
		enum mime_header h;
	} rows[] = {
		{ "Subject: x", 7, 8, MIME_HDR_OTHER },
		{ "message-ID:x", 10, 11, MIME_HDR_MESSAGE_ID },
		{ "To \t: x", 2, 5, MIME_HDR_TO },
		{ "Resent-Message-Id:", 17, 18, MIME_HDR_RESENT_MESSAGE_ID },
		{ ": x", 0, 0, MIME_HDR_OTHER },
		{ "no header", 0, 0, MIME_HDR_OTHER },
		{ "two words: x", 0, 0, MIME_HDR_OTHER },
		{ "", 0, 0, MIME_HDR_OTHER },
		{ "\xc3\xa4: x", 0, 0, MIME_HDR_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str line = str_c(rows[i].line);
		size_t name_n = 0, value_at = 0;
		bool is = mime_header_split(line, &name_n, &value_at);

		assert_int_equal(is, rows[i].name_n > 0);
		if (!is)
			continue;
		assert_int_equal(name_n, rows[i].name_n);
		assert_int_equal(value_at, rows[i].value_at);
		assert_int_equal(mime_header_find(str_head(line, name_n)), rows[i].h);
	}
}

static void
rewriting(void **state)
{
	static const struct mime_rewrite how = { .at_myorigin =
						     STR_INIT("mail.example.test"),
		.swap_bangpath = true,
		.percent_hack = true };
	struct mime_rewrite ctx = how;
	const struct mime_mapping mapping = {
		.map = mime_map_complete, .ctx = &ctx, .column = 4
	};
	static const struct {
		const char *in, *out; /* out NULL: stays as it is */
	} rows[] = {
		{ " root", "root@mail.example.test" },
		{ " a@b.c", NULL },
		{ " a@b", NULL },
		{ " undisclosed-recipients:;", NULL },
		{ "", NULL },
		{ " <@route:q@r.s>, a%b, u@host.", "<q@r.s>, a@b, u@host" },
		{ " Full Name <joe>", "Full Name <joe@mail.example.test>" },
		{ " \"a (b\" <joe>, <>, @x, root (Charlie Root)",
		    "\"a (b\" <joe@mail.example.test>, <>, \"\"@x,\r\n"
		    "\troot@mail.example.test (Charlie Root)" },
		{ " a@b c@d, e f, \"q q\", <aa> <bb>",
		    "a@b, c@d, e@mail.example.test, f@mail.example.test,\r\n"
		    "\t\"q q\"@mail.example.test,\r\n"
		    "\t<aa@mail.example.test> <bb@mail.example.test>" },
		{ " @route:x, \"B\" <b@host.> (c), undisclosed:;",
		    "x@mail.example.test, \"B\" <b@host>(c), undisclosed: ;" },
		{ " host!user, h1!h2!u", "user@host, h2!u@h1" },
		{ " a,\r\n b", "a@mail.example.test, b@mail.example.test" },
		{ " Two\r\n  Words <a>", "Two Words <a@mail.example.test>" },
		/* No group without its end; an end without a group separates. */
		{ " undisclosed-recipients:",
		    "\"undisclosed-recipients:\"@mail.example.test" },
		{ " g:a@b", "\"g:a\"@b" },
		{ " a;b@c", "a@mail.example.test;, b@c" },
		{ " A <a@b> tail", "A <a@b>, tail@mail.example.test" },
		/* The quotes that are needed. */
		{ " \"a\"@b, c", "a@b, c@mail.example.test" },
		{ " a.b.@c", "\"a.b.\"@c" },
		{ " @b", "\"\"@b" },
		{ " a\\@b", "\"a@b\"@mail.example.test" },
		{ " \"unterminated", "unterminated@mail.example.test" },
		{ " \"a\r\n b\" <c>, d@e", "\"a b\" <c@mail.example.test>, d@e" },
		{ " a (x\r\n y)", "a@mail.example.test (x y)" },
		{ " a@[1.2.3.4], b", "a@[1.2.3.4], b@mail.example.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		enum rc rc;

		buf_init(&out, 10000);
		rc = mime_addresses_rewrite(str_c(rows[i].in), &mapping, mem, &out);
		if ((rc == RC_NONE) != (rows[i].out == NULL) ||
		    (rows[i].out != NULL && !str_is(buf_view(&out), rows[i].out)))
			fail_msg("%s: %s\n%.*s", rows[i].in, rc_name(rc),
			    STR_ARG(buf_view(&out)));
		buf_fini(&out);
	}
}

static void
collect(void *arg, struct str address)
{
	struct buf *to = arg;

	assert_int_equal(buf_printf(to, "[%.*s]", STR_ARG(address)), RC_OK);
}

static void
walking(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "a@b", "[a@b]" },
		{ " a, \"B, C\" <c@d>, e@f (g, h)", "[a][c@d][e@f]" },
		{ "list: a@b, c@d;, e", "[a@b][c@d][e]" },
		{ "undisclosed-recipients:;", "" },
		{ "<>, , ,", "" },
		{ "\"a b\"@c", "[\"a b\"@c]" },
		{ "(only a comment)", "" },
		{ "a (x (nested) y) @ b", "[a@b]" },
		{ "<a@b", "[a@b]" },
		{ "a@b>", "[a@b]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(
		    mime_addresses_each(str_c(rows[i].in), mem, collect, &out), RC_OK);
		if (!str_is(buf_view(&out), rows[i].out))
			fail_msg("%s: %.*s", rows[i].in, STR_ARG(buf_view(&out)));
		buf_fini(&out);
	}
}

static void
complete(void **state)
{
	static const struct mime_rewrite how = { .at_myorigin = STR_INIT("o.rg"),
		.dot_mydomain = STR_INIT("my.dom"),
		.swap_bangpath = true,
		.percent_hack = true };
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "user", "user@o.rg" },
		{ "user@host", "user@host.my.dom" },
		{ "user@host.", "user@host" },
		{ "user@a.b", "user@a.b" },
		{ "user@[::1]", "user@[::1]" },
		{ "h!u", "u@h.my.dom" },
		{ "u%h", "u@h.my.dom" },
		{ "u%h@x.y", "u%h@x.y" },
		{ "\"a@b\"", "\"a@b\"@o.rg" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str got = mime_address_complete(str_c(rows[i].in), &how, mem);

		if (!str_is(got, rows[i].out))
			fail_msg("%s: %.*s", rows[i].in, STR_ARG(got));
	}
}

static void
received(void **state)
{
	struct mime_time t = { 2026, 11, 2, 1, 0, 5, 9, -210, "X" };
	char date[MIME_DATE_MAX];
	struct mime_received r = { .via = MIME_VIA_SMTP,
		.helo = STR("client.test"),
		.client_name = STR("localhost"),
		.client_addr = STR("::1"),
		.proto = STR("ESMTP"),
		.myhostname = STR("mail.example.test"),
		.mail_name = STR("Postfix"),
		.qid = STR("ABC"),
		.rcpt = STR("a@b"),
		.uid = 7 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	r.date = mime_date_format(&t, date);
	assert_string_equal(date, "Mon, 2 Nov 2026 00:05:09 -0330 (X)");
	assert_int_equal(mime_received_format(&r, &out), RC_OK);
	assert_true(str_is(buf_view(&out),
	    "Received: from client.test (localhost [IPv6:::1])\r\n"
	    "\tby mail.example.test (Postfix) with ESMTP id ABC\r\n"
	    "\tfor <a@b>; Mon, 2 Nov 2026 00:05:09 -0330 (X)\r\n"));
	buf_reset(&out);
	r.rcpt = STR("");
	assert_int_equal(mime_received_format(&r, &out), RC_OK);
	assert_true(str_is(buf_view(&out),
	    "Received: from client.test (localhost [IPv6:::1])\r\n"
	    "\tby mail.example.test (Postfix) with ESMTP id ABC;\r\n"
	    "\tMon, 2 Nov 2026 00:05:09 -0330 (X)\r\n"));
	buf_reset(&out);
	r.via = MIME_VIA_LOCAL;
	assert_int_equal(mime_received_format(&r, &out), RC_OK);
	assert_true(str_is(buf_view(&out),
	    "Received: by mail.example.test (Postfix, from userid 7)\r\n"
	    "\tid ABC; Mon, 2 Nov 2026 00:05:09 -0330 (X)\r\n"));
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(rewriting),
		cmocka_unit_test(walking),
		cmocka_unit_test(complete),
		cmocka_unit_test(received),
	};
	int failed;

	mem = arena_new(1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&mem);
	return failed;
}
