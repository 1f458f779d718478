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

/* The table has no room left: clients 0 and 2 … have a connection, client 1 has not. */
static void
fill(struct rates_owner *o, enum rates_event of_client_1)
{
	char ident[30];

	for (size_t i = 0; i < RATES_CLIENTS_MAX; i++) {
		(void)snprintf(ident, sizeof(ident), "smtp:%zu", i);
		(void)count(o, i == 1 ? of_client_1 : RATES_CONNECT, ident, 1);
	}
}

static void
the_longest_idle_client_makes_room(void **state)
{
	struct rates_table *t = rates_table_new(seed, UNIT);
	struct rates_owner *o = rates_owner_new(t);

	(void)state;
	fill(o, RATES_MAIL);
	(void)count(o, RATES_DISCONNECT, "smtp:7", 2);
	assert_string_equal(count(o, RATES_MAIL, "smtp:new", 3), "0 1");
	assert_int_equal(rates_table_clients(t), RATES_CLIENTS_MAX);
	/* It was client 1 that went; 7, idle for less long, is still known. */
	assert_string_equal(count(o, RATES_CONNECT, "smtp:7", 4), "1 2");
	assert_string_equal(count(o, RATES_MAIL, "smtp:new", 4), "0 2");
	assert_string_equal(count(o, RATES_MAIL, "smtp:1", 5), "0 1");
	/* For that the new one went; those with a connection never do. */
	assert_string_equal(count(o, RATES_CONNECT, "smtp:0", 6), "2 2");
	assert_int_equal(rates_table_clients(t), RATES_CLIENTS_MAX);
	rates_owner_free(&o, 6 * US_PER_SEC);
	rates_table_free(&t);
}

static void
a_full_table_of_connections_counts_no_more(void **state)
{
	struct rates_table *t = rates_table_new(seed, UNIT);
	struct rates_owner *o = rates_owner_new(t);
	struct rates_seen s = { .event = RATES_MAIL, .ident = STR("smtp:new") };
	struct rates_count n;

	(void)state;
	fill(o, RATES_CONNECT);
	s.now_us = 2 * US_PER_SEC;
	assert_int_equal(rates_table_count(o, &s, &n), RC_TEMP);
	assert_string_equal(count(o, RATES_CONNECT, "smtp:1", 3), "2 2");
	/* All are gone: there is room. */
	rates_owner_free(&o, 3 * US_PER_SEC);
	o = rates_owner_new(t);
	s.now_us += 2 * US_PER_SEC + UNIT;
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
		cmocka_unit_test(the_longest_idle_client_makes_room),
		cmocka_unit_test(a_full_table_of_connections_counts_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
