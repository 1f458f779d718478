/* Maildrop files: what is valid, and for every way of cutting it into pieces. */
#include "agent/maildrop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* "S:a@b" one a line becomes a file; the trace is what the reader gave. */
static void
build(const char *lines, struct buf *out)
{
	struct str rest = str_c(lines), line, text;

	while (str_token(&rest, "\n", &line)) {
		text = str_from(line, 2);
		if (str_is(text, "CR"))
			text = STR("a\rb");
		assert_int_equal(maildrop_put(out, *line.p, text), RC_OK);
	}
}

static enum rc
read_all(struct str file, size_t step, char *trace, size_t room)
{
	struct maildrop_reader r = { 0 };
	struct maildrop_record rec;
	enum rc rc = RC_MORE;
	size_t have = 0, used = 0, n = 0;

	trace[0] = '\0';
	while (rc == RC_OK || rc == RC_MORE) {
		struct str in = str_n(file.p + used, have - used);

		rc = maildrop_next(&r, &in, &rec, NULL);
		used = have - in.n;
		if (rc == RC_MORE) {
			if (have == file.n)
				return RC_MORE;
			have = have + step < file.n ? have + step : file.n;
		} else if (rc != RC_PERM) {
			n += (size_t)snprintf(trace + n, room - n, "%c:%.*s\n", rec.type,
			    STR_ARG(rec.text));
		}
	}
	if (rc == RC_NONE && have == file.n && used < file.n) {
		struct str in = str_n(file.p + used, have - used);

		return maildrop_next(&r, &in, &rec, NULL);
	}
	return rc;
}

static void
files(void **state)
{
	static const struct {
		const char *title, *lines;
		enum rc rc;
	} rows[] = {
		{ "all records",
		    "V:1\nF:Full\nS:a@b\nE:id\nT:hdrs\nB:7BIT\nG:\nP:+=\nM:report\nU:\n"
		    "N:3\nR:c@d\nO:rfc822;x@y\nR:e\n"
		    "N:0\nR:f\nL:one\nL:two\nX:\n",
		    RC_NONE },
		{ "least", "V:1\nS:\nR:a\nX:\n", RC_NONE },
		{ "no version", "S:a\nR:b\nX:\n", RC_PERM },
		{ "other version", "V:2\nS:a\nR:b\nX:\n", RC_PERM },
		{ "no sender", "V:1\nR:b\nX:\n", RC_PERM },
		{ "no recipient", "V:1\nS:b\nN:1\nX:\n", RC_PERM },
		{ "empty recipient", "V:1\nS:b\nR:\nX:\n", RC_PERM },
		{ "two senders", "V:1\nS:b\nS:b\nR:a\nX:\n", RC_PERM },
		{ "sender behind recipients", "V:1\nR:b\nS:b\nX:\n", RC_PERM },
		{ "recipient behind content", "V:1\nS:b\nR:a\nL:x\nR:a\nX:\n", RC_PERM },
		{ "not ended", "V:1\nS:b\nR:a\nL:x\n", RC_MORE },
		{ "more behind the end", "V:1\nS:b\nR:a\nX:\nX:\n", RC_PERM },
		{ "unknown record", "V:1\nS:b\nQ:a\n", RC_PERM },
		{ "control characters", "V:1\nS:CR\nR:a\nX:\n", RC_PERM },
		{ "control characters in content", "V:1\nS:a\nR:a\nL:CR\nX:\n", RC_NONE },
		{ "bad VERP", "V:1\nS:a\nP:+\nR:a\nX:\n", RC_PERM },
		{ "VERP with a letter", "V:1\nS:a\nP:+a\nR:a\nX:\n", RC_PERM },
		{ "VERP behind recipients", "V:1\nS:a\nR:a\nP:+=\nX:\n", RC_PERM },
		{ "verify", "V:1\nS:a\nM:verify\nR:a\nX:\n", RC_NONE },
		{ "probe", "V:1\nS:a\nM:probe\nR:a\nX:\n", RC_PERM },
		{ "bad notify", "V:1\nS:a\nN:16\nR:a\nX:\n", RC_PERM },
		{ "empty", "", RC_MORE },
	};
	char trace[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf file;

		buf_init(&file, 10000);
		build(rows[i].lines, &file);
		for (size_t step = 1; step <= file.n + 1; step++) {
			enum rc rc =
			    read_all(buf_view(&file), step, trace, sizeof(trace));

			/* In small steps nothing tells that bytes follow the end. */
			if (rc != rows[i].rc &&
			    !(rc == RC_NONE && rows[i].rc == RC_PERM &&
				strstr(rows[i].title, "more behind") != NULL))
				fail_msg("%s: %s in steps of %zu", rows[i].title,
				    rc_name(rc), step);
			if (rows[i].rc == RC_NONE &&
			    strstr(rows[i].title, "control") == NULL &&
			    strcmp(trace, rows[i].lines) != 0)
				fail_msg("%s: %s", rows[i].title, trace);
		}
		buf_fini(&file);
	}
}

static void
lengths(void **state)
{
	struct maildrop_reader r = { 0 };
	struct maildrop_record rec;
	struct str in = STR("V\xff\xff\xff\xffxxxx");

	(void)state;
	assert_int_equal(maildrop_next(&r, &in, &rec, NULL), RC_PERM);
	in = STR("V\0\0\0\1"
		 "1");
	assert_int_equal(maildrop_next(&r, &in, &rec, NULL), RC_PERM); /* sticky */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
