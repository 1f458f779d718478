/* Quoted-printable: what goes in, what comes out, for every way of cutting the text.
 * What is expected was seen with Postfix 3.7. */
#include "mime/quoted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define Y10 "yyyyyyyyyy"
#define Y70 Y10 Y10 Y10 Y10 Y10 Y10 Y10

static const struct {
	struct str text;
	const char *want;
} rows[] = {
	{ STR_INIT(""), "" },
	{ STR_INIT("plain text, ~!"), "plain text, ~!" },
	{ STR_INIT("a=b"), "a=3Db" },
	{ STR_INIT("\xc3\xbc\xff"), "=C3=BC=FF" },
	{ STR_INIT("\0\x01\r\x7f"), "=00=01=0D=7F" },
	{ STR_INIT("in \t side"), "in \t side" },
	{ STR_INIT("end "), "end=20" },
	{ STR_INIT("end  \t"), "end  =09" },
	{ STR_INIT(" "), "=20" },
	{ STR_INIT("\tx"), "\tx" },
	{ STR_INIT(Y70 "yyy"), Y70 "yyy" },
	{ STR_INIT(Y70 "yyyy"), Y70 "yyy=\r\ny" },
	{ STR_INIT(Y70 "yy="), Y70 "yy=3D" },
	{ STR_INIT(Y70 "yyy="), Y70 "yyy=\r\n=3D" },
	{ STR_INIT(Y70 "yy "), Y70 "yy=20" },
	{ STR_INIT(Y70 "yyy "), Y70 "yyy=\r\n=20" },
	{ STR_INIT(Y70 "yy y"), Y70 "yy =\r\ny" },
	{ STR_INIT(Y70 "yy\xc3\xa9"), Y70 "yy=C3=\r\n=A9" },
	{ STR_INIT(Y70 "=\xc3"), Y70 "=3D=\r\n=C3" },
	{ STR_INIT(Y70 Y70 "yyyyyy"), Y70 "yyy=\r\n" Y70 "yyy" },
	{ STR_INIT(Y70 Y70 "yyyyyyy"), Y70 "yyy=\r\n" Y70 "yyy=\r\ny" },
};

static void
cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step <= rows[i].text.n + 1; step++) {
			struct str rest = rows[i].text;
			struct mime_quoted q = { 0 };
			struct buf out;

			buf_init(&out, 1000);
			while (rest.n > 0) {
				struct str piece = str_head(rest, step);

				rest = str_from(rest, step);
				assert_int_equal(mime_quoted_put(&q, piece, &out), RC_OK);
			}
			assert_int_equal(mime_quoted_end(&q, &out), RC_OK);
			if (!str_is(buf_view(&out), rows[i].want))
				fail_msg(
				    "%zu by %zu: %.*s", i, step, STR_ARG(buf_view(&out)));
			buf_fini(&out);
		}
}

static void
lines_begin_anew(void **state)
{
	struct mime_quoted q = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mime_quoted_put(&q, STR(Y70 "y "), &out), RC_OK);
		assert_int_equal(mime_quoted_end(&q, &out), RC_OK);
		assert_int_equal(buf_put(&out, STR("|")), RC_OK);
	}
	assert_true(str_is(buf_view(&out), Y70 "y=20|" Y70 "y=20|"));
	buf_fini(&out);
}

static void
no_room(void **state)
{
	struct mime_quoted q = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	assert_int_equal(mime_quoted_put(&q, STR("=="), &out), RC_TEMP);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(lines_begin_anew),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
