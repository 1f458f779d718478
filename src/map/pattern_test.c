#include "map/pattern.h"
#include "map/map_int.h"
#include "map/pattern_cidr.h"
#include "map/pattern_index.h"
#include "map/pattern_table.h"
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Warnings, one a line: "N: text", or "text" when they belong to no line. */
struct heard {
	char text[4096];
	size_t n;
};

static void
hear(void *ctx, unsigned line, const char *text)
{
	struct heard *h = ctx;
	int n = line > 0 ? snprintf(h->text + h->n, sizeof(h->text) - h->n, "%u: %s\n",
			       line, text)
			 : snprintf(h->text + h->n, sizeof(h->text) - h->n, "%s\n", text);

	h->n += (size_t)n;
}

static void
test_lines(void **state)
{
	static const struct {
		const char *text, *out;
	} cases[] = {
		{ "", "" },
		{ "a\nb", "1[a]2[b]" },
		{ "# c\n\n  # c\na  \n", "4[a]" },
		{ "a \n\tb\n# c\n\n c\t\nd\n", "1[a \tb c]6[d]" },
		{ "  a\n b\nc", "1![  a b]3[c]" },
		{ " \n a", "2![ a]" },
		{ "a\n#c\n \n", "1[a]" },
		{ "\f\v\n\f#\na", "3[a]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(1 << 20);
		struct pattern_lines l = pattern_lines_start(str_c(cases[i].text), mem);
		struct pattern_line line;
		char out[200] = "";

		while (pattern_lines_next(&l, &line) == RC_OK) {
			size_t n = strlen(out);

			(void)snprintf(out + n, sizeof(out) - n, "%u%s[%.*s]", line.line,
			    line.is_bad ? "!" : "", STR_ARG(line.text));
		}
		assert_string_equal(out, cases[i].out);
		arena_free(&mem);
	}
}

static void
test_inline(void **state)
{
	static const struct {
		const char *name, *out;
	} cases[] = {
		{ "{}", "" },
		{ "{{/a b/ c}}", "/a b/ c\n" },
		{ "{ {a} , { b  c }{d}", "missing '}' in \"{ {a} , { b  c }{d}\"" },
		{ "{ {a} , { b  c } }", "a\nb  c\n" },
		{ "{{a{2}}}", "a{2}\n" },
		{ "{a}", "no '{' at start of text in \"a\"" },
		{ "{{a}{b}}", "syntax error after '}' in \"{a}{b}\"" },
		{ "{{a}}x", "syntax error after '}' in \"{{a}}x\"" },
		{ "{{a}} ", "syntax error after '}' in \"{{a}} \"" },
		{ "{{a}x", "missing '}' in \"{{a}x\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(1 << 20);
		struct err e = { 0 };
		struct str out;

		if (pattern_inline(str_c(cases[i].name), mem, &out, &e) != RC_OK)
			out = str_c(e.text);
		assert_string_equal(arena_cstr(mem, out), cases[i].out);
		arena_free(&mem);
	}
}

static void
test_subst(void **state)
{
	static const struct {
		const char *value, *out; /* expanded, or the warnings */
	} cases[] = {
		{ "plain", "plain" },
		{ "$1", "ab" },
		{ "<${1}$(2)$$1>", "<ab$1>" },
		{ "$01$1-$2.", "abab-." },
		{ "$4294967297", "ab" },
		{ "$3", "out of range" },
		{ "$2147483649", "out of range" },
		{ "$99999999999999999999999", "out of range" },
		{ "$0", "7: Z replacement index \"0\"\n" },
		{ "x$ y $1", "empty macro name: \"x$ y $1\"\n" },
		{ "${}", "empty macro name: \"${}\"\n" },
		{ "a ${1", "truncated macro reference: \"a ${1\"\n" },
		{ "$1a", "7: non-numeric replacement index \"1a\"\n" },
		{ "${${1}}", "7: non-numeric replacement index \"${1}\"\n" },
		{ "${ 1}", "7: non-numeric replacement index \" 1\"\n" },
		{ "${-1}", "7: non-numeric replacement index \"-1\"\n" },
	};
	static const struct pattern_words words = { .zero_index = "Z" };
	static const size_t group[] = { 0, 5, 1, 3, SIZE_MAX, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct pattern_groups g = { STR("xabyz"), group, 3 };
		struct arena *mem = arena_new(1 << 20);
		struct heard h = { .n = 0 };
		const struct pattern_warner w = { hear, &h };
		struct str v = str_c(cases[i].value), out = STR("");
		struct pattern_subst s;

		if (pattern_subst_scan(v, 7, &words, &w, &s) != RC_OK)
			out = str_c(h.text);
		else if (s.max >= g.n)
			out = STR("out of range");
		else
			assert_int_equal(pattern_subst_expand(v, &g, mem, &out), RC_OK);
		assert_string_equal(arena_cstr(mem, out), cases[i].out);
		arena_free(&mem);
	}
}

static void
test_literal(void **state)
{
	static const struct {
		const char *regex;
		const char *ere, *perl; /* literal/groups; "?": not plain; "-": unknown */
	} cases[] = {
		{ "Viagra", "viagra/0", "viagra/0" },
		{ "^(.*)@Example\\.com$", "@example.com/1", "@example.com/1" },
		{ "ab|cd", "/0", "/0" },
		{ "(ab|cd)efg", "efg/1", "efg/1" },
		{ "abc?de", "ab/0", "ab/0" },
		{ "abc+d", "abc/0", "abc/0" },
		{ "abc*", "ab/0", "ab/0" },
		{ "(abc)+de", "de/1", "de/1" },
		{ "abc{0}de", "ab/?", "ab/?" },
		{ "abc{2,3}de", "ab/?", "ab/?" },
		{ "a{,3}", "-", "-" },
		{ "a{x", "-", "-" },
		{ "[xyz]+abc", "abc/0", "abc/0" },
		{ "[^0-9a-fZ]abc", "abc/0", "abc/0" },
		{ "[z-a]abc", "abc/?", "abc/?" },
		{ "[0-z]abc", "abc/?", "abc/?" },
		{ "[a-]abc", "abc/?", "abc/?" },
		{ "[a-c-e]abc", "abc/?", "abc/?" },
		{ "[]x]abc", "abc/?", "abc/?" },
		{ "[[:alpha:]]abc", "-", "-" },
		{ "[\\]]abc", "-", "abc/?" },
		{ "[\\Q]abc]\\E", "-", "-" },
		{ "abc+?d", "-", "abc/0" },
		{ "ab??cd", "-", "cd/0" },
		{ "ab?+cd", "-", "cd/0" },
		{ "ab**", "-", "-" },
		{ "\\bfoo\\b", "-", "foo/0" },
		{ "\\d+foo", "-", "foo/0" },
		{ "(?:ab)cd", "-", "cd/0" },
		{ "(?i)cd", "-", "-" },
		{ "(?=ab)cd", "-", "-" },
		{ "(*UTF)cd", "-", "-" },
		{ "\\Qa.b\\E", "-", "-" },
		{ "(a)\\1", "-", "-" },
		{ "\\<abc", "-", "-" },
		{ "\\.\\-\\/x", ".-/x/0", ".-/x/0" },
		{ "(ab", "-", "-" },
		{ "ab)", "-", "-" },
		{ "*ab", "-", "-" },
		{ "^*ab", "-", "-" },
		{ "", "-", "-" },
		{ "a||b", "-", "-" },
		{ "()", "-", "-" },
		{ "ab\\", "-", "-" },
		{ "\xc3\xa4", "-", "-" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		bool is_perl = i % 2 == 1;
		const char *regex = cases[i / 2].regex;
		struct arena *mem = arena_new(1 << 20);
		struct pattern_literal l;
		char out[100];

		assert_int_equal(pattern_literal_scan(str_c(regex),
				     is_perl ? PATTERN_PERL : PATTERN_ERE, mem, &l),
		    RC_OK);
		if (l.text.n == 0 && !l.is_plain)
			(void)snprintf(out, sizeof(out), "-");
		else if (!l.is_plain)
			(void)snprintf(out, sizeof(out), "%.*s/?", STR_ARG(l.text));
		else
			(void)snprintf(
			    out, sizeof(out), "%.*s/%u", STR_ARG(l.text), l.n_groups);
		assert_string_equal(out, is_perl ? cases[i / 2].perl : cases[i / 2].ere);
		arena_free(&mem);
	}
}

/* ---- random rules against the naive walk ---- */

static uint64_t seed;

static unsigned
dice(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((seed >> 33) % below);
}

static void
test_index(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct pattern_index *x = pattern_index_new();
		char literal[60][12], key[40];
		unsigned n = 1 + dice(60), n_key;
		const uint32_t *hits;
		size_t n_hits, at = 0;

		seed = round;
		for (unsigned i = 0; i < n; i++) {
			unsigned len = 3 + dice(8);

			for (unsigned j = 0; j < len; j++)
				literal[i][j] = (char)('a' + dice(2));
			literal[i][len] = '\0';
			pattern_index_add(x, i, str_c(literal[i]));
		}
		pattern_index_done(x);
		n_key = dice(sizeof(key) - 1);
		for (unsigned j = 0; j < n_key; j++)
			key[j] = (char)((dice(2) ? 'a' : 'A') + (int)dice(2));
		key[n_key] = '\0';
		n_hits = pattern_index_find(x, str_c(key), &hits);
		for (uint32_t i = 0; i < n; i++)
			if (strcasestr(key, literal[i]) != NULL) {
				assert_true(at < n_hits);
				assert_int_equal(hits[at++], i);
			}
		assert_int_equal(at, n_hits);
		pattern_index_free(&x);
	}
}

/* A pattern over a, b and c, seldom malformed. */
static size_t
random_regex(char *p, unsigned depth)
{
	static const char *const atoms[] = { "abc", "bca", "cab", "aab", ".", "[ab]",
		"\\.", "abcab", "^", "$", "b" };
	static const char *const repeats[] = { "", "", "", "", "*", "+", "?", "{1,2}" };
	unsigned n = 1 + dice(3);
	char *start = p;

	for (unsigned i = 0; i < n; i++) {
		if (depth > 0 && dice(5) == 0) {
			*p++ = '(';
			p += random_regex(p, depth - 1);
			if (dice(2) == 0) {
				*p++ = '|';
				p += random_regex(p, depth - 1);
			}
			*p++ = ')';
		} else {
			p = stpcpy(p, atoms[dice(ARRAY_LEN(atoms))]);
		}
		p = stpcpy(p, repeats[dice(ARRAY_LEN(repeats))]);
	}
	*p = '\0';
	return (size_t)(p - start);
}

static void
random_table(char *p)
{
	unsigned n = 1 + dice(30);

	p = stpcpy(p, "{");
	for (unsigned i = 0; i < n; i++) {
		char regex[1000];
		unsigned what = dice(12);

		(void)random_regex(regex, 2);
		if (what == 0)
			p += sprintf(p, " {if %s/%s/}", dice(3) ? "" : "!", regex);
		else if (what == 1)
			p += sprintf(p, " {endif}");
		else
			p += sprintf(p, " {%s/%s/%s r%u%s}", dice(8) ? "" : "!", regex,
			    dice(5) ? "" : "i", i, dice(6) ? "" : " $1");
	}
	(void)stpcpy(p, " }");
}

static void
compare_tables(const struct map_type *type, const char *spec)
{
	static const struct map_env env;
	const struct map_how how = { .name = str_c(spec), .env = &env };
	struct arena *mem = arena_new(1 << 20);
	void *fast, *slow;
	struct err e;

	assert_int_equal(type->open(&how, &fast, &e), RC_OK);
	assert_int_equal(type->open(&how, &slow, &e), RC_OK);
	pattern_table_forget_index(slow);
	for (unsigned i = 0; i < 40; i++) {
		char key[16];
		unsigned n = 1 + dice(sizeof(key) - 1);
		struct str a = STR("none"), b = STR("none");

		for (unsigned j = 0; j < n; j++)
			key[j] = "abcABC."[dice(7)];
		assert_int_equal(type->find(fast, str_n(key, n), 0, mem, &a, &e),
		    type->find(slow, str_n(key, n), 0, mem, &b, &e));
		assert_true(str_eq(a, b));
		arena_reset(mem);
	}
	type->close(fast);
	type->close(slow);
	arena_free(&mem);
}

static void
test_patterns_random(void **state)
{
	char *spec = mem_get(100000);

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		seed = round;
		random_table(spec);
		compare_tables(&map_type_pcre, spec);
		compare_tables(&map_type_regexp, spec);
	}
	free(spec);
}

/* regexp: asks PCRE2 first. The answer must be regexec()'s, with and without groups. */
static void
compare_with_libc(const char *regex, const char *key)
{
	static const struct map_env env;
	struct arena *mem = arena_new(1 << 20);
	struct str rule[2] = { arena_printf(mem, "{{/%s/ <>}}", regex),
		arena_printf(mem, "{{/(%s)/ <$1>}}", regex) };
	const char *pattern[2] = { regex,
		arena_cstr(mem, arena_printf(mem, "(%s)", regex)) };

	for (size_t i = 0; i < 2; i++) {
		const struct map_how how = { .name = rule[i], .env = &env };
		struct str got = STR("none"), want = STR("none");
		int options = REG_EXTENDED | REG_ICASE | (i == 0 ? REG_NOSUB : 0);
		regmatch_t group[2] = { { 0, 0 }, { 0, 0 } };
		struct err e;
		void *state;
		regex_t re;

		if (regcomp(&re, pattern[i], options) == 0) {
			if (regexec(&re, key, 2, group, 0) == 0)
				want = arena_printf(mem, "<%.*s>",
				    (int)(group[1].rm_eo - group[1].rm_so),
				    key + group[1].rm_so);
			regfree(&re);
		}
		assert_int_equal(map_type_regexp.open(&how, &state, &e), RC_OK);
		(void)!map_type_regexp.find(state, str_c(key), 0, mem, &got, &e);
		if (!str_eq(got, want))
			fail_msg("%.*s: \"%s\" gives %.*s, not %.*s", STR_ARG(rule[i]),
			    key, STR_ARG(got), STR_ARG(want));
		map_type_regexp.close(state);
	}
	arena_free(&mem);
}

static void
test_regexp_random(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		char regex[1000], key[12];
		unsigned n;

		seed = round;
		(void)random_regex(regex, 3);
		n = dice(sizeof(key) - 1);
		for (unsigned j = 0; j < n; j++)
			key[j] = "abcABC.\n"[dice(8)];
		key[n] = '\0';
		compare_with_libc(regex, key);
	}
}

static struct cidr_line
random_net(void)
{
	struct cidr_line l = { .is_negated = dice(10) == 0 };
	unsigned bits = dice(4) ? 24 + dice(9) : dice(33);

	l.net.is_v6 = dice(4) == 0;
	l.net.bits = (uint8_t)bits;
	l.net.addr[0] = (uint8_t)(dice(2) << 7);
	l.net.addr[3] = (uint8_t)dice(8);
	for (unsigned i = bits; i < 32; i++)
		l.net.addr[i / 8] &= (uint8_t) ~(0x80 >> (i % 8));
	return l;
}

/* The definition: line after line. */
static struct str
naive(const struct cidr_line *l, unsigned n, const struct cidr_net *addr)
{
	unsigned hidden = 0, depth = 0;

	for (unsigned i = 0; i < n; i++) {
		bool is_match = l[i].net.is_v6 == addr->is_v6 &&
				cidr_net_holds(&l[i].net, addr) != l[i].is_negated;

		if (l[i].op == PATTERN_ENDIF) {
			if (hidden == depth)
				hidden = 0;
			depth--;
		} else if (l[i].op == PATTERN_IF) {
			depth++;
			if (hidden == 0 && !is_match)
				hidden = depth;
		} else if (hidden == 0 && is_match) {
			return l[i].value;
		}
	}
	return STR("none");
}

static void
test_cidr_random(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		struct cidr_rules *r = cidr_rules_new();
		const struct pattern_warner nobody = { 0 };
		struct cidr_line l[60];
		char value[60][4];
		unsigned n = 1 + dice(60), depth = 0;

		seed = round;
		for (unsigned i = 0; i < n; i++) {
			unsigned what = dice(10);

			l[i] = random_net();
			(void)sprintf(value[i], "%u", i);
			l[i].value = str_c(value[i]);
			if (what == 0)
				l[i].op = PATTERN_IF;
			else if (what == 1 && depth > 0)
				l[i].op = PATTERN_ENDIF;
			depth += (what == 0);
			depth -= (l[i].op == PATTERN_ENDIF);
			cidr_rules_add(r, &l[i], i, &nobody);
		}
		cidr_rules_done(r, &nobody);
		for (unsigned i = 0; i < 50; i++) {
			struct cidr_net addr = random_net().net;
			struct str out = STR("none");

			addr.bits = addr.is_v6 ? 128 : 32;
			addr.addr[3] = (uint8_t)dice(8);
			(void)!cidr_rules_find(r, &addr, &out);
			assert_true(str_eq(out, naive(l, n, &addr)));
		}
		cidr_rules_free(&r);
	}
}

/* ---- whole tables ---- */

static void
test_tables(void **state)
{
	static const struct {
		const char *spec, *key, *out;
		unsigned flags;
	} cases[] = {
		{ "pcre:{{/^(.*)@(x)$/ $2-${1}}}", "Joe@X", "X-Joe", 0 },
		{ "pcre:{{/^(.*)@(x)$/ $2-${1}}}", "Joe@X", "none", MAP_NO_SUBST },
		{ "regexp:{{/^(.*)@(x)$/ $2-${1}}}", "Joe@X", "X-Joe", 0 },
		{ "regexp:{{/a/i small}{/A/ any}}", "A", NULL, 0 },
		{ "regexp:{{/a/i small} {/A/ any}}", "A", "any", 0 },
		{ "regexp:{{!/a/ no a} {/b/ b}}", "ab", "b", 0 },
		{ "regexp:{{if !/a/} {/b/ in} {endif} {/b/ out}}", "ab", "out", 0 },
		{ "regexp:{{if !/a/} {/b/ in} {endif} {/b/ out}}", "b", "in", 0 },
		{ "pcre:{{if /a/} {if /b/} {/c/ abc} {endif} {/c/ ac} {endif} {/c/ c}}",
		    "bc", "c", 0 },
		{ "pcre:{{if /a/} {if /b/} {/c/ abc} {endif} {/c/ ac} {endif} {/c/ c}}",
		    "ac", "ac", 0 },
		{ "pcre:{{if /a/} {/b/ x}}", "b", "none", 0 },
		{ "regexp:{{/^(a+)+$/ bomb} {/b/ b}}",
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "b", 0 },
		{ "cidr:{{10.0.0.0/8 ten} {::/0 six}}", "10.9.8.7", "ten", 0 },
		{ "cidr:{{10.0.0.0/8 ten} {::/0 six}}", "::1", "six", 0 },
		{ "cidr:{{!10.0.0.0/8 x}}", "::1", "none", 0 },
		{ "cidr:{{!10.0.0.0/8 x}}", "11.0.0.1", "x", 0 },
		{ "cidr:{{!10.0.0.0/8 x}}", "junk", "none", 0 },
		{ "cidr:{{::ffff:1.2.3.0/120 mapped} {1.2.3.0/24 four}}", "1.2.3.4",
		    "four", 0 },
		{ "pcre:/nonexistent/table", "x", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct map_open_request req = { .spec = str_c(cases[i].spec) };
		struct arena *mem = arena_new(1 << 20);
		struct str out = STR("none");
		struct map *m = NULL;
		struct err e;
		enum rc rc = map_open(&req, &m, &e);

		assert_int_equal(rc == RC_OK, cases[i].out != NULL);
		if (rc == RC_OK) {
			(void)!map_find(
			    m, str_c(cases[i].key), cases[i].flags, mem, &out, &e);
			assert_string_equal(arena_cstr(mem, out), cases[i].out);
		}
		map_close(&m);
		arena_free(&mem);
	}
}

static void
test_a_key_cannot_make_a_match_last(void **state)
{
	const struct map_open_request req = { .spec = STR("pcre:{{/^(a+)+$/ bomb}}") };
	struct arena *mem = arena_new(1 << 20);
	struct map *m;
	struct str out;
	struct err e;

	(void)state;
	assert_int_equal(map_open(&req, &m, &e), RC_OK);
	for (unsigned i = 0; i < 40; i++) /* interpreted, then as machine code */
		assert_int_equal(
		    map_find(m, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 0,
			mem, &out, &e),
		    RC_TEMP);
	assert_non_null(strstr(e.text, "line 1: match limit exceeded"));
	map_close(&m);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_subst),
		cmocka_unit_test(test_literal),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_patterns_random),
		cmocka_unit_test(test_regexp_random),
		cmocka_unit_test(test_cidr_random),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_a_key_cannot_make_a_match_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
