/* Name servers that do not answer: nobody listens where these questions go. */
#include "net/resolver.h"
#include "log/log.h"
#include "loop/loop.h"
#include "net/resolver_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct scene {
	struct loop *loop;
	struct net_resolver *resolver;
	unsigned n_answers;
	enum dns_status status;
};

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct scene *s = arg;

	s->n_answers++;
	s->status = a->status;
}

static enum dns_status
ask(struct scene *s, const char *name)
{
	unsigned before = s->n_answers;

	assert_non_null(net_resolve(s->resolver, str_c(name), DNS_A, on_answer, s));
	for (int i = 0; i < 3000 && s->n_answers == before; i++)
		loop_round(s->loop, US_PER_SEC / 100);
	assert_int_equal(s->n_answers, before + 1);
	return s->status;
}

static void
dead_servers_cost_less_after_a_few_questions(void **state)
{
	static const int64_t usual = 10 * US_PER_SEC;
	struct net_resolver_conf conf = { .servers = STR("127.0.0.1@1"),
		.hosts_file = "",
		.timeout_us = US_PER_SEC / 20 };
	struct log *log = log_new("test", "host");
	struct scene s = { .loop = loop_new() };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(net_resolver_new(s.loop, log, &conf, &s.resolver, &e), RC_OK);
	for (unsigned i = 0; i < 3; i++) {
		s.resolver->timeout_us = usual;
		assert_int_equal(net_resolver_patience_us(s.resolver), usual);
		s.resolver->timeout_us = conf.timeout_us;
		assert_int_equal(ask(&s, "a.example"), DNS_TIMEOUT);
	}
	s.resolver->timeout_us = usual;
	assert_int_equal(net_resolver_patience_us(s.resolver), 2 * US_PER_SEC);
	/* An answer, although libunbound knows this one by itself. */
	assert_int_equal(ask(&s, "x.onion"), DNS_NXDOMAIN);
	assert_int_equal(net_resolver_patience_us(s.resolver), usual);
	net_resolver_free(&s.resolver);
	log_free(&log);
	loop_free(&s.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dead_servers_cost_less_after_a_few_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
