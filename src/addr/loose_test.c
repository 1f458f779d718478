/* What words of MAIL and RCPT mean when RFC 5321 does not know them, as Postfix 3.7
 * answered. */
#include "addr/loose.h"
#include "addr/address.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void
one_address(void **state)
{
	static const struct {
		const char *word, *want;
	} rows[] = {
		{ "<a)@good.test>", "\"a)\"@good.test" },
		{ "<a:b@good.test>", "\"a:b\"@good.test" },
		{ "<a@good.test>(c)", "a@good.test" },
		{ "(c)<a@good.test>", "a@good.test" },
		{ "<(c)a@good.test>", "a@good.test" },
		{ "<a(c)@good.test>", "a@good.test" },
		{ "<a@(c)good.test>", "a@good.test" },
		{ "<a@good.test(c)>", "a@good.test" },
		{ "a@good.test", "a@good.test" },
		{ "\"a b\"@good.test", "\"a b\"@good.test" },
		{ "b<a@good.test>", "a@good.test" },
		{ "a@good.test,", "a@good.test" },
		{ ",a@good.test", "a@good.test" },
		{ "<,a@good.test>", "a@good.test" },
		{ "<a@good.test,>", "a@good.test" },
		{ "a@good.test>", "a@good.test" },
		{ "<<a@good.test>>", "a@good.test" },
		{ "<a@good.test>>", "a@good.test" },
		{ "g:a@good.test;", "a@good.test" },
		{ "<g:a@good.test;>", "a@good.test" },
		{ "a@good.test;", "a@good.test" },
		{ "<a@good.test;>", "a@good.test" },
		{ ";<a@good.test>", "a@good.test" },
		{ "<a@good.test>;", "a@good.test" },
		{ ":a@good.test", "\":a\"@good.test" },
		{ "<:a@good.test>", "\":a\"@good.test" },
		{ "<a\\@b@good.test>", "\"a@b\"@good.test" },
		{ "<a\\ b@good.test>", "\"a b\"@good.test" },
		{ "<a\\b@good.test>", "ab@good.test" },
		{ "<\"a\\b\"@good.test>", "ab@good.test" },
		{ "<\"a\".\"b\"@good.test>", "a.b@good.test" },
		{ "<\"\"@good.test>", "\"\"@good.test" },
		{ "<@good.test>", "\"\"@good.test" },
		{ "<a@@good.test>", "\"a@\"@good.test" },
		{ "<\"a b\"@@good.test>", "\"a b@\"@good.test" },
		{ "<a@b@good.test>", "\"a@b\"@good.test" },
		{ "<@a:b@good.test>", "b@good.test" },
		{ "<@a,@b:c@good.test>", "c@good.test" },
		{ "<@a,b:c@good.test>", "c@good.test" },
		{ "<@:c@good.test>", "c@good.test" },
		{ "<@a:@b:c@good.test>", "c@good.test" },
		{ "<@a@good.test>", "\"@a\"@good.test" },
		{ "<.a@good.test>", "\".a\"@good.test" },
		{ "<a.@good.test>", "\"a.\"@good.test" },
		{ "<a..b@good.test>", "\"a..b\"@good.test" },
		{ "<a@[127.0.0.1]>", "a@[127.0.0.1]" },
		{ "<a@[127.0.0.1>", "a@[127.0.0.1]" },
		{ "<[a]@good.test>", "\"[a]\"@good.test" },
		{ "<a@\"good.test\">", "a@good.test" },
		{ "<a@good.\"test\">", "a@good.test" },
		{ "<a@go\\od.test>", "a@good.test" },
		{ "<a@good . test>", "a@good.test" },
		{ "<a @ good.test>", "a@good.test" },
		{ "<\"a\"@ good.test>", "a@good.test" },
		{ "<\"a\tb\"@good.test>", "\"a b\"@good.test" },
		{ "<a@good.test >", "a@good.test" },
		{ "< a@good.test>", "a@good.test" },
		{ "<a\\\"@good.test>", "\"a\\\"\"@good.test" },
		{ "<mailto:a@good.test>", "\"mailto:a\"@good.test" },
		{ "<a@good.test.@x>", "\"a@good.test.\"@x" },
		{ "<a|b@good.test>", "a|b@good.test" },
		{ "<a@b@c@good.test>", "\"a@b@c\"@good.test" },
		{ "<a:b:c@good.test>", "\"a:b:c\"@good.test" },
		{ "<a@b:c@good.test>", "\"a@b:c\"@good.test" },
		{ "<a.b:c@good.test>", "\"a.b:c\"@good.test" },
		{ "<\"a@b\"@good.test>", "\"a@b\"@good.test" },
		{ "<\"a\\\"b\"@good.test>", "\"a\\\"b\"@good.test" },
		{ "<\"a\\\\b\"@good.test>", "\"a\\\\b\"@good.test" },
		{ "<\"a\\\\\"@good.test>", "\"a\\\\\"@good.test" },
		{ "<a@good_x.test>", "a@good_x.test" },
		{ "<a@good.test(>", "a@good.test" },
		{ "<a@[1.2.3.4>", "a@[1.2.3.4]" },
		{ "<a@[127.0.0.1] >", "a@[127.0.0.1]" },
		{ "<a@[127.0.0.1]@x>", "\"a@[127.0.0.1]\"@x" },
		{ "<a@[127\\.0.0.1]>", "a@[127.0.0.1]" },
		{ "<a@good.test@>", "a@good.test" },
		{ "<a. b@good.test>", "a.b@good.test" },
		{ "<a .b@good.test>", "a.b@good.test" },
		{ "<@a b:c@good.test>", "c@good.test" },
		{ "<@[::1]>", "\":1]\"" },
		{ "<@a:g:c@good.test;>", "c@good.test" },
		{ "<@a(x:y)b:c@good.test>", "\"y)b:c\"@good.test" },
		{ "(c)<a b@good.test>", "ab@good.test" },
		{ "x<a,b@good.test>", "\"a,b\"@good.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *mem = arena_new(1 << 20);
		struct str out = STR("");
		enum rc rc = addr_loose_read(str_c(rows[i].word), 0, mem, &out);

		if (rc != RC_OK || !str_eq(out, str_c(rows[i].want)))
			fail_msg("%s: %d, %.*s, not %s", rows[i].word, (int)rc,
			    STR_ARG(out), rows[i].want);
		arena_free(&mem);
	}
}

static void
several_or_none(void **state)
{
	static const char *const several[] = { "<a,b@good.test>",
		"<a@good.test,b@good.test>", "<a;b@good.test>", "<a b@good.test>",
		"<a@good.test b>", "<a@good.test>b", "<a@good.test><b@good.test>",
		"a@good.test,b@good.test", "<a<b>@good.test>", "<\"a\"b@good.test>",
		"<a\"b\"c@good.test>", "<\"a\" \"b\"@good.test>", "<a[b]@good.test>",
		"<a@good test>", "<a@[127.0.0.1]x>", "<a(b(c)d)e@good.test>",
		"<\"a b\" c@good.test>", "<a \"b\"@good.test>" };
	static const char *const none[] = { "g:;", "<g:;>", "(a@good.test)", "<(c)>",
		"<>", "< >", "<\"\">", "\"\"" };
	struct arena *mem = arena_new(1 << 20);
	struct str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(several); i++)
		if (addr_loose_read(str_c(several[i]), 0, mem, &out) != RC_PERM)
			fail_msg("%s", several[i]);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (addr_loose_read(str_c(none[i]), 0, mem, &out) != RC_NONE)
			fail_msg("%s", none[i]);
	arena_free(&mem);
}

static void
strict_words(void **state)
{
	static const char *const good[] = { "<a@b.>", "< a@b >", "<a@b@c>", "<@r:a@b>",
		"<<a@b>>", "<[a]@b>", "<a\\@b@c>", "<>" };
	static const char *const bad[] = { "a@b", "<a@b>(c)", "<(c)a@b>", "<a@b,>",
		"<g:a@b;>", "x<a@b>", "\"x\"<a@b>", "<a@b>;" };
	struct arena *mem = arena_new(1 << 20);
	struct str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (addr_loose_read(str_c(good[i]), ADDR_STRICT, mem, &out) == RC_PERM)
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (addr_loose_read(str_c(bad[i]), ADDR_STRICT, mem, &out) != RC_PERM)
			fail_msg("%s", bad[i]);
	arena_free(&mem);
}

static void
plain_words(void **state)
{
	static const char *const plain[] = { "<a@b>", "<.a@b>", "<a%b!c@d.e>", "<ab>",
		"<j\xc3\xb6rg@b>" };
	static const char *const others[] = { "<a b@c>", "<\"a\"@b>", "<a@b@c>", "<@a>",
		"<a@>", "a@b", "<a(b)@c>", "<a\\b@c>", "<a@[1.2.3.4]>", "<a:b@c>", "<>",
		"<a]@b>" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (!addr_word_is_plain(str_c(plain[i])))
			fail_msg("%s", plain[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (addr_word_is_plain(str_c(others[i])))
			fail_msg("%s", others[i]);
}

static void
has_limits(void **state)
{
	struct arena *mem = arena_new(1 << 20);
	char dots[2000];
	struct str out;

	(void)state;
	memset(dots, '.', sizeof(dots));
	assert_int_equal(
	    addr_loose_read(str_n(dots, sizeof(dots)), 0, mem, &out), RC_PERM);
	assert_int_equal(addr_loose_read(STR("<\"a\"@b\0.c>"), 0, mem, &out), RC_PERM);
	memset(dots, '(', sizeof(dots));
	assert_int_equal(
	    addr_loose_read(str_n(dots, sizeof(dots)), 0, mem, &out), RC_NONE);
	memset(dots, '[', sizeof(dots));
	assert_int_equal(addr_loose_read(str_n(dots, sizeof(dots)), 0, mem, &out), RC_OK);
	arena_free(&mem);
}

static void
many_addresses_of_a_header_are_more_than_memory_allows(void **state)
{
	struct arena *mem = arena_new(1 << 20);
	struct str out;

	(void)state;
	for (int i = 0; i < 4000; i++)
		assert_int_equal(
		    addr_loose_read(STR("\"a b\"@c.test"), 0, mem, &out), RC_OK);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(one_address),
		cmocka_unit_test(several_or_none), cmocka_unit_test(strict_words),
		cmocka_unit_test(plain_words), cmocka_unit_test(has_limits),
		cmocka_unit_test(
		    many_addresses_of_a_header_are_more_than_memory_allows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
