#include "base/hmap.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS ((size_t)16)

static inline uint64_t
rotl(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
	v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

static inline void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t
load_le64(const char *p, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return w;
}

static uint64_t
sip(const uint64_t key[2], struct str data, bool fold)
{
	uint64_t v[4] = { key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573) };
	size_t i;
	char eight[8];

	for (i = 0; i + 8 <= data.n; i += 8) {
		const char *p = data.p + i;

		if (fold) {
			for (size_t k = 0; k < 8; k++)
				eight[k] = ascii_lower(p[k]);
			p = eight;
		}
		sip_word(v, load_le64(p, 8));
	}
	for (size_t k = 0; k < data.n - i; k++)
		eight[k] = fold ? ascii_lower(data.p[i + k]) : data.p[i + k];
	sip_word(v, load_le64(eight, data.n - i) | (uint64_t)(data.n & 0xff) << 56);
	v[2] ^= 0xff;
	for (int r = 0; r < 4; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
siphash(const uint64_t key[2], struct str data)
{
	return sip(key, data, false);
}

void
hmap_init(struct hmap *m, const uint64_t seed[2])
{
	*m = (struct hmap){ .seed = { seed[0], seed[1] } };
}

void
hmap_fini(struct hmap *m)
{
	free(m->bucket);
	m->bucket = NULL;
	m->n_bucket = m->n = 0;
}

uint64_t
hmap_hash(const struct hmap *m, struct str key)
{
	return sip(m->seed, key, false);
}

uint64_t
hmap_hash_ci(const struct hmap *m, struct str key)
{
	return sip(m->seed, key, true);
}

uint64_t
hmap_hash_u64(const struct hmap *m, uint64_t key)
{
	uint64_t h = (key ^ m->seed[0]) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 32 ^ m->seed[1]) * UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

static void
rehash(struct hmap *m, size_t n_bucket)
{
	struct hmap_node **old = m->bucket;
	size_t n_old = m->n_bucket;

	m->bucket = mem_array(n_bucket, sizeof(struct hmap_node *));
	m->n_bucket = n_bucket;
	for (size_t i = 0; i < n_old; i++)
		for (struct hmap_node *node = old[i], *next; node != NULL; node = next) {
			struct hmap_node **to = &m->bucket[node->hash & (n_bucket - 1)];

			next = node->next;
			node->next = *to;
			*to = node;
		}
	free(old);
}

void
hmap_put(struct hmap *m, uint64_t hash, struct hmap_node *node)
{
	struct hmap_node **to;

	if (m->n >= m->n_bucket)
		rehash(m, m->n_bucket == 0 ? FIRST_BUCKETS : m->n_bucket * 2);
	to = &m->bucket[hash & (m->n_bucket - 1)];
	node->hash = hash;
	node->next = *to;
	*to = node;
	m->n++;
}

struct hmap_node *
hmap_first(const struct hmap *m, uint64_t hash)
{
	struct hmap_node *node =
	    m->n_bucket == 0 ? NULL : m->bucket[hash & (m->n_bucket - 1)];

	while (node != NULL && node->hash != hash)
		node = node->next;
	return node;
}

struct hmap_node *
hmap_more(const struct hmap_node *node)
{
	uint64_t hash = node->hash;
	struct hmap_node *next = node->next;

	while (next != NULL && next->hash != hash)
		next = next->next;
	return next;
}

void
hmap_remove(struct hmap *m, struct hmap_node *node)
{
	struct hmap_node **at = &m->bucket[node->hash & (m->n_bucket - 1)];

	while (*at != node) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	m->n--;
}

struct hmap_node *
hmap_walk(const struct hmap *m, size_t *at, struct hmap_node *prev)
{
	if (prev != NULL && prev->next != NULL)
		return prev->next;
	while (*at < m->n_bucket) {
		struct hmap_node *node = m->bucket[(*at)++];

		if (node != NULL)
			return node;
	}
	return NULL;
}

struct hmap_node *
hmap_drain(struct hmap *m)
{
	/* From another place each time: from the first bucket on, emptying a large map
	 * would pass all that are empty already for every node. */
	size_t at = (size_t)((uint64_t)m->n * 0x9e3779b97f4a7c15U >> 32);
	struct hmap_node *node;

	if (m->n == 0)
		return NULL;
	while ((node = m->bucket[at & (m->n_bucket - 1)]) == NULL)
		at++;
	hmap_remove(m, node);
	return node;
}
