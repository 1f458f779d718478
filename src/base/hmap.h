#ifndef BASE_HMAP_H
#define BASE_HMAP_H
#include "base/base.h"

/* Intrusive hash table: nodes live inside the caller's structures, keys too. Hashes are
 * keyed with a random value, so that peers cannot choose keys that collide. */
struct hmap_node {
	struct hmap_node *next;
	uint64_t hash;
};

struct hmap {
	struct hmap_node **bucket;
	size_t n_bucket, n; /* n_bucket: 0 or a power of two */
	uint64_t seed[2];
};

/* `seed` is 16 random bytes in production, fixed ones in tests. */
void hmap_init(struct hmap *m, const uint64_t seed[2]);
void hmap_fini(struct hmap *m); /* the nodes are the caller's */
uint64_t hmap_hash(const struct hmap *m, struct str key);
uint64_t hmap_hash_ci(const struct hmap *m, struct str key); /* ASCII case folded */
uint64_t hmap_hash_u64(const struct hmap *m, uint64_t key);
void hmap_put(
    struct hmap *m, uint64_t hash, struct hmap_node *node); /* duplicates allowed */
/* The first node with this hash; more by hmap_more(). The caller compares its keys. */
struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash);
struct hmap_node *hmap_more(const struct hmap_node *node);
void hmap_remove(struct hmap *m, struct hmap_node *node);
/* Walks all nodes in no order: start with *at = 0 and prev = NULL; NULL ends. The table
 * must not change during the walk; for emptying it use hmap_drain(). */
struct hmap_node *hmap_walk(const struct hmap *m, size_t *at, struct hmap_node *prev);
/* Takes any one node out; NULL: empty. */
struct hmap_node *hmap_drain(struct hmap *m);

/* SipHash-2-4 of `data`. Source: Aumasson and Bernstein, 2012. */
uint64_t siphash(const uint64_t key[2], struct str data);
#endif
