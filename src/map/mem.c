/* A table in memory: entries in the order they came, and a hash over them. */
#include "base/hmap.h"
#include "map/map_int.h"
#include <stdlib.h>
#include <string.h>

#define MEM_LIMIT ((size_t)2 << 30)

struct entry {
	struct hmap_node node;
	struct entry *next;
	struct str key, value;
};

struct map_mem {
	struct arena *mem;
	struct hmap by_key;
	struct entry *first, **end;
};

struct map_mem *
map_mem_new(void)
{
	/* Keys come from the administrator, so a fixed seed cannot be exploited. */
	static const uint64_t seed[2] = { 0x6869, 0x6b796b75 };
	struct map_mem *m = mem_get(sizeof(*m));

	m->mem = arena_new(MEM_LIMIT);
	hmap_init(&m->by_key, seed);
	m->end = &m->first;
	return m;
}

void
map_mem_free(struct map_mem **m)
{
	if (*m == NULL)
		return;
	hmap_fini(&(*m)->by_key);
	arena_free(&(*m)->mem);
	free(*m);
	*m = NULL;
}

static struct entry *
lookup(const struct map_mem *m, struct str key, uint64_t hash)
{
	for (struct hmap_node *n = hmap_first(&m->by_key, hash); n != NULL;
	     n = hmap_more(n)) {
		struct entry *en = CONTAINER_OF(n, struct entry, node);

		if (str_eq(en->key, key))
			return en;
	}
	return NULL;
}

enum rc
map_mem_put(struct map_mem *m, struct str key, struct str value)
{
	uint64_t hash = hmap_hash(&m->by_key, key);
	struct entry *en;

	if (lookup(m, key, hash) != NULL)
		return RC_NONE;
	en = arena_get(m->mem, sizeof(*en));
	if (en == NULL)
		return RC_TEMP;
	en->key = arena_str(m->mem, key);
	en->value = arena_str(m->mem, value);
	if (en->key.p == NULL || en->value.p == NULL)
		return RC_TEMP;
	hmap_put(&m->by_key, hash, &en->node);
	*m->end = en;
	m->end = &en->next;
	return RC_OK;
}

enum rc
map_mem_replace(struct map_mem *m, struct str key, struct str value)
{
	struct entry *en = lookup(m, key, hmap_hash(&m->by_key, key));

	if (en == NULL)
		return map_mem_put(m, key, value);
	value = arena_str(m->mem, value);
	if (value.p == NULL)
		return RC_TEMP;
	en->value = value;
	return RC_OK;
}

size_t
map_mem_count(const struct map_mem *m)
{
	return m->by_key.n;
}

static int
compare(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;
	struct str p = (*x)->key, q = (*y)->key;
	int r = memcmp(p.p, q.p, p.n < q.n ? p.n : q.n);

	return r != 0 ? r : (p.n > q.n) - (p.n < q.n);
}

void
map_mem_sort(struct map_mem *m)
{
	struct entry **all = mem_array(m->by_key.n + 1, sizeof(*all));
	size_t n = 0;

	for (struct entry *en = m->first; en != NULL; en = en->next)
		all[n++] = en;
	qsort(all, n, sizeof(*all), compare);
	m->end = &m->first;
	for (size_t i = 0; i < n; i++) {
		*m->end = all[i];
		m->end = &all[i]->next;
	}
	*m->end = NULL;
	free(all);
}

enum rc
map_mem_find(const struct map_mem *m, struct str key, struct str *out)
{
	struct entry *en = lookup(m, key, hmap_hash(&m->by_key, key));

	if (en == NULL)
		return RC_NONE;
	*out = en->value;
	return RC_OK;
}

enum rc
map_mem_each(const struct map_mem *m, map_each_fn *fn, void *ctx)
{
	for (struct entry *en = m->first; en != NULL; en = en->next) {
		enum rc rc = fn(ctx, en->key, en->value);

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

void
map_mem_type_close(void *state)
{
	struct map_mem *m = state;

	map_mem_free(&m);
}

enum rc
map_mem_type_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct str value;
	enum rc rc = map_mem_find(state, key, &value);

	(void)flags;
	return rc != RC_OK ? rc : map_copy(value, mem, out, e);
}

enum rc
map_mem_type_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	(void)e;
	return map_mem_each(state, fn, ctx);
}

enum rc
map_copy(struct str value, struct arena *mem, struct str *out, struct err *e)
{
	value = arena_str(mem, value);
	if (value.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = value;
	return RC_OK;
}

struct str
map_without_nul(struct str s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\0')
		s.n--;
	return s;
}

enum rc
map_give_plain(void *plain_walk, struct str key, struct str value)
{
	const struct map_plain_walk *w = plain_walk;

	return w->fn(w->ctx, map_without_nul(key), map_without_nul(value));
}
