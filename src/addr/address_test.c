/* Addresses as text: every row is an input and what must come of it. */
#include "addr/address.h"
#include "addr/domain.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct arena *mem;

static void
same(struct str got, const char *want, const char *what)
{
	if (str_is(got, want))
		return;
	fail_msg("%s: got \"%.*s\", want \"%s\"", what, STR_ARG(got), want);
}

static void
paths(void **state)
{
	static const struct {
		const char *in;
		unsigned flags;
		const char *external, *rest; /* external NULL: RC_PERM */
	} rows[] = {
		{ "<a@b.c>", ADDR_STRICT, "a@b.c", "" },
		{ "<a@b.c> SIZE=1", ADDR_STRICT, "a@b.c", "SIZE=1" },
		{ " <a@b.c>", 0, "a@b.c", "" },
		{ " <a@b.c>", ADDR_STRICT, NULL, "" },
		{ "a@b.c BODY=7BIT", 0, "a@b.c", "BODY=7BIT" },
		{ "a@b.c", ADDR_STRICT, NULL, "" },
		{ "<>", ADDR_EMPTY_OK, "", "" },
		{ "<> RET=FULL", ADDR_EMPTY_OK, "", "RET=FULL" },
		{ "<>", 0, NULL, "" },
		{ "", 0, NULL, "" },
		{ "<postmaster>", 0, "postmaster", "" },
		{ "<@a,@b:c@d>", 0, "c@d", "" },
		{ "<@a:>", ADDR_EMPTY_OK, NULL, "" },
		{ "<@a>", 0, NULL, "" },
		{ "<a@b.>", 0, "a@b", "" },
		{ "<\"john doe\"@b>", 0, "\"john doe\"@b", "" },
		{ "<\"john.doe\"@b>", 0, "john.doe@b", "" },
		{ "<\"a@b\"@c>", 0, "\"a@b\"@c", "" },
		{ "<\"a\\\"b\"@c>", 0, "\"a\\\"b\"@c", "" },
		{ "<\"a>b\"@c>", 0, "\"a>b\"@c", "" },
		{ "<a\\ b@c>", 0, "\"a b\"@c", "" },
		{ "<a..b@c>", 0, "\"a..b\"@c", "" },
		{ "<\"\"@c>", 0, "\"\"@c", "" },
		{ "<@c>", 0, NULL, "" },
		{ "<a@[127.0.0.1]>", 0, "a@[127.0.0.1]", "" },
		{ "<a@[IPv6:::1]>", 0, "a@[IPv6:::1]", "" },
		{ "<a@[]>", 0, NULL, "" },
		{ "<a@>", 0, NULL, "" },
		{ "<a b@c>", 0, NULL, "" },
		{ "<a@b c>", 0, NULL, "" },
		{ "<a@b", 0, NULL, "" },
		{ "<a@b>x", 0, NULL, "" },
		{ "<\"a@b>", 0, NULL, "" },
		{ "<a\\", 0, NULL, "" },
		{ "<a(comment)@b>", 0, NULL, "" },
		{ "<a\x01@b>", 0, NULL, "" },
		{ "<\"a\rb\"@c>", 0, NULL, "" },
		{ "<\xc3\xa9@b>", 0, NULL, "" },
		{ "<\xc3\xa9@b>", ADDR_UTF8_OK, "\xc3\xa9@b", "" },
		{ "<user%other@b>", 0, "user%other@b", "" },
		{ "<a!b>", 0, "a!b", "" },
		{ "<\"@\">", 0, "\"@\"", "" },
		{ "<a@[b<c]>", 0, NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_path p = { 0 };
		struct err e = { 0 };
		enum rc rc =
		    addr_path_parse(str_c(rows[i].in), rows[i].flags, mem, &p, &e);

		if (rows[i].external == NULL) {
			if (rc != RC_PERM)
				fail_msg("\"%s\" gave %s", rows[i].in, rc_name(rc));
			continue;
		}
		if (rc != RC_OK)
			fail_msg("\"%s\" gave %s: %s", rows[i].in, rc_name(rc), e.text);
		same(p.external, rows[i].external, rows[i].in);
		same(p.rest, rows[i].rest, rows[i].in);
	}
}

static void
forms(void **state)
{
	static const struct {
		const char *external, *internal;
	} rows[] = {
		{ "a@b", "a@b" },
		{ "a", "a" },
		{ "", "" },
		{ "\"john doe\"@b", "john doe@b" },
		{ "\"a@b\"@c", "a@b@c" },
		{ "\"a\\\\b\\\"\"@c", "a\\b\"@c" },
		{ "\"\"@c", "@c" },
		{ "\".a\"@c", ".a@c" },
	};
	char space[ADDR_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		same(addr_to_internal(str_c(rows[i].external), mem), rows[i].internal,
		    rows[i].external);
		same(addr_shown_internal(str_c(rows[i].external), space),
		    rows[i].internal, rows[i].external);
		same(addr_to_external(str_c(rows[i].internal), mem), rows[i].external,
		    rows[i].internal);
	}
}

static void
too_long(void **state)
{
	struct addr_path p;
	char big[ADDR_MAX + 10];

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = 'a';
	big[0] = '<';
	big[2] = '@';
	big[sizeof(big) - 1] = '>';
	assert_int_equal(
	    addr_path_parse(str_n(big, sizeof(big)), 0, mem, &p, NULL), RC_PERM);
}

static void
extensions(void **state)
{
	static const struct {
		const char *local, *delimiters, *user, *ext;
		bool split;
	} rows[] = {
		{ "user+ext", "+", "user", "ext", true },
		{ "user+a+b", "+", "user", "a+b", true },
		{ "user+", "+", "user", "", true },
		{ "+user", "+", "+user", "", false },
		{ "+us+er", "+", "+us+er", "", false },
		{ "user", "+", "user", "", false },
		{ "user-ext", "+-", "user", "ext", true },
		{ "owner-list", "-", "owner", "list", true },
		{ "owner-list", "w", "o", "ner-list", true },
		{ "Mailer-Daemon", "-", "Mailer-Daemon", "", false },
		{ "double-bounce", "-", "double", "bounce", true },
		{ "user+ext", "", "user+ext", "", false },
		{ "", "+", "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str user, ext;
		bool split = addr_split_extension(
		    str_c(rows[i].local), str_c(rows[i].delimiters), &user, &ext);

		assert_int_equal(split, rows[i].split);
		same(user, rows[i].user, rows[i].local);
		same(ext, rows[i].ext, rows[i].local);
	}
	assert_true(addr_is_list_name(STR("Owner-list")));
	assert_true(addr_is_list_name(STR("list-REQUEST")));
	assert_false(addr_is_list_name(STR("owner-")));
	assert_false(addr_is_list_name(STR("-request")));
}

static void
xtext(void **state)
{
	static const struct {
		const char *in, *out, *again; /* out NULL: RC_PERM */
	} rows[] = {
		{ "abc", "abc", "abc" },
		{ "a+2Bb", "a+b", "a+2Bb" },
		{ "a+3Db", "a=b", "a+3Db" },
		{ "a+2b", "a+", "a+2B" },
		{ "a=b+2Bc", "a=b+c", "a+3Db+2Bc" },
		{ "a b", "a b", "a+20b" },
		{ "\xc3+A9", "\xc3\xa9", "+C3+A9" },
		{ "a+2", NULL, NULL },
		{ "a+", NULL, NULL },
		{ "a+2g", NULL, NULL },
		{ "a+0Ab", NULL, NULL },
		{ "a\tb", NULL, NULL },
		{ "a+7F", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str out = STR("");
		enum rc rc = addr_xtext_decode(str_c(rows[i].in), mem, &out);

		assert_int_equal(rc, rows[i].out != NULL ? RC_OK : RC_PERM);
		if (rows[i].out == NULL)
			continue;
		same(out, rows[i].out, rows[i].in);
		same(addr_xtext_encode(out, mem), rows[i].again, rows[i].out);
	}
}

static void
hostnames(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} rows[] = {
		{ "a", true },
		{ "mail.example.com", true },
		{ "a_b.c", true },
		{ "a-b.c", true },
		{ "-a.c", false },
		{ "a-.c", false },
		{ "a-", false },
		{ "a..c", false },
		{ ".a", false },
		{ "a.", false },
		{ "1.2.3.4", false },
		{ "1.2.3.a", true },
		{ "3com.com", true },
		{ "12345", false },
		{ ".", false },
		{ "a.b-", false },
		{ "[1.2.3.4]", false },
		{ "", false },
		{ "a b", false },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.c",
		    false },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.c",
		    true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (addr_hostname_valid(str_c(rows[i].name)) != rows[i].ok)
			fail_msg("%s", rows[i].name);
	assert_true(addr_domain_valid(STR("[127.0.0.1]")));
	assert_true(addr_domain_valid(STR("[IPv6:2001:db8::1]")));
	assert_false(addr_domain_valid(STR("[::1]")));
	assert_false(addr_domain_valid(STR("[IPv6:1.2.3.4]")));
	assert_false(addr_domain_valid(STR("[127.0.0.1")));
	assert_false(addr_domain_valid(STR("[]")));
}

static void
operators(void **state)
{
	static const struct {
		const char *in, *bang, *percent;
	} rows[] = {
		{ "a", "a", "a" },
		{ "a!b!c", "b!c@a", "a!b!c" },
		{ "a%b%c", "a%b%c", "a%b@c" },
		{ "a!", "\"\"@a", "a!" },
		{ "!a", "a@", "!a" },
		{ "!", "@", "!" },
		{ "a%b%%", "a%b%%", "a@b" },
		{ "%a", "%a", "\"\"@a" },
		{ "a%", "a%", "a@" },
		{ "%%", "%%", "@" },
		{ "\"a!b%c\"", "\"a!b%c\"", "\"a!b%c\"" },
		{ "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str in = str_c(rows[i].in);
		struct str bang = addr_swap_operators(in, ADDR_BANG, mem);
		struct str percent = addr_swap_operators(in, ADDR_PERCENT, mem);

		if (!str_is(bang, rows[i].bang) || !str_is(percent, rows[i].percent))
			fail_msg("%s: %.*s, %.*s", rows[i].in, STR_ARG(bang),
			    STR_ARG(percent));
		assert_true(str_eq(addr_swap_operators(in, 0, mem), in));
	}
}

/* Anybody may write it into a header: looking through it once has to do. */
static void
a_million_operators(void **state)
{
	struct str in = { 0 }, out;
	char *p = malloc(1 << 20);

	(void)state;
	assert_non_null(p);
	memset(p, '%', 1 << 20);
	p[0] = 'a';
	in = str_n(p, 1 << 20);
	out = addr_swap_operators(in, ADDR_PERCENT, mem);
	assert_true(str_is(out, "a@"));
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(forms),
		cmocka_unit_test(too_long),
		cmocka_unit_test(operators),
		cmocka_unit_test(a_million_operators),
		cmocka_unit_test(extensions),
		cmocka_unit_test(xtext),
		cmocka_unit_test(hostnames),
	};
	int failed;

	mem = arena_new(1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&mem);
	return failed;
}
