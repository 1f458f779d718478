/* Any bytes as the content of a message: the output does not depend on how the input is
 * cut nor on how long checks keep it waiting, every line ends in CRLF, and it is bounded
 * by the input. First byte: local or not, and the size of pieces; second: checks,
 * strictness, bytes that go. Checks answer by the text itself. */
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

static const struct mime_bytes odd = { .has = { ['#'] = true, [1] = true } };

/* What the second byte asks for. */
static struct mime_conf
conf_of(unsigned how)
{
	struct mime_conf c = conf;

	c.line_limit = how & 1 ? 30 : 0;
	c.nesting_limit = 3;
	c.boundary_limit = 8;
	c.body_check_limit = how & 2 ? 50 : 10000;
	c.token_limit = 40;
	c.is_flat = (how & 4) != 0;
	c.strict =
	    how & 8 ? MIME_STRICT_HEADERS | MIME_STRICT_BODY | MIME_STRICT_ENCODING : 0;
	c.reject = (how & 0xc0) == 0xc0 ? &odd : NULL;
	c.strip = (how & 0xc0) == 0x80 ? &odd : NULL;
	c.end_action = (enum mime_end_action)((how >> 4) % 3);
	return c;
}

struct answers {
	unsigned patience, waited;
	uint64_t seen; /* of all that was asked */
};

static enum rc
check(
    void *ctx, enum mime_part part, struct str text, struct mime_edit *out, struct err *e)
{
	struct answers *a = ctx;
	unsigned sum = part;

	assert(text.n > 0 && part <= MIME_PART_BODY);
	if (a->waited++ < a->patience)
		return RC_MORE;
	a->waited = 0;
	for (size_t i = 0; i < text.n; i++) {
		assert(text.p[i] != '\n' || part != MIME_PART_BODY);
		sum = sum * 31 + (unsigned char)text.p[i];
	}
	a->seen = a->seen * 31 + sum;
	if (sum % 8 == 1)
		out->verdict = MIME_DROP;
	else if (sum % 8 == 2)
		*out = (struct mime_edit){ MIME_REPLACE, STR("New: .\n folded") };
	else if (sum % 8 == 3)
		*out = (struct mime_edit){ MIME_PREPEND, STR("Put: before") };
	else if (sum % 251 == 0)
		return err_set(e, RC_PERM, "550 5.7.1 no");
	return RC_OK;
}

static enum rc
run(const struct mime_start *start, struct str in, size_t step, struct buf *out,
    unsigned *facts, unsigned how, struct answers *answers)
{
	const struct mime_conf c = conf_of(how);
	const struct mime_hooks hooks = {
		.ctx = answers, .checks = (how >> 1) & 15, .check = check
	};
	struct mime_start with = *start;
	struct mime_filter *f;
	struct str piece, chunk;
	enum rc rc = RC_MORE;

	with.hooks = how & 32 ? &hooks : NULL;
	f = mime_filter_new(&c, &with);

	while (in.n > 0 && rc == RC_MORE) {
		chunk = str_head(in, step);
		in = str_from(in, step);
		while ((rc = mime_filter_step(f, &chunk, &piece, NULL)) == RC_OK ||
		       mime_filter_is_waiting(f))
			assert(rc != RC_OK || buf_put(out, piece) == RC_OK);
	}
	if (rc == RC_MORE)
		while ((rc = mime_filter_end(f, &piece, NULL)) == RC_OK || rc == RC_MORE)
			assert(rc == RC_MORE ? mime_filter_is_waiting(f)
					     : buf_put(out, piece) == RC_OK);
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

	struct answers once = { 0 }, later = { 0 };

	if (size < 2 || size > 20000)
		return 0;
	in = str_n(data + 2, size - 2);
	later.patience = data[1] % 3;
	start = data[0] & 1 ? &local : &remote;
	buf_init(&a, 4 << 20);
	buf_init(&b, 4 << 20);
	rc = run(start, in, in.n + 1, &a, &facts_a, data[1], &once);
	assert(rc == RC_NONE || rc == RC_PERM || rc == RC_TEMP);
	assert(run(start, in, 1 + (data[0] >> 1), &b, &facts_b, data[1], &later) == rc);
	out = buf_view(&a);
	if (rc == RC_NONE) {
		assert(facts_a == facts_b && str_eq(out, buf_view(&b)));
		assert(once.seen == later.seen);
		assert(out.n == 0 || str_ends(out, STR("\r\n")));
		for (size_t i = 0; i < out.n; i++) {
			assert(out.p[i] != '\n' || out.p[i - 1] == '\r');
			assert(out.p[i] != '\r' || out.p[i + 1] == '\n');
		}
	}
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
