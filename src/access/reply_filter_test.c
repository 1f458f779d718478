/* smtpd_dns_reply_filter: which records of an answer are left, and what is said of the
 * others. */
#include "access/dns_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* "TYPE NAME=record|record". "=": malformed; no "=": trouble. What is not here does not
 * exist. */
static const char *const answers[] = {
	"A+ one.test=one.test. 60 IN A 192.0.2.1|one.test. 60 IN A 192.0.2.2",
	"AAAA+ one.test=one.test. 60 IN AAAA 2001:db8::1",
	"MX+ one.test=one.test. 60 IN MX 10 a.test.|one.test. 60 IN MX 20 b.test.",
	"MX+ null.test=null.test. 60 IN MX 0 .",
	"NS+ one.test=one.test. 60 IN NS ns.one.test.",
	"TXT+ one.test=one.test. 60 IN TXT ends with a dot.",
	"A+ broken.test=",
	"A+ trouble.test",
	"A one.test=192.0.2.9",
	"PTR one.test=name.test",
};

struct row {
	const char *title;
	const char *rules; /* "PART=ACTION", ';' between; the first whose PART is in the
			    * record; "PART" alone: trouble. NULL: there is no filter */
	const char *type, *name, *out; /* the result, the lines, and what is noted */
};

static enum rc
answer_dns(const struct ask_question *q, struct arena *mem, struct str *out)
{
	char head[200];

	(void)snprintf(
	    head, sizeof(head), "%.*s %.*s", STR_ARG(q->source), STR_ARG(q->key));
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct str line = str_c(answers[i]), rest, one;

		if (str_is(line, head)) {
			*out = STR("no server");
			return RC_TEMP;
		}
		if (!str_starts(line, str_c(head)) || line.p[strlen(head)] != '=')
			continue;
		rest = str_from(line, strlen(head) + 1);
		*out = STR("");
		while (str_token(&rest, "|", &one))
			*out =
			    arena_printf(mem, "%.*s%.*s\n", STR_ARG(*out), STR_ARG(one));
		return RC_OK;
	}
	*out = STR("Host not found");
	return RC_NONE;
}

static bool
contains(struct str s, struct str part)
{
	for (; s.n >= part.n; s = str_from(s, 1))
		if (str_starts(s, part))
			return true;
	return false;
}

static enum rc
answer(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	struct str rules = str_c(ctx), rule, part, action;

	if (q->kind == ASK_DNS)
		return answer_dns(q, mem, out);
	assert_true(str_is(q->source, "regexp:/f"));
	while (str_token(&rules, ";", &rule)) {
		bool has_action = str_cut(rule, '=', &part, &action);

		if (!contains(q->key, has_action ? part : rule))
			continue;
		*out = has_action ? action : STR("gone");
		return has_action ? RC_OK : RC_TEMP;
	}
	return RC_NONE;
}

static void
put(char line[500], const char *before, struct str s)
{
	size_t n = strlen(line);

	(void)snprintf(line + n, 500 - n, "%s%.*s", before, STR_ARG(s));
}

/* A question, with the row's rules; its answer's words when `line` is set. */
static enum rc
run(const struct row *r, char line[500], char said[200])
{
	static const struct str table = STR_INIT("regexp:/f");
	struct access_conf conf = { .dns_reply_filter = { &table, r->rules != NULL, 0 } };
	struct access_eval ev = { .c = &conf };
	struct arena *mem = arena_new(1 << 16);
	struct str out = STR(""), one;
	struct ask a;
	enum rc rc;

	ask_init(&a, mem, 0);
	a.now = answer;
	a.now_ctx = (void *)(uintptr_t)r->rules;
	ev.a = &a;
	ev.note_end = &ev.v.notes;
	rc = access_dns(&ev, r->type, str_c(r->name), &out);
	(void)snprintf(line, 500, "%s", rc_name(rc));
	while (rc == RC_OK && str_token(&out, "\n", &one))
		put(line, "|", one);
	for (const struct access_note *n = ev.v.notes; n != NULL; n = n->next)
		put(line, n->what == ACCESS_INFO ? "|I:" : "|W:", n->text);
	said[0] = '\0';
	if (rc != RC_OK || out.n == 0)
		(void)snprintf(said, 200, "%.*s",
		    STR_ARG(access_dns_words(&ev, r->type, str_c(r->name))));
	arena_free(&mem);
	return rc;
}

static void
records(void **state)
{
	static const struct row rows[] = {
		{ "without a filter the usual question", NULL, "A", "one.test",
		    "ok|192.0.2.9" },
		{ "a filter that knows none of them", "x=IGNORE", "A", "one.test",
		    "ok|192.0.2.1|192.0.2.2" },
		{ "one goes", "192.0.2.1=IGNORE", "A", "one.test",
		    "ok|192.0.2.2|I:ignoring DNS RR: one.test. 60 IN A 192.0.2.1" },
		{ "the action's case, and what stands behind it",
		    "192.0.2.2=ignore because", "A", "one.test",
		    "ok|192.0.2.1|I:ignoring DNS RR: one.test. 60 IN A 192.0.2.2" },
		{ "all go", " A =IGNORE", "A", "one.test",
		    "perm|I:ignoring DNS RR: one.test. 60 IN A 192.0.2.1|I:ignoring "
		    "DNS RR: one.test. 60 IN A 192.0.2.2" },
		{ "an action that nobody knows", "192.0.2.2=REJECT no", "A", "one.test",
		    "temp|W:smtpd_dns_reply_filter: unknown DNS filter action: \"REJECT "
		    "no\"" },
		{ "a table that fails", "192.0.2.2", "A", "one.test",
		    "temp|W:regexp:/f: lookup of \"one.test. 60 IN A 192.0.2.2\": "
		    "gone|W:regexp:/f "
		    "lookup error for \"one.test. 60 IN A 192.0.2.2\"" },
		{ "trouble behind what was ignored", "2.1=IGNORE;2.2=OK", "A", "one.test",
		    "temp|I:ignoring DNS RR: one.test. 60 IN A 192.0.2.1|W:smtpd_dns_"
		    "reply_filter: unknown DNS filter action: \"OK\"" },
		{ "IPv6", "x=IGNORE", "AAAA", "one.test", "ok|2001:db8::1" },
		{ "the dot behind a host goes", "MX 20=IGNORE", "MX", "one.test",
		    "ok|10 a.test|I:ignoring DNS RR: one.test. 60 IN MX 20 b.test." },
		{ "... but not that of a null MX", "x=IGNORE", "MX", "null.test",
		    "ok|0 ." },
		{ "a name server", "x=IGNORE", "NS", "one.test", "ok|ns.one.test" },
		{ "a text keeps its dot", "x=IGNORE", "TXT", "one.test",
		    "ok|ends with a dot." },
		{ "types that no filter is for", "name=IGNORE", "PTR", "one.test",
		    "ok|name.test" },
		{ "malformed stays so", "x=IGNORE", "A", "broken.test", "ok" },
		{ "no such name", "x=IGNORE", "A", "no.test", "none" },
		{ "trouble with the DNS", "x=IGNORE", "A", "trouble.test", "temp" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[500], said[200];

		(void)run(&rows[i], line, said);
		if (strcmp(line, rows[i].out) != 0)
			fail_msg("%s: %s", rows[i].title, line);
	}
}

/* What a refusal says of an answer that is none. */
static void
refusals(void **state)
{
	static const struct row rows[] = {
		{ "no such name", "x=IGNORE", "A", "no.test", "Host not found" },
		{ "without a filter", NULL, "A", "no.test", "Host not found" },
		{ "the DNS fails", "x=IGNORE", "A", "trouble.test", "no server" },
		{ "the filter fails", "192.0.2.1", "A", "one.test",
		    "Invalid DNS reply filter syntax" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[500], said[200];

		assert_int_not_equal(run(&rows[i], line, said), RC_OK);
		if (strcmp(said, rows[i].out) != 0)
			fail_msg("%s: %s", rows[i].title, said);
	}
}

/* Nothing is noted before the last answer: a rerun would say it twice. */
static void
waiting(void **state)
{
	static const struct str table = STR_INIT("regexp:/f");
	struct access_conf conf = { .dns_reply_filter = { &table, 1, 0 } };
	struct access_eval ev = { .c = &conf };
	struct arena *mem = arena_new(1 << 16);
	struct str out;
	struct ask a;

	(void)state;
	ask_init(&a, mem, 0);
	ev.a = &a;
	ev.note_end = &ev.v.notes;
	assert_int_equal(access_dns(&ev, "A", STR("w.test"), &out), RC_MORE);
	assert_true(str_is(a.wanted.source, "A+"));
	ask_answer(&a, RC_OK, STR("w.test. 60 IN A 192.0.2.1\n"));
	assert_int_equal(access_dns(&ev, "A", STR("w.test"), &out), RC_MORE);
	assert_true(str_is(a.wanted.key, "w.test. 60 IN A 192.0.2.1"));
	ask_answer(&a, RC_OK, STR("IGNORE"));
	assert_int_equal(access_dns(&ev, "A", STR("w.test"), &out), RC_PERM);
	assert_non_null(ev.v.notes);
	assert_null(ev.v.notes->next);
	arena_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(refusals),
		cmocka_unit_test(waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
