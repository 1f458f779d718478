/* The questions to one table. The same question, asked again before it is answered, gets
 * the same answer. A table that does not answer keeps its own threads and its own list;
 * others are not touched. */
#include <stdlib.h>
#include <string.h>
#include "log/log.h"
#include "os/random.h"
#include "prog/lookup/lookup.h"

#define QUESTION_MEM ((size_t)4 << 20)
#define SWEEP_US     (US_PER_SEC / 4)
#define WARN_US      (10 * US_PER_SEC)

/* ---- groups ---- */

static uint64_t
group_hash(struct lookup *l, struct str spec, bool for_writing)
{
	return hmap_hash(&l->groups, spec) ^ for_writing;
}

static struct group *
group_find(struct lookup *l, struct str spec, bool for_writing)
{
	struct hmap_node *n = hmap_first(&l->groups, group_hash(l, spec, for_writing));

	for (; n != NULL; n = hmap_more(n)) {
		struct group *g = CONTAINER_OF(n, struct group, by_spec);

		if (str_eq(g->spec, spec) && g->for_writing == for_writing)
			return g;
	}
	return NULL;
}

static struct group *
group_new(struct lookup *l, const struct lookup_table *t, bool for_writing)
{
	struct group *g = mem_get(sizeof(*g));
	uint64_t seed[2];

	os_random_seed(seed);
	g->l = l;
	g->spec = t->spec;
	g->for_writing = for_writing;
	list_init(&g->todo);
	hmap_init(&g->questions, seed);
	if (pthread_cond_init(&g->wake, NULL) != 0)
		abort();
	hmap_put(&l->groups, group_hash(l, g->spec, for_writing), &g->by_spec);
	return g;
}

static void
add_slots(struct group *g, unsigned n)
{
	for (; g->n_slots < n; g->n_slots++)
		slot_init(&g->slots[g->n_slots], g, g->n_slots);
}

static unsigned
slots_for(const struct lookup *l)
{
	size_t n_remote = 0, n;

	for (size_t i = 0; i < lookup_tables_count(l->tables); i++)
		n_remote += lookup_tables_at(l->tables, i)->is_remote;
	n = THREADS_WANTED / (n_remote > 0 ? n_remote : 1);
	return n < 2 ? 2 : n > SLOTS_MAX ? SLOTS_MAX : (unsigned)n;
}

void
groups_open(struct lookup *l)
{
	unsigned n = slots_for(l);

	for (size_t i = 0; i < lookup_tables_count(l->tables); i++) {
		const struct lookup_table *t = lookup_tables_at(l->tables, i);
		struct group *g;

		if (!t->is_remote)
			continue;
		g = group_new(l, t, false);
		add_slots(g, n);
		for (unsigned k = 0; k < n; k++) {
			slot_open(&g->slots[k]);
			words_read(l, k == 0); /* the others say the same */
		}
	}
}

/* Tables in files open when they are asked; one thread keeps up with them. */
static struct group *
group_get(struct lookup *l, const struct lookup_table *t, bool for_writing)
{
	struct group *g = group_find(l, t->spec, for_writing);

	if (g == NULL) {
		g = group_new(l, t, for_writing);
		add_slots(g, 1);
	}
	return g;
}

/* ---- questions ---- */

static uint64_t
question_hash(const struct group *g, const struct group_request *r)
{
	return hmap_hash(&g->questions, r->key) ^ r->flags;
}

/* Only looking up is shared. */
static struct question *
question_find(struct group *g, const struct group_request *r)
{
	struct hmap_node *n = hmap_first(&g->questions, question_hash(g, r));

	for (; r->what == QUESTION_FIND && n != NULL; n = hmap_more(n)) {
		struct question *q = CONTAINER_OF(n, struct question, by_what);

		if (q->what == QUESTION_FIND && q->flags == r->flags &&
		    str_eq(q->key, r->key))
			return q;
	}
	return NULL;
}

static void
question_free(struct question *q)
{
	hmap_remove(&q->g->questions, &q->by_what);
	q->g->l->n_open--;
	arena_free(&q->mem);
	free(q);
}

/* Everybody who asked is told. */
static void
question_end(struct question *q, enum rc rc, struct str value)
{
	struct list *first;

	while ((first = list_first(&q->askers)) != NULL) {
		list_remove(first);
		peer_answer(CONTAINER_OF(first, struct asker, in_question), rc, value);
	}
	question_free(q);
}

static struct question *
question_new(struct group *g, const struct group_request *r)
{
	struct question *q = mem_get(sizeof(*q));

	q->g = g;
	q->what = r->what;
	q->flags = r->flags;
	q->mem = arena_new(QUESTION_MEM);
	q->key = arena_str(q->mem, r->key);
	q->value = arena_str(q->mem, r->value);
	q->since_us = loop_now_us(g->l->w.loop);
	list_init(&q->node);
	list_init(&q->askers);
	hmap_put(&g->questions, question_hash(g, r), &q->by_what);
	g->l->n_open++;
	return q;
}

static void
warn_full(struct group *g)
{
	int64_t now_us = loop_now_us(g->l->w.loop);

	if (g->warned_us != 0 && now_us - g->warned_us < WARN_US)
		return;
	g->warned_us = now_us;
	log_warn(g->l->w.log, "table %.*s: too many questions wait for an answer",
	    STR_ARG(g->spec));
}

void
group_ask(struct lookup *l, const struct group_request *r, struct asker *a)
{
	bool for_writing = r->what != QUESTION_FIND;
	struct group *g =
	    group_get(l, lookup_tables_find(l->tables, r->spec), for_writing);
	struct question *q = question_find(g, r);

	if (q == NULL && g->questions.n >= WAITING_MAX) {
		warn_full(g);
		peer_answer(a, RC_TEMP, STR("too many questions wait for an answer"));
		return;
	}
	if (q != NULL) {
		a->q = q;
		list_add_tail(&q->askers, &a->in_question);
		return;
	}
	q = question_new(g, r);
	a->q = q;
	list_add_tail(&q->askers, &a->in_question);
	if (q->key.p == NULL || q->value.p == NULL || !threads_give(q)) {
		question_end(q, RC_TEMP, STR("no memory, or no thread, for a question"));
		return;
	}
	if (!loop_timer_is_set(&l->sweep))
		loop_timer_set(l->w.loop, &l->sweep, loop_now_us(l->w.loop) + SWEEP_US);
}

void
group_forget(struct asker *a)
{
	struct question *q = a->q;

	list_remove(&a->in_question);
	if (list_is_empty(&q->askers) && threads_take_back(q))
		question_free(q);
}

void
group_done(struct question *q)
{
	if (q->rc == RC_OK || q->rc == RC_NONE)
		question_end(q, q->rc, q->rc == RC_OK ? q->answer : STR(""));
	else
		question_end(q, RC_TEMP, str_c(q->e.text));
}

/* ---- time ---- */

/* Who waits for a thread longer than askers have patience is told so; who is at a table
 * stays there: nobody can be called back from a library. */
static void
sweep_group(struct group *g)
{
	int64_t now_us = loop_now_us(g->l->w.loop);
	struct list overdue, *first;
	size_t at = 0;

	list_init(&overdue);
	for (struct hmap_node *n = hmap_walk(&g->questions, &at, NULL); n != NULL;
	     n = hmap_walk(&g->questions, &at, n)) {
		struct question *q = CONTAINER_OF(n, struct question, by_what);

		if (now_us - q->since_us >= g->l->timeout_us && threads_take_back(q))
			list_add_tail(&overdue, &q->node);
	}
	while ((first = list_first(&overdue)) != NULL) {
		list_remove(first);
		question_end(
		    CONTAINER_OF(first, struct question, node), RC_TEMP, STR("timeout"));
	}
}

static void
on_sweep(void *arg)
{
	struct lookup *l = arg;
	size_t at = 0;

	for (struct hmap_node *n = hmap_walk(&l->groups, &at, NULL); n != NULL;
	     n = hmap_walk(&l->groups, &at, n))
		sweep_group(CONTAINER_OF(n, struct group, by_spec));
	if (l->n_open > 0)
		loop_timer_set(l->w.loop, &l->sweep, loop_now_us(l->w.loop) + SWEEP_US);
}

void
groups_init(struct lookup *l)
{
	uint64_t seed[2];

	os_random_seed(seed);
	hmap_init(&l->groups, seed);
	loop_timer_init(&l->sweep, on_sweep, l);
}
