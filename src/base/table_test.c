/* Hash table, heap, list, checksum. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/crc32c.h"
#include "base/heap.h"
#include "base/hmap.h"
#include "base/list.h"

static const uint64_t seed[2] = { UINT64_C(0x0706050403020100),
	UINT64_C(0x0f0e0d0c0b0a0908) };

struct item {
	struct hmap_node node;
	struct heap_node timer;
	struct list link;
	uint64_t key;
};

static struct item *
find(const struct hmap *m, uint64_t key)
{
	struct hmap_node *n = hmap_first(m, hmap_hash_u64(m, key));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct item, node)->key == key)
			return CONTAINER_OF(n, struct item, node);
	return NULL;
}

/* The vectors of the SipHash paper: key 00..0f, message 00..0e, and the empty one. */
static void
siphash_gives_the_published_values(void **state)
{
	static const char message[15] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
		14 };

	(void)state;
	assert_true(siphash(seed, str_n(message, 15)) == UINT64_C(0xa129ca6149be45e5));
	assert_true(siphash(seed, STR("")) == UINT64_C(0x726fdb47dd0e0e31));
}

static void
folded_hashes_ignore_case(void **state)
{
	struct hmap m;

	(void)state;
	hmap_init(&m, seed);
	assert_true(hmap_hash_ci(&m, STR("Example.ORG/abcdef")) ==
		    hmap_hash_ci(&m, STR("eXAMPLE.org/ABCDEF")));
	assert_false(hmap_hash(&m, STR("A")) == hmap_hash(&m, STR("a")));
	hmap_fini(&m);
}

static void
a_table_keeps_what_it_was_given(void **state)
{
	enum { N = 1000 };
	struct item *items = mem_array(N, sizeof(*items));
	struct hmap_node *it = NULL;
	struct hmap m;
	size_t at = 0, n = 0;

	(void)state;
	hmap_init(&m, seed);
	assert_null(find(&m, 1));
	for (uint64_t i = 0; i < N; i++) {
		items[i].key = i * 7;
		hmap_put(&m, hmap_hash_u64(&m, i * 7), &items[i].node);
	}
	for (uint64_t i = 0; i < N; i += 2)
		hmap_remove(&m, &items[i].node);
	for (uint64_t i = 0; i < N; i++)
		assert_ptr_equal(find(&m, i * 7), i % 2 == 0 ? NULL : &items[i]);
	while ((it = hmap_walk(&m, &at, it)) != NULL)
		n++;
	assert_int_equal(n, N / 2);
	for (n = 0; hmap_drain(&m) != NULL; n++)
		;
	assert_int_equal(n, N / 2);
	hmap_fini(&m);
	free(items);
}

static void
a_heap_gives_the_smallest_first(void **state)
{
	enum { N = 500 };
	struct item *items = mem_array(N, sizeof(*items));
	struct heap h;
	int64_t last = INT64_MIN;
	unsigned r = 1;
	size_t n = 0;

	(void)state;
	heap_init(&h);
	assert_null(heap_min(&h));
	for (size_t i = 0; i < N; i++)
		heap_put(
		    &h, &items[i].timer, (int64_t)((r = r * 1103515245 + 12345) >> 8));
	for (size_t i = 0; i < N; i += 3) /* moved */
		heap_put(
		    &h, &items[i].timer, (int64_t)((r = r * 1103515245 + 12345) >> 8));
	for (size_t i = 1; i < N; i += 3) { /* gone, and gone again */
		heap_remove(&h, &items[i].timer);
		heap_remove(&h, &items[i].timer);
	}
	for (struct heap_node *min; (min = heap_min(&h)) != NULL; n++) {
		assert_true(min->key >= last);
		last = min->key;
		heap_remove(&h, min);
	}
	assert_int_equal(n, N - (N + 1) / 3);
	heap_fini(&h);
	free(items);
}

static void
a_list_forgets_a_node_once(void **state)
{
	struct item a = { .key = 1 }, b = { .key = 2 }, c = { .key = 3 };
	struct list head;
	uint64_t seen = 0;

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	list_add_tail(&head, &b.link);
	list_add_tail(&head, &c.link);
	list_add_head(&head, &a.link);
	LIST_EACH (it, &head)
		seen = seen * 10 + CONTAINER_OF(it, struct item, link)->key;
	assert_int_equal(seen, 123);
	list_remove(&b.link);
	list_remove(&b.link);
	LIST_EACH_SAFE (it, next, &head)
		list_remove(it);
	assert_null(list_first(&head));
}

/* RFC 3720 B.4, and that pieces give what the whole gives. */
static void
crc32c_gives_the_published_values(void **state)
{
	char zeros[32] = { 0 }, rising[32];

	(void)state;
	for (int i = 0; i < 32; i++)
		rising[i] = (char)i;
	assert_int_equal(crc32c(0, str_n(zeros, 32)), 0x8a9136aa);
	assert_int_equal(crc32c(0, str_n(rising, 32)), 0x46dd794e);
	assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
	for (size_t cut = 0; cut <= 32; cut++)
		assert_int_equal(
		    crc32c(crc32c(0, str_n(rising, cut)), str_n(rising + cut, 32 - cut)),
		    0x46dd794e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_published_values),
		cmocka_unit_test(folded_hashes_ignore_case),
		cmocka_unit_test(a_table_keeps_what_it_was_given),
		cmocka_unit_test(a_heap_gives_the_smallest_first),
		cmocka_unit_test(a_list_forgets_a_node_once),
		cmocka_unit_test(crc32c_gives_the_published_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
