/* 8-bit mail to 7 bits. Any bytes as the body of a text that says it is 8-bit: the output
 * is quoted-printable as RFC 2045 wants it, and decoding gives the text again. Any bytes
 * as a message: the output does not depend on how the input is cut, every line ends in
 * CRLF, and it is bounded by the input. First byte: which of the two, and the size of
 * pieces. */
#include "base/buf.h"
#include "mime/filter.h"
#include <assert.h>
#include <limits.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD     "Content-Transfer-Encoding: 8bit\r\n\r\n"
#define HEAD_OUT "Content-Transfer-Encoding: quoted-printable\r\n\r\n"

/* Small enough to be met. */
static const struct mime_conf conf = {
	.header_size_limit = 300,
	.hopcount_limit = UINT_MAX,
	.nesting_limit = 1,
	.boundary_limit = 8,
	.line_limit = 90,
	.converts = true,
};

/* Returns what was too deep. */
static bool
convert(struct str in, size_t step, struct buf *out)
{
	static const struct mime_start start = { 0 };
	struct mime_filter *f = mime_filter_new(&conf, &start);
	struct str chunk, piece;
	bool is_too_deep;
	enum rc rc;

	while (in.n > 0) {
		chunk = str_head(in, step);
		in = str_from(in, step);
		while ((rc = mime_filter_step(f, &chunk, &piece, NULL)) == RC_OK)
			assert(buf_put(out, piece) == RC_OK);
		assert(rc == RC_MORE && !mime_filter_is_waiting(f));
	}
	while ((rc = mime_filter_end(f, &piece, NULL)) == RC_OK)
		assert(buf_put(out, piece) == RC_OK);
	assert(rc == RC_NONE);
	is_too_deep = mime_filter_is_too_deep(f);
	mime_filter_free(&f);
	return is_too_deep;
}

/* ---- a text ---- */

/* The lines that a message of these bytes has: CRs before an LF belong to it, others are
 * blanks. */
static void
put_lines(struct buf *out, struct str in)
{
	size_t crs = 0;

	assert(buf_put(out, STR(HEAD)) == RC_OK);
	for (size_t i = 0; i <= in.n; i++) {
		if (i < in.n && in.p[i] == '\r') {
			crs++;
			continue;
		}
		if (i < in.n && in.p[i] != '\n')
			while (crs-- > 0)
				assert(buf_put(out, STR(" ")) == RC_OK);
		crs = 0;
		if (i < in.n)
			assert(
			    buf_put(out, in.p[i] == '\n' ? STR("\r\n")
							 : str_n(in.p + i, 1)) == RC_OK);
	}
	if (!str_ends(buf_view(out), STR("\r\n")))
		assert(buf_put(out, STR("\r\n")) == RC_OK);
}

static unsigned
hex(char c)
{
	assert((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* One line without its end; true: it goes on in the next one. */
static bool
decode_line(struct str line, struct buf *out)
{
	assert(line.n <= 76);
	assert(line.n == 0 || (line.p[line.n - 1] != ' ' && line.p[line.n - 1] != '\t'));
	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];

		assert((c >= ' ' && c <= '~') || c == '\t');
		if (c == '=' && i + 1 == line.n)
			return true;
		if (c == '=') {
			assert(i + 2 < line.n);
			c = (char)(hex(line.p[i + 1]) << 4 | hex(line.p[i + 2]));
			i += 2;
		}
		assert(buf_put(out, str_n(&c, 1)) == RC_OK);
	}
	return false;
}

static void
decode(struct str in, struct buf *out)
{
	assert(str_starts(in, STR(HEAD_OUT)));
	in = str_from(in, sizeof(HEAD_OUT) - 1);
	assert(buf_put(out, STR(HEAD)) == RC_OK);
	while (in.n > 0) {
		size_t n = str_find(in, '\n');

		assert(n > 0 && n < in.n && in.p[n - 1] == '\r');
		if (!decode_line(str_head(in, n - 1), out))
			assert(buf_put(out, STR("\r\n")) == RC_OK);
		in = str_from(in, n + 1);
	}
}

static void
text(struct str in, size_t step)
{
	struct buf whole, out, back;

	buf_init(&whole, 4 << 20);
	buf_init(&out, 4 << 20);
	buf_init(&back, 4 << 20);
	put_lines(&whole, in);
	(void)convert(buf_view(&whole), step, &out);
	decode(buf_view(&out), &back);
	assert(str_eq(buf_view(&whole), buf_view(&back)));
	buf_fini(&whole);
	buf_fini(&out);
	buf_fini(&back);
}

/* ---- a message ---- */

static void
message(struct str in, size_t step)
{
	struct buf a, b;
	struct str out;

	buf_init(&a, 4 << 20);
	buf_init(&b, 4 << 20);
	assert(convert(in, in.n + 1, &a) == convert(in, step, &b));
	out = buf_view(&a);
	assert(str_eq(out, buf_view(&b)));
	assert(out.n == 0 || str_ends(out, STR("\r\n")));
	/* An encoding that is said anew can be longer than what said it. */
	assert(out.n <= 4 * in.n + 100);
	for (size_t i = 0; i < out.n; i++)
		assert(out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r'));
	buf_fini(&a);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in;

	if (size < 1 || size > 20000)
		return 0;
	in = str_n(data + 1, size - 1);
	if (data[0] & 1)
		text(in, 1 + (data[0] >> 1));
	else
		message(in, 1 + (data[0] >> 1));
	return 0;
}
