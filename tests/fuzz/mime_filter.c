/* Any bytes as the content of a message: the output does not depend on how the input is
 * cut, every line ends in CRLF, and it is bounded by the input. First byte: local or not,
 * and the size of pieces. */
#include "base/buf.h"
#include "mime/filter.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_conf conf = {
	.header_size_limit = 300,
	.hopcount_limit = 5,
	.drop_known = 1 << MIME_HDR_BCC | 1 << MIME_HDR_CONTENT_LENGTH |
		      1 << MIME_HDR_RESENT_BCC | 1 << MIME_HDR_RETURN_PATH,
	.undisclosed = STR_INIT("To: undisclosed-recipients:;"),
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
	    .dot_mydomain = STR_INIT("my.dom"),
	    .swap_bangpath = true,
	    .percent_hack = true },
};

static enum rc
run(const struct mime_start *start, struct str in, size_t step, struct buf *out,
    unsigned *facts)
{
	struct mime_filter *f = mime_filter_new(&conf, start);
	struct str piece, chunk;
	enum rc rc = RC_MORE;

	while (in.n > 0 && rc == RC_MORE) {
		chunk = str_head(in, step);
		in = str_from(in, step);
		while ((rc = mime_filter_step(f, &chunk, &piece, NULL)) == RC_OK)
			assert(buf_put(out, piece) == RC_OK);
	}
	if (rc == RC_MORE)
		while ((rc = mime_filter_end(f, &piece, NULL)) == RC_OK)
			assert(buf_put(out, piece) == RC_OK);
	*facts = mime_filter_facts(f);
	mime_filter_free(&f);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mime_start *start;
	struct buf a, b;
	unsigned facts_a, facts_b;
	struct str in, out;
	enum rc rc;

	if (size == 0 || size > 20000)
		return 0;
	in = str_n(data + 1, size - 1);
	start = data[0] & 1 ? &local : &remote;
	buf_init(&a, 4 << 20);
	buf_init(&b, 4 << 20);
	rc = run(start, in, in.n + 1, &a, &facts_a);
	assert(rc == RC_NONE || rc == RC_PERM || rc == RC_TEMP);
	assert(run(start, in, 1 + (data[0] >> 1), &b, &facts_b) == rc);
	out = buf_view(&a);
	if (rc == RC_NONE) {
		assert(facts_a == facts_b && str_eq(out, buf_view(&b)));
		assert(str_ends(out, STR("\r\n")));
		for (size_t i = 0; i < out.n; i++) {
			assert(out.p[i] != '\n' || out.p[i - 1] == '\r');
			assert(out.p[i] != '\r' || out.p[i + 1] == '\n');
		}
	}
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
