/* 8-bit mail to 7 bits: what goes in, what comes out, for every way of cutting the input.
 * What is expected was seen with Postfix 3.7 and a server without 8BITMIME. */
#include "base/buf.h"
#include "mime/filter.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TYPE  "Content-Type: "
#define CTE   "Content-Transfer-Encoding: "
#define CTE8  CTE "8bit\r\n"
#define CTEQ  CTE "quoted-printable\r\n"
#define CTE7  CTE "7bit\r\n"
#define U     "\xc3\xbc"
#define U_QP  "=C3=BC"
#define MIXED TYPE "multipart/mixed; boundary=b\r\n"

static const struct mime_conf conf = {
	.header_size_limit = 200,
	.hopcount_limit = UINT_MAX,
	.nesting_limit = 1,
	.boundary_limit = 20,
	.converts = true,
};

struct row {
	const char *title, *in, *out;
};

static void
run(const struct row *r, size_t step)
{
	static const struct mime_start start = { 0 };
	struct mime_filter *f = mime_filter_new(&conf, &start);
	struct str in = str_c(r->in), piece, chunk;
	struct buf out;
	enum rc rc = RC_MORE;

	buf_init(&out, 1 << 20);
	while (in.n > 0 && rc == RC_MORE) {
		chunk = str_head(in, step);
		in = str_from(in, step);
		while ((rc = mime_filter_step(f, &chunk, &piece, NULL)) == RC_OK)
			assert_int_equal(buf_put(&out, piece), RC_OK);
	}
	while ((rc = mime_filter_end(f, &piece, NULL)) == RC_OK)
		assert_int_equal(buf_put(&out, piece), RC_OK);
	assert_int_equal(rc, RC_NONE);
	if (!str_is(buf_view(&out), r->out))
		fail_msg("%s, in steps of %zu:\n%.*s", r->title, step,
		    STR_ARG(buf_view(&out)));
	assert_false(mime_filter_is_too_deep(f));
	mime_filter_free(&f);
	buf_fini(&out);
}

static void
check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t step = 1; step <= strlen(rows[i].in) + 1; step++)
			run(&rows[i], step);
}

static void
whole_messages(void **state)
{
	static const struct row rows[] = {
		{ "nothing says that it is 8-bit", "A: b\r\n\r\n" U " =\r\n",
		    "A: b\r\n\r\n" U " =\r\n" },
		{ "8bit, and its header goes to the end", CTE8 "A: b\r\n\r\n" U "= \r\n",
		    "A: b\r\n" CTEQ "\r\n" U_QP "=3D=20\r\n" },
		{ "ASCII that says 8bit", CTE8 "\r\na=b\r\n.\r\n\r\n",
		    CTEQ "\r\na=3Db\r\n.\r\n\r\n" },
		{ "binary, folded, odd case",
		    "content-transfer-encoding:\r\n BINARY x\r\n\r\n" U,
		    CTEQ "\r\n" U_QP "\r\n" },
		{ "base64 is 7-bit", CTE "base64\r\n\r\n" U "=\r\n",
		    CTE "base64\r\n\r\n" U "=\r\n" },
		{ "an unknown encoding is let alone", CTE "x\r\n\r\n" U "=\r\n",
		    CTE "x\r\n\r\n" U "=\r\n" },
		{ "the last encoding counts", CTE8 CTE "base64\r\n\r\n" U,
		    CTE "base64\r\n\r\n" U "\r\n" },
		{ "an earlier one stays", CTE "base64\r\n" CTE8 "\r\n" U,
		    CTE "base64\r\n" CTEQ "\r\n" U_QP "\r\n" },
		{ "an unknown one behind it goes, too", CTE8 CTE "x\r\n\r\n" U,
		    CTEQ "\r\n" U_QP "\r\n" },
		{ "headers stay", "S: " U "\r\n" CTE8 "\r\nx\r\n",
		    "S: " U "\r\n" CTEQ "\r\nx\r\n" },
		{ "no body", CTE8, CTEQ },
		{ "text instead of headers", CTE8 "no header " U "=\r\n",
		    CTEQ "\r\nno header " U_QP "=3D\r\n" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void
parts(void **state)
{
	static const struct row rows[] = {
		{ "parts are converted one by one",
		    MIXED CTE8 "\r\npre " U "=\r\n--b\r\n" CTE8 "X: 1\r\n\r\n" U
			       "=\r\n--b"
			       "\r\n\r\n" U " =\r\n--b--\r\nepi " U "=\r\n",
		    MIXED CTE7 "\r\npre " U "=\r\n--b\r\nX: 1\r\n" CTEQ "\r\n" U_QP
			       "=3D\r\n--b\r\n\r\n" U " =\r\n--b--\r\nepi " U "=\r\n" },
		{ "what looks like a boundary is text",
		    MIXED "\r\n--b\r\n" CTE8 "\r\n--=\r\n --b\r\n",
		    MIXED "\r\n--b\r\n" CTEQ "\r\n--=3D\r\n --b\r\n" },
		{ "text instead of headers",
		    MIXED "\r\n--b\r\n" CTE8 "no =\r\n=\r\n--b\r\n" CTE8 "--b--\r\n",
		    MIXED "\r\n--b\r\n" CTEQ "no =3D\r\n=3D\r\n--b\r\n" CTEQ
			  "--b--\r\n" },
		{ "… even in a multipart",
		    MIXED "\r\n--b\r\n" TYPE "multipart/x\r\n" CTE8 "no =\r\n",
		    MIXED "\r\n--b\r\n" TYPE "multipart/x\r\n" CTE7 "no =3D\r\n" },
		{ "a part ends with its headers", MIXED "\r\n--b\r\n" CTE8,
		    MIXED "\r\n--b\r\n" CTEQ },
		{ "a message inside",
		    TYPE "message/rfc822\r\n" CTE8 "\r\nS : " U "\r\n" CTE8 "\r\n" U
			 "=\r\n",
		    TYPE "message/rfc822\r\n" CTE7 "\r\nS: " U "\r\n" CTEQ "\r\n" U_QP
			 "=3D\r\n" },
		{ "a message inside that says nothing",
		    TYPE "message/rfc822\r\n" CTE8 "\r\nS: x\r\n\r\n" U "=\r\n",
		    TYPE "message/rfc822\r\n" CTE7 "\r\nS: x\r\n\r\n" U "=\r\n" },
		{ "a digest",
		    TYPE "multipart/digest; boundary=b\r\n\r\n--b\r\n" CTE8 "\r\nS: x\r\n"
			 "\r\n" U "=\r\n--b--\r\n",
		    TYPE "multipart/digest; boundary=b\r\n\r\n--b\r\n" CTE7 "\r\nS: x\r\n"
			 "\r\n" U "=\r\n--b--\r\n" },
		{ "message/global has no 7-bit form but this",
		    TYPE "message/global\r\n" CTE8 "\r\nS: " U "\r\n" CTE8 "\r\n" U
			 "\r\n",
		    TYPE "message/global\r\n" CTEQ "\r\nS: " U_QP "\r\n" CTE8 "\r\n" U_QP
			 "\r\n" },
		{ "its kind is forgotten behind it",
		    TYPE "message/global\r\n\r\n" TYPE "message/x\r\n" CTE8 "\r\n=\r\n",
		    TYPE "message/global\r\n\r\n" TYPE "message/x\r\n" CTE7
			 "\r\n=3D\r\n" },
		{ "other messages", TYPE "message/partial\r\n" CTE8 "\r\nA: " U "=\r\n",
		    TYPE "message/partial\r\n" CTE7 "\r\nA: " U_QP "=3D\r\n" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

/* compat: two more than the limit says. */
static void
too_deep(void **state)
{
	static const struct mime_start start = { 0 };
	static const char four[] =
	    TYPE "multipart/x; boundary=1\r\n\r\n--1\r\n" TYPE "multipart/x; boundary=2"
		 "\r\n\r\n--2\r\n" TYPE "multipart/x; boundary=3\r\n\r\n--3\r\n" TYPE
		 "multipart/x; boundary=4\r\n\r\n--4\r\n";
	struct str in = str_c(four), piece;
	struct mime_filter *f = mime_filter_new(&conf, &start);

	(void)state;
	in = str_head(in, in.n - 7); /* up to the last empty line */
	while (mime_filter_step(f, &in, &piece, NULL) == RC_OK)
		assert_false(mime_filter_is_too_deep(f));
	in = STR("\r\n");
	while (mime_filter_step(f, &in, &piece, NULL) == RC_OK)
		;
	assert_true(mime_filter_is_too_deep(f));
	mime_filter_free(&f);
}

/* A line of many pieces, and blanks where a piece ends. */
static void
long_lines(void **state)
{
	static char in[9000], out[20000];
	struct row r = { "a long line", in, out };
	char *p = in + sprintf(in, CTE8 "\r\n"), *q = out + sprintf(out, CTEQ "\r\n");
	size_t n = 4096;

	(void)state;
	memset(p, ' ', n);
	(void)sprintf(p + n, "\r\nz\r\n");
	for (; n > 73; n -= 73)
		q += sprintf(q, "%73s=\r\n", "");
	(void)sprintf(q, "%*s=20\r\nz\r\n", (int)n - 1, "");
	for (size_t step = 1; step < 5000; step += 1 + step / 5)
		run(&r, step);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages),
		cmocka_unit_test(parts),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
