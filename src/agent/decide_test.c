#include "agent/decide.h"
#include "agent/decide_int.h"
#include "conf/snapshot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char file[] = "/tmp/hk-decide-XXXXXX";

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const struct conf_snapshot *
snapshot(const char *text, struct arena *mem)
{
	static const struct conf_host host = { .name = STR_INIT("mail.example.test"),
		.addresses = STR_INIT("192.0.2.1/24 127.0.0.1/8") };
	const struct conf_snapshot *s = NULL;
	struct err e = { 0 };

	if (conf_from_text(str_c(text), STR(""), &host, mem, &s, &e) != RC_OK)
		fail_msg("%s", e.text);
	return s;
}

static const char basic[] = "compatibility_level = 3.6\n"
			    "myhostname = mail.example.test\n"
			    "mydestination = $myhostname, inline:{d.test=x}\n"
			    "local_recipient_maps = inline:{unix=x}\n"
			    "alias_maps =\n"
			    "mynetworks = 127.0.0.0/8\n"
			    "virtual_mailbox_domains = v.test\n"
			    "virtual_mailbox_maps = inline:{a@v.test=a/}\n"
			    "transport_maps = inline:{t.test=smtp:[hub]:26}\n"
			    "relay_domains = r.test\n";

/* What RCPT TO:<rcpt> is answered, "ok" for not refused. */
static const char *
rcpt(struct decide *d, const char *addr, const char *recipient)
{
	static char reply[400];
	struct arena *mem = arena_new(1 << 18);
	const struct access_request q = { .client_name = STR("unknown"),
		.client_addr = str_c(addr),
		.recipient = str_c(recipient) };
	struct access_state state = { 0 };
	struct access_verdict v;
	struct ask a;

	decide_begin(d, &a, mem, 0);
	assert_int_equal(
	    access_run(&a, decide_access(d), ACCESS_RECIPIENT, &q, &state, &v), RC_OK);
	(void)snprintf(reply, sizeof(reply), "%.*s",
	    STR_ARG(v.what == ACCESS_REJECT ? v.reply : STR("ok")));
	arena_free(&mem);
	return reply;
}

static void
decides(void **state)
{
	struct arena *mem = arena_new(64 << 20), *work = arena_new(1 << 18);
	struct decide_request req = { .snapshot = snapshot(basic, mem),
		.with_access = true };
	struct decide *d;
	struct err e = { 0 };
	struct route r;
	struct ask a;

	(void)state;
	if (decide_new(&req, &d, &e) != RC_OK)
		fail_msg("%s", e.text);
	assert_string_equal(rcpt(d, "127.0.0.1", "x@far.test"), "ok");
	assert_string_equal(rcpt(d, "192.0.2.9", "x@far.test"),
	    "454 4.7.1 <x@far.test>: Relay access denied");
	assert_string_equal(rcpt(d, "192.0.2.9", "a@v.test"), "ok");
	assert_string_equal(rcpt(d, "192.0.2.9", "x@sub.r.test"), "ok");
	assert_string_equal(rcpt(d, "192.0.2.9", "b@v.test"),
	    "550 5.1.1 <b@v.test>: Recipient address rejected: User unknown in virtual "
	    "mailbox table");
	assert_string_equal(rcpt(d, "192.0.2.9", "unix@d.test"), "ok");
	assert_string_equal(rcpt(d, "192.0.2.9", "unix@[192.0.2.1]"), "ok");
	decide_begin(d, &a, work, 0);
	assert_int_equal(
	    route_resolve(&a, decide_route(d), STR(""), STR("x@t.test"), &r, &e), RC_OK);
	assert_true(str_is(r.transport, "smtp") && str_is(r.nexthop, "[hub]:26"));
	decide_free(&d);
	arena_free(&work);
	arena_free(&mem);
}

static void
refuses(void **state)
{
	struct arena *mem = arena_new(64 << 20);
	struct decide_request req = { .with_access = true };
	struct decide *d;
	struct err e = { 0 };
	char text[2000];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s%s", basic,
	    "smtpd_relay_restrictions = permit_mynetworks\n");
	req.snapshot = snapshot(text, mem);
	assert_int_equal(decide_new(&req, &d, &e), RC_PERM);
	assert_non_null(strstr(e.text, "specify at least one working instance of"));
	req.with_access = false; /* queue does not relay for anybody */
	assert_int_equal(decide_new(&req, &d, &e), RC_OK);
	decide_free(&d);
	(void)snprintf(text, sizeof(text), "%s%s", basic, "transport_maps = plain\n");
	req.snapshot = snapshot(text, mem);
	assert_int_equal(decide_new(&req, &d, &e), RC_PERM);
	arena_free(&mem);
}

static void
files_in_lists(void **state)
{
	struct arena *mem = arena_new(8 << 20);
	struct str out;
	char text[400];

	(void)state;
	write_file("# comment\na.test b.test\n  !c.test\n\n10.0.0.0/8, hash:/x\n");
	(void)snprintf(text, sizeof(text), "x.test, %s !%s", file, file);
	assert_int_equal(decide_list_text(str_c(text), mem, &out, NULL), RC_OK);
	assert_true(str_is(out, "x.test a.test b.test !c.test 10.0.0.0/8 hash:/x "
				"!a.test !b.test !!c.test !10.0.0.0/8 !hash:/x "));
	write_file(file); /* a file that names itself */
	assert_int_equal(decide_list_text(str_c(file), mem, &out, NULL), RC_PERM);
	assert_int_equal(
	    decide_list_text(STR("/nonexistent/list"), mem, &out, NULL), RC_PERM);
	arena_free(&mem);
}

static void
folders(void **state)
{
	struct arena *mem = arena_new(64 << 20);
	struct decide_request req = { .only_search = true };
	struct ask_tables t;
	struct decide *d;
	struct decide_folders folders = { .mem = mem };
	char text[100];

	(void)state;
	req.snapshot = snapshot(basic, mem);
	assert_int_equal(decide_new(&req, &d, NULL), RC_OK);
	write_file("k v\n");
	(void)snprintf(
	    text, sizeof(text), "texthash:%s static:x hash:/tmp/hk-none", file);
	assert_int_equal(decide_open_tables(d, str_c(text), 0, &t, NULL), RC_OK);
	assert_int_equal(t.n, 3);
	decide_folders_of(d, &folders);
	assert_int_equal(folders.n, 1); /* both files are in the same folder */
	decide_folders_add(&folders, STR("/etc"));
	decide_folders_add(&folders, STR("/etc"));
	assert_int_equal(folders.n, 2);
	assert_string_equal(folders.v[1], "/etc");
	assert_null(folders.v[2]);
	decide_free(&d);
	arena_free(&mem);
}

static int
setup(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 || close(fd) != 0;
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides),
		cmocka_unit_test(refuses),
		cmocka_unit_test(files_in_lists),
		cmocka_unit_test(folders),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
