/* What an administrator hears about settings that do nothing here, and what not. */
#include "conf/advice.h"
#include "base/arena.h"
#include "conf/params.h"
#include "conf/snapshot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define M "/etc/postfix/main.cf: line 1: "

static const char master_cf[] = "smtp inet n - n - - smtpd\n"
				"smtp unix - - n - - smtp\n"
				"policy unix - n n - 0 spawn\n";

static void
take(void *arg, const struct conf_advice *advice)
{
	char *all = arg, text[CONF_ADVICE_TEXT_MAX];

	conf_advice_format(advice, text);
	(void)strncat(all, text, 3000 - strlen(all));
	(void)strncat(all, "\n", 3000 - strlen(all));
}

static void
expect(const char *main_cf, const char *services, const char *want)
{
	struct arena *mem = arena_new(1 << 20);
	const struct conf_snapshot *s;
	char got[4000] = "";
	struct err e;

	if (conf_from_text(str_c(main_cf), str_c(services), NULL, mem, &s, &e) != RC_OK)
		fail_msg("%s", e.text);
	conf_advise(s, take, got);
	if (strcmp(got, want) != 0)
		fail_msg("%s\ngot:  %s\nwant: %s", main_cf, got, want);
	arena_free(&mem);
}

/* The first parameter of `type` that is not built, and its reason. */
static const struct conf_param *
not_yet(enum conf_type type)
{
	for (size_t i = 0; i < conf_n_params; i++)
		if (conf_params[i].status == CONF_NOT_YET &&
		    conf_params[i].type == type && !conf_params[i].is_hidden &&
		    str_find(conf_params[i].def, '$') == conf_params[i].def.n)
			return &conf_params[i];
	return NULL;
}

static void
test_unknown(void **state)
{
	static const struct {
		const char *main_cf, *want;
	} cases[] = {
		{ "myhostnam = a.example\n",
		    M "myhostnam = a.example: unknown parameter; did you mean "
		      "myhostname?\n" },
		{ "relayohst = [b]\n",
		    M "relayohst = [b]: unknown parameter; did you mean relayhost?\n" },
		{ "smptd_banner = x\n", M
		    "smptd_banner = x: unknown parameter; did you mean smtpd_banner?\n" },
		{ "nothing_like_it_at_all = x\n",
		    M "nothing_like_it_at_all = x: unknown parameter\n" },
		{ "bad\033[31m = \007\n", M "bad?[31m = ?: unknown parameter\n" },
		{ "slow_destination_concurrency_limit = 3\n",
		    M "slow_destination_concurrency_limit = 3: there is no service "
		      "slow/unix in master.cf\n" },
		{ "defualt_destination_concurrency_limit = 3\n",
		    M "defualt_destination_concurrency_limit = 3: unknown parameter; did "
		      "you mean default_destination_concurrency_limit?\n" },
		/* silence */
		{ "myhostname = a.example\n", "" },
		{ "mine = a.example\nmyhostname = $mine\n", "" },
		{ "mine = a\nmyhostname = ${mine?{$mine}:{b}}.example\n", "" },
		{ "smtpd_restriction_classes =\nlocal_recipient_maps = ldap:there\n",
		    "" },
		{ "transport_maps = ldap:there\nthere_server_host = a\nthere_bind = no\n",
		    "" },
		{ "transport_maps = proxy:mysql:t\nt_hosts = a\n", "" },
		{ "policy_time_limit = 1000s\n", "" },
		{ "smtp_destination_concurrency_limit = 3\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect(cases[i].main_cf, master_cf, cases[i].want);
	expect("transport_maps = ldap:/etc/x\n/etc/x_a = b\n", master_cf,
	    "/etc/postfix/main.cf: line 2: /etc/x_a = b: unknown parameter\n");
}

static void
test_not_yet(void **state)
{
	const struct conf_param *flag = not_yet(CONF_BOOL);
	char line[300], want[800];

	(void)state;
	if (flag == NULL)
		skip();
	(void)snprintf(line, sizeof(line), "%.*s = %s\n", STR_ARG(flag->name),
	    str_is(flag->def, "no") ? "YES" : "No");
	(void)snprintf(want, sizeof(want), M "%.*s = %s: not built yet%s%.*s\n",
	    STR_ARG(flag->name), str_is(flag->def, "no") ? "YES" : "No",
	    flag->why.n > 0 ? ": " : "", STR_ARG(flag->why));
	expect(line, master_cf, want);
	/* What it is anyway, in other letters and through another name. */
	(void)snprintf(line, sizeof(line), "%.*s = $v\nv = %s\n", STR_ARG(flag->name),
	    str_is(flag->def, "no") ? "NO" : "Yes");
	expect(line, master_cf, "");
}

/* Whoever switches off what is not there gets what he wants. */
static void
test_switched_off_is_not_warned_of(void **state)
{
	(void)state;
	expect("smtpd_tls_security_level = none\n", master_cf, "");
	expect("smtpd_tls_security_level = $l\nl = None\n", master_cf, "");
	expect(
	    "smtp_tls_security_level =\nlmtp_tls_security_level = none\n", master_cf, "");
	expect(
	    "smtputf8_enable = no\nbiff = no\nmailbox_size_limit = 00\n", master_cf, "");
	expect("alias_maps =\nvirtual_alias_maps =\n", master_cf, "");
	expect("smtpd_tls_security_level = nonesuch\n", master_cf,
	    M "smtpd_tls_security_level = nonesuch: not built yet: TLS\n");
}

static void
test_old_names_of_what_is_not_there_are_warned_of(void **state)
{
	(void)state;
	expect("virtual_maps = hash:/x\n", master_cf, "");
	expect("postscreen_blacklist_action = drop\n", master_cf,
	    M "postscreen_blacklist_action = drop: not built yet: postscreen\n");
}

static void
test_service(void **state)
{
	(void)state;
	expect("",
	    "smtp inet n - n - - smtpd -o smtpd_baner=x -o { mine = y } -o "
	    "smtpd_banner=$mine\n",
	    "/etc/postfix/master.cf: line 1: smtp/inet: -o smtpd_baner=x: unknown "
	    "parameter; did you mean smtpd_banner?\n");
	expect("mua = permit\n",
	    "smtp inet n - n - - smtpd -o smtpd_client_restrictions=$mua\n", "");
}

static void
test_networks(void **state)
{
	static const char bits[] =
	    "non-null host address bits in \"10.0.0.1/8\", perhaps you "
	    "should use \"10.0.0.0/8\" instead\n";
	char want[400];

	(void)state;
	/* the first is Debian's */
	expect(
	    "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n", master_cf, "");
	expect("mynetworks = !10.0.0.0/24, ::1 2001:db8::/32 fe80::/64 /etc/x "
	       "hash:/etc/x 10.1.2.3\n",
	    master_cf, "");
	(void)snprintf(want, sizeof(want), M "mynetworks = 10.0.0.1/8: %s", bits);
	expect("mynetworks = 10.0.0.1/8\n", master_cf, want);
	(void)snprintf(
	    want, sizeof(want), M "mynetworks = 127.0.0.0/8, !10.0.0.1/8: %s", bits);
	expect("mynetworks = 127.0.0.0/8, !10.0.0.1/8\n", master_cf, want);
	expect("transport_maps = 10.0.0.1/8\n", master_cf, ""); /* no list */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_switched_off_is_not_warned_of),
		cmocka_unit_test(test_old_names_of_what_is_not_there_are_warned_of),
		cmocka_unit_test(test_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
