#include "map/lmdb_read.h"
#include <stdlib.h>
#include <string.h>

#define MAGIC     0xBEEFC0DEu
#define META      16 /* behind the page's header */
#define AT_TXN    (META + 128)
#define META_SIZE (META + 136)
#define NO_PAGE   UINT64_MAX
#define DEPTH_MAX 32
#define TRIES     8
#define VALUE_MAX ((size_t)64 << 20)

enum { BRANCH = 1, LEAF = 2, BIG = 1 };

static uint16_t
get16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint64_t
get64(const unsigned char *p)
{
	return map_le32(p) | (uint64_t)map_le32(p + 4) << 32;
}

static enum rc
damaged(struct err *e)
{
	return err_set(e, RC_TEMP, "the file is damaged, or was cut short");
}

/* ---- meta pages ---- */

static bool
is_meta(const unsigned char *raw, uint32_t psize)
{
	return map_le32(raw + META) == MAGIC && map_le32(raw + META + 4) == 1 &&
	       map_le32(raw + META + 24) == psize;
}

/* Makes the last committed transaction ours. */
static enum rc
take_meta(struct map_lmdb *l)
{
	unsigned char raw[2][META_SIZE], *best = NULL;

	for (unsigned i = 0; i < 2; i++)
		if (l->file.read(&l->file, (uint64_t)i * l->psize, raw[i], META_SIZE) ==
			RC_OK &&
		    is_meta(raw[i], l->psize) &&
		    (best == NULL || get64(raw[i] + AT_TXN) > get64(best + AT_TXN)))
			best = raw[i];
	if (best == NULL || get16(best + META + 72 + 4) != 0)
		return RC_TEMP; /* nothing, or a tree in another order */
	l->txn = get64(best + AT_TXN);
	l->depth = get16(best + META + 72 + 6);
	l->root = get64(best + META + 72 + 40);
	for (unsigned i = 0; i < l->n_cached; i++)
		l->cached[i].number = NO_PAGE;
	return l->depth <= DEPTH_MAX ? RC_OK : RC_TEMP;
}

/* Whether no transaction was committed since ours. The next one goes into the page that
 * ours is not in; the one after that leaves it there. RC_NONE: there was one. */
static enum rc
check_meta(const struct map_lmdb *l)
{
	unsigned char raw[8];

	if (l->file.read(&l->file, ((l->txn + 1) & 1) * l->psize + AT_TXN, raw, 8) !=
	    RC_OK)
		return RC_TEMP;
	return get64(raw) > l->txn ? RC_NONE : RC_OK;
}

enum rc
map_lmdb_open(struct map_bytes file, bool keeps_all, struct map_lmdb *out, struct err *e)
{
	unsigned char raw[META_SIZE];
	struct map_lmdb l = { .file = file };

	if (file.size < META_SIZE || file.read(&file, 0, raw, META_SIZE) != RC_OK ||
	    map_le32(raw + META) != MAGIC)
		return err_set(
		    e, RC_TEMP, "MDB_INVALID: File is not an LMDB file"); /* compat */
	l.psize = map_le32(raw + META + 24);
	if (l.psize < 512 || l.psize > MAP_LMDB_PAGE_MAX ||
	    (l.psize & (l.psize - 1)) != 0 || take_meta(&l) != RC_OK)
		return damaged(e);
	l.n_cached = MAP_LMDB_CACHED;
	if (keeps_all && file.size / l.psize > l.n_cached)
		l.n_cached = file.size / l.psize < MAP_LMDB_KEPT
				 ? (unsigned)(file.size / l.psize)
				 : MAP_LMDB_KEPT;
	l.keeps_leaves = keeps_all;
	l.cached = mem_array(l.n_cached, sizeof(*l.cached));
	for (unsigned i = 0; i < l.n_cached; i++)
		l.cached[i].number = NO_PAGE;
	l.leaf = mem_get(l.psize);
	*out = l;
	return RC_OK;
}

void
map_lmdb_close(struct map_lmdb *l)
{
	for (unsigned i = 0; i < l->n_cached; i++)
		free(l->cached[i].p);
	free(l->cached);
	free(l->leaf);
	map_bytes_close(&l->file);
}

/* ---- pages and nodes ---- */

/* Pages on the way down stay, because every look-up needs them; leaves go. */
static const unsigned char *
page(struct map_lmdb *l, uint64_t number, unsigned level)
{
	unsigned slot = (unsigned)(number % l->n_cached);
	bool stays = l->keeps_leaves || level + 1 < l->depth || l->depth == 1;
	unsigned char *to = l->leaf;

	if (number > (uint64_t)INT64_MAX / l->psize)
		return NULL;
	if (stays && l->cached[slot].number == number)
		return l->cached[slot].p;
	if (stays) {
		if (l->cached[slot].p == NULL)
			l->cached[slot].p = mem_get(l->psize);
		l->cached[slot].number = NO_PAGE;
		to = l->cached[slot].p;
	}
	if (l->file.read(&l->file, number * l->psize, to, l->psize) != RC_OK)
		return NULL;
	if (stays)
		l->cached[slot].number = number;
	return to;
}

/* How many nodes are on the page; 0: it is not of this kind, or damaged. */
static unsigned
count(const struct map_lmdb *l, const unsigned char *p, unsigned flags)
{
	unsigned lower = get16(p + 12);

	if ((get16(p + 10) & 0x6f) != flags || lower < 16 || lower > l->psize)
		return 0;
	return (lower - 16) / 2;
}

/* The node and the room from it to the page's end; NULL: damaged. */
static const unsigned char *
node(const struct map_lmdb *l, const unsigned char *p, unsigned i, struct str *key)
{
	unsigned at = get16(p + 16 + 2 * i);

	if (at < 16 || at + 8 > l->psize || get16(p + at + 6) > l->psize - at - 8)
		return NULL;
	*key = str_n(p + at + 8, get16(p + at + 6));
	return p + at;
}

static int
compare(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static uint64_t
child_of(const unsigned char *n)
{
	return get16(n) | (uint64_t)get16(n + 2) << 16 | (uint64_t)get16(n + 4) << 32;
}

/* The first node from `from` on whose key is not below `key`: its number, or `n`.
 * RC_TEMP: damaged. */
static enum rc
search(const struct map_lmdb *l, const unsigned char *p, unsigned from, unsigned n,
    struct str key, unsigned *out)
{
	unsigned low = from, high = n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		struct str k;

		if (node(l, p, middle, &k) == NULL)
			return RC_TEMP;
		if (compare(k, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*out = low;
	return RC_OK;
}

static enum rc
value_of(const struct map_lmdb *l, const unsigned char *page_start,
    const unsigned char *n, struct arena *mem, struct str *out)
{
	size_t size = get16(n) | (size_t)get16(n + 2) << 16, ksize = get16(n + 6);
	size_t room = l->psize - (size_t)(n - page_start) - 8 - ksize;
	unsigned flags = get16(n + 4);
	uint64_t big;
	char *p;

	if ((flags & ~(unsigned)BIG) != 0 || size > VALUE_MAX)
		return RC_TEMP;
	if ((flags & BIG) == 0) {
		if (size > room)
			return RC_TEMP;
		*out = arena_str(mem, str_n(n + 8 + ksize, size));
		return out->p == NULL ? RC_TEMP : RC_OK;
	}
	if (room < 8)
		return RC_TEMP;
	big = get64(n + 8 + ksize);
	p = arena_get(mem, size + 1);
	if (p == NULL || big > (uint64_t)INT64_MAX / l->psize ||
	    l->file.read(&l->file, big * l->psize + 16, p, size) != RC_OK)
		return RC_TEMP;
	*out = str_n(p, size);
	return RC_OK;
}

/* ---- look-ups ---- */

/* In the transaction that is ours. */
static enum rc
find_once(struct map_lmdb *l, struct str key, struct arena *mem, struct str *out)
{
	uint64_t number = l->root;

	if (number == NO_PAGE)
		return RC_NONE;
	for (unsigned level = 0; level < l->depth; level++) {
		bool is_leaf = level + 1 == l->depth;
		const unsigned char *p = page(l, number, level), *n;
		unsigned nodes = p == NULL ? 0 : count(l, p, is_leaf ? LEAF : BRANCH), i;
		struct str k;

		/* The first key of a branch page stands for everything below. */
		if (nodes == 0 || search(l, p, is_leaf ? 0 : 1, nodes, key, &i) != RC_OK)
			return RC_TEMP;
		if (is_leaf && i == nodes)
			return RC_NONE;
		if (!is_leaf &&
		    (i == nodes || (node(l, p, i, &k) != NULL && compare(k, key) != 0)))
			i--;
		n = node(l, p, i, &k);
		if (n == NULL)
			return RC_TEMP;
		if (is_leaf)
			return compare(k, key) == 0 ? value_of(l, p, n, mem, out)
						    : RC_NONE;
		number = child_of(n);
	}
	return RC_TEMP;
}

enum rc
map_lmdb_find(
    struct map_lmdb *l, struct str key, struct arena *mem, struct str *out, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		struct str value = STR("");
		enum rc rc = find_once(l, key, mem, &value), now = check_meta(l);

		if (now == RC_OK && rc == RC_TEMP)
			return damaged(e);
		if (now == RC_OK) {
			if (rc == RC_OK)
				*out = value;
			return rc;
		}
		/* What was read may be of pages that are in use again. */
		if (now == RC_TEMP || take_meta(l) != RC_OK)
			return damaged(e);
	}
	return err_set(e, RC_TEMP, "written to all the time");
}

struct walk {
	struct map_lmdb *l;
	map_each_fn *fn;
	void *ctx;
	struct arena *mem;
	uint64_t left; /* pages: more than the file has are a circle */
	struct err *e;
};

static enum rc
walk_page(struct walk *w, uint64_t number, unsigned level)
{
	struct map_lmdb *l = w->l;
	bool is_leaf = level + 1 == l->depth;
	unsigned char *p = mem_get(l->psize);
	unsigned nodes = 0;
	enum rc rc = RC_OK;

	if (w->left-- > 0 && number <= (uint64_t)INT64_MAX / l->psize &&
	    l->file.read(&l->file, number * l->psize, p, l->psize) == RC_OK)
		nodes = count(l, p, is_leaf ? LEAF : BRANCH);
	if (nodes == 0)
		rc = damaged(w->e);
	if (rc == RC_OK && check_meta(l) != RC_OK)
		rc = err_set(w->e, RC_TEMP, "changed while it was read");
	for (unsigned i = 0; rc == RC_OK && i < nodes; i++) {
		struct str key, value;
		const unsigned char *n = node(l, p, i, &key);

		if (n == NULL)
			rc = damaged(w->e);
		else if (!is_leaf)
			rc = walk_page(w, child_of(n), level + 1);
		else if (value_of(l, p, n, w->mem, &value) != RC_OK)
			rc = damaged(w->e);
		else
			rc = w->fn(w->ctx, key, value);
		if (is_leaf)
			arena_reset(w->mem);
	}
	free(p);
	return rc;
}

enum rc
map_lmdb_each(struct map_lmdb *l, map_each_fn *fn, void *ctx, struct err *e)
{
	struct walk w = { .l = l, .fn = fn, .ctx = ctx, .e = e };
	enum rc rc;

	if (take_meta(l) != RC_OK)
		return damaged(e);
	if (l->root == NO_PAGE)
		return RC_OK;
	w.left = map_bytes_size(&l->file) / l->psize;
	if (l->depth == 0)
		return damaged(e);
	w.mem = arena_new(VALUE_MAX + 65536);
	rc = walk_page(&w, l->root, 0);
	arena_free(&w.mem);
	return rc;
}
