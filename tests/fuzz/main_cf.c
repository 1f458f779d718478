/* Any bytes as main.cf: parsing ends; what it accepts is sorted, each name once, and
 * every value can be looked up, evaluated or refused; what is advised can be shown on a
 * terminal. */
#include "base/arena.h"
#include "conf/advice.h"
#include "conf/snapshot.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_order(const struct main_cf *m)
{
	for (size_t i = 0; i < m->n; i++) {
		assert(main_cf_find(m, m->v[i].name) == &m->v[i]);
		assert(m->v[i].name.n > 0 && m->v[i].line > 0);
		assert(i == 0 || str_cmp(m->v[i - 1].name, m->v[i].name) < 0);
		assert(memchr(m->v[i].value.p, '\0', m->v[i].value.n) == NULL);
	}
}

static void
show(void *arg, const struct conf_advice *advice)
{
	char text[CONF_ADVICE_TEXT_MAX];

	(void)arg;
	conf_advice_format(advice, text);
	assert(memchr(text, '\0', sizeof(text)) != NULL);
	for (const char *p = text; *p != '\0'; p++)
		assert((unsigned char)*p >= ' ' && *p != 127);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct conf_host host = { .name = STR_INIT("mx"),
		.addresses = STR_INIT("127.0.0.1/8 ::1/128") };
	struct arena *mem = arena_new((size_t)64 << 20),
		     *scratch = arena_new((size_t)64 << 20);
	const struct conf_snapshot *s;
	struct conf_addresses own;
	struct str value;
	struct err e;

	if (conf_from_text(str_n(data, size), STR("smtp unix - - n - - smtp\n"), &host,
		mem, &s, &e) == RC_OK) {
		check_order(&s->main);
		for (size_t i = 0; i < s->main.n; i++) {
			(void)!conf_get(s, NULL, s->main.v[i].name, scratch, &value, &e);
			arena_reset(scratch);
		}
		conf_advise(s, show, NULL);
		(void)!conf_get(s, NULL, STR("mynetworks"), scratch, &value, &e);
		(void)!conf_own_addresses(s, NULL, true, scratch, &own, &e);
	}
	arena_free(&mem);
	arena_free(&scratch);
	return 0;
}
