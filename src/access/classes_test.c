/* Classes, what lists name, what is logged of permits. */
#include "access/testing.h"
#include "route/testing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define usual       access_testing_request
#define conf        access_testing_conf
#define set         access_testing_set
#define run(...)    access_testing_run(__VA_ARGS__).s
#define FROM_SENDER "<s+x@d.e.test>: Sender address"

static void
add_class(struct access_conf *c, const char *name, struct arena *mem)
{
	struct access_class *v =
	    arena_array(mem, c->classes.n + 1, sizeof(struct access_class));

	if (c->classes.n > 0)
		memcpy(v, c->classes.v, c->classes.n * sizeof(*v));
	v[c->classes.n].name = str_c(name);
	c->classes.v = v;
	c->classes.n++;
}

static void
set_class(struct access_conf *c, unsigned at, const char *text, struct arena *mem)
{
	assert_int_equal(
	    access_compile(str_c(text), &c->classes, mem, &c->classes.v[at].list, NULL),
	    RC_OK);
}

static void
twice_as_many(struct arena *mem)
{
	struct access_conf c;
	char name[40], list[60];

	conf(&c, mem);
	for (int i = 0; i <= 40; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		add_class(&c, arena_cstr(mem, str_c(name)), mem);
	}
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(list, sizeof(list), "c%u c%u", i + 1, i + 1);
		set_class(&c, i, arena_cstr(mem, str_c(list)), mem);
	}
	set(&c, ACCESS_HELO, "c0", mem);
	assert_string_equal(run(&c, ACCESS_HELO, &usual, ""),
	    "451 4.3.5 Server configuration error|W: too many restrictions");
}

static void
classes(void **state)
{
	struct arena *mem = arena_new(1 << 20);
	struct access_conf c;
	unsigned at = 0;
	struct str name;

	(void)state;
	conf(&c, mem);
	add_class(&c, "CA", mem);
	add_class(&c, "cb", mem);
	add_class(&c, "deep", mem);
	set_class(&c, 0, "check_sender_access hash:t, cb", mem);
	set_class(&c, 1, "warn_if_reject reject, permit", mem);
	set_class(&c, 2, "deep", mem);
	set(&c, ACCESS_RECIPIENT, "CA, reject", mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "x=OK"),
	    "ok|reject_warning: 554 5.7.1 <unix@mail.example.test>: Recipient address "
	    "rejected: Access denied");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=REJECT no"),
	    "554 5.7.1 " FROM_SENDER " rejected: no");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=cb"),
	    "ok|reject_warning: 554 5.7.1 " FROM_SENDER " rejected: Access denied");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=ca"),
	    "451 4.3.5 Server configuration error|W: unknown smtpd restriction: \"ca\"");
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=CA"),
	    "451 4.3.5 Server configuration error|W: access table hash:t entry CA causes "
	    "unreasonable recursion");
	set(&c, ACCESS_RECIPIENT, "warn_if_reject deep", mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "x=OK"),
	    "451 4.3.5 Server configuration error|W: restriction class deep causes "
	    "unreasonable recursion");
	/* Twice the next one, 40 times: it ends. */
	twice_as_many(mem);
	/* The whole class only warns. */
	set(&c, ACCESS_RECIPIENT, "warn_if_reject CA", mem);
	assert_string_equal(run(&c, ACCESS_RECIPIENT, &usual, "s@=REJECT no"),
	    "ok|reject_warning: 554 5.7.1 " FROM_SENDER
	    " rejected: no|reject_warning: 554 5.7.1 <unix@mail.example.test>: Recipient "
	    "address rejected: Access denied");
	/* A bare table means what it means in the list that the class stands in. */
	set_class(&c, 1, "hash:t", mem);
	set(&c, ACCESS_SENDER, "check_client_access hash:t", mem);
	assert_string_equal(run(&c, ACCESS_SENDER, &usual, "192=cb/s@=REJECT no"),
	    "554 5.7.1 " FROM_SENDER " rejected: no");
	set(&c, ACCESS_RECIPIENT, "CA, cb, cc", mem);
	assert_int_equal(access_unknown(&c.list[ACCESS_RECIPIENT], &at, &name), RC_OK);
	assert_true(str_is(name, "cc"));
	assert_int_equal(access_unknown(&c.list[ACCESS_RECIPIENT], &at, &name), RC_NONE);
	/* Relay control through a class. */
	set(&c, ACCESS_RECIPIENT, "deep CA", mem);
	assert_int_equal(access_check_relay(&c, NULL), RC_PERM);
	set_class(&c, 1, "permit_mynetworks, reject_unauth_destination", mem);
	set(&c, ACCESS_RECIPIENT, "CA", mem);
	assert_int_equal(access_check_relay(&c, NULL), RC_OK);
	set(&c, ACCESS_RECIPIENT, "warn_if_reject CA", mem);
	assert_int_equal(access_check_relay(&c, NULL), RC_PERM);
	arena_free(&mem);
}

static enum rc
note_table(void *arg, struct str table, struct err *e)
{
	char *line = arg;

	(void)e;
	(void)snprintf(line + strlen(line), 200 - strlen(line), "%.*s ", STR_ARG(table));
	return RC_OK;
}

static void
names_of_lists(void **state)
{
	struct arena *mem = arena_new(1 << 18);
	struct access_list l;
	char line[200] = "";

	(void)state;
	assert_int_equal(
	    access_compile(STR("hash:a, check_sender_mx_access proxy:hash:b sleep 1 "
			       "check_ccert_access { cdb:c { search_order = x } } "
			       "check_policy_service { inet:h:1, timeout = 5s } "
			       "check_helo_access permit check_policy_service unix:p"),
		NULL, mem, &l, NULL),
	    RC_OK);
	assert_int_equal(access_each_table(&l, note_table, line, NULL), RC_OK);
	assert_string_equal(line, "hash:a proxy:hash:b cdb:c ");
	line[0] = '\0';
	assert_int_equal(access_each_service(&l, note_table, line, NULL), RC_OK);
	assert_string_equal(line, "{ inet:h:1, timeout = 5s } unix:p ");
	arena_free(&mem);
}

static void
permits_are_logged(void **state)
{
	struct arena *mem = arena_new(1 << 18);
	struct access_conf c;

	(void)state;
	conf(&c, mem);
	c.mynetworks = testing_list("192.0.2.0/24", ROUTE_LIST_PARENTS, mem);
	c.log_permit_actions =
	    testing_list("permit_mynetworks permit ok", ROUTE_LIST_STRING, mem);
	set(&c, ACCESS_SENDER, "hash:t permit_mynetworks", mem);
	assert_string_equal(run(&c, ACCESS_SENDER, &usual, "s@=OK x"),
	    "ok|permit: action=OK for Sender address=s+x@d.e.test from hash:t");
	assert_string_equal(run(&c, ACCESS_SENDER, &usual, "s@=RELAY"), "ok");
	assert_string_equal(run(&c, ACCESS_SENDER, &usual, "x=OK"),
	    "ok|permit: action=permit_mynetworks for Client host=c.a.test[192.0.2.9] ");
	set(&c, ACCESS_HELO, "permit", mem);
	assert_string_equal(run(&c, ACCESS_HELO, &usual, "x=OK"),
	    "ok|permit: action=permit for Helo command=h.b.test ");
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(names_of_lists),
		cmocka_unit_test(permits_are_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
