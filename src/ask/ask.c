#include "ask/ask.h"
#include <assert.h>
#include <string.h>

#define MAX_DEFAULT 1000
#define CAP_FIRST   8

static const struct str trouble_limit = STR_INIT("too many questions for one decision");

void
ask_init(struct ask *a, struct arena *mem, unsigned max)
{
	*a = (struct ask){ .mem = mem, .max = max == 0 ? MAX_DEFAULT : max };
}

void
ask_reset(struct ask *a, struct arena *mem)
{
	*a = (struct ask){
		.mem = mem, .max = a->max, .now = a->now, .now_ctx = a->now_ctx
	};
}

void
ask_forget(struct ask *a)
{
	a->n_known = 0;
}

static bool
same(const struct ask_question *x, const struct ask_question *y)
{
	return x->key.n == y->key.n && x->source.n == y->source.n && x->kind == y->kind &&
	       x->flags == y->flags && str_eq(x->key, y->key) &&
	       str_eq(x->source, y->source);
}

/* Room for one more answer; false: the arena is at its limit. */
static bool
make_room(struct ask *a)
{
	unsigned cap = a->cap == 0 ? CAP_FIRST : a->cap * 2;
	struct ask_answer *v;

	if (a->n_known < a->cap)
		return true;
	v = arena_array(a->mem, cap, sizeof(*v));
	if (v == NULL)
		return false;
	if (a->n_known > 0)
		memcpy(v, a->known, a->n_known * sizeof(*v));
	a->known = v;
	a->cap = cap;
	return true;
}

/* The question as it is kept: its key may lie in a buffer of the asker's. The source is
 * the configuration's and outlives every decision. */
static bool
keep(struct ask *a, const struct ask_question *q, struct ask_question *out)
{
	*out = *q;
	out->key = arena_str(a->mem, q->key);
	return out->key.p != NULL;
}

enum rc
ask_get(struct ask *a, const struct ask_question *q, struct str *out)
{
	struct ask_answer *to;
	enum rc rc;

	if (q->key.n == 0)
		return RC_NONE;
	for (unsigned i = 0; i < a->n_known; i++)
		if (same(&a->known[i].q, q)) {
			if (a->known[i].rc == RC_OK)
				*out = a->known[i].value;
			return a->known[i].rc;
		}
	if (a->n_known >= a->max || !make_room(a))
		return RC_TEMP;
	to = &a->known[a->n_known];
	if (!keep(a, q, &to->q))
		return RC_TEMP;
	to->value = (struct str){ NULL, 0 };
	rc = a->now == NULL ? RC_MORE : a->now(a->now_ctx, &to->q, a->mem, &to->value);
	if (rc == RC_MORE) {
		a->wanted = to->q;
		a->has_wanted = true;
		return RC_MORE;
	}
	to->rc = rc == RC_PERM ? RC_TEMP : rc;
	a->n_known++;
	if (to->rc == RC_OK)
		*out = to->value;
	return to->rc;
}

enum rc
ask_map(struct ask *a, struct str table, struct str key, unsigned flags, struct str *out)
{
	const struct ask_question q = { ASK_MAP, flags, table, key };

	return ask_get(a, &q, out);
}

enum rc
ask_dns(struct ask *a, const char *type, struct str name, struct str *out)
{
	const struct ask_question q = { ASK_DNS, 0, str_c(type), name };

	return ask_get(a, &q, out);
}

struct str
ask_dns_words(const struct ask *a, const char *type, struct str name)
{
	const struct ask_question q = { ASK_DNS, 0, str_c(type), name };

	for (unsigned i = 0; i < a->n_known; i++)
		if (same(&a->known[i].q, &q))
			return a->known[i].value;
	return trouble_limit;
}

enum rc
ask_tables(struct ask *a, const struct ask_tables *t, struct str key, unsigned flags,
    struct str *out)
{
	for (unsigned i = 0; i < t->n; i++) {
		enum rc rc = ask_map(a, t->v[i], key, flags | t->flags, out);

		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

void
ask_answer(struct ask *a, enum rc rc, struct str value)
{
	struct ask_answer *to;

	assert(a->has_wanted && rc != RC_MORE);
	a->has_wanted = false;
	if (!make_room(a)) /* ask_get() made it; only a misused struct gets here */
		return;
	to = &a->known[a->n_known++];
	*to = (struct ask_answer){ .q = a->wanted, .rc = rc == RC_PERM ? RC_TEMP : rc };
	to->value = arena_str(a->mem, value);
	if (to->value.p == NULL) {
		to->rc = RC_TEMP;
		to->value = trouble_limit;
	}
}

struct str
ask_trouble(const struct ask *a, struct arena *mem)
{
	for (unsigned i = a->n_known; i-- > 0;) {
		const struct ask_answer *k = &a->known[i];

		if (k->rc == RC_TEMP)
			return arena_printf(mem, "%.*s: lookup of \"%.*s\": %.*s",
			    STR_ARG(k->q.source), STR_ARG(k->q.key), STR_ARG(k->value));
	}
	return trouble_limit;
}

static const char *
kind_name(enum ask_kind kind)
{
	switch (kind) {
	case ASK_MAP:
		return "map";
	case ASK_DNS:
		return "dns";
	case ASK_POLICY:
		return "policy";
	case ASK_VERIFY:
		return "verify";
	case ASK_DELAY:
		return "delay";
	}
	return "?";
}

enum rc
ask_explain(const struct ask *a, struct buf *to)
{
	for (unsigned i = 0; i < a->n_known; i++) {
		const struct ask_answer *k = &a->known[i];
		const char *what = k->rc == RC_NONE   ? " (not found)"
				   : k->rc == RC_TEMP ? " (trouble) "
						      : " = ";
		struct str key = str_head(k->q.key, str_find(k->q.key, '\n'));
		enum rc rc = buf_printf(to, "%s %.*s %.*s%s%.*s\n", kind_name(k->q.kind),
		    STR_ARG(k->q.source), STR_ARG(key), what, STR_ARG(k->value));

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}
