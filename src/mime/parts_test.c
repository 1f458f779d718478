/* parts.h: messages and what each of their lines is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "mime/parts.h"

struct seen {
	char text[2000];
	size_t n;
};

static void
note(void *ctx, enum mime_part part, struct str text)
{
	struct seen *s = ctx;

	s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, "%c%.*s|",
	    "hmnb"[part], STR_ARG(text));
}

static void
check(const struct mime_parts_conf *conf, const char *message, const char *want)
{
	struct seen seen = { .n = 0 };
	struct mime_parts_conf c = *conf;
	struct str rest = str_c(message), line;
	struct mime_parts *p;

	c.each = note;
	c.ctx = &seen;
	p = mime_parts_new(&c);
	while (rest.n > 0) {
		line = str_head(rest, str_find(rest, '\n'));
		rest = str_from(rest, line.n + 1);
		mime_parts_line(p, line);
	}
	mime_parts_end(p);
	mime_parts_free(&p);
	assert_string_equal(seen.text, want);
}

static const struct mime_parts_conf usual = {
	.header_size_limit = 1000, .nesting_limit = 10, .boundary_limit = 100
};

static void
messages(void **state)
{
	static const struct {
		const char *message, *want;
	} cases[] = {
		{ "A: b\n c\nD : e\n\nf\n\ng\n", "hA: b\n c|hD: e|bf|b|bg|" },
		{ "A: b\n", "hA: b|" },
		{ "From x\nA: b\n", "bFrom x|bA: b|" },
		{ " lead\nA: b\n", "b lead|bA: b|" },
		{ "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\nC: d\n\ne\n"
		  "--b--\nF: g\n",
		    "hContent-Type: multipart/mixed; boundary=b|bpre|b--b|mC: "
		    "d|be|b--b--|"
		    "bF: g|" },
		{ "Content-Type: Message/RFC822; x=y\n\nA: b\n\nc\n",
		    "hContent-Type: Message/RFC822; x=y|nA: b|bc|" },
		{ "Content-Type: message/partial\n\nA: b\n",
		    "hContent-Type: message/partial|bA: b|" },
		{ "Content-Type: multipart/digest (x); y=\"b=;\";\n boundary=\"b\\\"c\"\n"
		  "\n--b\"c\n\nS: t\n\nu\n",
		    "hContent-Type: multipart/digest (x); y=\"b=;\";\n "
		    "boundary=\"b\\\"c\"|b--b\"c|nS: t|bu|" },
		{ "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
		  "multipart/x; boundary=bc\n\n--bc\nA: b\n\n--b\nC: d\n\n--bc\nE: f\n",
		    "hContent-Type: multipart/mixed; boundary=b|b--b|mContent-Type: "
		    "multipart/x; boundary=bc|b--bc|mA: b|b--b|mC: d|b--bc|mE: f|" },
		{ "Content-Type: multipart/mixed\n\n--b\nC: d\n",
		    "hContent-Type: multipart/mixed|b--b|bC: d|" },
		{ "Content-Type: multipart/mixed; boundary=b\n\n--b\nno\nA: b\n",
		    "hContent-Type: multipart/mixed; boundary=b|b--b|bno|bA: b|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check(&usual, cases[i].message, cases[i].want);
}

static void
limits(void **state)
{
	struct mime_parts_conf c = usual;

	(void)state;
	c.header_size_limit = 6;
	check(&c, "A: bcdef\n g\nB: c\n", "hA: bcd|hB: c|");
	c = usual;
	c.nesting_limit = 0;
	check(&c,
	    "Content-Type: multipart/x; boundary=b\n\n--b\nContent-Type: multipart/x; "
	    "boundary=c\n\n--c\nContent-Type: multipart/x; boundary=d\n\n--d\n"
	    "A: b\n", /* compat: two more than the limit says */
	    "hContent-Type: multipart/x; boundary=b|b--b|mContent-Type: multipart/x; "
	    "boundary=c|b--c|mContent-Type: multipart/x; boundary=d|b--d|bA: b|");
	c = usual;
	c.boundary_limit = 1;
	check(&c, "Content-Type: multipart/x; boundary=bcd\n\n--bx\nA: b\n",
	    "hContent-Type: multipart/x; boundary=bcd|b--bx|mA: b|");
	c.is_flat = true;
	check(&c, "Content-Type: message/rfc822\n\nA: b\n",
	    "hContent-Type: message/rfc822|bA: b|");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(messages),
		cmocka_unit_test(limits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
