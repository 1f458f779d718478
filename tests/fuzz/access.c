/* Restriction lists with random tables, actions and answers. The input's first line is
 * the list, the second one a class "ca", the third an action or a list that every table
 * gives; the rest are answers to questions, a byte each. Whatever comes: the evaluation
 * ends, the same answers give the same verdict, and a refusal is a reply that can be
 * sent. */
#include "access/access.h"
#include "access/testing.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEM_MAX  ((size_t)4 << 20)
#define ASKS_MAX 60

struct world {
	struct str action, answers;
	size_t n_asked;
};

/* Tables answer at once, from the input alone: a rerun takes the same way. */
static enum rc
answer(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	struct world *w = ctx;
	unsigned char c;

	(void)mem;
	if (q->kind != ASK_MAP)
		return RC_MORE;
	c = w->answers.n > 0
		? (unsigned char)w->answers.p[(q->key.n + q->source.n) % w->answers.n]
		: 0;
	if (c % 4 == 1)
		return RC_NONE;
	*out = c % 4 == 2 ? STR("trouble") : w->action;
	return c % 4 == 2 ? RC_TEMP : RC_OK;
}

/* What has to be fetched: DNS, policy services, verification, delays. */
static void
fetch(struct world *w, struct ask *a)
{
	static const char *const texts[] = { "", "10 mx.test\n0 .\n", "192.0.2.7\n::1\n",
		"2 5.1.1 no such user", "DUNNO", "127.0.0.2\nnot an address\n",
		"0 2.0.0 ok" };
	unsigned char c = w->answers.n > 0
			      ? (unsigned char)w->answers.p[w->n_asked++ % w->answers.n]
			      : 0;

	switch (c % 4) {
	case 1:
		ask_answer(a, RC_NONE, STR(""));
		break;
	case 2:
		ask_answer(a, RC_TEMP, STR("trouble"));
		break;
	case 3:
		ask_answer(a, RC_OK, w->action);
		break;
	default:
		ask_answer(a, RC_OK, str_c(texts[c / 4 % ARRAY_LEN(texts)]));
		break;
	}
}

static void
check_reply(struct str reply)
{
	if (reply.n < 9 || reply.n > 510 || (reply.p[0] != '4' && reply.p[0] != '5') ||
	    reply.p[3] != ' ' || reply.p[4] != reply.p[0])
		abort();
	for (size_t i = 0; i < reply.n; i++)
		if ((unsigned char)reply.p[i] < ' ' || reply.p[i] == 127)
			abort();
}

static bool
run(const struct access_conf *c, enum access_stage stage, struct world *w,
    struct arena *mem, struct access_verdict *out)
{
	struct access_state state = { 0 };
	struct ask a;

	ask_init(&a, mem, 0);
	a.now = answer;
	a.now_ctx = w;
	w->n_asked = 0;
	for (int i = 0; i < ASKS_MAX; i++) {
		enum rc rc =
		    access_run(&a, c, stage, &access_testing_request, &state, out);

		if (rc == RC_OK)
			return true;
		if (rc != RC_MORE || !a.has_wanted)
			abort();
		fetch(w, &a);
	}
	return false;
}

static void
play(struct access_conf *c, enum access_stage stage, struct world *w)
{
	struct arena *mem = arena_new(MEM_MAX), *again = arena_new(MEM_MAX);
	struct access_verdict x = { 0 }, y = { 0 };

	if (run(c, stage, w, mem, &x)) {
		if (!run(c, stage, w, again, &y) || x.what != y.what ||
		    !str_eq(x.reply, y.reply))
			abort();
		if (x.what == ACCESS_REJECT)
			check_reply(x.reply);
		for (const struct access_note *n = x.notes; n != NULL; n = n->next)
			if ((n->what == ACCESS_LINE) != (n->verb != NULL))
				abort();
	}
	arena_free(&mem);
	arena_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_n(data, size), list, cls;
	struct world w = { .action = STR("DUNNO") };
	struct access_class classes[1] = { { .name = STR("ca") } };
	struct arena *mem = arena_new(MEM_MAX);
	struct access_conf c;

	if (size > 4096 || !str_cut(rest, '\n', &list, &rest) ||
	    !str_cut(rest, '\n', &cls, &rest) ||
	    !str_cut(rest, '\n', &w.action, &w.answers))
		goto out;
	access_testing_conf(&c, mem);
	c.classes = (struct access_classes){ .v = classes, .n = 1 };
	if (access_compile(cls, &c.classes, mem, &classes[0].list, NULL) != RC_OK)
		goto out;
	for (int stage = 0; stage < ACCESS_N_STAGE; stage++) {
		if (access_compile(list, &c.classes, mem, &c.list[stage], NULL) != RC_OK)
			goto out;
		if (stage != ACCESS_RELAY)
			play(&c, (enum access_stage)stage, &w);
	}
	(void)!access_check_relay(&c, NULL);
out:
	arena_free(&mem);
	return 0;
}
