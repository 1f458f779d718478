/* What Postfix 3.7 did with the same tables, asked one by one. */
#include "route/mapping.h"
#include "route/testing.h"
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char tables[] =
    "hash:va loop1@v.test = loop2@v.test\n"
    "hash:va loop2@v.test = loop1@v.test\n"
    "hash:va self@v.test = self@v.test, a@x.test\n"
    "hash:va grp@v.test = a@x.test b@x.test, \"c d\"@x.test, Joe <joe@x.test>, foo "
    "(comment) bar: q@x.test, r@x.test;\n"
    "hash:va five1@v.test = five2@v.test\n"
    "hash:va five2@v.test = five3@v.test\n"
    "hash:va five3@v.test = five4@v.test\n"
    "hash:va five4@v.test = five5@v.test\n"
    "hash:va five5@v.test = five6@v.test\n"
    "hash:va big@v.test = 1@x.t,2@x.t,3@x.t,4@x.t,5@x.t,6@x.t,7@x.t,8@x.t,9@x.t,10@x.t\n"
    "hash:va big11@v.test = "
    "1@x.t,2@x.t,3@x.t,4@x.t,5@x.t,6@x.t,7@x.t,8@x.t,9@x.t,10@x.t,11@x.t\n"
    "hash:va long@v.test = "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.test\n"
    "hash:va @dom.test = @other.test\n"
    "hash:va @dom2.test = @other2.test, two@x.test\n"
    "hash:va @route.test = @a,@b:c@d.test\n"
    "hash:va ext@v.test = e1@x.test e2+z@x.test\n"
    "hash:va empty@v.test = <>\n"
    "hash:va nobody@v.test = \"\"\n"
    "hash:va comma@v.test = ,\n"
    "hash:va word@v.test = word\n"
    "hash:va bang@v.test = host!user\n"
    "hash:va pipe@v.test = |/bin/true\n"
    "hash:va q@v.test = \"a b\"+c@x.test\n"
    "hash:va bare = bareto@x.test\n"
    "hash:can c1@c.test = c2@c.test\n"
    "hash:can c2@c.test = c3@c.test\n"
    "hash:can loopa@c.test = loopb@c.test\n"
    "hash:can loopb@c.test = loopa@c.test\n"
    "hash:can same@c.test = SAME@c.test\n"
    "hash:can multi@c.test = m1@c.test m2@c.test\n"
    "hash:can cext@c.test = cx@c.test\n"
    "hash:can @cdom.test = @cdom2.test\n"
    "hash:can cname = cnamed\n"
    "hash:can nonaddr@c.test = ,\n"
    "hash:can quoted@c.test = \"a\rRCPT TO:<b@x.test>\"@x.test\n"
    "hash:can @crdom.test = @x.test\rX: y\n"
    "hash:can s2@c.test = s3@c.test\n"
    "hash:scan s@c.test = s2@c.test\n"
    "hash:rcan r@c.test = r2@c.test\n"
    "hash:sbcc m@sb.test = one@x.test, two@x.test\n"
    "hash:sbcc s3@c.test = sbcc@x.test\n"
    "hash:rbcc ext@rb.test = rbext@x.test\n"
    "hash:rbcc @rbd.test = @rbother.test\n";

struct world {
	struct arena *mem;
	struct route_conf route;
	struct mapping_conf c;
	struct ask a;
	struct err e;
};

static void
begin(struct world *w)
{
	enum rc rc;

	memset(w, 0, sizeof(*w));
	w->mem = arena_new(1 << 20);
	testing_conf(&w->route, w->mem);
	w->c = (struct mapping_conf){ .route = &w->route,
		.canonical = testing_names("hash:can", w->mem),
		.sender_canonical = testing_names("hash:scan", w->mem),
		.recipient_canonical = testing_names("hash:rcan", w->mem),
		.canonical_classes = 15,
		.sender_canonical_classes = 1 << MAPPING_ENVELOPE_SENDER,
		.recipient_canonical_classes = 1 << MAPPING_ENVELOPE_RECIPIENT,
		.masquerade_classes = 15,
		.masquerade_exceptions = testing_list("root", ROUTE_LIST_STRING, w->mem),
		.virtual_alias = testing_names("hash:va", w->mem),
		.virtual_expansion_limit = 10,
		.virtual_recursion_limit = 5,
		.virtual_length_limit = 60,
		.propagate = MAPPING_EXT_CANONICAL | MAPPING_EXT_VIRTUAL,
		.sender_bcc = testing_names("hash:sbcc", w->mem),
		.recipient_bcc = testing_names("hash:rbcc", w->mem) };
	rc = mapping_masquerade_parse(
	    STR("!keep.masq.test masq.test"), w->mem, &w->c, NULL);
	assert(rc == RC_OK);
	ask_init(&w->a, w->mem, 0);
	w->a.now = testing_tables;
	w->a.now_ctx = tables;
}

/* "address[|warning]", or "temp why". */
static const char *
mapped(enum mapping_class cls, const char *address, const char *broken)
{
	static char line[600];
	struct world w;
	struct str out = STR("?");
	enum rc rc;

	begin(&w);
	if (broken != NULL)
		w.c.canonical = testing_names(broken, w.mem);
	rc = mapping_address(&w.a, &w.c, cls, str_c(address), &out, &w.e);
	if (rc == RC_OK)
		(void)snprintf(line, sizeof(line), "%.*s%s%s", STR_ARG(out),
		    w.e.text[0] != '\0' ? "|" : "", w.e.text);
	else
		(void)snprintf(line, sizeof(line), "%s %s", rc_name(rc), w.e.text);
	arena_free(&w.mem);
	return line;
}

static void
canonical(void **state)
{
	static const struct {
		enum mapping_class cls;
		const char *in, *out;
	} cases[] = {
		{ MAPPING_ENVELOPE_RECIPIENT, "c1@c.test", "c3@c.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "loopa@c.test",
		    "loopa@c.test|unreasonable canonical_maps map nesting for "
		    "loopa@c.test -- message not accepted, try again later" },
		{ MAPPING_ENVELOPE_RECIPIENT, "same@c.test", "SAME@c.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "multi@c.test",
		    "m1@c.test|multi-valued canonical_maps entry for multi@c.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "cext+yy@c.test", "cx+yy@c.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "u+e@cdom.test", "u+e@cdom2.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "\"q x\"@cdom.test", "\"q x\"@cdom2.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "cname+zz", "cnamed+zz@mail.example.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "nonaddr@c.test",
		    "temp canonical_maps lookup of nonaddr@c.test returns non-address "
		    "result \",\"\ncanonical_maps map lookup problem for nonaddr@c.test "
		    "-- message not accepted, try again later" },
		{ MAPPING_ENVELOPE_RECIPIENT, "quoted@c.test",
		    "temp canonical_maps lookup of quoted@c.test returns an address with "
		    "a line break\ncanonical_maps map lookup problem for quoted@c.test "
		    "-- message not accepted, try again later" },
		{ MAPPING_ENVELOPE_RECIPIENT, "u@crdom.test",
		    "temp canonical_maps lookup of u@crdom.test returns an address with "
		    "a line break\ncanonical_maps map lookup problem for u@crdom.test "
		    "-- message not accepted, try again later" },
		{ MAPPING_ENVELOPE_RECIPIENT, "r+kk@c.test", "r2+kk@c.test" },
		{ MAPPING_HEADER_RECIPIENT, "r+kk@c.test", "r+kk@c.test" },
		{ MAPPING_ENVELOPE_SENDER, "r@c.test", "r@c.test" },
		{ MAPPING_ENVELOPE_SENDER, "s+k@c.test", "s3+k@c.test" },
		{ MAPPING_HEADER_SENDER, "s+k@c.test", "s+k@c.test" },
		{ MAPPING_ENVELOPE_SENDER, "", "" },
		{ MAPPING_ENVELOPE_SENDER, "u@a.b.Masq.Test", "u@masq.test" },
		{ MAPPING_ENVELOPE_SENDER, "u@x.keep.masq.test", "u@x.keep.masq.test" },
		{ MAPPING_ENVELOPE_SENDER, "u@keep.masq.test", "u@keep.masq.test" },
		{ MAPPING_ENVELOPE_SENDER, "root@h.masq.test", "root@h.masq.test" },
		{ MAPPING_ENVELOPE_SENDER, "u@masq.test", "u@masq.test" },
		{ MAPPING_ENVELOPE_SENDER, "u@xmasq.test", "u@xmasq.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
		    mapped(cases[i].cls, cases[i].in, NULL), cases[i].out);
	assert_string_equal(mapped(MAPPING_HEADER_SENDER, "any@where.test", "broken:"),
	    "temp canonical_maps map lookup problem for any@where.test -- message not "
	    "accepted, try again later");
}

static void
put(char *line, size_t size, struct str s)
{
	size_t n = strlen(line);

	(void)snprintf(line + n, size - n, "%s%.*s", n > 0 ? " " : "", STR_ARG(s));
}

/* "result result …", or "temp[ loop] why". */
static const char *
expanded(const char *address, const char *tables_text)
{
	static char line[600];
	struct world w;
	struct mapping_expansion x;
	enum rc rc;

	begin(&w);
	if (tables_text != NULL)
		w.c.virtual_alias = testing_names(tables_text, w.mem);
	rc = mapping_expansion_init(&x, w.mem, str_c(address));
	while (rc == RC_OK) {
		ask_reset(&w.a, w.mem);
		rc = mapping_expansion_step(&w.a, &w.c, &x, &w.e);
	}
	line[0] = '\0';
	if (rc == RC_NONE)
		for (size_t i = 0; i < x.n; i++)
			put(line, sizeof(line), x.v[i].n > 0 ? x.v[i] : STR("<>"));
	else
		(void)snprintf(line, sizeof(line), "%s%s %s", rc_name(rc),
		    x.is_loop ? " loop" : "", w.e.text);
	arena_free(&w.mem);
	return line;
}

static void
aliases(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "nobody@x.test", "nobody@x.test" },
		{ "loop1@v.test",
		    "temp loop unreasonable virtual_alias_maps map nesting for "
		    "loop1@v.test -- message not accepted, try again later" },
		{ "self@v.test", "self@v.test a@x.test" },
		{ "grp@v.test",
		    "a@x.test b@x.test \"c d\"@x.test joe@x.test q@x.test r@x.test" },
		{ "five2@v.test", "five6@v.test" },
		{ "five1@v.test",
		    "temp loop unreasonable virtual_alias_maps map nesting for "
		    "five1@v.test -- message not accepted, try again later" },
		{ "big@v.test", "1@x.t 2@x.t 3@x.t 4@x.t 5@x.t 6@x.t 7@x.t 8@x.t 9@x.t "
				"10@x.t" },
		{ "big11@v.test",
		    "temp loop unreasonable virtual_alias_maps map expansion size for "
		    "big11@v.test -- message not accepted, try again later" },
		{ "long@v.test",
		    "temp loop unreasonable virtual_alias_maps result "
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "@x.test... -- message not accepted, try again later" },
		{ "u+e@dom.test", "u+e@other.test" },
		{ "u+e@dom2.test", "\"u+e@other2.test, two\"@x.test" },
		{ "rt@route.test", "\"rt@a,@b:c\"@d.test" },
		{ "ext+foo@v.test", "e1+foo@x.test e2+z+foo@x.test" },
		{ "empty@v.test", "<>" },
		{ "nobody@v.test", "<>" },
		{ "comma@v.test",
		    "temp virtual_alias_maps lookup of comma@v.test returns non-address "
		    "result \",\"\nvirtual_alias_maps map lookup problem for "
		    "comma@v.test -- message not accepted, try again later" },
		{ "word@v.test", "word@mail.example.test" },
		{ "bang@v.test", "user@host.example.test" },
		{ "pipe@v.test", "|/bin/true@mail.example.test" },
		{ "q@v.test", "\"a b\"@mail.example.test +c@x.test" },
		{ "bare+e@mail.example.test", "bareto+e@x.test" },
		{ "bare+e@elsewhere.test", "bare+e@elsewhere.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(expanded(cases[i].in, NULL), cases[i].out);
	assert_string_equal(expanded("x@y.test", "broken:"),
	    "temp virtual_alias_maps map lookup problem for x@y.test -- message not "
	    "accepted, try again later");
	assert_string_equal(expanded("x@y.test", "hash:none"), "x@y.test");
}

static void
copies(void **state)
{
	static const struct {
		enum mapping_class cls;
		const char *in, *out;
	} cases[] = {
		{ MAPPING_ENVELOPE_SENDER, "s3+k@c.test", "sbcc@x.test" },
		{ MAPPING_ENVELOPE_SENDER, "m@sb.test", "\"one@x.test, two\"@x.test" },
		{ MAPPING_ENVELOPE_SENDER, "ext@rb.test", "none" },
		{ MAPPING_ENVELOPE_RECIPIENT, "ext+q@rb.test", "rbext@x.test" },
		{ MAPPING_ENVELOPE_RECIPIENT, "a@rbd.test", "\"\"@rbother.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		struct str out = STR("none");
		enum rc rc;

		begin(&w);
		rc =
		    mapping_bcc(&w.a, &w.c, cases[i].cls, str_c(cases[i].in), &out, &w.e);
		assert_true(rc == RC_OK || rc == RC_NONE);
		if (!str_is(out, cases[i].out))
			fail_msg("%s: %.*s", cases[i].in, STR_ARG(out));
		arena_free(&w.mem);
	}
}

static void
lists(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ " , ;", "" },
		{ "a@b", "a@b" },
		{ "a@b,c@d", "a@b c@d" },
		{ "a@b c@d", "a@b c@d" },
		{ "Joe Bloggs <joe@x> foo", "joe@x foo" },
		{ "one@a, Joe Bloggs <joe@x>, two@b", "one@a joe@x two@b" },
		{ "<>", "<>" },
		{ "<> <a>", "<> a" },
		{ "\"a, b\"@c (d, \"e)", "\"a, b\"@c" },
		{ "a (x (y) z) @ b . c", "a@b.c" },
		{ "u@[1.2.3.4]", "u@[1.2.3.4]" },
		{ "group: a@b, c@d;, e", "a@b c@d e" },
		{ "a\\,b@c", "a\\,b@c" },
		{ "<@a,@b:c@d>", "@a,@b:c@d" },
		{ "<a@b", "a@b" },
		{ "\"a", "\"a" },
		{ "(((", "" },
		{ "a\\", "a\\" },
		{ "[", "[" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *mem = arena_new(1 << 16);
		struct mapping_found found = { 0 };
		char line[200] = "";
		enum rc rc = mapping_list_parse(str_c(cases[i].in), mem, &found);

		assert_int_equal(rc, cases[i].out[0] != '\0' ? RC_OK : RC_NONE);
		for (size_t k = 0; rc == RC_OK && k < found.n; k++)
			put(line, sizeof(line),
			    found.v[k].n > 0 ? found.v[k] : STR("<>"));
		assert_string_equal(line, cases[i].out);
		arena_free(&mem);
	}
}

static void
remote_headers(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "user", "user@domain.invalid" },
		{ "user@host", "user@host.domain.invalid" },
		{ "user@a.b", "user@a.b" },
		{ "c1@c.test", "c3@c.test" },
	};
	struct route_conf remote;
	struct world w;

	(void)state;
	begin(&w);
	remote = w.route;
	remote.myorigin = remote.mydomain = STR("domain.invalid");
	w.c.complete = &remote;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str out;

		assert_int_equal(mapping_address(&w.a, &w.c, MAPPING_HEADER_SENDER,
				     str_c(cases[i].in), &out, &w.e),
		    RC_OK);
		if (!str_is(out, cases[i].out))
			fail_msg("%s: %.*s", cases[i].in, STR_ARG(out));
	}
	arena_free(&w.mem);
}

static void
names(void **state)
{
	unsigned set = 0;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
	    mapping_classes_parse(STR("envelope_sender, header_recipient"), &set, &e),
	    RC_OK);
	assert_int_equal(
	    set, 1 << MAPPING_ENVELOPE_SENDER | 1 << MAPPING_HEADER_RECIPIENT);
	assert_int_equal(mapping_classes_parse(STR("envelope"), &set, &e), RC_PERM);
	assert_string_equal(e.text, "unknown name: \"envelope\"");
	assert_int_equal(
	    mapping_propagate_parse(STR("generic virtual"), &set, &e), RC_OK);
	assert_int_equal(set, MAPPING_EXT_GENERIC | MAPPING_EXT_VIRTUAL);
}

/* Answers come one at a time, each after the caller went away and came back. */
static void
waits(void **state)
{
	struct world w;
	struct mapping_expansion x;
	unsigned n_waits = 0;
	enum rc rc;

	(void)state;
	begin(&w);
	w.a.now = NULL;
	rc = mapping_expansion_init(&x, w.mem, STR("self@v.test"));
	while (rc == RC_OK || rc == RC_MORE) {
		rc = mapping_expansion_step(&w.a, &w.c, &x, &w.e);
		if (rc == RC_MORE) {
			struct str value = STR("");
			enum rc found =
			    testing_tables(tables, &w.a.wanted, w.mem, &value);

			ask_answer(&w.a, found, value);
			n_waits++;
		}
	}
	assert_int_equal(rc, RC_NONE);
	assert_int_equal(x.n, 2);
	assert_true(str_is(x.v[1], "a@x.test"));
	assert_in_range(n_waits, 3, 20);
	arena_free(&w.mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(canonical),
		cmocka_unit_test(aliases), cmocka_unit_test(copies),
		cmocka_unit_test(lists), cmocka_unit_test(remote_headers),
		cmocka_unit_test(names), cmocka_unit_test(waits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
