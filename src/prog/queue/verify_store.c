/* Where the verification cache is kept: in address_verify_map, or in memory when that is
 * empty. A table's file may make one wait, so everything happens on a thread of the pool,
 * one batch at a time and in order: only that thread touches what is behind `backend`.
 *
 * What is written is not synced with anything else: a record that is lost in a crash is
 * found out again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "map/map.h"
#include "prog/queue/queue.h"
#include "prog/queue/verify_record.h"

#define OPS_MAX     20000  /* waiting for the thread */
#define BATCH_MAX   256    /* on the thread at a time */
#define MEMORY_MAX  100000 /* records, without a table */
#define CLEAN_MAX   5000   /* expired records taken out at a time */
#define OP_MEM_MAX  ((size_t)1 << 20)
#define KEY_CLEANED "_LAST_CACHE_CLEANUP_COMPLETED_" /* compat */

enum op_kind { OP_GET, OP_PUT, OP_CLEAN };

struct op {
	struct list node;
	enum op_kind kind;
	verify_got_fn *got; /* GET; NULL: nobody waits any more */
	void *arg;
	int64_t now_s; /* CLEAN */
	struct verify_conf conf;
	enum rc rc;
	struct err e;
	struct arena *mem; /* of what follows */
	struct str key, value;
	size_t n_kept, n_dropped; /* CLEAN */
};

/* A record without a table. */
struct kept {
	struct hmap_node node;
	char *key, *value;
};

/* The thread's. */
struct backend {
	char *spec;      /* "" : memory */
	struct map *map; /* NULL: not open */
	struct hmap memory;
};

struct verify_store {
	struct loop *loop;
	struct log *log;
	struct list ops, batch;
	size_t n_ops;
	bool is_running;
	char *next_spec; /* a reload's; taken over between batches */
	char said[256];  /* trouble that was logged last */
	struct backend b;
};

/* ---- on the thread ---- */

static struct kept *
kept_find(struct backend *b, struct str key)
{
	struct hmap_node *n = hmap_first(&b->memory, hmap_hash(&b->memory, key));

	for (; n != NULL; n = hmap_more(n))
		if (str_is(key, CONTAINER_OF(n, struct kept, node)->key))
			return CONTAINER_OF(n, struct kept, node);
	return NULL;
}

static void
kept_free(struct backend *b, struct kept *k)
{
	hmap_remove(&b->memory, &k->node);
	free(k->key);
	free(k->value);
	free(k);
}

static void
memory_put(struct backend *b, struct str key, struct str value)
{
	struct kept *k = kept_find(b, key);

	if (k != NULL)
		kept_free(b, k);
	while (b->memory.n >= MEMORY_MAX) {
		struct hmap_node *any = hmap_drain(&b->memory);

		k = CONTAINER_OF(any, struct kept, node);
		free(k->key);
		free(k->value);
		free(k);
	}
	k = mem_get(sizeof(*k));
	k->key = mem_str(key);
	k->value = mem_str(value);
	hmap_put(&b->memory, hmap_hash(&b->memory, key), &k->node);
}

/* After confinement, as who writes: the file is made when it is not there. */
static enum rc
backend_open(struct backend *b, struct err *e)
{
	static const struct map_env env = { 0 };
	struct map_open_request req = {
		.spec = str_c(b->spec), .env = &env, .for_writing = true
	};

	if (b->map != NULL)
		return RC_OK;
	return map_open(&req, &b->map, e);
}

static enum rc
do_get(struct backend *b, struct op *op)
{
	struct kept *k;

	if (b->spec[0] != '\0')
		return map_find(b->map, op->key, MAP_NOFOLD, op->mem, &op->value, &op->e);
	k = kept_find(b, op->key);
	if (k == NULL)
		return RC_NONE;
	op->value = arena_str(op->mem, str_c(k->value));
	return RC_OK;
}

static enum rc
do_put(struct backend *b, struct op *op)
{
	if (b->spec[0] != '\0')
		return map_put(b->map, op->key, op->value, &op->e);
	memory_put(b, op->key, op->value);
	return RC_OK;
}

/* ---- cleaning ---- */

struct sweep {
	struct op *op;
	struct str *old;
	size_t n_old;
};

static bool
is_old(struct sweep *s, struct str key, struct str value)
{
	struct verify_record r;

	if (str_is(key, KEY_CLEANED))
		return false;
	return verify_record_parse(value, &r) != RC_OK ||
	       verify_is_expired(&s->op->conf, &r, s->op->now_s);
}

static enum rc
sweep_one(void *ctx, struct str key, struct str value)
{
	struct sweep *s = ctx;

	if (!is_old(s, key, value)) {
		s->op->n_kept += !str_is(key, KEY_CLEANED);
		return RC_OK;
	}
	if (s->n_old < CLEAN_MAX) {
		s->old[s->n_old] = arena_str(s->op->mem, key);
		s->n_old += s->old[s->n_old].p != NULL;
	}
	return RC_OK;
}

static void
clean_memory(struct backend *b, struct sweep *s)
{
	struct hmap_node *n = NULL;
	size_t at = 0;

	while ((n = hmap_walk(&b->memory, &at, n)) != NULL) {
		struct kept *k = CONTAINER_OF(n, struct kept, node);

		(void)!sweep_one(s, str_c(k->key), str_c(k->value));
	}
	for (size_t i = 0; i < s->n_old; i++)
		kept_free(b, kept_find(b, s->old[i]));
	s->op->n_dropped = s->n_old;
}

static enum rc
clean_table(struct backend *b, struct sweep *s)
{
	struct op *op = s->op;
	char now[32];
	enum rc rc = map_each(b->map, sweep_one, s, &op->e);

	for (size_t i = 0; rc == RC_OK && i < s->n_old; i++) {
		rc = map_delete(b->map, s->old[i], &op->e);
		if (rc == RC_NONE)
			rc = RC_OK;
		op->n_dropped += rc == RC_OK;
	}
	(void)snprintf(now, sizeof(now), "%lld", (long long)op->now_s);
	if (rc == RC_OK)
		rc = map_put(b->map, STR(KEY_CLEANED), str_c(now), &op->e);
	return rc;
}

static enum rc
do_clean(struct backend *b, struct op *op)
{
	struct sweep s = { .op = op, .old = mem_array(CLEAN_MAX + 1, sizeof(*s.old)) };
	enum rc rc = RC_OK;

	if (b->spec[0] != '\0')
		rc = clean_table(b, &s);
	else
		clean_memory(b, &s);
	free(s.old);
	return rc;
}

static void
run(void *arg)
{
	struct verify_store *s = arg;

	LIST_EACH (it, &s->batch) {
		struct op *op = CONTAINER_OF(it, struct op, node);

		op->rc = s->b.spec[0] != '\0' ? backend_open(&s->b, &op->e) : RC_OK;
		if (op->rc != RC_OK) {
			op->rc = RC_TEMP;
			continue;
		}
		switch (op->kind) {
		case OP_GET:
			op->rc = do_get(&s->b, op);
			break;
		case OP_PUT:
			op->rc = do_put(&s->b, op);
			break;
		case OP_CLEAN:
			op->rc = do_clean(&s->b, op);
			break;
		}
	}
}

/* ---- on the loop ---- */

static void start(struct verify_store *s);

static void
say(struct verify_store *s, const struct op *op)
{
	if (strncmp(s->said, op->e.text, sizeof(s->said) - 1) == 0)
		return;
	(void)snprintf(s->said, sizeof(s->said), "%s", op->e.text);
	log_warn(s->log, "address_verify_map: %s", op->e.text);
}

static void
op_free(struct op *op)
{
	list_remove(&op->node);
	arena_free(&op->mem);
	free(op);
}

static void
done(void *arg)
{
	struct verify_store *s = arg;
	struct list *first;

	/* Who is called may give in more: that is for the next batch. */
	while ((first = list_first(&s->batch)) != NULL) {
		struct op *op = CONTAINER_OF(first, struct op, node);

		if (op->rc != RC_OK && op->rc != RC_NONE) {
			op->rc = RC_TEMP;
			say(s, op);
		} else {
			s->said[0] = '\0';
		}
		if (op->kind == OP_CLEAN && op->rc == RC_OK) /* compat */
			log_info(s->log,
			    "cache %s full cleanup: retained=%zu dropped=%zu entries",
			    s->b.spec, op->n_kept, op->n_dropped);
		if (op->got != NULL)
			op->got(op->arg, op->rc,
			    op->rc == RC_OK ? op->value : str_c(op->e.text));
		op_free(op);
	}
	s->is_running = false;
	start(s);
}

static void
backend_close(struct backend *b)
{
	struct hmap_node *n;

	if (b->map != NULL)
		map_close(&b->map);
	while ((n = hmap_drain(&b->memory)) != NULL) {
		struct kept *k = CONTAINER_OF(n, struct kept, node);

		free(k->key);
		free(k->value);
		free(k);
	}
	free(b->spec);
	b->spec = NULL;
}

static void
start(struct verify_store *s)
{
	struct list *first;

	if (s->is_running)
		return;
	if (s->next_spec != NULL) {
		backend_close(&s->b);
		s->b.spec = s->next_spec;
		s->next_spec = NULL;
	}
	for (int n = 0; n < BATCH_MAX && (first = list_first(&s->ops)) != NULL; n++) {
		list_remove(first);
		list_add_tail(&s->batch, first);
		s->n_ops--;
	}
	if (list_is_empty(&s->batch))
		return;
	s->is_running = true;
	loop_offload(s->loop, run, done, s);
}

static struct op *
op_new(struct verify_store *s, enum op_kind kind)
{
	struct op *op;

	if (s->n_ops >= OPS_MAX)
		return NULL;
	op = mem_get(sizeof(*op));
	op->kind = kind;
	op->mem = arena_new(OP_MEM_MAX);
	list_init(&op->node);
	list_add_tail(&s->ops, &op->node);
	s->n_ops++;
	return op;
}

struct verify_store *
verify_store_new(struct queue *q)
{
	struct verify_store *s = mem_get(sizeof(*s));

	s->loop = q->w.loop;
	list_init(&s->ops);
	list_init(&s->batch);
	hmap_init(&s->b.memory, q->seed);
	s->b.spec = mem_str(STR(""));
	return s;
}

void
verify_store_use(struct verify_store *s, struct log *log, struct str spec)
{
	s->log = log;
	if (s->next_spec == NULL && str_is(spec, s->b.spec))
		return;
	free(s->next_spec);
	s->next_spec = mem_str(spec);
	start(s);
}

bool
verify_store_get(struct verify_store *s, struct str key, verify_got_fn *got, void *arg)
{
	struct op *op = op_new(s, OP_GET);

	if (op == NULL)
		return false;
	op->key = arena_str(op->mem, key);
	op->got = got;
	op->arg = arg;
	start(s);
	return true;
}

void
verify_store_put(struct verify_store *s, struct str key, const struct verify_record *r)
{
	struct op *op = op_new(s, OP_PUT);
	struct buf text;

	if (op == NULL)
		return; /* it will be found out again */
	buf_init(&text, SPOOL_TEXT_MAX + 100);
	op->key = arena_str(op->mem, key);
	if (verify_record_format(r, &text) == RC_OK)
		op->value = arena_str(op->mem, buf_view(&text));
	buf_fini(&text);
	if (op->value.n == 0) {
		s->n_ops--;
		op_free(op);
		return;
	}
	start(s);
}

void
verify_store_clean(struct verify_store *s, const struct verify_conf *conf, int64_t now_s)
{
	struct op *op = op_new(s, OP_CLEAN);

	if (op == NULL)
		return;
	op->now_s = now_s;
	op->conf = *conf;
	start(s);
}
