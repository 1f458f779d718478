/* Flushing one destination: ETRN, `postqueue -s`, `sendmail -qR`. Whether it may be is
 * fast_flush_domains' to say; what waits for it is found by walking over the deferred
 * messages, some in each round. No index is kept: a walk costs microseconds a message,
 * and is always right.
 *
 * Limits: destinations that wait for the next walk; one walk at a time, and a pause
 * behind each, so that clients that ask all the time cost little. What is asked for
 * during a walk waits for the next one. */
#include <stdlib.h>
#include <string.h>
#include "prog/queue/queue.h"
#include "route/list.h"

#define SITES_MAX 1000
#define ASKED_MAX 1000
#define PER_ROUND 200
#define PAUSE_US  (2 * US_PER_SEC)
#define BUSY_US   (100 * US_PER_MS) /* the active queue is full: no reason to spin */
#define LOAD_MAX  ((size_t)256 << 20)

struct site {
	struct hmap_node node;
	char *name; /* lower case */
};

/* A question to fast_flush_domains. */
struct asking {
	struct list node;
	struct site_flush *f;
	struct site_asker who;
	char *domain;
	struct decide_run decision;
};

struct site_flush {
	struct queue *q;
	struct list asked;
	size_t n_asked;
	struct hmap next, now; /* wanted; and those of the walk that is on */
	bool is_walking;
	uint64_t cursor;
	struct loop_task walk;
	struct loop_timer pause;
	struct arena *mem; /* one envelope */
};

/* ---- sets of names ---- */

static char *
lower_copy(struct str s)
{
	char *p = mem_get(s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	return p;
}

static bool
has(const struct hmap *m, struct str name)
{
	struct hmap_node *n = hmap_first(m, hmap_hash_ci(m, name));

	for (; n != NULL; n = hmap_more(n))
		if (str_ieq(name, str_c(CONTAINER_OF(n, struct site, node)->name)))
			return true;
	return false;
}

static void
add(struct hmap *m, struct str name)
{
	struct site *s;

	if (has(m, name) || m->n >= SITES_MAX)
		return;
	s = mem_get(sizeof(*s));
	s->name = lower_copy(name);
	hmap_put(m, hmap_hash_ci(m, name), &s->node);
}

static void
clear(struct hmap *m)
{
	struct hmap_node *n;

	while ((n = hmap_drain(m)) != NULL) {
		struct site *s = CONTAINER_OF(n, struct site, node);

		free(s->name);
		free(s);
	}
}

/* ---- the walk ---- */

static bool
is_for(const struct site_flush *f, const struct spool_loaded *l)
{
	for (size_t i = 0; i < l->m.n_rcpts; i++) {
		struct str address = l->m.rcpts[i].address;
		size_t at = str_rfind(address, '@');

		if (i < l->st.n_rcpts && l->st.rcpts[i].what != SPOOL_RCPT_DEFERRED &&
		    l->st.rcpts[i].what != SPOOL_RCPT_PENDING)
			continue;
		if (at < address.n && has(&f->now, str_from(address, at + 1)))
			return true;
	}
	return false;
}

static void
look_at(struct site_flush *f, const struct spool_info *info)
{
	struct queue *q = f->q;
	struct spool_loaded l = { 0 };

	if ((info->flags & (SPOOL_HELD | SPOOL_CLAIMED)) != 0 ||
	    (info->flags & SPOOL_DEFERRED) == 0)
		return;
	arena_reset(f->mem);
	/* What cannot be read is found out by who tries to deliver it. */
	if (spool_load(q->spool, info->number, SPOOL_ENVELOPE | SPOOL_STATE, f->mem,
		&l) == RC_OK &&
	    is_for(f, &l))
		activate_fresh(q, info->number, true);
}

static void
walk_some(void *arg)
{
	struct site_flush *f = arg;
	struct queue *q = f->q;
	struct spool_info info;

	for (int i = 0; i < PER_ROUND; i++) {
		if (q->fresh.n >= FRESH_MAX / 2) {
			loop_timer_set(
			    q->w.loop, &f->pause, loop_now_us(q->w.loop) + BUSY_US);
			return; /* first those that were found */
		}
		if (spool_list(q->spool, &f->cursor, &info) != RC_OK) {
			f->is_walking = false;
			clear(&f->now);
			loop_timer_set(
			    q->w.loop, &f->pause, loop_now_us(q->w.loop) + PAUSE_US);
			return;
		}
		look_at(f, &info);
	}
	loop_soon(q->w.loop, &f->walk);
}

static void
walk_begin(struct site_flush *f)
{
	struct hmap empty = f->now;

	if (f->is_walking || f->next.n == 0 || loop_timer_is_set(&f->pause))
		return;
	f->now = f->next;
	f->next = empty;
	f->is_walking = true;
	f->cursor = 0;
	/* compat: what is dead is tried again. */
	sched_revive(f->q->sched);
	dispatch_wake(f->q);
	loop_soon(f->q->w.loop, &f->walk);
}

static void
on_pause(void *arg)
{
	struct site_flush *f = arg;

	if (f->is_walking)
		walk_some(f);
	else
		walk_begin(f);
}

/* ---- asking ---- */

static void
tell(const struct site_asker *who, enum rc rc)
{
	if (who->submitter != NULL)
		submit_site_flushed(who->submitter, who->request, rc);
	else if (who->client != NULL)
		who->done(who->client, rc);
}

static enum rc
run(void *arg, struct ask *a)
{
	struct asking *k = arg;

	return route_list_domain(a, &k->f->q->flush_domains, str_c(k->domain));
}

static void
decided(struct asking *k, enum rc rc)
{
	struct site_flush *f = k->f;

	if (rc == RC_OK && f->next.n >= SITES_MAX)
		rc = RC_TEMP;
	if (rc == RC_OK) {
		add(&f->next, str_c(k->domain));
		walk_begin(f);
	} else if (rc != RC_NONE) {
		log_warn(f->q->log, "fast_flush_domains: %s: lookup trouble", k->domain);
		rc = RC_TEMP;
	}
	tell(&k->who, rc);
	list_remove(&k->node);
	f->n_asked--;
	free(k->domain);
	free(k);
}

static void
on_decided(void *arg, enum rc rc)
{
	decided(arg, rc);
}

static void
ask(struct asking *k)
{
	struct queue *q = k->f->q;
	enum rc rc;

	k->decision = (struct decide_run){
		.d = q->decide, .run = run, .done = on_decided, .arg = k
	};
	arena_reset(q->limits_mem);
	rc = decide_run_start(&k->decision, q->limits_mem);
	if (rc != RC_MORE)
		decided(k, rc);
}

void
site_flush(struct queue *q, const struct site_asker *who, struct str domain)
{
	struct site_flush *f = q->sites;
	struct asking *k;

	if (f->n_asked >= ASKED_MAX || domain.n == 0) {
		tell(who, domain.n == 0 ? RC_NONE : RC_TEMP);
		return;
	}
	k = mem_get(sizeof(*k));
	k->f = f;
	k->who = *who;
	k->domain = lower_copy(domain);
	list_init(&k->node);
	list_add_tail(&f->asked, &k->node);
	f->n_asked++;
	ask(k);
}

void
site_forget(struct queue *q, const void *who)
{
	LIST_EACH (it, &q->sites->asked) {
		struct asking *k = CONTAINER_OF(it, struct asking, node);

		if (k->who.submitter == who || k->who.client == who)
			k->who = (struct site_asker){ 0 };
	}
}

/* ---- life ---- */

void
site_suspend(struct queue *q)
{
	LIST_EACH (it, &q->sites->asked)
		decide_run_cancel(&CONTAINER_OF(it, struct asking, node)->decision);
}

void
site_resume(struct queue *q)
{
	struct list all, *first;

	list_init(&all);
	while ((first = list_first(&q->sites->asked)) != NULL) {
		list_remove(first);
		list_add_tail(&all, first);
	}
	while ((first = list_first(&all)) != NULL) {
		list_remove(first);
		list_add_tail(&q->sites->asked, first);
		ask(CONTAINER_OF(first, struct asking, node));
	}
}

void
site_init(struct queue *q)
{
	struct site_flush *f = mem_get(sizeof(*f));

	f->q = q;
	f->mem = arena_new(LOAD_MAX);
	list_init(&f->asked);
	hmap_init(&f->next, q->seed);
	hmap_init(&f->now, q->seed);
	loop_task_init(&f->walk, walk_some, f);
	loop_timer_init(&f->pause, on_pause, f);
	q->sites = f;
}
