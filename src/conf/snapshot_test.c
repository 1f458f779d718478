/* Snapshots: what parameters are, what is wrong with them, and the way to a worker. */
#include "conf/params.h"
#include "conf/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "conf/testing.h"

static void
test_get_value(void **state)
{
	static const struct {
		const char *main_text, *name, *want;
	} cases[] = {
		{ "", "myhostname", "mx.localdomain" },
		{ "", "mydomain", "localdomain" },
		{ "mydomain = foo.example\n", "myhostname", "mx.foo.example" },
		{ "myhostname = a.b.c\n", "mydomain", "b.c" },
		{ "myhostname = foo\n", "mydomain", "localdomain" },
		{ "", "mydestination",
		    "mx.localdomain, localhost.localdomain, localhost" },
		{ "", "mynetworks",
		    "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/64" },
		{ "compatibility_level = 2\n", "mynetworks",
		    "127.0.0.1/32 192.0.2.2/32 [::1]/128 [2001:db8::2]/128" },
		{ "mynetworks_style = class\ninet_protocols = ipv4\n", "mynetworks",
		    "127.0.0.0/8 192.0.2.0/24" },
		{ "mynetworks_style = host\ninet_interfaces = loopback-only\n",
		    "mynetworks", "127.0.0.1/32 [::1]/128" },
		{ "inet_interfaces = $myhostname, localhost\nmyhostname = localhost\n",
		    "mynetworks", "127.0.0.0/8" },
		{ "inet_interfaces =\n", "mynetworks", "" },
		{ "relayhost = [$foo]\nfoo = bar\n", "relayhost", "[bar]" },
		{ "", "smtp_destination_concurrency_limit", "20" },
		{ "default_destination_concurrency_limit = 7\n",
		    "smtp_destination_concurrency_limit", "7" },
		{ "", "append_dot_mydomain", "yes" },
		{ "compatibility_level = 3.6\n", "append_dot_mydomain", "no" },
		{ "virtual_maps = hash:/x\n", "virtual_alias_maps", "hash:/x" },
		{ "", "config_directory", "/etc/postfix" },
		{ "multi_instance_name = two\n", "syslog_name", "two" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_snapshot *s =
		    snapshot(mem, cases[i].main_text, "smtp unix - - n - - smtp\n");
		struct err e = { .text = "" };
		struct str got;

		if (conf_get(s, NULL, str_c(cases[i].name), mem, &got, &e) != RC_OK)
			fail_msg("%s: %s", cases[i].name, e.text);
		expect_text(cases[i].name, cases[i].want, got);
		arena_free(&mem);
	}
}

/* What means "this host", for loops and for user@[address]. */
static void
test_own_addresses(void **state)
{
	static const struct {
		const char *main_text;
		bool with_proxies;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ "inet_protocols = ipv4\n", false, "127.0.0.1 192.0.2.2 " },
		{ "inet_interfaces = localhost\n", false, "127.0.0.1 " },
		{ "inet_interfaces = [::1]\nproxy_interfaces = 203.0.113.8\n", true,
		    "::1 203.0.113.8 " },
		{ "inet_interfaces = [::1]\nproxy_interfaces = gw\n", false, "::1 " },
		{ "inet_interfaces = [::1]\nproxy_interfaces = gw\n", true,
		    "::1 203.0.113.9 " },
		{ "inet_interfaces = gw\n", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_snapshot *s =
		    snapshot(mem, cases[i].main_text, "smtp unix - - n - - smtp\n");
		struct conf_addresses own = { 0 };
		char got[200] = "", text[ADDR_IP_TEXT_MAX];
		struct err e = { .text = "" };
		enum rc rc =
		    conf_own_addresses(s, NULL, cases[i].with_proxies, mem, &own, &e);

		for (size_t k = 0; k < own.n; k++)
			(void)snprintf(got + strlen(got), sizeof(got) - strlen(got),
			    "%s ", addr_ip_format(&own.v[k], text).p);
		assert_int_equal(rc, cases[i].want != NULL ? RC_OK : RC_PERM);
		if (rc == RC_OK)
			assert_string_equal(got, cases[i].want);
		arena_free(&mem);
	}
}

static void
test_get_errors(void **state)
{
	static const struct {
		const char *main_text, *name;
		enum rc rc;
	} cases[] = {
		{ "mydomain = $myhostname\n", "mydomain", RC_PERM },
		{ "mydomain = $myhostname\n", "myhostname", RC_PERM },
		{ "myhostname = a.$mydomain\n", "mydomain", RC_PERM },
		{ "inet_interfaces = $mynetworks\n", "mynetworks", RC_PERM },
		{ "inet_protocols = $mynetworks\n", "mynetworks", RC_PERM },
		{ "inet_protocols = foo\n", "mynetworks", RC_PERM },
		{ "inet_interfaces = 10.9.9.9\n", "mynetworks", RC_PERM },
		{ "inet_interfaces = nosuch\n", "mynetworks", RC_PERM },
		{ "mynetworks_style = foo\n", "mynetworks", RC_PERM },
		{ "", "nosuch", RC_NONE },
		{ "", "nosuch_destination_concurrency_limit", RC_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_snapshot *s = snapshot(mem, cases[i].main_text, "");
		struct err e = { .text = "" };
		struct str got;

		assert_int_equal(
		    cases[i].rc, conf_get(s, NULL, str_c(cases[i].name), mem, &got, &e));
		arena_free(&mem);
	}
}

static void
test_fill(void **state)
{
	struct arena *mem = arena_new(MEMORY);
	const struct conf_snapshot *s = snapshot(mem,
	    "smtpd_timeout = 2m\nmessage_size_limit = 5000\nfoo = from main\n"
	    "slow_destination_recipient_limit = 3\n"
	    "default_destination_concurrency_limit = 9\n",
	    "25 inet n - n - - smtpd -o smtpd_banner=$foo -o foo=ours -o "
	    "syslog_name=postfix/$service_name\n"
	    "slow unix - - n - - smtp\n");
	struct master_service busy = *master_cf_find(&s->master, STR("25"), MASTER_INET);
	struct conf_transport t;
	struct conf_common c;
	struct conf_smtpd d;
	struct err e = { .text = "" };

	(void)state;
	assert_int_equal(RC_OK, conf_fill_smtpd(s, NULL, mem, &d, &e));
	assert_int_equal(d.smtpd_timeout_us, 120 * US_PER_SEC);
	assert_int_equal(d.message_size_limit_bytes, 5000);
	assert_int_equal(d.smtpd_hard_error_limit, 20);
	expect_text("banner", "mx.localdomain ESMTP Postfix", d.smtpd_banner);
	expect_text("raw",
	    "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using "
	    "$rbl_domain${rbl_reason?; $rbl_reason}",
	    d.default_rbl_reply);
	busy.stress = STR("yes");
	assert_int_equal(RC_OK, conf_fill_smtpd(s, &busy, mem, &d, &e));
	assert_int_equal(d.smtpd_hard_error_limit, 1);
	expect_text("override", "ours", d.smtpd_banner);
	assert_int_equal(RC_OK, conf_fill_common(s, &busy, mem, &c, &e));
	expect_text("service name", "postfix/25", c.syslog_name);
	assert_int_equal(RC_OK, conf_fill_transport(s, STR("slow"), mem, &t, &e));
	assert_int_equal(t.destination_recipient_limit, 3);
	assert_int_equal(t.destination_concurrency_limit, 9);
	assert_int_equal(RC_OK, conf_fill_transport(s, STR("local"), mem, &t, &e));
	assert_int_equal(t.destination_concurrency_limit, 2);
	arena_free(&mem);
}

static void
test_check(void **state)
{
	static const struct {
		const char *main_text, *master_text, *want;
	} cases[] = {
		{ "", "", "" },
		{ "smtpd_timeout = x\n", "",
		    "/etc/postfix/main.cf: line 1: parameter smtpd_timeout: bad time "
		    "value or unit: x" },
		{ "relayhost = $\n", "",
		    "/etc/postfix/main.cf: line 1: parameter relayhost: empty macro "
		    "name: \"$\"" },
		{ "smtp_destination_recipient_limit = x\n", "smtp unix - - n - - smtp\n",
		    "/etc/postfix/main.cf: line 1: bad numerical configuration: "
		    "smtp_destination_recipient_limit = x" },
		{ "", "25 inet n - n - - smtpd -o smtpd_helo_required=1\n",
		    "/etc/postfix/master.cf: line 1: bad boolean configuration: "
		    "smtpd_helo_required = 1" },
		{ "myhostname = a b\n", "",
		    "file /etc/postfix/main.cf: parameter myhostname: bad parameter "
		    "value: "
		    "a b" },
		{ "info_log_address_format = intrnal\n", "",
		    "/etc/postfix/main.cf: line 1: unknown info_log_address_format value "
		    "\"intrnal\" in \"intrnal\"; there are: internal external" },
		{ "reject_tempfail_action = $x\nx = later\n", "",
		    "/etc/postfix/main.cf: line 1: unknown reject_tempfail_action value "
		    "\"later\" in \"later\"; there are: defer_if_permit defer" },
		{ "canonical_classes = header_sender\nmasquerade_classes =\n", "", "" },
		{ "notify_classes = Bounce, 2bounce policy\n", "", "" },
		{ "notify_classes = bounce, polcy\n", "",
		    "/etc/postfix/main.cf: line 1: unknown notify_classes value "
		    "\"polcy\" in \"bounce, polcy\"; there are: "
		    "bounce 2bounce data delay policy protocol resource software" },
		{ "inet_protocols = foo\nmynetworks =\n", "",
		    "unknown inet_protocols value \"foo\" in \"foo\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_snapshot *s =
		    snapshot(mem, cases[i].main_text, cases[i].master_text);
		struct err e = { .text = "" };
		enum rc rc = conf_check(s, &e);

		assert_string_equal(e.text, cases[i].want);
		assert_int_equal(rc, cases[i].want[0] == '\0' ? RC_OK : RC_PERM);
		arena_free(&mem);
	}
}

static void
test_defaults_are_legal(void **state)
{
	struct arena *mem = arena_new(MEMORY);
	const struct conf_snapshot *s = snapshot(mem, "", "");

	(void)state;
	for (size_t i = 0; i < conf_n_params; i++) {
		const struct conf_param *p = &conf_params[i];
		struct err e = { .text = "" };
		struct str text;

		assert_ptr_equal(p, conf_param_find(p->name));
		if (i > 0)
			assert_true(str_cmp(conf_params[i - 1].name, p->name) < 0);
		/* The old names have no value of their own. */
		if (p->is_hidden || p->type == CONF_RAW)
			continue;
		if (conf_get(s, NULL, p->name, mem, &text, &e) != RC_OK)
			fail_msg("%.*s: %s", STR_ARG(p->name), e.text);
		if (conf_value_check(p, p->name, text, &e) != RC_OK)
			fail_msg("%.*s: %s", STR_ARG(p->name), e.text);
	}
	arena_free(&mem);
}

static void
test_snapshot_travels(void **state)
{
	struct arena *mem = arena_new(MEMORY), *other = arena_new(MEMORY);
	const struct conf_snapshot *s =
	    snapshot(mem, "relayhost = [x]\n", "smtp unix - - - - - smtp\n");
	const struct conf_snapshot *got;
	struct err e = { .text = "" };
	struct str text;
	int fd = -1;

	(void)state;
	assert_int_equal(RC_OK, conf_snapshot_memfd(s, &fd, &e));
	/* Sealed: nobody changes it behind a worker's back. */
	assert_int_equal(-1, pwrite(fd, "x", 1, 0));
	assert_int_equal(RC_OK, conf_snapshot_read(fd, STR("smtpd"), other, &got, &e));
	assert_int_equal(RC_OK, conf_get(got, NULL, STR("relayhost"), other, &text, &e));
	expect_text("relayhost", "[x]", text);
	assert_int_equal(RC_OK, conf_get(got, NULL, STR("myhostname"), other, &text, &e));
	expect_text("myhostname", "mx.localdomain", text);
	assert_int_equal(
	    RC_OK, conf_get(got, NULL, STR("process_name"), other, &text, &e));
	expect_text("process_name", "smtpd", text);
	assert_true(got->master.v[0].is_chroot);
	(void)close(fd);
	arena_free(&mem);
	arena_free(&other);
}

static void
test_snapshot_garbage(void **state)
{
	static const struct str cases[] = { STR_INIT(""),
		STR_INIT("hikyaku configuration 1\n"),
		STR_INIT("hikyaku configuration 1\nconfig_directory 99999999999999\nx\n"),
		STR_INIT("hikyaku configuration 1\nconfig_directory 3\nabc") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_snapshot *got;
		int fd = memfd_create("test", MFD_CLOEXEC);
		struct err e;

		assert_int_equal(cases[i].n, pwrite(fd, cases[i].p, cases[i].n, 0));
		assert_int_equal(
		    RC_PERM, conf_snapshot_read(fd, STR("smtpd"), mem, &got, &e));
		(void)close(fd);
		arena_free(&mem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_value),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_get_errors),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_defaults_are_legal),
		cmocka_unit_test(test_snapshot_travels),
		cmocka_unit_test(test_snapshot_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
