/* Any bytes as what a server of a socketmap:, tcp: or memcache: table says. Parsing ends,
 * stays inside, and does not depend on how the bytes come in pieces. The first byte
 * chooses. */
#include "map/reply.h"
#include <assert.h>
#include <string.h>

#define LINE_LIMIT 40
#define DATA_LIMIT 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum rc rc;
	struct str out;
	size_t used;
};

static const struct str key = STR_INIT("key");
static const struct map_memcache_limits limits = { LINE_LIMIT, DATA_LIMIT };

static struct outcome
parse(int kind, struct str in)
{
	struct outcome o = { 0 };

	if (kind == 0)
		o.rc = map_reply_netstring(in, DATA_LIMIT, &o.out, &o.used);
	else if (kind == 1)
		o.rc = map_reply_line(in, LINE_LIMIT, &o.out, &o.used);
	else
		o.rc = map_reply_memcache(in, key, &limits, &o.out, &o.used);
	return o;
}

static void
check_whole(int kind, struct str in, const struct outcome *o)
{
	if (o->rc != RC_OK)
		return;
	assert(o->used > 0 && o->used <= in.n && o->out.n < o->used);
	assert(
	    o->out.n == 0 || (o->out.p >= in.p && o->out.p + o->out.n <= in.p + o->used));
	assert(o->out.n <= (kind == 1 ? LINE_LIMIT : DATA_LIMIT));
}

/* Byte after byte it ends with the same, and not later than the limits say. */
static void
check_pieces(int kind, struct str in, const struct outcome *o)
{
	struct outcome part = { .rc = RC_MORE };
	size_t n = 0;

	while (part.rc == RC_MORE && n < in.n)
		part = parse(kind, str_head(in, ++n));
	assert(n <= 2 * LINE_LIMIT + DATA_LIMIT + 4);
	assert(in.n == 0 || part.rc == o->rc);
	if (o->rc == RC_OK)
		assert(part.used == o->used && n == o->used && str_eq(part.out, o->out));
}

static void
check_tcp(struct str in)
{
	unsigned status = 0;
	struct buf out;

	buf_init(&out, DATA_LIMIT);
	if (map_reply_tcp(in, &status, &out) == RC_OK)
		assert(status <= 999 && out.n + 4 <= in.n);
	buf_reset(&out);
	/* What is asked for is one line, and says the key. */
	if (map_request_tcp(in, &out) == RC_OK) {
		struct buf line, back;

		assert(str_find(buf_view(&out), '\n') == out.n);
		assert(str_find(buf_view(&out), ' ') == out.n);
		buf_init(&line, 2 * DATA_LIMIT);
		buf_init(&back, 2 * DATA_LIMIT);
		assert(buf_put(&line, STR("200 ")) == RC_OK);
		assert(buf_put(&line, buf_view(&out)) == RC_OK);
		assert(map_reply_tcp(buf_view(&line), &status, &back) == RC_OK);
		assert(status == 200 && str_eq(buf_view(&back), in));
		buf_fini(&line);
		buf_fini(&back);
	}
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in, text;
	struct outcome o;
	int kind;

	if (size == 0)
		return 0;
	kind = data[0] % 4;
	in = str_n(data + 1, size - 1);
	if (kind == 3) {
		check_tcp(in);
		return 0;
	}
	o = parse(kind, in);
	check_whole(kind, in, &o);
	check_pieces(kind, in, &o);
	if (kind == 0 && o.rc == RC_OK &&
	    map_reply_socketmap(o.out, &text) != MAP_SOCKETMAP_UNKNOWN)
		assert(o.out.n >= 2);
	return 0;
}
