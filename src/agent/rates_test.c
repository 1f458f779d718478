/* What anvil counts, and what it reports. */
#include "agent/rates_table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint64_t seed[2] = { 1, 2 };
#define UNIT (60 * US_PER_SEC)

static const char *
count(struct rates_owner *o, enum rates_event event, const char *ident, int64_t s)
{
	static char out[40];
	struct rates_count n = { 9, 9 };
	struct rates_seen seen = { .event = event,
		.ident = str_c(ident),
		.now_us = s * US_PER_SEC,
		.wall_us = s * US_PER_SEC };

	assert_int_equal(rates_table_count(o, &seen, &n), RC_OK);
	(void)snprintf(out, sizeof(out), "%u %u", n.count, n.rate);
	return out;
}

static void
test_counts(void **state)
{
	struct rates_table *t = rates_table_new(seed, UNIT);
	struct rates_owner *a = rates_owner_new(t), *b = rates_owner_new(t);

	(void)state;
	assert_string_equal(count(a, RATES_CONNECT, "smtp:1.2.3.4", 1000), "1 1");
	assert_string_equal(count(b, RATES_CONNECT, "smtp:1.2.3.4", 1001), "2 2");
	assert_string_equal(count(b, RATES_CONNECT, "smtp:1.2.3.5", 1001), "1 1");
	assert_string_equal(count(b, RATES_MAIL, "smtp:1.2.3.4", 1002), "2 1");
	assert_string_equal(count(a, RATES_RCPT, "smtp:1.2.3.4", 1002), "2 1");
	assert_string_equal(count(a, RATES_RCPT, "smtp:1.2.3.4", 1002), "2 2");
	assert_string_equal(count(a, RATES_DISCONNECT, "smtp:1.2.3.4", 1003), "0 0");
	/* A second one of the same worker, which it never had. */
	assert_string_equal(count(a, RATES_DISCONNECT, "smtp:1.2.3.4", 1003), "0 0");
	assert_string_equal(count(a, RATES_DISCONNECT, "smtp:9.9.9.9", 1003), "0 0");
	assert_string_equal(count(a, RATES_CONNECT, "smtp:1.2.3.4", 1060), "2 3");
	/* The unit began at 1000. */
	assert_string_equal(count(a, RATES_CONNECT, "smtp:1.2.3.4", 1061), "3 1");
	assert_string_equal(count(a, RATES_RCPT, "smtp:1.2.3.4", 1061), "3 1");
	/* A worker dies. */
	rates_owner_free(&b, 1062 * US_PER_SEC);
	assert_string_equal(count(a, RATES_CONNECT, "smtp:1.2.3.4", 1062), "3 2");
	rates_owner_free(&a, 1062 * US_PER_SEC);
	assert_int_equal(rates_table_clients(t), 2);
	rates_table_expire(t, 1122 * US_PER_SEC);
	assert_int_equal(rates_table_clients(t), 2);
	rates_table_expire(t, 1123 * US_PER_SEC);
	assert_int_equal(rates_table_clients(t), 0);
	rates_table_free(&t);
}

static void
put_line(void *arg, const char *text)
{
	strncat(arg, text, 2000 - strlen(arg) - 2);
	strcat(arg, "\n");
}

static void
test_report(void **state)
{
	struct rates_table *t = rates_table_new(seed, UNIT);
	struct rates_owner *o = rates_owner_new(t);
	char got[2000] = "";

	(void)state;
	(void)setenv("TZ", "UTC", 1);
	rates_table_report(t, put_line, got);
	assert_string_equal(got, "");
	(void)count(o, RATES_CONNECT, "smtp:1.2.3.4", 1000);
	(void)count(o, RATES_CONNECT, "smtp:1.2.3.4", 1001);
	(void)count(o, RATES_CONNECT, "25:::1", 1002);
	(void)count(o, RATES_AUTH, "25:::1", 1003);
	rates_table_report(t, put_line, got);
	assert_string_equal(got,
	    "statistics: max connection rate 2/60s for (smtp:1.2.3.4) at Jan  1 "
	    "00:16:41\n"
	    "statistics: max connection count 2 for (smtp:1.2.3.4) at Jan  1 00:16:41\n"
	    "statistics: max auth rate 1/60s for (25:::1) at Jan  1 00:16:43\n"
	    "statistics: max cache size 2 at Jan  1 00:16:42\n");
	got[0] = '\0';
	rates_table_report(t, put_line, got);
	assert_string_equal(got, "");
	rates_owner_free(&o, 0);
	rates_table_free(&t);
}

static void
test_full(void **state)
{
	struct rates_table *t = rates_table_new(seed, UNIT);
	struct rates_owner *o = rates_owner_new(t);
	struct rates_seen s = { .event = RATES_MAIL, .now_us = US_PER_SEC };
	struct rates_count n;
	char ident[30];

	(void)state;
	for (size_t i = 0; i <= RATES_CLIENTS_MAX; i++) {
		(void)snprintf(ident, sizeof(ident), "smtp:%zu", i);
		s.ident = str_c(ident);
		assert_int_equal(rates_table_count(o, &s, &n),
		    i < RATES_CLIENTS_MAX ? RC_OK : RC_TEMP);
	}
	/* A unit later there is room again. */
	s.now_us += UNIT + 1;
	assert_int_equal(rates_table_count(o, &s, &n), RC_OK);
	assert_int_equal(rates_table_clients(t), 1);
	rates_owner_free(&o, s.now_us);
	rates_table_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
