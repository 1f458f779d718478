/* Header fields: names, address lists, Received:. What is expected was seen with
 * Postfix 3.7. */
#include "mime/header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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
		    "@route: x@mail.example.test, \"B\" <b@host>(c), undisclosed: ;" },
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
		{ " \"a\r\n b\" <c>, d@e", "\"a  b\" <c@mail.example.test>, d@e" },
		{ " a (x\r\n y)", "a@mail.example.test (x  y)" },
		{ " a@[1.2.3.4], b", "a@[1.2.3.4], b@mail.example.test" },
		/* Odd ones, as Postfix 3.7 made them. */
		{ " <a", "\"<a\"@mail.example.test" },
		{ " To <a", "\"To <a\"@mail.example.test" },
		{ " <<a@b>>", NULL },
		{ " <<a>>", "< <\"a>\"@mail.example.test>" },
		{ " <a (c)>", "<a@mail.example.test (c)>" },
		{ " <a (c) @b>", NULL },
		{ " \"x\ty\" <a@b>", NULL },
		{ " \"x\ty\" <a>", "\"x y\" <a@mail.example.test>" },
		{ " a\\b <c@d>", NULL },
		{ " a\\b <c>", "ab <c@mail.example.test>" },
		{ " a\\ b <c>", "\"a b\" <c@mail.example.test>" },
		{ " <a,b>", "<\"a, b\"@mail.example.test>" },
		{ " g1:a@b; g2:c@d;", NULL },
		{ " g1:a,b;,g2:c;",
		    "g1: a@mail.example.test, b@mail.example.test;,\r\n\tg2: "
		    "c@mail.example.test;" },
		{ " a (c) b (d)", "a@mail.example.test, b@mail.example.test (c) (d)" },
		{ " g:a;b:c;", "g:a;b: c@mail.example.test;" },
		{ " g:a,h:b;", "g: a@mail.example.test, h: b@mail.example.test;" },
		{ " g:a; <b>", "g: a@mail.example.test; <b@mail.example.test>" },
		{ " Joe: <joe>", "Joe@mail.example.test: <joe@mail.example.test>" },
		{ " x>:a;", "x>: a@mail.example.test;" },
		{ " a>", "a@mail.example.test>" },
		{ " a>b", "a@mail.example.test>, b@mail.example.test" },
		{ " a>>", "\"a>\"@mail.example.test>" },
		{ " a,", "a@mail.example.test, " },
		{ " a,,b", "a@mail.example.test, , b@mail.example.test" },
		{ " a@b@c", "\"a@b\"@c" },
		{ " a@@b", "\"a@\"@b" },
		{ " @", "\"\"" },
		{ " .", "\".\"@mail.example.test" },
		{ " a.", "\"a.\"@mail.example.test" },
		{ " a@[b", NULL },
		{ " a@\"b c\"", "a@b c" },
		{ " (c): a", "\":a\"@mail.example.test (c)" },
		{ " a:(x) <c>", "a@mail.example.test:(x) <c@mail.example.test>" },
		{ " (a\\)b) c", "c@mail.example.test (a\\)b)" },
		{ " A(b)C <d>", "A (b) C <d@mail.example.test>" },
		{ " A . B <c>", "A.B <c@mail.example.test>" },
		{ " \"a\"\"b\" <c>", "\"a\" \"b\" <c@mail.example.test>" },
		{ " [a] B <c>", "[a] B <c@mail.example.test>" },
		{ " a(b)c", "a@mail.example.test, c@mail.example.test (b)" },
		{ " <a b>", "<ab@mail.example.test>" },
		{ " <\"a\" b>", "<\"a b\"@mail.example.test>" },
		{ " <@a,@b:c@d>", "<c@d>" },
		{ " @a,@b:c@d", "\"\"@a, c@d" },
		{ " <@a:b:c>", "<\"b:c\"@mail.example.test>" },
		{ " \x01 <a>", "\"\x01\" <a@mail.example.test>" },
		{ " a|b", "a|b@mail.example.test" },
		{ " a%b%c", "a%b@c" },
		{ " a!b%c", "b%c@a" },
		{ " !a", "a@" },
		{ " \"a%b\"", "a%b@mail.example.test" },
		{ " joe; B <joe>", "joe@mail.example.test;B <joe@mail.example.test>" },
		{ " <joe> (x)", "<joe@mail.example.test>(x)" },
		{ " <> <a>", "<> <a@mail.example.test>" },
		{ " list:;,a", "list: ;, a@mail.example.test" },
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

/* `format` with its %s. */
static void
fill(struct buf *to, const char *format, const char *text)
{
	struct str rest = str_c(format);
	size_t n = str_find(rest, '%');

	assert_int_equal(buf_put(to, str_head(rest, n)), RC_OK);
	if (n == rest.n)
		return;
	assert_int_equal(buf_put(to, str_c(text)), RC_OK);
	assert_int_equal(buf_put(to, str_from(rest, n + 2)), RC_OK);
}

static void
note_stripped(void *ctx, struct str entry)
{
	struct buf *to = ctx;

	assert_int_equal(buf_printf(to, "%.*s;", STR_ARG(str_head(entry, 4))), RC_OK);
}

/* Entries with more than 250 bytes beside their address. */
static void
stripping(void **state)
{
	static const struct {
		const char *format, *out, *stripped;
		int n;
	} rows[] = {
		{ " a (%s), b", "a@o.rg (%s),\r\n\tb@o.rg", "", 247 },
		{ " a (%s), b", "<a@o.rg>, b@o.rg", "a@o.;", 248 },
		{ " %s <a>, b", "%s <a@o.rg>,\r\n\tb@o.rg", "", 247 },
		{ " %s <a>, b", "<a@o.rg>, b@o.rg", "xxxx;", 248 },
		{ " g:%s <a>, b;", "<a@o.rg>, b@o.rg;", "g: x;", 300 },
		{ " %s <a@b.c>", NULL, "", 300 },
		{ " (%s), b", "(%s),\r\n\tb@o.rg", "", 300 },
	};
	struct mime_rewrite how = { .at_myorigin = STR("o.rg") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out, value, want, told;
		struct mime_mapping m = { .map = mime_map_complete, .ctx = &how };
		char text[301] = "";

		memset(text, 'x', (size_t)rows[i].n);
		buf_init(&out, 10000);
		buf_init(&value, 1000);
		buf_init(&want, 1000);
		buf_init(&told, 1000);
		fill(&value, rows[i].format, text);
		m.stripped = note_stripped;
		m.stripped_ctx = &told;
		assert_int_equal(mime_addresses_rewrite(buf_view(&value), &m, mem, &out),
		    rows[i].out == NULL ? RC_NONE : RC_OK);
		if (rows[i].out != NULL)
			fill(&want, rows[i].out, text);
		assert_true(str_eq(buf_view(&out), buf_view(&want)));
		assert_true(str_is(buf_view(&told), rows[i].stripped));
		buf_fini(&out);
		buf_fini(&value);
		buf_fini(&want);
		buf_fini(&told);
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
		{ "<a@b", "[\"<a\"@b]" },
		{ "<a (b)>, <(b)>, \"c@d\", \"\\e\"@f", "[a][\"c@d\"][e@f]" },
		{ "@a,@b:c@d, <@a,@b:e>", "[\"\"@a][c@d][e]" },
		{ "\"a!b\", c!d", "[\"a!b\"][c!d]" },
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
		cmocka_unit_test(stripping),
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
