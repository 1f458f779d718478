/* Sessions with a filter, whole and in single bytes; and that no line end, however it
 * comes, ends a message too early. */
#include "smtp/filter_client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct play {
	struct smtp_filter *f;
	char trace[8000];
	size_t n;
};

static void
note(struct play *p, const char *what, int code, struct str s)
{
	int n = snprintf(p->trace + p->n, sizeof(p->trace) - p->n, "%s", what);

	p->n += (size_t)n;
	if (code != 0)
		p->n += (size_t)snprintf(
		    p->trace + p->n, sizeof(p->trace) - p->n, "%d ", code);
	p->n += (size_t)snprintf(
	    p->trace + p->n, sizeof(p->trace) - p->n, "%.*s\n", STR_ARG(s));
}

static void
drain(struct play *p)
{
	struct smtp_filter_fx fx;

	while (smtp_filter_next(p->f, &fx))
		switch (fx.type) {
		case SMTP_FILTER_SEND:
			note(p, "> ", 0, fx.data);
			break;
		case SMTP_FILTER_REPLY:
			note(p, "= ", fx.code, fx.data);
			break;
		case SMTP_FILTER_BROKEN:
			note(p, "! ", 0, fx.command.n > 0 ? fx.command : fx.data);
			break;
		}
}

static void
hear(struct play *p, const char *text, size_t step)
{
	struct str s = str_c(text);

	while (s.n > 0) {
		smtp_filter_recv(p->f, str_head(s, step));
		drain(p);
		s = str_from(s, step);
	}
}

static const struct smtp_filter_conf conf = { .ehlo = STR_INIT("mx.test"),
	.client = { .name = STR_INIT("unknown"),
	    .addr = STR_INIT("2001:db8::1"),
	    .helo = STR_INIT("a=b"),
	    .proto = STR_INIT("ESMTP"),
	    .source = STR_INIT("REMOTE") } };

static void
begin(struct play *p)
{
	*p = (struct play){ .f = smtp_filter_new(&conf) };
}

static void
test_whole(void **state)
{
	struct play p;

	(void)state;
	for (size_t step = 1; step < 20; step++) {
		begin(&p);
		smtp_filter_command(p.f, STR("MAIL FROM:<>"));
		drain(&p);
		hear(&p, "220-hi\r\n220 there\r\n", step);
		hear(&p, "250-x\r\n250 XFORWARD NAME ADDR HELO SOURCE\r\n", step);
		hear(&p, "250 ok\r\n", step);
		hear(&p, "250 2.1.0 sender\r\n", step);
		smtp_filter_command(p.f, STR("RCPT TO:<a@b>"));
		drain(&p);
		hear(&p, "550-5.1.1 no\r\n550 5.1.1 really\r\n", step);
		assert_string_equal(p.trace,
		    "> EHLO mx.test\r\n\n"
		    "> XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 HELO=a+3Db "
		    "SOURCE=REMOTE\r\n\n"
		    "> MAIL FROM:<>\r\n\n"
		    "= 250 250 2.1.0 sender\n"
		    "> RCPT TO:<a@b>\r\n\n"
		    "= 550 550-5.1.1 no\r\n550 5.1.1 really\n");
		smtp_filter_free(&p.f);
	}
}

static void
ready(struct play *p)
{
	begin(p);
	hear(p, "220 x\r\n", 100);
	hear(p, "250 x\r\n", 100);
	p->n = 0;
	p->trace[0] = '\0';
}

static void
test_broken(void **state)
{
	static const struct {
		const char *heard, *want;
	} cases[] = {
		{ "421 go away\r\n", "! connection request\n" },
		{ "220 x\r\n500 no\r\n", "> EHLO mx.test\r\n\n! EHLO mx.test\n" },
		{ "hello\r\n", "! a reply that is none\n" },
		{ "220-x\r\n250 x\r\n", "! a reply that is none\n" },
		{ "220 x\r\n250 x\r\n250 y\r\n",
		    "> EHLO mx.test\r\n\n! a reply that nobody asked for\n" },
	};
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(&p);
		hear(&p, cases[i].heard, 7);
		assert_string_equal(p.trace, cases[i].want);
		/* Nothing follows. */
		smtp_filter_command(p.f, STR("MAIL FROM:<>"));
		smtp_filter_content(p.f, STR("x\n"));
		hear(&p, "250 ok\r\n", 100);
		assert_string_equal(p.trace, cases[i].want);
		smtp_filter_free(&p.f);
	}
}

/* Two replies to one command would answer the next one, too. */
static void
test_early_reply(void **state)
{
	struct play p;

	(void)state;
	ready(&p);
	smtp_filter_command(p.f, STR("MAIL FROM:<>"));
	drain(&p);
	smtp_filter_recv(p.f, STR("250 ok\r\n250 ok\r\n"));
	drain(&p);
	smtp_filter_command(p.f, STR("RCPT TO:<a@b>"));
	drain(&p);
	assert_string_equal(p.trace,
	    "> MAIL FROM:<>\r\n\n= 250 250 ok\n! a reply that nobody asked for\n");
	smtp_filter_free(&p.f);
}

static void
test_command_injection(void **state)
{
	struct play p;

	(void)state;
	ready(&p);
	smtp_filter_command(p.f, STR("MAIL FROM:<a\r\nRCPT TO:<b>"));
	drain(&p);
	assert_string_equal(p.trace, "! a command that cannot be sent\n");
	smtp_filter_free(&p.f);
}

static const struct {
	struct str in;
	const char *out;
} contents[] = {
	{ STR_INIT(""), ".\r\n" },
	{ STR_INIT("a\r\n"), "a\r\n.\r\n" },
	{ STR_INIT("a"), "a\r\n.\r\n" },
	{ STR_INIT("a\n.b\n"), "a\r\n..b\r\n.\r\n" },
	{ STR_INIT(".\r\n"), "..\r\n.\r\n" },
	{ STR_INIT("a\n.\n"), "a\r\n..\r\n.\r\n" },
	{ STR_INIT("a\r.\r\nb"), "a .\r\nb\r\n.\r\n" },
	{ STR_INIT("a\r\n.\rb\r\n"), "a\r\n.. b\r\n.\r\n" },
	{ STR_INIT("a\n\r.\r\n"), "a\r\n .\r\n.\r\n" },
	{ STR_INIT("a\r\r\n.\r\r\n"), "a \r\n.. \r\n.\r\n" },
	{ STR_INIT("a\r"), "a\r\n.\r\n" },
	{ STR_INIT("\r.\r\n"), " .\r\n.\r\n" },
};

static void
test_content(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contents); i++)
		for (size_t step = 1; step <= 4; step++) {
			struct str s = contents[i].in;
			char got[200] = "";
			struct smtp_filter_fx fx;
			struct play p;

			ready(&p);
			smtp_filter_command(p.f, STR("DATA"));
			drain(&p);
			hear(&p, "354 go\r\n", 100);
			for (; s.n > 0; s = str_from(s, step)) {
				smtp_filter_content(p.f, str_head(s, step));
				while (smtp_filter_next(p.f, &fx))
					strncat(got, fx.data.p, fx.data.n);
			}
			smtp_filter_end(p.f);
			while (smtp_filter_next(p.f, &fx))
				strncat(got, fx.data.p, fx.data.n);
			assert_string_equal(got, contents[i].out);
			p.n = 0;
			hear(&p, "250 queued\r\n", 3);
			assert_string_equal(p.trace, "= 250 250 queued\n");
			smtp_filter_free(&p.f);
		}
}

/* What does not go into one line goes into the next. */
static void
test_long_forward(void **state)
{
	static char long_name[400];
	struct smtp_filter_conf c = conf;
	struct play p = { 0 };

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	c.client.name = c.client.helo = str_n(long_name, sizeof(long_name));
	p.f = smtp_filter_new(&c);
	hear(&p, "220 x\r\n", 100);
	hear(&p, "250 XFORWARD NAME HELO\r\n", 100);
	hear(&p, "250 ok\r\n", 100);
	hear(&p, "500 ok\r\n", 100);
	smtp_filter_command(p.f, STR("MAIL FROM:<>"));
	drain(&p);
	assert_non_null(strstr(p.trace, "> XFORWARD NAME=aaa"));
	assert_non_null(strstr(p.trace, "> XFORWARD HELO=aaa"));
	assert_non_null(strstr(p.trace, "> MAIL FROM:<>"));
	smtp_filter_free(&p.f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_early_reply),
		cmocka_unit_test(test_command_injection),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_long_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
