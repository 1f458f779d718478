/* Each literal is found by one piece of it, of LONG or SHORT bytes: the one that the
 * fewest other literals share. A hash table per length leads from a piece to the
 * literals; a look-up slides over the key and compares only where a piece is known.
 *
 * Cost of a look-up: two hashes for each byte of the key, whatever the number of rules.
 */
#include "map/pattern_index.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LONG = 6, SHORT = PATTERN_INDEX_MIN, SKETCH_BITS = 16, LITERAL_MAX = 255 };

struct entry {
	uint32_t rule;
	uint32_t text; /* in the pool */
	uint8_t n;
	uint8_t at;   /* where the piece is */
	bool is_long; /* the piece */
	uint8_t unused;
};

/* Buckets of one piece length: entry numbers of bucket b are item[start[b]] … */
struct grams {
	uint32_t *start, *item;
	unsigned bits;
	size_t width, n;
};

struct pattern_index {
	struct entry *v;
	uint32_t n, cap;
	char *pool;
	size_t n_pool, cap_pool;
	struct grams grams[2];
	uint32_t *stamp; /* per entry: the look-up that found it last */
	uint32_t now;
	uint32_t *hits;
	char *fold;
	size_t cap_fold;
};

struct pattern_index *
pattern_index_new(void)
{
	struct pattern_index *x = mem_get(sizeof(*x));

	x->grams[0].width = LONG;
	x->grams[1].width = SHORT;
	return x;
}

void
pattern_index_free(struct pattern_index **x)
{
	if (*x == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN((*x)->grams); i++) {
		free((*x)->grams[i].start);
		free((*x)->grams[i].item);
	}
	free((*x)->v);
	free((*x)->pool);
	free((*x)->stamp);
	free((*x)->hits);
	free((*x)->fold);
	free(*x);
	*x = NULL;
}

void
pattern_index_add(struct pattern_index *x, uint32_t rule, struct str literal)
{
	struct entry *en;

	assert(literal.n >= SHORT && (x->n == 0 || x->v[x->n - 1].rule < rule));
	literal = str_head(literal, LITERAL_MAX);
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 64 : x->cap * 2;
		x->v = mem_grow(x->v, x->cap, sizeof(*x->v));
	}
	if (x->n_pool + literal.n > x->cap_pool) {
		x->cap_pool = x->cap_pool == 0 ? 4096 : x->cap_pool * 2;
		x->pool = mem_grow(x->pool, x->cap_pool, 1);
	}
	assert(x->n_pool <= UINT32_MAX - LITERAL_MAX);
	en = &x->v[x->n++];
	*en = (struct entry){ .rule = rule,
		.text = (uint32_t)x->n_pool,
		.n = (uint8_t)literal.n,
		.is_long = literal.n >= LONG };
	memcpy(x->pool + x->n_pool, literal.p, literal.n);
	x->n_pool += literal.n;
}

/* The upper `bits` bits of a multiplicative hash. */
static inline uint32_t
hash(const char *p, size_t width, unsigned bits)
{
	uint64_t v = 0;

	if (width == LONG)
		memcpy(&v, p, LONG);
	else
		memcpy(&v, p, SHORT);
	return (uint32_t)((v * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits));
}

static size_t
width_of(const struct entry *en)
{
	return en->is_long ? LONG : SHORT;
}

/* For each literal the piece that the fewest share, by counters that may collide. */
static void
choose_pieces(struct pattern_index *x)
{
	uint32_t *count = mem_array((size_t)1 << SKETCH_BITS, sizeof(*count));

	for (uint32_t i = 0; i < x->n; i++) {
		const struct entry *en = &x->v[i];

		for (size_t at = 0; at + width_of(en) <= en->n; at++)
			count[hash(x->pool + en->text + at, width_of(en), SKETCH_BITS)]++;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		struct entry *en = &x->v[i];
		uint32_t least = UINT32_MAX;

		for (size_t at = 0; at + width_of(en) <= en->n; at++) {
			uint32_t c = count[hash(
			    x->pool + en->text + at, width_of(en), SKETCH_BITS)];

			if (c < least) {
				least = c;
				en->at = (uint8_t)at;
			}
		}
	}
	free(count);
}

static uint32_t
bucket_of(const struct pattern_index *x, const struct entry *en, const struct grams *g)
{
	return hash(x->pool + en->text + en->at, g->width, g->bits);
}

static void
fill(struct pattern_index *x, struct grams *g)
{
	size_t n_bucket;

	for (uint32_t i = 0; i < x->n; i++)
		g->n += width_of(&x->v[i]) == g->width;
	if (g->n == 0)
		return;
	for (g->bits = 6; ((size_t)1 << g->bits) < g->n * 2; g->bits++)
		;
	n_bucket = (size_t)1 << g->bits;
	g->start = mem_array(n_bucket + 1, sizeof(*g->start));
	g->item = mem_array(g->n, sizeof(*g->item));
	for (uint32_t i = 0; i < x->n; i++)
		if (width_of(&x->v[i]) == g->width)
			g->start[bucket_of(x, &x->v[i], g)]++;
	for (size_t b = 1; b <= n_bucket; b++)
		g->start[b] += g->start[b - 1];
	/* From the last to the first: each bucket's end moves down to its start. */
	for (uint32_t i = x->n; i-- > 0;)
		if (width_of(&x->v[i]) == g->width)
			g->item[--g->start[bucket_of(x, &x->v[i], g)]] = i;
}

void
pattern_index_done(struct pattern_index *x)
{
	choose_pieces(x);
	for (size_t i = 0; i < ARRAY_LEN(x->grams); i++)
		fill(x, &x->grams[i]);
	x->stamp = mem_array(x->n + 1, sizeof(*x->stamp));
	x->hits = mem_array(x->n + 1, sizeof(*x->hits));
}

/* Adds the rules whose piece is at `at` and whose literal is around it to n hits. */
static size_t
hits_at(
    struct pattern_index *x, const struct grams *g, struct str key, size_t at, size_t n)
{
	uint32_t b = hash(key.p + at, g->width, g->bits);

	for (uint32_t i = g->start[b]; i < g->start[b + 1]; i++) {
		uint32_t number = g->item[i];
		const struct entry *en = &x->v[number];

		if (x->stamp[number] == x->now || at < en->at ||
		    key.n - (at - en->at) < en->n ||
		    memcmp(key.p + at - en->at, x->pool + en->text, en->n) != 0)
			continue;
		x->stamp[number] = x->now;
		x->hits[n++] = en->rule;
	}
	return n;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static struct str
fold(struct pattern_index *x, struct str key)
{
	if (key.n > x->cap_fold) {
		x->cap_fold = key.n < 256 ? 256 : key.n;
		x->fold = mem_grow(x->fold, x->cap_fold, 1);
	}
	for (size_t i = 0; i < key.n; i++)
		x->fold[i] = ascii_lower(key.p[i]);
	return str_n(x->fold, key.n);
}

size_t
pattern_index_find(struct pattern_index *x, struct str key, const uint32_t **out)
{
	size_t n = 0;

	*out = x->hits;
	if (x->n == 0 || key.n < SHORT)
		return 0;
	if (++x->now == 0) {
		memset(x->stamp, 0, x->n * sizeof(*x->stamp));
		x->now = 1;
	}
	key = fold(x, key);
	for (size_t i = 0; i < ARRAY_LEN(x->grams); i++) {
		struct grams *g = &x->grams[i];

		if (g->n == 0)
			continue;
		for (size_t at = 0; at + g->width <= key.n; at++)
			n = hits_at(x, g, key, at, n);
	}
	if (n > 1)
		qsort(x->hits, n, sizeof(*x->hits), compare);
	return n;
}
