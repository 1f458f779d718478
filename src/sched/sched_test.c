/* The scheduler as stories: mail comes in, entries go out, feedback returns; the trace
 * says in which order. The clock is a variable. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "sched/sched.h"

#define OPEN_MAX_ 512

struct world {
	struct sched *s;
	struct sched_transport *smtp;
	int64_t now_us;
	const struct sched_entry *open[OPEN_MAX_];
	size_t n_open;
	char trace[4096];
};

static void
begin(struct world *w, const struct sched_conf *c)
{
	static const uint64_t seed[2] = { 1, 2 };

	memset(w, 0, sizeof(*w));
	w->s = sched_new(seed);
	w->now_us = 1000 * US_PER_SEC;
	w->smtp = sched_transport(w->s, STR("smtp"), c);
}

/* A message named by its user pointer, with `n` recipients, each at one of `dests` in
 * turn. */
static struct sched_msg *
mail(struct world *w, const char *name, const char *const *dests, size_t n)
{
	struct sched_msg *m = sched_msg_new(w->s, (void *)(uintptr_t)name, w->now_us);
	size_t n_dest = 0;

	while (dests[n_dest] != NULL)
		n_dest++;
	for (size_t i = 0; i < n; i++) {
		struct sched_rcpt r = { .index = (uint32_t)i,
			.transport = w->smtp,
			.nexthop = str_c(dests[i % n_dest]),
			.address = str_c(i % 2 == 0 ? "even" : "odd") };

		sched_msg_add(m, &r, 1, i + 1 == n);
	}
	return m;
}

/* Hands out up to `max` entries: "name>dest:count" or "name!dest:count(reason)". */
static const char *
go(struct world *w, size_t max)
{
	const struct sched_entry *e;
	size_t used = 0;

	w->trace[0] = '\0';
	while (max-- > 0 && (e = sched_next(w->s, w->now_us)) != NULL) {
		used += (size_t)snprintf(w->trace + used, sizeof(w->trace) - used,
		    "%s%s%s%.*s:%u", used > 0 ? " " : "", (const char *)e->user,
		    e->what == SCHED_DELIVER ? ">" : "!", STR_ARG(e->nexthop), e->n_rcpt);
		if (e->what == SCHED_DEFER) {
			used += (size_t)snprintf(w->trace + used, sizeof(w->trace) - used,
			    "(%.*s)", STR_ARG(e->reason));
			sched_done(w->s, e, NULL, w->now_us);
			continue;
		}
		assert_true(w->n_open < OPEN_MAX_);
		w->open[w->n_open++] = e;
	}
	return w->trace;
}

/* The oldest open entry ends so. */
static void
done(struct world *w, enum sched_site site)
{
	struct sched_verdict v = { site, STR("4.4.1"), STR("no route") };

	assert_true(w->n_open > 0);
	sched_done(w->s, w->open[0], &v, w->now_us);
	memmove(w->open, w->open + 1, --w->n_open * sizeof(w->open[0]));
}

static size_t
hand_out_all(struct world *w)
{
	size_t before = w->n_open;

	(void)go(w, OPEN_MAX_);
	return w->n_open - before;
}

static void
end(struct world *w, struct sched_msg **v, size_t n)
{
	while (w->n_open > 0) {
		done(w, SCHED_SITE_OK);
		(void)hand_out_all(w);
	}
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sched_msg_busy(v[i]), 0);
		sched_msg_free(&v[i]);
	}
	assert_int_equal(sched_stats(w->s).n_waiting, 0);
	assert_int_equal(sched_stats(w->s).n_busy, 0);
	sched_free(&w->s);
}

static const char *const at_a[] = { "a", NULL };
static const char *const at_b[] = { "b", NULL };
static const char *const at_ab[] = { "a", "b", NULL };

static void
recipients_of_one_destination_travel_together(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 3;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_ab, 8);
	assert_string_equal(go(&w, 99), "m>a:3 m>b:3 m>a:1 m>b:1");
	end(&w, m, 1);
}

static void
mail_goes_in_order_of_arrival_and_destinations_take_turns(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[3];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	begin(&w, &c);
	m[0] = mail(&w, "one", at_a, 4);
	m[1] = mail(&w, "two", at_ab, 2);
	m[2] = mail(&w, "three", at_b, 1);
	assert_string_equal(go(&w, 99), "one>a:2 one>a:2 two>b:1 two>a:1 three>b:1");
	end(&w, m, 3);
}

static void
with_recipient_limit_one_each_address_is_a_destination(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 1;
	c.concurrency_limit = 2;
	begin(&w, &c);
	/* Two addresses, two at a time each. */
	m[0] = mail(&w, "m", at_a, 12);
	assert_int_equal(hand_out_all(&w), 4);
	end(&w, m, 1);
}

static void
the_window_opens_with_success_and_stops_at_the_limit(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 1;
	c.concurrency_initial = 2;
	c.concurrency_limit = 4;
	begin(&w, &c);
	c.recipient_limit = 2; /* one destination, two recipients each */
	(void)sched_transport(w.s, STR("smtp"), &c);
	m[0] = mail(&w, "m", at_a, 60);
	assert_int_equal(hand_out_all(&w), 2);
	done(&w, SCHED_SITE_OK);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 3);
	assert_int_equal(hand_out_all(&w), 2);
	done(&w, SCHED_SITE_OK);
	done(&w, SCHED_SITE_OK);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 4);
	assert_int_equal(hand_out_all(&w), 3);
	assert_int_equal(w.n_open, 4);
	/* A failure closes it by one; refusals of recipients are no failure. */
	done(&w, SCHED_SITE_FAILED);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 3);
	done(&w, SCHED_SITE_UNKNOWN);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 3);
	end(&w, m, 1);
}

static void
a_cohort_of_failures_is_death_and_time_revives(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[3];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	c.concurrency_initial = 2;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_a, 8);
	assert_string_equal(go(&w, 99), "m>a:2 m>a:2");
	done(&w, SCHED_SITE_FAILED);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 1);
	done(&w, SCHED_SITE_FAILED);
	assert_int_equal(sched_window(w.s, w.smtp, STR("a")), 0);
	assert_string_equal(go(&w, 99), "m!a:2(no route) m!a:2(no route)");
	/* New mail for it is put off at once; other destinations do not suffer. */
	m[1] = mail(&w, "n", at_ab, 2);
	assert_string_equal(go(&w, 99), "n!a:1(no route) n>b:1");
	assert_int_equal(sched_deadline(w.s), w.now_us + 300 * US_PER_SEC);
	w.now_us += 300 * US_PER_SEC;
	m[2] = mail(&w, "o", at_a, 1);
	assert_string_equal(go(&w, 99), "o>a:1");
	end(&w, m, 3);
}

static void
a_success_between_failures_prevents_death(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	c.concurrency_initial = 2;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_a, 100);
	for (int i = 0; i < 10; i++) {
		(void)hand_out_all(&w);
		done(&w, SCHED_SITE_FAILED);
		(void)hand_out_all(&w);
		done(&w, SCHED_SITE_OK);
		assert_true(sched_window(w.s, w.smtp, STR("a")) > 0);
	}
	end(&w, m, 1);
}

static void
a_dead_transport_defers_all_its_mail_until_flushed(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[3];
	struct world w;

	(void)state;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_ab, 2);
	assert_string_equal(go(&w, 1), "m>a:1");
	done(&w, SCHED_SITE_TRANSPORT);
	assert_string_equal(go(&w, 99), "m!b:1(no route)");
	m[1] = mail(&w, "n", at_b, 1);
	assert_string_equal(go(&w, 99), "n!b:1(no route)");
	assert_int_equal(sched_deadline(w.s), w.now_us + 60 * US_PER_SEC);
	sched_revive(w.s);
	assert_int_equal(sched_deadline(w.s), INT64_MAX);
	m[2] = mail(&w, "o", at_b, 1);
	assert_string_equal(go(&w, 99), "o>b:1");
	end(&w, m, 3);
}

static void
rate_delays_hold_back_one_destination_or_the_transport(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	c.destination_delay_us = 7 * US_PER_SEC;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_ab, 8);
	assert_string_equal(go(&w, 99), "m>a:2 m>b:2");
	done(&w, SCHED_SITE_OK);
	assert_string_equal(go(&w, 99), "");
	w.now_us += 7 * US_PER_SEC;
	assert_string_equal(go(&w, 99), "m>a:2");
	done(&w, SCHED_SITE_OK);
	done(&w, SCHED_SITE_OK);
	w.now_us += 7 * US_PER_SEC;
	c.destination_delay_us = 0;
	c.transport_delay_us = US_PER_SEC;
	(void)sched_transport(w.s, STR("smtp"), &c);
	assert_string_equal(go(&w, 99), "m>b:2");
	end(&w, m, 1);
}

static void
no_more_than_maxproc_deliveries_at_a_time(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[1];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	c.busy_limit = 3;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_ab, 40);
	assert_int_equal(hand_out_all(&w), 3);
	done(&w, SCHED_SITE_OK);
	assert_int_equal(hand_out_all(&w), 1);
	end(&w, m, 1);
}

static void
small_mail_overtakes_large_mail_that_has_earned_slots(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[3];
	struct world w;

	(void)state;
	c.recipient_limit = 1;
	c.concurrency_initial = c.concurrency_limit = 1;
	c.recipient_limit = 2;
	begin(&w, &c);
	m[0] = mail(&w, "big", at_a, 200);  /* 100 entries, earns 20 slots */
	m[1] = mail(&w, "large", at_a, 60); /* 30 entries: more than all slots */
	m[2] = mail(&w, "small", at_a, 2);
	/* A loan of 3 slots is worth more than 1 entry: it goes at once. */
	assert_string_equal(go(&w, 1), "small>a:2");
	done(&w, SCHED_SITE_OK);
	assert_string_equal(go(&w, 1), "big>a:2");
	done(&w, SCHED_SITE_OK);
	end(&w, m, 3);

	begin(&w, &c);
	m[0] = mail(&w, "big", at_a, 200);
	m[1] = mail(&w, "ten", at_a, 20); /* 10 entries: needs 5, has 3, must earn 2 */
	for (int i = 0; i < 10; i++) {
		assert_string_equal(go(&w, 1), "big>a:2");
		done(&w, SCHED_SITE_OK);
		w.now_us += US_PER_SEC;
	}
	for (int i = 0; i < 10; i++) {
		assert_string_equal(go(&w, 1), "ten>a:2");
		done(&w, SCHED_SITE_OK);
	}
	assert_string_equal(go(&w, 1), "big>a:2");
	end(&w, m, 2);

	c.slot_cost = 0;
	begin(&w, &c);
	m[0] = mail(&w, "big", at_a, 200);
	m[1] = mail(&w, "small", at_a, 2);
	assert_string_equal(go(&w, 1), "big>a:2");
	end(&w, m, 2);
}

static void
withdrawn_mail_is_forgotten_wherever_it_waits(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_msg *m[2];
	struct world w;

	(void)state;
	c.recipient_limit = 2;
	c.concurrency_initial = 1;
	begin(&w, &c);
	m[0] = mail(&w, "m", at_ab, 20);
	m[1] = mail(&w, "n", at_ab, 2);
	assert_string_equal(go(&w, 1), "m>a:2");
	sched_msg_withdraw(m[0]);
	assert_int_equal(sched_msg_waiting(m[0]), 0);
	assert_int_equal(sched_msg_busy(m[0]), 1);
	assert_string_equal(go(&w, 99), "n>b:1");
	done(&w, SCHED_SITE_FAILED); /* a dies: n's entry there waits to be deferred */
	sched_msg_withdraw(m[1]);
	assert_string_equal(go(&w, 99), "");
	end(&w, m, 2);
	assert_null(w.s);
}

static void
refilled_mail_keeps_its_place_in_the_order(void **state)
{
	struct sched_conf c = sched_conf_default;
	struct sched_rcpt r = { .nexthop = STR_INIT("a") };
	struct sched_msg *m[2];
	struct world w;

	(void)state;
	c.concurrency_initial = 1;
	c.slot_cost = 0;
	begin(&w, &c);
	r.transport = w.smtp;
	m[0] = sched_msg_new(w.s, (void *)(uintptr_t) "old", w.now_us);
	sched_msg_add(m[0], &r, 1, false);
	m[1] = mail(&w, "new", at_a, 3);
	assert_string_equal(go(&w, 9), "old>a:1");
	sched_msg_add(m[0], &r, 1, true);
	done(&w, SCHED_SITE_OK);
	assert_string_equal(go(&w, 1), "old>a:1");
	end(&w, m, 2);
}

static void
thousands_of_messages_cost_no_scans(void **state)
{
	enum { N = 20000 };
	struct sched_conf c = sched_conf_default;
	static struct sched_msg *m[N];
	static char names[500][8];
	struct world w;
	size_t n = 0;

	(void)state;
	c.busy_limit = 0;
	begin(&w, &c);
	for (size_t i = 0; i < 500; i++)
		(void)snprintf(names[i], sizeof(names[i]), "d%zu", i);
	for (size_t i = 0; i < N; i++) {
		const char *const dest[] = { names[i * 7 % 500], NULL };

		m[i] = mail(&w, "m", dest, 1);
	}
	assert_int_equal(sched_stats(w.s).n_destination, 500);
	for (;;) {
		const struct sched_entry *e = sched_next(w.s, w.now_us);
		struct sched_verdict v = { .site = SCHED_SITE_OK };

		if (e == NULL)
			break;
		sched_done(w.s, e, &v, w.now_us);
		n++;
	}
	assert_int_equal(n, N);
	assert_int_equal(sched_stats(w.s).n_destination, 0);
	end(&w, m, N);
}

static void
feedback_is_read_as_postfix_reads_it(void **state)
{
	static const struct {
		const char *text;
		enum rc rc;
		enum sched_feedback kind;
		double value;
	} cases[] = {
		{ "1", RC_OK, SCHED_FEEDBACK_CONST, 1 },
		{ "0.25", RC_OK, SCHED_FEEDBACK_CONST, 0.25 },
		{ "1 / concurrency", RC_OK, SCHED_FEEDBACK_INV, 1 },
		{ "0.5/sqrt_concurrency", RC_OK, SCHED_FEEDBACK_INV_SQRT, 0.5 },
		{ "0", RC_OK, SCHED_FEEDBACK_CONST, 0 },
		{ "2", RC_PERM, SCHED_FEEDBACK_CONST, 0 },
		{ "-1", RC_PERM, SCHED_FEEDBACK_CONST, 0 },
		{ "1/concurrence", RC_PERM, SCHED_FEEDBACK_CONST, 0 },
		{ "", RC_PERM, SCHED_FEEDBACK_CONST, 0 },
		{ "1.0.0", RC_PERM, SCHED_FEEDBACK_CONST, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum sched_feedback kind = SCHED_FEEDBACK_CONST;
		double value = 0;

		assert_int_equal(
		    sched_feedback_parse(str_c(cases[i].text), &kind, &value, NULL),
		    cases[i].rc);
		assert_int_equal(kind, cases[i].kind);
		assert_true(
		    value > cases[i].value - 1e-9 && value < cases[i].value + 1e-9);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipients_of_one_destination_travel_together),
		cmocka_unit_test(
		    mail_goes_in_order_of_arrival_and_destinations_take_turns),
		cmocka_unit_test(with_recipient_limit_one_each_address_is_a_destination),
		cmocka_unit_test(the_window_opens_with_success_and_stops_at_the_limit),
		cmocka_unit_test(a_cohort_of_failures_is_death_and_time_revives),
		cmocka_unit_test(a_success_between_failures_prevents_death),
		cmocka_unit_test(a_dead_transport_defers_all_its_mail_until_flushed),
		cmocka_unit_test(rate_delays_hold_back_one_destination_or_the_transport),
		cmocka_unit_test(no_more_than_maxproc_deliveries_at_a_time),
		cmocka_unit_test(small_mail_overtakes_large_mail_that_has_earned_slots),
		cmocka_unit_test(withdrawn_mail_is_forgotten_wherever_it_waits),
		cmocka_unit_test(refilled_mail_keeps_its_place_in_the_order),
		cmocka_unit_test(thousands_of_messages_cost_no_scans),
		cmocka_unit_test(feedback_is_read_as_postfix_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
