/* Tests of conf: one table of cases per parser. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/expand.h"
#include "conf/list.h"
#include "conf/params.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY ((size_t)64 << 20)

static const struct conf_host test_host = { .name = STR_INIT("mx"),
	.addresses = STR_INIT("127.0.0.1/8 192.0.2.2/24 ::1/128 2001:db8::2/64"),
	.names = STR_INIT("localhost=127.0.0.1/32 gw=203.0.113.9/32") };

static struct str
copy(struct arena *mem, const char *text)
{
	return arena_str(mem, str_c(text));
}

static void
expect_text(const char *what, const char *want, struct str got)
{
	if (!str_is(got, want))
		fail_msg("%s: want \"%s\", got \"%.*s\"", what, want, STR_ARG(got));
}

/* ---- lines and main.cf ---- */

static void
test_main_cf(void **state)
{
	static const struct {
		const char *text, *name, *want; /* want NULL: not set */
	} cases[] = {
		{ "a = b\n", "a", "b" },
		{ "a=b", "a", "b" },
		{ "a =\n", "a", "" },
		{ "a = b c  \n", "a", "b c" },
		{ "a = b\n c\n", "a", "b c" },
		{ "a = b\n# x\n\n\tc\n", "a", "b\tc" },
		{ "a = b\n   # x\n c\nd = e\n", "a", "b c" },
		{ "a = b # c\n", "a", "b # c" },
		{ "# a = b\n", "a", NULL },
		{ " a = b\n", "a", NULL },
		{ "a = b\r\nc = d\r\n", "a", "b" },
		{ "a = 1\nb = 2\na = 3\n", "a", "3" },
		{ "a = b = c\n", "a", "b = c" },
		{ "a =\n  b\n", "a", "b" },
		{ "", "a", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		const struct conf_entry *entry;
		struct main_cf m;
		struct err e;

		assert_int_equal(RC_OK,
		    main_cf_parse(STR("main.cf"), copy(mem, cases[i].text), mem, &m, &e));
		entry = main_cf_find(&m, str_c(cases[i].name));
		if (cases[i].want == NULL)
			assert_null(entry);
		else
			expect_text(cases[i].text, cases[i].want, entry->value);
		arena_free(&mem);
	}
}

static void
test_main_cf_errors(void **state)
{
	static const struct {
		struct str text;
		const char *want;
	} cases[] = {
		{ STR_INIT("a = b\n\nfoo\n"),
		    "main.cf, line 3: missing '=' after attribute name: \"foo\"" },
		{ STR_INIT("a b = c\n"),
		    "main.cf, line 1: missing '=' after attribute name: \"a b = c\"" },
		{ STR_INIT("= x\n"), "main.cf, line 1: missing attribute name: \"= x\"" },
		{ STR_INIT("a\0 = y\n"),
		    "main.cf, line 1: missing '=' after attribute name: \"a\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct main_cf m;
		struct err e;

		assert_int_equal(
		    RC_PERM, main_cf_parse(STR("main.cf"), arena_str(mem, cases[i].text),
				 mem, &m, &e));
		assert_string_equal(e.text, cases[i].want);
		arena_free(&mem);
	}
}

static void
test_duplicates_are_kept(void **state)
{
	struct arena *mem = arena_new(MEMORY);
	struct main_cf m;
	struct err e;

	(void)state;
	assert_int_equal(RC_OK,
	    main_cf_parse(STR("f"), STR("a = 1\nb = 2\na = 3\na = 4\n"), mem, &m, &e));
	assert_int_equal(m.n, 2);
	assert_int_equal(m.n_duplicates, 2);
	expect_text("first", "1", m.duplicates[0].value);
	assert_int_equal(m.duplicates[0].by_line, 3);
	assert_int_equal(m.duplicates[1].by_line, 4);
	arena_free(&mem);
}

/* ---- expressions ---- */

static enum rc
test_get(void *arg, struct str name, struct str *out, struct err *e)
{
	static const struct {
		const char *name, *value;
	} names[] = { { "a", "A" }, { "e", "" }, { "v", "$e" }, { "n5", "5" },
		{ "va", "$a-$e" }, { "loop", "x$loop" }, { "l1", "$l2" }, { "l2", "$l1" },
		{ "bomb0", "" }, { "bomb1", "$bomb2$bomb2" }, { "level", "3.6" } };

	(void)arg;
	(void)e;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_is(name, names[i].name)) {
			*out = str_c(names[i].value);
			return RC_OK;
		}
	return RC_NONE;
}

/* Each value was asked of Postfix 3.7. */
static void
test_expand(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = { { "", "" }, { "plain", "plain" }, { "$a", "A" }, { "$(a)", "A" },
		{ "${a}", "A" }, { "$$", "$" }, { "$$a", "$a" },
		{ "x$undefined.y", "x.y" }, { "${a?yes}", "yes" }, { "${e?yes}", "" },
		{ "${a:no}", "" }, { "${e:no}", "no" }, { "${a?{yes}:{no}}", "yes" },
		{ "${e?{yes}:{no}}", "no" }, { "${a?{yes}}", "yes" },
		{ "${e?{yes}}", "" }, { "${e:{no}}", "no" },
		{ "${a ? {yes} : {no}}", "yes" }, { "${a? yes }", " yes " },
		{ "${a?{ yes }}", " yes " }, { "${e?{yes} : no}", " no" },
		{ "${a?{yes}:{no} }", "yes" }, { "${a?{$a}:{$e}}", "A" },
		{ "${a?$a$(n5)}", "A5" }, { "${undefined?x}", "" },
		{ "${undefined:x}", "x" }, { "${?x}", "" },
		{ "${{a}=={a}?{t}:{f}}", "t" }, { "${{a}=={b}?{t}:{f}}", "f" },
		{ "${{a}=={b}?{t}}", "" }, { "${{a} == {a} ? {t} : {f}}", "t" },
		{ "${{a}!={b}?t:f}", "t:f" }, { "${{5}<{10}?{t}:{f}}", "t" },
		{ "${{a5}<{a10}?{t}:{f}}", "f" }, { "${{$n5}<={5}?{t}:{f}}", "t" },
		{ "${{5}=={05}?t}", "t" }, { "${{5}=={ 5}?t}", "" },
		{ "${{6}>{5}?t}", "t" }, { "${{5}>={5}?t}", "t" },
		{ "${{3.10} <level {3.9}?{t}:{f}}", "f" },
		{ "${{3.10} >level {3.9}?{t}:{f}}", "t" },
		{ "${{$level}<=level{3.6}?{t}:{f}}", "t" },
		{ "${{3.6}==level{3.6.0}?{t}:{f}}", "t" },
		{ "${{3.6}!=level{3.6}?{t}:{f}}", "f" },
		{ "${{ 3}<level{3.1}?{t}:{f}}", "t" }, { "${{a}=={a}:{f}}", "" },
		{ "${{a}!={a}:{f}}", "f" }, { "${{a}=={a}}", "true" },
		{ "${{a}!={a}}", "" }, { "$va", "A-" }, { "$a.b", "A.b" },
		{ "$a-$n5", "A-5" }, { "${a?a}b}", "ab}" }, { "${a?{b{c}d}}", "b{c}d" },
		{ "${a?b{c}d}", "b{c}d" }, { "${ a }", "A" }, { "${ a?x}", "x" },
		{ "${v?x}", "x" }, { "${v:x}", "" }, { "${ }", "" },
		{ "$({a}=={a}?{t})", "t" }, { "$(a?$(e:x))", "x" },
		{ "${a?{x$(e:y)}}", "xy" },
		{ "${domain_to_ascii{b.example}}", "b.example" },
		{ "${domain_to_ascii{b\xc3\xbc"
		  "cher.Example}}",
		    "xn--bcher-kva.example" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expand_source from = { test_get, NULL };
		struct arena *mem = arena_new(MEMORY);
		struct str got;
		struct err e = { .text = "" };

		if (expand_text(&from, copy(mem, cases[i].text), 1000, mem, &got, &e) !=
		    RC_OK)
			fail_msg("%s: %s", cases[i].text, e.text);
		expect_text(cases[i].text, cases[i].want, got);
		arena_free(&mem);
	}
}

static void
test_expand_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = { { "<$>", "empty macro name: \"<$>\"" },
		{ "$ a", "empty macro name: \"$ a\"" },
		{ "${}", "empty macro name: \"${}\"" },
		{ "<${>", "truncated macro reference: \"<${>\"" },
		{ "$(a}", "truncated macro reference: \"$(a}\"" },
		{ "${a!}", "attribute name syntax error at: \"...a>>>!\"" },
		{ "${a?{yes}x}", "\":\" expected at: \"...yes}>>>x\"" },
		{ "${a?{yes}:{no}x}", "unexpected input at: \"...no}>>>x\"" },
		{ "${{a}==b?{t}:{f}}", "bad operator suffix at: \"...==>>>b\"" },
		{ "${{a}=={b}x}", "\"?\" or \":\" expected at: \"...b}>>>x\"" },
		{ "${{a}}", "\"==\" or \"!=\"\" or \"<\"\" or \"<=\"\" or \">=\"\" or "
			    "\">\" expected at: \"...a}>>>\"" },
		{ "${{1}==levelx{1}}", "bad operator suffix at: \"...==>>>levelx\"" },
		{ "${{x}<level{3}?{t}:{f}}",
		    "malformed compatibility level syntax: \"x\"" },
		{ "${{3.1.2.1}<level{3}?{t}}",
		    "malformed compatibility level syntax: \"3.1.2.1\"" },
		{ "$(a?{x)}", "unbalanced {} in attribute expression: \"{x\"" },
		{ "$loop", "unreasonable macro call nesting: \"loop\"" },
		{ "${{$l1}==", "truncated macro reference: \"${{$l1}==\"" },
		{ "$l1", "unreasonable macro call nesting: \"l2\"" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expand_source from = { test_get, NULL };
		struct arena *mem = arena_new(MEMORY);
		struct str got;
		struct err e = { .text = "" };

		assert_int_equal(RC_PERM,
		    expand_text(&from, copy(mem, cases[i].text), 1000, mem, &got, &e));
		assert_string_equal(e.text, cases[i].want);
		arena_free(&mem);
	}
}

/* bomb<n> is bomb<n+1> twice: 2^30 evaluations without a limit. */
static enum rc
bomb_get(void *arg, struct str name, struct str *out, struct err *e)
{
	static char texts[32][32];
	int n = 0;

	(void)arg;
	(void)e;
	(void)sscanf(name.p, "bomb%2d", &n);
	if (n < 28)
		(void)snprintf(texts[n], sizeof(texts[n]), "$bomb%02d$bomb%02d",
		    (n + 1) % 100, (n + 1) % 100);
	*out = str_c(texts[n]);
	return RC_OK;
}

static void
test_expand_limits(void **state)
{
	struct expand_source from = { test_get, NULL }, bomb = { bomb_get, NULL };
	struct arena *mem = arena_new(MEMORY);
	struct str got;
	struct err e;

	(void)state;
	assert_int_equal(RC_PERM, expand_text(&from, STR("$a$a$a$a"), 3, mem, &got, &e));
	assert_string_equal(e.text, "value is too long");
	assert_int_equal(
	    RC_PERM, expand_text(&bomb, STR("$bomb00"), 1000, mem, &got, &e));
	arena_free(&mem);
}

/* ---- values ---- */

static void
test_values(void **state)
{
	static const struct {
		const char *param, *text, *want; /* want NULL: fine */
	} cases[] = {
		{ "fork_attempts", "3", NULL },
		{ "fork_attempts", "+3", NULL },
		{ "fork_attempts", "010", NULL },
		{ "fork_attempts", "x",
		    "bad numerical configuration: fork_attempts = x" },
		{ "fork_attempts", "", "bad numerical configuration: fork_attempts = " },
		{ "fork_attempts", "3 4",
		    "bad numerical configuration: fork_attempts = 3 4" },
		{ "fork_attempts", "0", "invalid fork_attempts parameter value 0 < 1" },
		{ "fork_attempts", "-1", "invalid fork_attempts parameter value -1 < 1" },
		{ "fork_attempts", "99999999999",
		    "bad numerical configuration: fork_attempts = 99999999999" },
		{ "delay_logging_resolution_limit", "7",
		    "invalid delay_logging_resolution_limit parameter value 7 > 6" },
		{ "message_size_limit", "99999999999", NULL },
		{ "message_size_limit", "99999999999999999999",
		    "bad numerical configuration: message_size_limit = "
		    "99999999999999999999" },
		{ "daemon_timeout", "5x",
		    "parameter daemon_timeout: bad time value or unit: 5x" },
		{ "daemon_timeout", "1D",
		    "parameter daemon_timeout: bad time value or unit: 1D" },
		{ "daemon_timeout", "-5",
		    "parameter daemon_timeout: bad time value or unit: -5" },
		{ "daemon_timeout", "",
		    "parameter daemon_timeout: bad time value or unit: " },
		{ "daemon_timeout", "2147483648",
		    "parameter daemon_timeout: bad time value or unit: 2147483648" },
		{ "daemon_timeout", "0", "invalid daemon_timeout: 0 (min 1)" },
		{ "daemon_timeout", "10min", NULL },
		{ "maximal_queue_lifetime", "101d",
		    "invalid maximal_queue_lifetime: 8726400 (max 8640000)" },
		{ "message_size_limit", "-5", NULL },
		{ "soft_bounce", "YES", NULL },
		{ "soft_bounce", "maybe",
		    "bad boolean configuration: soft_bounce = maybe" },
		{ "soft_bounce", "", "bad boolean configuration: soft_bounce = " },
		{ "mail_name", "", "bad string length 0 < 1: mail_name = " },
		{ "relayhost", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct conf_param *p = conf_param_find(str_c(cases[i].param));
		struct err e = { .text = "" };
		enum rc rc;

		assert_non_null(p);
		rc = conf_value_check(p, p->name, str_c(cases[i].text), &e);
		assert_int_equal(rc, cases[i].want == NULL ? RC_OK : RC_PERM);
		assert_string_equal(e.text, cases[i].want == NULL ? "" : cases[i].want);
	}
}

static void
test_time_units(void **state)
{
	static const struct {
		const char *text;
		char unit;
		int64_t seconds;
	} cases[] = { { "5", 's', 5 }, { "5", 'd', 432000 }, { "5s", 'd', 5 },
		{ "2m", 's', 120 }, { "1h", 's', 3600 }, { "1w", 's', 604800 },
		{ "0", 'h', 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = -1;

		assert_int_equal(
		    RC_OK, conf_parse_time(str_c(cases[i].text), cases[i].unit, &us));
		assert_int_equal(us, cases[i].seconds * US_PER_SEC);
	}
}

/* ---- master.cf ---- */

static void
test_master_cf(void **state)
{
	static const char text[] =
	    "smtp inet n - n - - smtpd\n"
	    "# comment\n"
	    "  -o smtpd_banner=hello\n\n"
	    "  -o { mynetworks = 10.0.0.0/8 ::1 } -v\n"
	    "qmgr unix n - n 300 1 qmgr\n"
	    "tlsmgr unix - - n 1000? 1 tlsmgr\n"
	    "pipe unix - n n - - pipe flags=R user={ a b } argv=/x { c d } -o x=y\n"
	    "postlog unix-dgram n - n - 1 postlogd -oa=b\n"
	    "qmgr unix n - n 60 1 qmgr\n";
	struct arena *mem = arena_new(MEMORY);
	const struct master_service *s;
	struct master_cf m;
	struct err e;

	(void)state;
	assert_int_equal(RC_OK, master_cf_parse(STR("m"), STR(text), mem, &m, &e));
	assert_int_equal(m.n, 5);
	s = master_cf_find(&m, STR("smtp"), MASTER_INET);
	assert_non_null(s);
	assert_int_equal(s->maxproc, -1);
	assert_int_equal(s->n_overrides, 2);
	assert_int_equal(s->verbose, 1);
	expect_text(
	    "-o {}", "10.0.0.0/8 ::1", *master_override_find(s, STR("mynetworks")));
	assert_false(s->is_private);
	assert_true(s->is_unpriv);
	s = master_cf_transport(&m, STR("tlsmgr"));
	assert_true(s->wakeup_if_used);
	assert_int_equal(s->wakeup_us, 1000 * US_PER_SEC);
	s = master_cf_transport(&m, STR("pipe"));
	assert_false(s->is_unpriv);
	assert_int_equal(s->n_args, 9);
	expect_text("argument", "c d", s->args[6]);
	assert_int_equal(s->n_overrides, 0);
	s = master_cf_find(&m, STR("postlog"), MASTER_UNIX_DGRAM);
	expect_text("-oa=b", "b", *master_override_find(s, STR("a")));
	assert_int_equal(m.n_duplicates, 1);
	assert_int_equal(
	    master_cf_transport(&m, STR("qmgr"))->wakeup_us, 60 * US_PER_SEC);
	arena_free(&mem);
}

/* The words are those of Postfix's master, where it has any. */
static void
test_master_cf_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "smtp inet n - n\n", "missing \"wakeup_time\" field" },
		{ "smtp foo n - n - - smtpd\n", "bad transport type: foo" },
		{ "smtp - n - n - - smtpd\n",
		    "field \"transport type\" has no default value" },
		{ "smtp inet y - n - - smtpd\n", "inet service cannot be private" },
		{ "smtp inet - - n - - smtpd\n", "inet service cannot be private" },
		{ "x unix z - n - - smtpd\n", "field \"private\": bad value: \"z\"" },
		{ "x unix - x n - - smtpd\n",
		    "field \"unprivileged\": bad value: \"x\"" },
		{ "x unix - - q - - smtpd\n", "field \"chroot\": bad value: \"q\"" },
		{ "x unix - - n x - smtpd\n", "field \"wakeup_time\": bad value: \"x\"" },
		{ "x unix - - n - -1 smtpd\n", "field \"max_proc\": bad value: \"-1\"" },
		{ "x unix - - n - - -\n", "field \"command\" has no default value" },
		{ "x unix - - n - - smtp -o {a=b\n", "missing '}' in \"{a=b\"" },
		{ "x unix - - n - - smtp { a }b\n",
		    "syntax error after '}' in \"{ a }b\"" },
		{ "x unix - - n - - smtp -o a\n",
		    "missing '=' after attribute name: \"a\"" },
		{ "x unix - - n - - smtp -o\n", "option -o needs an argument" },
		{ "a/b unix - - n - - smtp\n", "service name \"a/b\" contains a slash" },
		{ "x unix - - n - - ../smtp\n",
		    "field \"command\": \"../smtp\" is not a file name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct master_cf m;
		char want[300];
		struct err e;

		(void)snprintf(want, sizeof(want), "m: line 1: %s", cases[i].want);
		assert_int_equal(RC_PERM,
		    master_cf_parse(STR("m"), copy(mem, cases[i].text), mem, &m, &e));
		assert_string_equal(e.text, want);
		arena_free(&mem);
	}
}

/* ---- snapshots ---- */

static const struct conf_snapshot *
snapshot(struct arena *mem, const char *main_text, const char *master_text)
{
	const struct conf_snapshot *s = NULL;
	struct err e = { .text = "" };

	if (conf_from_text(
		str_c(main_text), str_c(master_text), &test_host, mem, &s, &e) != RC_OK)
		fail_msg("%s", e.text);
	return s;
}

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

/* ---- lists ---- */

static void
test_split(void **state)
{
	struct str rest = STR_INIT(" a, b\n{ c d },e{f g}h ,,"), v[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(RC_OK, conf_list_next(&rest, &v[i]));
	assert_int_equal(RC_NONE, conf_list_next(&rest, &rest));
	expect_text("b", "b", v[1]);
	expect_text("braces", "{ c d }", v[2]);
	expect_text("unbraced", "c d", conf_list_unbrace(v[2]));
	expect_text("inside", "e{f g}h", v[3]);
	rest = STR("{ b");
	assert_int_equal(RC_PERM, conf_list_next(&rest, &v[0]));
}

static enum rc
test_read(void *arg, struct str path, struct arena *mem, struct str *out, struct err *e)
{
	(void)arg;
	(void)mem;
	if (str_is(path, "/loop"))
		*out = STR("/loop\n");
	else if (str_is(path, "/list"))
		*out = STR("# comment\nin.example\n.sub.example other.example\n");
	else
		return err_set(e, RC_TEMP, "open file %.*s: not there", STR_ARG(path));
	return RC_OK;
}

static const struct match_files test_files = { test_read, NULL };

static void
test_match(void **state)
{
	static const struct {
		const char *list, *name, *address;
		bool want;
	} cases[] = {
		{ "example.com", "EXAMPLE.com", "", true },
		{ "example.com", "a.example.com", "", false },
		{ ".example.com", "a.example.com", "", true },
		{ ".example.com", "example.com", "", false },
		{ "!a.example.com, .example.com", "a.example.com", "", false },
		{ "!a.example.com, .example.com", "b.example.com", "", true },
		{ "127.0.0.0/8 [::1]/128", "", "127.1.2.3", true },
		{ "127.0.0.0/8 [::1]/128", "", "128.0.0.1", false },
		{ "127.0.0.0/8 [::1]/128", "", "::1", true },
		{ "[2001:db8::/33]", "", "2001:db8:7fff::1", true },
		{ "[2001:db8::/33]", "", "2001:db8:8000::1", false },
		{ "192.0.2.1", "", "192.0.2.1", true },
		{ "[::1]", "", "::1", true },
		{ "10.1.2.3/8", "", "10.1.2.3", false },
		{ "/list", "in.example", "", true },
		{ "/list", "x.sub.example", "", true },
		{ "!/list, other.example", "other.example", "", false },
		{ "hash:/x, a", "a", "", true },
		{ "", "a", "", false },
		{ "0.0.0.0/0", "", "1.2.3.4", true },
		{ "0.0.0.0/0", "", "::1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct match_list list;
		struct addr_ip ip = { .family = ADDR_NONE };
		struct err e = { .text = "" };

		if (match_list_parse(str_c(cases[i].list), &test_files, mem, &list, &e) !=
		    RC_OK)
			fail_msg("%s: %s", cases[i].list, e.text);
		if (addr_ip_parse(str_c(cases[i].address), &ip) != RC_OK)
			ip.family = ADDR_NONE;
		if (match_list_has(&list, str_c(cases[i].name), &ip) != cases[i].want)
			fail_msg("case %zu: %s", i, cases[i].list);
		arena_free(&mem);
	}
}

static void
test_match_errors(void **state)
{
	static const char *const cases[] = { "a, !", "{ a", "/missing", "/loop" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(MEMORY);
		struct match_list list;
		struct err e;

		assert_int_not_equal(RC_OK,
		    match_list_parse(str_c(cases[i]), &test_files, mem, &list, &e));
		arena_free(&mem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main_cf),
		cmocka_unit_test(test_main_cf_errors),
		cmocka_unit_test(test_duplicates_are_kept),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_errors),
		cmocka_unit_test(test_expand_limits),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_time_units),
		cmocka_unit_test(test_master_cf),
		cmocka_unit_test(test_master_cf_errors),
		cmocka_unit_test(test_get_value),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_get_errors),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_defaults_are_legal),
		cmocka_unit_test(test_snapshot_travels),
		cmocka_unit_test(test_snapshot_garbage),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_match_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
