/* Counters of clients. Invariants: a client is in the table while it has a connection or
 * its time unit runs, and in the list of idle ones exactly while it has no connection; an
 * owner's node for a client exists while it has connections of it. */
#include "agent/rates_table.h"
#include "base/hmap.h"
#include "base/list.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct client {
	struct hmap_node node;
	struct list idle; /* oldest first */
	int64_t start_us, idle_us;
	uint32_t count;
	uint32_t rate[RATES_N];
	size_t n_ident;
	char ident[];
};

struct holding {
	struct hmap_node node;
	struct client *client;
	uint32_t n;
};

struct rates_owner {
	struct rates_table *t;
	struct hmap holdings;
};

/* A high mark: how much, who, when. */
struct peak {
	uint32_t value;
	int64_t wall_us;
	char ident[320];
};

struct rates_table {
	struct hmap clients;
	struct list idle;
	int64_t unit_us;
	struct peak rate[RATES_N], count;
	struct peak size;
	uint64_t seed[2];
};

struct rates_table *
rates_table_new(const uint64_t seed[2], int64_t unit_us)
{
	struct rates_table *t = mem_get(sizeof(*t));

	memcpy(t->seed, seed, sizeof(t->seed));
	hmap_init(&t->clients, seed);
	list_init(&t->idle);
	t->unit_us = unit_us;
	return t;
}

void
rates_table_free(struct rates_table **tp)
{
	struct hmap_node *n, *next;
	size_t at = 0;

	if (*tp == NULL)
		return;
	for (n = hmap_walk(&(*tp)->clients, &at, NULL); n != NULL; n = next) {
		next = hmap_walk(&(*tp)->clients, &at, n);
		free(CONTAINER_OF(n, struct client, node));
	}
	hmap_fini(&(*tp)->clients);
	free(*tp);
	*tp = NULL;
}

void
rates_table_set_unit(struct rates_table *t, int64_t unit_us)
{
	t->unit_us = unit_us;
}

size_t
rates_table_clients(const struct rates_table *t)
{
	return t->clients.n;
}

/* ---- clients ---- */

static struct client *
find(struct rates_table *t, struct str ident)
{
	struct hmap_node *n = hmap_first(&t->clients, hmap_hash(&t->clients, ident));

	for (; n != NULL; n = hmap_more(n)) {
		struct client *c = CONTAINER_OF(n, struct client, node);

		if (str_eq((struct str){ c->ident, c->n_ident }, ident))
			return c;
	}
	return NULL;
}

static void
forget(struct rates_table *t, struct client *c)
{
	list_remove(&c->idle);
	hmap_remove(&t->clients, &c->node);
	free(c);
}

static void
set_idle(struct rates_table *t, struct client *c, int64_t now_us)
{
	list_remove(&c->idle);
	c->idle_us = now_us;
	list_add_tail(&t->idle, &c->idle);
}

/* Room for one more. Of a full table the client that has done nothing for the longest
 * time goes: new ones are the ones that limits are for, and who has a connection stays,
 * for his connections are still to be counted off. */
static bool
make_room(struct rates_table *t, int64_t now_us)
{
	rates_table_expire(t, now_us);
	if (t->clients.n < RATES_CLIENTS_MAX)
		return true;
	if (list_is_empty(&t->idle))
		return false;
	forget(t, CONTAINER_OF(list_first(&t->idle), struct client, idle));
	return true;
}

static struct client *
add(struct rates_table *t, struct str ident, int64_t now_us)
{
	struct client *c;

	if (!make_room(t, now_us))
		return NULL;
	c = mem_get(sizeof(*c) + ident.n);
	memcpy(c->ident, ident.p, ident.n);
	c->n_ident = ident.n;
	c->start_us = now_us;
	list_init(&c->idle);
	set_idle(t, c, now_us);
	hmap_put(&t->clients, hmap_hash(&t->clients, ident), &c->node);
	return c;
}

void
rates_table_expire(struct rates_table *t, int64_t now_us)
{
	struct list *first;

	while ((first = list_first(&t->idle)) != NULL) {
		struct client *c = CONTAINER_OF(first, struct client, idle);

		if (now_us - c->idle_us <= t->unit_us)
			break;
		forget(t, c);
	}
}

/* ---- owners ---- */

struct rates_owner *
rates_owner_new(struct rates_table *t)
{
	struct rates_owner *o = mem_get(sizeof(*o));

	o->t = t;
	hmap_init(&o->holdings, t->seed);
	return o;
}

static struct holding *
find_holding(const struct rates_owner *o, const struct client *c)
{
	struct hmap_node *n =
	    hmap_first(&o->holdings, hmap_hash_u64(&o->holdings, (uintptr_t)c));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct holding, node)->client == c)
			return CONTAINER_OF(n, struct holding, node);
	return NULL;
}

static void
hold(struct rates_owner *o, struct client *c)
{
	struct holding *h = find_holding(o, c);

	if (h == NULL) {
		h = mem_get(sizeof(*h));
		h->client = c;
		hmap_put(
		    &o->holdings, hmap_hash_u64(&o->holdings, (uintptr_t)c), &h->node);
	}
	h->n++;
	c->count++;
	list_remove(&c->idle);
}

static void
let_go(struct rates_table *t, struct client *c, uint32_t n, int64_t now_us)
{
	c->count -= n;
	if (c->count == 0)
		set_idle(t, c, now_us);
}

void
rates_owner_free(struct rates_owner **op, int64_t now_us)
{
	struct rates_owner *o = *op;
	struct hmap_node *n, *next;
	size_t at = 0;

	if (o == NULL)
		return;
	for (n = hmap_walk(&o->holdings, &at, NULL); n != NULL; n = next) {
		struct holding *h = CONTAINER_OF(n, struct holding, node);

		next = hmap_walk(&o->holdings, &at, n);
		let_go(o->t, h->client, h->n, now_us);
		free(h);
	}
	hmap_fini(&o->holdings);
	free(o);
	*op = NULL;
}

/* ---- counting ---- */

static void
note_peak(struct peak *p, uint32_t value, const struct rates_seen *s)
{
	if (value <= p->value)
		return;
	p->value = value;
	p->wall_us = s->wall_us;
	(void)snprintf(p->ident, sizeof(p->ident), "%.*s", STR_ARG(s->ident));
}

/* What was not counted as connected (before we were started) is none of ours. */
static void
disconnect(struct rates_owner *o, const struct rates_seen *s)
{
	struct client *c = find(o->t, s->ident);
	struct holding *h = c == NULL ? NULL : find_holding(o, c);

	if (h == NULL)
		return;
	let_go(o->t, c, 1, s->now_us);
	if (--h->n == 0) {
		hmap_remove(&o->holdings, &h->node);
		free(h);
	}
}

enum rc
rates_table_count(
    struct rates_owner *o, const struct rates_seen *s, struct rates_count *out)
{
	struct rates_table *t = o->t;
	struct client *c;

	*out = (struct rates_count){ 0 };
	if (s->event == RATES_DISCONNECT) {
		disconnect(o, s);
		return RC_OK;
	}
	c = find(t, s->ident);
	if (c == NULL)
		c = add(t, s->ident, s->now_us);
	if (c == NULL)
		return RC_TEMP;
	if (c->start_us + t->unit_us < s->now_us) {
		memset(c->rate, 0, sizeof(c->rate));
		c->start_us = s->now_us;
	}
	if (c->rate[s->event] < UINT32_MAX)
		c->rate[s->event]++;
	if (s->event == RATES_CONNECT)
		hold(o, c);
	else if (c->count == 0)
		set_idle(t, c, s->now_us);
	out->count = c->count;
	out->rate = c->rate[s->event];
	note_peak(&t->rate[s->event], out->rate, s);
	note_peak(&t->count, out->count, s);
	note_peak(&t->size, (uint32_t)t->clients.n, s);
	return RC_OK;
}

/* ---- statistics ---- */

/* "Nov 22 07:14:22", local time. */
static const char *
stamp(int64_t wall_us, char out[20])
{
	time_t t = (time_t)(wall_us / US_PER_SEC);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(out, 20, "%b %e %H:%M:%S", &tm) == 0)
		out[0] = '\0';
	return out;
}

void
rates_table_report(
    struct rates_table *t, void (*line)(void *arg, const char *text), void *arg)
{
	/* compat: the words, and their order */
	static const char *const words[RATES_N] = { [RATES_CONNECT] = "connection",
		[RATES_MAIL] = "message",
		[RATES_RCPT] = "recipient",
		[RATES_NEW_TLS] = "newtls",
		[RATES_AUTH] = "auth" };
	char text[500], when[20];

	for (size_t i = 0; i < RATES_N; i++) {
		struct peak *p = &t->rate[i];

		if (p->value > 0) {
			(void)snprintf(text, sizeof(text),
			    "statistics: max %s rate %u/%llds for (%s) at %s", words[i],
			    p->value, (long long)(t->unit_us / US_PER_SEC), p->ident,
			    stamp(p->wall_us, when));
			line(arg, text);
		}
		if (i == RATES_CONNECT && t->count.value > 0) {
			(void)snprintf(text, sizeof(text),
			    "statistics: max connection count %u for (%s) at %s",
			    t->count.value, t->count.ident,
			    stamp(t->count.wall_us, when));
			line(arg, text);
		}
	}
	if (t->size.value > 0) {
		(void)snprintf(text, sizeof(text), "statistics: max cache size %u at %s",
		    t->size.value, stamp(t->size.wall_us, when));
		line(arg, text);
	}
	memset(t->rate, 0, sizeof(t->rate));
	t->count = t->size = (struct peak){ 0 };
}
